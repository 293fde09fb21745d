"""Hold and merge packets of the burst that follow each other in one flow; let go of what cannot grow.

It stands on ingress arcs, behind `checksum`, and on egress arcs, before `gso`. The port's setting names the profile that
decides about each packet (`lab/offload/gro/`). All that goes on passes through a list of what is ready, in order; what
finds no room in the burst stays there, and the conductor calls again before anything else is received or sent.
"""

import numpy as np

from lab.memory.raw import apart, low_bit, prefetch, u64
from lab.memory.reasons import F_END_OF_BURST, F_GONE, F_PAUSE, F_TIMEOUT
from lab.memory.record import NULL
from lab.offload.gro.dpdk.take import dpdk_burst, dpdk_take, takes_bursts
from lab.offload.gro.finish import let_go
from lab.offload.gro.linux.take import linux_take
from lab.offload.gro.table import (
    EGRESS_PHASE,
    FAR,
    FIRST_OF_DPDK,
    ONE,
    PASSES,
    RESERVED,
    due_of,
    place_of,
    put_ready,
    room_for_more,
    same_place,
)
from lab.offload.records import EGRESS_SIDE, GRO_DPDK, GRO_LINUX, INGRESS_SIDE, READY, WAYS
from lab.stages.burst import BURST, ROOM, wants_of
from lab.stages.stage import stage

ZERO = np.uint64(0)


@stage
def gro(bursts, merging):
    """Hold and merge packets of the burst that follow each other in one flow; let go of what cannot grow."""
    burst = bursts[0]
    lane = merging.lane[0]
    side = INGRESS_SIDE
    port = lane.port
    if lane.phase == EGRESS_PHASE:
        side = EGRESS_SIDE
        port = lane.out
    again = 0
    counted = burst.n
    if side == INGRESS_SIDE and burst.n != 0 and is_second(merging.ports[port], lane.at) != 0:
        again = 1
        counted = out_of_tunnels(merging, burst, port)
    ready = merging.gro.ready[side]
    if burst.n != 0 and (counted == 0 or ready.n + RESERVED * burst.n > READY):
        return  # nothing is for this place, or so much waits that nothing more may be set in motion
    merging.gro.head[0].packets += counted
    if again == 0 and takes_bursts(merging, burst, side, port):
        burst.n = dpdk_burst(merging, burst, place_of(port, port, side, lane.at))
        if side == EGRESS_SIDE:
            want_again(merging, burst)
        return
    others = 0
    if ready.n != 0:
        others = waiting_for_others(merging, ready, burst.n, place_of(0, port, side, lane.at))
    came = burst.n
    for k in range(came):
        if k + 1 < came:
            following = merging.mbufs[burst.pkt[k + 1]]
            prefetch(merging.memory, following.buf + following.data_off)
        i = burst.pkt[k]
        if again != 0 and merging.mbufs[i].in_port == port:
            put_ready(merging, side, i)
        else:
            take_one(merging, i, side, port)
    if lane.held != 0 and (came == 0 or lane.now >= lane.due or lane.paused != 0):
        let_go_in_time(merging, place_of(port, port, side, lane.at), came, others)
    deliver(merging, burst, side, port, others)


def is_second(port, at):
    """1 when the same stage stands on the port's ingress arc before: it has seen all but what came out of tunnels since."""
    if at <= port.n_ingress:
        for k in range(at - 1):
            if port.ingress[k] == port.ingress[at - 1]:
                return 1
    return 0


def out_of_tunnels(to, burst, port):
    """How many packets of a burst came in through another port than its own."""
    n = 0
    for k in range(burst.n):
        if to.mbufs[burst.pkt[k]].in_port != port:
            n += 1
    return n


@apart
def waiting_for_others(to, ready, came, place):
    """How many packets wait for other places than this one; they move to the front, those that wait for this one behind them."""
    if came == 0:
        place = to.mbufs[ready.pkt[0]].reason_a  # the conductor called for these, whatever the arc has become
    own = 0
    while own < ready.n and to.mbufs[ready.pkt[own]].reason_a == place:
        own += 1
    turn(ready, own)
    return ready.n - own


def turn(ready, n):
    """The first so many move behind all others."""
    if n != 0 and n != ready.n:
        reverse(ready, 0, n)
        reverse(ready, n, ready.n)
        reverse(ready, 0, ready.n)


def reverse(ready, first, end):
    """A part of the list, the other way round."""
    while first + 1 < end:
        end -= 1
        i = ready.pkt[first]
        ready.pkt[first] = ready.pkt[end]
        ready.pkt[end] = i
        first += 1


