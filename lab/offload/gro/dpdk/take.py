"""The profile `dpdk`: what librte_gro would hold and merge, packet by packet or, in burst mode, a burst at once.

TCP over IPv4 and IPv6, TCP over IPv4 inside VXLAN, and fragments of UDP over IPv4, plain or inside VXLAN. A packet that
cannot be merged overtakes what is held. In burst mode (`gro_cycles` 0) all leaves at the end of the burst; with a timeout
an item leaves when it has been held so long, at once when it is full or has got PSH or FIN. No checksum is verified (one
that is known to be bad keeps its packet out), and payloads of all sizes are merged: what is promised behind GSO is the
same bytes in the same order, in segments no larger and no more than those that came, FIN and PSH on the last of them.
Padding is never merged. Which packets are candidates stands here; the rest in `flow.py` and `fragments.py`.
"""

from lab.memory.mbuf import BORROWED, ELEMENTS, GSO, TUN_META, TUNNEL
from lab.memory.raw import apart, i64, load16, load64, prefetch, u64
from lab.memory.reasons import (
    F_CHAIN,
    F_END_OF_BURST,
    GRO_FRAGMENT,
    GRO_HELD,
    GRO_MERGED,
    GRO_WHOLE,
    PASS_ACK,
    PASS_CANDIDATE,
    PASS_CSUM,
    PASS_CUT,
    PASS_FLAGS,
    PASS_FRAGMENT,
    PASS_GSO,
    PASS_PROTOCOL,
    PASS_SHAPE,
)
from lab.memory.record import NULL
from lab.offload.checksums import look_inside
from lab.offload.gro.dpdk.chain import most_segments
from lab.offload.gro.dpdk.flow import join, passes
from lab.offload.gro.dpdk.fragments import join_fragment
from lab.offload.gro.dpdk.key import DEEP, DF, FROM_TUNNEL, HALF, HEADER_SHIFT, IN_VXLAN, OUTER_DF, V6, ZERO
from lab.offload.gro.dpdk.quick import (
    BAD,
    DF_SHIFT,
    FRAG_BITS,
    FRAG_IS,
    ID_BITS,
    ID_SHIFT,
    LONG_WAY,
    MERGED,
    NOT_PLAIN,
    PLAIN_L4,
    TIMES,
    TOTAL_SHIFT,
    TYPE_BITS,
    TYPE_IS,
    join_plain,
)
from lab.offload.gro.finish import finish_general, finish_plain, forget_tunnel
from lab.offload.gro.table import DPDK_FRAGMENTS, DPDK_PLAIN, HELD, PASSES, begin, rule_port_of, tell
from lab.offload.records import GRO_DPDK, INGRESS_SIDE
from lab.offload.seen import see
from lab.packet.headers import tcp, vxlan
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import DONT_FRAGMENT, ID, MORE_FRAGMENTS, OFFSET_MASK, TCP, UDP, get_frag
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH
from lab.packet.headers.udp import DST as UDP_DST
from lab.packet.headers.udp import LENGTH as UDP_LENGTH

MAY = tcp.ACKED | tcp.PSH | tcp.FIN
MAY_NOT = tcp.FLAGS_MASK & ~MAY
LIST = 32  # items begun in one burst; room of `miss`


@apart
def dpdk_take(to, i, m, place):
    """Hold a packet, merge it, or let it pass."""
    n = consider(to, i, m, u64(place) << HALF)
    if n == MERGED:
        return HELD
    if n < MERGED:
        tell(to, m, passes(n), 0, 0)
        return PASSES
    begin(to, n, i, to.gro.items[n].hash, place)
    say_held(to, m, n)
    return HELD


def takes_bursts(to, burst, side, port):
    """Whether the short way is open: burst mode, nothing held or waiting, and all packets under this port's settings."""
    if to.ports[port].gro != GRO_DPDK or to.config[0].gro_cycles != 0 or to.lane[0].held != 0 or to.gro.ready[side].n != 0:
        return False
    if side == INGRESS_SIDE:
        for k in range(burst.n):
            if to.mbufs[burst.pkt[k]].in_port != port:
                return False
    return True


