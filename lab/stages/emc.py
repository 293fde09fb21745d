"""Lookup, first: resolve each packet by its full key in the exact-match cache. What it misses goes on to the SMC."""

from lab.flow.emc import ENTRIES, emc_find
from lab.memory.raw import i64
from lab.memory.reasons import EMC_HIT, EMC_MISS, EMC_OFF
from lab.memory.record import NULL
from lab.stages.burst import explain
from lab.stages.stage import stage


@stage
def emc(bursts, mbufs, keys, emc, config, reasons, trace):
    """Resolve each packet of the burst by its full key in the exact-match cache."""
    burst = bursts[0]
    on = i64(config[0].emc_chance)
    why = EMC_MISS
    if on == 0:
        why = EMC_OFF
    missed = 0
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        place = 0
        if on != 0:
            place = emc_find(emc, keys[k], m.hash, m.blocks)
        if place == 0:
            m.flow = NULL
            burst.miss[missed] = k
            missed += 1
        else:
            at = i64(m.hash)
            if place == 2:
                at = i64(m.hash >> 13)
            m.flow = emc[at & (ENTRIES - 1)].flow
    if trace[0].on != 0:
        for k in range(burst.n):
            m = mbufs[burst.pkt[k]]
            if m.flow == NULL:
                explain(trace, m, why, 0, 0)
            else:
                explain(trace, m, EMC_HIT, emc_find(emc, keys[k], m.hash, m.blocks), 0)
    burst.misses = missed
    reasons[EMC_HIT].count += burst.n - missed
    reasons[why].count += missed