def take_one(to, i, side, port):
    """One packet of the burst, as its port's profile will have it."""
    m = to.mbufs[i]
    if side == INGRESS_SIDE:
        rule_port = m.in_port  # it may have come out of a tunnel on this arc
    else:
        rule_port = port
    profile = to.ports[rule_port].gro
    place = place_of(rule_port, port, side, to.lane[0].at)
    taken = PASSES
    if profile == GRO_LINUX:
        taken = linux_take(to, i, m, place)
    elif profile == GRO_DPDK:
        taken = dpdk_take(to, i, m, place)
    elif to.lane[0].held != 0:
        let_go_of_place(to, place)
    if taken == PASSES:
        put_ready(to, side, i)


@apart
def let_go_of_place(to, place):
    """The port does GRO no more: what is held there leaves before what comes."""
    left = to.gro.head[0].used
    while left != ZERO:
        bucket = low_bit(left)
        left = left & (left - ONE)
        for n in range(WAYS * bucket, WAYS * bucket + WAYS):
            item = to.gro.items[n]
            if item.first == NULL or same_place(item, place) == 0 or room_for_more(to, item.side, ROOM) == 0:
                continue
            if item.side == EGRESS_SIDE or to.mbufs[item.first].in_port == place >> 24:  # else another port's, out of a tunnel
                let_go(to, n, F_GONE, 0)


@apart
def let_go_in_time(to, place, came, others):
    """Held items of this place whose time has come leave, as many as the burst has room for, and when the next is due is found."""
    lane = to.lane[0]
    due = FAR
    first = NULL
    left = to.gro.head[0].used
    used = ZERO
    while left != ZERO:
        bucket = low_bit(left)
        left = left & (left - ONE)
        for n in range(WAYS * bucket, WAYS * bucket + WAYS):
            item = to.gro.items[n]
            if item.first == NULL:
                continue
            why = why_now(to, item)
            if why != 0 and same_place(item, place) != 0 and has_room(to.gro.ready[item.side], item.side, others) != 0:
                let_go(to, n, why, lane.now - item.since)
                continue
            used = used | (ONE << u64(bucket))
            when = due_of(to, item)
            if first == NULL or when < due or (when == due and item.order < to.gro.items[first].order):
                first = n
            if when < due:
                due = when
    to.gro.head[0].used = used
    lane.due = due
    if came == 0 and first != NULL:
        let_go_of_stranded(to, place, first)


def has_room(ready, side, others):
    """Whether one more packet goes on at once."""
    if ready.n - others < room_of(side) and ready.n < READY:
        return 1
    return 0


def let_go_of_stranded(to, place, n):
    """What the conductor called for stands at a place that is no more, since the arc was changed; else it would call for ever."""
    item = to.gro.items[n]
    why = why_now(to, item)
    of_port = item.port << 8 | item.side == place >> 8 & 0xFFFF
    if why != 0 and of_port and same_place(item, place) == 0 and to.gro.ready[item.side].n == 0:
        let_go(to, n, why, to.lane[0].now - item.since)


def why_now(to, item):
    """Why an item leaves now, or 0."""
    lane = to.lane[0]
    if lane.paused != 0:
        return F_PAUSE
    if item.kind >= FIRST_OF_DPDK and to.config[0].gro_cycles == 0:
        return F_END_OF_BURST
    if due_of(to, item) <= lane.now:
        return F_TIMEOUT
    return 0


def room_of(side):
    """How many packets go on at once."""
    if side == EGRESS_SIDE:
        return ROOM
    return BURST


def deliver(to, burst, side, port, others):
    """Move what is ready into the burst, as far as there is room, but for the first that wait for other places."""
    ready = to.gro.ready[side]
    lane = to.lane[0]
    n = ready.n - others
    if n > room_of(side):
        n = room_of(side)
    for k in range(n):
        burst.pkt[k] = ready.pkt[others + k]
    burst.n = n
    burst.first = 0
    burst.misses = 0
    ready.n -= n
    if ready.n != 0:
        keep_rest(to, ready, others, n, place_of(0, port, side, lane.at))
    if side == EGRESS_SIDE:
        want_again(to, burst)
        lane.ready_out = ready.n
        if ready.n != 0:
            lane.pending = lane.pending | (ONE << u64(ready.port))
    else:
        lane.ready = ready.n


@apart
def keep_rest(to, ready, others, n, place):
    """What found no room goes on from here before what waits for other places; each packet says where, in a word of its mbuf.

    While they wait, other ports and later places of the arc have their turn: the list is a stack of such parts."""
    for k in range(others, ready.n):
        ready.pkt[k] = ready.pkt[k + n]
        to.mbufs[ready.pkt[k]].reason_a = place
    turn(ready, others)
    place = to.mbufs[ready.pkt[0]].reason_a
    ready.port = place >> 16
    ready.at = place & 0xFF


def want_again(to, burst):
    """What the packets of an output batch want, now that they are others."""
    burst.wants = ZERO
    for k in range(burst.n):
        burst.wants = burst.wants | wants_of(to.mbufs[burst.pkt[k]])
