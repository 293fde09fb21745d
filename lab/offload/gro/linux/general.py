"""The general way of profile `linux`: any packet, whatever its tags, tunnel, options or segments.

Headers are found by `look`, a tunnel is looked into, and what its flow holds is found by hash. A packet that cannot be held
passes, unchanged, behind whatever was held of its flow. It costs a few hundred cycles; the common case never comes here.
"""

import numpy as np

from lab.memory.mbuf import CHECKED, GSO, IP_CSUM_GOOD, L4_CSUM_GOOD, L4_CSUM_PARTIAL, OUTER_IP_GOOD, OUTER_L4_GOOD, TUNNEL
from lab.memory.raw import apart, load16, low_bit, u64
from lab.memory.reasons import (
    F_ORDER,
    GRO_HELD,
    PASS_ACK,
    PASS_CSUM,
    PASS_CUT,
    PASS_FLAGS,
    PASS_FRAGMENT,
    PASS_GSO,
    PASS_IP_OPTIONS,
    PASS_NO_CSUM,
    PASS_PADDED,
    PASS_PROTOCOL,
    PULLED_UP,
)
from lab.memory.record import NULL
from lab.offload.chains import pull_up
from lab.offload.gro.finish import OURS, forget_tunnel, item_for, let_go
from lab.offload.gro.linux.acks import acks_take
from lab.offload.gro.linux.flows import OTHER, differs, flow_hash, outermost_related
from lab.offload.gro.linux.merge import merge, parted_by
from lab.offload.gro.linux.tcp import not_first
from lab.offload.gro.linux.verified import why_unfit
from lab.offload.gro.table import (
    FIRST_OF_DPDK,
    GENERAL,
    HELD,
    MOST_TO_COME,
    ONE,
    PASSES,
    begin,
    find,
    find_next,
    last_of,
    may_go,
    room_for_more,
    rule_port_of,
    same_place,
    tell,
)
from lab.offload.records import WAYS
from lab.offload.seen import see
from lab.offload.tunnel.ends import first_port
from lab.offload.tunnel.inside import inner_of, kind_of
from lab.packet.headers.ethernet import IPV4, IPV6
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH
from lab.packet.headers.ipv4 import TCP, TOTAL, UDP
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import PAYLOAD
from lab.packet.headers.tcp import RST, SYN, URG, get_ack, get_flags, get_seq
from lab.packet.headers.udp import CHECKSUM as UDP_CHECKSUM
from lab.packet.headers.udp import TOTAL as UDP_TOTAL

ZERO = np.uint64(0)
PORTS = 4  # bytes
BAD = CHECKED & ~(IP_CSUM_GOOD | L4_CSUM_GOOD | OUTER_IP_GOOD | OUTER_L4_GOOD)


@apart
def general_take(to, i, m, place):
    """Hold a packet, merge it, or let it pass behind what was held of its flow."""
    s = to.sight[0]
    inner_off = m.inner_off
    known = find_headers(to, i, m, s)
    ours = 0
    if m.ol_flags & TUNNEL == ZERO and s.v != 0:
        inside = look_for_tunnel(to, i, m, s)
        if inside != 0:
            ours = OURS
            m.inner_off = inside
            m.ol_flags = m.ol_flags | TUNNEL
            known = find_headers(to, i, m, s)
    why = why_passes(to, i, m, s, known)
    h = ZERO
    if known != 0 or shows_ports(m, s) != 0:
        h = flow_hash(to, i, m, s, place)
    taken = PASSES
    if why == PASS_ACK and s.proto == TCP and to.ports[rule_port_of(place)].gro_acks != 0:
        taken = acks_take(to, i, m, h, place)
    elif why == 0:
        taken = hold_or_merge(to, i, m, h, place)
    else:
        make_way(to, i, s, h, place)
        tell(to, m, why, 0, 0)
    if ours != 0:
        if taken == PASSES:
            forget_tunnel(m, inner_off)
        else:
            note_ours(to, i, h, inner_off)
    return taken


def find_headers(to, i, m, s):
    """`see`, which tells when it brought headers together."""
    segments = m.nb_segs
    together = m.data_len
    known = see(to.memory, to.mbufs, to.pool, i, s)
    if m.data_len > together:
        tell(to, m, PULLED_UP, segments - m.nb_segs + 1, m.data_len)
    return known


def look_for_tunnel(to, i, m, s):
    """Where the IP header of a tunnelled packet begins, or 0."""
    inside = inner_of(to.memory, m, s)
    while inside == 0 and s.need > m.data_len and pull_up(to.memory, to.mbufs, to.pool, i, s.need) != 0:
        inside = inner_of(to.memory, m, s)
    return inside


def shows_ports(m, s):
    """1 when the ports of TCP or UDP are there, though the rest of their header is cut or lies."""
    if s.v == 0 or s.frag != 0 or (s.proto != TCP and s.proto != UDP) or s.l4 + PORTS > s.end or s.l4 + PORTS > m.data_len:
        return 0
    return 1


def note_ours(to, i, h, inner_off):
    """If the packet was held as the first of an item, the item remembers that nobody else has called it a tunnel's."""
    n = find(to, h)
    while n != NULL:
        item = to.gro.items[n]
        if item.first == i:
            item.why = OURS
            item.w[0] = u64(inner_off)
        n = find_next(to, h, n + 1)


