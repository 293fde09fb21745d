"""The subtables of the tables of rules, and what staged lookup and trees know of the matches in them.

Only the stage that writes rules comes here (lab.stages.enter); what is written is read by `rules.py`. A subtable is
found by a hash of its table and mask, and stands in its table's list behind those of higher priority. Its own is exact:
a tree holds the priorities of its rules, so that the highest is found in a few steps when the one above it goes.
"""

import numpy as np

from lab.flow.classifier import finish
from lab.flow.key import BLOCK, W_L4, WIDE
from lab.memory.raw import add, apart, copy_words, i64, mul, same_words, u64
from lab.memory.record import NULL
from lab.translate.rules import (
    L4,
    PORTS_TREE,
    STAGE_SALT,
    STAGES,
    alone_tag,
    dst_place,
    hash_words,
    src_place,
    stage_tag,
    tree_bits,
    tree_word,
    value_at,
    words_of,
)
from lab.translate.trees import GOES, tree_change

ZERO, ONE = np.uint64(0), np.uint64(1)
MOST_NODES, MOST_PARTIALS = 8, 7  # that one rule may need: four trees; three stages, two of them alone, its mask, and a free one


def has_room(rules):
    """Whether there is room for whatever one rule may need."""
    head = rules.head[0]
    if head.nodes + MOST_NODES > len(rules.nodes) or head.partials + MOST_PARTIALS > len(rules.partials):
        return 0
    return 1


@apart
def tally(rules, s, rule, way):
    """Count the beginnings of a match that comes or goes, and have its addresses and ports in the trees or not."""
    sub = rules.subtables[s]
    so_far = sub.seed
    seen = ZERO
    for part in range(STAGES):
        here = sub.words & words_of(part)
        if here != ZERO:
            if seen != ZERO and part != L4:
                count(rules, alone_tag(sub, here, rule, part), way)
            so_far = hash_words(so_far, here, rule, sub)
            seen = seen | here
            if seen != sub.words:
                count(rules, stage_tag(so_far, part), way)
    if tree_has(sub, dst_place(sub)):
        sub.dst = tree_change(rules, sub.dst, value_at(rule, sub, dst_place(sub)), way)
    if tree_has(sub, src_place(sub)):
        sub.src = tree_change(rules, sub.src, value_at(rule, sub, src_place(sub)), way)
    if sub.mask[W_L4] != ZERO:
        sub.ports = tree_change(rules, sub.ports, value_at(rule, sub, PORTS_TREE), way)


def tree_has(sub, where):
    """Whether a mask asks for anything at the place of a tree."""
    return sub.mask[tree_word(where)] & tree_bits(where) != ZERO


@apart
def count(rules, tag, way):
    """Count one more, or one less, under a tag."""
    last = len(rules.partials) - 1
    at = i64(tag) & last
    while rules.partials[at].count != 0 and not (rules.partials[at].tag == tag and rules.partials[at].subtable == NULL):
        at = (at + 1) & last
    entry = rules.partials[at]
    if way == GOES:
        entry.count -= 1
        if entry.count == 0:
            close_gap(rules, at)
        return
    if entry.count == 0:
        entry.tag = tag
        entry.subtable = NULL
        rules.head[0].partials += 1
    entry.count += 1


@apart
def close_gap(rules, hole):
    """An entry counts nothing any more: those behind it that would not be found move up."""
    rules.head[0].partials -= 1
    last = len(rules.partials) - 1
    at = (hole + 1) & last
    while rules.partials[at].count != 0:
        entry = rules.partials[at]
        if (at - (i64(entry.tag) & last)) & last >= (at - hole) & last:
            rules.partials[hole].tag = entry.tag
            rules.partials[hole].count = entry.count
            rules.partials[hole].subtable = entry.subtable
            hole = at
        at = (at + 1) & last
    rules.partials[hole].count = 0


# --- the list of a table ---------------------------------------------------------------------------


