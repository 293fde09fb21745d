"""What actions change in a packet: header fields with their checksums, VLAN tags.

Checksums are updated incrementally, so one that was wrong stays wrong; a packet that lacks the header is left
as it is. Where the headers begin is told by `parse` (`l2_len`, `l3_len`), which stays true behind a push or a pop.
SCTP's CRC32c depends on the packet's length, so that of a first fragment cannot be kept right.
"""

import numpy as np

from lab.flow.actions import (
    ETH_DST,
    ETH_SRC,
    IP_DST,
    IP_SRC,
    IP_TOS,
    IP_TTL,
    IPV6_DST,
    IPV6_SRC,
    POP_VLAN,
    PUSH_VLAN,
    SET,
    SET_PCP,
    SET_VID,
    TP_DST,
    TP_SRC,
)
from lab.flow.key import W_DST, W_IP
from lab.memory.mbuf import L4_CSUM_PARTIAL
from lab.memory.raw import i64, load8, load16, load32, load64, store8, store16, store32, store64
from lab.packet.checksum import update16, update32
from lab.packet.crc32c import change16
from lab.packet.headers.ipv4 import get_total
from lab.packet.headers.ipv6 import DST as IPV6_DST_AT
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import NEXT, ROUTING, extension_length, get_payload
from lab.packet.headers.ipv6 import SRC as IPV6_SRC_AT

IPV4, IPV6, DOT1Q, DOT1AD = 0x0800, 0x86DD, 0x8100, 0x88A8
TCP, UDP, ICMPV6, SCTP = 6, 17, 58, 132
UDP_SUM, SCTP_SUM = 6, 8  # where the checksum stands in the header
SEGMENTS_LEFT = 3  # where a routing header has it
LATER_FRAGMENT = 2
TYPE_AT = np.uint64(48)


def rewrite(memory, m, key, act):
    """Do one action that changes the packet."""
    at = m.buf + m.data_off
    if act.op == SET:
        set_field(memory, m, key, act)
    elif act.op == PUSH_VLAN:
        push_vlan(memory, m, act.arg, i64(act.v0))
    elif act.op == POP_VLAN:
        pop_vlan(memory, m)
    elif act.op == SET_VID:
        if tagged(memory, m, at) == 0:
            push_vlan(memory, m, DOT1Q, 0)
            at = m.buf + m.data_off
        if tagged(memory, m, at) != 0:
            store16(memory, at + 14, (load16(memory, at + 14) & 0xF000) | (i64(act.v0) & 0xFFF))
    elif act.op == SET_PCP:
        if tagged(memory, m, at) == 0:
            push_vlan(memory, m, DOT1Q, 0)
            at = m.buf + m.data_off
        if tagged(memory, m, at) != 0:
            store16(memory, at + 14, (load16(memory, at + 14) & 0x1FFF) | ((i64(act.v0) & 7) << 13))


def tagged(memory, m, at):
    """1 when the frame carries a VLAN tag."""
    if m.data_len < 18:
        return 0
    kind = load16(memory, at + 12)
    if kind == DOT1Q or kind == DOT1AD:
        return 1
    return 0


def push_vlan(memory, m, tpid, tci):
    """Put a tag behind the addresses, out of the headroom."""
    if m.data_len < 14 or m.data_off < 4:
        return
    at = m.buf + m.data_off - 4
    dst = load64(memory, at + 4)
    rest = load32(memory, at + 12)
    store64(memory, at, dst)
    store32(memory, at + 8, rest)
    store16(memory, at + 12, tpid)
    store16(memory, at + 14, tci)
    m.data_off -= 4
    m.data_len += 4
    m.pkt_len += 4
    if m.l2_len > 0:
        m.l2_len += 4
    if m.ol_flags & L4_CSUM_PARTIAL != np.uint64(0):
        m.csum_start += 4


def pop_vlan(memory, m):
    """Take the outermost tag away."""
    at = m.buf + m.data_off
    if tagged(memory, m, at) == 0:
        return
    dst = load64(memory, at)
    rest = load32(memory, at + 8)
    store64(memory, at + 4, dst)
    store32(memory, at + 12, rest)
    m.data_off += 4
    m.data_len -= 4
    m.pkt_len -= 4
    if m.l2_len > 4:
        m.l2_len -= 4
    if m.ol_flags & L4_CSUM_PARTIAL != np.uint64(0):
        m.csum_start -= 4


def set_field(memory, m, key, act):
    """Set one header field to a value, if the packet has that header."""
    at = m.buf + m.data_off
    if act.detail == ETH_DST or act.detail == ETH_SRC:
        if m.data_len >= 14:
            side = 0
            if act.detail == ETH_SRC:
                side = 6
            store16(memory, at + side, i64(act.v0 >> np.uint64(32)))
            store32(memory, at + side + 2, i64(act.v0 & np.uint64(0xFFFFFFFF)))
        return
    if m.l3_len == 0:
        return
    kind = i64(key.w[W_DST] >> TYPE_AT)
    ip = at + m.l2_len
    if act.detail == TP_SRC or act.detail == TP_DST:
        set_port(memory, m, key, act)
    elif kind == IPV4:
        set_ipv4(memory, m, key, act)
    elif kind == IPV6 and act.detail == IPV6_SRC:
        set_ipv6(memory, m, key, ip + IPV6_SRC_AT, act)
    elif kind == IPV6 and act.detail == IPV6_DST:
        set_ipv6(memory, m, key, ip + IPV6_DST_AT, act)
    elif kind == IPV6 and act.detail == IP_TOS:
        store16(memory, ip, (load16(memory, ip) & 0xF03F) | (i64(act.v0) & 0xFC) << 4)
    elif kind == IPV6 and act.detail == IP_TTL:
        store8(memory, ip + 7, i64(act.v0))


