"""Congestion across a tunnel's end (RFC 6040): what the outer header met goes into the inner one, or the packet is lost.

`pop` asks when the outer headers are about to go. The IPv4 header checksum stays as right or wrong as it was.
"""

from lab.memory.mbuf import IP_CSUM_PARTIAL
from lab.memory.raw import apart, load16, load32, store8, store16, store32, u64
from lab.packet.checksum import update16
from lab.packet.headers import ipv4

NOT_ECT, ECT_1, ECT_0, CE, ECN_MASK = 0, 1, 2, 3, 3
LOST = -1


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
    if m.ol_flags & IP_CSUM_PARTIAL == u64(0):
        store16(memory, at + ipv4.CHECKSUM, update16(load16(memory, at + ipv4.CHECKSUM), old, new))
