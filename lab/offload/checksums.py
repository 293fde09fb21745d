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
    TO_COMPUTE,
    TUNNEL,
)
from lab.memory.raw import apart, load8, load16, load32, sum16
from lab.offload.chains import pull_up
from lab.offload.checksums_outer import (
    BAD,
    GOOD,
    ICMP_SUM,
    TCP_SUM,
    UDP_SUM,
    UNKNOWN,
    datagram,
    header_state,
    judged,
    on_its_way,
    outer_states,
    pseudo,
)
from lab.offload.layers import TAG, TCP_LENGTH, look
from lab.offload.seen import see
from lab.offload.tunnel.inside import inner_of
from lab.packet.checksum import ONES, fold, pseudo_ipv4, pseudo_ipv6, sum_chain
from lab.packet.crc32c import FIELD as SCTP_SUM
from lab.packet.crc32c import sctp_crc
from lab.packet.headers.ethernet import IPV4, IPV6, VLAN
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import ICMP, IGMP, MORE_FRAGMENTS, OFFSET_MASK, SCTP, TCP, UDP, get_frag, get_proto, get_total
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH
from lab.packet.headers.ipv6 import ICMPV6, NEXT, get_payload
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.tcp import OFFSET as TCP_OFFSET

ICMP_LENGTH = 4
NOT_PLAIN = GSO | TUNNEL | TO_COMPUTE
PLAIN_IPV4 = 0x45  # its first byte when it has no options
ZERO = np.uint64(0)


@apart
def see_all(memory, mbufs, pool, i, s):
    """`see`, with the header of ICMP brought together too."""
    m = mbufs[i]
    see(memory, mbufs, pool, i, s)
    if s.frag == 0 and is_icmp(s):
        need = s.l4 + ICMP_LENGTH
        if need <= s.end and need > m.data_len:
            pull_up(memory, mbufs, pool, i, need)


def verify_packet(memory, mbufs, pool, i, s):
    """Judge all checksums of a packet: (state, what was found, what it should be, bytes summed); of several bad ones the first."""
    m = mbufs[i]
    m.ol_flags = m.ol_flags & ~CHECKED
    if m.ol_flags & NOT_PLAIN == ZERO:
        ip, start, end = plain_ip(memory, m)
        if ip != 0 and has_tcp(memory, m, ip, start, end):
            n = plain_sum(memory, mbufs, i, ip, end)
            if n != 0:
                return GOOD, 0, 0, n
    return verify_any(memory, mbufs, pool, i, s)


def plain_ip(memory, m):
    """Where IP begins and ends, and where its header does, when that has no options behind Ethernet with one tag at most; else zeros."""
    at = m.buf + m.data_off
    off = ETH_LENGTH
    if m.data_len < ETH_LENGTH + TAG + IPV4_LENGTH:
        return 0, 0, 0
    kind = load16(memory, at + off - 2)
    if kind == VLAN:
        off += TAG
        kind = load16(memory, at + off - 2)
    start = 0
    end = 0
    if kind == IPV4 and load8(memory, at + off) == PLAIN_IPV4:
        start = off + IPV4_LENGTH
        end = off + get_total(memory, at + off)
    elif kind == IPV6 and load8(memory, at + off) >> 4 == 6:
        start = off + IPV6_LENGTH
        end = start + get_payload(memory, at + off)
    if end < start or start == 0 or end > m.pkt_len:
        return 0, 0, 0
    return off, start, end


def has_tcp(memory, m, ip, start, end):
    """Whether a whole TCP header lies behind an IP header without options, which is no fragment's."""
    at = m.buf + m.data_off
    if start + TCP_LENGTH > m.data_len or start + TCP_LENGTH > end:
        return False
    if start - ip == IPV6_LENGTH:
        if load8(memory, at + ip + NEXT) != TCP:
            return False
    elif get_proto(memory, at + ip) != TCP or get_frag(memory, at + ip) & (MORE_FRAGMENTS | OFFSET_MASK) != 0:
        return False
    length = (load8(memory, at + start + TCP_OFFSET) >> 4) * 4
    return length >= TCP_LENGTH and start + length <= m.data_len and start + length <= end


def plain_sum(memory, mbufs, i, ip, end):
    """Set the flags of plain TCP whose checksums are right: bytes summed; 0 when one is wrong, and nothing is set."""
    m = mbufs[i]
    at = m.buf + m.data_off + ip
    if load8(memory, at) == PLAIN_IPV4:
        n = end - ip - IPV4_LENGTH
        total = pseudo_ipv4(memory, at, TCP, n) + sum_chain(memory, mbufs, i, ip + IPV4_LENGTH, n)
        if fold(total) != ONES or sum16(memory, at, IPV4_LENGTH) != ONES:
            return 0
        m.ol_flags = m.ol_flags | IP_CSUM_GOOD | L4_CSUM_GOOD
        return end - ip
    n = end - ip - IPV6_LENGTH
    if fold(pseudo_ipv6(memory, at, TCP, n) + sum_chain(memory, mbufs, i, ip + IPV6_LENGTH, n)) != ONES:
        return 0
    m.ol_flags = m.ol_flags | L4_CSUM_GOOD
    return n


@apart
def verify_any(memory, mbufs, pool, i, s):
    """The same of any packet."""
    m = mbufs[i]
    see_all(memory, mbufs, pool, i, s)
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
    see_all(memory, mbufs, pool, i, s)
    if s.v == 0 or (m.ol_flags & L4_CSUM_PARTIAL != ZERO and m.csum_start != s.l4):
        m.ol_flags = m.ol_flags & ~TUNNEL
        look(memory, m, s)


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


def crc_state(memory, mbufs, i, s):
    """The same of SCTP."""
    m = mbufs[i]
    n = s.end - s.l4
    found = load32(memory, m.buf + m.data_off + s.l4 + SCTP_SUM)
    should = sctp_crc(memory, mbufs, i, s.l4, n)
    if found == should:
        return GOOD, found, should, n
    return BAD, found, should, n
