"""Putting a tunnel's headers before one packet: the form is copied, and what differs by packet is written into it.

`push` calls it for each packet of a tunnel port's batch. Headers go into the headroom of a first segment that is private, else
into a fresh mbuf before it. The outer UDP or GRE checksum, if there is one, is left partial around an IP packet, so that it is
computed once, where it is known whether the port does; around anything else it is computed here.
"""

from lab.memory.mbuf import (
    BORROWED,
    CHECKED,
    FIXED_ID,
    GSO,
    HEADROOM,
    L4_CSUM_PARTIAL,
    MAX_SEGMENTS,
    OUTER_FIXED_ID,
    OUTER_L4_PARTIAL,
    TO_COMPUTE,
    TUN_META,
    TUNNEL,
    copy_fields,
)
from lab.memory.mempool import take
from lab.memory.raw import apart, copy, copy_small, i64, load8, load16, store8, store16, store32, u64
from lab.memory.record import NULL
from lab.offload.chains import pull_up
from lab.offload.layers import link_layer, look
from lab.offload.records import GRE, TP_CSUM, TP_DF, TP_SEQ, TP_TOS_INHERIT, TP_TTL_INHERIT
from lab.offload.tunnel.ecn import ECN_MASK
from lab.offload.tunnel.form import ETH_LENGTH
from lab.offload.tunnel.inside import BRIDGED
from lab.packet.checksum import finish, fold, sum_chain
from lab.packet.headers import ethernet, gre, ipv4, ipv6, udp
from lab.packet.headers.ipv6 import get_tos as get_tos6

ZERO = u64(0)
RARE = GSO | TUNNEL
UNFINISHED = GSO | TO_COMPUTE
MOST_TOTAL = 0xFFFF
INNER_HEADERS = 14 + 8 + 60 + 60  # bytes that shall lie together: what is inside is read for the outer header
SMALL = 128  # bytes that `copy_small` takes
FIRST_SOURCE, SOURCES = 32768, 61000 - 32768  # UDP source ports, as OVS chooses them
HALF, LOW = u64(32), 0xFFFFFFFF
IPV4_SUM_AT = ETH_LENGTH + ipv4.CHECKSUM


def ip_inside(c, m):
    """Where the packet's own IP header begins, 0 when it has none (that lies in the first segment)."""
    if m.data_len < ETH_LENGTH + ipv4.LENGTH:
        return 0
    kind = load16(c.memory, m.buf + m.data_off + ethernet.TYPE)
    if kind == ethernet.IPV4:
        return ETH_LENGTH
    if kind == ethernet.IPV6 or kind == ethernet.VLAN or kind == ethernet.VLAN_SERVICE:
        return ip_behind_tags(c, m)
    return 0


@apart
def ip_behind_tags(c, m):
    """The same for IPv6 and for tagged packets."""
    off = link_layer(c.memory, m, c.sight[0])
    if off == 0 or off + ipv4.LENGTH > m.data_len:
        return 0
    version = load8(c.memory, m.buf + m.data_off + off) >> 4
    if version == 4 or (version == 6 and off + ipv6.LENGTH <= m.data_len):
        return off
    return 0


def service_of(memory, m, ip):
    """(TOS, TTL) of the packet's own IP header; (0, 0) when it has none."""
    if ip == 0:
        return 0, 0
    at = m.buf + m.data_off + ip
    if load8(memory, at) >> 4 == 4:
        return load8(memory, at + ipv4.TOS), load8(memory, at + ipv4.TTL)
    return get_tos6(memory, at), load8(memory, at + ipv6.TTL)


def type_inside(memory, m, ip):
    """The Ethernet type of a packet's own IP header."""
    if ip != 0 and load8(memory, m.buf + m.data_off + ip) >> 4 == 6:
        return ethernet.IPV6
    return ethernet.IPV4


@apart
def bring_together(c, i):
    """Pull the headers of a packet in segments up: how many bytes lie together now, 0 when nothing moved."""
    m = c.mbufs[i]
    n = INNER_HEADERS
    if n > m.pkt_len:
        n = m.pkt_len
    if n <= m.data_len or pull_up(c.memory, c.mbufs, c.pool, i, n) == 0:
        return 0
    return n


@apart
def segment_length(c, m):
    """How long the longest frame is that GSO makes of a packet, without the tunnel that is about to come; 0 when nobody can say."""
    s = c.sight[0]
    if look(c.memory, m, s) == 0:
        return 0
    return s.payload + m.tso_segsz


def source_port(m):
    """The UDP source port: what differs between flows, for those who balance by it."""
    h = i64(m.hash ^ (m.hash >> HALF)) & LOW
    return FIRST_SOURCE + (h * SOURCES >> 32)


@apart
def in_front(c, i, n):
    """A fresh mbuf for `n` bytes before a packet, which is the packet then; NULL when there is none or the chain is too long."""
    m = c.mbufs[i]
    if m.nb_segs >= MAX_SEGMENTS:
        return NULL
    j = take(c.pool, c.mbufs)
    if j == NULL:
        return NULL
    to = c.mbufs[j]
    copy_fields(to, m)
    to.data_off = HEADROOM + n
    to.pkt_len = m.pkt_len
    to.nb_segs = m.nb_segs + 1
    to.next = i
    m.nb_segs = 1
    return j


