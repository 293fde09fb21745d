"""Checksum states: which checksums a packet carries and whether each is right, for the packet and the tunnel around it.

Asked where packets come in, when their port verifies. Flags are set, no byte is changed: a packet with a wrong checksum
goes on as it is. What a guest left partial counts as good, and what cannot be judged (fragments, lengths that lie, UDP
without a checksum) stays unknown. Padding behind IP belongs to no sum. What is still to be computed when a packet leaves
stands in `checksums_due.py`; GRO asks `verify_packet` too.
"""

import numpy as np

from lab.memory.mbuf import (
    CHECKED,
    GSO,
    IP_CSUM_BAD,
    IP_CSUM_GOOD,
    IP_CSUM_PARTIAL,
    L4_CSUM_BAD,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_IP_BAD,
    OUTER_IP_GOOD,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TUNNEL,
)
from lab.memory.raw import apart, load8, load16, load32, sum16
from lab.offload.chains import pull_up
from lab.offload.layers import GRE_PROTO, look
from lab.offload.tunnel.inside import inner_of
from lab.packet.checksum import ONES, finish, fold, pseudo_ipv4, pseudo_ipv6, sum_chain, swap16
from lab.packet.crc32c import FIELD as SCTP_SUM
from lab.packet.crc32c import sctp_crc
from lab.packet.headers.gre import CHECKSUM as GRE_SUM
from lab.packet.headers.gre import HAS_CHECKSUM, get_flags
from lab.packet.headers.ipv4 import CHECKSUM as IP_SUM
from lab.packet.headers.ipv4 import ICMP, IGMP, SCTP, TCP, UDP, get_total
from lab.packet.headers.ipv6 import EXT_NEXT, ICMPV6, NEXT, ROUTING, extension_length, get_payload
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.udp import TOTAL as UDP_TOTAL

TCP_SUM, UDP_SUM, ICMP_SUM = 16, 6, 2  # where the checksum stands in the header
UDP_LENGTH, ICMP_LENGTH = 8, 4
SEGMENTS_LEFT = 3  # where a routing header has it
UNKNOWN, GOOD, BAD = range(3)
AS_IT_LIES = -1
ZERO = np.uint64(0)


@apart
def see(memory, mbufs, pool, i, s):
    """`look`, with headers that lie in several segments pulled up once: 1 when they were."""
    m = mbufs[i]
    pulled = 0
    look(memory, m, s)
    while s.need > m.data_len and pull_up(memory, mbufs, pool, i, s.need) != 0:
        pulled = 1
        look(memory, m, s)
    if s.frag == 0 and is_icmp(s):
        need = s.l4 + ICMP_LENGTH
        if need <= s.end and need > m.data_len:
            pulled = pulled | pull_up(memory, mbufs, pool, i, need)
    return pulled


@apart
def verify_packet(memory, mbufs, pool, i, s):
    """Judge all checksums of a packet: (state, what was found, what it should be, bytes summed); of several bad ones the first."""
    m = mbufs[i]
    m.ol_flags = m.ol_flags & ~CHECKED
    see(memory, mbufs, pool, i, s)
    if m.ol_flags & TUNNEL == ZERO:
        look_inside(memory, mbufs, pool, i, s)
    worst, found, should, summed = UNKNOWN, 0, 0, 0
    if s.outer_v != 0:
        worst, found, should, summed = outer_states(memory, mbufs, i, s)
    if s.v == 4 and m.ol_flags & IP_CSUM_PARTIAL == ZERO:
        state, a, b = header_state(memory, m, s.ip, s.ip_len)
        summed += s.ip_len
        if state == GOOD:
            m.ol_flags = m.ol_flags | IP_CSUM_GOOD
        else:
            m.ol_flags = m.ol_flags | IP_CSUM_BAD
            if worst != BAD:
                worst, found, should = BAD, a, b
    state, a, b, n = transport_state(memory, mbufs, i, s)
    if state == GOOD and m.ol_flags & L4_CSUM_PARTIAL == ZERO:
        m.ol_flags = m.ol_flags | L4_CSUM_GOOD
    elif state == BAD:
        m.ol_flags = m.ol_flags | L4_CSUM_BAD
    if worst != BAD:
        worst, found, should = state, a, b
    return worst, found, should, summed + n


