"""The classifier against a plain dictionary: masks that reach into any block, full tables, ranks, removed flows, ufids; in both tempos.

The twin keeps (mask, masked key) → flow and the masks in their rank. What it says of a lookup is exact, ranks included.
"""
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tempo import Tempo

from lab.flow.classifier import GONE, empty, find, rank_by_hits, rehash
from lab.flow.key import BLOCK, WORDS, key_t
from lab.flow.megaflow import free_all, install, lookup, megaflows_g, uninstall
from lab.memory.arena import Arena
from lab.memory.record import NULL
from lab.stages.stage import stage

ALL = (1 << 64) - 1
SUBTABLES = 256
ops = functools.partial(st.lists, min_size=1)
places = st.integers(0, WORDS - 1)
masks = st.dictionaries(places, st.sampled_from([1, 0xFF, 1 << 63, 0xFFFF0000, ALL]), max_size=4)
keys = st.dictionaries(places, st.sampled_from([1, 2, 0xFF, 1 << 63, 0xABCD1234, ALL]), max_size=5)


def words(sparse):
    """32 words, of the few that are not zero."""
    return tuple(sparse.get(j, 0) for j in range(WORDS))


def record_of(value):
    record = key_t.view(bytearray(key_t.size), 0)
    for j, word in enumerate(value):
        record.w[j] = word
    return record


def masked(mask, key):
    return tuple(m & k for m, k in zip(mask, key, strict=True))


class Twin:
    """A small table of megaflows and the dictionary that it has to agree with."""

    def __init__(self, limit=12, slots=32):
        counts = {"head": 1, "subtables": SUBTABLES, "slots": slots, "flows": limit + 1}
        self.arena = Arena({"memory": (None, 64, [None]), "megaflows": (megaflows_g, counts, [1])})
        self.table, self.limit = self.arena.table("megaflows", 1), limit
        self.clear()

    def clear(self):
        self.arena.array("megaflows", 1, "flows").view(np.uint8)[:] = 0
        head = self.table.head[0]
        head.slot_mask, head.limit = len(self.table.slots) - 1, self.limit
        empty(self.table)
        free_all(self.table)
        self.flows, self.ranks = {}, []  # (mask, masked key): flow; masks in the order in which they are probed
        return self

    def install(self, mask, key):
        """Install in both, unless it is there; the flow, or NULL."""
        name = mask, masked(mask, key)
        if name in self.flows:
            return self.flows[name]
        f = install(self.table, record_of(mask), record_of(key))
        full = len(self.flows) == self.limit or (mask not in self.ranks and len(self.ranks) == SUBTABLES)
        assert (f == NULL) == full
        if f != NULL:
            assert f not in self.flows.values()
            self.flows[name] = f
            self.ranks += [mask] if mask not in self.ranks else []
        return f

    def uninstall(self, name):
        uninstall(self.table, self.flows.pop(name))
        self.ranks = [mask for mask in self.ranks if any(mask == other for other, _ in self.flows)]

    def expected(self, key):
        return next((self.flows[mask, masked(mask, key)] for mask in self.ranks if (mask, masked(mask, key)) in self.flows), NULL)

    def subtable(self, mask):
        return self.table.subtables[self.table.subtables[self.ranks.index(mask)].rank]

    def check(self):
        """The table's own books are in order."""
        head, slots = self.table.head[0], self.arena.array("megaflows", 1, "slots")["flow"].tolist()
        assert sorted(f for f in slots if f < GONE) == sorted(self.flows.values())
        assert (head.count, head.gone, head.subtables) == (len(self.flows), slots.count(GONE), len(self.ranks))
        assert slots.count(NULL) > 0, "a search would never end"
        records = [self.table.subtables[r].rank for r in range(head.subtables)]
        assert [tuple(int(word) for word in self.table.subtables[s].mask) for s in records] == self.ranks
        assert [self.table.subtables[s].flows for s in records] == [sum(m == mask for m, _ in self.flows) for mask in self.ranks]
        free, f = [], head.free
        while f != NULL:
            free.append(f)
            f = self.table.flows[f].next
        assert sorted(free + list(self.flows.values())) == list(range(self.limit))


shared = Twin()


# --- lookups -------------------------------------------------------------------------------------

@settings(max_examples=80)
@given(pool=st.tuples(ops(masks, max_size=6), ops(keys, max_size=10)),
       orders=ops(st.tuples(st.sampled_from("iiiudr"), st.integers(0, 59), st.integers(0, 59)), max_size=50))