@apart
def subtable_of(rules, row):
    """The subtable of a table and a mask, made if there is none; NULL when there is no room for another."""
    digest = mul(u64(row.table + 1), STAGE_SALT)
    for j in range(WIDE):
        digest = finish(add(digest, row.mask[j]))
    last = len(rules.partials) - 1
    at = i64(digest) & last
    while rules.partials[at].count != 0:
        s = rules.partials[at].subtable
        if rules.partials[at].tag == digest and s != NULL:
            sub = rules.subtables[s]
            if sub.table == row.table and same_words(sub.mask, row.mask):
                return s
        at = (at + 1) & last
    return new_subtable(rules, row, digest)


def remember(rules, s):
    """Have a subtable found by its digest."""
    last = len(rules.partials) - 1
    digest = rules.subtables[s].digest
    at = i64(digest) & last
    while rules.partials[at].count != 0:
        at = (at + 1) & last
    entry = rules.partials[at]
    entry.tag = digest
    entry.subtable = s
    entry.count = 1
    rules.head[0].partials += 1


def forget(rules, s):
    """A subtable is found no more."""
    last = len(rules.partials) - 1
    digest = rules.subtables[s].digest
    at = i64(digest) & last
    while rules.partials[at].tag != digest or rules.partials[at].subtable != s:
        at = (at + 1) & last
    close_gap(rules, at)


@apart
def new_subtable(rules, row, digest):
    """A subtable without rules; it joins its table's list with the first rule."""
    head = rules.head[0]
    s = head.free_subtable
    if s != NULL:
        head.free_subtable = rules.subtables[s].next
    elif head.top_subtable == len(rules.subtables):
        return NULL
    else:
        s = head.top_subtable
        head.top_subtable += 1
    sub = rules.subtables[s]
    copy_words(sub.mask, row.mask)
    sub.words = ZERO
    sub.picks = 0
    for j in range(WIDE):
        if row.mask[j] != ZERO:
            sub.words = sub.words | (ONE << u64(j))
            sub.picks = sub.picks | 1 << j // BLOCK
    sub.digest = digest
    sub.seed = finish(mul(STAGE_SALT, u64(2 * s + 1)))
    sub.table = row.table
    sub.flows = 0
    sub.priority = -1
    sub.dst = NULL
    sub.src = NULL
    sub.ports = NULL
    sub.tops = NULL
    sub.before = NULL
    sub.next = rules.tables[row.table].first
    if sub.next != NULL:
        rules.subtables[sub.next].before = s
    rules.tables[row.table].first = s
    rules.tables[row.table].subtables += 1
    head.subtables += 1
    remember(rules, s)
    return s


@apart
def drop_subtable(rules, s):
    """A subtable goes with its last rule."""
    head = rules.head[0]
    sub = rules.subtables[s]
    unlink(rules, s)
    forget(rules, s)
    rules.tables[sub.table].subtables -= 1
    head.subtables -= 1
    sub.next = head.free_subtable
    head.free_subtable = s


def unlink(rules, s):
    """Take a subtable out of its table's list."""
    sub = rules.subtables[s]
    if sub.before == NULL:
        rules.tables[sub.table].first = sub.next
    else:
        rules.subtables[sub.before].next = sub.next
    if sub.next != NULL:
        rules.subtables[sub.next].before = sub.before


@apart
def sort_in(rules, s, priority):
    """Give a subtable its highest priority, and the place in its table's list that goes with it: behind those of the same."""
    sub = rules.subtables[s]
    if sub.priority == priority:
        return
    before = sub.before
    after = sub.next
    unlink(rules, s)
    while before != NULL and rules.subtables[before].priority < priority:
        after = before
        before = rules.subtables[before].before
    while after != NULL and rules.subtables[after].priority >= priority:
        before = after
        after = rules.subtables[after].next
    sub.priority = priority
    sub.before = before
    sub.next = after
    if before == NULL:
        rules.tables[sub.table].first = s
    else:
        rules.subtables[before].next = s
    if after != NULL:
        rules.subtables[after].before = s
