"""Behind a stage that failed, or that a person wrote: what it left is checked, what it lost is found by its owner.

`holds_together` says whether the burst that a person's stage left can be true. `give_up` drops the burst that a stage
died with: everything that a burst, a batch, a ring or another lane refers to is marked, and the rest of this lane's mbufs
return. A PMD calls both compiled, stepping as plain Python.
"""

from collections import namedtuple

import numpy as np

from lab.engine.route import EGRESS, GRO_IN, GRO_OUT, GSO, ONE, SEND, TRANSMIT, ZERO
from lab.memory.mbuf import INDIRECT, own_buffer
from lab.memory.mempool import give_one
from lab.memory.raw import apart
from lab.memory.record import NULL
from lab.offload.gso.payload import abandon
from lab.offload.records import EGRESS_SIDE
from lab.stages.burst import BURST, ROOM

LONGEST = 255  # segments of a chain: they are counted in a byte
COUNTED, LENT = 2, 3  # marks: this packet is lost, and counted; others refer to the bytes of this mbuf
PACKAGE, FOREIGN, FREE_HANDED = range(3)  # whose stage it is: ours; a person's; a person's that handles the mempool itself


def holds_together(wreck, burst, before, whose):
    """1 when what a person's stage left in its burst can be true: counts in range, living packets of this lane, each once."""
    if burst.first < 0 or burst.n < burst.first or burst.n > ROOM or burst.misses < 0 or burst.misses > BURST:
        return 0
    if whose == FOREIGN and burst.n - burst.first != before:
        return 0
    for q in range(burst.misses):
        if burst.miss[q] >= burst.n:
            return 0
    for i in range(len(wreck.scratch)):
        wreck.scratch[i].mark = 0
    for k in range(burst.first, burst.n):
        if lives(wreck, burst.pkt[k]) == 0:
            return 0
    waits = 0
    for depth in range(len(wreck.again)):
        waiting = wreck.again[depth]
        if waiting.n < 0 or waiting.n > ROOM:
            return 0
        waits += waiting.n
        for k in range(waiting.n):
            if lives(wreck, waiting.pkt[k]) == 0:
                return 0
    wreck.lane[0].waits = waits
    return 1


def lives(wreck, i):
    """1 when a packet is a chain of living mbufs that no other packet of the burst has; marks them."""
    if i >= len(wreck.mbufs) or wreck.mbufs[i].owner != wreck.lane[0].number:
        return 0
    n = 0
    while i != NULL:
        if i >= len(wreck.mbufs) or wreck.mbufs[i].refcnt == 0 or wreck.scratch[i].mark != 0 or n == LONGEST:
            return 0
        wreck.scratch[i].mark = 1
        i = wreck.mbufs[i].next
        n += 1
    return 1


Wreck = namedtuple("Wreck", "lane bursts outs again cuts gro mbufs pool rings scratch reasons counters")


def give_up(wreck, number, why, before):
    """Behind a stage that failed: drop the burst of `before` packets that it had in hand, return every mbuf; how many are lost."""
    here = wreck.lane[0]
    if here.phase == EGRESS or here.phase == TRANSMIT:
        burst = wreck.outs[here.out]
        more = here.ready_out != 0 and wreck.gro.ready[EGRESS_SIDE].port == here.out
        if not more or number == GRO_OUT:  # else what GRO has ready for this port still goes on
            here.pending = here.pending & ~(ONE << np.uint64(here.out))
    else:
        burst = wreck.bursts[0]
    began, held = 0, ROOM
    if 0 <= burst.first <= burst.n <= ROOM:
        began, held = burst.first, burst.n
    burst.n = 0
    burst.misses = 0
    burst.first = 0
    burst.dropped = np.uint64(0)
    here.phase = SEND
    lost = give_up_cut(wreck, number)
    if number == GRO_IN or number == GRO_OUT:
        empty_offloads(wreck)
    count_waiting(wreck)
    mark_living(wreck)
    for k in range(began, held):
        i = burst.pkt[k]
        if i < len(wreck.mbufs) and wreck.mbufs[i].refcnt > 0 and (wreck.scratch[i].mark == 0 or wreck.scratch[i].mark == LENT):
            if wreck.scratch[i].mark == 0:
                wreck.scratch[i].mark = COUNTED
            lost += 1
    if held - began < before:
        lost += before - (held - began)  # the stage had shortened its burst
    reclaim(wreck)
    wreck.reasons[why].count += lost
    wreck.counters[number].drops += lost
    return lost


@apart
def give_up_cut(wreck, number):
    """What GSO was cutting is lost with its batch; how many packets. References for segments that will not be are taken back,
    unless the stage died while it counted them."""
    cut = wreck.cuts[0]
    lost = 0
    if 0 <= cut.first < cut.n <= ROOM:
        lost = cut.n - cut.first
        if cut.done > 0 and number != GSO:
            abandon(wreck, cut.pkt[cut.first])
    cut.n = 0
    cut.first = 0
    cut.done = 0
    return lost


