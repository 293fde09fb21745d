"""The form of a tunnel's headers: written once for all packets of a batch that take the same tunnel, then copied before each.

It lies in an mbuf of its own while `push` runs: `data_len` bytes at its beginning, `in_port` the port that they leave through,
`l3_len` the outer IP header, `tso_segsz` what stands before the tunnel header proper. Fields that differ by packet are zero in
it, TOS and TTL are those of the settings, and checksum fields hold the sums of all that does not differ.
"""

from lab.memory.mbuf import HEADROOM, TUN_META
from lab.memory.raw import apart, i64, load8, load64, store16, store32, store64, sum16, u64
from lab.memory.reasons import NO_NEIGHBOUR, NO_ROUTE, NO_TUNNEL_KEY, TUNNEL_LOOP
from lab.memory.record import NULL
from lab.offload.layers import GRE_PROTO
from lab.offload.records import (
    GENEVE,
    GRE,
    MPLSOUDP,
    TP_CSUM,
    TP_DF,
    TP_HAS_KEY,
    TP_KEY_FLOW,
    TP_REMOTE_FLOW,
    TP_SEQ,
    TP_V6,
    VXLAN,
)
from lab.offload.tunnel.ends import TUN_ID, TUN_IPV4, TUN_IPV6_DST
from lab.offload.tunnel.inside import BRIDGED
from lab.offload.tunnel.messages import write_link
from lab.offload.tunnel.options import options_length, write_options
from lab.offload.tunnel.way import neighbour_of, route_to
from lab.packet.headers import ethernet, geneve, gre, ipv4, ipv6, mpls, udp, vxlan

ETH_LENGTH = ethernet.LENGTH
ZERO = u64(0)
LOW = u64(0xFFFFFFFF)
LABEL_MASK = 0xFFFFF
DEFAULT_TTL = 64
TP_L3 = 1024  # a mark of GRE ports: IP packets go in without their Ethernet header (MPLS over UDP always has it so)


def takes_ip(t):
    """Whether a tunnel port carries IP packets rather than Ethernet frames."""
    return t.kind == MPLSOUDP or (t.kind == GRE and t.marks & TP_L3 != 0)


@apart
def remote_of(c, t, i):
    """(IP version, address in two words) of the far end for a packet; version 0 when nobody says."""
    if t.marks & TP_REMOTE_FLOW == 0:
        if t.marks & TP_V6 != 0:
            return 6, t.remote[0], t.remote[1]
        return 4, ZERO, t.remote[1] & LOW
    w = c.tunnels[i].w
    if c.mbufs[i].ol_flags & TUN_META != ZERO:
        if w[TUN_IPV4] & LOW != ZERO:
            return 4, ZERO, w[TUN_IPV4] & LOW
        if (w[TUN_IPV6_DST] | w[TUN_IPV6_DST + 1]) != ZERO:
            return 6, w[TUN_IPV6_DST], w[TUN_IPV6_DST + 1]
    return 0, ZERO, ZERO


@apart
def make_form(c, t, f, i):
    """Write the form for a packet's tunnel: 0, or why the packet cannot go. NO_NEIGHBOUR leaves (port, version) and the next hop behind.

    What a question needs then stands in the form's bytes: the hop's address (16 bytes), and our own.
    """
    v, high, low = remote_of(c, t, i)
    if v == 0:
        return NO_TUNNEL_KEY
    r = route_to(c.routes, v, high, low)
    if r == NULL or c.ports[c.routes[r].port].kind == 0:
        return NO_ROUTE
    route = c.routes[r]
    if c.tunnel_ports[route.port].kind != 0:
        return TUNNEL_LOOP
    f.in_port = route.port
    f.data_off = HEADROOM
    hop_high, hop_low = high, low
    if route.has_gateway != 0:
        hop_high, hop_low = route.gateway[0], route.gateway[1]
    own_high, own_low = own_address(t, c.addresses[route.port], v)
    if (own_high | own_low) == ZERO:
        return NO_ROUTE
    at = f.buf + f.data_off
    near = neighbour_of(c.neighbours, v, route.port, hop_high, hop_low)
    if near == NULL:
        f.l3_len = v
        write_pair(c.memory, at, hop_high, hop_low)
        write_pair(c.memory, at + 16, own_high, own_low)
        return NO_NEIGHBOUR
    kind = ethernet.IPV4
    if v == 6:
        kind = ethernet.IPV6
    write_link(c.memory, at, c.neighbours[near].mac, c.ports[route.port].mac, kind)
    write_ip(c.memory, f, t, v)
    write_ends(c.memory, at + ETH_LENGTH, (own_high, own_low), (high, low), v)
    write_tunnel(c, t, f, i)
    keep_sums(c.memory, t, f)
    return 0


def own_address(t, own, v):
    """The address that a tunnel's packets come from: as its settings say, else that of the port that they leave through."""
    if (t.local[0] | t.local[1]) != ZERO:
        return t.local[0], t.local[1]
    if v == 4:
        return ZERO, u64(own.ip)
    return own.ip6[0], own.ip6[1]


def write_pair(memory, at, high, low):
    """Two words, as an IPv6 address lies."""
    store64(memory, at, high)
    store64(memory, at + 8, low)


def write_ends(memory, at, source, to, v):
    """The addresses of the outer IP header."""
    if v == 4:
        store32(memory, at + ipv4.SRC, i64(source[1]))
        store32(memory, at + ipv4.DST, i64(to[1]))
        return
    write_pair(memory, at + ipv6.SRC, source[0], source[1])
    write_pair(memory, at + ipv6.DST, to[0], to[1])


