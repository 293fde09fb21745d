"""The list of stages of a switch: which function stands where, and how it is replaced.

Every place has a number, which is its index in the table of addresses that PMDs call through. Swapping writes one
address; the next burst runs the new code. Adding a stage to the package is one line in MAIN here.
"""

from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from lab.engine import pmd
from lab.engine.code import objects
from lab.engine.route import ALWAYS, GRO_IN, GRO_OUT, GSO, MISSES, REVALIDATE, SMC_ON, TAKE_OVER
from lab.engine.wreck import FOREIGN, FREE_HANDED, PACKAGE
from lab.live import Live
from lab.memory.mbuf import CHAINED, TO_COMPUTE
from lab.memory.mbuf import GSO as LARGE
from lab.stages import (
    actions,
    checksum,
    consult,
    emc,
    enter,
    gro,
    gso,
    handover,
    linear,
    megaflow,
    parse,
    pop,
    punt,
    push,
    receive,
    replay,
    revalidate,
    sink,
    smc,
    split,
    translation,
    transmit,
    upcall,
)
from lab.stages.regions import STAGES
from lab.stages.stage import Stage

# the main way, in order: the stage and when it has something to do
MAIN = (
    (parse.parse, ALWAYS),
    (emc.emc, ALWAYS),
    (smc.smc, SMC_ON),
    (megaflow.megaflow, MISSES),
    (upcall.upcall, MISSES),
    (actions.actions, ALWAYS),
)
# beside it: the name of the place, the stage, and the flags of a batch that want it (0: every batch). The first ones have the
# numbers that the conductor knows them by; what stands on arcs by a port's settings is machine code only once a port asks for it
SIDE = (
    ("revalidate", revalidate.revalidate, 0),
    ("take_over", handover.take_over, 0),
    ("ingress.gro", gro.gro, 0),
    ("egress.gro", gro.gro, 0),
    ("gso", gso.gso, LARGE),
    ("receive", receive.receive, 0),
    ("replay", replay.replay, 0),
    ("transmit", transmit.transmit, 0),
    ("sink", sink.sink, 0),
    ("punt", punt.punt, 0),
    ("ingress.checksum", checksum.verify, 0),
    ("egress.checksum", checksum.complete, TO_COMPUTE),
    ("linear", linear.linear, CHAINED),
    ("pop", pop.pop, 0),
    ("push", push.push, 0),
    ("split", split.split, 0),
    ("handover", handover.handover, 0),
)
ON_DEMAND = {
    "take_over", "ingress.gro", "egress.gro", "gso", "ingress.checksum", "egress.checksum", "linear", "pop", "push", "split", "handover",
}  # fmt: skip
assert [SIDE[n][0] for n in (REVALIDATE, TAKE_OVER, GRO_IN, GRO_OUT, GSO)] == [
    "revalidate", "take_over", "ingress.gro", "egress.gro", "gso",
]  # fmt: skip
LOOPS = (pmd.pmd, pmd.solo)
DESK = (consult.consult, enter.enter)  # what control calls, on no packet's way
assert STAGES - 1 == translation.PLACE


def every_stage():
    """All the package's stages, and the loops that call them."""
    return [*dict.fromkeys(stage for _, stage, _ in SIDE), *(stage for stage, _ in MAIN), *LOOPS, *DESK, translation.translation]


@dataclass(eq=False)
class Place(Live):
    """A place in the pipeline and the stage that stands there now.

    >>> from lab import Switch
    >>> place = Switch().stages["emc"]
    >>> place
    <stage emc: 0 packets in, 0 out, 0 dropped>
    >>> place.touches
    ('bursts', 'mbufs', 'keys', 'emc', 'config', 'reasons', 'trace')
    """

    pipeline: Any
    number: int
    name: str
    original: Stage
    stage: Stage
    group: str
    retired: bool = False  # taken off its arc: the number may be given to another

    def __repr__(self):
        c = self.pipeline.engine.counts(self.number)
        swapped = "" if self.stage is self.original else f", swapped for {self.stage.name}"
        rate = f", {c.cycles:.0f} cycles a packet" if c.cycles else ""
        return f"<stage {self.name}: {c.packets_in} packets in, {c.packets_out} out, {c.drops} dropped{rate}{swapped}>"

    @property
    def touches(self):
        """The regions that the stage may read and change."""
        return self.stage.touches

    @property
    def source(self):
        """The text of the stage that stands here now."""
        return self.stage.source

    @property
    def llvm(self):
        """The LLVM text of its machine code."""
        return objects.compile_all([self.stage])[self.stage].text

    def counts(self):
        """Calls, packets in and out, drops, cycles a packet."""
        return self.pipeline.engine.counts(self.number)

    def swap(self, stage=None):
        """Let another stage stand here from the next burst on; None puts the original back, or takes one that is itself off its arc."""
        if stage is None and self.stage is self.original and self.pipeline.take_off(self):
            return self
        stage = self.original if stage is None else stage
        stage = as_stage(stage)
        self.pipeline.engine.check_stage(stage)
        if self.pipeline.loaded or stage is not self.original:
            self.pipeline.publish(self.number, stage, objects.compile_all([stage])[stage].address)
        self.stage = stage
        return self


