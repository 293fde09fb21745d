"""Whether a large packet can be cut: its headers are found anew and held against what its metadata says.

Asked before anything is taken from the pool. What does not hold is a reason to drop the packet, with two figures. Headers
that lie in several segments are pulled up here. Nothing is changed otherwise; where the headers lie stands in `sight`.
"""

from lab.memory.mbuf import FILL, L4_CSUM_BAD, L4_CSUM_PARTIAL, OUTER_L4_BAD
from lab.memory.raw import apart, u64
from lab.memory.reasons import (
    BAD_CSUM_CUT,
    BAD_CSUM_START,
    BAD_GSO_HEADERS,
    BAD_GSO_SIZE,
    BAD_GSO_TYPE,
    TOO_MANY_SEGMENTS,
)
from lab.offload.capabilities import GSO_KIND, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, MOST_TCP, MOST_UDP
from lab.offload.seen import see
from lab.packet.headers import tcp, udp
from lab.packet.headers.gre import check as check_gre
from lab.packet.headers.ipv4 import TCP, UDP

WRONG = L4_CSUM_BAD | OUTER_L4_BAD


@apart
def measure(work, i):
    """0 and two zeros when a large packet can be cut; else the reason why it cannot, and its two figures."""
    m = work.mbufs[i]
    s = work.sight[0]
    size = m.tso_segsz
    if size == 0:
        return BAD_GSO_SIZE, 0, m.pkt_len
    found = see(work.memory, work.mbufs, work.pool, i, s)
    kind = m.gso_type & GSO_KIND
    if agrees(kind, s) == 0:
        return BAD_GSO_TYPE, m.gso_type, 0
    if found == 0 or s.payload >= s.end or s.payload > FILL or holds_tunnel(work.memory, m, s) == 0:
        return BAD_GSO_HEADERS, s.payload, size
    if m.ol_flags & WRONG != u64(0):
        return BAD_CSUM_CUT, 0, 0
    if m.ol_flags & L4_CSUM_PARTIAL != u64(0) and (m.csum_start != s.l4 or m.csum_offset != checksum_at(s)):
        return BAD_CSUM_START, m.csum_start, m.pkt_len
    most = MOST_TCP
    if s.proto == UDP:
        most = MOST_UDP
    segments = (s.end - s.payload + size - 1) // size
    if segments > most:
        return TOO_MANY_SEGMENTS, segments, most
    return 0, 0, 0


def agrees(kind, s):
    """Whether gso_type says what the headers say, as far as they could be found; a fragment is never cut."""
    if kind != GSO_TCPV4 and kind != GSO_TCPV6 and kind != GSO_UDP_L4:
        return 0
    if s.v == 0:
        return 1
    if s.frag != 0 or (kind == GSO_UDP_L4 and s.proto != UDP) or (kind != GSO_UDP_L4 and s.proto != TCP):
        return 0
    if (kind == GSO_TCPV4 and s.v != 4) or (kind == GSO_TCPV6 and s.v != 6):
        return 0
    return 1


def checksum_at(s):
    """Where in the transport header its checksum stands."""
    if s.proto == UDP:
        return udp.CHECKSUM
    return tcp.CHECKSUM


def holds_tunnel(memory, m, s):
    """Whether the header between the outer IP header and the inner packet is one whose lengths can be written anew."""
    if s.outer_v == 0:
        return 1
    room = m.inner_off - s.outer_l4
    if s.outer_proto == UDP and room >= udp.LENGTH:
        return 1
    if s.outer_proto != UDP and check_gre(memory, m.buf + m.data_off + s.outer_l4, room) != 0:
        return 1
    return 0
