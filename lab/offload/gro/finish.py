"""The end of an item: what GRO merged becomes one large packet that says how to cut it again, and leaves the table.

Lengths, the IPv4 header's checksum, the pseudo-header's sum and the offload fields are written once, here; while a packet
is held only its chain grows. What was never merged leaves exactly as it came, flags too. Headers are those of the first
packet, PSH and FIN apart; whatever else may differ stopped the merge.
"""

from lab.memory.mbuf import (
    FIXED_ID,
    GSO,
    L4_CSUM_BAD,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_FIXED_ID,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TUNNEL,
)
from lab.memory.raw import apart, i64, load8, load16, store8, store16
from lab.memory.reasons import F_EVICTED
from lab.memory.record import NULL
from lab.offload.capabilities import GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4
from lab.offload.gro.table import ACKS, DPDK_FRAGMENTS, DPDK_PLAIN, ID_FIXED, PLAIN, free_place, oldest_of, release
from lab.offload.layers import look
from lab.packet.checksum import pseudo_ipv4, pseudo_ipv6, update16
from lab.packet.headers.ipv4 import CHECKSUM as IPV4_CHECKSUM
from lab.packet.headers.ipv4 import TCP, TOTAL, UDP
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import PAYLOAD
from lab.packet.headers.tcp import CHECKSUM as TCP_CHECKSUM
from lab.packet.headers.tcp import OFFSET
from lab.packet.headers.udp import CHECKSUM as UDP_CHECKSUM
from lab.packet.headers.udp import TOTAL as UDP_TOTAL

ETH, IPV4 = 14, 20
FLAGS = OFFSET + 1
GRE_CHECKSUM, GRE_HAS_CHECKSUM = 4, 0x8000
MERGED_BITS = GSO | L4_CSUM_PARTIAL
L4_KNOWN = L4_CSUM_GOOD | L4_CSUM_BAD
OUTER_KNOWN = OUTER_L4_GOOD | OUTER_L4_BAD
OURS = 1  # `item.why`: GRO itself set TUNNEL; w[0] holds the `inner_off` of before


@apart
def let_go(to, n, why, figure):
    """Finish what an item holds and put it behind what is ready, for a reason whose first figure is the number of packets."""
    item = to.gro.items[n]
    m = to.mbufs[item.first]
    if item.packets == 1 or item.kind == ACKS:
        if item.why == OURS:
            forget_tunnel(m, i64(item.w[0]))
    elif item.kind == PLAIN or item.kind == DPDK_PLAIN:
        finish_plain(to, item, m)
    elif item.kind != DPDK_FRAGMENTS:
        finish_general(to, item, m)
    release(to, n, why, figure)


@apart
def item_for(to, h):
    """A free item of a hash's bucket; a full bucket lets go of its oldest."""
    n = free_place(to, h)
    if n == NULL:
        n = oldest_of(to, h)
        let_go(to, n, F_EVICTED, 0)
        to.gro.head[0].evicted += 1
    return n


def forget_tunnel(m, inner_off):
    """The packet leaves as it came: nobody has said that it carries a tunnel."""
    m.ol_flags = m.ol_flags & ~TUNNEL
    m.inner_off = inner_off


def note_flags(to, item, bits):
    """PSH and FIN of the last segment go into the TCP header of the first packet, whose checksum is computed anew anyway."""
    if bits == 0:
        return
    m = to.mbufs[item.first]
    l4 = ETH + IPV4
    if item.kind != PLAIN and item.kind != DPDK_PLAIN:
        s = to.sight[1]
        look(to.memory, m, s)
        l4 = s.l4
    at = m.buf + m.data_off + l4 + FLAGS
    store8(to.memory, at, load8(to.memory, at) | bits)


