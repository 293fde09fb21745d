"""Which stage comes next, and what is done between two: the one conductor of both tempos.

`advance` reads where the lane stands and names the next stage; a PMD calls it compiled, `step` calls it as plain
Python. `settle` closes a stage: it counts, returns what was dropped and closes the gaps. What is done behind a stage that
failed stands in `wreck.py`. Packets that actions send back to parse wait in `again` until the outputs of their burst have
left; the deepest go first. A stage of an egress arc is called only for a batch that wants it (`needs`). What GSO is still
cutting, and what GRO let go of without finding room, goes on before anything else. Where a lane stands lies in the arena,
so that it rewinds like everything else.
"""

from collections import namedtuple

import numpy as np

from lab.memory.mempool import give
from lab.memory.raw import apart, copy_words, low_bit
from lab.memory.reasons import BY_STAGE
from lab.memory.record import NULL
from lab.offload.gro.table import due_of
from lab.offload.records import EGRESS_SIDE, INGRESS_SIDE
from lab.stages.burst import BURST, PASSES, drop, explain
from lab.stages.regions import NO_STAGE, PORTS, TUNNEL_KIND
from lab.translate.fdb import changes_of

FIND, RECEIVE, INGRESS, LOOKUP, SEND, EGRESS, TRANSMIT = range(7)
ALWAYS, MISSES, SMC_ON = range(3)  # when a stage of the main way has something to do
# numbers of stages that the conductor calls by itself
REVALIDATE, TAKE_OVER, GRO_IN, GRO_OUT, GSO = range(5)
ARC_BEHIND = 1  # in `misses` of an output batch, which has none: it has passed its arc, and waits for another batch to leave
ONE = np.uint64(1)
ZERO = np.uint64(0)
Way = namedtuple("Way", "lane queues bursts outs again cuts gro ports route needs config fdb")  # what the conductor reads


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
            number = finish_batch(way)
        if number != NO_STAGE:
            return number


def finish_batch(way):
    """The output batch has been transmitted: the rest of what it was cut from, or of what GRO let go of, comes next."""
    here = way.lane[0]
    batch = way.outs[here.out]
    if batch.first < batch.n and way.ports[here.out].kind == TUNNEL_KIND:  # the batch that its packets go on to was full
        here.later = here.later | (ONE << np.uint64(here.out))
        here.phase = SEND
        batch.misses = ARC_BEHIND
        batch.miss[0] = 0
        return NO_STAGE
    batch.n = 0
    batch.first = 0
    batch.misses = 0
    here.later = ZERO
    here.phase = EGRESS
    port = way.ports[here.out]
    if way.cuts[0].first < way.cuts[0].n:
        here.at = behind(port.egress, port.n_egress, GSO, 0)
        return GSO
    if here.ready_out != 0 and way.gro.ready[EGRESS_SIDE].port == here.out:
        here.at = behind(port.egress, port.n_egress, GRO_OUT, 0)
        return GRO_OUT
    here.pending = here.pending & ~(ONE << np.uint64(here.out))
    batch.wants = ZERO
    here.phase = SEND
    return NO_STAGE


def behind(arc, n, number, likely):
    """How many stages of an arc lie behind when the stage of this number is through; `likely` if that is still true."""
    if 0 < likely <= n and arc[likely - 1] == number:
        return likely
    for at in range(n):
        if arc[at] == number:
            return at + 1
    return n


def more_of_batch(way):
    """Whether stages of the egress arc hold more for the output batch that was transmitted last."""
    return way.cuts[0].first < way.cuts[0].n or way.lane[0].ready_out != 0


