"""Between bursts: hold the lane's megaflows against the rules as they are now, and keep its tables in order.

When rules, groups, ports (their epoch) or the MAC table have changed, every megaflow is translated again from its
first packet's key, some at a time, so that forwarding goes on meanwhile: one whose rules say the same stays, one whose
actions differ gets the new ones, one whose rules look at more bits than its mask holds goes. Once a second counts are
pushed back, subtables ranked, and idle megaflows and old MAC addresses removed.
"""

import numpy as np

from lab.flow.classifier import rank_by_hits
from lab.flow.emc import emc_forget
from lab.flow.key import W_PORT, WORDS
from lab.flow.megaflow import uninstall
from lab.memory.raw import apart
from lab.memory.reasons import MEGAFLOW_CHANGED, MEGAFLOW_FLUSHED, MEGAFLOW_IDLE, MEGAFLOW_NARROWER, REVALIDATED
from lab.stages.credit import push_back
from lab.stages.decision import let_go, same_decision, write_decision
from lab.stages.stage import stage
from lab.stages.translation import ask_tables
from lab.translate.fdb import changes_of, expire, flush_when_told
from lab.translate.freeze import forget_frozen
from lab.translate.records import ASKED

SECOND = 1_000_000  # microseconds
SOME = 32  # megaflows that are held against the rules between two bursts
NOTHING = -1  # the cursor of a lane whose megaflows are all sound
RECIRCULATED = np.uint64(0xFFFFFFFF)


def asks_more(t, mask):
    """Whether the translation at the desk asked for bits that a mask does not hold."""
    more = np.uint64(0)
    for j in range(WORDS):
        more = more | (t.desk.flows[ASKED].w[j] & ~mask[j])
    return more != np.uint64(0)


@apart
def hold_against_rules(t, books, megaflows, f, reasons):
    """Translate a megaflow again; 1 when it had to go. What recirculates under rules that have changed goes at once."""
    flow = megaflows.flows[f]
    forgotten = t.lane[0].only_watching == 0 and flow.w[W_PORT] & RECIRCULATED != np.uint64(0)
    if not forgotten:
        ask_tables(t, flow.first, t.lane[0].now, 0)
    if forgotten or asks_more(t, megaflows.subtables[flow.subtable].mask):
        dismiss(books, megaflows, f)
        reasons[MEGAFLOW_NARROWER].count += 1
        return 1
    if same_decision(t, books.acts, flow) != 0:
        reasons[REVALIDATED].count += 1
    else:
        push_back(books, flow)
        let_go(books.acts, flow)
        write_decision(t, books.acts, flow)
        reasons[MEGAFLOW_CHANGED].count += 1
    return 0


def dismiss(books, megaflows, f):
    """Remove a megaflow, with its counts pushed back."""
    push_back(books, megaflows.flows[f])
    let_go(books.acts, megaflows.flows[f])
    uninstall(megaflows, f)


def look_through(t, books, megaflows, reasons, most):
    """Hold up to `most` megaflows against the rules, on from the cursor; how many had to go."""
    here = t.lane[0]
    gone = 0
    seen = 0
    f = here.cursor
    while f < megaflows.head[0].limit and seen < most and megaflows.head[0].count > 0:
        flow = megaflows.flows[f]
        if flow.alive != 0 and (here.only_watching == 0 or flow.watches != 0):
            gone += hold_against_rules(t, books, megaflows, f, reasons)
            seen += 1
        f += 1
    here.cursor = f
    if f >= megaflows.head[0].limit or megaflows.head[0].count == 0:
        here.cursor = NOTHING
        here.passes += 1
    return gone


def forget(books, megaflows, before, reasons):
    """Push every count back; remove the megaflows that have seen nothing since a moment; how many."""
    gone = 0
    for f in range(megaflows.head[0].limit):
        flow = megaflows.flows[f]
        if flow.alive != 0:
            if flow.used < before and flow.created < before:
                dismiss(books, megaflows, f)
                reasons[MEGAFLOW_IDLE].count += 1
                gone += 1
            else:
                push_back(books, flow)
    return gone


def flush(books, megaflows, reasons):
    """Remove every megaflow, because somebody said so; how many."""
    gone = 0
    for f in range(megaflows.head[0].limit):
        if megaflows.flows[f].alive != 0:
            dismiss(books, megaflows, f)
            gone += 1
    reasons[MEGAFLOW_FLUSHED].count += gone
    return gone


@stage
def revalidate(megaflows, mind, books, emc, lane, config, reasons):
    """Hold megaflows against the rules, some at a time; push counts back, forget what is idle, rank the subtables."""
    fdb = mind.fdb
    here = lane[0]
    most = SOME
    gone = 0
    if here.epoch != config[0].epoch:
        if forget_frozen(mind.desk) > 0:
            most = megaflows.head[0].limit  # what recirculates means nothing until its megaflows are new as well
        here.epoch = config[0].epoch
        here.only_watching = 0
        here.cursor = 0
    flush_when_told(fdb, here.number)
    changes = changes_of(fdb)
    if here.fdb_seen != changes:
        here.fdb_seen = changes
        if here.cursor == NOTHING:
            here.only_watching = 1
            here.cursor = 0
        else:
            here.again = 1
    if here.flushed != config[0].flushes:
        here.flushed = config[0].flushes
        gone += flush(books, megaflows, reasons)
    if here.cursor != NOTHING:
        gone += look_through(mind, books, megaflows, reasons, most)
        if here.cursor == NOTHING and here.again != 0:
            here.again = 0
            here.only_watching = 1
            here.cursor = 0
    if here.now - here.ranked_at >= SECOND:
        here.ranked_at = here.now
        rank_by_hits(megaflows)
        expire(fdb, here.number, here.now, config[0].mac_age_us)
        gone += forget(books, megaflows, here.now - config[0].idle_us, reasons)
    if gone > 0:
        emc_forget(emc, megaflows.flows)
