"""Bursts: up to 32 packets that go from stage to stage together, and what stages say of them.

`pkt` holds mbuf indexes; `miss` the places (not mbufs) that no cache has resolved yet; `first` is the place that
`actions` goes on from when an output batch was full. The batch of an output port is a burst as well, so the same
stages stand on both sides; `wants` holds the offload flags that any of its packets has, so that a stage which nobody
needs is not called. `depth` says how often its packets were recirculated. A stage drops a packet by saying so
here; the engine counts it, returns its mbufs and closes the gap when the stage is done.
"""

import numpy as np

from lab.memory.mbuf import CHAINED
from lab.memory.record import NULL, Layout

BURST = 32
ROOM = 64  # places of a batch: a full one, and one packet with as many outputs as a rule may have to one port
PASSES = 8  # how often a packet may be recirculated
burst_t = Layout(
    "burst",
    line=True,
    n="i8",
    misses="i8",
    first="i8",
    dropped="u8",
    wants="u8",
    port="u4",
    depth="u4",
    pkt=("u4", ROOM),
    miss=("u4", BURST),
)
trace_t = Layout("trace", on="i8", n="i8", packet="u4", stage="u2", reason="u2", a="i8", b="i8")
reason_t = Layout("reason", count="i8")


def wants_of(m):
    """What a packet adds to the wants of its batch: its offload flags, and whether it is a chain."""
    if m.next != NULL:
        return m.ol_flags | CHAINED
    return m.ol_flags


def explain(trace, m, reason, a, b):
    """While tracing, keep why a decision about a packet fell, with up to two figures."""
    head = trace[0]
    if head.on == 0:
        return
    n = head.n + 1
    if n < len(trace):
        event = trace[n]
        event.packet = m.serial
        event.stage = head.stage
        event.reason = reason
        event.a = a
        event.b = b
        head.n = n


def drop(burst, m, k, reason, a, b):
    """Drop the packet at place `k` of the burst when this stage is done, for a reason with up to two figures."""
    burst.dropped = burst.dropped | (np.uint64(1) << np.uint64(k))
    m.reason = reason
    m.reason_a = a
    m.reason_b = b
