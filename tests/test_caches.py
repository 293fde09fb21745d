"""The EMC and the SMC against plain twins: two places and displacement, `blocks`, dead flows forgotten; signatures, ways, the index limit.

The twin of the EMC is a dictionary of places; whatever the caches answer is held against what was put, key by key.
"""
import functools
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import ALWAYS, Scene, udp

from lab.flow.classifier import hash_slot_t, head_t, subtable_t
from lab.flow.emc import ENTRIES, emc_clear, emc_find, emc_forget, emc_put, emc_t
from lab.flow.key import BLOCK, WORDS, key_t
from lab.flow.megaflow import megaflow_t
from lab.flow.smc import BUCKETS, NONE, WAYS, smc_clear, smc_find, smc_put, smc_t
from lab.memory.arena import Arena
from lab.memory.record import NULL, Group
from lab.stages.emc import emc
from lab.stages.megaflow import megaflow
from lab.stages.parse import parse
from lab.stages.revalidate import revalidate
from lab.stages.smc import smc

ALL = (1 << 64) - 1
FLOWS = 8
Packet = namedtuple("Packet", "hash flow blocks")  # what emc_put reads of an mbuf
table_g = Group("megaflows", head=head_t, subtables=subtable_t, slots=hash_slot_t, flows=megaflow_t)
counts = {"head": 1, "subtables": 4, "slots": 4, "flows": 0xFFFF + 2}
shapes = {"memory": (None, 64, [None]), "emc": (emc_t, ENTRIES, [1]), "smc": (smc_t, BUCKETS, [1]), "megaflows": (table_g, counts, [1])}
caches = Arena(shapes)
EMC, SMC, TABLE = caches.table("emc", 1), caches.table("smc", 1), caches.table("megaflows", 1)


def key_of(*words):
    record = key_t.view(bytearray(key_t.size), 0)
    for j, word in enumerate(words):
        record.w[j] = word
    return record


def key_at(word, value):
    """A key with one word set, and the blocks that it needs."""
    return key_of(*[0] * word, value), word // BLOCK + 1


def clear():
    caches.array("emc", 1).view(np.uint8)[:] = 0
    caches.array("emc", 1)["flow"] = NULL
    caches.array("smc", 1)["flow"] = NONE


def hash_at(first, second, rest=0):
    """A hash whose two places in the EMC are these."""
    return np.uint64(first | second << 13 | rest << 26)


def put(key, h, flow, blocks=1):
    return emc_put(EMC, key, Packet(h, flow, blocks))


def found(key, h, blocks=1):
    """(the flow that the EMC has for a key, at which of its two places)."""
    place = emc_find(EMC, key, h, blocks)
    at = int(h) >> 13 * (place - 1) & ENTRIES - 1 if place else None
    return (EMC[at].flow, place) if place else (NULL, 0)


# --- EMC: two places -------------------------------------------------------------------------------

def test_a_key_is_entered_at_its_first_place_then_its_second_and_displaces_there():
    clear()
    a, b, c, d = (key_of(n) for n in range(1, 5))
    h = [hash_at(5, 6), hash_at(5, 7), hash_at(5, 7, 1), hash_at(5, 7, 2)]
    assert put(a, h[0], 1) == NULL and found(a, h[0]) == (1, 1)
    assert put(b, h[1], 2) == NULL and found(b, h[1]) == (2, 2)  # the first place is another's
    assert put(c, h[2], 3) == 2 and found(c, h[2]) == (3, 2)  # and the second: what stood there goes
    assert put(d, h[3], 4) == 3 and found(d, h[3]) == (4, 2)
    assert [found(key, one)[0] for key, one in zip((a, b, c, d), h, strict=True)] == [1, NULL, NULL, 4]


def test_a_key_that_is_there_keeps_its_place_and_gets_its_new_flow():
    clear()
    a, b, ha, hb = key_of(1), key_of(2), hash_at(5, 6), hash_at(5, 7)
    put(a, ha, 1), put(b, hb, 2)
    assert put(a, ha, 3) == NULL == put(b, hb, 4)
    assert (found(a, ha), found(b, hb)) == ((3, 1), (4, 2))
    assert (caches.array("emc", 1)["flow"] != NULL).sum() == 2


