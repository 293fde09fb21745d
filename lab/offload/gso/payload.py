"""Where a cut stands in its packet's payload, and the indirect mbufs that refer to what a segment takes of it.

The mbuf that payload lies in, or that owns the buffer, is the *lender*. When the cut reaches it, it gets the references
of all segments to come at once: segments that left may be given back by another thread meanwhile. The packet's own
reference is one of them, so behind the cut nothing is to be given back; only the first mbuf keeps one more, because its
headers are copied to the end. Where a cut stands is kept in `cuts`, since a batch may be full before its end.
"""

from collections import namedtuple

from lab.memory.mbuf import HEADROOM, INDIRECT, own_buffer
from lab.memory.mempool import give, give_one
from lab.memory.raw import apart, count_refs, prefetch, u64
from lab.memory.record import NULL

AHEAD = 3  # mbufs
# bytes: payload of the packet, of one segment, of one packet that leaves here; several segments (`whole`) when the port cuts that further
Sizes = namedtuple("Sizes", "payload segment step whole")


@apart
def begin(work, i, off, sizes):
    """Stand at the first byte of a packet's payload."""
    cut = work.cuts[0]
    cut.seg = i
    cut.seg_off = off
    cut.payload = sizes.payload
    cut.step = sizes.step
    while off == work.mbufs[cut.seg].data_len:
        cut.seg = leave(work, i, cut.seg)
        cut.seg_off = 0
        off = 0
    lend(work.mbufs, i, cut.seg, references(work.mbufs[cut.seg].data_len - off, sizes.payload, sizes.step, sizes.step))


def references(n, rest, lacking, step):
    """How many segments take of `n` bytes, if `rest` are left in all and the first of the segments lacks so many."""
    if n > rest:
        n = rest
    count = 1
    n -= lacking
    while n > 0:
        n -= step
        count += 1
    return count


def lend(mbufs, i, seg, count):
    """So many references to the buffer of mbuf `seg` more, the packet's own among them where it can pass over."""
    lender = mbufs[seg]
    if lender.ol_flags & INDIRECT != u64(0):
        lender = mbufs[lender.attached]
    elif seg != i:
        count -= 1
    if count == 0:
        return
    if lender.refcnt == 1:  # nobody else knows it: no locked instruction
        lender.refcnt = 1 + count
    else:
        count_refs(lender, count)


def leave(work, i, seg):
    """The mbuf behind one that the cut is through with; its references are its segments' from now on, or it gave none."""
    src = work.mbufs[seg]
    after = src.next
    src.next = NULL
    if seg != i and (src.ol_flags & INDIRECT != u64(0) or src.data_len == 0):
        put_back(work.pool, work.mbufs, seg)
    return after


@apart
def put_back(pool, mbufs, i):
    """Return one mbuf."""
    give_one(pool, mbufs, i)


def point(p, src, seg, off, n):
    """Let mbuf `p` stand for `n` bytes of mbuf `seg`, which is `src`, from its byte `off` on; the reference is the caller's to count.

    The offset goes into `buf`: a segment may be longer than `data_off` can say.
    """
    p.buf = src.buf + off
    p.data_off = src.data_off
    p.data_len = n
    p.ol_flags = INDIRECT
    p.attached = seg
    if src.ol_flags & INDIRECT != u64(0):
        p.attached = src.attached


def refer(work, i, to, size, sizes):
    """Chain `size` bytes of payload behind a segment's first mbuf, in indirect mbufs that the pool is known to have; how many."""
    cut = work.cuts[0]
    mbufs = work.mbufs
    head = work.pool.head[0]
    owner = head.lane
    seg = cut.seg
    off = cut.seg_off
    src = mbufs[seg]
    rest = sizes.payload - cut.done
    last = to
    count = 0
    while size > 0:
        n = src.data_len - off
        if n > size:
            n = size
        top = head.n - 1
        head.n = top
        j = work.pool.free[top].index
        if top >= AHEAD:  # the headers of a segment to come will be written there
            prefetch(work.memory, own_buffer(work.pool.free[top - AHEAD].index) + HEADROOM)
        p = mbufs[j]
        p.refcnt = 1
        p.owner = owner
        p.nb_segs = 1
        point(p, src, seg, off, n)
        last.next = j
        last = p
        count += 1
        off += n
        size -= n
        rest -= n
        while off == src.data_len and rest > 0:
            seg = leave(work, i, seg)
            src = mbufs[seg]
            off = 0
            if src.data_len > 0:
                lacking = size
                if lacking == 0:
                    lacking = sizes.step
                lend(mbufs, i, seg, references(src.data_len, rest, lacking, sizes.step))
    last.next = NULL
    cut.seg = seg
    cut.seg_off = off
    return count


@apart
def mbufs_wanted(work, size):
    """How many mbufs the next segment takes."""
    cut = work.cuts[0]
    seg = cut.seg
    size += cut.seg_off
    count = 1
    while size > 0:
        n = work.mbufs[seg].data_len
        if n > 0:
            count += 1
        size -= n
        seg = work.mbufs[seg].next
    return count


@apart
def end(work, i):
    """The packet is cut to its end: return what it still has, its first mbuf and what lies behind its payload."""
    cut = work.cuts[0]
    behind = leave(work, i, cut.seg)
    work.mbufs[i].next = NULL
    give(work.pool, work.mbufs, behind)
    give_one(work.pool, work.mbufs, i)


@apart
def abandon(work, i):
    """Cut no further: take back the references of segments that will not be, and make what is left of the packet a chain again."""
    cut = work.cuts[0]
    mbufs = work.mbufs
    seg = cut.seg
    src = mbufs[seg]
    count = references(src.data_len - cut.seg_off, cut.payload - cut.done, cut.step, cut.step)
    lender = src
    if src.ol_flags & INDIRECT != u64(0):
        lender = mbufs[src.attached]
    elif seg != i:
        count -= 1
    if count > 0:
        count_refs(lender, -count)
    if seg != i:
        mbufs[i].next = seg
