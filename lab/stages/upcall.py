"""The slow path: ask the rules what no megaflow answers, and install a megaflow as wide as is sound.

Translation runs here, compiled, on the core that missed. The mask is what the rules' classifier looked at, the
ingress port and the Ethernet type. What is decided but finds no room is run from a record behind the table.
"""

import numpy as np

from lab.flow.actions import OUTPUT
from lab.flow.key import W_DST, W_PORT, WORDS
from lab.flow.megaflow import credit, install, lookup
from lab.flow.rules import best_rule
from lab.flow.smc import smc_put
from lab.memory.raw import clear
from lab.memory.reasons import MEGAFLOW_FOUND, MEGAFLOW_INSTALLED, NO_RULE, NOT_INSTALLED
from lab.memory.record import NULL
from lab.stages.burst import explain
from lab.stages.megaflow import enter_emc
from lab.stages.stage import stage

EVERY_BIT = np.uint64(0xFFFFFFFFFFFFFFFF)
TYPE_BITS = np.uint64(0xFFFF000000000000)


def bits_in(mask):
    """How many bits a mask asks for."""
    n = 0
    for j in range(WORDS):
        x = mask.w[j]
        while x != np.uint64(0):
            x = x & (x - np.uint64(1))
            n += 1
    return n


def decide(rules, key, wide, flow):
    """Write what the rules say of a key into a megaflow record."""
    r = best_rule(rules, key, wide)
    flow.rule = r
    if r == NULL:
        flow.acts = 0
        flow.n_acts = 0
        flow.reason = NO_RULE
    else:
        rule = rules.flows[r]
        flow.acts = rule.acts
        flow.n_acts = rule.n_acts
        flow.reason = rule.reason


def simple_output(flow, acts, ports):
    """The port through which a megaflow's packets simply leave, or NULL when there is more to do."""
    act = acts[flow.acts]
    if flow.n_acts == 1 and act.op == OUTPUT and act.arg < len(ports) and ports[act.arg].kind != 0:
        return act.arg
    return NULL


def translate(rules, megaflows, key, wide, spare):
    """The megaflow that answers for a key: installed, or the record `spare` when there is no room."""
    clear(wide.w)
    decided = megaflows.flows[spare]
    decide(rules, key, wide, decided)
    wide.w[W_PORT] = EVERY_BIT
    wide.w[W_DST] = wide.w[W_DST] | TYPE_BITS
    f = install(megaflows, wide, key)
    if f == NULL:
        return spare
    flow = megaflows.flows[f]
    flow.rule = decided.rule
    flow.acts = decided.acts
    flow.n_acts = decided.n_acts
    flow.reason = decided.reason
    return f


@stage
def upcall(bursts, mbufs, keys, masks, megaflows, rules, rules_b, rule_stats, acts, ports, emc, smc, lane, config, reasons, trace):
    """Translate each packet that nothing resolved, and remember the answer."""
    burst = bursts[0]
    limit = megaflows.head[0].limit
    for q in range(burst.misses):
        k = burst.miss[q]
        m = mbufs[burst.pkt[k]]
        credit(megaflows, rule_stats, limit + q)
        f = lookup(megaflows, keys[k])
        if f != NULL:
            reasons[MEGAFLOW_FOUND].count += 1
            explain(trace, m, MEGAFLOW_FOUND, f, 0)
        else:
            if config[0].active_rules == 0:
                f = translate(rules, megaflows, keys[k], masks[0], limit + q)
            else:
                f = translate(rules_b, megaflows, keys[k], masks[0], limit + q)
            why = MEGAFLOW_INSTALLED
            if f >= limit:
                why = NOT_INSTALLED
            reasons[why].count += 1
            if trace[0].on != 0:
                explain(trace, m, why, megaflows.flows[f].rule, bits_in(masks[0]))
            megaflows.flows[f].created = lane[0].now
            megaflows.flows[f].only = simple_output(megaflows.flows[f], acts, ports)
        m.flow = f
        if f < limit:
            if config[0].smc_on != 0:
                smc_put(smc, m.hash, f)
            enter_emc(emc, config, lane, keys[k], m)
    burst.misses = 0