@apart
def dpdk_burst(to, burst, place):
    """Burst mode: merge a burst of one port's packets in place; what passes comes first, then what was held. How many are left."""
    spot = u64(place) << HALF
    came = burst.n
    most = most_segments(to, rule_port_of(place))
    if to.trace[0].on != 0:
        most = 0  # the long way tells what becomes of each packet
    begun = 0
    kept = 0
    merged = 0
    for k in range(came):
        if k + 1 < came:
            following = to.mbufs[burst.pkt[k + 1]]
            prefetch(to.memory, following.buf + following.data_off)
        i = burst.pkt[k]
        m = to.mbufs[i]
        n = join_plain(to, i, m, spot, most)
        if n == MERGED:
            merged += 1
            continue
        if n == LONG_WAY:
            n = consider(to, i, m, spot)
        if n >= 0:
            if begun == LIST:
                kept = end_of_burst(to, burst, begun, kept)
                begun = 0
            hold(to, m, n)
            burst.miss[begun] = n
            begun += 1
        elif n != MERGED:
            tell(to, m, passes(n), 0, 0)
            burst.pkt[kept] = i
            kept += 1
    to.reasons[GRO_MERGED].count += merged
    return end_of_burst(to, burst, begun, kept)


def hold(to, m, n):
    """Count an item that lives no longer than the burst."""
    say_held(to, m, n)
    to.gro.head[0].held += 1
    to.lane[0].held += 1


def say_held(to, m, n):
    """Tell that a packet began an item."""
    if to.gro.items[n].kind == DPDK_FRAGMENTS:
        tell(to, m, GRO_FRAGMENT, to.gro.items[n].total, 0)
    else:
        tell(to, m, GRO_HELD, to.gro.items[n].total, 0)


@apart
def end_of_burst(to, burst, begun, kept):
    """All items that the burst began leave, behind what passed: how many packets of the burst there are now."""
    head = to.gro.head[0]
    for k in range(begun):
        item = to.gro.items[burst.miss[k]]
        if item.first == NULL:
            item.hash = ZERO
            continue  # it was joined with another one
        m = to.mbufs[item.first]
        why = F_END_OF_BURST
        if item.why != 0:
            why = item.why
        if item.packets > 1:
            if item.kind == DPDK_PLAIN:
                finish_plain(to, item, m)
            elif item.kind != DPDK_FRAGMENTS:
                finish_general(to, item, m)
            head.flushed += 1
            head.merged += item.packets - 1
        tell(to, m, why, item.packets, figure_of(m, why))
        burst.pkt[kept] = item.first
        kept += 1
        item.first = NULL
        item.hash = ZERO
        head.held -= 1
        to.lane[0].held -= 1
    return kept


def figure_of(m, why):
    """What a reason to leave says beside the number of packets."""
    if why == GRO_WHOLE:
        return i64(m.pkt_len)
    if why == F_CHAIN:
        return i64(m.nb_segs)
    return 0


@apart
def consider(to, i, m, spot):
    """What `join` answers: at once for TCP over IPv4 without tags and tunnels, all else goes the long way."""
    memory = to.memory
    at = m.buf + m.data_off
    if m.data_len < PLAIN_L4 + tcp.LENGTH or m.ol_flags & NOT_PLAIN != ZERO:
        return consider_any(to, i, m, spot)
    second = load64(memory, at + 16)
    if load64(memory, at + 8) & TYPE_BITS != TYPE_IS or second & FRAG_BITS != FRAG_IS:
        return consider_any(to, i, m, spot)
    said = load16(memory, at + PLAIN_L4 + tcp.OFFSET)
    header = (said >> 12) * 4
    said = said & tcp.FLAGS_MASK
    total = i64(second >> TOTAL_SHIFT)
    length = total - IPV4_LENGTH - header
    if total + ETH_LENGTH != m.pkt_len or header < tcp.LENGTH or length < 0 or m.data_len < PLAIN_L4 + header:
        return consider_any(to, i, m, spot)
    if said & MAY_NOT != 0 or said == 0 or length == 0:
        return passes(why_not(said, length))
    ctx = spot | u64(header) << HEADER_SHIFT | OUTER_DF | second >> DF_SHIFT & DF
    if header != tcp.LENGTH and header != TIMES:
        ctx = ctx | DEEP
    return join(to, i, m, (0, ETH_LENGTH, PLAIN_L4, ETH_LENGTH, header, length, said, i64(second >> ID_SHIFT & ID_BITS)), ctx)


