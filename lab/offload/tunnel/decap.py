"""Taking a tunnel off a packet that came for the switch itself.

`pop` calls `decapsulate` for packets that may be meant; what it decides comes back as a reason, its figures in the mbuf. An IP
packet that came without an Ethernet header (GRE, MPLS over UDP) gets one: to the tunnel port's address, from nobody. OVS would
give it a packet_type instead, and rules that know of one. Only a private first segment is written to.
"""

from lab.memory.mbuf import (
    BORROWED,
    CHECKED,
    GSO,
    IP_CSUM_BAD,
    IP_CSUM_GOOD,
    IP_CSUM_PARTIAL,
    L4_CSUM_BAD,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_FIXED_ID,
    OUTER_IP_BAD,
    OUTER_IP_GOOD,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TO_COMPUTE,
    TUN_META,
    TUNNEL,
)
from lab.memory.mempool import give
from lab.memory.raw import apart, i64, sum16, u64
from lab.memory.reasons import BAD_TUNNEL, ECN_MARKED, NO_HEADROOM, NOT_POPPED, POPPED
from lab.memory.record import NULL
from lab.offload.capabilities import GSO_ECN, GSO_KIND
from lab.offload.chains import pull_up
from lab.offload.layers import GRE_PROTO
from lab.offload.records import GENEVE, GRE, MPLSOUDP, NO_TUNNEL, VXLAN
from lab.offload.seen import see
from lab.offload.tunnel.ecn import ECN_MASK, hear_congestion
from lab.offload.tunnel.ends import F_CSUM, F_KEY, F_OAM, TUN, TUN_ID, first_port, is_own, note, port_for
from lab.offload.tunnel.inside import BRIDGED, UNKNOWN, behind_labels, carried, kind_of
from lab.offload.tunnel.options import MAPPED, read_options
from lab.packet.checksum import ONES, fold, pseudo_ipv4, pseudo_ipv6, sum_chain
from lab.packet.headers import ethernet, geneve, gre, mpls, udp
from lab.packet.headers.ethernet import TYPE_MIN
from lab.packet.headers.ethernet import set_dst as ethernet_set_dst
from lab.packet.headers.ethernet import set_src as ethernet_set_src
from lab.packet.headers.ethernet import set_type as ethernet_set_type
from lab.packet.headers.geneve import get_flags as geneve_get_flags
from lab.packet.headers.geneve import get_vni as geneve_get_vni
from lab.packet.headers.gre import get_flags as gre_get_flags
from lab.packet.headers.gre import get_key as gre_get_key
from lab.packet.headers.mpls import get_lse as mpls_get_lse
from lab.packet.headers.udp import get_checksum as udp_get_checksum
from lab.packet.headers.udp import get_total as udp_get_total
from lab.packet.headers.vxlan import get_vni as vxlan_get_vni

ETH_LENGTH, UDP_LENGTH = ethernet.LENGTH, udp.LENGTH
INNER_HEADERS = 14 + 8 + 60 + 60  # bytes of the packet inside that shall lie together
OUTER_STATES = OUTER_IP_GOOD | OUTER_IP_BAD | OUTER_L4_GOOD | OUTER_L4_BAD | OUTER_L4_PARTIAL | OUTER_FIXED_ID | TUNNEL
NOT_YET = GSO | L4_CSUM_PARTIAL | OUTER_L4_PARTIAL  # a checksum around any of these is not true yet
ZERO = u64(0)


@apart
def decapsulate(c, i, port):
    """POPPED (or ECN_MARKED as well), NOT_POPPED, 0 when it is none of ours, or why it must be dropped. `port`: where it came in."""
    m = c.mbufs[i]
    s = c.sight[0]
    outer_headers(c, i)
    if s.v == 0 or not is_own(c.memory, m, s, c.addresses[port]):
        return 0
    first = first_port(c.memory, m, s, c.tunnel_ports)
    if first == 0:
        m.reason_a = 0
        if kind_of(c.memory, m, s) == NO_TUNNEL:
            return 0
        return NOT_POPPED
    kind = c.tunnel_ports[first].kind
    off, named = behind_tunnel(c, i, kind)
    m.reason_a = off
    m.reason_b = kind
    if off == 0 or (named != BRIDGED and named < TYPE_MIN):
        return BAD_TUNNEL
    key = i64(key_of(c.memory, m, s, kind, off))
    p = port_for(c, m, s, first, u64(key))
    if p == 0:
        m.reason_a = key
        return NOT_POPPED
    end = ending(c.memory, m, s, off)
    if end == 0 or sound(c, i, kind, end) == 0:
        return BAD_TUNNEL
    trim(c, i, end)
    why = come_through(c, i, off, named, p)
    if why == POPPED or why == ECN_MARKED:
        c.tunnels[i].w[TUN_ID] = u64(key)
        m.reason_b = key
    return why


