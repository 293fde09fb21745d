"""NORMAL: what a learning bridge with VLANs does with a packet, written as outputs. Called by translation (outputs.py).

The tags are the word W_VLAN of the flow throughout: *own* as the packet wears them, *inside* as the bridge sees them
behind its input port, *worn* as an output port wants them. The draft changes the packet's tags only where the next
output needs others, and in the end they are its own again, so the flow is as it was. Bonds, mirrors, dot1q-tunnel
ports and snooping of IGMP and MLD are not built: multicast floods.
"""

import numpy as np

from lab.flow.actions import CREDIT_MAC, POP_VLAN, PUSH_VLAN, SET, VLAN_TCI
from lab.flow.key import W_DST, W_SRC, W_VLAN
from lab.memory.raw import apart, i64, u64
from lab.memory.reasons import NO_PORT, NOWHERE, RESERVED, VLAN_DROPS
from lab.memory.record import NULL
from lab.translate.emit import NO_FLOOD, NO_FWD, PROTECTED, credit, note_why, put, read, say, send, there, want
from lab.translate.fdb import MAC_BITS, fdb_key, learn, look_up
from lab.translate.ledger import L_NORMAL
from lab.translate.ofact import OFPP_CONTROLLER, OFPP_NONE
from lab.translate.records import FLOW

TRUNK, ACCESS, NATIVE_TAGGED, NATIVE_UNTAGGED = range(4)  # `mode` in `vlans`
BRIDGE = 0  # the record of `vlans` that no port has: its trunks are the VLANs that always flood, its marks the bridge's
FORWARD_BPDU = 1
ZERO, HALF = np.uint64(0), np.uint64(32)
THERE, VID, PCP = np.uint64(0x1000 << 32), np.uint64(0xFFF << 32), np.uint64(0xE000 << 32)
INNER_THERE, INNER_VID = np.uint64(0x1000), np.uint64(0xFFF)
OUTER, INNER = np.uint64(0xFFFFFFFF << 32), np.uint64(0xFFFFFFFF)
DL_TYPE, DOT1Q, DOT1AD = np.uint64(0xFFFF << 48), np.uint64(0x8100 << 48), np.uint64(0x88A8 << 48)
GROUP = np.uint64(1 << 40)  # the bit of an address that is no station's
NOT_ALLOWED = np.uint64(0xFFFFFFFFFFFFFFFF)  # what `inside` says of a packet that may not come in

# kinds of L_NORMAL, with what stands in b and c
(
    N_LEARNED,  # key of the MAC table, port
    N_FLOODS,
    N_FORWARDS,  # key, port
    N_SAME_PORT,  # key, port
    N_PORT_GONE,  # key, port
    N_NOT_ALLOWED,  # VLAN, port
    N_RESERVED,
    N_PARTIAL_TAG,
    N_NO_INPUT,  # 0, port
    N_PROTECTED,  # 0, port
) = range(1, 11)
NORMAL_WORDS = {
    N_LEARNED: "learned that {mac} is on port {port} in VLAN {vlan}",
    N_FLOODS: "no learned MAC for destination, flooding",
    N_FORWARDS: "forwarding to learned port",
    N_SAME_PORT: "learned port is input port, dropping",
    N_PORT_GONE: "learned port is unknown, dropping",
    N_NOT_ALLOWED: "disallowed VLAN VID for this input port, dropping",
    N_RESERVED: "packet has reserved destination MAC, dropping",
    N_PARTIAL_TAG: "partial VLAN tag, dropping",
    N_NO_INPUT: "no input bundle, dropping",
    N_PROTECTED: "flow is between protected ports, skipping output",
}


def normal_words(event, b, c, port_name=str):
    """The sentence of an L_NORMAL event; for people, not for compiled code.

    >>> normal_words(N_LEARNED, 1 << 60 | 10 << 48 | 0x020000000001, 2)
    'learned that 02:00:00:00:00:01 is on port 2 in VLAN 10'
    """
    mac = (b & 0xFFFFFFFFFFFF).to_bytes(6, "big").hex(":")
    return NORMAL_WORDS[event].format(mac=mac, vlan=b >> 48 & 0xFFF, port=port_name(c))


