"""Rules come, change and go through the inbox: chains, priorities that stay exact, room, and both tempos."""
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_scene import Scene, words

from lab.memory.record import NULL
from lab.translate.records import ENTER, LEAVE, REWRITE

PORT, MAC = words(in_port=0xFFFFFFFF), words(dl_dst=(1 << 48) - 1)


@pytest.fixture
def scene():
    return Scene()


def test_rules_with_one_match_hang_in_a_chain_and_the_highest_is_found(scene):
    for index, priority in ((0, 5), (1, 50), (2, 7), (3, 50)):
        scene.enter(index, PORT, words(in_port=1), priority)
        scene.check()
    found = []
    for _ in range(4):
        found.append(scene.look_up(words(in_port=1)).plain)
        scene.leave(found[-1])
        scene.check()
    assert found == [1, 3, 2, 0]
    assert scene.look_up(words(in_port=1)).plain == NULL


def test_a_rule_leaves_the_middle_of_a_chain(scene):
    for index, priority in ((0, 3), (1, 2), (2, 1)):
        scene.enter(index, PORT, words(in_port=1), priority)
    scene.leave(1)
    scene.leave(0)
    scene.check()
    assert scene.look_up(words(in_port=1)).plain == 2


def test_the_record_says_what_the_row_says(scene):
    row = {"acts": 10, "n_acts": 3, "number": 77, "reason": 4, "cookie": 0xFEEDFACE00000001, "marks": 2}
    assert scene.enter(6, PORT, words(in_port=1, tp_dst=80), 65535, 2, **row) == 1
    rule = scene.rules.flows[6]
    assert (rule.acts, rule.n_acts, rule.number, rule.reason, int(rule.cookie), rule.marks) == tuple(row.values())
    assert (rule.priority, rule.table) == (65535, 2)
    assert tuple(int(w) for w in rule.w) == words(in_port=1)


def test_rewriting_changes_what_a_rule_does_and_not_where_it_stands(scene):
    scene.enter(6, PORT, words(in_port=1), 9, acts=1, n_acts=1, number=7)
    row = {"acts": 20, "n_acts": 2, "number": 8, "cookie": 5, "marks": 1, "reason": 0}
    assert scene.change([{"what": REWRITE, "index": 6, "priority": 1} | row]) == [1]
    rule = scene.rules.flows[6]
    assert (rule.acts, rule.n_acts, rule.number, rule.cookie, rule.marks, rule.priority) == (20, 2, 8, 5, 1, 9)
    assert scene.look_up(words(in_port=1)).plain == 6


def test_rows_are_done_in_order_until_one_that_asks_for_nothing(scene):
    rows = [{"what": ENTER, "index": i, "mask": PORT, "w": words(in_port=i)} for i in (1, 2)]
    assert scene.change([rows[0], {"what": LEAVE, "index": 1}, {"what": 0}, rows[1]]) == [1, 1, 0, 0]
    assert scene.look_up(words(in_port=2)).plain == NULL == scene.look_up(words(in_port=1)).plain


def test_the_copy_that_is_read_does_not_change(scene):
    config = scene.arena.table("config")[0]
    config.active_rules = 0
    assert scene.enter(0, PORT, words(in_port=1)) == 1
    assert scene.look_up(words(in_port=1)).plain == NULL
    assert scene.arena.table("rules_b").head[0].count == 1


def test_a_record_that_is_in_use_or_that_there_is_not_has_no_room(scene):
    assert scene.enter(0, PORT, words(in_port=1), 5) == 1
    assert scene.enter(0, PORT, words(in_port=2), 6) == 2
    scene.entered = {0: scene.entered[0]}
    assert scene.enter(20, PORT, words(in_port=2)) == 2
    scene.check()
    assert scene.look_up(words(in_port=1)).plain == 0


def test_one_mask_too_many_has_no_room_and_changes_nothing(scene):
    masks = [words(in_port=1 << i) for i in range(7)]
    assert [scene.enter(i, mask, words()) for i, mask in enumerate(masks)] == [1] * 6 + [2]
    scene.check()
    assert scene.enter(7, masks[5], words(in_port=1 << 5)) == 1
    scene.leave(0)
    assert scene.enter(8, masks[6], words()) == 1
    scene.check()


@pytest.mark.parametrize("counts", [{"nodes": 16}, {"partials": 16}], ids=str)
def test_when_a_store_is_full_the_row_says_so_and_what_stands_is_found(counts):
    scene = Scene(**counts)
    mask = words(in_port=0xFFFFFFFF, dl_dst=(1 << 48) - 1, nw_dst=0xFFFFFFFF, tp_dst=0xFFFF)
    keys = [words(in_port=i, dl_dst=i, nw_dst=i << 8, tp_dst=i) for i in range(20)]
    done = [scene.enter(i, mask, keys[i], i) for i in range(20)]
    assert done == sorted(done) and set(done) == {1, 2}
    scene.check()
    for i in range(20):
        assert scene.look_up(keys[i]).plain == (i if done[i] == 1 else NULL)
    for i in list(scene.entered):
        scene.leave(i)
    scene.check()
    assert scene.enter(0, mask, keys[0]) == 1


def test_a_subtable_keeps_its_true_priority_whichever_rule_goes(scene):
    draw = random.Random(3)
    for index in range(20):
        scene.enter(index, PORT if index % 2 else MAC, words(in_port=index, dl_dst=index), draw.choice([0, 1, 7, 7, 300, 65535]))
    order = list(range(20))
    draw.shuffle(order)
    for index in order:
        scene.check()
        scene.leave(index)
    scene.check()


def test_tables_do_not_see_each_other(scene):
    scene.enter(0, PORT, words(in_port=1), table=0)
    scene.enter(1, PORT, words(in_port=1), table=3)
    assert [scene.look_up(words(in_port=1), table=t).plain for t in range(4)] == [0, NULL, NULL, 1]


def many_words(v):
    """A key with something of one small number in many fields."""
    return words(in_port=v, dl_dst=v, nw_src=v << 9, nw_dst=v << 16, tp_src=v, metadata=v, ipv6_src=v << 64)


WHAT = st.sampled_from([ENTER, ENTER, LEAVE, REWRITE])
CHANGES = st.lists(st.tuples(WHAT, st.integers(0, 19), st.integers(0, 4), st.integers(0, 3), st.sampled_from([0, 5, 9])), max_size=40)
SEVERAL = [PORT, MAC, words(), words(nw_src=0xFFFFFF00, nw_dst=0xFFFF0000, tp_src=0xFFFF), words(metadata=0xFF, ipv6_src=(1 << 128) - 1)]


@settings(max_examples=40)
@given(CHANGES)
def test_both_tempos_leave_the_same_records(changes):
    scene = Scene()
    rows = [{"what": what, "index": i, "priority": p, "mask": SEVERAL[m], "w": many_words(v)} for what, i, m, v, p in changes]
    scene.change(rows, both=True)
