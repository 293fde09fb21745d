"""What a tunnel carries: which kind a packet is of, where its tunnel header ends, and where the IP header inside begins.

Asked by whoever looks behind outer headers: pop, GRO of packets that stay in their tunnel, checksums. The outer headers
have been found by `layers.look` (without flag TUNNEL); here nothing is changed, and whether a tunnel port would take
the packet is `pop`'s to say. Only ports that are the tunnels' own by RFC are known.
"""

from lab.memory.raw import apart, load8, load16, load32
from lab.offload.layers import FRAG_ANY, GRE_PROTO, TAG, there
from lab.offload.records import GENEVE, GRE, MPLSOUDP, NO_TUNNEL, VXLAN
from lab.packet.headers import geneve, gre, vxlan
from lab.packet.headers.ethernet import IPV4, IPV6, MPLS, VLAN, VLAN_SERVICE
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.geneve import check as geneve_check
from lab.packet.headers.geneve import get_options as geneve_get_options
from lab.packet.headers.geneve import get_protocol as geneve_get_protocol
from lab.packet.headers.gre import check as gre_check
from lab.packet.headers.gre import get_flags as gre_get_flags
from lab.packet.headers.gre import get_protocol as gre_get_protocol
from lab.packet.headers.gre import length_of as gre_length_of
from lab.packet.headers.ipv4 import UDP
from lab.packet.headers.mpls import BOTTOM
from lab.packet.headers.mpls import LENGTH as LABEL
from lab.packet.headers.udp import DST
from lab.packet.headers.udp import LENGTH as UDP_LENGTH
from lab.packet.headers.vxlan import check as vxlan_check

MPLS_PORT = 6635
BRIDGED = 0x6558  # what a tunnel header calls an Ethernet frame
MOST_LABELS = 16
UNKNOWN = 0


def kind_of(memory, m, s):
    """Which kind of tunnel the headers announce, NO_TUNNEL for none; of a fragment nobody can say."""
    if s.v == 0 or s.frag & FRAG_ANY != 0:
        return NO_TUNNEL
    if s.proto == GRE_PROTO:
        return GRE
    if s.proto != UDP or s.l4_len == 0:
        return NO_TUNNEL
    port = load16(memory, m.buf + m.data_off + s.l4 + DST)
    if port == vxlan.PORT:
        return VXLAN
    if port == geneve.PORT:
        return GENEVE
    if port == MPLS_PORT:
        return MPLSOUDP
    return NO_TUNNEL


@apart
def inner_of(memory, m, s):
    """Where the IP header inside begins, from the frame's first byte; 0 when there is no tunnel or no IP in it (or `need` says more)."""
    kind = kind_of(memory, m, s)
    if kind == NO_TUNNEL:
        return 0
    off, named = carried(memory, m, s, kind)
    if named == BRIDGED:
        off, named = behind_link(memory, m, s, off)
    if named == MPLS:
        off, named = behind_labels(memory, m, s, off)
    if (named != IPV4 and named != IPV6) or there(m, s, off + 1) == 0:
        return 0
    version = load8(memory, m.buf + m.data_off + off) >> 4
    if (named == IPV4 and version == 4) or (named == IPV6 and version == 6):
        return off
    return 0


def carried(memory, m, s, kind):
    """Where what the tunnel header announces begins and of which type it is: BRIDGED, an Ethernet type, or UNKNOWN."""
    off = s.l4
    if kind != GRE:
        off += UDP_LENGTH
    if kind == MPLSOUDP:
        return off, MPLS
    if there(m, s, off + gre.LENGTH) == 0:
        return 0, UNKNOWN
    at = m.buf + m.data_off + off
    if kind == GRE:
        length = gre_length_of(gre_get_flags(memory, at))
    else:
        length = vxlan.LENGTH
        if kind == GENEVE:
            length += geneve_get_options(memory, at)
    if off + length > s.end or there(m, s, off + length) == 0:
        return 0, UNKNOWN
    return carried_by(memory, at, off, length, kind)


def carried_by(memory, at, off, length, kind):
    """The same, of a header that is wholly there."""
    if kind == GRE and gre_check(memory, at, length) != 0:
        return off + length, gre_get_protocol(memory, at)
    if kind == GENEVE and geneve_check(memory, at, length) != 0:
        return off + length, geneve_get_protocol(memory, at)
    if kind == VXLAN and vxlan_check(memory, at, length) != 0:
        return off + length, BRIDGED
    return 0, UNKNOWN


def behind_link(memory, m, s, off):
    """What the Ethernet header at an offset and up to two tags announce, and where it begins."""
    off += ETH_LENGTH
    if there(m, s, off) == 0:
        return 0, UNKNOWN
    at = m.buf + m.data_off
    named = load16(memory, at + off - 2)
    tags = 0
    while (named == VLAN or named == VLAN_SERVICE) and tags < 2:
        off += TAG
        if there(m, s, off) == 0:
            return 0, UNKNOWN
        named = load16(memory, at + off - 2)
        tags += 1
    if named == MPLS:
        return 0, UNKNOWN
    return off, named


def behind_labels(memory, m, s, off):
    """What follows a stack of labels, which only its first bits tell, and where it begins; a stack without an end has none."""
    at = m.buf + m.data_off
    label = 0
    count = 0
    while label & BOTTOM == 0:
        if count == MOST_LABELS or off + LABEL > s.end or there(m, s, off + LABEL) == 0:
            return 0, UNKNOWN
        label = load32(memory, at + off)
        off += LABEL
        count += 1
    if off >= s.end or there(m, s, off + 1) == 0:
        return 0, UNKNOWN
    version = load8(memory, at + off) >> 4
    if version == 4:
        return off, IPV4
    if version == 6:
        return off, IPV6
    return 0, UNKNOWN
