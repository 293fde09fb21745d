"""Ports, types and codes of the transport headers, and the checksums in them: what covers changed bytes, and what kind it is.

A UDP checksum of zero is none, and none comes; one that becomes zero is sent as all ones. A partial checksum holds the
plain sum of the pseudo-header, so only addresses change it. Actions change the outermost headers: of a packet in a tunnel
that is the tunnel's own checksum, and what is partial inside does not concern it. SCTP's CRC32c depends on the packet's
length, so that of a first fragment cannot be kept right.
"""

import numpy as np

from lab.flow.actions import ICMP_TYPE, TP_DST
from lab.flow.key import W_DST, W_IP
from lab.memory.mbuf import L4_CSUM_PARTIAL, OUTER_L4_PARTIAL, TUNNEL
from lab.memory.raw import apart, i64, load16, load32, store16, store32
from lab.packet.checksum import update16, update32
from lab.packet.crc32c import change16
from lab.packet.headers.ethernet import IPV4, IPV6
from lab.packet.headers.icmpv6 import CHECKSUM as ICMP_SUM
from lab.packet.headers.ipv4 import ICMP, SCTP, TCP, UDP, get_total
from lab.packet.headers.ipv6 import ICMPV6, get_payload
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.stages.performing.masked import masked

TCP_SUM, UDP_SUM, SCTP_SUM = 16, 6, 8  # where the checksum stands in the header
ICMP_LENGTH = 8
LATER_FRAGMENT = 2
TYPE_AT, FRAG_AT = np.uint64(48), np.uint64(24)
ZERO = np.uint64(0)


def proto_of(key):
    """The protocol behind IP."""
    return i64(key.w[W_IP]) & 0xFF


def has_transport(key, m, needed):
    """Whether the transport header is in this packet, with at least `needed` bytes."""
    later = i64(key.w[W_IP] >> FRAG_AT) & LATER_FRAGMENT
    return later == 0 and m.l4_len >= needed


def csum_at(key, m):
    """Where the checksum of the transport header stands, from the header's beginning; 0 for none."""
    proto = proto_of(key)
    if proto == TCP and has_transport(key, m, 20):
        return TCP_SUM
    if proto == UDP and has_transport(key, m, 8):
        return UDP_SUM
    if proto == ICMPV6 and i64(key.w[W_DST] >> TYPE_AT) == IPV6 and has_transport(key, m, 4):
        return ICMP_SUM  # ICMP in IPv4 has no pseudo-header
    return 0


def is_partial(m):
    """Whether the checksum of the outermost transport header, which the key has, is still to be computed."""
    if m.ol_flags & TUNNEL != ZERO:
        return m.ol_flags & OUTER_L4_PARTIAL != ZERO
    return m.ol_flags & L4_CSUM_PARTIAL != ZERO and m.csum_start == m.l2_len + m.l3_len


@apart
def update_l4(memory, m, key, old, new):
    """Account for four changed bytes of the pseudo-header in the transport's checksum."""
    offset = csum_at(key, m)
    if offset == 0:
        return
    at = m.buf + m.data_off + m.l2_len + m.l3_len + offset
    sum_now = load16(memory, at)
    if is_partial(m):
        # the field holds the plain sum of the pseudo-header, not its complement
        store16(memory, at, ~update32(~sum_now & 0xFFFF, old, new))
    elif offset != UDP_SUM:
        store16(memory, at, update32(sum_now, old, new))
    elif sum_now != 0:
        store_udp(memory, at, update32(sum_now, old, new))


def store_udp(memory, at, checksum):
    """A UDP checksum of zero is sent as all ones: zero means that there is none."""
    if checksum == 0:
        checksum = 0xFFFF
    store16(memory, at, checksum)


def transport_length(memory, m, key):
    """How long the transport header is with what it carries, as IP says."""
    ip = m.buf + m.data_off + m.l2_len
    if i64(key.w[W_DST] >> TYPE_AT) == IPV4:
        return get_total(memory, ip) - m.l3_len
    return IPV6_LENGTH + get_payload(memory, ip) - m.l3_len


@apart
def set_port(memory, m, key, act):
    """Set a transport port of TCP, UDP or SCTP."""
    proto = proto_of(key)
    if proto != TCP and proto != UDP and proto != SCTP:
        return
    if not has_transport(key, m, 8):
        return
    start = m.buf + m.data_off + m.l2_len + m.l3_len
    at = start
    if act.detail == TP_DST:
        at = start + 2
    old = load16(memory, at)
    new = masked(old, act)
    if new == old:
        return
    store16(memory, at, new)
    if is_partial(m):
        return
    if proto == SCTP:
        n = transport_length(memory, m, key) - (at - start) - 2
        store32(memory, start + SCTP_SUM, load32(memory, start + SCTP_SUM) ^ change16(old, new, n))
        return
    offset = csum_at(key, m)
    if offset == 0:
        return
    checksum = load16(memory, start + offset)
    if offset != UDP_SUM:
        store16(memory, start + offset, update16(checksum, old, new))
    elif checksum != 0:
        store_udp(memory, start + offset, update16(checksum, old, new))


@apart
def set_icmp(memory, m, key, act):
    """Set the type or the code of ICMP, of either version."""
    proto = proto_of(key)
    if (proto != ICMP and proto != ICMPV6) or not has_transport(key, m, ICMP_LENGTH):
        return
    at = m.buf + m.data_off + m.l2_len + m.l3_len
    old = load16(memory, at)
    new = (old & 0xFF00) | masked(old & 0xFF, act)
    if act.detail == ICMP_TYPE:
        new = (old & 0xFF) | masked(old >> 8, act) << 8
    if new != old:
        store16(memory, at, new)
        if not is_partial(m):
            store16(memory, at + ICMP_SUM, update16(load16(memory, at + ICMP_SUM), old, new))
