"""One stage in both tempos on the same memory: the harness of every stage's test.

`Tempo()` is an arena with lane 1, its mbufs free, its caches and tables empty, its vlan_limit 1. `load` puts frames
into mbufs and into the burst in hand; `both` runs a stage as plain Python, keeps what it left, runs the machine code
on the same beginning and asserts that every byte of the arena is the same; what the stage did then stands in the arena.

    tempo = Tempo()
    tempo.load([bytes(60)])
    tempo.both(parse)
    assert tempo.table("mbufs")[tempo.packets[0]].l2_len == 14
"""
import ctypes
from functools import cache

import numpy as np

from lab.engine.code import objects
from lab.engine.pipeline import LOOPS, every_stage
from lab.engine.world import place_numbers
from lab.flow.smc import NONE
from lab.memory.arena import Arena
from lab.memory.mbuf import FILL, FIRST_BUFFER, HEADROOM, ROOM
from lab.memory.mempool import take
from lab.memory.record import NULL
from lab.stages.burst import BURST
from lab.stages.regions import HOST, LANE, PORTS, RING, STAGES, VIEWS, code_t, regions
from lab.stages.stage import Stage
from lab.stages.translation import PLACE, translation
from lab.translate.rules import set_up_rules

LANE_OF_TESTS = 1
WITH_RINGS = 8  # ports 0 to 7 have rings of their own: ring p of what came in, ring PORTS + p of what lane 1 sent


@cache
def machine_code(stage, checked=False):
    """The address of a stage's machine code, from the cache that the engine uses."""
    wanted = stage if stage.checked == checked else Stage(stage.function, checked=checked)
    if objects.ready(wanted) is None and wanted.function.__module__.startswith("lab."):
        family = [s for s in every_stage() if s not in LOOPS]  # all at once, by two processes: another test wants them anyway
        objects.compile_all([Stage(s.function, checked=checked) for s in family])
    return objects.compile_all([wanted])[wanted].address