def group_of(name):
    """What the picture calls the part of the way that a place beside the main way belongs to."""
    if name in ("push", "gso", "linear") or name.startswith("egress."):
        return "egress"
    return "ingress" if name in ("pop", "split", "handover") or name.startswith("ingress.") else "port"


def as_stage(function):
    """A stage of a plain function; what is neither is refused."""
    if isinstance(function, Stage):
        return function
    if not isinstance(function, FunctionType):
        raise TypeError(f"a stage is a function under @stage, not {type(function).__name__}: sw.stages shows what stands where")
    return Stage(function, checked=not function.__module__.startswith("lab."))


def whose_stage(stage):
    """Whether a stage is the package's own, a person's, or a person's that handles the mempool itself."""
    if stage.function.__module__.startswith("lab."):
        return PACKAGE
    return FREE_HANDED if "pool" in stage.touches else FOREIGN


class Pipeline:
    """The places of a switch, by number."""

    def __init__(self, engine):
        self.engine, self.loaded, self.loops = engine, False, {}
        groups = {"upcall": "slow path", "actions": "actions"}
        named = [(name, s, group_of(name)) for name, s, _ in SIDE] + [(s.name, s, groups.get(s.name, "lookup")) for s, _ in MAIN]
        self.places = [Place(self, number, name, s, s, group) for number, (name, s, group) in enumerate(named)]
        self.asked = set()  # numbers of the places that are wanted only since a port asked for them
        engine.arena.array("needs")["wants"][: len(SIDE)] = [wants for _, _, wants in SIDE]
        route = engine.arena.array("route")
        for at, (_, need) in enumerate(MAIN):
            route[at] = (len(SIDE) + at, need)
        engine.arena.array("config")["lookup_stages"] = len(MAIN)
        engine.arena.array("ports")[0]["transmit"] = self.number("punt")

    @property
    def main(self):
        """The places of the main way, in order."""
        return self.places[len(SIDE) : len(SIDE) + len(MAIN)]

    def standing(self, number):
        """Whether a place is the pipeline's own, not one that a person made on an arc."""
        return number < len(SIDE) + len(MAIN)

    def number(self, name):
        """The number of a place by its name."""
        return next(place.number for place in self.places if place.name == name)

    def ask(self, *names):
        """A port wants these places from now on: once anything is machine code, they are too."""
        new = [place for place in map(self.place, names) if place.number not in self.asked]
        self.asked |= {place.number for place in new}
        if self.loaded and new:
            self._publish_all(new)

    def place(self, name):
        """A place by its name."""
        return self.places[self.number(name)]

    def _wanted(self):
        return [p for p in self.places if not p.retired and (p.name not in ON_DEMAND or p.number in self.asked)]

    def _publish_all(self, places):
        found = objects.compile_all([place.stage for place in places])
        for place in places:
            self.publish(place.number, place.stage, found[place.stage].address)

    def add(self, name, stage, group):
        """A further place, for a stage on a port's arc; its machine code is made at once, so that a mistake shows here."""
        self.engine.check_stage(stage)
        code = objects.compile_all([stage])[stage]
        number = next((place.number for place in self.places if place.retired), len(self.places))
        if number == translation.PLACE:
            raise ValueError(f"the pipeline has room for {number} stages: remove one from an arc first")
        place = Place(self, number, name, stage, stage, group)
        self.places[number : number + 1] = [place]
        self.publish(number, stage, code.address)
        return place

    def load(self, progress=None):
        """Have machine code for every place."""
        if self.loaded:
            return
        places = self._wanted()
        found = objects.compile_all([*(place.stage for place in places), translation.translation, *LOOPS], progress)
        self.engine.code["address"][translation.PLACE] = found[translation.translation].address
        for place in places:
            self.publish(place.number, place.stage, found[place.stage].address)
        self.loops = {stage.name: found[stage].address for stage in LOOPS}
        self.loaded = True

    def take_over(self, other):
        """Be like the pipeline of another switch: a fork's."""
        self.places = [replace(place, pipeline=self) for place in other.places]
        self.asked = set(other.asked)
        self.engine.code[:] = other.engine.code
        self.loaded, self.loops = other.loaded, other.loops

    def take_off(self, place):
        """Take a stage off every arc that it stands on; whether it stood on any."""
        if self.standing(place.number):
            return False
        ports, found = self.engine.array("ports"), False
        for side in ("ingress", "egress"):
            for row in ports:
                n = int(row[f"n_{side}"])
                kept = [int(number) for number in row[side][:n] if int(number) != place.number]
                if len(kept) < n:
                    row[side][: len(kept)], row[f"n_{side}"], found = kept, len(kept), True
        place.retired = found
        return found

    def publish(self, place, stage, address):
        """Let machine code stand at a place: whose it is first, then its address, one aligned store that the next call reads."""
        row = self.engine.code[place]
        row["foreign"] = whose_stage(stage)
        row["address"] = address
