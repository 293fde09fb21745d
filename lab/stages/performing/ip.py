"""Fields of IPv4 and IPv6, with the checksums that cover them.

An update is incremental, so a checksum that was wrong stays wrong, and one that is still to be computed is not updated.
Of a changed address every word is accounted for, changed or not, in OVS's order, so that even the two ways to write zero
come out as OVS writes them.
"""

import numpy as np

from lab.flow.actions import IP_DST, IP_SRC, IP_TOS, IP_TTL, IPV6_LABEL, IPV6_SRC
from lab.memory.mbuf import IP_CSUM_PARTIAL, TUNNEL
from lab.memory.raw import apart, i64, load8, load16, load32, load64, store8, store16, store32, store64
from lab.packet.checksum import update16, update32
from lab.packet.headers.ipv6 import DST as IPV6_DST_AT
from lab.packet.headers.ipv6 import LABEL_MASK, NEXT, ROUTING, TTL, extension_length
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import SRC as IPV6_SRC_AT
from lab.stages.performing.masked import blend, masked
from lab.stages.performing.transport import update_l4

SEGMENTS_LEFT = 3  # where a routing header has it
SHIFT_32, LOW_32 = np.uint64(32), np.uint64(0xFFFFFFFF)


def is_partial(m):
    """Whether the checksum of the outermost IPv4 header is still to be computed; in a tunnel the flag speaks of the inner one."""
    return m.ol_flags & (IP_CSUM_PARTIAL | TUNNEL) == IP_CSUM_PARTIAL


@apart
def set_ipv4(memory, m, key, act):
    """Set an address, the TOS byte or the TTL, and keep the header's checksum as right or wrong as it was."""
    ip = m.buf + m.data_off + m.l2_len
    if act.detail == IP_SRC or act.detail == IP_DST:
        at = ip + 12
        if act.detail == IP_DST:
            at = ip + 16
        old = load32(memory, at)
        new = masked(old, act)
        if new != old:
            if not is_partial(m):
                store16(memory, ip + 10, update32(load16(memory, ip + 10), old, new))
            update_l4(memory, m, key, old, new)
            store32(memory, at, new)
        return
    at = ip
    old = load16(memory, at)
    new = old
    if act.detail == IP_TOS:
        new = (old & 0xFF00) | masked(old & 0xFF, act)
    elif act.detail == IP_TTL:
        at = ip + 8
        old = load16(memory, at)
        new = (old & 0xFF) | masked(old >> 8, act) << 8
    if new != old:
        if not is_partial(m):
            store16(memory, ip + 10, update16(load16(memory, ip + 10), old, new))
        store16(memory, at, new)


@apart
def set_ipv6(memory, m, key, act):
    """Set an address, the traffic class, the flow label or the hop limit; the transport's checksum covers addresses alone."""
    ip = m.buf + m.data_off + m.l2_len
    if act.detail == IPV6_LABEL:
        old = load32(memory, ip)
        store32(memory, ip, (old & ~LABEL_MASK) | masked(old & LABEL_MASK, act))
    elif act.detail == IP_TOS:
        old = load16(memory, ip)
        store16(memory, ip, (old & 0xF00F) | masked(old >> 4 & 0xFF, act) << 4)
    elif act.detail == IP_TTL:
        store8(memory, ip + TTL, masked(load8(memory, ip + TTL), act))
    elif act.detail == IPV6_SRC:
        set_address(memory, m, key, ip + IPV6_SRC_AT, act)
    elif on_its_way(memory, m) == 0:
        set_address(memory, m, key, ip + IPV6_DST_AT, act)
    else:
        write_address(memory, ip + IPV6_DST_AT, act)


def write_address(memory, at, act):
    """Set an IPv6 address that no checksum in this packet covers."""
    store64(memory, at, blend(load64(memory, at), act.v0, act.m0))
    store64(memory, at + 8, blend(load64(memory, at + 8), act.v1, act.m1))


@apart
def set_address(memory, m, key, at, act):
    """Set an IPv6 address that the transport's checksum covers: one of IPv6's own, or that of neighbour discovery."""
    high = load64(memory, at)
    low = load64(memory, at + 8)
    new_high = blend(high, act.v0, act.m0)
    new_low = blend(low, act.v1, act.m1)
    if new_high == high and new_low == low:
        return
    account_half(memory, m, key, high, new_high)
    account_half(memory, m, key, low, new_low)
    store64(memory, at, new_high)
    store64(memory, at + 8, new_low)


def account_half(memory, m, key, old, new):
    """Account for eight bytes of an address in the transport's checksum."""
    update_l4(memory, m, key, i64(old >> SHIFT_32), i64(new >> SHIFT_32))
    update_l4(memory, m, key, i64(old & LOW_32), i64(new & LOW_32))


@apart
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
