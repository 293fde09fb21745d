"""The engine: an arena, its lanes, the pipeline, and the two ways to call a stage.

It knows nothing of packets' origins, of rules as people write them, or of notebooks: ports, OpenFlow and control
stand above it.
"""

import ctypes
import itertools
import time
from dataclasses import dataclass

import numpy as np

from lab.engine.code import objects
from lab.engine.code.counter import read_counter
from lab.engine.pipeline import Pipeline
from lab.engine.route import Tally, Way
from lab.engine.world import Worlds
from lab.engine.wreck import Wreck
from lab.memory.arena import Arena
from lab.memory.mbuf import ROOM
from lab.memory.record import NULL
from lab.stages.burst import BURST
from lab.stages.regions import HANDS, HOST, LANE, LANES, PORTS, RING, RINGS, STAGES, SURPLUS, code_t, regions, spent_t, thread_t
from lab.stages.translation import PLACE as TRANSLATION
from lab.stages.translation import translation
from lab.translate.rules import set_up_rules

# what lane 0 has of the regions of a lane
CONTROL = ("pool", "lane", "reasons", "scratch", "port_stats", "keys", "desk", "ledger", "sight", "trace")
CALLED = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)
GRO_US = 200  # how long GRO waits for more of a flow: well over a burst, well under what a sender notices
LENT = 512  # free mbufs that a lane begins with, and is given when it has few
RECORDED = 1 << 16  # recorded frames that replaying ports may hold


@dataclass(frozen=True, slots=True)
class Counts:
    """What a place of the pipeline has seen."""

    calls: int
    packets_in: int
    packets_out: int
    drops: int
    cycles: float


