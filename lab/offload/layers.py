"""Where a packet's headers lie: computed from its bytes, never trusted from metadata.

Every offload stage begins here. A packet in a tunnel is looked at from `inner_off` on (flag TUNNEL), and the headers
around it as well; any other packet, encapsulated or not, from its first byte. Headers must lie together in the first
segment; `need` says how many bytes would have to, and `chains.pull_up` brings them there. Nothing is judged here beyond
whether the lengths hold; what it costs is a few dozen cycles, so the common case has shortcuts in GRO and GSO.
"""

from lab.memory.mbuf import TUNNEL
from lab.memory.raw import apart, load8, load16
from lab.packet.headers.ethernet import IPV4, IPV6, VLAN, VLAN_SERVICE
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH
from lab.packet.headers.ipv4 import MORE_FRAGMENTS, OFFSET_MASK, SCTP, TCP, UDP, get_frag, get_proto, get_total
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import check_chain, get_payload
from lab.packet.headers.tcp import OFFSET as TCP_OFFSET

TAG = 4
FRAG_ANY, FRAG_LATER = 1, 2
TCP_LENGTH, UDP_LENGTH, SCTP_LENGTH = 20, 8, 12
GRE_PROTO = 47
MOST_HEADERS = 1024  # so many bytes are asked for at once where nobody can say how many headers there will be


@apart
def look(memory, m, s):
    """Find the headers of a packet, and of the tunnel around it: 1 when IP and a transport that offloads know are there, whole."""
    s.outer_v = 0
    s.need = 0
    s.v = 0
    s.l4_len = 0
    begins = link_layer(memory, m, s)
    if begins == 0:
        return 0
    if m.ol_flags & TUNNEL == 0:
        return transport(memory, m, s, begins)
    if network(memory, m, s, begins) == 0 or (s.proto != UDP and s.proto != GRE_PROTO) or s.frag & FRAG_LATER != 0:
        return 0
    s.outer_v = s.v
    s.outer_ip = s.ip
    s.outer_ip_len = s.ip_len
    s.outer_proto = s.proto
    s.outer_l4 = s.ip + s.ip_len
    s.v = 0
    if m.inner_off < s.outer_l4 + 4 or there(m, s, m.inner_off + 1) == 0:
        return 0
    s.l2_len = m.inner_off
    return transport(memory, m, s, m.inner_off)


def there(m, s, upto):
    """1 when the first `upto` bytes lie in the first segment; 0 when they do not, and `need` says whether they could."""
    if upto <= m.data_len:
        return 1
    if upto <= m.pkt_len:
        s.need = upto
    return 0


def link_layer(memory, m, s):
    """Where what the last Ethernet type announces begins, 0 when that is no IP; `v` is its version then."""
    off = ETH_LENGTH
    if there(m, s, off) == 0:
        return 0
    at = m.buf + m.data_off
    kind = load16(memory, at + off - 2)
    tags = 0
    while (kind == VLAN or kind == VLAN_SERVICE) and tags < 2:
        off += TAG
        if there(m, s, off) == 0:
            return 0
        kind = load16(memory, at + off - 2)
        tags += 1
    s.l2_len = off
    if kind != IPV4 and kind != IPV6:
        return 0
    return off


def network(memory, m, s, off):
    """The IP header at an offset, its options or extension headers with it: 1 when it is whole and its lengths hold."""
    if there(m, s, off + IPV4_LENGTH) == 0:
        return 0
    at = m.buf + m.data_off + off
    version = load8(memory, at) >> 4
    s.ip = off
    s.frag = 0
    if version == 4:
        s.ip_len = (load8(memory, at) & 15) * 4
        s.end = off + get_total(memory, at)
        if s.ip_len < IPV4_LENGTH or s.end < off + s.ip_len or s.end > m.pkt_len or there(m, s, off + s.ip_len) == 0:
            return 0
        s.proto = get_proto(memory, at)
        place = get_frag(memory, at)
        if place & OFFSET_MASK != 0:
            s.frag = FRAG_ANY | FRAG_LATER
        elif place & MORE_FRAGMENTS != 0:
            s.frag = FRAG_ANY
    elif version == 6:
        if network6(memory, m, s, off) == 0:
            return 0
    else:
        return 0
    s.v = version
    return 1


def network6(memory, m, s, off):
    """IPv6 and its extension headers."""
    if there(m, s, off + IPV6_LENGTH) == 0:
        return 0
    at = m.buf + m.data_off + off
    s.end = off + IPV6_LENGTH + get_payload(memory, at)
    if s.end > m.pkt_len:
        return 0
    left = m.data_len - off
    if s.end - off < left:
        left = s.end - off
    length, proto, frag = check_chain(memory, at, left)
    if length == 0:
        if m.data_len < s.end:  # its chain may go on in the next segment
            s.need = s.end
            if s.end > MOST_HEADERS and m.data_len < MOST_HEADERS:
                s.need = MOST_HEADERS
        return 0
    s.ip_len = length
    s.proto = proto
    s.frag = frag
    return 1


def transport(memory, m, s, off):
    """IP at an offset and what it carries: 1 when that is TCP, UDP or SCTP with its header whole."""
    if network(memory, m, s, off) == 0:
        return 0
    s.l4 = s.ip + s.ip_len
    s.payload = s.l4
    if s.frag & FRAG_LATER != 0:
        return 0
    length = 0
    if s.proto == TCP and s.l4 + TCP_LENGTH <= s.end:
        if there(m, s, s.l4 + TCP_LENGTH) == 0:
            return 0
        length = (load8(memory, m.buf + m.data_off + s.l4 + TCP_OFFSET) >> 4) * 4
        if length < TCP_LENGTH:
            return 0
    elif s.proto == UDP:
        length = UDP_LENGTH
    elif s.proto == SCTP:
        length = SCTP_LENGTH
    if length == 0 or s.l4 + length > s.end or there(m, s, s.l4 + length) == 0:
        return 0
    s.l4_len = length
    s.payload = s.l4 + length
    return 1
