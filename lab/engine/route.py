"""Which stage comes next, and what is done between two: the one conductor of both tempos.

`advance` reads where the lane stands and names the next stage; a PMD calls it compiled, `step` calls it as plain
Python. `settle` closes a stage: it counts, returns what was dropped and closes the gaps. `give_up` cleans up behind
a stage that failed. Where a lane stands lies in the arena, so that it rewinds like everything else.
"""

from collections import namedtuple

import numpy as np

from lab.memory.mbuf import MAX_SEGMENTS
from lab.memory.mempool import give
from lab.memory.raw import copy_words, low_bit
from lab.memory.reasons import BY_STAGE
from lab.memory.record import NULL
from lab.stages.burst import BURST, ROOM, drop, explain
from lab.stages.regions import NO_STAGE

FIND, RECEIVE, INGRESS, LOOKUP, SEND, EGRESS, TRANSMIT = range(7)
ALWAYS, MISSES, SMC_ON = range(3)  # when a stage of the main way has something to do
REVALIDATE = 0  # the number of the stage that keeps the tables true
ONE = np.uint64(1)
Way = namedtuple("Way", "lane queues bursts outs ports route config")  # what the conductor reads


def advance(way):
    """The number of the stage that comes next, or NO_STAGE when this look found nothing to do."""
    here = way.lane[0]
    while True:
        number = NO_STAGE
        if here.phase == FIND:
            return find_port(way)
        if here.phase == RECEIVE:
            if way.bursts[0].n == 0:
                here.phase = FIND
                return NO_STAGE
            here.phase = INGRESS
            here.at = 0
        elif here.phase == INGRESS:
            number = on_ingress(way)
        elif here.phase == LOOKUP:
            number = on_lookup(way)
        elif here.phase == SEND:
            choose_output(way)
        elif here.phase == EGRESS:
            number = on_egress(way)
        else:
            finish_batch(way)
        if number != NO_STAGE:
            return number


def finish_batch(way):
    """The output batch has been transmitted."""
    here = way.lane[0]
    here.pending = here.pending & ~(ONE << np.uint64(here.out))
    way.outs[here.out].n = 0
    way.outs[here.out].first = 0
    here.phase = SEND


def come_to_rest(way):
    """Behind the last stage of a burst: nothing is in hand any more. Stepping looks for it, a PMD just goes on."""
    here = way.lane[0]
    burst = way.bursts[0]
    if here.phase == TRANSMIT:
        finish_batch(way)
    if here.phase == LOOKUP and here.at == way.config[0].lookup_stages and burst.first >= burst.n:
        burst.n = 0
        here.phase = SEND
    if here.phase == SEND and here.pending == np.uint64(0) and burst.n == 0:
        here.phase = FIND


def find_port(way):
    """With nothing in hand: the tables first when they need it, then the next port in turn."""
    here = way.lane[0]
    config = way.config[0]
    if here.epoch != config.epoch or here.now - here.ranked_at >= 1_000_000:
        return REVALIDATE
    queues = way.queues[0]
    if queues.n == 0:
        return NO_STAGE
    here.poll += 1
    if here.poll >= queues.n:
        here.poll = 0
    here.port = queues.port[here.poll]
    here.phase = RECEIVE
    return way.ports[here.port].receive


def on_ingress(way):
    """The next stage on the ingress arc of the burst's port."""
    here = way.lane[0]
    port = way.ports[here.port]
    if way.bursts[0].n > 0 and here.at < port.n_ingress:
        here.at += 1
        return port.ingress[here.at - 1]
    here.phase = LOOKUP
    here.at = 0
    return NO_STAGE


def on_lookup(way):
    """The next stage of the main way that has something to do."""
    here = way.lane[0]
    burst = way.bursts[0]
    config = way.config[0]
    while burst.n > 0 and here.at < config.lookup_stages:
        stop = way.route[here.at]
        here.at += 1
        if stop.need == ALWAYS or (burst.misses > 0 and (stop.need == MISSES or config.smc_on != 0)):
            return stop.stage
    if burst.first >= burst.n:
        burst.n = 0
    here.phase = SEND
    return NO_STAGE


def choose_output(way):
    """The next output batch; behind the last, the rest of the burst or a new one."""
    here = way.lane[0]
    if here.pending != np.uint64(0):
        here.out = low_bit(here.pending)
        here.phase = EGRESS
        here.at = 0
        return
    if way.bursts[0].n > 0:
        here.phase = LOOKUP
        here.at = way.config[0].lookup_stages - 1
    else:
        here.phase = FIND


def on_egress(way):
    """The next stage on the egress arc of the output port, then its transmission."""
    here = way.lane[0]
    port = way.ports[here.out]
    if way.outs[here.out].n == 0:
        here.phase = TRANSMIT
        return NO_STAGE
    if here.at < port.n_egress:
        here.at += 1
        return port.egress[here.at - 1]
    here.phase = TRANSMIT
    return port.transmit


Tally = namedtuple("Tally", "keys mbufs pool counters reasons trace")  # what is counted and returned


MIDDLE, LAST, OUTPUT_SIDE = range(3)  # what kind of place a stage stood at


