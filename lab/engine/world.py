"""World records: what a compiled stage is told, one list of (address, count) for each lane.

They lie beside the arena, since they hold addresses, and are never in a snapshot. A lane has one world for the
main way and one for each port's output batch, in which `bursts` is that batch.
"""

from functools import cache

import numpy as np

from lab.memory.record import Group, Table
from lab.stages.burst import burst_t
from lab.stages.regions import HOST, PORTS, VIEWS, regions


@cache
def place_numbers():
    """The number of every (region, part) in a world record, in the order of the list."""
    numbers = {}
    for r in regions("small").values():
        for part in r.shape.layouts if isinstance(r.shape, Group) else [""]:
            numbers[r.name, part] = len(numbers)
    return numbers


class Worlds:
    """The world records of one lane, and the tables of the same for the interpreted tempo."""

    def __init__(self, arena, lane, host):
        self.arena, self.lane, self._tables = arena, lane, {}
        numbers = place_numbers()
        self.records = np.zeros((1 + PORTS, len(numbers), 2), np.uint64)
        declared = regions("small")
        self.host = host  # name -> NumPy array, beside the arena
        for (name, part), number in numbers.items():
            if declared[name].place == HOST:
                self.records[:, number] = (host[name].ctypes.data, len(host[name]))
                continue
            place = arena.places.get((name, self._owner(name), part))
            if place is None:
                continue
            at, _, count = place
            self.records[:, number] = (0 if name == "memory" else at, count)
            self.records[:, number, 0] += np.uint64(arena.base)
        first = arena.places["outs", lane, ""][0] if ("outs", lane, "") in arena.places else 0
        for port in range(PORTS):
            self.records[1 + port, numbers["bursts", ""]] = (arena.base + first + port * burst_t.size, 1)
        self.stride = self.records.strides[0]

    def _owner(self, name):
        return self.lane if (name, self.lane) in {(n, who) for n, who, _ in self.arena.places} else None

    def address(self, output=None):
        """The address of the world of the main way, or of a port's output batch."""
        return self.records.ctypes.data + (0 if output is None else (1 + output) * self.stride)

    def table(self, name, output=None):
        """A region as the interpreted tempo sees it in that world."""
        if name in VIEWS:
            return self._view(VIEWS[name])
        if name == "bursts" and output is not None:
            at = self.arena.places["outs", self.lane, ""][0] + output * burst_t.size
            return Table(self.arena.bytes, at, burst_t, 1)
        if name not in self._tables:
            if name in self.host:
                array = self.host[name]
                shape = regions("small")[name].shape
                self._tables[name] = Table(memoryview(array).cast("B"), 0, shape, len(array))
            else:
                self._tables[name] = self.arena.table(name, self._owner(name))
        return self._tables[name]

    def _view(self, view):
        """The regions of a view under their names; of two copies the one that readers are to use now."""
        found = {name: self.table(name) for name in view.regions}
        for name, (other, _) in view.copies.items():
            if self.table("config")[0].active_rules != 0:
                found[name] = found[other]
        return view.bundle(**found)
