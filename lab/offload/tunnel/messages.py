"""Frames that the switch itself sends: questions for a neighbour's MAC address and answers to them, over IPv4 and IPv6.

Each is built in a fresh mbuf, which the stage puts into the batch of a port; NULL when there is none. Who asks, who is asked for
and what the stages make of it stands in `pop` and `push`. No VLAN tags: addresses of ports are those of the untagged network.
"""

import numpy as np

from lab.memory.mempool import take
from lab.memory.raw import apart, fill, i64, store8, store16, store32, store64, sum16
from lab.memory.record import NULL
from lab.packet.checksum import finish, pseudo_ipv6
from lab.packet.headers import arp, ethernet, icmpv6, ipv6
from lab.packet.headers.ethernet import set_dst, set_src, set_type
from lab.packet.headers.icmpv6 import set_checksum

ZERO, BROADCAST = np.uint64(0), np.uint64(0xFFFFFFFFFFFF)
REQUEST, REPLY = 1, 2
LEAST_FRAME = 60
ND_LENGTH = icmpv6.ND_OPTIONS + icmpv6.OPTION_LENGTH
ND_FRAME = ethernet.LENGTH + ipv6.LENGTH + ND_LENGTH
HOPS = 255
SOLICITED, OVERRIDE = 0x40000000, 0x20000000
ALL_NODES = (np.uint64(0xFF02000000000000), np.uint64(1))
GROUP, GROUP_LOW, LOW_24 = np.uint64(0xFF02000000000000), np.uint64(0x00000001FF000000), np.uint64(0xFFFFFF)
GROUP_MAC, ALL_NODES_MAC = np.uint64(0x333300000000), np.uint64(0x333300000001)
LOW_32, SHIFT_16 = np.uint64(0xFFFFFFFF), np.uint64(16)


def fresh(c, length):
    """An mbuf for a frame of the switch's own, all zero; NULL when there is none."""
    j = take(c.pool, c.mbufs)
    if j == NULL:
        return NULL
    m = c.mbufs[j]
    m.data_len = length
    m.pkt_len = length
    m.in_port = 0
    m.hash = ZERO
    m.l2_len = ethernet.LENGTH
    m.l3_len = 0
    m.l4_len = 0
    m.csum_start = 0
    m.csum_offset = 0
    m.gso_type = 0
    m.inner_off = 0
    m.serial = 0
    fill(c.memory, m.buf + m.data_off, 0, length)
    return j


def write_link(memory, at, to, mac, kind):
    """An Ethernet header."""
    set_dst(memory, at, to)
    set_src(memory, at, mac)
    set_type(memory, at, kind)


def write_mac(memory, at, mac):
    """Six bytes of an address."""
    store32(memory, at, i64(mac >> SHIFT_16))
    store16(memory, at + 4, i64(mac))


@apart
def arp_message(c, op, mac, ip, who):
    """An ARP message from `mac` and `ip` to `who`: (their IP address, their MAC address, which is 0 for everybody)."""
    j = fresh(c, LEAST_FRAME)
    if j == NULL:
        return NULL
    their_ip, their_mac = who
    at = c.mbufs[j].buf + c.mbufs[j].data_off
    to = their_mac
    if to == ZERO:
        to = BROADCAST
    write_link(c.memory, at, to, mac, ethernet.ARP)
    at += ethernet.LENGTH
    store32(c.memory, at, 0x00010800)
    store32(c.memory, at + 4, 0x06040000 | op)
    write_mac(c.memory, at + arp.SHA, mac)
    store32(c.memory, at + arp.SPA, ip)
    write_mac(c.memory, at + arp.THA, their_mac)
    store32(c.memory, at + arp.TPA, their_ip)
    return j


@apart
def solicitation(c, mac, ip6, target):
    """Who has `target` (two words)? Asked of the group of all whose address ends so."""
    j = fresh(c, ND_FRAME)
    if j == NULL:
        return NULL
    ending = target[1] & LOW_24
    at = c.mbufs[j].buf + c.mbufs[j].data_off
    write_link(c.memory, at, GROUP_MAC | (GROUP_LOW & LOW_32) | ending, mac, ethernet.IPV6)
    write_nd(c.memory, at + ethernet.LENGTH, ip6, (GROUP, GROUP_LOW | ending), target)
    finish_nd(c.memory, at + ethernet.LENGTH, icmpv6.NEIGHBOUR_SOLICIT, 0, mac)
    return j


@apart
def advertisement(c, mac, ip6, who):
    """`ip6` is at `mac`: told to who asked (address in two words, MAC), or to everybody when that has no address yet."""
    j = fresh(c, ND_FRAME)
    if j == NULL:
        return NULL
    high, low, their_mac = who
    at = c.mbufs[j].buf + c.mbufs[j].data_off
    flags = SOLICITED | OVERRIDE
    if (high | low) == ZERO:
        high, low = ALL_NODES
        their_mac = ALL_NODES_MAC
        flags = OVERRIDE
    write_link(c.memory, at, their_mac, mac, ethernet.IPV6)
    write_nd(c.memory, at + ethernet.LENGTH, ip6, (high, low), ip6)
    finish_nd(c.memory, at + ethernet.LENGTH, icmpv6.NEIGHBOUR_ADVERT, flags, mac)
    return j


def write_nd(memory, at, source, to, target):
    """The IPv6 header of a message of neighbour discovery, and its target."""
    store32(memory, at, 6 << 28)
    store16(memory, at + ipv6.PAYLOAD, ND_LENGTH)
    store8(memory, at + ipv6.NEXT, ipv6.ICMPV6)
    store8(memory, at + ipv6.TTL, HOPS)
    for j in range(2):
        store64(memory, at + ipv6.SRC + 8 * j, source[j])
        store64(memory, at + ipv6.DST + 8 * j, to[j])
        store64(memory, at + ipv6.LENGTH + icmpv6.ND_TARGET + 8 * j, target[j])


def finish_nd(memory, ip_at, kind, flags, mac):
    """Its kind, flags, the option with the link-layer address, and the checksum."""
    at = ip_at + ipv6.LENGTH
    option = icmpv6.SOURCE_LINK
    if kind == icmpv6.NEIGHBOUR_ADVERT:
        option = icmpv6.TARGET_LINK
    store8(memory, at + icmpv6.TYPE, kind)
    store32(memory, at + icmpv6.REST, flags)
    store8(memory, at + icmpv6.ND_OPTIONS, option)
    store8(memory, at + icmpv6.ND_OPTIONS + icmpv6.OPTION_LEN, 1)
    write_mac(memory, at + icmpv6.ND_OPTIONS + icmpv6.OPTION_ADDRESS, mac)
    set_checksum(memory, at, finish(pseudo_ipv6(memory, ip_at, ipv6.ICMPV6, ND_LENGTH) + sum16(memory, at, ND_LENGTH)))
