"""Telling a sender that its packet does not fit the path: ICMP "fragmentation needed" and ICMPv6 "packet too big" (RFC 1191, RFC 8201).

`push` asks for one when a packet with its tunnel headers is larger than the route's port takes. It comes as if from the
packet's destination and goes back where the packet came in. Later fragments, groups and ICMP errors are never answered.
"""

from lab.memory.raw import apart, copy, load8, load16, load32, load64, store8, store16, store32, store64, sum16, u64
from lab.memory.record import NULL
from lab.offload.tunnel.messages import fresh
from lab.packet.checksum import finish, pseudo_ipv6
from lab.packet.headers import icmp, icmpv6, ipv4, ipv6
from lab.packet.headers.ethernet import get_dst as get_link_dst
from lab.packet.headers.ethernet import get_src as get_link_src
from lab.packet.headers.ethernet import set_dst, set_src

GROUP_BIT, ZERO = u64(1 << 40), u64(0)
UNREACHABLE, FRAGMENTATION_NEEDED, TOO_BIG = 3, 4, 2
TTL = 64
MOST_QUOTED, MOST_QUOTED6 = 548, 1232  # bytes of the packet that come back: 576 and 1280 in all
ICMP_MTU, ICMPV6_MTU = 6, 4
LEAST_MTU, LEAST_MTU6 = 68, 1280  # what every path must take: less is believed by nobody


def told_mtu(memory, m, ip, mtu):
    """How much the sender of a packet is told that fits, when its tunnel leaves it `mtu` bytes."""
    least = LEAST_MTU
    if load8(memory, m.buf + m.data_off + ip) >> 4 == 6:
        least = LEAST_MTU6
    if mtu < least:
        return least
    return mtu


@apart
def too_big(c, i, ip, mtu):
    """The message for a packet whose IP header begins at `ip`: its mbuf, or NULL when there is nobody to tell."""
    m = c.mbufs[i]
    link = m.buf + m.data_off
    if ip == 0 or get_link_dst(c.memory, link) & GROUP_BIT != ZERO or get_link_src(c.memory, link) & GROUP_BIT != ZERO:
        return NULL
    if load8(c.memory, link + ip) >> 4 == 4:
        if may_tell4(c.memory, link + ip, m.data_len - ip) == 0:
            return NULL
        return tell4(c, m, ip, mtu)
    if may_tell6(c.memory, link + ip, m.data_len - ip) == 0:
        return NULL
    return tell6(c, m, ip, mtu)


def may_tell4(memory, at, left):
    """Whether the sender of an IPv4 packet asked to be told, and may be."""
    place = load16(memory, at + ipv4.FRAG)
    length = (load8(memory, at) & 15) * 4
    if place & ipv4.DONT_FRAGMENT == 0 or place & ipv4.OFFSET_MASK != 0 or length < ipv4.LENGTH or left < length + 8:
        return 0
    if load8(memory, at + ipv4.PROTO) == ipv4.ICMP:
        kind = load8(memory, at + length)
        if kind != icmp.ECHO and kind != icmp.ECHO_REPLY:
            return 0
    if load32(memory, at + ipv4.SRC) == 0:
        return 0
    return 1


def may_tell6(memory, at, left):
    """Whether the sender of an IPv6 packet may be told."""
    if left < ipv6.LENGTH + 8 or load64(memory, at + ipv6.SRC) | load64(memory, at + ipv6.SRC + 8) == ZERO:
        return 0
    if load8(memory, at + ipv6.NEXT) == ipv6.ICMPV6 and load8(memory, at + ipv6.LENGTH) < icmpv6.ECHO:
        return 0
    return 1


def begin(c, m, ip, length):
    """A frame back to the sender: the packet's link layer, its tags too, with the addresses changed over."""
    j = fresh(c, ip + length)
    if j == NULL:
        return NULL
    link, at = m.buf + m.data_off, c.mbufs[j].buf + c.mbufs[j].data_off
    copy(c.memory, at, link, ip)
    set_dst(c.memory, at, get_link_src(c.memory, link))
    set_src(c.memory, at, get_link_dst(c.memory, link))
    c.mbufs[j].serial = m.serial
    return j


def tell4(c, m, ip, mtu):
    """Fragmentation needed."""
    quoted = m.data_len - ip
    if quoted > MOST_QUOTED:
        quoted = MOST_QUOTED
    j = begin(c, m, ip, ipv4.LENGTH + icmp.LENGTH + quoted)
    if j == NULL:
        return NULL
    memory = c.memory
    old, at = m.buf + m.data_off + ip, c.mbufs[j].buf + c.mbufs[j].data_off + ip
    store32(memory, at, 0x45000000 | (ipv4.LENGTH + icmp.LENGTH + quoted))
    store32(memory, at + ipv4.TTL, TTL << 24 | ipv4.ICMP << 16)
    store32(memory, at + ipv4.SRC, load32(memory, old + ipv4.DST))
    store32(memory, at + ipv4.DST, load32(memory, old + ipv4.SRC))
    store16(memory, at + ipv4.CHECKSUM, finish(sum16(memory, at, ipv4.LENGTH)))
    at += ipv4.LENGTH
    store8(memory, at + icmp.TYPE, UNREACHABLE)
    store8(memory, at + icmp.CODE, FRAGMENTATION_NEEDED)
    store16(memory, at + ICMP_MTU, mtu)
    copy(memory, at + icmp.LENGTH, old, quoted)
    store16(memory, at + icmp.CHECKSUM, finish(sum16(memory, at, icmp.LENGTH + quoted)))
    return j


def tell6(c, m, ip, mtu):
    """Packet too big."""
    quoted = m.data_len - ip
    if quoted > MOST_QUOTED6:
        quoted = MOST_QUOTED6
    length = icmpv6.LENGTH + quoted
    j = begin(c, m, ip, ipv6.LENGTH + length)
    if j == NULL:
        return NULL
    memory = c.memory
    old, at = m.buf + m.data_off + ip, c.mbufs[j].buf + c.mbufs[j].data_off + ip
    store32(memory, at, 6 << 28)
    store16(memory, at + ipv6.PAYLOAD, length)
    store8(memory, at + ipv6.NEXT, ipv6.ICMPV6)
    store8(memory, at + ipv6.TTL, TTL)
    for n in range(2):
        store64(memory, at + ipv6.SRC + 8 * n, load64(memory, old + ipv6.DST + 8 * n))
        store64(memory, at + ipv6.DST + 8 * n, load64(memory, old + ipv6.SRC + 8 * n))
    body = at + ipv6.LENGTH
    store8(memory, body + icmpv6.TYPE, TOO_BIG)
    store32(memory, body + ICMPV6_MTU, mtu)
    copy(memory, body + icmpv6.LENGTH, old, quoted)
    store16(memory, body + icmpv6.CHECKSUM, finish(pseudo_ipv6(memory, at, ipv6.ICMPV6, length) + sum16(memory, body, length)))
    return j
