"""Linear: the last stage before a port that takes no chains; each is copied into one buffer, the only place where that happens.

It stands on the egress arc of ports without the offload `chains`, behind GSO, and is called for batches that hold a chain.
A buffer holds 2048 B, so a jumbo frame in segments does not fit, whatever the port's MTU: what is larger is dropped with a reason,
whose cure is a port that takes chains. Large packets never come here whole: GSO cuts them for such a port.
"""

from lab.memory.mbuf import FILL
from lab.memory.reasons import LINEARISED, NOT_LINEAR, POOL_EMPTY
from lab.memory.record import NULL
from lab.offload.chains import linearise
from lab.stages.burst import drop, explain
from lab.stages.stage import stage


@stage
def linear(bursts, mbufs, memory, pool, reasons, trace):
    """Copy chains into one buffer, at a port that takes no chains."""
    burst = bursts[0]
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        if m.next == NULL:
            continue
        segments = m.nb_segs
        i = linearise(memory, mbufs, pool, i)
        if i != NULL:
            burst.pkt[k] = i
            reasons[LINEARISED].count += 1
            explain(trace, mbufs[i], LINEARISED, segments, mbufs[i].pkt_len)
        elif m.pkt_len > FILL:
            drop(burst, m, k, NOT_LINEAR, m.pkt_len, FILL)
        else:
            drop(burst, m, k, POOL_EMPTY, 0, 0)
