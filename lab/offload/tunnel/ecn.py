"""Congestion across a tunnel's end (RFC 6040): what the outer header met goes into the inner one, or the packet is lost.

`pop` asks when the outer headers are about to go. The IPv4 header checksum stays as right or wrong as it was.
"""

from lab.memory.mbuf import BORROWED, IP_CSUM_PARTIAL
from lab.memory.raw import apart, load16, load32, store8, store16, store32, u64
from lab.memory.reasons import ECN_MARKED, NO_HEADROOM, POPPED, TUNNEL_ECN
from lab.offload.tunnel.inside import BRIDGED, behind_link
from lab.packet.checksum import update16
from lab.packet.headers import ipv4, ipv6
from lab.packet.headers.ethernet import IPV4, IPV6
from lab.packet.headers.ipv4 import get_tos as ipv4_get_tos
from lab.packet.headers.ipv6 import get_tos as ipv6_get_tos

NOT_ECT, ECT_1, ECT_0, CE, ECN_MASK = 0, 1, 2, 3, 3
LOST = -1
ZERO = u64(0)


def inner_mark(inner, outer):
    """The inner mark behind the tunnel; LOST when the sender would not understand what must be said."""
    if outer == CE:
        if inner == NOT_ECT:
            return LOST
        return CE
    if outer == ECT_1 and inner == ECT_0:
        return ECT_1
    return inner


@apart
def set_mark(memory, m, off, version, mark):
    """Write the ECN bits of the IP header at an offset."""
    at = m.buf + m.data_off + off
    if version == 6:
        store32(memory, at, (load32(memory, at) & ~(ECN_MASK << 20)) | mark << 20)
        return
    old = load16(memory, at)
    new = (old & ~ECN_MASK) | mark
    store8(memory, at + ipv4.TOS, new)
    if m.ol_flags & IP_CSUM_PARTIAL == ZERO:
        store16(memory, at + ipv4.CHECKSUM, update16(load16(memory, at + ipv4.CHECKSUM), old, new))


@apart
def hear_congestion(c, m, off, named, outer):
    """What the outer ECN bits mean for the packet inside: POPPED or ECN_MARKED, or why it is lost (NO_HEADROOM: it is shared)."""
    s = c.sight[1]
    s.need = 0
    if named == BRIDGED:
        off, named = behind_link(c.memory, m, s, off)
    least = 0
    if named == IPV4:
        least = ipv4.LENGTH
    elif named == IPV6:
        least = ipv6.LENGTH
    if least == 0 or off + least > m.data_len:
        return POPPED
    at = m.buf + m.data_off + off
    inner = ipv4_get_tos(c.memory, at)
    version = 4
    if named == IPV6:
        inner = ipv6_get_tos(c.memory, at)
        version = 6
    mark = inner_mark(inner & ECN_MASK, outer)
    if mark == inner & ECN_MASK:
        return POPPED
    if mark == LOST:
        return TUNNEL_ECN
    if m.refcnt != 1 or m.ol_flags & BORROWED != ZERO:
        return NO_HEADROOM
    set_mark(c.memory, m, off, version, mark)
    if mark == CE:
        return ECN_MARKED
    return POPPED
