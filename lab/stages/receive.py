"""The beginning of the way: take up to 32 waiting frames of a simulated port from its ring.

Whoever puts a frame there has said which port it comes from (a packet-out may come from none) and what is to be run on it.
"""

import numpy as np

from lab.memory.raw import acquire, prefetch, release
from lab.memory.reasons import RECEIVED
from lab.memory.record import NULL
from lab.stages.burst import BURST, explain
from lab.stages.stage import stage

EVERYTHING = np.uint64(0xFFFFFFFFFFFFFFFF)  # what a burst wants of offload stages before `parse` has looked at its packets


def own_rest(mbufs, i, lane):
    """The further segments of a large frame belong to this lane as well: what it dies with is found by owner."""
    while i != NULL:
        mbufs[i].owner = lane
        i = mbufs[i].next


@stage
def receive(bursts, mbufs, memory, rings, port_stats, lane, reasons, trace):
    """Take a burst from the ring of the port whose turn it is."""
    burst = bursts[0]
    tracing = trace[0].on
    here = lane[0]
    ring = rings.ring[here.port]
    head = ring.head
    n = ring.tail - head
    acquire()
    if n > BURST:
        n = BURST
    room = ring.room - 1
    for k in range(n):
        i = rings.slots[ring.first + ((head + k) & room)].index
        burst.pkt[k] = i
        m = mbufs[i]
        prefetch(memory, m.buf + m.data_off)
    total = 0
    for k in range(n):
        m = mbufs[burst.pkt[k]]
        m.owner = here.number
        if m.next != NULL:
            own_rest(mbufs, m.next, here.number)
        m.flow = NULL
        total += m.pkt_len
        if tracing != 0:
            explain(trace, m, RECEIVED, n, m.pkt_len)
    release()
    ring.head = head + n
    burst.n = n
    burst.misses = 0
    burst.first = 0
    burst.port = here.port
    burst.wants = EVERYTHING
    port_stats[here.port].rx_packets += n
    port_stats[here.port].rx_bytes += total
    reasons[RECEIVED].count += n