def outer_headers(c, i):
    """Find the outer headers, whatever the packet says of its tunnel, and pull them up when they are cut."""
    m = c.mbufs[i]
    s = c.sight[0]
    flags = m.ol_flags
    m.ol_flags = flags & ~TUNNEL
    see(c.memory, c.mbufs, c.pool, i, s)
    m.ol_flags = flags


def behind_tunnel(c, i, kind):
    """Where what is inside begins and of which type it is: BRIDGED or an Ethernet type; (0, UNKNOWN) when its header is no good."""
    m = c.mbufs[i]
    s = c.sight[0]
    off, named = 0, UNKNOWN
    while True:
        s.need = 0
        off, named = carried(c.memory, m, s, kind)
        if kind == MPLSOUDP and off != 0:
            off, named = behind_labels(c.memory, m, s, off)
        if s.need == 0 or pull_up(c.memory, c.mbufs, c.pool, i, s.need) == 0:
            break
    want = off + INNER_HEADERS
    if want > m.pkt_len:
        want = m.pkt_len
    pull_up(c.memory, c.mbufs, c.pool, i, want)
    if off > m.data_len or off >= m.pkt_len:
        return 0, UNKNOWN
    return off, named


def key_of(memory, m, s, kind, off):
    """The key in a tunnel header that is sound: a VNI, a label (the one that says what is inside), a GRE key or 0."""
    at = m.buf + m.data_off + s.l4
    if kind == VXLAN:
        return vxlan_get_vni(memory, at + UDP_LENGTH)
    if kind == GENEVE:
        return geneve_get_vni(memory, at + UDP_LENGTH)
    if kind == MPLSOUDP:
        return mpls_get_lse(memory, m.buf + m.data_off + off - mpls.LENGTH) >> mpls.LABEL_SHIFT
    if gre_get_flags(memory, at) & gre.HAS_KEY != 0:
        return gre_get_key(memory, at)
    return 0


def ending(memory, m, s, off):
    """Where the packet ends, as UDP says, and IP; 0 when they disagree."""
    end = s.end
    if s.proto != GRE_PROTO:
        end = s.l4 + udp_get_total(memory, m.buf + m.data_off + s.l4)
    if end > s.end or end <= off:
        return 0
    return end


@apart
def sound(c, i, kind, end):
    """Whether the outer checksums are right, as far as they are there and nobody has looked at them yet."""
    m = c.mbufs[i]
    s = c.sight[0]
    at = m.buf + m.data_off
    flags = m.ol_flags
    ip_good, ip_bad, l4_good, l4_bad = IP_CSUM_GOOD | IP_CSUM_PARTIAL, IP_CSUM_BAD, L4_CSUM_GOOD, L4_CSUM_BAD
    if flags & TUNNEL != ZERO:
        ip_good, ip_bad, l4_good, l4_bad = OUTER_IP_GOOD, OUTER_IP_BAD, OUTER_L4_GOOD, OUTER_L4_BAD
    if flags & (ip_bad | l4_bad) != ZERO:
        return 0
    if s.v == 4 and flags & (GSO | ip_good) == ZERO and sum16(c.memory, at + s.ip, s.ip_len) != ONES:
        return 0
    if flags & NOT_YET != ZERO:
        return 1
    total = 0
    if kind == GRE:
        if gre_get_flags(c.memory, at + s.l4) & gre.HAS_CHECKSUM == 0:
            return 1
    elif flags & l4_good != ZERO or udp_get_checksum(c.memory, at + s.l4) == 0:
        return 1
    elif s.v == 4:
        total = pseudo_ipv4(c.memory, at + s.ip, s.proto, end - s.l4)
    else:
        total = pseudo_ipv6(c.memory, at + s.ip, s.proto, end - s.l4)
    if fold(total + sum_chain(c.memory, c.mbufs, i, s.l4, end - s.l4)) != ONES:
        return 0
    return 1