class Tempo:
    """An arena for one stage, and the two ways to run the stage on it."""

    def __init__(self, size="small"):
        self.regions = {name: r for name, r in regions(size).items() if r.place != HOST}
        self.lanes = {name: LANE_OF_TESTS if r.place == LANE else None for name, r in self.regions.items()}
        counts = {name: r.counts for name, r in self.regions.items()}
        counts["rings"] = {**counts["rings"], "slots": 2 * WITH_RINGS * RING}
        self.arena = Arena({name: (r.shape, counts[name], [self.lanes[name]]) for name, r in self.regions.items()})
        self.bytes = np.frombuffer(self.arena.bytes, np.uint64)
        self._before, self._after = np.empty_like(self.bytes), np.empty_like(self.bytes)
        self.packets = []
        self._prepare()
        self.code = np.zeros(STAGES, code_t.dtype)
        self.world = self._world()

    def table(self, name):
        """A region as stages see it in plain Python."""
        if name == "code":
            return None  # addresses: plain Python calls functions
        if name in VIEWS:
            return self._view(VIEWS[name])
        return self.arena.table(name, self.lanes[name])

    def _view(self, view):
        """The regions of a view; of two copies the one that readers are to use."""
        found = {name: self.table(name) for name in view.regions}
        for name, (other, _) in view.copies.items():
            if self.table("config")[0].active_rules != 0:
                found[name] = found[other]
        return view.bundle(**found)

    def array(self, name, part=""):
        """A region as a NumPy array."""
        return self.arena.array(name, self.lanes[name], part)

    def key(self, k):
        """The key of the packet at place `k` of the burst, as a list of ints."""
        return [int(word) for word in self.array("keys")[k]["w"]]

    def load(self, frames, *, port=1, cuts=()):
        """Put frames into fresh mbufs and into the burst in hand; `cuts` are lengths of the first segments of each frame."""
        assert len(frames) <= BURST
        self.packets = [self._put(frame, port, number, list(cuts)) for number, frame in enumerate(frames)]
        self.array("bursts").view(np.uint8)[:] = 0
        burst = self.table("bursts")[0]
        burst.n = len(frames)
        for k, i in enumerate(self.packets):
            burst.pkt[k] = i
        return self.packets

    def unload(self):
        """Take all mbufs back, whatever became of them."""
        head, free = self.array("pool", "head"), self.array("pool", "free")
        head["n"], head["lane"] = len(free), LANE_OF_TESTS
        free["index"] = np.arange(len(free))[::-1]
        mbufs = self.array("mbufs")
        mbufs["refcnt"], mbufs["buf"], mbufs["attached"] = 0, FIRST_BUFFER + ROOM * np.arange(len(mbufs)), NULL
        self.packets = []

    def step(self, stage):
        """Run a stage as plain Python."""
        return stage(*(self.table(name) for name in stage.parameters))

    def run(self, stage, *, checked=False):
        """Run a stage's machine code; what it returns is 0 unless a checked stage raised."""
        if "mind" in stage.parameters:
            self.code["address"][PLACE] = machine_code(translation)
        return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)(machine_code(stage, checked))(self.world.ctypes.data)

    def both(self, stage, *, checked=False):
        """Run a stage in both tempos on the same memory and assert that they leave the same."""
        self._before[:] = self.bytes
        self.step(stage)
        self._after[:] = self.bytes
        self.bytes[:] = self._before
        status = self.run(stage, checked=checked)
        assert status == 0, f"the machine code of {stage.name} raised"
        assert np.array_equal(self.bytes, self._after), self._difference(stage)

    def _difference(self, stage):
        at = int(np.flatnonzero(self.bytes.view(np.uint8) != self._after.view(np.uint8))[0])
        ran, stepped = int(self.bytes.view(np.uint8)[at]), int(self._after.view(np.uint8)[at])
        name, lane, part, record, byte = self.arena.name_of(at) or ("between regions", None, "", 0, 0)
        kind = self.arena.places[name, lane, part][1] if (name, lane, part) in self.arena.places else None
        field = max((f for f, o in kind.offsets.items() if o <= byte), key=kind.offsets.get) if kind else "byte"
        return f"{stage.name}: {name}{'.' + part if part else ''}[{record}].{field} (byte {byte}) is {stepped} stepped and {ran} run"

    def _put(self, frame, port, serial, cuts):
        pool, mbufs = self.table("pool"), self.table("mbufs")
        first, last, at = NULL, NULL, 0
        while first == NULL or at < len(frame):
            piece = frame[at:at + (cuts.pop(0) if cuts else FILL)]
            i = take(pool, mbufs)
            m = mbufs[i]
            m.data_len = len(piece)
            self.arena.bytes[m.buf + m.data_off:m.buf + m.data_off + len(piece)] = piece
            if first == NULL:
                first = i
                m.pkt_len, m.in_port, m.serial, m.nb_segs = len(frame), port, serial, 0
                m.blocks = 1
            else:
                mbufs[last].next = i
            mbufs[first].nb_segs += 1
            last, at = i, at + len(piece)
        return first

    def _prepare(self):
        begin = self.arena.extent("memory")[0]
        mbufs = self.array("mbufs")
        mbufs["buf"] = begin + ROOM * np.arange(len(mbufs))
        mbufs["data_off"], mbufs["room"], mbufs["next"], mbufs["flow"] = HEADROOM, ROOM, NULL, NULL
        rings = self.array("rings", "ring")
        rings["room"] = RING
        rings["first"][:WITH_RINGS] = RING * np.arange(WITH_RINGS)
        rings["first"][PORTS:PORTS + WITH_RINGS] = RING * (WITH_RINGS + np.arange(WITH_RINGS))
        self.unload()
        self.array("emc")["flow"] = NULL
        self.array("smc")["flow"] = NONE
        self.array("acts", "head")["free"] = NULL
        self.array("gro", "items")["first"] = NULL
        for name in ("rules", "rules_b"):
            set_up_rules(self.arena, name)
        table = self.table("megaflows")
        table.head[0].slot_mask, table.head[0].limit = len(table.slots) - 1, len(table.flows) - BURST
        self.array("megaflows", "slots")["flow"] = NULL
        free, limit = self.array("megaflows", "flows")["next"], table.head[0].limit
        free[:limit] = np.arange(1, limit + 1)
        free[limit - 1] = NULL
        config = self.table("config")[0]
        config.vlan_limit, config.lanes, config.recirc_limit = 1, 1, 8
        config.mac_age_us, config.mac_limit = 300_000_000, 8192
        config.flow_limit = self.table("megaflows").head[0].limit
        lane = self.table("lane")[0]
        lane.number, lane.seed = LANE_OF_TESTS, 1

    def _world(self):
        world = np.zeros((len(place_numbers()), 2), np.uint64)
        for (name, part), number in place_numbers().items():
            if name == "code":
                world[number] = self.code.ctypes.data, len(self.code)
            if name in self.regions:
                at, kind, count = self.arena.places[name, self.lanes[name], part]
                world[number] = self.arena.base + (at if kind else 0), count
        return world
