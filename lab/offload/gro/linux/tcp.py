"""The common case of profile `linux`, straight from a few loads: TCP over IPv4 without tags, tunnels or IPv4 options.

One segment, no TCP options or twelve bytes of them (timestamps), payload, nothing but ACK, PSH, FIN and ECE. What must be equal lies
in the item's words, so a merge touches neither the first packet's headers nor any second cache line:

    w0, w1  MAC addresses and type      w2  addresses      w3  ports; place
    w4  version, TOS, TTL, id of the first, fragment word      w5  offset, flags without PSH and FIN, window, urgent pointer
    w6, w7  options

Anything else, a bad checksum among it, is UNCOMMON: `general.py` looks at it anew.
"""

import numpy as np

from lab.memory.mbuf import BORROWED, HASHED, IP_CSUM_GOOD, L4_CSUM_GOOD, MARKED, MAX_SEGMENTS
from lab.memory.raw import apart, i64, load64, sum16, u64
from lab.memory.reasons import (
    F_ACK,
    F_CHAIN,
    F_DF,
    F_FIN,
    F_FLAGS,
    F_FULL,
    F_GAP,
    F_ID,
    F_LONGER,
    F_MOST,
    F_OPTIONS,
    F_PUSH,
    F_SHORTER,
    F_TOS,
    F_TTL,
    F_URGENT,
    F_WINDOW,
    GRO_HELD,
    GRO_MERGED,
    PASS_SHAPE,
)
from lab.memory.record import NULL
from lab.offload.gro.finish import item_for, let_go, note_flags
from lab.offload.gro.table import (
    HELD,
    ID_COUNTING,
    ID_FIXED,
    ID_UNDECIDED,
    MOST_IP,
    PASSES,
    PLAIN,
    begin,
    find,
    hash_of,
    rule_port_of,
    tell,
)

UNCOMMON = 2
ZERO = np.uint64(0)
ORDINARY = ~(IP_CSUM_GOOD | L4_CSUM_GOOD | MARKED | HASHED | BORROWED)  # flags that make a packet uncommon
ETH, BARE = 14, 54  # bytes of Ethernet, and of all headers without options
STAMPED = 8  # words of a TCP header with twelve bytes of options
LOW32, LOW16, LOW8 = np.uint64(0xFFFFFFFF), np.uint64(0xFFFF), np.uint64(0xFF)
BY16, BY32, BY48, BY56, BY60 = (np.uint64(n) for n in (16, 32, 48, 56, 60))
IPV4_TYPE, VERSION_AND_LENGTH, TCP_PROTO = np.uint64(0x0800), np.uint64(0x45), np.uint64(6)
FRAGMENT = np.uint64(0x3FFF)
FLAGS_ASKED, FLAGS_WANTED = np.uint64(0x00B6 << 48), np.uint64(0x0010 << 48)  # of ACK, CWR, URG, SYN and RST just ACK
KEPT_IP = np.uint64(0xFFFF0000FFFFFFFF)  # all but the total length, whose place takes the TTL
KEPT_TCP = np.uint64(0xFFF6FFFF0000FFFF)  # all but FIN, PSH and the checksum
BUT_ID = np.uint64(0xFFFFFFFF0000FFFF)
FIN_BIT, PUSH_BIT = 1, 8


