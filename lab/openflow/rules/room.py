"""Which records of the rules are free: those of rules themselves, and the ranges that hold their actions.

Only control asks it. A record that a rule has left stays taken until no core can be in it any more.
"""
from lab.memory.ranges import Ranges
from lab.openflow.errors import CommandError
from lab.stages.regions import OTHER_OFACTS

MANY = 64  # from so many ranges on it is quicker to join all of them at once


def end_of_rules(arena):
    """Where in `ofacts` the records end that rules may have: those behind are for groups and packet-outs."""
    count = arena.places["ofacts", None, ""][2]
    return count - OTHER_OFACTS if count > OTHER_OFACTS else count


class Room:
    """What is free when these entries hold their records."""

    def __init__(self, arena, entries=()):
        count = arena.places["rules", None, "flows"][2]
        self.limit = count
        held = bytearray(count)
        for entry in entries:
            held[entry.index] = 1
        self.indexes = [index for index in range(count - 1, -1, -1) if not held[index]]  # the lowest is taken first
        self._ranges = Ranges(0)
        held_ranges = sorted({(entry.first, len(entry.actions.records)) for entry in entries})
        self._ranges.free = _between(held_ranges, end_of_rules(arena))

    def take(self, n):
        """The first of `n` records for actions."""
        first = self._ranges.take(n)
        if first is None:
            raise CommandError(f"the table is full: no room for {n} more actions; delete some rules")
        return first

    def give(self, leaving):
        """Take back what nothing names any more: (entry, whether its own record is free as well)."""
        self.indexes += [entry.index for entry, whole in leaving if whole]
        entries = [entry for entry, _ in leaving]
        ranges = [(entry.first, len(entry.actions.records)) for entry in entries]
        if len(ranges) < MANY:
            for first, n in ranges:
                self._ranges.give(first, n)
        else:
            self._ranges.free = _joined(sorted([*self._ranges.free, *((first, n) for first, n in ranges if n)]))


def _joined(ranges):
    """Sorted ranges, those that touch made one."""
    free = []
    for first, n in ranges:
        if free and sum(free[-1]) == first:
            free[-1] = free[-1][0], free[-1][1] + n
        else:
            free.append((first, n))
    return free


def _between(taken, count):
    """The ranges up to `count` that are not among sorted ones."""
    free, at = [], 0
    for first, n in taken:
        if n and first > at:
            free.append((at, first - at))
        at = max(at, first + n) if n else at
    return [*free, (at, count - at)] if at < count else free