def count_waiting(wreck):
    """How many packets wait to be parsed again: the stage may have died before it had counted the last."""
    waits = 0
    for depth in range(len(wreck.again)):
        waiting = wreck.again[depth]
        if waiting.n < 0 or waiting.n > ROOM:
            waiting.n = 0
        waits += waiting.n
    wreck.lane[0].waits = waits


def mark_living(wreck):
    """Mark every mbuf that a burst, an output batch, a ring or another lane's packet still refers to."""
    for i in range(len(wreck.scratch)):
        wreck.scratch[i].mark = 0
    for k in range(wreck.bursts[0].first, wreck.bursts[0].n):
        mark_chain(wreck, wreck.bursts[0].pkt[k])
    for p in range(len(wreck.outs)):
        for k in range(wreck.outs[p].first, wreck.outs[p].n):
            mark_chain(wreck, wreck.outs[p].pkt[k])
    for depth in range(len(wreck.again)):
        for k in range(wreck.again[depth].n):
            mark_chain(wreck, wreck.again[depth].pkt[k])
    mark_offloads(wreck)
    for r in range(len(wreck.rings.ring)):
        ring = wreck.rings.ring[r]
        for at in range(ring.head, ring.tail):
            mark_chain(wreck, wreck.rings.slots[ring.first + (at & (ring.room - 1))].index)
    for i in range(len(wreck.mbufs)):
        m = wreck.mbufs[i]
        if m.refcnt > 0 and m.owner != wreck.lane[0].number:
            mark_chain(wreck, i)


def mark_offloads(wreck):
    """Mark what GRO holds or has ready: what stages keep from call to call."""
    for at in range(len(wreck.gro.items)):
        if wreck.gro.items[at].first != NULL:
            mark_chain(wreck, wreck.gro.items[at].first)
    for side in range(len(wreck.gro.ready)):
        ready = wreck.gro.ready[side]
        for k in range(ready.n):
            mark_chain(wreck, ready.pkt[k])


@apart
def empty_offloads(wreck):
    """What the egress arc was cutting is lost with its batch; a table of GRO that its own stage died in is emptied."""
    for side in range(len(wreck.gro.ready)):
        wreck.gro.ready[side].n = 0
    for at in range(len(wreck.gro.items)):
        wreck.gro.items[at].first = NULL
        wreck.gro.items[at].hash = ZERO
    wreck.gro.head[0].held = 0
    wreck.lane[0].held = 0
    wreck.lane[0].ready = 0
    wreck.lane[0].ready_out = 0


def mark_chain(wreck, i):
    """Mark a packet's segments and what they borrow."""
    while i < len(wreck.mbufs) and wreck.scratch[i].mark != 1:
        wreck.scratch[i].mark = 1
        m = wreck.mbufs[i]
        if m.attached != NULL and m.attached < len(wreck.mbufs) and wreck.scratch[m.attached].mark == 0:
            wreck.scratch[m.attached].mark = LENT
        i = m.next


def reclaim(wreck):
    """Return every mbuf of this lane that nothing refers to; what they borrowed is let go of, and its owner told."""
    for i in range(len(wreck.mbufs)):
        m = wreck.mbufs[i]
        if (wreck.scratch[i].mark == 0 or wreck.scratch[i].mark == COUNTED) and m.refcnt > 0 and m.owner == wreck.lane[0].number:
            if m.ol_flags & INDIRECT != ZERO:
                let_go_of(wreck, m.attached)
                m.ol_flags = m.ol_flags & ~INDIRECT
            m.attached = NULL
            m.refcnt = 1
            m.buf = own_buffer(i)
            give_one(wreck.pool, wreck.mbufs, i)
            m.ol_flags = ZERO
    settle_lenders(wreck)


def let_go_of(wreck, lender):
    """One segment less refers to a lender that lives on; one that does not is returned by itself."""
    if lender < len(wreck.mbufs) and wreck.scratch[lender].mark & 1 != 0 and wreck.mbufs[lender].refcnt > 0:
        give_one(wreck.pool, wreck.mbufs, lender)


@apart
def settle_lenders(wreck):
    """A lender whose own packet is lost lives on for those that refer to its bytes, and for them alone."""
    for i in range(len(wreck.mbufs)):
        if wreck.scratch[i].mark == LENT:
            wreck.mbufs[i].reason_b = 0  # counts those that refer to it
    for i in range(len(wreck.mbufs)):
        m = wreck.mbufs[i]
        if m.refcnt == 0 or m.ol_flags & INDIRECT == ZERO or m.attached >= len(wreck.mbufs):
            continue
        if wreck.scratch[m.attached].mark == LENT:
            wreck.mbufs[m.attached].reason_b += 1
    for i in range(len(wreck.mbufs)):
        m = wreck.mbufs[i]
        if wreck.scratch[i].mark == LENT and m.owner == wreck.lane[0].number and m.refcnt == m.reason_b + 1:
            give_one(wreck.pool, wreck.mbufs, i)