def come_to_rest(way):
    """Behind the last stage of a burst: nothing is in hand any more. Stepping looks for it, a PMD just goes on."""
    here = way.lane[0]
    burst = way.bursts[0]
    if here.phase == TRANSMIT and not more_of_batch(way):
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
    if here.held + here.ready != 0 and (here.ready != 0 or here.paused != 0 or here.now >= here.due):
        return let_go(way)
    queues = way.queues[0]
    if queues.n == 0:
        return NO_STAGE
    here.poll += 1
    if here.poll >= queues.n:
        here.poll = 0
    here.phase = RECEIVE
    way.bursts[0].depth = 0
    if queues.port[here.poll] >= PORTS:  # a ring from another lane
        here.hand = queues.port[here.poll] - PORTS
        here.port = 0
        return TAKE_OVER
    here.port = queues.port[here.poll]
    return way.ports[here.port].receive


@apart
def let_go(way):
    """GRO has held packets long enough, or has some ready that found no room: they go on from where they stood on their arc."""
    here = way.lane[0]
    burst = way.bursts[0]
    side = INGRESS_SIDE
    if here.ready == 0:
        item = first_due(way)
        if item == NULL:
            here.held = 0
            return NO_STAGE
        side = way.gro.items[item].side
        way.gro.ready[side].port = way.gro.items[item].port
        way.gro.ready[side].at = way.gro.items[item].at
    ready = way.gro.ready[side]
    port = way.ports[ready.port]
    here.due = here.now + way.config[0].gro_us  # GRO knows better, but a stage in its place may not
    if side == INGRESS_SIDE:
        here.at = behind(port.ingress, port.n_ingress, GRO_IN, ready.at)
        here.port = ready.port
        here.phase = INGRESS
        burst.port = ready.port
        burst.n = 0
        burst.first = 0
        burst.misses = 0
        burst.depth = 0
        return GRO_IN
    here.at = behind(port.egress, port.n_egress, GRO_OUT, 0)
    here.out = ready.port
    here.phase = EGRESS
    here.pending = here.pending | (ONE << np.uint64(ready.port))
    return GRO_OUT


def first_due(way):
    """The item of GRO whose time has come or comes first; NULL when it holds none."""
    gro = way.gro
    found = NULL
    soonest = 0
    for i in range(len(gro.items)):
        if gro.items[i].first != NULL:
            due = due_of(way, gro.items[i])
            if found == NULL or due < soonest or (due == soonest and gro.items[i].order < gro.items[found].order):
                found = i
                soonest = due
    return found


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
    if here.pending != ZERO:
        choose_batch(way)
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


def choose_batch(way):
    """The next output batch of those that do not wait for another one's."""
    here = way.lane[0]
    if here.pending & ~here.later == ZERO:
        here.later = ZERO
    here.out = low_bit(here.pending & ~here.later)
    here.phase = EGRESS
    here.at = 0
    if way.outs[here.out].misses == ARC_BEHIND:
        here.at = way.ports[here.out].n_egress


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
    batch = way.outs[here.out]
    while batch.n > 0 and here.at < port.n_egress:
        number = port.egress[here.at]
        here.at += 1
        wants = way.needs[number].wants
        if wants == ZERO or batch.wants & wants != ZERO:
            return number
    here.phase = TRANSMIT
    if batch.n == 0:
        return NO_STAGE
    return port.transmit


Tally = namedtuple("Tally", "keys mbufs pool counters reasons trace")  # what is counted and returned


MIDDLE, LAST, OUTPUT_SIDE = range(3)  # what kind of place a stage stood at


def settle(tally, burst, number, before, place):
    """Close a stage: count it, return what it dropped, close the gaps."""
    counter = tally.counters[number]
    counter.calls += 1
    if place == LAST and burst.first == 0 and burst.n > 0:
        leave_none(tally, burst)
    came = before
    if came < 0:  # what the burst before left behind: this one began with none
        came = 0
    went = burst.n
    if place != MIDDLE and burst.first > 0:  # it may have taken a part of the burst only
        came = before - (burst.n - burst.first)
        went = came
    counter.packets_in += came
    lost = 0
    if burst.dropped != np.uint64(0):
        lost = return_dropped(tally, burst)
        if burst.first == 0:
            close_gaps(tally, burst, place)
        burst.dropped = np.uint64(0)
    counter.drops += lost
    counter.packets_out += went - lost


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