def test_both_places_may_be_the_same():
    clear()
    a, b, h = key_of(1), key_of(2), hash_at(9, 9)
    assert put(a, h, 1) == NULL and found(a, h) == (1, 1)
    put(b, hash_at(9, 9, 1), 2)
    assert found(a, h) == (NULL, 0) and found(b, hash_at(9, 9, 1)) == (2, 1)


@pytest.mark.parametrize(("first", "second"), [(0, ENTRIES - 1), (ENTRIES - 1, 0), (ENTRIES - 1, ENTRIES - 1)])
def test_the_places_at_the_ends_of_the_cache_are_places_too(first, second):
    clear()
    a, b, h = key_of(1), key_of(2), hash_at(first, second, (1 << 38) - 1)
    put(b, hash_at(first, 4), 2)
    put(a, h, 1)
    assert found(a, h) == (1, 1 if first == second else 2)


def test_the_whole_key_decides_not_its_hash():
    clear()
    h = hash_at(1, 2)
    put(key_of(1), h, 1)
    assert found(key_of(2), h) == (NULL, 0)
    assert put(key_of(2), h, 2) == NULL and found(key_of(2), h) == (2, 2) and found(key_of(1), h) == (1, 1)


@pytest.mark.parametrize("word", range(WORDS))
def test_a_difference_in_any_word_in_use_is_a_difference(word):
    clear()
    h, (one, blocks), (two, _) = hash_at(1, 2), key_at(word, 1), key_at(word, 1 << 63)
    put(one, h, 1, blocks)
    assert found(one, h, blocks) == (1, 1) and found(two, h, blocks) == (NULL, 0)


def test_a_shorter_key_is_not_the_beginning_of_a_longer_one():
    clear()
    h, short, long = hash_at(1, 2), key_of(7), key_of(7, *[0] * 16, 9)
    put(long, h, 1, 3)
    assert found(short, h, 1) == (NULL, 0)
    put(short, h, 2, 1)
    assert found(short, h, 1) == (2, 2) and found(long, h, 3) == (1, 1)


keys = st.sampled_from([(1, 0, 0), (2, 0, 0), (1, 8, 5), (1, 8, 6), (2, 31, 1), (0, 16, 1), (3, 0, 0), (4, 9, 1)])
orders = st.lists(st.tuples(st.sampled_from("pppd"), keys, st.integers(0, FLOWS - 1)), max_size=60)


class EmcTwin:
    """The rule in plain words: its own entry, an empty first place, else the second, whoever stands there."""

    def __init__(self):
        self.at = {}  # place: (key, flow)

    def places(self, name):
        first, word, value = name
        return (first * 7 + word) % 3, 3 + (first + value) % 2  # few places, so that keys meet

    def put(self, name, flow):
        first, second = self.places(name)
        self.at[first if self.at.get(first, (name,))[0] == name else second] = name, flow

    def find(self, name):
        return next((self.at[p][1] for p in self.places(name) if self.at.get(p, (None,))[0] == name), NULL)


@settings(max_examples=150)
@given(orders)
def test_whatever_is_put_and_forgotten_the_emc_answers_as_a_dictionary_of_places(rows):
    clear()
    twin, flows = EmcTwin(), caches.array("megaflows", 1, "flows")
    flows["alive"] = 1

    def parts(name):
        first, word, value = name
        key, blocks = key_at(word, value) if word else (key_of(), 1)
        key.w[0] = first
        return key, hash_at(*twin.places(name), hash(name) & 0xFF), blocks

    for order, name, flow in rows:
        key, h, blocks = parts(name)
        if order == "p" and flows["alive"][flow]:
            put(key, h, flow, blocks)
            twin.put(name, flow)
        elif order == "d":  # a megaflow goes, and what led to it is forgotten
            flows["alive"][flow] = 0
            emc_forget(EMC, TABLE.flows)
            twin.at = {p: entry for p, entry in twin.at.items() if entry[1] != flow}
        assert found(key, h, blocks)[0] == twin.find(name)
    assert (caches.array("emc", 1)["flow"] != NULL).sum() == len(twin.at)
    emc_clear(EMC)
    assert not any(found(*parts(name))[1] for _, name, _ in rows)


# --- SMC: signatures ---------------------------------------------------------------------------------

