"""Writing rules: what control has put into the inbox is done to the copy of the rules that nobody reads.

Not on a packet's way: control calls this stage between two turns of `config.active_rules` (see lab.openflow). A rule
is told by its record's index. Rules of a table with equal match and different priorities hang in a chain, the highest
first; only its head stands in the hash (`alive` 1, the others 2). Room is looked for before anything is changed.
"""

import numpy as np

from lab.memory.raw import apart, i64, masked_copy, u64
from lab.memory.record import NULL
from lab.stages.stage import stage
from lab.translate.records import ENTER, LEAVE
from lab.translate.rules import probe, whole_hash
from lab.translate.subtables import drop_subtable, has_room, sort_in, subtable_of, tally
from lab.translate.trees import COMES, GOES, highest, tree_change

DONE, NO_ROOM = 1, 2
IN_HASH, IN_CHAIN = 1, 2


@stage
def enter(inbox, rules, rules_b, config):
    """Make the changes in the inbox, up to the first row that is none, to the copy of the rules that is not active."""
    for i in range(len(inbox)):
        if inbox[i].what == 0:
            break
        if config[0].active_rules == 0:
            inbox[i].done = change(rules_b, inbox[i])
        else:
            inbox[i].done = change(rules, inbox[i])


@apart
def change(rules, row):
    """Make one change: whether there was room for it."""
    if row.what == ENTER:
        return put_in(rules, row)
    if row.what == LEAVE:
        take_out(rules, row.index)
    else:
        fill_rule(rules.flows[row.index], row)
    return DONE


def fill_rule(rule, row):
    """What a rule does, and what people know it by."""
    rule.acts = row.acts
    rule.n_acts = row.n_acts
    rule.number = row.number
    rule.reason = row.reason
    rule.cookie = row.cookie
    rule.marks = row.marks


@apart
def put_in(rules, row):
    """A new rule."""
    f = row.index
    if f >= rules.head[0].limit or rules.flows[f].alive != 0 or has_room(rules) == 0:
        return NO_ROOM
    s = subtable_of(rules, row)
    if s == NULL:
        return NO_ROOM
    sub = rules.subtables[s]
    rule = rules.flows[f]
    fill_rule(rule, row)
    rule.priority = row.priority
    rule.table = row.table
    rule.subtable = s
    masked_copy(rule.w, row.w, sub.mask)
    first = probe(rules, s, rule)
    if first == NULL:
        rule.next = NULL
        rule.alive = IN_HASH
        place(rules, whole_hash(sub, rule), f)
        tally(rules, s, rule, COMES)
    else:
        hang(rules, first, f)
    sub.flows += 1
    rules.tables[row.table].rules += 1
    sub.tops = tree_change(rules, sub.tops, u64(row.priority), COMES)
    sort_in(rules, s, i64(highest(rules.nodes, sub.tops)))
    return DONE


@apart
def take_out(rules, f):
    """A rule goes; a subtable without rules goes too."""
    rule = rules.flows[f]
    if rule.alive == 0:
        return
    s = rule.subtable
    sub = rules.subtables[s]
    if rule.alive == IN_CHAIN:
        at = probe(rules, s, rule)
        while rules.flows[at].next != f:
            at = rules.flows[at].next
        rules.flows[at].next = rule.next
    elif rule.next != NULL:
        rules.slots[slot_of(rules, f)].flow = rule.next
        rules.flows[rule.next].alive = IN_HASH
    else:
        displace(rules, slot_of(rules, f))
        tally(rules, s, rule, GOES)
    rule.alive = 0
    sub.flows -= 1
    rules.tables[sub.table].rules -= 1
    sub.tops = tree_change(rules, sub.tops, u64(rule.priority), GOES)
    if sub.flows == 0:
        drop_subtable(rules, s)
    else:
        sort_in(rules, s, i64(highest(rules.nodes, sub.tops)))


@apart
def hang(rules, first, f):
    """Hang a rule into the chain of its match, behind those of its priority."""
    rule = rules.flows[f]
    if rules.flows[first].priority < rule.priority:
        rules.slots[slot_of(rules, first)].flow = f
        rules.flows[first].alive = IN_CHAIN
        rule.alive = IN_HASH
        rule.next = first
        return
    at = first
    while rules.flows[at].next != NULL and rules.flows[rules.flows[at].next].priority >= rule.priority:
        at = rules.flows[at].next
    rule.alive = IN_CHAIN
    rule.next = rules.flows[at].next
    rules.flows[at].next = f


# --- the hash of rules -------------------------------------------------------------------------


@apart
def place(rules, h, f):
    """Enter a rule at the first free slot from where its tag says."""
    head = rules.head[0]
    tag = i64(h >> np.uint64(32))
    at = tag & head.slot_mask
    while rules.slots[at].flow != NULL:
        at = (at + 1) & head.slot_mask
    rules.slots[at].tag = tag
    rules.slots[at].flow = f
    head.count += 1


@apart
def slot_of(rules, f):
    """The slot in which a rule stands."""
    rule = rules.flows[f]
    last = rules.head[0].slot_mask
    at = i64(whole_hash(rules.subtables[rule.subtable], rule) >> np.uint64(32)) & last
    while rules.slots[at].flow != f:
        at = (at + 1) & last
    return at


@apart
def displace(rules, hole):
    """Empty a slot; those behind it that would not be found any more move up, so that no search passes empty places."""
    last = rules.head[0].slot_mask
    at = (hole + 1) & last
    while rules.slots[at].flow != NULL:
        slot = rules.slots[at]
        if (at - (slot.tag & last)) & last >= (at - hole) & last:
            rules.slots[hole].tag = slot.tag
            rules.slots[hole].flow = slot.flow
            hole = at
        at = (at + 1) & last
    rules.slots[hole].flow = NULL
    rules.head[0].count -= 1