def why_not(said, length):
    """Why a TCP packet with these flags is no candidate."""
    if said & (tcp.SYN | tcp.RST | tcp.URG) != 0:
        return PASS_FLAGS
    if length == 0:
        return PASS_ACK
    return PASS_CANDIDATE


@apart
def consider_any(to, i, m, spot):
    """The same of any packet: its headers are found anew, those of a VXLAN tunnel around it too."""
    if m.ol_flags & (GSO | ELEMENTS) != ZERO:
        return passes(PASS_GSO)
    if m.ol_flags & BAD != ZERO:
        return passes(PASS_CSUM)
    if m.ol_flags & BORROWED != ZERO:
        return passes(PASS_SHAPE)
    s = to.sight[0]
    said = m.ol_flags & TUNNEL
    inner_off = m.inner_off
    see(to.memory, to.mbufs, to.pool, i, s)
    if said == ZERO:
        look_inside(to.memory, to.mbufs, to.pool, i, s)
        if m.ol_flags & TUNNEL != ZERO:
            forget_tunnel(m, inner_off)  # whoever is merged says so again
    if s.v == 0:
        return passes(PASS_PROTOCOL)
    if s.outer_v != 0 and in_vxlan(to.memory, m, s) == 0:
        return passes(PASS_PROTOCOL)
    if s.frag != 0:
        if s.v == 4 and s.proto == UDP:
            return join_fragment(to, i, m, s, spot | of_tunnel(m))
        return passes(PASS_FRAGMENT)
    if s.proto != TCP:
        return passes(PASS_PROTOCOL)
    if s.l4_len == 0:
        return passes(PASS_CUT)
    return consider_tcp(to, i, m, s, spot | of_tunnel(m))


def of_tunnel(m):
    """What the context says of a packet that came out of a tunnel."""
    if m.ol_flags & TUN_META != ZERO:
        return FROM_TUNNEL | DEEP
    return ZERO


def in_vxlan(memory, m, s):
    """1 when the tunnel around a packet is VXLAN over IPv4 with IPv4 inside, and nothing of it is in fragments."""
    at = m.buf + m.data_off
    if s.outer_v != 4 or s.v != 4 or s.outer_proto != UDP or get_frag(memory, at + s.outer_ip) & (MORE_FRAGMENTS | OFFSET_MASK) != 0:
        return 0
    if load16(memory, at + s.outer_l4 + UDP_DST) != vxlan.PORT:
        return 0
    return 1


def consider_tcp(to, i, m, s, spot):
    """TCP that is not plain: over IPv6 or in VXLAN only pure acknowledgements with payload are candidates."""
    memory = to.memory
    at = m.buf + m.data_off
    said = load16(memory, at + s.l4 + tcp.OFFSET) & tcp.FLAGS_MASK
    length = s.end - s.payload
    if said & MAY_NOT != 0 or said == 0 or length == 0:
        return passes(why_not(said, length))
    net = s.ip
    link = 0
    ids = 0
    ctx = spot | u64(s.l4_len) << HEADER_SHIFT
    if s.v == 6:
        ctx = ctx | V6 | DF | OUTER_DF | DEEP
    else:
        ids = load16(memory, at + s.ip + ID)
        if get_frag(memory, at + s.ip) & DONT_FRAGMENT != 0:
            ctx = ctx | DF
    if s.outer_v != 0:
        net = s.outer_ip
        link = s.outer_l4 + UDP_LENGTH + vxlan.LENGTH
        ids |= load16(memory, at + net + ID) << 16
        ctx = ctx | IN_VXLAN | DEEP
        if get_frag(memory, at + net) & DONT_FRAGMENT != 0:
            ctx = ctx | OUTER_DF
    else:
        ctx = ctx | OUTER_DF
    if ctx & (V6 | IN_VXLAN) != ZERO and said != tcp.ACKED:
        return passes(PASS_CANDIDATE)
    if s.ip != ETH_LENGTH or (s.l4_len != tcp.LENGTH and s.l4_len != TIMES):
        ctx = ctx | DEEP
    return join(to, i, m, (link, s.ip, s.l4, net, s.l4_len, length, said, ids), ctx)