class Engine:
    """The arena with its lanes, the pipeline, and calls of stages in both tempos."""

    def __init__(self, size="small", cores=1, *, huge=False, memfd=False):
        if not 1 <= cores < LANES:
            raise ValueError(f"cores={cores}: a switch has 1 to {LANES - 1}")
        if size not in ("small", "large"):
            raise ValueError(f"size={size!r}: a switch is 'small' (64 MB, 10 000 megaflows) or 'large' (200 000 megaflows)")
        self.size, self.cores = size, cores
        self._made: dict = {}  # stage: its machine code, as a function
        self._without: set = set()  # stages that had none when control called them: to look for some takes longer than most calls
        self.regions = regions(size)
        self.arena = Arena(self._layout(), huge=huge, memfd=memfd)
        self.code = np.zeros(STAGES, code_t.dtype)
        self.spent = [np.zeros(STAGES, spent_t.dtype) for _ in range(cores + 1)]
        self.threads = [np.zeros(1, thread_t.dtype) for _ in range(cores + 1)]
        self.worlds = [
            Worlds(self.arena, lane, {"code": self.code, "spent": self.spent[lane], "thread": self.threads[lane]})
            for lane in range(cores + 1)
        ]
        self._set_up()
        self.pipeline = Pipeline(self)

    @property
    def hands(self):
        """How many rings lead from one core to another."""
        return self.cores * (self.cores - 1)

    @property
    def lanes(self):
        """The numbers of the cores' lanes."""
        return range(1, self.cores + 1)

    def _layout(self):
        layout = {}
        for name, region in self.regions.items():
            if region.place == HOST:
                continue
            lanes: list[int | None] = [None]
            if region.place == LANE:
                lanes = [*([0] if name in CONTROL else []), *range(1, self.cores + 1)]
            counts = region.counts
            if name == "rings":
                counts = {"ring": RINGS, "slots": PORTS * RING * (self.cores + 1) + (2 * LANES + self.hands) * RING + RECORDED}
            layout[name] = (region.shape, counts, lanes)
        return layout

    def _set_up(self):
        """The state of a new switch: every mbuf free, every table empty, the clock at zero."""
        mbufs = self.arena.array("mbufs")
        first = self.arena.places["memory", None, ""][0]
        mbufs["buf"] = first + ROOM * np.arange(len(mbufs))
        mbufs["room"], mbufs["next"], mbufs["attached"] = ROOM, NULL, NULL
        share = min(LENT, len(mbufs) // (2 * self.cores))
        given = 0
        for lane in range(self.cores + 1):
            n = share if lane else len(mbufs) - share * self.cores
            head, free = self.arena.array("pool", lane, "head"), self.arena.array("pool", lane, "free")
            head["n"], head["lane"] = n, lane
            free["index"][:n] = np.arange(given, given + n)[::-1]
            given += n
        self._set_up_rings()
        for lane in self.lanes:
            self._set_up_lane(lane)
        for copy in ("rules", "rules_b"):
            set_up_rules(self.arena, copy)
        config = self.arena.array("config")
        config["emc_chance"], config["vlan_limit"], config["idle_us"] = (1 << 32) // 100, 1, 10_000_000
        config["mac_age_us"], config["mac_limit"], config["recirc_limit"] = 300_000_000, 8192, 8
        config["gro_us"] = GRO_US
        config["lanes"], config["cycles_per_us"], config["clock_stopped"] = self.cores, cycles_per_us(), 1
        self.arena.array("ports")["n_ingress"] = 0

    def _set_up_rings(self):
        rings = self.arena.array("rings", None, "ring")
        block = PORTS * RING
        for lane in range(self.cores + 1):
            rings["first"][PORTS * lane : PORTS * (lane + 1)] = lane * block + RING * np.arange(PORTS)
        at = (self.cores + 1) * block
        rings["first"][SURPLUS:HANDS] = at + RING * np.arange(HANDS - SURPLUS)
        at += RING * (HANDS - SURPLUS)
        for number, (giver, taker) in enumerate(itertools.permutations(self.lanes, 2)):
            rings["first"][HANDS + LANES * giver + taker] = at + RING * number
        rings["room"] = RING
        self.recorded = at + RING * self.hands  # where the lists of recorded frames begin

    def _set_up_lane(self, lane):
        here = self.arena.array("lane", lane)
        here["number"], here["seed"] = lane, 88172645463325252 + lane
        self.arena.array("emc", lane)["flow"] = NULL
        self.arena.array("acts", lane, "head")["free"] = NULL
        self.arena.array("gro", lane, "items")["first"] = NULL
        self._set_up_megaflows(lane)
        flows = self.arena.array("megaflows", lane, "flows")
        limit = int(self.arena.array("megaflows", lane, "head")["limit"][0])
        flows["next"][:limit] = np.arange(1, limit + 1)
        flows["next"][limit - 1] = NULL
        thread = self.threads[lane]
        thread["worlds"], thread["stride"] = self.worlds[lane].address(), self.worlds[lane].stride
        thread["pause_at"] = thread.ctypes.data + thread_t.offsets["pause_s"]

    def _set_up_megaflows(self, lane):
        head, slots = self.arena.array("megaflows", lane, "head"), self.arena.array("megaflows", lane, "slots")
        slots["flow"] = NULL
        head["slot_mask"] = len(slots) - 1
        head["limit"] = len(self.arena.array("megaflows", lane, "flows")) - BURST
        head["free"] = 0

    # --- looking ----------------------------------------------------------------------------

    def array(self, name, lane=None, part=""):
        """A region as a NumPy structured array."""
        return self.arena.array(name, lane, part)

    def counts(self, number):
        """What a place has seen, over all cores."""
        rows = [self.arena.array("counters", lane)[number] for lane in self.lanes]
        spent = [self.spent[lane][number] for lane in self.lanes]
        packets = sum(int(s["packets"]) for s in spent)
        cycles = sum(int(s["total"]) for s in spent) / packets if packets else 0.0
        calls, packets_in, packets_out, drops = (
            sum(int(row[key]) for row in rows) for key in ("calls", "packets_in", "packets_out", "drops")
        )
        return Counts(calls, packets_in, packets_out, drops, cycles)

    def reason_counts(self):
        """How often each reason was given, over all lanes."""
        return sum(self.arena.array("reasons", lane)["count"] for lane in range(self.cores + 1))

    def check_stage(self, stage):
        """Refuse a stage that names a region which is not there."""
        unknown = [name for name in stage.touches if name not in self.regions]
        if unknown:
            raise ValueError(f"stage {stage.name}: parameter {unknown[0]!r} names no region; the regions are {', '.join(self.regions)}")

    # --- calling ----------------------------------------------------------------------------

    def tables(self, names, lane, output=None):
        """The regions of these names, for the interpreted tempo."""
        return [self.worlds[lane].table(name, output) for name in names]

    def interpret(self, stage, lane, output=None):
        """Run a stage as plain Python on a lane's regions."""
        return stage.function(*self.tables(stage.parameters, lane, output))

    def perform(self, stage, lane=0, many=False):
        """Run a stage that control calls, on a lane that stands still: machine code if there is any (`many`: made now), else plainly."""
        if stage not in self._made and not self._find_code(stage, many):
            return self.interpret(stage, lane)
        if self._made[stage](self.worlds[lane].address()):
            raise RuntimeError(f"{stage.name} failed: this is a mistake in the switch; sw.fork() keeps what it was")
        return None

    def _find_code(self, stage, many):
        """Whether there is machine code to perform a stage with; it was looked for once, until the pipeline has made some."""
        if (stage, self.pipeline.loaded) in self._without and not many:
            return False
        needed = [stage, translation] if "mind" in stage.parameters and self.code["address"][TRANSLATION] == 0 else [stage]
        found = objects.compile_all(needed) if many else {one: objects.ready(one) for one in needed}
        if None in found.values():
            self._without.add((stage, self.pipeline.loaded))
            return False
        if translation in found:
            self.code["address"][TRANSLATION] = found[translation].address
        self._made[stage] = CALLED(found[stage].address)
        if many:
            self._without.clear()
        return True

    def decide_anew(self, lane):
        """Ask the rules again for those packets in hand that they had decided on."""
        burst, mbufs = self.worlds[lane].table("bursts")[0], self.array("mbufs")
        waiting = [burst.miss[q] for q in range(burst.misses)]
        decided = [k for k in range(burst.first, burst.n) if mbufs["flow"][burst.pkt[k]] != NULL]
        if decided:
            write_misses(burst, decided)
            self.interpret(self.pipeline.places[self.pipeline.number("upcall")].original, lane)
            write_misses(burst, waiting)

    def lend(self, lane):
        """Give a lane that stands and runs out of free mbufs some of control's, which take back what is sent."""
        mine, theirs = self.array("pool", 0, "head"), self.array("pool", lane, "head")
        n, at = int(mine["n"][0]), int(theirs["n"][0])
        more = min(LENT - at, n)
        if at < LENT // 2 and more > 0:
            self.array("pool", lane, "free")[at : at + more] = self.array("pool", 0, "free")[n - more : n]
            mine["n"], theirs["n"] = n - more, at + more

    def conductor(self, lane):
        """What the conductor reads and writes on a lane: (way, tally, wreck)."""
        return tuple(kind(*self.tables(kind._fields, lane)) for kind in (Way, Tally, Wreck))

    # --- time -------------------------------------------------------------------------------

    def set_clock(self, microseconds):
        """Put every lane's clock to a moment and let it stand there."""
        config = self.arena.array("config")
        config["clock_base"] = microseconds
        for lane in range(self.cores + 1):
            self.arena.array("lane", lane)["now"] = microseconds

    @property
    def now(self):
        """The engine's clock in microseconds: the latest that a lane has seen."""
        return max(int(self.arena.array("lane", lane)["now"][0]) for lane in range(self.cores + 1))


def write_misses(burst, places):
    """Name the places of a burst that nothing has resolved."""
    burst.misses = len(places)
    for q, k in enumerate(places):
        burst.miss[q] = k


_rate = []


def cycles_per_us():
    """How many times the processor's counter ticks in a microsecond, measured once."""
    if not _rate:
        _rate.append(_measure_rate())
    return _rate[0]


def _measure_rate():
    """Compare the counter with the clock for a moment, three times, and take the middle."""
    read_counter()  # its first call compiles it
    rates = []
    for _ in range(3):
        began, first = time.perf_counter_ns(), read_counter()
        time.sleep(0.003)
        ended, last = time.perf_counter_ns(), read_counter()
        rates.append((last - first) * 1000 / (ended - began))
    return max(1, round(sorted(rates)[1]))