def finish_plain(to, item, m):
    """TCP over IPv4 without tags or tunnels: everything stands where it always does."""
    memory = to.memory
    ip = m.buf + m.data_off + ETH
    new_total(memory, ip, m.pkt_len - ETH)
    l4 = ip + IPV4
    store16(memory, l4 + TCP_CHECKSUM, pseudo_ipv4(memory, ip, TCP, m.pkt_len - ETH - IPV4))
    m.l2_len = ETH
    m.l3_len = IPV4
    m.l4_len = (load8(memory, l4 + OFFSET) >> 4) * 4
    m.gso_type = GSO_TCPV4
    m.csum_start = ETH + IPV4
    m.csum_offset = TCP_CHECKSUM
    say_large(item, m)


def say_large(item, m):
    """What is alike for all: how large the segments are, how many, which checksum is still to be computed, how ids go."""
    m.tso_segsz = item.first_len
    m.gso_segs = item.packets
    flags = m.ol_flags & ~L4_KNOWN | MERGED_BITS
    if item.id_rule == ID_FIXED:
        flags = flags | FIXED_ID
    if item.outer_id_rule == ID_FIXED:
        flags = flags | OUTER_FIXED_ID
    m.ol_flags = flags


def new_total(memory, ip, total):
    """A new total length of an IPv4 header, and what that changes in its checksum."""
    old = load16(memory, ip + TOTAL)
    store16(memory, ip + TOTAL, total)
    store16(memory, ip + IPV4_CHECKSUM, update16(load16(memory, ip + IPV4_CHECKSUM), old, total))


def new_length(memory, ip, version, length):
    """The length of an IP packet, its header counted, as either version writes it."""
    if version == 4:
        new_total(memory, ip, length)
    else:
        store16(memory, ip + PAYLOAD, length - IPV6_LENGTH)


def pseudo(memory, ip, version, proto, n):
    """The sum of the pseudo-header in either version."""
    if version == 4:
        return pseudo_ipv4(memory, ip, proto, n)
    return pseudo_ipv6(memory, ip, proto, n)


@apart
def finish_general(to, item, m):
    """Any packet that `look` understands, and the tunnel around it."""
    memory = to.memory
    s = to.sight[1]
    look(memory, m, s)
    at = m.buf + m.data_off
    if s.outer_v != 0:
        finish_outer(memory, m, s)
    new_length(memory, at + s.ip, s.v, m.pkt_len - s.ip)
    n = m.pkt_len - s.l4
    field = TCP_CHECKSUM
    m.gso_type = GSO_TCPV4
    if s.proto == UDP:
        field = UDP_CHECKSUM
        m.gso_type = GSO_UDP_L4
        store16(memory, at + s.l4 + UDP_TOTAL, n)
    elif s.v == 6:
        m.gso_type = GSO_TCPV6
    store16(memory, at + s.l4 + field, pseudo(memory, at + s.ip, s.v, s.proto, n))
    m.l2_len = s.ip
    m.l3_len = s.ip_len
    m.l4_len = s.l4_len
    m.csum_start = s.l4
    m.csum_offset = field
    say_large(item, m)


def finish_outer(memory, m, s):
    """The tunnel's own lengths; its checksum, where it has one, is to be computed for each segment."""
    ip = m.buf + m.data_off + s.outer_ip
    l4 = m.buf + m.data_off + s.outer_l4
    new_length(memory, ip, s.outer_v, m.pkt_len - s.outer_ip)
    n = m.pkt_len - s.outer_l4
    if s.outer_proto == UDP:
        store16(memory, l4 + UDP_TOTAL, n)
        if load16(memory, l4 + UDP_CHECKSUM) == 0:
            return
        store16(memory, l4 + UDP_CHECKSUM, pseudo(memory, ip, s.outer_v, UDP, n))
    else:
        if load16(memory, l4) & GRE_HAS_CHECKSUM == 0:
            return
        store16(memory, l4 + GRE_CHECKSUM, 0)
    m.ol_flags = m.ol_flags & ~OUTER_KNOWN | OUTER_L4_PARTIAL
