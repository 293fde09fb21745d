"""The tuple-space classifier: one hash table, one subtable for each mask.

It serves megaflows: masks are disjoint, any match will do. (OpenFlow rules, which have priorities, are sought in
lab.translate.rules.) Words are taken eight at a time, up to the last block that the mask asks for; a probe is one
hash, one slot, one comparison. One writer; other threads may read a table only while nobody writes it.
"""

import numpy as np

from lab.flow.key import BLOCK, WORDS
from lab.memory.raw import add, copy_words, i64, masked_copy, masked_same, masked_sum, mul, same_words
from lab.memory.record import NULL, Layout

GONE = NULL - 1  # a slot whose flow was removed: a search goes on past it
MIX = np.uint64(0xD6E8FEB86659FD93)

head_t = Layout("classifier", line=True, subtables="i8", count="i8", gone="i8", slot_mask="i8", free="u4", limit="u4", top="u4")
subtable_t = Layout(
    "subtable",
    line=True,
    blocks="i8",
    flows="i8",
    hits="i8",
    recent="i8",
    seed="u8",
    rank="u4",
    spare=("u4", 5),
    mask=("u8", WORDS),
)
hash_slot_t = Layout("hash_slot", tag="u4", flow="u4")


def finish(h):
    """The last mixing of a hash: every bit depends on every other."""
    h = mul(h ^ (h >> np.uint64(32)), MIX)
    return h ^ (h >> np.uint64(29))


def masked_hash(sub, key):
    """The hash of a key's bits under the mask of a subtable."""
    return finish(add(sub.seed, masked_sum(key.w, sub.mask, sub.blocks)))


def find(table, s, key):
    """The flow of subtable `s` that has this key, or NULL."""
    sub = table.subtables[s]
    h = masked_hash(sub, key)
    tag = i64(h >> np.uint64(32))
    head = table.head[0]
    at = i64(h) & head.slot_mask
    while True:
        slot = table.slots[at]
        f = slot.flow
        if f == NULL:
            return NULL
        if slot.tag == tag and f != GONE:
            flow = table.flows[f]
            if flow.subtable == s and masked_same(flow.w, key.w, sub.mask, sub.blocks):
                return f
        at = (at + 1) & head.slot_mask


def subtable_of(table, mask):
    """The subtable of a mask, made if there is none; NULL when there is no room for another."""
    head = table.head[0]
    for r in range(head.subtables):
        s = table.subtables[r].rank
        if same_words(table.subtables[s].mask, mask.w):
            return s
    return _new_subtable(table, mask)


def _new_subtable(table, mask):
    head = table.head[0]
    s = _unused(table)
    if s == NULL:
        return NULL
    sub = table.subtables[s]
    sub.flows = 0
    sub.hits = 0
    sub.recent = 0
    sub.seed = mul(MIX, np.uint64(2 * s + 1))
    copy_words(sub.mask, mask.w)
    last = 0
    for j in range(WORDS):
        if mask.w[j] != np.uint64(0):
            last = j
    sub.blocks = last // BLOCK + 1
    table.subtables[head.subtables].rank = s
    head.subtables += 1
    return s


def _unused(table):
    """A subtable record that no rank refers to."""
    head = table.head[0]
    if head.subtables == len(table.subtables):
        return NULL
    for s in range(len(table.subtables)):
        used = 0
        for r in range(head.subtables):
            if table.subtables[r].rank == s:
                used = 1
        if used == 0:
            return s
    return NULL


def insert(table, s, key, f):
    """Put flow `f` into subtable `s` under the bits of a key."""
    sub = table.subtables[s]
    flow = table.flows[f]
    flow.subtable = s
    masked_copy(flow.w, key.w, sub.mask)
    sub.flows += 1
    table.head[0].count += 1
    _place(table, masked_hash(sub, key), f)


def _place(table, h, f):
    """Enter a flow at the first slot of its hash that holds none."""
    head = table.head[0]
    at = i64(h) & head.slot_mask
    while table.slots[at].flow < GONE:
        at = (at + 1) & head.slot_mask
    if table.slots[at].flow == GONE:
        head.gone -= 1
    table.slots[at].tag = i64(h >> np.uint64(32))
    table.slots[at].flow = f


def flow_hash(table, f):
    """The hash under which a flow was entered, from its own words."""
    flow = table.flows[f]
    return masked_hash(table.subtables[flow.subtable], flow)


def remove(table, f):
    """Take a flow out; a subtable without flows goes too."""
    head = table.head[0]
    at = i64(flow_hash(table, f)) & head.slot_mask
    while table.slots[at].flow != f:
        at = (at + 1) & head.slot_mask
    table.slots[at].flow = GONE
    head.count -= 1
    head.gone += 1
    sub = table.subtables[table.flows[f].subtable]
    sub.flows -= 1
    if sub.flows == 0:
        _drop_subtable(table, table.flows[f].subtable)
    if head.gone > head.slot_mask // 4:
        rehash(table)


def _drop_subtable(table, s):
    head = table.head[0]
    kept = 0
    for r in range(head.subtables):
        rank = table.subtables[r].rank
        if rank != s:
            table.subtables[kept].rank = rank
            kept += 1
    head.subtables = kept


def rehash(table):
    """Enter every flow anew, so that searches need not pass the places of removed ones."""
    head = table.head[0]
    for at in range(head.slot_mask + 1):
        table.slots[at].flow = NULL
    head.gone = 0
    for f in range(head.limit):
        if table.flows[f].alive != 0:
            _place(table, flow_hash(table, f), f)


def rank_by_hits(table):
    """Probe first the subtables that were hit most since the last ranking (a stable insertion sort)."""
    head = table.head[0]
    for r in range(1, head.subtables):
        s = table.subtables[r].rank
        at = r
        while at > 0 and table.subtables[table.subtables[at - 1].rank].recent < table.subtables[s].recent:
            table.subtables[at].rank = table.subtables[at - 1].rank
            at -= 1
        table.subtables[at].rank = s
    for r in range(head.subtables):
        table.subtables[table.subtables[r].rank].recent = 0


def empty(table):
    """Forget every flow and subtable."""
    head = table.head[0]
    for at in range(head.slot_mask + 1):
        table.slots[at].flow = NULL
    head.subtables = 0
    head.count = 0
    head.gone = 0
