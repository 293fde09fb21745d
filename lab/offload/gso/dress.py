"""The mbuf of a segment's headers: what it has in common with the packet that was cut, and what is its own.

Its payload is not here (`cut`, `headed`), nor are the bytes of its headers (`heads`).
"""

from lab.memory.mbuf import (
    BORROWED,
    ELEMENTS,
    FIXED_ID,
    GSO,
    HEADROOM,
    L4_CSUM_BAD,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_FIXED_ID,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TUN_META,
    own_buffer,
)
from lab.memory.raw import copy_line
from lab.offload.gso.heads import leaves_partial
from lab.packet.headers import tcp, udp

SUMS = L4_CSUM_GOOD | L4_CSUM_BAD | L4_CSUM_PARTIAL | OUTER_L4_GOOD | OUTER_L4_BAD | OUTER_L4_PARTIAL
# what `tunnels` holds by an mbuf's number is not the segments'
KEPT = ~(BORROWED | GSO | ELEMENTS | FIXED_ID | OUTER_FIXED_ID | TUN_META | SUMS)


def flags_of(m, h):
    """The flags of a packet's segments."""
    return (m.ol_flags & KEPT) | leaves_partial(h)


def dress(j, to, m, h, owner):
    """Make an mbuf of the pool the first of a segment; lengths, flags and what follows it are the caller's."""
    copy_line(to, m)
    to.buf = own_buffer(j)
    to.data_off = HEADROOM
    to.data_len = h.n
    to.refcnt = 1
    to.owner = owner
    to.tso_segsz = 0
    to.serial = m.serial
    to.timestamp = m.timestamp
    to.dp_hash = m.dp_hash
    mark(to, m, h)


def mark(to, m, h):
    """The offload fields of a segment."""
    to.inner_off = m.inner_off
    to.gso_type = 0
    to.gso_segs = 0
    to.csum_start = h.l4
    to.csum_offset = tcp.CHECKSUM
    if h.is_udp != 0:
        to.csum_offset = udp.CHECKSUM


def keep_large(to, m, whole, flags):
    """A segment that the port is to cut further, into `whole` ones: the packet's size, type and ids."""
    to.tso_segsz = m.tso_segsz
    to.gso_type = m.gso_type
    to.gso_segs = whole
    to.ol_flags = flags | GSO | (m.ol_flags & (FIXED_ID | OUTER_FIXED_ID))
