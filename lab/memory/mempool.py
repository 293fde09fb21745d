"""The mempool: where mbufs come from and return to.

Every lane (control is lane 0, then one for each core) has a stack of free mbufs of its own, so taking and
giving never meet another thread. Lanes that run dry or overflow trade with control through two rings a core.
An mbuf says which lane owns it, so that what a dead core held can be found and returned. Segments of several packets
may borrow one buffer, and go back on several lanes: its `refcnt` is counted atomically. Who owns memory outside the
arena reads in `told` which of it is free again: one row for each external segment that has gone back on this lane.
"""

import numpy as np

from lab.memory.mbuf import BORROWED, EXTERNAL, INDIRECT, own_buffer, reset
from lab.memory.raw import count_refs
from lab.memory.record import NULL, Group, Layout

pool_t = Layout("pool_head", line=True, n="i8", taken="i8", given="i8", empty="i8", lane="u4", ext_freed="i8", ext_heard="i8")
free_t = Layout("free", index="u4")
told_t = Layout("told", cookie="u8", owner="u4", mbuf="u4")
pool_g = Group("pool", head=pool_t, free=free_t, told=told_t)
TOLD = 4096  # rows of `told`: whoever owns external memory reads them, up to `ext_freed`, before so many more have come


def take(pool, mbufs):
    """A fresh mbuf of this lane, or NULL when it has none left (and that is counted)."""
    head = pool.head[0]
    n = head.n
    if n == 0:
        head.empty += 1
        return NULL
    i = pool.free[n - 1].index
    head.n = n - 1
    head.taken += 1
    m = mbufs[i]
    reset(m)
    m.owner = head.lane
    return i


def take_many(pool, batch, n):
    """mbufs, as they are, into the first `n` places of a batch; how many there were. The caller makes them fresh."""
    head = pool.head[0]
    left = head.n
    if n > left:
        head.empty += 1
        n = left
    for k in range(n):
        batch[k] = pool.free[left - n + k].index
    head.n = left - n
    head.taken += n
    return n


def give_many(pool, mbufs, batch, n):
    """Return the packets in the first `n` places of a batch; whole ones of one own buffer go without ado."""
    head = pool.head[0]
    at = head.n
    for k in range(n):
        i = batch[k]
        m = mbufs[i]
        if m.next != NULL or m.refcnt != 1 or m.ol_flags & BORROWED != 0:
            head.given += at - head.n
            head.n = at
            give(pool, mbufs, i)
            at = head.n
        else:
            m.refcnt = 0
            pool.free[at].index = i
            at += 1
    head.given += at - head.n
    head.n = at


def give(pool, mbufs, i):
    """Return a packet: every segment of its chain, and what borrowed segments refer to."""
    while i != NULL:
        after = mbufs[i].next
        give_one(pool, mbufs, i)
        i = after


def give_one(pool, mbufs, i):
    """Let go of one segment: it returns when nothing refers to it any more, and then lets go of what it borrows."""
    while i != NULL:
        m = mbufs[i]
        if m.refcnt > 1 and count_refs(m, -1) > 0:
            return
        lender = NULL
        if m.ol_flags & BORROWED != 0:
            lender = _return_borrowed(pool, m, i)
        m.refcnt = 0
        _put(pool, i)
        i = lender


def _return_borrowed(pool, m, i):
    """Let go of memory that was not the mbuf's own: its owner is told; the mbuf that lent it, or NULL."""
    lender = NULL
    if m.ol_flags & EXTERNAL != 0:
        head = pool.head[0]
        row = pool.told[head.ext_freed & (TOLD - 1)]
        row.owner = m.ext_owner
        row.cookie = m.ext_cookie
        row.mbuf = i
        head.ext_freed += 1
    if m.ol_flags & INDIRECT != 0:
        lender = m.attached
        m.attached = NULL
    m.ol_flags = np.uint64(0)
    m.buf = own_buffer(i)
    return lender


def _put(pool, i):
    head = pool.head[0]
    pool.free[head.n].index = i
    head.n += 1
    head.given += 1
