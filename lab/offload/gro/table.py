"""What GRO holds: 64 buckets of 8 places, and the packets it has let go of. Both profiles of the stage `gro` stand on this.

A *profile* decides about one packet at a time: `linux_take` and `dpdk_take`, each in a `take.py`, have one signature,
`take(to, i, m, place)`: `to` is the view `merging`, `i` the packet, `m = mbufs[i]`, `place` where it stands (see
`place_of`). They return HELD when the packet went into the table, as an item of its own or as part of one (or is gone
altogether), PASSES when the stage shall put it behind what is ready. Whatever of its flow must leave before it, the
profile lets go of: `let_go(to, n, why, figure)` of finish.py finishes what item `n` holds, tells why, puts it behind
what is ready and frees the item. A packet, with what must leave before it, is at most RESERVED more that are ready: so the
list has an end that is never reached, since the stage takes no burst that might not fit; who wants more asks `room_for_more`.

An item is free when `first` is NULL. The profile sets `kind`, `begin` fills most of the item's first line, the profile the
rest; the words `w` are the profile's. Kinds from FIRST_OF_DPDK on are that profile's. What must be written when an item of several
packets leaves follows from its kind: see finish.py.
"""

import numpy as np

from lab.memory.raw import add, apart, i64, mul, u64
from lab.memory.record import NULL
from lab.offload.records import BUCKETS, READY, WAYS

HELD, PASSES = 0, 1
EGRESS_PHASE = 5  # `lane.phase` of an egress arc
# kinds of items: TCP over IPv4 without tags and tunnels; anything else, found anew by `look`; pure acknowledgements
PLAIN, GENERAL, ACKS = 1, 2, 3
# of `dpdk`: as PLAIN, as GENERAL, and IP fragments, whose header is true after each merge, so nothing is left to write
FIRST_OF_DPDK = 8
DPDK_PLAIN, DPDK_GENERAL, DPDK_FRAGMENTS = 8, 9, 10
ID_UNDECIDED, ID_FIXED, ID_COUNTING = range(3)
FAR = 1 << 62  # `lane.due` when nothing is held
MOST_IP = 0xFFFF
RESERVED = 2  # places of `ready` for each packet that is still to come in this call
MOST_TO_COME = 64  # packets of a burst, at most
BUCKET_SHIFT = np.uint64(64 - (BUCKETS - 1).bit_length())
MIX_0, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xC2B2AE3D27D4EB4F)
HALF, ONE = np.uint64(32), np.uint64(1)


def place_of(rule_port, arc_port, side, at):
    """Where a packet stands, as 32 bits: the port whose setting counts, the port of the arc, its side, the stages behind."""
    return rule_port << 24 | arc_port << 16 | side << 8 | at


def rule_port_of(place):
    """The port whose settings count: where the packet came from on ingress, where it goes on egress."""
    return place >> 24


def hash_of(a, b):
    """A hash of two words, never zero."""
    h = mul(a ^ MIX_0, MIX_1)
    h = mul(add(h ^ (h >> HALF), b), MIX_2)
    return h ^ (h >> HALF) | ONE


def bucket_of(h):
    """The first item of a hash's bucket."""
    return i64(h >> BUCKET_SHIFT) * WAYS


def find(to, h):
    """The first item of a hash, or NULL."""
    return find_next(to, h, bucket_of(h))


def find_next(to, h, n):
    """The next item of a hash in its bucket, from place `n` on, or NULL."""
    end = bucket_of(h) + WAYS
    while n < end:
        if to.gro.items[n].hash == h and to.gro.items[n].first != NULL:
            return n
        n += 1
    return NULL


def free_place(to, h):
    """A free item of a hash's bucket; NULL when the bucket is full: then `oldest_of` must go."""
    n = bucket_of(h)
    for way in range(WAYS):
        if to.gro.items[n + way].first == NULL:
            return n + way
    return NULL


@apart
def oldest_of(to, h):
    """The item of a full bucket that was begun first."""
    n = bucket_of(h)
    found = n
    for way in range(1, WAYS):
        if to.gro.items[n + way].order < to.gro.items[found].order:
            found = n + way
    return found


def begin(to, n, i, h, place):
    """Hold a packet as the first of item `n`; `kind` is set before; the profile fills `last`, sequence numbers, lengths and words."""
    head = to.gro.head[0]
    lane = to.lane[0]
    item = to.gro.items[n]
    item.hash = h
    item.since = lane.now
    item.order = head.order
    item.first = i
    item.port = place >> 16 & 0xFF
    item.side = place >> 8 & 0xFF
    item.at = place & 0xFF
    item.packets = 1
    item.id_rule = ID_UNDECIDED
    item.outer_id_rule = ID_UNDECIDED
    item.why = 0
    head.order += 1
    head.held += 1
    head.used = head.used | (ONE << (h >> BUCKET_SHIFT))
    lane.held += 1
    due = due_of(to, item)
    if due < lane.due or lane.held == 1:
        lane.due = due


def due_of(to, item):
    """When an item has been held long enough, in microseconds of the lane's clock."""
    if item.kind >= FIRST_OF_DPDK:
        return dpdk_due_of(to, item)
    return item.since + to.config[0].gro_us


@apart
def dpdk_due_of(to, item):
    """The same in profile `dpdk`, whose timeout is given in cycles: the microsecond in which it ends has to pass."""
    per_us = to.config[0].cycles_per_us
    if per_us <= 0:
        per_us = 1
    return item.since + (to.config[0].gro_cycles + per_us - 1) // per_us


def same_place(item, place):
    """1 when an item stands where the call does; what the port's settings say may differ."""
    if item.port << 16 | item.side << 8 | item.at == place & 0xFFFFFF:
        return 1
    return 0


def last_of(to, i):
    """The last segment of a packet."""
    while to.mbufs[i].next != NULL:
        i = to.mbufs[i].next
    return i


def put_ready(to, side, i):
    """A packet behind all that is ready to leave; the stage sees to it that there is room (see `room_for_more`)."""
    ready = to.gro.ready[side]
    ready.pkt[ready.n] = i
    ready.n += 1


def may_go(to, item, gone):
    """Whether an item of a packet's flow leaves before it: the first does in any case, others that there should not be if there is room."""
    if gone == 0 or room_for_more(to, item.side, MOST_TO_COME):
        return 1
    return 0


def room_for_more(to, side, coming):
    """Whether items may leave that nothing forces to, with so many packets of the burst still to come."""
    return to.gro.ready[side].n + RESERVED * (coming + 1) < READY


def tell(to, m, reason, a, b):
    """Count a reason; while tracing keep it with the packet. The floor of stages has the same without the count."""
    to.reasons[reason].count += 1
    head = to.trace[0]
    if head.on == 0:
        return
    n = head.n + 1
    if n < len(to.trace):
        event = to.trace[n]
        event.packet = m.serial
        event.stage = head.stage
        event.reason = reason
        event.a = a
        event.b = b
        head.n = n


def release(to, n, why, figure):
    """An item's packet, finished, goes behind what is ready; the item is free."""
    item = to.gro.items[n]
    lane = to.lane[0]
    i = item.first
    tell(to, to.mbufs[i], why, item.packets, figure)
    put_ready(to, item.side, i)
    head = to.gro.head[0]
    if item.packets > 1:
        head.flushed += 1
        head.merged += item.packets - 1
    item.first = NULL
    item.hash = u64(0)
    head.held -= 1
    lane.held -= 1
    if lane.held == 0:
        lane.due = FAR
