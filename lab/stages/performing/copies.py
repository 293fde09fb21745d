"""Copies of packets, whole or cut, and cutting a packet itself: chains are walked, their lengths kept true."""

import numpy as np

from lab.memory.mbuf import (
    BORROWED,
    ELEMENTS,
    FILL,
    FIXED_ID,
    GSO,
    IP_CSUM_PARTIAL,
    L4_CSUM_PARTIAL,
    OUTER_FIXED_ID,
    OUTER_L4_PARTIAL,
    TUN_META,
    TUNNEL,
    copy_fields,
    copy_segment,
)
from lab.memory.mempool import give, take
from lab.memory.raw import apart, copy, copy_line
from lab.memory.record import NULL

WHOLE = 0xFFFFFFFF  # most bytes of a packet that is not to be cut
OF_WHOLE = GSO | ELEMENTS | FIXED_ID | OUTER_FIXED_ID | OUTER_L4_PARTIAL | TUNNEL  # true of a whole packet alone


@apart
def copy_packet(out, i, most):
    """A copy of a packet's first `most` bytes in buffers of its own, or NULL when the pool runs empty."""
    mbufs = out.mbufs
    first = NULL
    last = NULL
    at = i
    off = 0
    left = most
    segments = 0
    while at != NULL and (left > 0 or first == NULL):
        j = take(out.pool, mbufs)
        if j == NULL:
            give(out.pool, mbufs, first)
            return NULL
        n = copy_part(out, j, at, off)
        segments += 1
        if first == NULL:
            first = j
            copy_fields(mbufs[j], mbufs[i])
            mbufs[j].pkt_len = mbufs[i].pkt_len
            if mbufs[i].ol_flags & TUN_META != np.uint64(0):
                copy_line(out.tunnels[j], out.tunnels[i])
        else:
            mbufs[last].next = j
        last = j
        left -= n
        off += n
        if off >= mbufs[at].data_len:
            at = mbufs[at].next
            off = 0
    mbufs[first].nb_segs = segments
    cut(out, first, most)
    return first


def copy_part(out, j, at, off):
    """Copy a segment into a fresh mbuf, or, when it lies in others' memory, what fits of it from `off` on; how many bytes."""
    m = out.mbufs[at]
    to = out.mbufs[j]
    if m.ol_flags & BORROWED == np.uint64(0):
        copy_segment(out.memory, to, m)
        return m.data_len
    n = m.data_len - off
    if n > FILL:
        n = FILL
    to.data_len = n
    copy(out.memory, to.buf + to.data_off, m.buf + m.data_off + off, n)
    return n


@apart
def cut(out, i, most):
    """Leave only the first `most` bytes of a packet; segments behind them go back to the pool."""
    m = out.mbufs[i]
    if most >= m.pkt_len:
        return
    m.pkt_len = most
    if m.ol_flags & TUNNEL != np.uint64(0):  # of the IP header inside, which nobody finds any more
        m.ol_flags = m.ol_flags & ~IP_CSUM_PARTIAL
    m.ol_flags = m.ol_flags & ~OF_WHOLE  # what is left is one frame, however long
    m.tso_segsz = 0
    segments = 1
    at = i
    left = most
    while left > out.mbufs[at].data_len:
        left -= out.mbufs[at].data_len
        at = out.mbufs[at].next
        segments += 1
    tail = out.mbufs[at]
    tail.data_len = left
    give(out.pool, out.mbufs, tail.next)
    tail.next = NULL
    m.nb_segs = segments
    if m.csum_start + m.csum_offset + 2 > most:
        m.ol_flags = m.ol_flags & ~L4_CSUM_PARTIAL  # the field is gone
