"""Free records: ranges never overlap, come back whole, and are told anew from what is held."""
from itertools import pairwise
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from ruled import small_arena

from lab.memory.ranges import Ranges
from lab.openflow.rules.room import Room


@given(st.lists(st.integers(0, 9), max_size=40))
def test_ranges_never_overlap_and_come_back_whole(sizes):
    ranges, held = Ranges(64), []
    for n in sizes:
        first = ranges.take(n)
        if first is None:
            assert all(room < n for _, room in ranges.free)
            if held:
                ranges.give(*held.pop(len(held) // 2))
        elif n:
            held.append((first, n))
        spans = sorted(held + ranges.free)
        assert sum(n for _, n in spans) == 64 and all(a + n == b for (a, n), (b, _) in pairwise(spans))
    for first, n in held:
        ranges.give(first, n)
    assert ranges.free == [(0, 64)]


def holder(index, first, n):
    return SimpleNamespace(index=index, first=first, actions=SimpleNamespace(records=(None,) * n))


@given(st.lists(st.integers(0, 4), max_size=20), st.data())
def test_room_is_the_same_whether_it_is_kept_or_told_anew(sizes, data):
    arena = small_arena(rules=32)
    room, held = Room(arena), []
    for n in sizes:
        held.append(holder(room.indexes.pop(), room.take(n), n))
    gone = [one for one in held if data.draw(st.booleans())]
    many = data.draw(st.booleans())
    for batch in [gone] if many else [[one] for one in gone]:
        room.give([(one, True) for one in batch])
    anew = Room(arena, [one for one in held if one not in gone])
    assert room._ranges.free == anew._ranges.free and sorted(room.indexes) == sorted(anew.indexes)


def test_many_ranges_are_joined_at_once():
    arena = small_arena(rules=128, ofacts=256)
    room = Room(arena)
    held = [holder(room.indexes.pop(), room.take(2), 2) for _ in range(100)]
    room.give([(one, True) for one in held[::2]])
    assert [room._ranges.free[n] for n in (0, 1)] == [(0, 2), (4, 2)] and len(room._ranges.free) == 51
    room.give([(one, True) for one in held[1:198:2]] + [(one, True) for one in held[199::2]])
    assert room._ranges.free == [(0, 256)] and len(room.indexes) == 128


def test_records_are_taken_from_the_lowest_on():
    room = Room(small_arena(rules=16))
    assert [room.indexes.pop() for _ in range(3)] == [0, 1, 2] and room.limit == 16