def smc_hash(bucket, sig, way=0):
    return np.uint64(bucket | way << 20 | sig << 48)


def megaflow_at(f, value, alive=1):
    """Megaflow `f` of subtable 0, which asks for the first word of a key."""
    TABLE.subtables[0].mask[0], TABLE.subtables[0].blocks = ALL, 1
    TABLE.flows[f].alive, TABLE.flows[f].subtable, TABLE.flows[f].w[0] = alive, 0, value
    return f


def test_four_signatures_share_a_bucket_and_the_fifth_takes_the_way_that_its_hash_names():
    clear()
    h = [smc_hash(77, sig, way) for sig, way in ((1, 0), (2, 0), (3, 0), (4, 0), (5, 2))]
    for n, one in enumerate(h):
        smc_put(SMC, one, megaflow_at(n, n))
        expected = list(range(n + 1)) if n < WAYS else None
        assert expected is None or [smc_find(SMC, TABLE, key_of(k), h[k]) for k in range(n + 1)] == expected
    left = [smc_find(SMC, TABLE, key_of(k), h[k]) for k in range(5)]
    assert left[4] == 4 and left.count(NULL) == 1 and SMC[77].sig[2] == 5
    assert sorted(SMC[77].flow[way] for way in range(WAYS)) == sorted(f for f in left if f != NULL)


def test_a_signature_that_is_there_is_overwritten_not_entered_twice():
    clear()
    for f in (1, 2):
        smc_put(SMC, smc_hash(3, 9), megaflow_at(f, f))
    assert sorted(SMC[3].flow[way] for way in range(WAYS)) == [2, NONE, NONE, NONE]


def test_a_signature_has_all_its_16_bits_and_the_bucket_18():
    clear()
    for bucket, sig in ((BUCKETS - 1, 0xFFFF), (0, 0xFFFF), (BUCKETS - 1, 0)):
        smc_put(SMC, smc_hash(bucket, sig), megaflow_at(bucket % 5 + sig % 7, 1))
        assert smc_find(SMC, TABLE, key_of(1), smc_hash(bucket, sig)) == bucket % 5 + sig % 7
    clear()
    smc_put(SMC, smc_hash(0, 0x8001), megaflow_at(1, 1))
    for other in (smc_hash(0, 0x0001), smc_hash(0, 0x8000), smc_hash(1, 0x8001), smc_hash(BUCKETS >> 1, 0x8001)):
        assert smc_find(SMC, TABLE, key_of(1), other) == NULL


def test_the_same_signature_of_another_key_is_only_a_hint():
    clear()
    smc_put(SMC, smc_hash(3, 9), megaflow_at(6, 1))
    assert smc_find(SMC, TABLE, key_of(1), smc_hash(3, 9)) == 6
    assert smc_find(SMC, TABLE, key_of(2), smc_hash(3, 9)) == NULL  # the masked key decides
    assert smc_find(SMC, TABLE, key_of(1, 5), smc_hash(3, 9)) == 6  # which does not ask for the second word


def test_a_megaflow_that_is_gone_is_not_found_and_its_record_may_be_anothers():
    clear()
    smc_put(SMC, smc_hash(3, 9), megaflow_at(6, 1))
    megaflow_at(6, 1, alive=0)
    assert smc_find(SMC, TABLE, key_of(1), smc_hash(3, 9)) == NULL
    megaflow_at(6, 2)
    assert smc_find(SMC, TABLE, key_of(1), smc_hash(3, 9)) == NULL
    assert smc_find(SMC, TABLE, key_of(2), smc_hash(3, 9)) == 6