def fold3(total):
    """A sum of less than 2**40 to 16 bits, without a branch."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def halves(word):
    """The two 32-bit halves of a word, added."""
    return i64(word >> BY32) + i64(word & LOW32)


def plain_take(to, i, m, place):
    """HELD or PASSES for a packet of the common case, UNCOMMON for any other."""
    n = m.data_len
    if n <= BARE or m.next != NULL or m.ol_flags & ORDINARY != ZERO:
        return UNCOMMON
    memory = to.memory
    at = m.buf + m.data_off
    link = load64(memory, at + 6)
    ip0 = load64(memory, at + ETH)
    ip1 = load64(memory, at + ETH + 8)
    tcp1 = load64(memory, at + 46)
    if link & LOW16 != IPV4_TYPE or ip0 >> BY56 != VERSION_AND_LENGTH or ip1 >> BY48 & LOW8 != TCP_PROTO or ip0 & FRAGMENT != ZERO:
        return UNCOMMON
    words = i64(tcp1 >> BY60)
    off = ETH + 20 + 4 * words
    if i64(ip0 >> BY32 & LOW16) + ETH != n or (words != 5 and words != STAMPED) or n <= off or tcp1 & FLAGS_ASKED != FLAGS_WANTED:
        return UNCOMMON
    ip2 = load64(memory, at + ETH + 16)
    if sums_hold(memory, at, m) == 0:
        return UNCOMMON
    if ip1 >> BY32 & LOW16 == LOW16 or tcp1 >> BY16 & LOW16 == LOW16:  # right, but not as anybody would compute it
        return UNCOMMON
    w2 = ip1 << BY32 | ip2 >> BY32
    w3 = ip2 << BY32 | u64(place)
    h = hash_of(w2, w3)
    found = find(to, h)
    if found == NULL:
        return plain_begin(to, i, m, place, h)
    item = to.gro.items[found]
    if item.kind != PLAIN or (item.w[0] ^ load64(memory, at)) | (item.w[1] ^ link) | (item.w[2] ^ w2) | (item.w[3] ^ w3) != ZERO:
        return UNCOMMON
    o0 = ZERO
    o1 = ZERO
    if words == STAMPED:
        o0 = load64(memory, at + BARE)
        o1 = load64(memory, at + BARE + 4)
    tcp0 = load64(memory, at + 38)
    w4 = ip0 & KEPT_IP | ip1 >> BY56 << BY32
    differs = (item.w[4] ^ w4) & BUT_ID | item.w[5] ^ tcp1 & KEPT_TCP | item.w[6] ^ o0 | item.w[7] ^ o1
    payload = n - off
    head = to.mbufs[item.first]
    rule = id_after(item.id_rule, i64(item.w[4] >> BY16 & LOW16), i64(ip0 >> BY16 & LOW16), item.packets)
    if (
        differs != ZERO or item.next_seq != i64(tcp0 >> BY32) or item.ack != i64(tcp0 & LOW32) or payload > item.first_len
        or rule == ID_UNDECIDED or head.nb_segs >= MAX_SEGMENTS or head.pkt_len + payload > MOST_IP + ETH
    ):  # fmt: skip
        let_go(to, found, why_not(to, item, at, payload), MAX_SEGMENTS)
        return plain_begin(to, i, m, place, h)
    head.pkt_len += payload
    head.nb_segs += 1
    m.data_off += off
    m.data_len = payload
    to.mbufs[item.last].next = i
    item.last = i
    item.packets += 1
    item.id_rule = rule
    item.next_seq = (item.next_seq + payload) & 0xFFFFFFFF
    item.total += payload
    tell(to, m, GRO_MERGED, payload, item.packets)
    ends = i64(tcp1 >> BY48) & (PUSH_BIT | FIN_BIT)
    if ends != 0 or payload != item.first_len or item.packets == to.ports[rule_port_of(place)].gro_most:
        close(to, found, ends, payload)
    return HELD


def sums_hold(memory, at, m):
    """1 when the header's checksum and the segment's are right, or known to be; the addresses count for both."""
    ip0 = load64(memory, at + ETH)
    ip1 = load64(memory, at + ETH + 8)
    ip2 = load64(memory, at + ETH + 16)
    addresses = i64(ip1 & LOW32) + i64(ip2 >> BY32)
    if fold3(halves(ip0) + i64(ip1 >> BY32) + addresses) != 0xFFFF:
        return 0
    if m.ol_flags & L4_CSUM_GOOD != ZERO:
        return 1
    n = m.data_len - 34
    if fold3(sum16(memory, at + 34, n) + addresses + 6 + n) != 0xFFFF:
        return 0
    return 1


def id_after(rule, first, number, packets):
    """How the ids go on with this one, or ID_UNDECIDED when they do not."""
    step = (number - first) & 0xFFFF
    if step == packets and rule != ID_FIXED:
        return ID_COUNTING
    if step == 0 and rule != ID_COUNTING:
        return ID_FIXED
    return ID_UNDECIDED


@apart
def close(to, n, ends, payload):
    """What was just appended was the last that fits: the item leaves."""
    item = to.gro.items[n]
    why = F_MOST
    if ends & FIN_BIT != 0:
        why = F_FIN
    elif ends & PUSH_BIT != 0:
        why = F_PUSH
    elif payload != item.first_len:
        why = F_SHORTER
    note_flags(to, item, ends)
    let_go(to, n, why, 0)


@apart
def why_not(to, item, at, payload):
    """Why a segment of the item's flow cannot be appended, in the order in which the kernel asks."""
    memory = to.memory
    ip0 = load64(memory, at + ETH)
    ip = item.w[4] ^ (ip0 & KEPT_IP | load64(memory, at + ETH + 8) >> BY56 << BY32)
    if ip & LOW16 != ZERO:
        return F_DF
    if ip >> BY32 & LOW16 != ZERO:
        return F_TTL
    if ip >> BY48 != ZERO:
        return F_TOS
    tcp1 = load64(memory, at + 46)
    tcp = item.w[5] ^ tcp1 & KEPT_TCP
    if tcp >> BY60 != ZERO:
        return F_OPTIONS
    if tcp >> BY48 != ZERO:
        return F_FLAGS
    tcp0 = load64(memory, at + 38)
    if item.ack != i64(tcp0 & LOW32):
        return F_ACK
    if tcp >> BY32 & LOW16 != ZERO:
        return F_WINDOW
    if i64(tcp1 >> BY60) == STAMPED and (item.w[6] ^ load64(memory, at + BARE)) | (item.w[7] ^ load64(memory, at + BARE + 4)) != ZERO:
        return F_OPTIONS
    if tcp & LOW16 != ZERO:
        return F_URGENT
    if item.next_seq != i64(tcp0 >> BY32):
        return F_GAP
    if payload > item.first_len:
        return F_LONGER
    if id_after(item.id_rule, i64(item.w[4] >> BY16 & LOW16), i64(ip0 >> BY16 & LOW16), item.packets) == ID_UNDECIDED:
        return F_ID
    if to.mbufs[item.first].nb_segs >= MAX_SEGMENTS:
        return F_CHAIN
    return F_FULL


