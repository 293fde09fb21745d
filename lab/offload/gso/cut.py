"""Cutting: a segment is an mbuf with headers of its own, and indirect ones that refer to the payload where it lies.

Nothing of the payload is copied. The loop here is what GSO costs; what it is given has been measured before (`measure`),
and the mbufs of a segment are counted before the first of them is taken. A batch that is full ends it, and it goes on
with the next one (`payload` keeps where).
"""

from lab.memory.mbuf import CHAINED, HEADROOM, OUTER_L4_PARTIAL, own_buffer
from lab.memory.raw import apart
from lab.offload.gso.dress import dress, flags_of, keep_large
from lab.offload.gso.heads import FIRST, LAST, NO_SUM, finish_outer, write
from lab.offload.gso.payload import mbufs_wanted, refer
from lab.offload.records import CUTS

DONE, FULL, DRY = range(3)


@apart
def cut_up(work, i, h, sizes):
    """Segments into the batch until the packet is cut to its end, the batch is full, or the pool is dry."""
    head = work.pool.head[0]
    had = head.n - head.given
    outcome = make_segments(work, i, h, sizes)
    head.taken += had - (head.n - head.given)
    return outcome


def make_segments(work, i, h, sizes):
    """The loop of `cut_up`."""
    cut = work.cuts[0]
    batch = work.bursts[0]
    head = work.pool.head[0]
    m = work.mbufs[i]
    flags = flags_of(m, h)
    outcome = DONE
    n = batch.n
    while cut.done < sizes.payload:
        if n == CUTS:
            outcome = FULL
            break
        size = sizes.payload - cut.done
        ends = LAST
        if size > sizes.step:
            size = sizes.step
            ends = 0
        if cut.made == 0:
            ends = ends | FIRST
        if head.n <= m.nb_segs and head.n < mbufs_wanted(work, size):
            head.empty += 1
            outcome = DRY
            break
        top = head.n - 1
        head.n = top
        j = work.pool.free[top].index
        to = work.mbufs[j]
        dress(j, to, m, h, head.lane)
        to.ol_flags = flags
        to.pkt_len = h.n + size
        to.nb_segs = 1 + refer(work, i, to, size, sizes)
        if size > sizes.segment:
            write_large(m, to, h, sizes, ends)
            batch.wants = batch.wants | to.ol_flags
            cut.made += sizes.whole
        else:
            write(h, own_buffer(j) + HEADROOM, (cut.made, cut.done), size, ends)
            cut.made += 1
        cut.done += size
        batch.pkt[n] = j
        n += 1
    batch.n = n
    batch.wants = batch.wants | flags | CHAINED
    return outcome


@apart
def write_large(m, to, h, sizes, ends):
    """The headers of what the port cuts further: as of one segment, outer checksum and all, since the port repeats them."""
    at = to.buf + to.data_off
    write(h, at, (0, 0), sizes.segment, ends)
    flags = to.ol_flags
    if h.around_sum != NO_SUM:
        finish_outer(h, at, sizes.segment)
        flags = flags & ~OUTER_L4_PARTIAL
    keep_large(to, m, sizes.whole, flags)
