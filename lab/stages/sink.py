"""The end of the way at a port that only counts: its mbufs return to the pool of this lane at once."""

import numpy as np

from lab.memory.mempool import give, give_many
from lab.memory.reasons import SENT
from lab.stages.burst import drop, explain
from lab.stages.stage import stage
from lab.stages.transmit import refused


def give_taken(pool, mbufs, burst):
    """Return the packets that the port took; those it refused are dropped by the engine."""
    for k in range(burst.n):
        if (burst.dropped >> np.uint64(k)) & np.uint64(1) == np.uint64(0):
            give(pool, mbufs, burst.pkt[k])


def explain_taken(mbufs, burst, trace):
    """Say of each packet that the port took that it left."""
    for k in range(burst.n):
        if (burst.dropped >> np.uint64(k)) & np.uint64(1) == np.uint64(0):
            explain(trace, mbufs[burst.pkt[k]], SENT, burst.n, mbufs[burst.pkt[k]].pkt_len)


@stage
def sink(bursts, mbufs, pool, ports, port_stats, lane, reasons, trace):
    """Count the packets of an output batch and return their mbufs."""
    burst = bursts[0]
    tracing = trace[0].on
    here = lane[0]
    port = ports[here.out]
    sent = 0
    total = 0
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        why = refused(port, m)
        if why != 0:
            drop(burst, m, k, why, m.pkt_len, port.mtu)
            port_stats[here.out].tx_drops += 1
        else:
            sent += 1
            total += m.pkt_len
    if tracing != 0:
        explain_taken(mbufs, burst, trace)
    if burst.dropped == np.uint64(0):
        give_many(pool, mbufs, burst.pkt, burst.n)
    else:
        give_taken(pool, mbufs, burst)
    port_stats[here.out].tx_packets += sent
    port_stats[here.out].tx_bytes += total
    reasons[SENT].count += sent
    burst.first = burst.n