def set_ipv4(memory, m, key, act):
    """Set an address, the DSCP or the TTL, and keep the header's checksum as right or wrong as it was."""
    ip = m.buf + m.data_off + m.l2_len
    value = i64(act.v0)
    if act.detail == IP_SRC or act.detail == IP_DST:
        at = ip + 12
        if act.detail == IP_DST:
            at = ip + 16
        old = load32(memory, at)
        store16(memory, ip + 10, update32(load16(memory, ip + 10), old, value))
        update_l4(memory, m, key, old, value)
        store32(memory, at, value)
    elif act.detail == IP_TOS:
        old = load16(memory, ip)
        new = (old & 0xFF03) | (value & 0xFC)
        store16(memory, ip + 10, update16(load16(memory, ip + 10), old, new))
        store16(memory, ip, new)
    elif act.detail == IP_TTL:
        old = load16(memory, ip + 8)
        new = (old & 0xFF) | value << 8
        store16(memory, ip + 10, update16(load16(memory, ip + 10), old, new))
        store16(memory, ip + 8, new)


def set_ipv6(memory, m, key, at, act):
    """Set an IPv6 address; only the transport's checksum covers it, unless a routing header says where the packet ends."""
    if act.detail == IPV6_SRC or on_its_way(memory, m) == 0:
        account_half(memory, m, key, at, act.v0)
        account_half(memory, m, key, at + 8, act.v1)
    store64(memory, at, act.v0)
    store64(memory, at + 8, act.v1)


def account_half(memory, m, key, at, value):
    """Account for eight bytes of an address in the transport's checksum."""
    old = load64(memory, at)
    low = np.uint64(0xFFFFFFFF)
    update_l4(memory, m, key, i64(old >> np.uint64(32)), i64(value >> np.uint64(32)))
    update_l4(memory, m, key, i64(old & low), i64(value & low))


def on_its_way(memory, m):
    """1 when a routing header has segments left: then ipv6_dst is a stop on the way, and checksums go with the last one."""
    ip = m.buf + m.data_off + m.l2_len
    proto = load8(memory, ip + NEXT)
    off = IPV6_LENGTH
    while off < m.l3_len:
        if proto == ROUTING and load8(memory, ip + off + SEGMENTS_LEFT) > 0:
            return 1
        length = extension_length(memory, ip + off, proto)
        proto = load8(memory, ip + off)
        off += length
    return 0


def has_transport(key, m, needed):
    """Whether the transport header is in this packet, with at least `needed` bytes."""
    later = i64(key.w[W_IP] >> np.uint64(24)) & LATER_FRAGMENT
    return later == 0 and m.l4_len >= needed


def csum_at(key, m):
    """Where the checksum of the transport header stands, from the header's beginning; 0 for none."""
    proto = i64(key.w[W_IP]) & 0xFF
    if proto == TCP and has_transport(key, m, 20):
        return 16
    if proto == UDP and has_transport(key, m, 8):
        return UDP_SUM
    if proto == ICMPV6 and i64(key.w[W_DST] >> TYPE_AT) == IPV6 and has_transport(key, m, 4):
        return 2  # ICMP in IPv4 has no pseudo-header
    return 0


def update_l4(memory, m, key, old, new):
    """Account for four changed bytes of the pseudo-header in the transport's checksum."""
    offset = csum_at(key, m)
    if offset == 0:
        return
    at = m.buf + m.data_off + m.l2_len + m.l3_len + offset
    sum_now = load16(memory, at)
    if m.ol_flags & L4_CSUM_PARTIAL != np.uint64(0):
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


def set_port(memory, m, key, act):
    """Set a transport port of TCP, UDP or SCTP."""
    proto = i64(key.w[W_IP]) & 0xFF
    if proto != TCP and proto != UDP and proto != SCTP:
        return
    if not has_transport(key, m, 8):
        return
    start = m.buf + m.data_off + m.l2_len + m.l3_len
    at = start
    if act.detail == TP_DST:
        at = start + 2
    old = load16(memory, at)
    value = i64(act.v0)
    store16(memory, at, value)
    if m.ol_flags & L4_CSUM_PARTIAL != np.uint64(0):
        return
    if proto == SCTP:
        n = transport_length(memory, m, key) - (at - start) - 2
        store32(memory, start + SCTP_SUM, load32(memory, start + SCTP_SUM) ^ change16(old, value, n))
        return
    offset = csum_at(key, m)
    if offset == 0:
        return
    checksum = load16(memory, start + offset)
    if offset != UDP_SUM:
        store16(memory, start + offset, update16(checksum, old, value))
    elif checksum != 0:
        store_udp(memory, start + offset, update16(checksum, old, value))
