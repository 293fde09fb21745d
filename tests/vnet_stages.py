"""Stages around the functions of virtio-net headers, so that a test runs them in both tempos.

The private copy of a header lies at the beginning of the packet's buffer, in its headroom; `mark` says how long it is.
"""
from lab.offload.vnet import entrance, vnet_in, vnet_out
from lab.stages.burst import drop
from lab.stages.stage import stage


@stage
def enter(bursts, mbufs, memory, pool, sight):
    """Believe what guests say of the packets in hand, or drop them."""
    burst = bursts[0]
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        why = vnet_in(entrance(memory, mbufs, pool, sight), i, m.buf, m.mark)
        if why != 0:
            drop(burst, m, k, why, m.reason_a, m.reason_b)


@stage
def leave(bursts, mbufs, memory, pool, sight):
    """Write what guests are told of the packets in hand; `mark` is 0 where that cannot be said."""
    burst = bursts[0]
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        m.mark = vnet_out(entrance(memory, mbufs, pool, sight), i, m.buf, m.mark)
