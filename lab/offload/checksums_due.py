"""Checksums that are due: computed when a packet leaves through a port that does not compute them.

Only fields that are flagged partial are ever written, so a checksum that came in wrong goes out wrong. The sum runs from
`csum_start` to where IP says that the packet ends, with the pseudo-header's sum already in the field, as Linux has it; both
numbers come from outside and are checked. Inner before outer: the outer sum covers the inner one, but what the inner
transport sums up to is known, so the payload is read once, or not at all. What is judged at ingress stands in `checksums.py`.
"""

from collections import namedtuple

import numpy as np

from lab.memory.mbuf import (
    IP_CSUM_GOOD,
    IP_CSUM_PARTIAL,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TO_COMPUTE,
    TUNNEL,
)
from lab.memory.raw import apart, load8, store16, store32
from lab.offload.capabilities import CSUM, SCTP_CSUM, TUNNEL_CSUM
from lab.offload.chains import pull_up
from lab.offload.checksums import plain_ip, see_all
from lab.offload.checksums_outer import AS_IT_LIES, UDP_SUM, inner_sum, is_of, outer_end, sum_around
from lab.offload.layers import GRE_PROTO, UDP_LENGTH, link_layer
from lab.packet.checksum import ONES, checksum_of, finish, sum_chain
from lab.packet.crc32c import FIELD as SCTP_SUM
from lab.packet.crc32c import HEADER as SCTP_HEADER
from lab.packet.crc32c import sctp_crc
from lab.packet.headers.gre import CHECKSUM as GRE_SUM
from lab.packet.headers.gre import HAS_CHECKSUM, get_flags
from lab.packet.headers.ipv4 import CHECKSUM as IP_SUM
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH
from lab.packet.headers.ipv4 import UDP

ZERO = np.uint64(0)
OUTSIDE = -1
AROUND = TUNNEL | OUTER_L4_PARTIAL
Summing = namedtuple("Summing", "memory mbufs pool s")  # what is read and written; `s` is a sight


def due_of(m, can):
    """The flags of what is to be computed before a packet leaves through a port with these offloads."""
    due = m.ol_flags & TO_COMPUTE
    if due == ZERO or can == ZERO:
        return due
    if can & CSUM != ZERO:
        due = due & ~IP_CSUM_PARTIAL
    if due & L4_CSUM_PARTIAL != ZERO:
        computes = CSUM
        if m.csum_offset == SCTP_SUM:
            computes = SCTP_CSUM
        if can & computes != ZERO:
            due = due & ~L4_CSUM_PARTIAL
    if can & TUNNEL_CSUM != ZERO:
        due = due & ~OUTER_L4_PARTIAL
    return due


def complete_packet(work, i, due):
    """Compute what is due: how many bytes were summed (OUTSIDE: the packet is to be dropped), and the checksum written last."""
    m = work.mbufs[i]
    ip, start, end = plain_ip(work.memory, m)
    if ip == 0 or (due | m.ol_flags) & AROUND != ZERO:
        return complete_any(work, i, due)
    n = 0
    checksum = 0
    if due & L4_CSUM_PARTIAL != ZERO:
        if m.csum_start != start or start + reach_of(m) > end or start + reach_of(m) > m.data_len:
            return complete_any(work, i, due)
        checksum = write_transport(work.memory, work.mbufs, i, end)
        n = end - start
    if due & IP_CSUM_PARTIAL != ZERO and start - ip == IPV4_LENGTH:
        n += IPV4_LENGTH
        header = write_header(work.memory, m, ip, IPV4_LENGTH)
        if due & L4_CSUM_PARTIAL == ZERO:
            checksum = header
    computed(m, due)
    return n, checksum


def reach_of(m):
    """How many bytes from `csum_start` on a checksum needs: its field, of SCTP the header."""
    if m.csum_offset == SCTP_SUM:
        return SCTP_HEADER
    return m.csum_offset + 2


def write_transport(memory, mbufs, i, end):
    """Compute the checksum of the bytes from `csum_start` to `end`, and write it; what it is."""
    m = mbufs[i]
    at = m.buf + m.data_off + m.csum_start + m.csum_offset
    if m.csum_offset == SCTP_SUM:
        checksum = sctp_crc(memory, mbufs, i, m.csum_start, end - m.csum_start)
        store32(memory, at, checksum)
        return checksum
    checksum = finish(sum_chain(memory, mbufs, i, m.csum_start, end - m.csum_start))
    if checksum == 0 and m.csum_offset == UDP_SUM:
        checksum = ONES
    store16(memory, at, checksum)
    return checksum


