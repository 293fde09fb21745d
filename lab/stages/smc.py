"""Lookup, second: what the EMC missed is sought by signature, when the signature cache is on."""

from lab.flow.smc import smc_find
from lab.memory.reasons import SMC_HIT, SMC_MISS
from lab.memory.record import NULL
from lab.stages.burst import explain
from lab.stages.megaflow import enter_emc
from lab.stages.stage import stage


@stage
def smc(bursts, mbufs, keys, megaflows, smc, emc, lane, config, reasons, trace):
    """Resolve what the EMC missed by the signature of its hash."""
    burst = bursts[0]
    tracing = trace[0].on
    left = burst.misses
    missed = 0
    for q in range(left):
        k = burst.miss[q]
        m = mbufs[burst.pkt[k]]
        f = smc_find(smc, megaflows, keys[k], m.hash)
        if f == NULL:
            burst.miss[missed] = k
            missed += 1
            if tracing != 0:
                explain(trace, m, SMC_MISS, 0, 0)
        else:
            m.flow = f
            if tracing != 0:
                explain(trace, m, SMC_HIT, f, 0)
            enter_emc(emc, config, lane, keys[k], m)
    burst.misses = missed
    reasons[SMC_HIT].count += left - missed
    reasons[SMC_MISS].count += missed
