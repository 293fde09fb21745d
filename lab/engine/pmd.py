"""The PMD: the loop of a core, compiled like a stage and run on a bare thread.

It asks the conductor (`route.py`) which stage comes next, calls it by its address and settles what it left. One burst
in eight has its cycles counted, and moves the clock. It holds no lock, allocates nothing and knows nothing of the
interpreter, so a stage that faults or never ends costs this thread its burst and nothing else.
"""

import numpy as np

from lab.engine.route import (
    EGRESS,
    FIND,
    LAST,
    LOOKUP,
    MIDDLE,
    OUTPUT_SIDE,
    TRANSMIT,
    Tally,
    Way,
    advance,
    settle,
)
from lab.engine.wreck import PACKAGE, Wreck, give_up, holds_together
from lab.memory.abi import GETTID, NANOSLEEP
from lab.memory.mbuf import mbuf_t
from lab.memory.raw import acquire, call, cycles, system
from lab.memory.reasons import STAGE_FAILED
from lab.memory.record import NULL
from lab.memory.ring import pop, push
from lab.stages.regions import NO_STAGE, SUPPLY, SURPLUS
from lab.stages.stage import stage

BROKEN = 2  # how a stage failed: it left a burst that cannot be (1: it raised)
SAMPLE = 8  # of so many bursts one has its cycles counted: reading the counter costs some itself
PATIENCE = 256  # looks that find nothing before the first pause
LONGEST_PAUSE = 500_000  # nanoseconds
LOW, HIGH = 256, 1024  # free mbufs of a lane: below it asks control for some, above it gives some back
assert mbuf_t.size == 128


def clock(config, here, at):
    """The lane's time in microseconds, from the processor's counter; a stopped clock stands."""
    c = config[0]
    here.now = c.clock_base
    if c.clock_stopped == 0:
        here.now += (at - c.clock_from) // c.cycles_per_us


def trade(lane, pool, rings, mbufs):
    """Give control some mbufs when there are many, take some when there are few."""
    number = lane[0].number
    head = pool.head[0]
    for _ in range(32):
        if head.n > HIGH:
            i = pool.free[head.n - 1].index
            if push(rings, SURPLUS + number, i) == 0:
                return
            head.n -= 1
        elif head.n < LOW:
            i = pop(rings, SUPPLY + number, mbufs, number)
            if i == NULL:
                return
            pool.free[head.n].index = i
            head.n += 1


def count_cost(cost, spent, packets):
    """Add what a stage took for a burst."""
    cost.total += spent
    cost.calls += 1
    cost.packets += packets


def rest(thread, here, queues, config):
    """Nothing came for a while: sleep, a little longer each time; the clock goes on meanwhile."""
    t = thread[0]
    t.idle += 1
    if t.idle < PATIENCE * (1 + queues[0].n):
        return
    t.pause_ns = min_of(LONGEST_PAUSE, 2 * t.pause_ns + 1000)
    system(NANOSLEEP, t.pause_at, np.uint64(0))
    clock(config, here, cycles())


def min_of(a, b):
    """The smaller count."""
    if a < b:
        return a
    return b


def place_of(here, config):
    """What kind of place the lane stands at."""
    if here.phase == EGRESS or here.phase == TRANSMIT:
        return OUTPUT_SIDE
    if here.phase == LOOKUP and here.at == config[0].lookup_stages:
        return LAST
    return MIDDLE


@stage
def pmd(
    thread, code, spent, lane, queues, bursts, outs, again, cuts, gro, keys, mbufs, pool, rings, ports, route, needs, config, fdb,
    counters, reasons, trace, scratch,
):  # fmt: skip
    """Forward packets until told to stop."""
    t = thread[0]
    t.tid = system(GETTID, np.uint64(0), np.uint64(0))
    here = lane[0]
    way = Way(lane, queues, bursts, outs, again, cuts, gro, ports, route, needs, config, fdb)
    tally = Tally(keys, mbufs, pool, counters, reasons, trace)
    wreck = Wreck(lane, bursts, outs, again, cuts, gro, mbufs, pool, rings, scratch, reasons, counters)
    then = cycles()
    watched = 1
    while t.stop == 0:
        acquire()
        if here.phase == FIND:
            t.rounds += 1
            if pool.head[0].n < LOW:  # one call of `gso` takes a few hundred
                trade(lane, pool, rings, mbufs)
            watched = (t.rounds & (SAMPLE - 1)) == 0
            if watched:
                then = cycles()
                clock(config, here, then)
        number = advance(way)
        if number == NO_STAGE:
            trade(lane, pool, rings, mbufs)
            here.paused = config[0].clock_stopped  # a clock that stands never lets go of what GRO holds: the pause does
            if config[0].spin == 0:
                rest(thread, here, queues, config)
            t.beat += 1
            continue
        place = place_of(here, config)
        world = t.worlds
        burst = bursts[0]
        if place == OUTPUT_SIDE:
            burst = outs[here.out]
            world = world + t.stride * np.uint64(1 + here.out)
        before = burst.n - burst.first
        trace[0].stage = number
        t.at = number
        t.beat += 1
        failed = call(code[number].address, world)
        whose = code[number].foreign
        if failed == 0 and whose != PACKAGE and holds_together(wreck, burst, before, whose) == 0:
            failed = BROKEN
        if watched:
            now = cycles()
            count_cost(spent[number], now - then, burst.n)
            then = now
        if failed != 0:
            t.failed_at = number
            t.result = failed
            t.lost += give_up(wreck, number, STAGE_FAILED, before)
        else:
            if burst.n > 0:
                t.idle = 0
                t.pause_ns = 0
            settle(tally, burst, number, before, place)
    t.tid = 0


@stage
def solo(thread):
    """Call one stage once on a thread of its own, so that it can be ended from outside."""
    t = thread[0]
    t.tid = system(GETTID, np.uint64(0), np.uint64(0))
    t.result = call(t.entry, t.worlds)
    t.tid = 0