def write_header(memory, m, ip, length):
    """Compute the checksum of an IPv4 header, and write it; what it is."""
    at = m.buf + m.data_off + ip
    checksum = checksum_of(memory, at, length, IP_SUM)
    store16(memory, at + IP_SUM, checksum)
    return checksum


def computed(m, due):
    """What was due is there, and right."""
    good = ZERO
    if due & IP_CSUM_PARTIAL != ZERO:
        good = IP_CSUM_GOOD
    if due & L4_CSUM_PARTIAL != ZERO:
        good = good | L4_CSUM_GOOD
    if due & OUTER_L4_PARTIAL != ZERO:
        good = good | OUTER_L4_GOOD
    m.ol_flags = (m.ol_flags & ~due) | good


@apart
def complete_any(work, i, due):
    """The same of any packet: with options, in a tunnel, its headers in several segments."""
    memory, mbufs, s = work.memory, work.mbufs, work.s
    m = mbufs[i]
    n = 0
    checksum = 0
    see_all(memory, mbufs, work.pool, i, s)
    end = m.pkt_len
    if s.v != 0:
        end = s.end
    inner = AS_IT_LIES
    if due & OUTER_L4_PARTIAL != ZERO:
        if s.outer_v == 0 or s.outer_l4 + UDP_LENGTH > m.inner_off:
            return OUTSIDE, 0
        due, inner = covered_by_outer(memory, m, s, due)
    if due & IP_CSUM_PARTIAL != ZERO:
        ip, n = header_of(memory, m, s)
        if n != 0:
            checksum = write_header(memory, m, ip, n)
    if due & L4_CSUM_PARTIAL != ZERO:
        reach = m.csum_start + reach_of(m)
        if reach > end or (reach > m.data_len and pull_up(memory, mbufs, work.pool, i, reach) == 0):
            return OUTSIDE, 0
        checksum = write_transport(memory, mbufs, i, end)
        n += end - m.csum_start
    if due & OUTER_L4_PARTIAL != ZERO:
        checksum = write_outer(memory, mbufs, i, s, inner)
        n += s.l4 - s.outer_l4
    computed(m, due)
    return n, checksum


def header_of(memory, m, s):
    """Where a packet's IPv4 header begins and how long it is, that of a packet which was cut short behind it too; zeros for none."""
    if s.v == 4:
        return s.ip, s.ip_len
    if s.v != 0 or m.ol_flags & TUNNEL != ZERO:
        return 0, 0
    ip = link_layer(memory, m, s)
    if ip == 0 or ip + IPV4_LENGTH > m.data_len:
        return 0, 0
    first = load8(memory, m.buf + m.data_off + ip)
    n = (first & 15) * 4
    if first >> 4 != 4 or n < IPV4_LENGTH or ip + n > m.data_len:
        return 0, 0
    return ip, n


def covered_by_outer(memory, m, s, due):
    """What else is due because the outer sum covers it, and what the inner transport will sum up to when nobody need read it."""
    due = due | (m.ol_flags & IP_CSUM_PARTIAL)
    if m.ol_flags & L4_CSUM_PARTIAL == ZERO:
        return due, AS_IT_LIES
    if is_of(m, s) and s.end <= outer_end(memory, m, s):
        return due, inner_sum(memory, m)
    return due | L4_CSUM_PARTIAL, AS_IT_LIES


def write_outer(memory, mbufs, i, s, inner):
    """Compute the checksum of the tunnel's UDP or GRE header, and write it; a GRE header without one has none."""
    m = mbufs[i]
    at = m.buf + m.data_off + s.outer_l4
    field = at + UDP_SUM
    if s.outer_proto == GRE_PROTO:
        field = at + GRE_SUM
        if get_flags(memory, at) & HAS_CHECKSUM == 0:
            return 0
        store16(memory, field, 0)
    checksum = finish(sum_around(memory, mbufs, i, s, inner))
    if checksum == 0 and s.outer_proto == UDP:
        checksum = ONES
    store16(memory, field, checksum)
    return checksum
