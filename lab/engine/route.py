"""Which stage comes next, and what is done between two: the one conductor of both tempos.

`advance` reads where the lane stands and names the next stage; a PMD calls it compiled, `step` calls it as plain
Python. `settle` closes a stage: it counts, returns what was dropped and closes the gaps. What is done behind a stage that
failed stands in `wreck.py`. Packets that actions send back to parse wait in `again` until the outputs of their burst have
left; the deepest go first. Where a lane stands lies in the arena, so that it rewinds like everything else.
"""

from collections import namedtuple

import numpy as np

from lab.memory.mempool import give
from lab.memory.raw import apart, copy_words, low_bit
from lab.memory.reasons import BY_STAGE
from lab.stages.burst import BURST, PASSES, drop, explain
from lab.stages.regions import NO_STAGE
from lab.translate.fdb import changes_of

FIND, RECEIVE, INGRESS, LOOKUP, SEND, EGRESS, TRANSMIT = range(7)
ALWAYS, MISSES, SMC_ON = range(3)  # when a stage of the main way has something to do
REVALIDATE = 0  # the number of the stage that keeps the tables true
ONE = np.uint64(1)
Way = namedtuple("Way", "lane queues bursts outs again ports route config fdb")  # what the conductor reads


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
    if here.phase == SEND and here.pending == np.uint64(0) and burst.n == 0 and here.waits == 0:
        here.phase = FIND


def find_port(way):
    """With nothing in hand: the tables first when they need it, then the next port in turn."""
    here = way.lane[0]
    config = way.config[0]
    if here.epoch != config.epoch:
        return REVALIDATE
    if here.swept == 0 and (here.cursor >= 0 or here.idle_at >= 0 or here.fdb_seen != changes_of(way.fdb)):
        here.swept = 1  # now the tables, then a burst, in turn
        return REVALIDATE
    here.swept = 0
    if here.now - here.ranked_at >= 1_000_000 or here.flushed != config.flushes:
        return REVALIDATE
    queues = way.queues[0]
    if queues.n == 0:
        return NO_STAGE
    here.poll += 1
    if here.poll >= queues.n:
        here.poll = 0
    here.port = queues.port[here.poll]
    here.phase = RECEIVE
    way.bursts[0].depth = 0
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
    """The next output batch; behind the last, what waits to be parsed again, the rest of the burst, or a new one."""
    here = way.lane[0]
    if here.pending != np.uint64(0):
        here.out = low_bit(here.pending)
        here.phase = EGRESS
        here.at = 0
        return
    burst = way.bursts[0]
    if burst.n > 0 and (here.waits == 0 or way.again[burst.depth + 1].n < BURST):
        here.phase = LOOKUP
        here.at = way.config[0].lookup_stages - 1
    elif here.waits != 0:
        turn_to_waiting(way)
        here.phase = LOOKUP
        here.at = 0
    else:
        here.phase = FIND


@apart
def turn_to_waiting(way):
    """The packets that were recirculated most often become the burst; what is left of the one in hand waits in its turn."""
    burst = way.bursts[0]
    if burst.n > 0:
        set_aside(way, burst, way.again[burst.depth])
    depth = PASSES
    while depth > 0 and way.again[depth].n == 0:
        depth -= 1
    waiting = way.again[depth]
    n = waiting.n
    if n > BURST:
        n = BURST
    for k in range(n):
        burst.pkt[k] = waiting.pkt[k]
    for k in range(n, waiting.n):
        waiting.pkt[k - n] = waiting.pkt[k]
    waiting.n -= n
    way.lane[0].waits -= n
    burst.n = n
    burst.first = 0
    burst.misses = 0
    burst.depth = depth


def set_aside(way, burst, waiting):
    """Let the rest of the burst wait before those that were recirculated as often: it is parsed and looked up anew."""
    rest = burst.n - burst.first
    for k in range(waiting.n - 1, -1, -1):
        waiting.pkt[k + rest] = waiting.pkt[k]
    for k in range(rest):
        waiting.pkt[k] = burst.pkt[burst.first + k]
    waiting.n += rest
    way.lane[0].waits += rest


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
