"""The rule classifier against a naive search: the same rule with and without a mask, in both tempos, under sound masks."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_scene import ALL, Scene, differing, masked, words

from lab.flow.key import WIDE
from lab.memory.record import NULL

# fields with few values, and masks of them that overlap: prefixes, parts of ports, MACs, metadata, registers, IPv6, tunnels
VALUES = {
    "in_port": (1, 2),
    "tun_id": (0, 7 << 40),
    "metadata": (0, 5, 0xFF << 56),
    "reg0": (0, 9),
    "dl_type": (0x0800, 0x86DD),
    "dl_dst": (0x0000000000AA, 0xFFFFFFFFFFFF),
    "vlan_tci": (0, 0x1065),
    "nw_proto": (6, 17),
    "nw_src": (0x0A000001, 0x0A000002, 0x0A010002, 0xC0A80001),
    "nw_dst": (0x0A000001, 0x0A800002, 0x0B000003, 0xC0A80001),
    "ipv6_src": (1, 0x20010DB8 << 96 | 1, 0x20010DB8 << 96 | 2, 0xFE80 << 112),
    "ipv6_dst": (1, 0x20010DB8 << 96 | 1, 0x20010DB9 << 96),
    "tp_src": (80, 81, 1024),
    "tp_dst": (22, 80, 443, 0x8000),
}


def prefixes(bits, *lengths):
    return [((1 << n) - 1) << (bits - n) for n in lengths]


MASKS = {
    "in_port": [0xFFFFFFFF],
    "tun_id": [ALL],
    "metadata": [ALL, 0xFF],
    "reg0": [0xFFFFFFFF, 1],
    "dl_type": [0xFFFF],
    "dl_dst": [(1 << 48) - 1, 0x010000000000],
    "vlan_tci": [0xFFFF, 0x1000],
    "nw_proto": [0xFF],
    "nw_src": prefixes(32, 32, 24, 8, 1),
    "nw_dst": [*prefixes(32, 32, 31, 16, 9), 0x00FF00FF],
    "ipv6_src": prefixes(128, 128, 64, 32),
    "ipv6_dst": prefixes(128, 128, 48),
    "tp_src": [0xFFFF, 0xFFFE],
    "tp_dst": [0xFFFF, 0xFF00, 0x8000],
}
KEYS = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()}).map(lambda fields: words(**fields))
SOME_MASKS = st.dictionaries(st.sampled_from(list(MASKS)), st.integers(0, 4), max_size=4).map(
    lambda picked: words(**{name: MASKS[name][i % len(MASKS[name])] for name, i in picked.items()})
)
PRIORITIES = st.sampled_from([0, 1, 2, 100, 65535])
RULES = st.lists(st.tuples(st.integers(0, 3), KEYS, PRIORITIES, st.sampled_from([0, 0, 0, 1])), max_size=14)
FEW_MASKS = st.lists(SOME_MASKS, min_size=1, max_size=3)
GONE = st.lists(st.integers(0, 13), max_size=6)
NOISE = st.lists(st.integers(0, ALL), min_size=WIDE, max_size=WIDE).map(tuple)
SCENE = Scene()


def filled(masks, rules, gone=()):
    """The scene with rules, some of which have left again."""
    SCENE.clear()
    for index, (which, key, priority, table) in enumerate(rules):
        mask = masks[which % len(masks)]
        same = [r for r in SCENE.entered.values() if (r.table, r.mask, r.words, r.priority) == (table, mask, masked(key, mask), priority)]
        if not same:
            assert SCENE.enter(index, mask, key, priority, table) == 1
    for index in gone:
        SCENE.leave(index % 14)
    return SCENE


@given(FEW_MASKS, RULES, GONE, st.lists(KEYS, min_size=1, max_size=4))
def test_both_ways_of_asking_find_the_rule_that_a_naive_search_finds(masks, rules, gone, keys):
    scene = filled(masks, rules, gone)
    scene.check()
    for key in keys:
        for table in (0, 1):
            found = scene.look_up(key, table=table)
            assert found.plain == found.asking
            assert found.plain in (scene.best(key, table) or [NULL])


@settings(max_examples=150)
@given(FEW_MASKS, RULES, GONE, KEYS, SOME_MASKS, st.lists(KEYS | NOISE, max_size=6))
def test_no_flow_that_agrees_in_what_was_asked_gets_another_rule(masks, rules, gone, key, known, others):
    scene = filled(masks, rules, gone)
    found = scene.look_up(key, known)
    assert not any(a & k for a, k in zip(found.asked, known, strict=True)), "what is known is not asked for"
    fixed = tuple(a | k for a, k in zip(found.asked, known, strict=True))
    for other in (*others, *(r.words for r in scene.entered.values()), tuple(~k & ALL for k in key)):
        twin = differing(key, other, fixed)
        assert scene.look_up(twin, known).plain == found.plain
        assert found.plain in (scene.best(twin) or [NULL])


@settings(max_examples=150)
@given(FEW_MASKS, RULES, KEYS)
def test_every_single_bit_that_was_not_asked_for_may_change(masks, rules, key):
    scene = filled(masks, rules)
    found = scene.look_up(key)
    used = [mask_word for mask_word in range(WIDE) if any(m[mask_word] for m in masks)]
    for j in used:
        for bit in range(0, 64, 3):
            if not found.asked[j] >> bit & 1:
                twin = tuple(w ^ (1 << bit) if i == j else w for i, w in enumerate(key))
                assert found.plain in (scene.best(twin) or [NULL])


@settings(max_examples=40)
@given(FEW_MASKS, RULES, KEYS, SOME_MASKS, st.booleans())
def test_machine_code_asks_and_answers_as_plain_python_does(masks, rules, key, known, telling):
    scene = filled(masks, rules)
    scene.ledger[0].on = int(telling)
    scene.look_up(key, known, both=True)
    scene.ledger[0].on = 0


@settings(max_examples=60)
@given(FEW_MASKS, RULES, KEYS, SOME_MASKS)
def test_the_ledger_holds_each_asked_bit_once(masks, rules, key, known):
    scene = filled(masks, rules)
    scene.ledger[0].on = 1
    found = scene.look_up(key, known)
    scene.ledger[0].on = 0
    total = [0] * WIDE
    for i in range(1, scene.ledger[0].n + 1):
        for j in range(WIDE):
            bits = int(scene.ledger[i].w[j])
            assert not bits & total[j]
            total[j] |= bits
    assert tuple(total) == found.asked
    assert found.asked == scene.look_up(key, known).asked


@pytest.mark.parametrize("table", [0, 1, 3])
def test_an_empty_table_has_no_rule_and_asks_for_nothing(table):
    SCENE.clear()
    assert SCENE.look_up(words(in_port=1), table=table, both=True) == (NULL, NULL, (0,) * WIDE, [])
