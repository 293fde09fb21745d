"""What groups and meters have in common: they are found by the numbers that people gave them.

The entries by number, as a live mapping; what an entry shows is its own kind's matter (`group.py`, `meters.py`).
"""
from collections.abc import Mapping
from typing import Any

from lab.live import Live


class Numbered(Mapping, Live):
    """Entries by number; `kind` is the word for one, `view` makes its live object."""

    kind = ""
    entries: dict[int, Any]

    def view(self, entry):
        """The live object of an entry."""
        raise NotImplementedError

    def __getitem__(self, number):
        if number not in self.entries:
            have = f"they are {', '.join(map(str, list(self)[:20]))}" if self.entries else f"there is none: sw.ofctl('add-{self.kind} ...')"
            raise KeyError(f"no {self.kind} has number {number!r}: {have}")
        return self.view(self.entries[number])

    def __iter__(self):
        return iter(sorted(self.entries))

    def __len__(self):
        return len(self.entries)

    def __contains__(self, number):
        return number in self.entries

    def _ipython_key_completions_(self):
        return list(self)
