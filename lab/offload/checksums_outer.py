"""One checksum: whether it is right, and what it should be; of an IPv4 header, and of the tunnel around a packet.

`checksums.py` judges packets with it where they come in, `checksums_due.py` computes with it where they leave. What the inner
transport of a tunnel sums up to once its checksum is there is known without reading it: the complement of its pseudo-header
(Linux calls that local checksum offload). No byte is changed here.
"""

import numpy as np

from lab.memory.mbuf import L4_CSUM_PARTIAL, OUTER_IP_BAD, OUTER_IP_GOOD, OUTER_L4_BAD, OUTER_L4_GOOD, OUTER_L4_PARTIAL
from lab.memory.raw import apart, load8, load16, sum16
from lab.offload.layers import GRE_PROTO, UDP_LENGTH
from lab.packet.checksum import ONES, finish, fold, pseudo_ipv4, pseudo_ipv6, sum_chain, swap16
from lab.packet.headers.gre import CHECKSUM as GRE_SUM
from lab.packet.headers.gre import HAS_CHECKSUM, get_flags
from lab.packet.headers.ipv4 import CHECKSUM as IP_SUM
from lab.packet.headers.ipv4 import TCP, UDP, get_total
from lab.packet.headers.ipv6 import EXT_NEXT, NEXT, ROUTING, extension_length, get_payload
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.udp import TOTAL as UDP_TOTAL

TCP_SUM, UDP_SUM, ICMP_SUM = 16, 6, 2  # where the checksum stands in the header
SEGMENTS_LEFT = 3  # where a routing header has it
UNKNOWN, GOOD, BAD = range(3)
AS_IT_LIES = -1
ZERO = np.uint64(0)


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