def why_passes(to, i, m, s, known):
    """Why a packet cannot be held, or 0."""
    if s.v == 0:
        return not_ip(to, m, s)
    if s.frag != 0:
        return PASS_FRAGMENT
    if (s.v == 4 and s.ip_len != IPV4_LENGTH) or (s.outer_v == 4 and s.outer_ip_len != IPV4_LENGTH):
        return PASS_IP_OPTIONS
    if s.proto != TCP and s.proto != UDP:
        return PASS_PROTOCOL
    if known == 0:
        return PASS_CUT
    if m.ol_flags & GSO != ZERO:
        return PASS_GSO
    if m.ol_flags & BAD != ZERO:
        return PASS_CSUM
    if s.end != m.pkt_len or (s.outer_v != 0 and outer_end(to.memory, m, s) != m.pkt_len):
        return PASS_PADDED
    at = m.buf + m.data_off + s.l4
    if s.proto == TCP:
        if get_flags(to.memory, at) & (SYN | RST | URG) != 0:
            return PASS_FLAGS
    else:
        if load16(to.memory, at + UDP_TOTAL) != s.end - s.l4:
            return PASS_CUT
        if s.outer_v == 0 and (kind_of(to.memory, m, s) != 0 or first_port(to.memory, m, s, to.tunnel_ports) != 0):
            return PASS_PROTOCOL
        if load16(to.memory, at + UDP_CHECKSUM) == 0 and m.ol_flags & L4_CSUM_PARTIAL == ZERO:
            return PASS_NO_CSUM
    if s.payload == s.end:
        return PASS_ACK
    return why_unfit(to, i, m, s)


def not_ip(to, m, s):
    """Why a packet without a whole IP header passes: it has none, or one that lies."""
    if s.outer_v != 0:
        return PASS_CUT
    if m.data_len < ETH_LENGTH or s.l2_len > m.data_len:
        return PASS_PROTOCOL
    named = load16(to.memory, m.buf + m.data_off + s.l2_len - 2)
    if named == IPV4 or named == IPV6:
        return PASS_CUT
    return PASS_PROTOCOL


def outer_end(memory, m, s):
    """Where the outer IP header says that the packet ends."""
    at = m.buf + m.data_off + s.outer_ip
    if s.outer_v == 4:
        return s.outer_ip + load16(memory, at + TOTAL)
    return s.outer_ip + IPV6_LENGTH + load16(memory, at + PAYLOAD)


def make_way(to, i, s, h, place):
    """What is held of a packet's flow leaves before it; of a fragment nobody knows the ports, so all between its two addresses."""
    if to.lane[0].held == 0:
        return
    if s.v != 0 and s.frag != 0:
        make_way_for_fragment(to, to.mbufs[i], s, place)
    elif h != ZERO:
        gone = 0
        n = find(to, h)
        while n != NULL:  # tags and MAC addresses are no part of the hash: other flows may have it too
            item = to.gro.items[n]
            if (item.kind >= FIRST_OF_DPDK or differs(to, item, i, place) != OTHER) and may_go(to, item, gone) != 0:
                let_go(to, n, F_ORDER, 0)
                gone = 1
            n = find_next(to, h, n + 1)


@apart
def make_way_for_fragment(to, m, s, place):
    """What is held between the addresses of a fragment leaves."""
    left = to.gro.head[0].used
    while left != ZERO:
        bucket = low_bit(left)
        left = left & (left - ONE)
        for n in range(WAYS * bucket, WAYS * bucket + WAYS):
            item = to.gro.items[n]
            if (
                item.first != NULL and same_place(item, place) != 0 and outermost_related(to, item, m, s) != 0
                and room_for_more(to, item.side, MOST_TO_COME)
            ):  # fmt: skip
                let_go(to, n, F_ORDER, 0)


def hold_or_merge(to, i, m, h, place):
    """A packet that may be held: into what is held of its flow if it fits there, else an item of its own."""
    n = find(to, h)
    while n != NULL:
        why = parted_by(to, n, i, place)
        if why == 0:
            merge(to, n, i, place)
            return HELD
        if why != OTHER:
            let_go(to, n, why, to.mbufs[to.gro.items[n].first].nb_segs)
            n = NULL
        else:
            n = find_next(to, h, n + 1)
    return hold(to, i, m, h, place)


def hold(to, i, m, h, place):
    """An item of its own, unless nothing can follow the packet."""
    memory = to.memory
    s = to.sight[0]
    l4 = m.buf + m.data_off + s.l4
    flags = 0
    if s.proto == TCP:
        flags = get_flags(memory, l4)
    if not_first(to, m, flags, place) != 0:
        return PASSES
    n = item_for(to, h)
    item = to.gro.items[n]
    item.kind = GENERAL
    begin(to, n, i, h, place)
    payload = s.end - s.payload
    item.last = last_of(to, i)
    item.first_len = payload
    item.total = payload
    item.next_seq = 0
    item.ack = 0
    if s.proto == TCP:
        item.next_seq = (get_seq(memory, l4) + payload) & 0xFFFFFFFF
        item.ack = get_ack(memory, l4)
    tell(to, m, GRO_HELD, payload, 0)
    return HELD