@pytest.mark.parametrize(("f", "kept"), [(0, True), (65534, True), (65535, False), (65536, False)])
def test_a_megaflow_whose_index_does_not_fit_is_never_entered_nor_displaces_one_that_does(f, kept):
    clear()
    for sig in range(4, 8):
        smc_put(SMC, smc_hash(4, sig), 1)
    smc_put(SMC, smc_hash(4, 9), f)
    assert [SMC[4].flow[way] for way in range(WAYS)].count(1) == WAYS - kept
    clear()
    smc_put(SMC, smc_hash(3, 9), megaflow_at(f, 1))
    assert smc_find(SMC, TABLE, key_of(1), smc_hash(3, 9)) == (f if kept else NULL)
    assert (caches.array("smc", 1)["flow"] != NONE).sum() == kept


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, FLOWS - 1)), max_size=40))
def test_what_the_smc_finds_was_put_last_under_that_signature_and_matches(rows):
    clear()
    last = {}
    for f in range(FLOWS):
        megaflow_at(f, f % 3)
    for sig, way, f in rows:
        smc_put(SMC, smc_hash(12, sig, way), f)
        last[sig] = f
        assert smc_find(SMC, TABLE, key_of(f % 3), smc_hash(12, sig)) == f
    for sig, f in last.items():
        for value in range(3):
            assert smc_find(SMC, TABLE, key_of(value), smc_hash(12, sig)) in ((f, NULL) if f % 3 == value else (NULL,))
    kept = [SMC[12].sig[way] for way in range(WAYS) if SMC[12].flow[way] != NONE]
    assert len(kept) == len(set(kept)) == min(WAYS, len(last))


def test_clearing_the_smc_forgets_every_way():
    small = Arena({"memory": (None, 64, [None]), "smc": (smc_t, 8, [1])})
    small.array("smc", 1)["flow"] = 3
    smc_clear(small.table("smc", 1))
    assert (small.array("smc", 1)["flow"] == NONE).all()


# --- compiled ------------------------------------------------------------------------------------

scene = functools.cache(Scene)
ports = st.tuples(st.integers(1000, 1005), st.sampled_from([53, 54]), st.sampled_from([60, 61]))


@settings(max_examples=5)
@given(bursts=st.lists(st.lists(ports, min_size=1, max_size=32), min_size=1, max_size=3), smc_on=st.sampled_from([0, 1]),
       chance=st.sampled_from([0, ALWAYS // 2, ALWAYS]))
def test_through_the_stages_each_packet_ends_at_the_megaflow_that_its_key_matches(bursts, smc_on, chance):
    here = scene()
    if not here.rules:
        here.rule("output:vm2", "udp,tp_src=1000/0xfffe")
        here.rule("output:vm3", "udp,tp_dst=53", priority=5)
    here.config.epoch += 1
    here.both(revalidate)
    here.config.smc_on, here.config.emc_chance = smc_on, np.uint64(chance)
    flows, subtables = here.table("megaflows").flows, here.table("megaflows").subtables
    for burst in bursts:
        here.look_up([udp(*one) for one in burst])
        for k, i in enumerate(here.hand()):
            flow, key = flows[here.mbufs[i].flow], here.key(k)
            mask = subtables[flow.subtable].mask
            assert flow.alive and [int(w) for w in flow.w] == [word & int(m) for word, m in zip(key, mask, strict=True)]


def test_a_displaced_key_is_found_again_by_the_next_cache(scene):
    """Two flows that share both places: the EMC holds one at a time, and nobody gets the other's megaflow."""
    scene.config.smc_on = 1
    scene.rule("output:vm2", "udp,tp_src=1000")
    scene.rule("output:vm3", "udp,tp_src=1001")
    frames = [udp(1000), udp(1001)]
    scene.load(frames)
    scene.both(parse)
    one, two = (scene.mbufs[i] for i in scene.packets)
    scene.look_up(frames)
    flow_of = [scene.mbufs[i].flow for i in scene.packets]
    for wanted in (one, two):  # as if the hash of the one had the places of the other
        entry = scene.table("emc")[int(wanted.hash) & ENTRIES - 1]
        entry.flow = flow_of[1 - (wanted is two)]
        entry.w[0] = 1
    scene.look_up(frames, upto=smc)
    assert scene.misses() == [0, 1]
    scene.both(smc)
    assert scene.misses() == [] and [scene.mbufs[i].flow for i in scene.packets] == flow_of


def test_what_was_removed_leads_nowhere_in_any_cache(scene):
    scene.config.smc_on = 1
    scene.rule("output:vm2")
    scene.look_up([udp()])
    scene.lane.now = 20_000_000
    scene.both(revalidate)
    assert scene.table("megaflows").head[0].count == 0 and (scene.array("emc")["flow"] == NULL).all()
    scene.look_up([udp()], upto=emc)
    for stage in (emc, smc, megaflow):
        scene.both(stage)
        assert scene.misses() == [0]
