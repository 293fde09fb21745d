"""Free ranges of a table whose records are handed out some in a row: actions of rules, recorded frames of ports.

Only control asks it, when a person changes something. It keeps no records, just who may write where; what a
packet takes, one record at a time, comes from the mempool.
"""

from bisect import bisect_left


class Ranges:
    """Free ranges of a table, lowest first: what is taken comes from the first that is long enough."""

    def __init__(self, count):
        self.free = [(0, count)]  # (first, how many)

    def take(self, n):
        """The first index of `n` records in a row; None when there is no such row."""
        if n == 0:
            return 0
        for i, (first, room) in enumerate(self.free):
            if room >= n:
                self.free[i : i + 1] = [(first + n, room - n)] if room > n else []
                return first
        return None

    def give(self, first, n):
        """Take back a range, and join it with its neighbours."""
        if n == 0:
            return
        i = bisect_left(self.free, (first, n))
        if i < len(self.free) and self.free[i][0] == first + n:
            n += self.free.pop(i)[1]
        if i and sum(self.free[i - 1]) == first:
            first, n = self.free[i - 1][0], self.free.pop(i - 1)[1] + n
            i -= 1
        self.free.insert(i, (first, n))
