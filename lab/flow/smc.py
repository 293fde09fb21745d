"""The signature-match cache: 2^18 buckets of four signatures of 16 bits, each with the index of a megaflow.

A hit is only a hint: the megaflow's own masked key decides. Megaflows with an index of 65535 or more
do not fit and are never entered, as in OVS.
"""

import numpy as np

from lab.memory.raw import i64, masked_same
from lab.memory.record import NULL, Layout

BUCKETS = 1 << 18
WAYS = 4
NONE = 0xFFFF

smc_t = Layout("smc", sig=("u2", WAYS), flow=("u2", WAYS))


def smc_find(smc, table, key, h):
    """The megaflow whose signature and masked key are this packet's, or NULL."""
    bucket = smc[i64(h) & (BUCKETS - 1)]
    sig = i64(h >> np.uint64(48))
    for way in range(WAYS):
        if bucket.sig[way] == sig and bucket.flow[way] != NONE:
            f = bucket.flow[way]
            flow = table.flows[f]
            sub = table.subtables[flow.subtable]
            if flow.alive != 0 and masked_same(flow.w, key.w, sub.mask, sub.blocks):
                return f
    return NULL


def smc_put(smc, h, f):
    """Remember a megaflow: over its own signature, in an empty way, else over the one the hash points at."""
    if f >= NONE:
        return
    bucket = smc[i64(h) & (BUCKETS - 1)]
    sig = i64(h >> np.uint64(48))
    at = i64(h >> np.uint64(20)) & (WAYS - 1)
    for way in range(WAYS):
        if bucket.flow[way] == NONE:
            at = way
    for way in range(WAYS):
        if bucket.sig[way] == sig and bucket.flow[way] != NONE:
            at = way
    bucket.sig[at] = sig
    bucket.flow[at] = f


def smc_clear(smc):
    """Forget everything."""
    for i in range(len(smc)):
        for way in range(WAYS):
            smc[i].flow[way] = NONE
