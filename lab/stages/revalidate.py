"""Between bursts: hold the lane's megaflows against the rules as they are now, and keep its tables in order.

When rules, groups, ports (their epoch) or the MAC table have changed, every megaflow is translated again from its
first packet's key, some at a time, so that forwarding goes on meanwhile: one whose rules say the same stays, one whose
actions differ gets the new ones, one whose rules look at more bits than its mask holds goes. Once a second counts are
pushed back, subtables ranked, and idle megaflows and old MAC addresses removed.
"""

import numpy as np

from lab.flow.actions import CHECK_LEN, RECIRC
from lab.flow.classifier import rank_by_hits
from lab.flow.emc import emc_forget
from lab.flow.key import W_PORT, WORDS
from lab.flow.megaflow import uninstall
from lab.memory.raw import apart, i64
from lab.memory.reasons import MEGAFLOW_CHANGED, MEGAFLOW_FLUSHED, MEGAFLOW_IDLE, MEGAFLOW_NARROWER, REVALIDATED
from lab.stages.credit import push_back
from lab.stages.decision import let_go, same_decision, write_decision
from lab.stages.stage import stage
from lab.stages.translation import ask_tables
from lab.translate.fdb import changes_of, expire, flush_when_told
from lab.translate.freeze import forget_frozen, name_frozen, name_none, sweep_frozen
from lab.translate.records import ASKED

SECOND = 1_000_000  # microseconds
SOME, MANY = 32, 4096  # megaflows that are held against the rules between two bursts; records that are looked at
PAUSE = 5_000  # microseconds between two passes because of MAC addresses
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
    forgotten = t.lane[0].only_watching == 0 and flow.w[W_PORT] & RECIRCULATED != np.uint64(0)  # its parent gets another id
    if not forgotten:
        ask_tables(t, flow.first, t.lane[0].now, 0)
    if forgotten or asks_more(t, megaflows.subtables[flow.subtable].mask):
        dismiss(books, megaflows, f)
        reasons[MEGAFLOW_NARROWER].count += 1
        return 1
    if same_decision(t, books.acts, flow) != 0:
        flow.watches = t.desk.xlate[0].watches
        flow.rule = t.desk.xlate[0].rule
        push_back(books, flow)  # whoever its credits name may be a new rule that says the same
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


def look_through(t, books, megaflows, reasons):
    """Hold some megaflows against the rules, on from the cursor; how many had to go."""
    here = t.lane[0]
    gone = 0
    seen = 0
    f = here.cursor
    end = f + MANY
    while f < megaflows.head[0].top and f < end and seen < SOME and megaflows.head[0].count > 0:
        flow = megaflows.flows[f]
        if flow.alive != 0 and (here.only_watching == 0 or flow.watches != 0):
            gone += hold_against_rules(t, books, megaflows, f, reasons)
            seen += 1
        f += 1
    here.cursor = f
    if f >= megaflows.head[0].top or megaflows.head[0].count == 0:
        here.cursor = NOTHING
        here.passes += 1
        here.passed_at = here.now
        if here.only_watching == 0:
            forget_frozen(t.desk, here.epoch)
    return gone


def forget(t, books, megaflows, before, reasons):
    """Push the counts of some megaflows back, on from `idle_at`; remove those that have seen nothing since a moment; how many."""
    here = t.lane[0]
    gone = 0
    f = here.idle_at
    end = f + MANY
    while f < megaflows.head[0].top and f < end and megaflows.head[0].count > 0:
        flow = megaflows.flows[f]
        if flow.alive != 0:
            if flow.used < before and flow.created < before:
                dismiss(books, megaflows, f)
                reasons[MEGAFLOW_IDLE].count += 1
                gone += 1
            else:
                push_back(books, flow)
                name_ids(t, books, flow)
        f += 1
    here.idle_at = f
    if f >= megaflows.head[0].top or megaflows.head[0].count == 0:
        here.idle_at = NOTHING
        if here.waits == 0 and here.cursor == NOTHING:
            sweep_frozen(t.desk)
    return gone


def name_ids(t, books, flow):
    """The recirculation ids that a megaflow names, in its key or its actions, stay."""
    name_frozen(t.desk, i64(flow.w[W_PORT] & RECIRCULATED))
    for at in range(flow.acts, flow.acts + flow.n_acts):
        act = books.acts.list[at]
        if act.op == RECIRC:
            name_frozen(t.desk, act.arg)
        elif act.op == CHECK_LEN:
            name_frozen(t.desk, i64(act.v0))
            name_frozen(t.desk, i64(act.v1))


def flush(books, megaflows, reasons):
    """Remove every megaflow, because somebody said so; how many."""
    gone = 0
    for f in range(megaflows.head[0].top):
        if megaflows.flows[f].alive != 0:
            dismiss(books, megaflows, f)
            gone += 1
    reasons[MEGAFLOW_FLUSHED].count += gone
    return gone


def hand_over(books, megaflows):
    """What the records behind the table have seen goes to the rules of before, while those are still known."""
    limit = megaflows.head[0].limit
    for f in range(limit, len(megaflows.flows)):
        push_back(books, megaflows.flows[f])
        let_go(books.acts, megaflows.flows[f])


def notice(here, config, changes):
    """Begin a pass over the megaflows that the MAC table has a say in, when it has changed: at once, but no more often than PAUSE."""
    if here.fdb_seen != changes and here.cursor == NOTHING and (config.clock_stopped != 0 or here.now - here.passed_at >= PAUSE):
        here.fdb_seen = changes
        here.only_watching = 1
        here.cursor = 0


@stage
def revalidate(megaflows, mind, books, emc, lane, config, reasons):
    """Hold megaflows against the rules, some at a time; push counts back, forget what is idle, rank the subtables."""
    here = lane[0]
    addresses = mind.fdb.head[here.number]
    addresses.limit = config[0].mac_limit
    addresses.age = config[0].mac_age_us
    flush_when_told(mind.fdb, here.number)
    if here.epoch != config[0].epoch:
        hand_over(books, megaflows)
        here.epoch = config[0].epoch
        here.only_watching = 0
        here.cursor = 0
    notice(here, config[0], changes_of(mind.fdb))
    gone = 0
    if here.flushed != config[0].flushes:
        here.flushed = config[0].flushes
        gone += flush(books, megaflows, reasons)
    if here.cursor != NOTHING:
        gone += look_through(mind, books, megaflows, reasons)
    if here.now - here.ranked_at >= SECOND:
        here.ranked_at = here.now
        rank_by_hits(megaflows)
        expire(mind.fdb, here.number, here.now, config[0].mac_age_us)
        name_none(mind.desk)
        here.idle_at = 0
    if here.idle_at != NOTHING:
        gone += forget(mind, books, megaflows, here.now - config[0].idle_us, reasons)
    if gone > 0:
        emc_forget(emc, megaflows.flows)
