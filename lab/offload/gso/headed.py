"""Headers for a chain of elements, which another core has cut: each element becomes a segment as it is.

An element's first mbuf gets the headers, and the chain is unlinked behind its last: nothing is taken from the pool, nothing is
copied but headers. The first element has the packet's own. What a full batch leaves over becomes a large packet of its own.
"""

from lab.memory.mbuf import BORROWED, CHAINED, HEADROOM, own_buffer
from lab.memory.raw import apart, u64
from lab.memory.record import NULL
from lab.offload.gso.cut import DONE, FULL
from lab.offload.gso.dress import SUMS, dress, flags_of, mark
from lab.offload.gso.heads import FIRST, LAST, leaves_partial, write
from lab.offload.records import CUTS


@apart
def shaped(mbufs, i, n, sizes):
    """Whether a chain is one of elements: each a header mbuf, the first with `n` bytes of headers, and one segment's payload."""
    left = sizes.payload
    length = mbufs[i].data_len - n
    seg = i
    while seg != NULL:
        m = mbufs[seg]
        if m.ol_flags & BORROWED != u64(0) or m.refcnt != 1 or left <= 0:
            return 0
        seg = m.next
        while seg != NULL and mbufs[seg].data_len > 0:
            length += mbufs[seg].data_len
            seg = mbufs[seg].next
        if length > sizes.segment or (length < sizes.segment and length != left):
            return 0
        left -= length
        length = 0
    if left != 0:
        return 0
    return 1


@apart
def head_up(work, i, h, sizes):
    """Write the headers of each element, in place, until the batch is full; what is left of the packet then is one of its own."""
    cut = work.cuts[0]
    batch = work.bursts[0]
    mbufs = work.mbufs
    m = mbufs[i]
    was = (m.ol_flags, m.gso_type, m.nb_segs)
    flags = flags_of(m, h)
    batch.wants = batch.wants | flags | CHAINED
    n = batch.n
    made = 0
    done = 0
    used = 0
    seg = i
    while seg != NULL and n < CUTS:
        to = mbufs[seg]
        first = seg
        length = to.data_len
        behind = to.next
        at = own_buffer(seg) + HEADROOM
        if seg == i:
            at = h.at
            length -= h.n
            to.tso_segsz = 0
            mark(to, m, h)
        else:
            dress(seg, to, m, h, work.pool.head[0].lane)
        last = to
        to.next = NULL
        count = 1
        seg = behind
        while seg != NULL and mbufs[seg].data_len > 0:
            length += mbufs[seg].data_len
            last.next = seg
            last = mbufs[seg]
            seg = last.next
            count += 1
        last.next = NULL
        ends = 0
        if made == 0 and cut.made == 0:
            ends = FIRST
        if seg == NULL:
            ends = ends | LAST
        to.ol_flags = flags
        to.pkt_len = h.n + length
        to.nb_segs = count
        write(h, at, (made, done), length, ends)
        batch.pkt[n] = first
        n += 1
        made += 1
        done += length
        used += count
    batch.n = n
    if seg == NULL:
        return DONE
    to = mbufs[seg]
    behind = to.next
    dress(seg, to, m, h, work.pool.head[0].lane)
    to.next = behind
    to.pkt_len = h.n + sizes.payload - done
    to.nb_segs = was[2] - used
    to.ol_flags = (was[0] & ~SUMS) | leaves_partial(h)
    to.tso_segsz = sizes.segment
    to.gso_type = was[1]
    write(h, own_buffer(seg) + HEADROOM, (made, done), sizes.payload - done, LAST)
    cut.pkt[cut.first] = seg
    cut.made += made
    return FULL