def trim(c, i, end):
    """Take off what lies behind the end of the outer packet: padding would belong to the inner one otherwise."""
    m = c.mbufs[i]
    if m.pkt_len <= end:
        return
    m.pkt_len = end
    segments = 1
    at = i
    while c.mbufs[at].data_len < end:
        end -= c.mbufs[at].data_len
        at = c.mbufs[at].next
        segments += 1
    last = c.mbufs[at]
    last.data_len = end
    if last.next != NULL:
        give(c.pool, c.mbufs, last.next)
        last.next = NULL
    m.nb_segs = segments


@apart
def come_through(c, i, off, named, p):
    """Take the outer headers off: what is inside has come in through tunnel port `p`."""
    m = c.mbufs[i]
    s = c.sight[0]
    w = c.tunnels[i].w
    strip = off
    if named != BRIDGED:
        strip = off - ETH_LENGTH
        if m.refcnt != 1 or m.ol_flags & BORROWED != ZERO:
            return NO_HEADROOM
    if not sheds(m, strip):
        return BAD_TUNNEL
    note(c.memory, m, s, w)
    w[TUN] = w[TUN] | u64(flags_of(c.memory, m, s, c.tunnel_ports[p].kind))
    c.tunnels[i].opt0 = ZERO
    if c.tunnel_ports[p].kind == GENEVE:
        known, value = read_options(c.memory, m.buf + m.data_off + s.l4 + UDP_LENGTH, c.tunnel_ports[p].options[MAPPED])
        if known == 0:
            return BAD_TUNNEL
        c.tunnels[i].opt0 = value
    why = hear_congestion(c, m, off, named, i64(w[TUN] >> u64(16)) & ECN_MASK)
    m.reason_a = off
    if why != POPPED and why != ECN_MARKED:
        return why
    shed(m, strip)
    if named != BRIDGED:
        at = m.buf + m.data_off
        ethernet_set_dst(c.memory, at, c.ports[p].mac)
        ethernet_set_src(c.memory, at, ZERO)
        ethernet_set_type(c.memory, at, named)
    m.in_port = p
    m.ol_flags = m.ol_flags | TUN_META
    return why


def flags_of(memory, m, s, kind):
    """tun_flags of a packet."""
    at = m.buf + m.data_off + s.l4
    if kind == GRE:
        flags = gre_get_flags(memory, at)
        said = 0
        if flags & gre.HAS_CHECKSUM != 0:
            said = F_CSUM
        if flags & gre.HAS_KEY != 0:
            said |= F_KEY
        return said
    said = F_KEY
    if udp_get_checksum(memory, at) != 0:
        said |= F_CSUM
    if kind == GENEVE and geneve_get_flags(memory, at + UDP_LENGTH) & geneve.OAM != 0:
        said |= F_OAM
    return said


def sheds(m, strip):
    """Whether what a packet still wants done can be said without its outer headers."""
    flags = m.ol_flags
    if flags & TUNNEL != ZERO:
        return flags & (GSO | L4_CSUM_PARTIAL) == ZERO or (m.inner_off > strip and m.csum_start > strip)
    return flags & GSO == ZERO


def shed(m, strip):
    """Let go of the outer bytes and of what was known of them; what was known of the inner ones is the packet's now."""
    flags = m.ol_flags
    if flags & TUNNEL != ZERO:
        m.ol_flags = flags & ~OUTER_STATES
        m.gso_type = m.gso_type & (GSO_KIND | GSO_ECN)
    elif m.csum_start > strip:
        m.ol_flags = flags & ~(CHECKED | TO_COMPUTE) | (flags & L4_CSUM_PARTIAL)  # its sender summed the outside already
    else:
        m.ol_flags = flags & ~(CHECKED | TO_COMPUTE)
    if m.ol_flags & L4_CSUM_PARTIAL != ZERO:
        m.csum_start -= strip
    m.inner_off = 0
    m.data_off += strip
    m.data_len -= strip
    m.pkt_len -= strip
