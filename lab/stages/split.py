"""The first half of vRouter's way: the core that receives from a guest cuts its large packets, another one writes the headers.

Stands on the ingress arc of a port with `vrouter=True`, in front of `handover`. A large packet becomes a chain of elements
of one segment each, and nothing of its payload is copied. What is in a tunnel already, has headers that cannot be
found, or would be more mbufs than a chain has or the pool, goes on as it is: GSO will cut it, or refuse it, at the egress port.
"""

import numpy as np

from lab.memory.mbuf import ELEMENTS, GSO, TUN_META, TUNNEL
from lab.memory.reasons import SPLIT
from lab.memory.record import NULL
from lab.offload.gso.elements import make_elements
from lab.offload.seen import see
from lab.stages.burst import explain
from lab.stages.stage import stage

NOT_HERE = ELEMENTS | TUNNEL | TUN_META  # the last: `tunnels` goes by the number of the first mbuf


@stage
def split(bursts, mbufs, memory, pool, lane, sight, reasons, trace, cutting):
    """Cut large packets of a guest into chains of elements of one segment each, without copying."""
    burst = bursts[0]
    s = sight[0]
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        if m.ol_flags & GSO == np.uint64(0) or m.ol_flags & NOT_HERE != np.uint64(0):
            continue
        found = see(memory, mbufs, pool, i, s)
        size = m.tso_segsz
        length = m.pkt_len
        if found == 0 or s.end != length or size == 0 or s.payload + size >= length:
            continue
        chain = make_elements(cutting, i, s.payload)
        if chain == NULL:
            continue
        burst.pkt[k] = chain
        reasons[SPLIT].count += 1
        explain(trace, mbufs[chain], SPLIT, length, (length - s.payload + size - 1) // size)