@apart
def plain_begin(to, i, m, place, h):
    """Hold a packet of the common case as the first of its flow, unless nothing can follow it."""
    memory = to.memory
    at = m.buf + m.data_off
    tcp1 = load64(memory, at + 46)
    words = i64(tcp1 >> BY60)
    payload = m.data_len - ETH - 20 - 4 * words
    if not_first(to, m, i64(tcp1 >> BY48), place) != 0:
        return PASSES
    n = item_for(to, h)
    item = to.gro.items[n]
    item.kind = PLAIN
    begin(to, n, i, h, place)
    item.last = i
    tcp0 = load64(memory, at + 38)
    item.next_seq = (i64(tcp0 >> BY32) + payload) & 0xFFFFFFFF
    item.ack = i64(tcp0 & LOW32)
    item.first_len = payload
    item.total = payload
    ip0 = load64(memory, at + ETH)
    ip1 = load64(memory, at + ETH + 8)
    ip2 = load64(memory, at + ETH + 16)
    item.w[0] = load64(memory, at)
    item.w[1] = load64(memory, at + 6)
    item.w[2] = ip1 << BY32 | ip2 >> BY32
    item.w[3] = ip2 << BY32 | u64(place)
    item.w[4] = ip0 & KEPT_IP | ip1 >> BY56 << BY32
    item.w[5] = tcp1 & KEPT_TCP
    item.w[6] = ZERO
    item.w[7] = ZERO
    if words == STAMPED:
        item.w[6] = load64(memory, at + BARE)
        item.w[7] = load64(memory, at + BARE + 4)
    tell(to, m, GRO_HELD, payload, 0)
    return HELD


def not_first(to, m, flags, place):
    """Why a packet that might be held is not, since nothing could follow it, or its headers could not be written; 0 when it is."""
    why = 0
    if flags & FIN_BIT != 0:
        why = F_FIN
    elif flags & PUSH_BIT != 0:
        why = F_PUSH
    elif to.ports[rule_port_of(place)].gro_most == 1:
        why = F_MOST
    elif m.ol_flags & BORROWED != ZERO or m.refcnt != 1:
        why = PASS_SHAPE
    if why != 0:
        tell(to, m, why, 1, 0)
    return why
