"""Lookup, last: what the caches missed is sought in one megaflow subtable after the other, most hit first."""

import numpy as np

from lab.flow.classifier import find
from lab.flow.emc import emc_put
from lab.flow.smc import smc_put
from lab.memory.reasons import CACHED, MEGAFLOW_HIT, MEGAFLOW_MISS
from lab.memory.record import NULL
from lab.stages.burst import explain
from lab.stages.stage import stage


def next_random(lane):
    """The lane's next 64 random bits (xorshift): part of the arena, so a rewind replays them."""
    x = lane.seed
    x = x ^ (x << np.uint64(13))
    x = x ^ (x >> np.uint64(7))
    x = x ^ (x << np.uint64(17))
    lane.seed = x
    return x


def enter_emc(emc, config, lane, key, m):
    """Enter a resolved packet into the EMC as often as its chance says; 1 when it was."""
    chance = config[0].emc_chance
    if chance != np.uint64(0) and (next_random(lane[0]) >> np.uint64(32)) < chance:
        emc_put(emc, key, m)
        return 1
    return 0


@stage
def megaflow(bursts, mbufs, keys, megaflows, emc, smc, lane, config, reasons, trace):
    """Resolve what the caches missed, subtable after subtable."""
    burst = bursts[0]
    tracing = trace[0].on
    left = burst.misses
    smc_on = config[0].smc_on
    subtables = megaflows.head[0].subtables
    for r in range(subtables):
        s = megaflows.subtables[r].rank
        missed = 0
        for q in range(left):
            k = burst.miss[q]
            f = find(megaflows, s, keys[k])
            if f == NULL:
                burst.miss[missed] = k
                missed += 1
            else:
                m = mbufs[burst.pkt[k]]
                m.flow = f
                if tracing != 0:
                    explain(trace, m, MEGAFLOW_HIT, r + 1, subtables)
                if smc_on != 0:
                    smc_put(smc, m.hash, f)
                if enter_emc(emc, config, lane, keys[k], m) != 0:
                    reasons[CACHED].count += 1
                    if tracing != 0:
                        explain(trace, m, CACHED, f, 0)
        megaflows.subtables[s].hits += left - missed
        megaflows.subtables[s].recent += left - missed
        reasons[MEGAFLOW_HIT].count += left - missed
        left = missed
        if left == 0:
            break
    burst.misses = left
    reasons[MEGAFLOW_MISS].count += left
    for q in range(left):
        if tracing != 0:
            explain(trace, mbufs[burst.pkt[burst.miss[q]]], MEGAFLOW_MISS, subtables, 0)
