"""The tuple-space classifier: one hash table, one subtable for each mask.

It serves megaflows (masks disjoint, any match will do) and OpenFlow rules (priorities; the mask of every
subtable that was probed is gathered). A flow keeps its masked words close together, in the order of its
subtable's list of words; a probe is one hash, one slot, one comparison. One writer; other threads may read
a table only while nobody writes it.
"""

import numpy as np

from lab.flow.key import WORDS
from lab.memory.raw import add, clear, copy_words, i64, mul, same_words
from lab.memory.record import NULL, Layout

GONE = NULL - 1  # a slot whose flow was removed: a search goes on past it
SPREAD = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)

head_t = Layout("classifier", line=True, subtables="i8", count="i8", gone="i8", slot_mask="i8", free="u4", limit="u4")
subtable_t = Layout(
    "subtable",
    line=True,
    words="i8",
    flows="i8",
    hits="i8",
    priority="i8",
    seed="u8",
    rank="u4",
    recent="u4",
    word=("u1", WORDS),
    m=("u8", WORDS),
    k=("u8", WORDS),
    mask=("u8", WORDS),
)
hash_slot_t = Layout("hash_slot", tag="u4", flow="u4")


def masked_hash(sub, key):
    """The hash of a key's bits under a mask: independent products, so their latencies overlap."""
    h = sub.seed
    for j in range(sub.words):
        h = add(h, mul(key.w[sub.word[j]] & sub.m[j], sub.k[j]))
    h = h ^ (h >> np.uint64(32))
    h = mul(h, MIX)
    return h ^ (h >> np.uint64(29))


def matches(flow, sub, key):
    """Whether the flow's masked words are the key's."""
    differs = np.uint64(0)
    for j in range(sub.words):
        differs = differs | (flow.c[j] ^ (key.w[sub.word[j]] & sub.m[j]))
    return differs == np.uint64(0)


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
            if flow.subtable == s and matches(flow, sub, key):
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
    sub.words = 0
    sub.flows = 0
    sub.hits = 0
    sub.recent = 0
    sub.priority = -1
    sub.seed = mul(SPREAD, np.uint64(2 * s + 1))
    copy_words(sub.mask, mask.w)
    for j in range(WORDS):
        if mask.w[j] != np.uint64(0):
            sub.word[sub.words] = j
            sub.m[sub.words] = mask.w[j]
            sub.k[sub.words] = mul(SPREAD, np.uint64(2 * j + 3))
            sub.words += 1
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
    clear(flow.c)
    for j in range(sub.words):
        flow.c[j] = key.w[sub.word[j]] & sub.m[j]
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
    sub = table.subtables[flow.subtable]
    h = sub.seed
    for j in range(sub.words):
        h = add(h, mul(flow.c[j], sub.k[j]))
    h = h ^ (h >> np.uint64(32))
    h = mul(h, MIX)
    return h ^ (h >> np.uint64(29))


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
        hits = table.subtables[s].hits
        at = r
        while at > 0 and table.subtables[table.subtables[at - 1].rank].hits < hits:
            table.subtables[at].rank = table.subtables[at - 1].rank
            at -= 1
        table.subtables[at].rank = s
    for r in range(head.subtables):
        table.subtables[table.subtables[r].rank].hits = 0


def rank_by_priority(table):
    """Probe first the subtables that hold the highest priority (a stable insertion sort)."""
    head = table.head[0]
    for r in range(1, head.subtables):
        s = table.subtables[r].rank
        at = r
        while at > 0 and table.subtables[table.subtables[at - 1].rank].priority < table.subtables[s].priority:
            table.subtables[at].rank = table.subtables[at - 1].rank
            at -= 1
        table.subtables[at].rank = s


def empty(table):
    """Forget every flow and subtable."""
    head = table.head[0]
    for at in range(head.slot_mask + 1):
        table.slots[at].flow = NULL
    head.subtables = 0
    head.count = 0
    head.gone = 0
