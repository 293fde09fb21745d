"""mbufs: the records that stand for packets, and chains of them.

A packet is the index of its first mbuf. An mbuf says where its bytes lie (`buf + data_off`), how many
there are, which mbuf follows, and what the stages learned. `buf` is an offset in the reserved range, so
a segment may also lie in memory that is not the arena's (an *external* segment: a guest's, an AF_XDP
frame), and then it carries whom to tell when it is free. The functions here are called from stages.
"""

import numpy as np

from lab.memory.raw import copy
from lab.memory.record import NULL, Layout

HEADROOM = 128
ROOM = 2176  # bytes of one buffer, headroom included
FILL = ROOM - HEADROOM
FIRST_BUFFER = 4096  # offset of mbuf 0's buffer: packets' bytes lie behind the first page of the range
MAX_SEGMENTS = 64  # the longest chain: 128 KB, room for a 64 KB frame with its headers

# ol_flags. The first two say that the buffer is not the mbuf's own.
INDIRECT = np.uint64(1 << 0)  # it refers to the buffer of mbuf `attached`
EXTERNAL = np.uint64(1 << 1)  # it refers to memory of `ext_owner`, which wants `ext_cookie` back
BORROWED = INDIRECT | EXTERNAL
IP_CSUM_GOOD, IP_CSUM_BAD = np.uint64(1 << 4), np.uint64(1 << 5)
L4_CSUM_GOOD, L4_CSUM_BAD = np.uint64(1 << 6), np.uint64(1 << 7)
L4_CSUM_PARTIAL = np.uint64(1 << 8)  # NEEDS_CSUM: the sum of the pseudo-header stands in the field
GSO = np.uint64(1 << 9)  # larger than a frame of the wire: gso_type and tso_segsz say how to cut it
MARKED = np.uint64(1 << 10)
HASHED = np.uint64(1 << 11)  # an action has computed `dp_hash`
IP_CSUM_PARTIAL = np.uint64(1 << 12)  # the IPv4 header's checksum is still to be computed
# IP_ and L4_ speak of the innermost headers that a stage has looked at; OUTER_ of those of the tunnel around them
OUTER_IP_GOOD, OUTER_IP_BAD = np.uint64(1 << 13), np.uint64(1 << 14)
OUTER_L4_GOOD, OUTER_L4_BAD = np.uint64(1 << 15), np.uint64(1 << 16)
OUTER_L4_PARTIAL = np.uint64(1 << 17)  # the checksum of the tunnel's UDP or GRE header is still to be computed
TUNNEL = np.uint64(1 << 18)  # it carries a packet in a tunnel, whose IP header begins at `inner_off`
TUN_META = np.uint64(1 << 19)  # `tunnels[i]` says which tunnel it came through, or shall take
FIXED_ID, OUTER_FIXED_ID = np.uint64(1 << 20), np.uint64(1 << 21)  # GSO: all segments have the same IPv4 id
ELEMENTS = np.uint64(1 << 22)  # GSO: a chain of elements, each an mbuf for headers and then one segment's payload
CHECKED = IP_CSUM_GOOD | IP_CSUM_BAD | L4_CSUM_GOOD | L4_CSUM_BAD | OUTER_IP_GOOD | OUTER_IP_BAD | OUTER_L4_GOOD | OUTER_L4_BAD
TO_COMPUTE = IP_CSUM_PARTIAL | L4_CSUM_PARTIAL | OUTER_L4_PARTIAL
CHAINED = np.uint64(1 << 63)  # in `wants` of a batch alone: a packet of several segments

mbuf_t = Layout(
    "mbuf",
    line=True,
    buf="i8",
    data_len="u4",
    pkt_len="u4",
    next="u4",
    flow="u4",
    recirc_id="u4",
    mark="u4",
    data_off="u2",
    refcnt="u2",
    l2_len="u2",
    l3_len="u2",
    l4_len="u2",
    tso_segsz="u2",
    in_port="u1",
    owner="u1",
    nb_segs="u1",
    blocks="u1",
    hash="u8",
    ol_flags="u8",
    # the second cache line: offloads and rarer things
    inner_off="u2",
    gso_segs="u2",
    gso_type="u2",
    csum_start="u2",
    csum_offset="u2",
    reason="u2",
    room="u4",
    serial="u4",
    attached="u4",
    ext_owner="u4",
    dp_hash="u4",
    ext_cookie="u8",
    timestamp="i8",
    reason_a="i8",
    reason_b="i8",
)


def own_buffer(i):
    """Where the buffer of mbuf `i` lies, whatever memory it refers to now."""
    return FIRST_BUFFER + ROOM * i


def reset(m):
    """Make a fresh single-segment packet of an mbuf, empty, with its headroom."""
    m.data_off = HEADROOM
    m.data_len = 0
    m.pkt_len = 0
    m.next = NULL
    m.nb_segs = 1
    m.refcnt = 1
    m.flow = NULL
    m.recirc_id = 0
    m.mark = 0
    m.ol_flags = np.uint64(0)
    m.tso_segsz = 0
    m.blocks = 1


def copy_fields(to, m):
    """What a copy of a packet shares with the original, apart from its bytes."""
    to.in_port = m.in_port
    to.flow = m.flow
    to.recirc_id = m.recirc_id
    to.mark = m.mark
    to.l2_len = m.l2_len
    to.l3_len = m.l3_len
    to.l4_len = m.l4_len
    to.hash = m.hash
    to.blocks = m.blocks
    to.tso_segsz = m.tso_segsz
    to.ol_flags = m.ol_flags & ~BORROWED
    to.serial = m.serial
    to.timestamp = m.timestamp
    to.dp_hash = m.dp_hash
    copy_offload(to, m)


def copy_offload(to, m):
    """The offload fields of the second cache line."""
    to.gso_type = m.gso_type
    to.csum_start = m.csum_start
    to.csum_offset = m.csum_offset
    to.inner_off = m.inner_off
    to.gso_segs = m.gso_segs


def copy_segment(memory, to, m):
    """Copy the bytes of one segment into another mbuf's own buffer, at the same place."""
    if m.ol_flags & EXTERNAL == 0:
        to.data_off = m.data_off
    to.data_len = m.data_len
    copy(memory, to.buf + to.data_off, m.buf + m.data_off, m.data_len)