def look_inside(memory, mbufs, pool, i, s):
    """Find the packet in a tunnel, if it is one, and say so in the mbuf; what a guest left partial must lie inside for that."""
    m = mbufs[i]
    if m.ol_flags & (GSO | IP_CSUM_PARTIAL) != ZERO:
        return
    begins = inner_of(memory, m, s)
    while begins == 0 and s.need > m.data_len and pull_up(memory, mbufs, pool, i, s.need) != 0:
        look(memory, m, s)
        begins = inner_of(memory, m, s)
    if begins == 0:
        return
    m.inner_off = begins
    m.ol_flags = m.ol_flags | TUNNEL
    see(memory, mbufs, pool, i, s)
    if s.v == 0 or (m.ol_flags & L4_CSUM_PARTIAL != ZERO and m.csum_start != s.l4):
        m.ol_flags = m.ol_flags & ~TUNNEL
        look(memory, m, s)


def header_state(memory, m, ip, length):
    """Whether the checksum of an IPv4 header is right, what it is, and what it should be."""
    at = m.buf + m.data_off + ip
    total = sum16(memory, at, length)
    found = load16(memory, at + IP_SUM)
    if total == ONES:
        return GOOD, found, found
    return BAD, found, finish(total + (~found & ONES))


def pseudo(memory, at, v, proto, n):
    """The sum of the pseudo-header of `n` bytes behind the IP header of either version at `at`."""
    if v == 4:
        return pseudo_ipv4(memory, at, proto, n)
    return pseudo_ipv6(memory, at, proto, n)


def transport_state(memory, mbufs, i, s):
    """Whether the packet's transport checksum is right: (state, found, should be, bytes summed)."""
    m = mbufs[i]
    if s.v == 0 or s.frag != 0:
        return UNKNOWN, 0, 0, 0
    if m.ol_flags & L4_CSUM_PARTIAL != ZERO:
        return GOOD, 0, 0, 0
    at = m.buf + m.data_off
    n = s.end - s.l4
    field = 0
    total = 0
    if s.proto == TCP and s.l4_len != 0:
        field = TCP_SUM
    elif s.proto == UDP and s.l4_len != 0:
        field = UDP_SUM
        n = datagram(memory, at + s.l4, n)
        if n == 0 or (s.v == 4 and load16(memory, at + s.l4 + UDP_SUM) == 0):
            return UNKNOWN, 0, 0, 0
    elif s.proto == SCTP and s.l4_len != 0:
        return crc_state(memory, mbufs, i, s)
    elif n >= ICMP_LENGTH and s.l4 + ICMP_LENGTH <= m.data_len and is_icmp(s):
        field = ICMP_SUM
    if field == 0 or (s.v == 6 and s.ip_len > IPV6_LENGTH and on_its_way(memory, at + s.ip, s.ip_len) != 0):
        return UNKNOWN, 0, 0, 0
    if s.v == 6 or field != ICMP_SUM:
        total = pseudo(memory, at + s.ip, s.v, s.proto, n)
    total = fold(total + sum_chain(memory, mbufs, i, s.l4, n))
    found = load16(memory, at + s.l4 + field)
    state, should = judged(total, found, field == UDP_SUM)
    return state, found, should, n


def is_icmp(s):
    """Whether the packet is ICMP of either version, or IGMP, which has its checksum in the same place."""
    return (s.v == 4 and (s.proto == ICMP or s.proto == IGMP)) or (s.v == 6 and s.proto == ICMPV6)


def judged(total, found, udp):
    """The state of a checksum by the sum over what it covers, itself included, and what it should be."""
    if total == ONES and (found != 0 or not udp):
        return GOOD, found
    should = finish(total + (~found & ONES))
    if should == 0 and udp:
        should = ONES
    return BAD, should


def datagram(memory, at, left):
    """The length that a UDP header says, which its checksum covers; 0 when it lies."""
    n = load16(memory, at + UDP_TOTAL)
    if n < UDP_LENGTH or n > left:
        return 0
    return n


def crc_state(memory, mbufs, i, s):
    """The same of SCTP."""
    m = mbufs[i]
    n = s.end - s.l4
    found = load32(memory, m.buf + m.data_off + s.l4 + SCTP_SUM)
    should = sctp_crc(memory, mbufs, i, s.l4, n)
    if found == should:
        return GOOD, found, should, n
    return BAD, found, should, n


@apart
def on_its_way(memory, ip, length):
    """1 when a routing header has segments left: the checksum speaks of the last address, which is not the header's."""
    proto = load8(memory, ip + NEXT)
    off = IPV6_LENGTH
    while off < length:
        if proto == ROUTING and load8(memory, ip + off + SEGMENTS_LEFT) > 0:
            return 1
        step = extension_length(memory, ip + off, proto)
        proto = load8(memory, ip + off + EXT_NEXT)
        off += step
    return 0


