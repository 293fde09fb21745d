"""Arcs: the short lists of stages that a port's packets pass on their way in (ingress) and out (egress)."""

from collections.abc import Sequence

from lab.engine.pipeline import as_stage
from lab.engine.route import EGRESS, INGRESS
from lab.live import Live
from lab.stages.regions import ARC


class Arc(Sequence, Live):
    """The stages on one side of a port; a live list.

    >>> from lab import Switch
    >>> Switch("br0").add_port("vm1").ingress
    <ingress arc of vm1: empty>
    """

    def __init__(self, port, side):
        self.port, self.side = port, side

    def _numbers(self):
        return [int(n) for n in self.port.row[self.side][: int(self.port.row[f"n_{self.side}"])]]

    def __len__(self):
        return int(self.port.row[f"n_{self.side}"])

    def __getitem__(self, i):
        return self.port.engine.pipeline.places[self._numbers()[i]]

    def __repr__(self):
        return f"<{self.side} arc of {self.port.name}: {' → '.join(place.name for place in self) or 'empty'}>"

    def append(self, stage):
        """Put a stage at the end of the arc; the place it got."""
        return self.insert(len(self), stage)

    def insert(self, at, stage):
        """Put a stage before another; the place it got."""
        if len(self) == ARC:
            raise ValueError(f"the {self.side} arc of {self.port.name} has {ARC} stages, which is all it holds: remove one")
        stage = as_stage(stage)
        pipeline = self.port.engine.pipeline
        place = pipeline.add(f"{self.port.name}.{self.side}.{stage.name}", stage, f"{self.side} {self.port.name}")
        numbers = self._numbers()
        numbers.insert(at, place.number)
        self.write(numbers)
        return place

    def remove(self, which):
        """Take a stage (a place, a stage or its name) off the arc."""
        for at, place in enumerate(self):
            if which in (place, place.stage, place.name, place.stage.name):
                if self.port.engine.pipeline.standing(place.number):
                    raise ValueError(
                        f"{place.name} stands on the {self.side} arc of {self.port.name} by the port's settings: change these"
                        f" (offloads, gro, verify), or put another stage there: sw.stages[{place.name!r}].swap(...)"
                    )
                numbers = self._numbers()
                del numbers[at]
                self.write(numbers)
                place.retired = True
                return
        raise ValueError(f"{which!r} is not on the {self.side} arc of {self.port.name}: there are {[p.stage.name for p in self]}")

    def clear(self):
        """Take every stage off the arc but those that the port's settings put there."""
        for place in list(self):
            if not self.port.engine.pipeline.standing(place.number):
                self.remove(place)

    def write(self, numbers):
        """Publish the numbers of the arc's places: a shorter list's length first, a longer one's entries first."""
        row, key = self.port.row, f"n_{self.side}"
        had = self._numbers()
        row[key] = min(len(numbers), int(row[key]))
        row[self.side][: len(numbers)] = numbers
        row[key] = len(numbers)
        self._stand_again(had, numbers)

    def _stand_again(self, had, numbers):
        """A lane that stands on the arc stands behind the same stages as before; cores that run find their place with the next burst."""
        phase, where = (INGRESS, "port") if self.side == "ingress" else (EGRESS, "out")
        engine = self.port.engine
        for lane in () if self.port.switch.cores.running else engine.lanes:
            here = engine.array("lane", lane)[0]
            if here["phase"] == phase and here[where] == self.port.number:
                passed = had[: int(here["at"])]
                here["at"] = max((at + 1 for at, number in enumerate(numbers) if number in passed), default=0)
