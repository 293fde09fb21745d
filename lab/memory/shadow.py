"""Differences of the arena: a second copy of it, kept as it was, and what has changed since.

A step compares the regions that its stage names, block by block, keeps what differs in cache lines, old and new, and
brings the shadow up to date. Going back writes the old lines, going on again the new ones; both are exact to the byte.
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from lab.memory.record import CACHE_LINE

BLOCK = 1 << 16
_libc = ctypes.CDLL(None)
_libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


@dataclass(frozen=True, slots=True)
class Change:
    """Which cache lines of the arena changed, from what to what."""

    lines: np.ndarray  # line numbers, ascending
    old: np.ndarray  # one row of 64 bytes a line
    new: np.ndarray

    def __len__(self):
        return int((self.old != self.new).sum())

    def __add__(self, later):
        """Both changes as one: the older old, the newer new."""
        olds = dict(zip(later.lines.tolist(), later.old, strict=True)) | dict(zip(self.lines.tolist(), self.old, strict=True))
        news = dict(zip(self.lines.tolist(), self.new, strict=True)) | dict(zip(later.lines.tolist(), later.new, strict=True))
        lines = np.array(sorted(olds), np.int64)
        return Change(lines, _rows(olds, lines), _rows(news, lines))

    def spans(self):
        """(offset, old bytes, new bytes) of each run of changed bytes."""
        for line, old, new in zip(self.lines.tolist(), self.old, self.new, strict=True):
            places = np.flatnonzero(old != new)
            for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
                low, high = int(run[0]), int(run[-1]) + 1
                yield line * CACHE_LINE + low, old[low:high].tobytes(), new[low:high].tobytes()


def _rows(lines, order):
    return np.array([lines[i] for i in order.tolist()], np.uint8).reshape(len(order), CACHE_LINE)


NOTHING = Change(np.empty(0, np.int64), np.empty((0, CACHE_LINE), np.uint8), np.empty((0, CACHE_LINE), np.uint8))


class Shadow:
    """The arena as it was at the last look."""

    def __init__(self, arena):
        self.arena = arena
        self._data = arena.range.map(arena.shadow_at, arena.size)  # zeroes, untouched, like a new arena
        self.base = arena.base + arena.shadow_at
        self._was = np.frombuffer(self._data, np.uint8)
        self._is = np.frombuffer(arena.bytes, np.uint8)

    def sync(self, extents):
        """Take over whatever stands in these extents now."""
        self.changes(extents)

    def changes(self, extents):
        """What has changed in these extents since the last look; the shadow then agrees with the arena."""
        lines, olds, news = [], [], []
        for low, high in _merged(extents):
            for at in range(low, high, BLOCK):
                end = min(at + BLOCK, high)
                if _libc.memcmp(self.arena.base + at, self.base + at, end - at):
                    which, old, new = self._compare(at, end)
                    lines.append(which)
                    olds.append(old)
                    news.append(new)
        if not lines:
            return NOTHING
        return Change(np.concatenate(lines), np.concatenate(olds), np.concatenate(news))

    def _compare(self, at, end):
        """The lines of one block that differ, taken over into the shadow."""
        was = self._was[at:end].reshape(-1, CACHE_LINE)
        now = self._is[at:end].reshape(-1, CACHE_LINE)
        which = np.flatnonzero((was.view(np.uint64) != now.view(np.uint64)).any(axis=1))
        old, new = was[which].copy(), now[which].copy()
        was[which] = new
        return which + at // CACHE_LINE, old, new

    def write(self, change, rows):
        """Put one side of a change into arena and shadow: `change.old` to go back, `change.new` to go on."""
        self._is.reshape(-1, CACHE_LINE)[change.lines] = rows
        self._was.reshape(-1, CACHE_LINE)[change.lines] = rows

    def poke(self, change, rows):
        """Put one side of a change into the arena alone."""
        self._is.reshape(-1, CACHE_LINE)[change.lines] = rows


def _merged(extents):
    """The same extents without overlaps, ascending."""
    merged = []
    for low, high in sorted(set(extents)):
        if merged and low <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return merged