def write_ip(memory, f, t, v):
    """The outer IP header but for its addresses; its TTL is that of the settings, its TOS, length and id the packet's."""
    at = f.buf + f.data_off + ETH_LENGTH
    proto = ipv4.UDP
    if t.kind == GRE:
        proto = GRE_PROTO
    ttl = t.ttl
    if ttl == 0:
        ttl = DEFAULT_TTL
    if v == 6:
        f.l3_len = ipv6.LENGTH
        store64(memory, at, u64(6 << 60 | proto << 8 | ttl))
        return
    f.l3_len = ipv4.LENGTH
    place = 0
    if t.marks & TP_DF != 0:
        place = ipv4.DONT_FRAGMENT
    store32(memory, at, 0x45000000)
    store32(memory, at + ipv4.ID, place)
    store32(memory, at + ipv4.TTL, ttl << 24 | proto << 16)


def write_tunnel(c, t, f, i):
    """What stands behind the outer IP header."""
    memory = c.memory
    begin = f.buf + f.data_off
    at = begin + ETH_LENGTH + f.l3_len
    w = c.tunnels[i]
    key = i64(t.key)
    value = ZERO
    if c.mbufs[i].ol_flags & TUN_META != ZERO:
        value = w.opt0
    if t.marks & TP_KEY_FLOW != 0:
        key = 0
        if c.mbufs[i].ol_flags & TUN_META != ZERO:
            key = i64(w.w[TUN_ID])
    if t.kind == GRE:
        f.data_len = at - begin + write_gre(memory, at, t, key)
        return
    store32(memory, at, t.dst_port)
    store32(memory, at + udp.TOTAL, 0)
    at += udp.LENGTH
    if t.kind == VXLAN:
        store32(memory, at, vxlan.HAS_VNI << 24)
        store32(memory, at + vxlan.VNI, key << vxlan.VNI_SHIFT)
        at += vxlan.LENGTH
    elif t.kind == MPLSOUDP:
        ttl = load8(memory, begin + ETH_LENGTH + ttl_at(f))
        store32(memory, at, (key & LABEL_MASK) << mpls.LABEL_SHIFT | mpls.BOTTOM | ttl)
        at += mpls.LENGTH
    elif t.kind == GENEVE:
        n = options_length(t, value)
        flags = 0
        if write_options(memory, at + geneve.OPTIONS, t, value) != 0:
            flags = geneve.CRITICAL
        store32(memory, at, (n >> 2 << geneve.WORDS_SHIFT | flags) << 16 | BRIDGED)
        store32(memory, at + geneve.VNI, key << geneve.VNI_SHIFT)
        at += geneve.LENGTH + n
    f.data_len = at - begin


def ttl_at(f):
    """Where the TTL stands in the outer IP header."""
    if f.l3_len == ipv4.LENGTH:
        return ipv4.TTL
    return ipv6.TTL


def write_gre(memory, at, t, key):
    """A GRE header; its length. Checksum and sequence number are the packet's."""
    flags = 0
    off = gre.LENGTH
    if t.marks & TP_CSUM != 0:
        flags |= gre.HAS_CHECKSUM
        store32(memory, at + off, 0)
        off += gre.WORD
    if t.marks & TP_HAS_KEY != 0:
        flags |= gre.HAS_KEY
        store32(memory, at + off, key)
        off += gre.WORD
    if t.marks & TP_SEQ != 0:
        flags |= gre.HAS_SEQUENCE
        store32(memory, at + off, 0)
        off += gre.WORD
    store32(memory, at, flags << 16 | BRIDGED)
    return off


def keep_sums(memory, t, f):
    """Into the checksum fields, the sums of what is the same for all packets: of the IPv4 header, and of UDP's pseudo-header."""
    at = f.buf + f.data_off + ETH_LENGTH
    if f.l3_len == ipv4.LENGTH:
        proto = load8(memory, at + ipv4.PROTO)
        ends = sum16(memory, at + ipv4.SRC, 8)
        store16(memory, at + ipv4.CHECKSUM, 0)
        store16(memory, at + ipv4.CHECKSUM, sum16(memory, at, ipv4.LENGTH))
    else:
        proto = load8(memory, at + ipv6.NEXT)
        ends = sum16(memory, at + ipv6.SRC, 32)
    if t.kind != GRE and t.marks & TP_CSUM != 0:
        total = ends + proto
        store16(memory, at + f.l3_len + udp.CHECKSUM, (total & 0xFFFF) + (total >> 16))


@apart
def same_way(c, i, j):
    """Whether two packets ask for the same tunnel."""
    if (c.mbufs[i].ol_flags & TUN_META) != (c.mbufs[j].ol_flags & TUN_META) or c.tunnels[i].opt0 != c.tunnels[j].opt0:
        return 0
    a, b = c.tunnels[i].w, c.tunnels[j].w
    for n in range(len(a)):
        if a[n] != b[n]:
            return 0
    return 1


def hop_of(memory, f):
    """The next hop that NO_NEIGHBOUR is about, in two words."""
    at = f.buf + f.data_off
    return load64(memory, at), load64(memory, at + 8)


def asker_of(memory, f):
    """The address that asks for it."""
    at = f.buf + f.data_off + 16
    return load64(memory, at), load64(memory, at + 8)