def settle(tally, burst, number, before, place):
    """Close a stage: count it, return what it dropped, close the gaps."""
    counter = tally.counters[number]
    counter.calls += 1
    counter.packets_in += before
    if place == LAST and burst.first == 0 and burst.n > 0:
        leave_none(tally, burst)
    lost = 0
    if burst.dropped != np.uint64(0):
        lost = return_dropped(tally, burst)
        if burst.first == 0:
            close_gaps(tally, burst, place)
        burst.dropped = np.uint64(0)
    counter.drops += lost
    counter.packets_out += max_of(before, burst.n) - lost


def max_of(a, b):
    """The larger count: a stage may make more packets than it was given."""
    if a > b:
        return a
    return b


def leave_none(tally, burst):
    """A last stage that took nothing off the burst would see it for ever: what is left is dropped."""
    for k in range(burst.n):
        if (burst.dropped >> np.uint64(k)) & ONE == np.uint64(0):
            drop(burst, tally.mbufs[burst.pkt[k]], k, BY_STAGE, 0, 0)
    burst.first = burst.n


def return_dropped(tally, burst):
    """Count and return the packets that a stage dropped; how many."""
    lost = 0
    for k in range(burst.n):
        if (burst.dropped >> np.uint64(k)) & ONE != np.uint64(0):
            i = burst.pkt[k]
            m = tally.mbufs[i]
            tally.reasons[m.reason].count += 1
            explain(tally.trace, m, m.reason, m.reason_a, m.reason_b)
            give(tally.pool, tally.mbufs, i)
            lost += 1
    return lost


def close_gaps(tally, burst, place):
    """Move the packets that are left together, with their keys (an output batch has none) and their places among the misses."""
    kept = 0
    missed = 0
    at = 0
    for k in range(burst.n):
        waits = 0
        if at < burst.misses and burst.miss[at] == k:
            waits = 1
            at += 1
        if (burst.dropped >> np.uint64(k)) & ONE == np.uint64(0):
            if k != kept:
                burst.pkt[kept] = burst.pkt[k]
                if place != OUTPUT_SIDE:
                    copy_words(tally.keys[kept].w, tally.keys[k].w)
            if waits != 0:
                burst.miss[missed] = kept
                missed += 1
            kept += 1
    burst.n = kept
    burst.misses = missed


COUNTED = 2  # a mark: this packet is lost, and counted
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
    return 1


def lives(wreck, i):
    """1 when a packet is a chain of living mbufs that no other packet of the burst has; marks them."""
    if i >= len(wreck.mbufs) or wreck.mbufs[i].owner != wreck.lane[0].number:
        return 0
    n = 0
    while i != NULL:
        if i >= len(wreck.mbufs) or wreck.mbufs[i].refcnt == 0 or wreck.scratch[i].mark != 0 or n == MAX_SEGMENTS:
            return 0
        wreck.scratch[i].mark = 1
        i = wreck.mbufs[i].next
        n += 1
    return 1


Wreck = namedtuple("Wreck", "lane bursts outs mbufs pool rings scratch reasons counters")


def give_up(wreck, number, why, before):
    """Behind a stage that failed: drop the burst of `before` packets that it had in hand, return every mbuf; how many are lost."""
    here = wreck.lane[0]
    if here.phase == EGRESS or here.phase == TRANSMIT:
        burst = wreck.outs[here.out]
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
    mark_living(wreck)
    lost = 0
    for k in range(began, held):
        i = burst.pkt[k]
        if i < len(wreck.mbufs) and wreck.scratch[i].mark == 0 and wreck.mbufs[i].refcnt > 0:
            wreck.scratch[i].mark = COUNTED
            lost += 1
    if held - began < before:
        lost += before - (held - began)  # the stage had shortened its burst
    reclaim(wreck)
    wreck.reasons[why].count += lost
    wreck.counters[number].drops += lost
    return lost


def mark_living(wreck):
    """Mark every mbuf that a burst, an output batch, a ring or another lane's packet still refers to."""
    for i in range(len(wreck.scratch)):
        wreck.scratch[i].mark = 0
    for k in range(wreck.bursts[0].first, wreck.bursts[0].n):
        mark_chain(wreck, wreck.bursts[0].pkt[k])
    for p in range(len(wreck.outs)):
        for k in range(wreck.outs[p].n):
            mark_chain(wreck, wreck.outs[p].pkt[k])
    for r in range(len(wreck.rings.ring)):
        ring = wreck.rings.ring[r]
        for at in range(ring.head, ring.tail):
            mark_chain(wreck, wreck.rings.slots[ring.first + (at & (ring.room - 1))].index)
    for i in range(len(wreck.mbufs)):
        m = wreck.mbufs[i]
        if m.refcnt > 0 and m.owner != wreck.lane[0].number:
            mark_chain(wreck, i)


def mark_chain(wreck, i):
    """Mark a packet's segments and what they borrow."""
    while i < len(wreck.mbufs) and wreck.scratch[i].mark == 0:
        wreck.scratch[i].mark = 1
        m = wreck.mbufs[i]
        if m.attached != NULL and m.attached < len(wreck.mbufs):
            wreck.scratch[m.attached].mark = 1
        i = m.next


def reclaim(wreck):
    """Return every mbuf of this lane that nothing refers to."""
    head = wreck.pool.head[0]
    for i in range(len(wreck.mbufs)):
        m = wreck.mbufs[i]
        if wreck.scratch[i].mark != 1 and m.refcnt > 0 and m.owner == wreck.lane[0].number:
            m.refcnt = 0
            m.ol_flags = np.uint64(0)
            wreck.pool.free[head.n].index = i
            head.n += 1
            head.given += 1
