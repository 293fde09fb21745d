"""Between bursts: keep the lane's tables true and in order.

When the rules have changed (their epoch moved) every megaflow of this lane is forgotten, its counts added to its
rule's. Once a second the subtables are ranked by their hits and idle megaflows are removed.
"""

from lab.flow.classifier import empty, rank_by_hits
from lab.flow.emc import emc_clear, emc_forget
from lab.flow.megaflow import credit, free_all, uninstall
from lab.flow.smc import smc_clear
from lab.stages.stage import stage

SECOND = 1_000_000  # microseconds


def forget_all(megaflows, rule_stats):
    """Forget every megaflow."""
    limit = megaflows.head[0].limit
    for f in range(len(megaflows.flows)):
        if megaflows.flows[f].alive != 0 or f >= limit:
            credit(megaflows, rule_stats, f)
    empty(megaflows)
    free_all(megaflows)


def forget_idle(megaflows, rule_stats, before):
    """Remove the megaflows that have seen nothing since a moment; how many."""
    gone = 0
    for f in range(megaflows.head[0].limit):
        flow = megaflows.flows[f]
        if flow.alive != 0 and flow.used < before and flow.created < before:
            credit(megaflows, rule_stats, f)
            uninstall(megaflows, f)
            gone += 1
    return gone


@stage
def revalidate(megaflows, rule_stats, emc, smc, lane, config):
    """Forget what the rules no longer say and what nobody asked for; rank the subtables."""
    here = lane[0]
    if here.epoch != config[0].epoch:
        if megaflows.head[0].count > 0:
            forget_all(megaflows, rule_stats)
            emc_clear(emc)
            if config[0].smc_on != 0:
                smc_clear(smc)
        here.epoch = config[0].epoch
    if here.now - here.ranked_at >= SECOND:
        here.ranked_at = here.now
        rank_by_hits(megaflows)
        if forget_idle(megaflows, rule_stats, here.now - config[0].idle_us) > 0:
            emc_forget(emc, megaflows.flows)
