"""Sums, comparisons and unions over some blocks of eight words: both tempos, against Python's own arithmetic."""
import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_scene import ALL, Scene

from lab.engine.code import objects
from lab.flow.key import WIDE
from lab.memory.raw import SPREAD, picked_join, picked_same, picked_sum
from lab.stages.stage import Stage


def pick(desk):
    """The three on the words of the desk, over the blocks that xlate names."""
    x, flows = desk.xlate[0], desk.flows
    x.salt = picked_sum(flows[0].w, flows[1].w, x.changes)
    x.error = 0
    if picked_same(flows[2].w, flows[0].w, flows[1].w, x.changes):
        x.error = 1
    picked_join(flows[2].w, flows[0].w, flows[1].w, x.changes)


PICK = Stage(pick, checked=True)
WORDS = st.lists(st.sampled_from([0, 1, ALL, 1 << 63, 0x0123456789ABCDEF]), min_size=WIDE, max_size=WIDE)
SCENE = Scene()
X, FLOWS = SCENE.desk.xlate[0], SCENE.arena.array("desk", None, "flows")["w"]


def run():
    """The machine code, built checked: 0 unless it raised."""
    address = objects.compile_all([PICK])[PICK].address
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)(address)(SCENE.world.ctypes.data)


@settings(max_examples=80)
@given(WORDS, WORDS, st.integers(0, 63), st.none() | st.integers(0, WIDE - 1))
def test_only_the_first_block_and_the_picked_ones_count(key, mask, picks, other):
    used = [j for j in range(WIDE) if j < 8 or picks >> j // 8 & 1]
    words = [k & m if j in used else ALL for j, (k, m) in enumerate(zip(key, mask, strict=True))]
    if other is not None:
        words[other] ^= 1 << 40
    for tempo in (lambda: pick(SCENE.desk), run):
        FLOWS[0], FLOWS[1], FLOWS[2] = key, mask, words
        X.changes = picks
        assert not tempo()
        assert int(X.salt) == sum((key[j] & mask[j]) * SPREAD[j] for j in used) & ALL
        assert X.error == int(other not in used)
        joined = [w | k & ~m & ALL for w, k, m in zip(words, key, mask, strict=True)]
        assert FLOWS[2].tolist() == [joined[j] if j in used else words[j] for j in range(WIDE)]


@pytest.mark.parametrize("picks", [64, -2, 1 << 40])
def test_blocks_that_there_are_not_are_refused_in_both_tempos(picks):
    X.changes = picks
    with pytest.raises(IndexError):
        pick(SCENE.desk)
    assert run() == 1