@apart
def normal(t):
    """Learn where the packet came from and send it where its destination was seen, else to every port of its VLAN."""
    port = t.desk.xlate[0].in_port
    if not there(t, port) and port != OFPP_CONTROLLER and port != OFPP_NONE:
        refuse(t, N_NO_INPUT, 0, NO_PORT)
        return
    own = read(t, W_VLAN, THERE | VID)
    kind = read(t, W_DST, DL_TYPE)
    if own & THERE == ZERO:
        own = ZERO
        if kind == DOT1Q or kind == DOT1AD:
            refuse(t, N_PARTIAL_TAG, 0, VLAN_DROPS)
            return
    else:
        own = t.desk.flows[FLOW].w[W_VLAN]  # bits of it that nobody has asked for are moved, never looked at
    tags = inside(t, port, own)
    if tags == NOT_ALLOWED:
        refuse(t, N_NOT_ALLOWED, i64((own & VID) >> HALF), VLAN_DROPS)
        return
    mac = read(t, W_DST, MAC_BITS)
    if is_reserved(mac) and t.vlans[BRIDGE].marks & FORWARD_BPDU == 0:
        refuse(t, N_RESERVED, 0, RESERVED)
        return
    vlan = i64((tags & VID) >> HALF)
    note_source(t, port, vlan)
    forward(t, own, tags, fdb_key(vlan, mac))


def refuse(t, event, figure, reason):
    """The packet goes nowhere."""
    say(t, L_NORMAL, event, figure, t.desk.xlate[0].in_port)
    note_why(t, reason)


def inside(t, port, own):
    """The tags of a packet behind its input port, or NOT_ALLOWED."""
    vid = own & VID
    mode = TRUNK
    if there(t, port):
        mode = t.vlans[port].mode
    else:
        port = NULL
    if vid != ZERO:
        if mode == ACCESS or (port != NULL and not carries(t, port, vid)):
            return NOT_ALLOWED
        return own
    if mode == TRUNK:
        if port != NULL and not carries(t, port, vid):
            return NOT_ALLOWED
        return own
    vid = u64(t.vlans[port].tag) << HALF
    if own == ZERO:
        if vid == ZERO:
            return own
        return DOT1Q | THERE | vid
    if mode == ACCESS and read(t, W_VLAN, INNER_THERE) != ZERO:  # an access port's VLAN is all there is: the tag within goes
        want_both(t)
        own = own & OUTER
    return own | vid


def carries(t, port, vid):
    """Whether a port that is no access port takes part in a VLAN; a port that names none takes part in all."""
    row = t.vlans[port]
    n = i64(vid >> HALF)
    if row.trunks[n >> 6] >> u64(n & 63) & np.uint64(1) != ZERO:
        return True
    j = 0
    while j < 64 and row.trunks[j] == ZERO:
        j += 1
    return j == 64


def always_floods(t, vlan):
    """Whether a VLAN is set to learn nothing and flood."""
    return t.vlans[BRIDGE].trunks[vlan >> 6] >> u64(vlan & 63) & np.uint64(1) != ZERO


def is_reserved(mac):
    """Whether a bridge keeps a destination to itself: IEEE's 01:80:c2:00:00:0x, and those of OVS's list of vendors."""
    vendor = mac >> np.uint64(24)
    low = i64(mac & np.uint64(0xFFFFFF))
    if vendor == np.uint64(0x0180C2):
        return low < 0x10
    if vendor == np.uint64(0x00E02B):  # Extreme: EDP, EAPS
        return low == 0 or low == 4 or low == 6
    if vendor == np.uint64(0x01000C):  # Cisco: ISL, CDP and kin, PVST+, uplink fast, CFM
        return low == 0 or low == 0xCCCCCC or low == 0xCCCCCD or low == 0xCDCDCD or 0xCCCCC0 <= low <= 0xCCCCC7
    return False


def note_source(t, port, vlan):
    """Learn the source's place, and have the megaflow's packets keep it fresh. Without bonds gratuitous ARP is like any other."""
    mac = read(t, W_SRC, MAC_BITS)
    if mac & GROUP != ZERO or not there(t, port) or always_floods(t, vlan):
        return
    key = fdb_key(vlan, mac)
    x = t.desk.xlate[0]
    if x.learns != 0:
        lane = t.lane[0].number
        head = t.fdb.head[lane]
        head.limit = t.config[0].mac_limit
        head.age = t.config[0].mac_age_us
        if learn(t.fdb, lane, key, port, x.now) != 0:
            say(t, L_NORMAL, N_LEARNED, i64(key), port)
    credit(t, CREDIT_MAC, port).v0 = key