def has_room(m, n):
    """Whether `n` bytes may be written before a packet's first."""
    return m.data_off >= n and m.refcnt == 1 and m.ol_flags & BORROWED == ZERO


def shorten(m, n):
    """Take a packet's first bytes off: its Ethernet header, in tunnels that carry IP."""
    m.data_off += n
    m.data_len -= n
    m.pkt_len -= n


def put_form(memory, f, m):
    """Copy the form before a packet; where it begins now."""
    n = f.data_len
    at = m.buf + m.data_off - n
    if n <= SMALL:
        copy_small(memory, at, f.buf + f.data_off, n)
    else:
        copy(memory, at, f.buf + f.data_off, n)
    m.data_off -= n
    m.data_len += n
    m.pkt_len += n
    return at


def fill_in(c, t, f, m, service):
    """Write what differs by packet into the IP header that has been put before it: TOS, TTL, length, id. `service`: (TOS, TTL, id)."""
    tos, ttl, number = service
    memory = c.memory
    at = m.buf + m.data_off
    mine = t.tos & ~ECN_MASK
    if t.marks & TP_TOS_INHERIT != 0:
        mine = tos & ~ECN_MASK
    tos = mine | (tos & ECN_MASK)
    total = m.pkt_len - ETH_LENGTH
    if f.l3_len == ipv6.LENGTH:
        store32(memory, at + ETH_LENGTH, 6 << 28 | tos << 20)
        store16(memory, at + ETH_LENGTH + ipv6.PAYLOAD, total - ipv6.LENGTH)
        if t.marks & TP_TTL_INHERIT != 0 and ttl != 0:
            store8(memory, at + ETH_LENGTH + ipv6.TTL, ttl)
        return
    summed = load16(memory, at + IPV4_SUM_AT) + tos + total
    store32(memory, at + ETH_LENGTH, 0x45000000 | tos << 16 | total)
    if t.marks & TP_DF == 0:
        store16(memory, at + ETH_LENGTH + ipv4.ID, number)
        summed += number
    if t.marks & TP_TTL_INHERIT != 0 and ttl != 0:
        summed += (ttl << 8) + (~(load8(memory, at + ETH_LENGTH + ipv4.TTL) << 8) & 0xFFFF)
        store8(memory, at + ETH_LENGTH + ipv4.TTL, ttl)
    store16(memory, at + IPV4_SUM_AT, finish(summed))


def fill_in_tunnel(c, t, f, m, named):
    """Write what differs by packet behind the outer IP header, `named` the type of what is inside; the UDP source port, 0 for GRE."""
    at = m.buf + m.data_off + ETH_LENGTH + f.l3_len
    if t.kind == GRE:
        if t.marks & TP_SEQ != 0 or named != BRIDGED:
            fill_in_gre(c, t, f, m, named)
        return 0
    port = source_port(m)
    length = m.pkt_len - ETH_LENGTH - f.l3_len
    store16(c.memory, at, port)
    store16(c.memory, at + udp.TOTAL, length)
    if t.marks & TP_CSUM != 0:
        store16(c.memory, at + udp.CHECKSUM, fold(load16(c.memory, at + udp.CHECKSUM) + length))
    return port


@apart
def fill_in_gre(c, t, f, m, named):
    """The sequence number, and the type of what is inside."""
    at = m.buf + m.data_off + ETH_LENGTH + f.l3_len
    store16(c.memory, at + gre.PROTOCOL, named)
    if t.marks & TP_SEQ != 0:
        store32(c.memory, m.buf + m.data_off + f.data_len - gre.WORD, t.sequence)
        t.sequence += 1


def move_marks(m, t, grown, ip):
    """What a packet still wants done and where its headers are, behind those that it got; `ip`: where the inner IP begins, or 0."""
    flags = m.ol_flags & ~TUN_META
    if flags & L4_CSUM_PARTIAL != ZERO:
        m.csum_start += grown
    if flags & TUNNEL != ZERO:  # a tunnel in a tunnel: what was known was said of what lies too deep now
        flags = flags & ~(CHECKED | TUNNEL | OUTER_FIXED_ID)
    if ip != 0:
        flags = flags | TUNNEL
        m.inner_off = ip
        if t.marks & TP_CSUM != 0:
            flags = flags | OUTER_L4_PARTIAL
        elif t.marks & TP_DF != 0 and flags & GSO != ZERO:
            flags = flags | OUTER_FIXED_ID
    else:
        flags = flags & ~(CHECKED | FIXED_ID)
    m.ol_flags = flags


@apart
def sum_now(c, t, f, i):
    """Compute the outer checksum of a tunnel around what is no IP packet."""
    m = c.mbufs[i]
    off = ETH_LENGTH + f.l3_len
    at = m.buf + m.data_off + off
    field = udp.CHECKSUM
    if t.kind == GRE:
        field = gre.CHECKSUM
    value = finish(sum_chain(c.memory, c.mbufs, i, off, m.pkt_len - off))
    if value == 0 and t.kind != GRE:
        value = 0xFFFF
    store16(c.memory, at + field, value)