def test_whatever_is_installed_and_removed_a_lookup_finds_what_a_dictionary_finds(pool, orders):
    twin = shared.clear()
    some_masks, some_keys = [words(m) for m in pool[0]], [words(k) for k in pool[1]]
    for order, a, b in orders:
        mask, key = some_masks[a % len(some_masks)], some_keys[b % len(some_keys)]
        if order == "i":
            twin.install(mask, key)
        elif order == "r":
            rehash(twin.table)
        elif twin.flows:
            twin.uninstall(list(twin.flows)[a % len(twin.flows)])
        assert lookup(twin.table, record_of(key)) == twin.expected(key)
    twin.check()
    for key in some_keys:
        assert lookup(twin.table, record_of(key)) == twin.expected(key)
        for mask in twin.ranks:
            s = twin.table.subtables[twin.ranks.index(mask)].rank
            assert find(twin.table, s, record_of(key)) == twin.flows.get((mask, masked(mask, key)), NULL)


@settings(max_examples=40)
@given(mask=masks, key=keys, bits=st.integers(0, WORDS * 64 - 1))
def test_a_flow_answers_to_just_the_keys_that_agree_under_its_mask(mask, key, bits):
    twin, mask, key = shared.clear(), words(mask), words(key)
    f = twin.install(mask, key)
    assert twin.subtable(mask).blocks == max((j // BLOCK + 1 for j in range(WORDS) if mask[j]), default=1)
    other = list(key)
    other[bits // 64] ^= 1 << bits % 64
    asked = mask[bits // 64] >> bits % 64 & 1
    assert lookup(twin.table, record_of(key)) == f
    assert lookup(twin.table, record_of(other)) == (NULL if asked else f)


@pytest.mark.parametrize("word", range(WORDS))
def test_a_mask_may_ask_for_any_single_word_of_any_block(word):
    twin = shared.clear()
    mask = words({word: ALL})
    flows = [twin.install(mask, words({word: value, (word + 9) % WORDS: 7})) for value in (1, 2, 1 << 63)]
    assert twin.subtable(mask).blocks == word // BLOCK + 1
    assert [lookup(twin.table, record_of(words({word: value}))) for value in (1, 2, 1 << 63, 0)] == [*flows, NULL]
    for j in range(WORDS):
        assert int(twin.table.flows[flows[0]].w[j]) == (1 if j == word else 0)


def test_an_empty_mask_matches_everything():
    twin = shared.clear()
    f = twin.install(words({}), words({3: 5}))
    assert lookup(twin.table, record_of([ALL] * WORDS)) == f == lookup(twin.table, record_of([0] * WORDS))


# --- full tables, removed flows ---------------------------------------------------------------------

def test_a_full_table_takes_nothing_until_one_goes_and_makes_no_subtable_in_vain():
    twin = shared.clear()
    mask = words({5: ALL})
    for value in range(twin.limit):
        assert twin.install(mask, words({5: value})) != NULL
    assert twin.install(mask, words({5: 99})) == NULL
    assert twin.install(words({6: ALL}), words({6: 1})) == NULL
    twin.check()
    twin.uninstall((mask, words({5: 4})))
    assert twin.install(mask, words({5: 99})) != NULL
    twin.check()


def test_there_are_256_subtables_and_one_that_goes_makes_room_for_another():
    twin = Twin(limit=600, slots=1024)
    mask = [words({n // 64: 1 << n % 64, 31: ALL}) for n in range(SUBTABLES + 2)]
    flows = [twin.install(mask[n], words({31: n})) for n in range(SUBTABLES)]
    assert twin.install(mask[SUBTABLES], words({31: 7})) == NULL
    assert twin.install(mask[3], words({31: 7})) != NULL  # a mask that is there takes more
    twin.check()
    twin.uninstall((mask[200], words({31: 200})))
    assert twin.install(mask[SUBTABLES], words({31: 7})) != NULL
    assert twin.install(mask[SUBTABLES + 1], words({31: 7})) == NULL
    assert lookup(twin.table, record_of(words({31: 200}))) == NULL
    assert lookup(twin.table, record_of(words({31: 255}))) == flows[255]
    twin.check()


def test_a_flow_that_was_removed_can_be_entered_again_and_again():
    twin = shared.clear()
    mask, key = words({2: ALL, 30: 0xFF}), words({2: 1, 30: 0x1FF})
    others = [twin.install(mask, words({2: n})) for n in range(2, 8)]
    for _ in range(100):
        f = twin.install(mask, key)
        assert lookup(twin.table, record_of(key)) == f
        twin.uninstall((mask, masked(mask, key)))
        assert lookup(twin.table, record_of(key)) == NULL
        assert twin.table.head[0].gone <= len(twin.table.slots) // 4
    assert [lookup(twin.table, record_of(words({2: n}))) for n in range(2, 8)] == others
    twin.check()


def test_a_search_goes_on_past_the_places_of_removed_flows():
    twin = Twin(limit=12, slots=16)  # 12 flows in 16 slots: nearly every search meets another's place
    mask = words({1: ALL})
    for value in range(12):
        twin.install(mask, words({1: value}))
    for value in (0, 5, 7):
        twin.uninstall((mask, words({1: value})))
    assert twin.table.head[0].gone == 3
    assert all(lookup(twin.table, record_of(words({1: v}))) == twin.expected(words({1: v})) for v in range(12))
    rehash(twin.table)
    assert twin.table.head[0].gone == 0
    assert all(lookup(twin.table, record_of(words({1: v}))) == twin.expected(words({1: v})) for v in range(12))
    twin.check()


# --- ranks ---------------------------------------------------------------------------------------

@settings(max_examples=40)
@given(figures=st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_ranking_puts_the_most_hit_first_and_leaves_equals_in_their_order(figures):
    twin = shared.clear()
    order = [words({n: 1}) for n in range(len(figures))]
    for mask, figure in zip(order, figures, strict=True):
        twin.install(mask, words({}))
        twin.subtable(mask).recent = figure
    rank_by_hits(twin.table)
    twin.ranks = [mask for _, mask in sorted(zip(figures, order, strict=True), key=lambda pair: -pair[0])]
    twin.check()
    assert {twin.subtable(mask).recent for mask in order} == {0}


# --- ufids ---------------------------------------------------------------------------------------

def ufid(twin, f):
    return tuple(int(half) for half in twin.table.flows[f].ufid)


@settings(max_examples=60)
@given(one=st.tuples(masks, keys), two=st.tuples(masks, keys))
def test_ufids_are_equal_just_when_mask_and_masked_key_are(one, two):
    names = []
    for mask, key in (one, two):
        twin = shared.clear()
        twin.install(words({7: 1}), words({7: 1}))  # so that the two stand in different records
        f = twin.install(words(mask), words(key))
        names.append((ufid(twin, f), words(mask), masked(words(mask), words(key))))
    assert (names[0][0] == names[1][0]) == (names[0][1:] == names[1][1:])


def test_ufids_of_many_flows_that_differ_in_one_bit_all_differ():
    twin = Twin(limit=2100, slots=4096)
    seen = {ufid(twin, twin.install(words({j: 1 << bit}), words({}))) for j in (0, 8, 31) for bit in range(64)}
    mask = (ALL,) * WORDS
    seen |= {ufid(twin, twin.install(mask, words({j: 1 << bit}))) for j in range(0, WORDS, 3) for bit in range(64)}
    assert len(seen) == 3 * 64 + 11 * 64
    assert len({half for pair in seen for half in pair}) == 2 * len(seen), "the first digits are what people see, so no half repeats"


# --- compiled ------------------------------------------------------------------------------------

@stage(checked=False)
def churn(megaflows, keys, masks, bursts):
    """Install each key under one of two masks, or remove the flow of an earlier place; then look all of them up."""
    burst = bursts[0]
    for q in range(burst.n):
        order = burst.miss[q]
        if order < 2:
            burst.pkt[q] = install(megaflows, masks[order], keys[q])
        elif burst.pkt[order - 2] != NULL:
            uninstall(megaflows, burst.pkt[order - 2])
            burst.pkt[order - 2] = NULL
    for q in range(burst.n):
        burst.pkt[32 + q] = lookup(megaflows, keys[q])


tempo = functools.cache(Tempo)


@settings(max_examples=12)
@given(two=st.tuples(masks, masks), rows=st.lists(st.tuples(keys, st.integers(0, 33)), min_size=1, max_size=32))
def test_both_tempos_leave_the_same_table_and_find_the_same(two, rows):
    here = tempo()
    table, burst = here.table("megaflows"), here.table("bursts")[0]
    head = table.head[0]
    for r in range(head.subtables):
        table.subtables[table.subtables[r].rank].flows = 0
    here.array("megaflows", "slots")["flow"] = NULL
    head.subtables = head.count = head.gone = head.free = 0
    flows = here.array("megaflows", "flows")
    flows["alive"], flows["next"] = 0, np.arange(1, len(flows) + 1)
    for n, mask in enumerate(two):
        here.array("masks")["w"][n] = words(mask)
    burst.n = len(rows)
    for q, (key, order) in enumerate(rows):
        here.array("keys")["w"][q] = words(key)
        burst.miss[q], burst.pkt[q] = order if order < 2 or order - 2 < q else 0, NULL
    here.both(churn)
    found = [burst.pkt[32 + q] for q in range(len(rows))]
    expected = [scan(table, words(key)) for key, _ in rows]
    assert all(f in among if among else f == NULL for f, among in zip(found, expected, strict=True))


def scan(table, key):
    """Every living flow that matches a key, found by looking at each."""
    return [f for f in range(40) if table.flows[f].alive and all(
        int(table.flows[f].w[j]) == key[j] & int(table.subtables[table.flows[f].subtable].mask[j]) for j in range(WORDS))]