def forward(t, own, tags, key):
    """Send to where a destination was seen, or flood."""
    x = t.desk.xlate[0]
    port = NULL
    if key & GROUP == ZERO and not always_floods(t, i64((tags & VID) >> HALF)):
        port = look_up(t.fdb, key, x.now, t.config[0].mac_age_us)
    if port == NULL:
        say(t, L_NORMAL, N_FLOODS, 0, 0)
        flood(t, own, tags)
    elif port == x.in_port:
        say(t, L_NORMAL, N_SAME_PORT, i64(key), port)
        note_why(t, NOWHERE)
    elif not there(t, port):
        say(t, L_NORMAL, N_PORT_GONE, i64(key), port)
        note_why(t, NO_PORT)
    else:
        say(t, L_NORMAL, N_FORWARDS, i64(key), port)
        retag(t, deliver(t, port, tags, own), own)


def flood(t, own, tags):
    """Send to every port of the VLAN but the packet's own, in the order of their numbers."""
    note_why(t, NOWHERE)
    in_port = t.desk.xlate[0].in_port
    now = own
    for port in range(1, len(t.ports)):
        if port != in_port and there(t, port) and t.vlans[port].marks & NO_FLOOD == 0 and takes_part(t, port, tags):
            now = deliver(t, port, tags, now)
    retag(t, now, own)


def takes_part(t, port, tags):
    """Whether a flood in the packet's VLAN reaches a port."""
    if t.vlans[port].mode != ACCESS:
        return carries(t, port, tags & VID)
    if i64((tags & VID) >> HALF) != t.vlans[port].tag:
        return False
    if read(t, W_VLAN, THERE) != ZERO:
        want(t, W_VLAN, INNER_THERE | INNER_VID)
    return tags & INNER_VID == ZERO


@apart
def deliver(t, port, tags, now):
    """Send to a port, with the tags that it wants; `now` are those that the packet wears, the result those that it wears then."""
    in_port = t.desk.xlate[0].in_port
    if there(t, in_port) and t.vlans[in_port].marks & t.vlans[port].marks & PROTECTED != 0:
        say(t, L_NORMAL, N_PROTECTED, 0, port)
        note_why(t, NOWHERE)
        return now
    if t.vlans[port].marks & NO_FWD == 0:
        wanted = worn(t, port, tags)
        retag(t, now, wanted)
        now = wanted
    send(t, port)
    return now


def worn(t, port, tags):
    """The tags with which a packet leaves through a port. What is taken off is asked for, since it comes on again."""
    row = t.vlans[port]
    if row.mode == ACCESS:
        want_both(t)
        return ZERO
    if tags & VID == ZERO:
        if tags & THERE != ZERO and read(t, W_VLAN, PCP) == ZERO:  # VLAN 0 with priority 0 says nothing: no tag
            want_both(t)
            return ZERO
    elif row.mode == NATIVE_UNTAGGED and i64((tags & VID) >> HALF) == row.tag:
        want_both(t)
        if tags & INNER_THERE == ZERO:
            return ZERO
        return tags << HALF
    return tags


def want_both(t):
    """Ask for the packet's tags as far as there are any."""
    if read(t, W_VLAN, THERE) != ZERO:
        want(t, W_VLAN, OUTER | INNER)


@apart
def retag(t, now, wanted):
    """Make the packet wear other tags than it does now: the same number of them with another VLAN, or some off and some on."""
    if now == wanted:
        return
    if now & THERE != ZERO and wanted & THERE != ZERO and now & INNER == wanted & INNER:
        act = alter(t, SET, VLAN_TCI, 0)
        act.v0 = (wanted & VID) >> HALF
        act.m0 = VID >> HALF
        return
    off = tags_of(now)
    on = tags_of(wanted)
    if off > 0 and on > 0 and innermost(now) == innermost(wanted):
        off -= 1
        on -= 1
    for _ in range(off):
        alter(t, POP_VLAN, 0, 0)
    if on == 2 or (on == 1 and tags_of(wanted) == 1):
        push(t, innermost(wanted))
    if tags_of(wanted) == 2 and on > 0:
        push(t, wanted >> HALF)


def tags_of(tags):
    """How many tags a word holds."""
    if tags & THERE == ZERO:
        return 0
    if tags & INNER_THERE == ZERO:
        return 1
    return 2


def innermost(tags):
    """TPID and TCI of the innermost of one or two tags."""
    if tags & INNER_THERE != ZERO:
        return tags & INNER
    return tags >> HALF


def push(t, tag):
    """Put a tag on: TPID and TCI."""
    act = alter(t, PUSH_VLAN, 0, i64(tag >> np.uint64(16)))
    act.v0 = tag & np.uint64(0xEFFF)


def alter(t, op, detail, arg):
    """An action that changes the packet."""
    t.desk.xlate[0].changes += 1
    return put(t, op, detail, arg)
