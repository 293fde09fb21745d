"""Copies of packets, whole or cut, and cutting a packet itself: chains are walked, their lengths kept true."""

import numpy as np

from lab.memory.mbuf import L4_CSUM_PARTIAL, TUN_META, copy_fields, copy_segment
from lab.memory.mempool import give, take
from lab.memory.raw import apart, copy_line
from lab.memory.record import NULL

WHOLE = 0xFFFFFFFF  # most bytes of a packet that is not to be cut


@apart
def copy_packet(out, i, most):
    """A copy of a packet's first `most` bytes, segment by segment, or NULL when the pool runs empty."""
    mbufs = out.mbufs
    first = NULL
    last = NULL
    at = i
    left = most
    while at != NULL and (left > 0 or first == NULL):
        j = take(out.pool, mbufs)
        if j == NULL:
            give(out.pool, mbufs, first)
            return NULL
        copy_segment(out.memory, mbufs[j], mbufs[at])
        if first == NULL:
            first = j
            copy_fields(mbufs[j], mbufs[i])
            mbufs[j].pkt_len = mbufs[i].pkt_len
            mbufs[j].nb_segs = mbufs[i].nb_segs
            if mbufs[i].ol_flags & TUN_META != np.uint64(0):
                copy_line(out.tunnels[j], out.tunnels[i])
        else:
            mbufs[last].next = j
        last = j
        left -= mbufs[at].data_len
        at = mbufs[at].next
    cut(out, first, most)
    return first


@apart
def cut(out, i, most):
    """Leave only the first `most` bytes of a packet; segments behind them go back to the pool."""
    m = out.mbufs[i]
    if most >= m.pkt_len:
        return
    m.pkt_len = most
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


