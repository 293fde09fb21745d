"""From core to core: a packet leaves one core's ingress arc through a ring, and comes out of it on another.

`handover` stands on the arc of a port whose packets are spread over the cores; which core is decided by the hash of
addresses and ports, so a flow stays in order. `take_over` is what the other core receives with. A ring has one producer
and one consumer; the consumer becomes the owner of every mbuf of the chain.
"""

from lab.memory.raw import acquire, i64, prefetch, release
from lab.memory.reasons import HAND_FULL, HANDED, TAKEN_OVER
from lab.offload.spread import spread_hash
from lab.stages.burst import BURST, drop, explain
from lab.stages.receive import EVERYTHING, own_rest
from lab.stages.regions import HANDS, LANES
from lab.stages.stage import stage


@stage
def handover(bursts, mbufs, memory, rings, config, lane, reasons, trace):
    """Pass the packets of the burst to the cores that their hashes choose; those of this core go on."""
    burst = bursts[0]
    here = lane[0]
    kept = 0
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        to = 1 + i64(spread_hash(memory, m)) % config[0].lanes
        if to == here.number:
            burst.pkt[kept] = i
            kept += 1
            continue
        ring = rings.ring[HANDS + LANES * here.number + to]
        if ring.tail - ring.head >= ring.room:
            ring.overflow += 1
            burst.pkt[kept] = i
            drop(burst, m, kept, HAND_FULL, ring.room, to)
            kept += 1
            continue
        explain(trace, m, HANDED, to, 0)
        rings.slots[ring.first + (ring.tail & (ring.room - 1))].index = i
        release()
        ring.tail += 1
        reasons[HANDED].count += 1
    burst.n = kept


@stage
def take_over(bursts, mbufs, memory, rings, lane, reasons, trace):
    """Take a burst from the ring of another core."""
    burst = bursts[0]
    here = lane[0]
    ring = rings.ring[HANDS + LANES * here.hand + here.number]
    head = ring.head
    n = ring.tail - head
    acquire()
    if n > BURST:
        n = BURST
    for k in range(n):
        i = rings.slots[ring.first + ((head + k) & (ring.room - 1))].index
        burst.pkt[k] = i
        m = mbufs[i]
        prefetch(memory, m.buf + m.data_off)
        own_rest(mbufs, i, here.number)
        explain(trace, m, TAKEN_OVER, here.hand, 0)
    release()
    ring.head = head + n
    burst.n = n
    burst.misses = 0
    burst.first = 0
    burst.port = 0
    burst.wants = EVERYTHING
    reasons[TAKEN_OVER].count += n
