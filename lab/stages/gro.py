"""Hold and merge packets of the burst that follow each other in one flow; let go of what cannot grow.

It stands on ingress arcs, behind `checksum`, and on egress arcs, before `gso`. The port's setting names the profile that
decides about each packet (`lab/offload/gro/`). All that goes on passes through a list of what is ready, in order; what
finds no room in the burst stays there, and the conductor calls again before anything else is received or sent.
"""

import numpy as np

from lab.memory.raw import apart, low_bit, prefetch, u64
from lab.memory.reasons import F_END_OF_BURST, F_GONE, F_PAUSE, F_TIMEOUT
from lab.memory.record import NULL
from lab.offload.gro.dpdk import dpdk_burst, dpdk_take, takes_bursts
from lab.offload.gro.finish import let_go
from lab.offload.gro.linux import linux_take
from lab.offload.gro.table import (
    EGRESS_PHASE,
    FAR,
    FIRST_OF_DPDK,
    ONE,
    PASSES,
    due_of,
    place_of,
    put_ready,
    room_for_more,
    same_place,
)
from lab.offload.records import EGRESS_SIDE, INGRESS_SIDE, WAYS
from lab.stages.burst import BURST, ROOM, wants_of
from lab.stages.regions import GRO_DPDK, GRO_LINUX
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
    came = burst.n
    merging.gro.head[0].packets += came
    if takes_bursts(merging, burst, side, port):
        burst.n = dpdk_burst(merging, burst, place_of(port, port, side, lane.at))
        if side == EGRESS_SIDE:
            want_again(merging, burst)
        return
    others = waiting_for_others(merging.gro.ready[side], lane.at, came)
    for k in range(came):
        if k + 1 < came:
            following = merging.mbufs[burst.pkt[k + 1]]
            prefetch(merging.memory, following.buf + following.data_off)
        take_one(merging, burst.pkt[k], side, port)
    if lane.held != 0 and (lane.now >= lane.due or lane.paused != 0):
        let_go_in_time(merging, place_of(port, port, side, lane.at), came)
    deliver(merging, burst, side, port, others)


def waiting_for_others(ready, at, came):
    """What is ready moves to the front of its list; how many of it go on from an earlier place of the arc, in their turn."""
    if ready.first != 0:
        for k in range(ready.n):
            ready.pkt[k] = ready.pkt[ready.first + k]
        ready.first = 0
    if came != 0 and ready.at != at:
        return ready.n
    return 0


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
            if item.first != NULL and same_place(item, place) != 0 and room_for_more(to, item.side, ROOM):
                let_go(to, n, F_GONE, 0)


@apart
def let_go_in_time(to, place, came):
    """Held items of this place whose time has come leave, as many as the burst has room for, and when the next is due is found."""
    lane = to.lane[0]
    due = FAR
    first = NULL
    before = lane.held
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
            if why != 0 and same_place(item, place) != 0 and to.gro.ready[item.side].n < room_of(item.side):
                let_go(to, n, why, lane.now - item.since)
                continue
            used = used | (ONE << u64(bucket))
            when = due_of(to, item)
            if when < due:
                due = when
            if first == NULL or item.order < to.gro.items[first].order:
                first = n
    to.gro.head[0].used = used
    lane.due = due
    if came == 0 and lane.held == before and due <= lane.now and same_place(to.gro.items[first], place) != 0:
        let_go(to, first, F_TIMEOUT, lane.now - to.gro.items[first].since)  # else the conductor would call for it for ever


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
    """Move what is ready into the burst, as far as there is room, but for the first that wait for others; say where the rest goes on."""
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
    if others != 0:
        for k in range(others, ready.n):
            ready.pkt[k] = ready.pkt[k + n]
    else:
        ready.first = n
        ready.port = port
        ready.at = lane.at
    if ready.n == 0:
        ready.first = 0
    if side == EGRESS_SIDE:
        want_again(to, burst)
        lane.ready_out = ready.n
    else:
        lane.ready = ready.n


def want_again(to, burst):
    """What the packets of an output batch want, now that they are others."""
    burst.wants = ZERO
    for k in range(burst.n):
        burst.wants = burst.wants | wants_of(to.mbufs[burst.pkt[k]])
