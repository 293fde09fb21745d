"""The slow path: take what no megaflow answers through the tables, and install a megaflow as wide as is sound.

Translation runs here, compiled, on the core that missed. What is decided but finds no room is run from a record behind
the table. A packet-out is a program of its own instead of the tables, and is never remembered.
"""

import numpy as np

from lab.flow.key import W_PORT, WORDS
from lab.flow.megaflow import install, lookup
from lab.flow.smc import smc_put
from lab.memory.raw import i64
from lab.memory.reasons import FLOW_LIMIT, MEGAFLOW_FOUND, MEGAFLOW_INSTALLED, NOT_INSTALLED, PACKET_OUT_RUN
from lab.memory.record import NULL
from lab.stages.burst import explain
from lab.stages.credit import push_back
from lab.stages.decision import copy_mask, let_go, write_decision
from lab.stages.megaflow import enter_emc
from lab.stages.stage import stage
from lab.stages.translation import ask_program, ask_tables

RECIRC_BITS = np.uint64(0xFFFFFFFF)
PACKET_OUT = 0x80000000  # recirculation ids from here on name a program of a person's


def bits_in(mask):
    """How many bits a mask asks for."""
    n = 0
    for j in range(WORDS):
        x = mask.w[j]
        while x != np.uint64(0):
            x = x & (x - np.uint64(1))
            n += 1
    return n


def remember(t, megaflows, mask, key, spare):
    """The megaflow of what the desk holds: installed, or the record `spare`, and why."""
    copy_mask(t, mask)
    limit = t.config[0].flow_limit
    if limit != 0 and megaflows.head[0].count >= limit:
        return spare, FLOW_LIMIT
    f = install(megaflows, mask, key)
    if f == NULL:
        return spare, NOT_INSTALLED
    return f, MEGAFLOW_INSTALLED


@stage
def upcall(
    bursts, mbufs, keys, masks, megaflows, mind, books, packet_outs, emc, smc, lane, config, reasons, trace
):  # fmt: skip
    """Translate each packet that nothing resolved, and remember the answer."""
    burst = bursts[0]
    limit = megaflows.head[0].limit
    for q in range(burst.misses):
        k = burst.miss[q]
        m = mbufs[burst.pkt[k]]
        spare = megaflows.flows[limit + q]
        push_back(books, spare)
        let_go(books.acts, spare)
        f = lookup(megaflows, keys[k])
        if f != NULL:
            reasons[MEGAFLOW_FOUND].count += 1
            explain(trace, m, MEGAFLOW_FOUND, f, 0)
        else:
            number = i64(keys[k].w[W_PORT] & RECIRC_BITS)
            f = limit + q
            why = NOT_INSTALLED
            if number >= PACKET_OUT:
                program = packet_outs[(number - PACKET_OUT) % len(packet_outs)]
                ask_program(mind, keys[k].w, lane[0].now, (program.first, program.n))
                copy_mask(mind, masks[0])
                why = PACKET_OUT_RUN
            else:
                ask_tables(mind, keys[k].w, lane[0].now, 1)
                f, why = remember(mind, megaflows, masks[0], keys[k], f)
            flow = megaflows.flows[f]
            write_decision(mind, books.acts, flow)
            flow.created = lane[0].now
            reasons[why].count += 1
            if trace[0].on != 0:
                explain(trace, m, why, flow.rule, bits_in(masks[0]))
        m.flow = f
        if f < limit:
            if config[0].smc_on != 0:
                smc_put(smc, m.hash, f)
            enter_emc(emc, config, lane, keys[k], m)
    burst.misses = 0