# --- the tunnel around a packet ------------------------------------------------------------------------------


@apart
def outer_states(memory, mbufs, i, s):
    """Judge the outer headers: (BAD or UNKNOWN, found, should be, bytes summed)."""
    m = mbufs[i]
    worst, found, should, summed = UNKNOWN, 0, 0, 0
    if s.outer_v == 4:
        state, a, b = header_state(memory, m, s.outer_ip, s.outer_ip_len)
        summed = s.outer_ip_len
        if state == GOOD:
            m.ol_flags = m.ol_flags | OUTER_IP_GOOD
        else:
            m.ol_flags = m.ol_flags | OUTER_IP_BAD
            worst, found, should = BAD, a, b
    state, a, b, n = outer_transport(memory, mbufs, i, s)
    if state == GOOD and m.ol_flags & OUTER_L4_PARTIAL == ZERO:
        m.ol_flags = m.ol_flags | OUTER_L4_GOOD
    elif state == BAD:
        m.ol_flags = m.ol_flags | OUTER_L4_BAD
        if worst != BAD:
            worst, found, should = BAD, a, b
    return worst, found, should, summed + n


def outer_transport(memory, mbufs, i, s):
    """Whether the tunnel's UDP or GRE checksum is right. Zero is none, over IPv6 as well (RFC 6935)."""
    m = mbufs[i]
    at = m.buf + m.data_off
    if m.ol_flags & OUTER_L4_PARTIAL != ZERO:
        return GOOD, 0, 0, 0
    n = outer_end(memory, m, s) - s.outer_l4
    if s.outer_l4 + n < s.end or s.outer_l4 + UDP_LENGTH > m.inner_off:
        return UNKNOWN, 0, 0, 0
    total = 0
    place = at + s.outer_l4 + UDP_SUM
    if s.outer_proto == GRE_PROTO:
        place = at + s.outer_l4 + GRE_SUM
        if get_flags(memory, at + s.outer_l4) & HAS_CHECKSUM == 0:
            return UNKNOWN, 0, 0, 0
    else:
        if datagram(memory, at + s.outer_l4, n) != n or load16(memory, place) == 0:
            return UNKNOWN, 0, 0, 0
        if s.outer_v == 6 and s.outer_ip_len > IPV6_LENGTH and on_its_way(memory, at + s.outer_ip, s.outer_ip_len) != 0:
            return UNKNOWN, 0, 0, 0
        total = pseudo(memory, at + s.outer_ip, s.outer_v, UDP, n)
    inner = AS_IT_LIES
    if m.ol_flags & L4_CSUM_PARTIAL != ZERO:  # what will stand in the packet counts, not what does
        if not is_of(m, s):
            return UNKNOWN, 0, 0, 0
        inner = inner_sum(memory, m)
    total = fold(total + sum_around(memory, mbufs, i, s, inner))
    found = load16(memory, place)
    state, should = judged(total, found, s.outer_proto == UDP)
    return state, found, should, n


def outer_end(memory, m, s):
    """Where the outer packet ends, as its IP says."""
    at = m.buf + m.data_off + s.outer_ip
    if s.outer_v == 4:
        return s.outer_ip + get_total(memory, at)
    return s.outer_ip + IPV6_LENGTH + get_payload(memory, at)


def is_of(m, s):
    """Whether a partial checksum is that of the TCP or UDP header which the packet has, so that its sum is known without reading it."""
    if m.csum_start != s.l4 or s.l4_len == 0:
        return False
    return (s.proto == TCP and m.csum_offset == TCP_SUM) or (s.proto == UDP and m.csum_offset == UDP_SUM)


def inner_sum(memory, m):
    """What the inner transport sums up to once its checksum is there, whatever it carries: the complement of its pseudo-header."""
    return ~load16(memory, m.buf + m.data_off + m.csum_start + m.csum_offset) & ONES


def sum_around(memory, mbufs, i, s, inner):
    """The sum of a tunnel packet from its outer transport header on; `inner` is that of the inner transport, or AS_IT_LIES."""
    end = outer_end(memory, mbufs[i], s)
    if inner == AS_IT_LIES:
        return sum_chain(memory, mbufs, i, s.outer_l4, end - s.outer_l4)
    if (s.l4 - s.outer_l4) & 1 != 0:
        inner = swap16(inner)
    behind = sum_chain(memory, mbufs, i, s.end, end - s.end)
    if (s.end - s.outer_l4) & 1 != 0:
        behind = swap16(behind)
    return fold(sum_chain(memory, mbufs, i, s.outer_l4, s.l4 - s.outer_l4) + inner + behind)
