"""What happened, in order: steps, and between them what people did (frames injected, rules changed).

Every event carries the difference that it made in the arena. Going back undoes the last step exactly; frames that
people injected since then are put back where they wait, since a person's acts stay.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.live import Live
from lab.memory.reasons import CACHED, REASONS
from lab.memory.shadow import Change
from lab.packet.cut import Cut, header_length

KEPT = 1000  # steps
PICTURES = 60  # of them with a frame


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a decision about one packet fell."""

    packet: int
    stage: str
    number: int
    a: int
    b: int

    @property
    def reason(self):
        """The reason with its sentence and cure."""
        return REASONS[self.number]


@dataclass(eq=False)
class Step(Live):
    """One stage on one burst: packets in and out, reasons, and what changed in memory, down to the field.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> sw.add_port("vm1").inject(bytes(60))
    1
    >>> step = sw.step()
    >>> step.stage, step.before, step.after, step.reason
    ('receive', 0, 1, 'received')
    >>> ("bursts", 1, "", 0, "n", None, 1) in step.changes()
    True
    """

    number: int
    stage: str
    group: str
    lane: int
    port: int  # the port the burst came from
    output: int | None  # the port it goes to, on the egress side
    before: int  # packets in
    after: int  # packets out
    change: Change
    explanations: tuple
    tempo: str
    shown: Any  # the Packet that is looked at, as it is now, or None
    was: Any  # the same packet before the step, or None
    serials: tuple  # all packets in hand
    lengths: tuple  # and their bytes
    lost: int = 0
    sent: dict = field(default_factory=dict)  # port number -> packets that left in this step
    error: str = ""
    line: dict | None = None  # where in the stage a person stands, when inside one
    engine: Any = field(default=None, repr=False)
    sentence: str = ""
    cure: str = ""
    frame: dict | None = None  # its picture, drawn when it was taken
    kin: frozenset = frozenset()  # behind GRO: the packets that the one that is looked at is made of
    turn: int = 0  # how many places of the same name lie behind on the arc
    parts: tuple = ()  # behind a stage that cuts: the segments of the packet that is looked at

    def __repr__(self):
        what = self.sentence or self.reason
        return f"<Step {self.number}: {self.stage}, {self.before} in, {self.after} out, {what}, {len(self.change)} bytes changed>"

    @property
    def main(self):
        """The explanation that says most about the packet shown: a drop, else its last."""
        serial = self.shown.serial if self.shown is not None else None
        own = [e for e in self.explanations if e.packet == serial or e.packet in self.kin] or list(self.explanations)
        drops = [e for e in own if e.reason.drop]
        decisions = [e for e in own if e.number != CACHED]  # that a hit was cached as well says less than the hit
        last = (drops or decisions or own or [None])[-1]
        if last is None or self.serials.count(serial) < 2:
            return last
        return next(e for e in own if e.number == last.number)  # segments of one packet have its number: the first is the one shown

    @property
    def cut(self):
        """Which bytes of the packet went where, when this step cut it; else None."""
        if not self.parts or self.was is None:
            return None
        return Cut(self.was, self.parts, header_length(self.was))

    @property
    def reason(self):
        """The reason's code, in words."""
        if self.line:
            return "inside"
        return self.main.reason.code if self.main else ("dropped: stage failed" if self.error else "done")

    @property
    def dropped(self):
        """How many packets this step lost."""
        return self.lost

    def changes(self):
        """(region, lane, part, record, field, old, new) of everything that changed, packet bytes as one row a run."""
        return list(named_changes(self.engine.arena, self.change))


@dataclass(eq=False)
class Act:
    """What a person did between two steps; `again` does it anew after going back."""

    name: str
    change: Change
    again: object = None


class Timeline(Sequence, Live):
    """The steps so far, the oldest first; `sw.timeline[-1]` is where the switch stands.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> sw.add_port("vm1").inject(bytes(60))
    1
    >>> while sw.step(): pass
    >>> [step.stage for step in sw.timeline]
    ['receive', 'parse', 'emc', 'megaflow', 'upcall', 'actions']
    >>> sw.back().stage, len(sw.timeline)
    ('upcall', 5)
    """

    def __init__(self):
        self.events = deque()
        self._steps = deque()  # those of the events that are steps: asked for at every step
        self.future = []  # steps gone back over, the next one last
        self.forgotten = 0

    def __len__(self):
        return len(self._steps)

    def __getitem__(self, i):
        return list(self._steps)[i] if isinstance(i, slice) else self._steps[i]

    def __iter__(self):
        return iter(list(self._steps))

    def __reversed__(self):
        return reversed(list(self._steps))

    def __repr__(self):
        return f"<Timeline: {len(self)} steps{', now ' + repr(self.last) if self.last else ''}>"

    def facts(self):
        """What the interface draws."""
        rows = [[s.number, s.lane, s.stage, s.before, s.after, s.reason, len(s.change)] for s in self[-60:]]
        return {
            "title": f"timeline of {len(self)} steps",
            "columns": ["step", "core", "stage", "in", "out", "reason", "bytes changed"],
            "rows": rows,
            "note": "",
        }

    @property
    def last(self):
        """The step now current, or None."""
        return self._steps[-1] if self._steps else None

    def add(self, event):
        """Something happened: what had been gone back over is not to come any more."""
        self.future.clear()
        self.append(event)
        if len(self) > PICTURES:
            self._steps[-PICTURES - 1].frame = None
        while len(self) > KEPT:
            self._forget(self.events.popleft())

    def append(self, event):
        """Something happened, or is gone over again."""
        self.events.append(event)
        if isinstance(event, Step):
            self._steps.append(event)

    def pop(self):
        """The last event, which is taken back."""
        event = self.events.pop()
        if isinstance(event, Step):
            self._steps.pop()
        return event

    def _forget(self, event):
        if isinstance(event, Step):
            self._steps.popleft()
            self.forgotten += 1

    @property
    def reached(self):
        """The number of the step now current."""
        return self.forgotten + len(self)

    def frames(self):
        """The pictures of the latest steps, the oldest first: what a saved page plays."""
        steps = len(self) + len(self.future)
        return [{**event.frame, "steps": steps} for event in self._steps if event.frame]

    def clear(self):
        """Forget everything: memory went on without steps."""
        self.events.clear()
        self._steps.clear()
        self.future.clear()


def named_changes(arena, change):
    """Name the fields behind changed bytes."""
    seen = set()
    for at, old, new in change.spans():
        found = arena.name_of(at)
        if found is None:
            continue
        name, lane, part, record, _ = found
        kind = arena.places[name, lane, part][1]
        if kind is None:
            yield name, lane, part, at, "", old, new
            continue
        for i in range(at, at + len(old)):
            _, _, _, record, byte = arena.name_of(i)
            key = next((f for f, o in kind.offsets.items() if o <= byte < o + _width(kind, f)), None)
            if key and (name, lane, part, record, key) not in seen:
                seen.add((name, lane, part, record, key))
                yield name, lane, part, record, key, None, _plain(arena.array(name, lane, part)[record][key])


def _width(kind, field_name):
    code, n = kind.fields[field_name]
    return int(code[1]) * n


def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else value
