"""The cores at work: PMD threads started, watched, stopped.

A watcher looks every few milliseconds: it collects what simulated ports have sent, lends mbufs, and sees to PMDs that died
in a stage or make no progress in one. Such a stage is named, its burst dropped with a reason and its mbufs returned; a
stage that somebody swapped in gives its place back to the original, and the PMD goes on.
"""

import threading
import time
from dataclasses import dataclass

from lab.engine.code.counter import read_counter
from lab.engine.pmd import BROKEN
from lab.engine.threads import KILL, BareThread
from lab.engine.wreck import give_up
from lab.live import Live
from lab.memory.reasons import STAGE_FAULTED, STAGE_LOOPED
from lab.stages.regions import RING, SUPPLY, SURPLUS

LOOK = 0.005  # seconds between two looks of the watcher
STUCK = 0.4  # seconds without progress inside one stage, processor time spent, that make it a loop
PATIENCE = 1.0  # seconds that PMDs have to end when they are told to
LENT = 256  # mbufs that the supply ring of a core is kept filled with


@dataclass(frozen=True, slots=True)
class Failure:
    """A stage that a PMD died in."""

    core: int
    stage: str
    why: str
    lost: int
    cure: str

    def __str__(self):
        return f"core {self.core}: stage {self.stage} {self.why}; {self.lost} packets dropped. {self.cure}"


class Pmd(Live):
    """One core's thread, as a live object."""

    def __init__(self, cores, lane):
        self._cores, self.lane = cores, lane

    @property
    def running(self):
        """Whether the thread runs now."""
        thread = self._cores.threads.get(self.lane)
        return thread is not None and thread.alive

    @property
    def ports(self):
        """The numbers of the ports whose queues this core serves."""
        queues = self._cores.engine.array("queues", self.lane)[0]
        return [int(p) for p in queues["port"][: int(queues["n"])]]

    @property
    def cycles(self):
        """Cycles spent in each stage: {name: cycles}."""
        spent, places = self._cores.engine.spent[self.lane], self._cores.engine.pipeline.places
        return {place.name: int(spent["total"][place.number]) for place in places if spent["calls"][place.number]}

    def __repr__(self):
        state = "running" if self.running else "stopped"
        return f"<PMD {self.lane}: {state}, ports {self.ports}, {sum(self.cycles.values())} cycles in stages>"

    def facts(self):
        """What the interface draws."""
        spent = self._cores.engine.spent[self.lane]
        rows = [
            [
                p.name,
                int(spent["calls"][p.number]),
                int(spent["packets"][p.number]),
                round(float(spent["total"][p.number]) / max(1, int(spent["packets"][p.number])), 1),
            ]
            for p in self._cores.engine.pipeline.places
            if spent["calls"][p.number]
        ]
        return {"title": repr(self)[1:-1], "columns": ["stage", "calls", "packets", "cycles a packet"], "rows": rows, "note": ""}


class Cores:
    """The PMD threads of one switch."""

    def __init__(self, engine, lock, collect):
        self.engine, self.lock, self.collect = engine, lock, collect
        self.threads, self.failures = {}, []
        self.watcher, self.ending = None, threading.Event()
        self.held = False  # whether a person has stopped the clock
        self._seen: dict = {}
        self._swapped: dict = {}  # place -> (stage that failed there, when): other cores may be in it still
        self._raised: dict = {}  # packets that raising stages have cost each core, as far as noted

    @property
    def running(self):
        """Whether the switch is started."""
        return self.watcher is not None

    def start(self, spin=False, progress=None):
        """Start a PMD on every core."""
        if self.running:
            return
        engine = self.engine
        engine.pipeline.load(progress)
        engine.array("config")["spin"] = int(spin)
        self.start_clock()
        self.trade()
        for lane in engine.lanes:
            self.launch(lane)
        self.ending.clear()
        self.watcher = threading.Thread(target=self._watch, name="glasswitch-watcher", daemon=True)
        self.watcher.start()

    def launch(self, lane):
        """Start the thread of one core."""
        record = self.engine.threads[lane]
        self.engine.array("trace", lane)["on"][0] = 0
        for field in ("lost", "stop", "beat", "at", "ended", "pause_ns", "idle"):
            record[field] = 0
        self._seen[lane], self._raised[lane] = (0, time.monotonic(), 0.0), 0
        self.threads[lane] = BareThread(record, self.engine.pipeline.loops["pmd"], self.engine.worlds[lane].address())

    def start_clock(self):
        """Let the engine's time follow real time, unless somebody holds it."""
        config = self.engine.array("config")
        config["clock_base"], config["clock_from"], config["clock_stopped"] = self.engine.now, read_counter(), int(self.held)

    def stop(self):
        """Stop every PMD between two stages; always returns."""
        if not self.running:
            return
        self.ending.set()
        self.watcher.join()  # it starts PMDs anew, so it goes first
        for lane in self.threads:
            self.engine.threads[lane]["stop"] = 1
        until = time.monotonic() + PATIENCE
        for lane, thread in self.threads.items():
            if not thread.join(max(0.0, until - time.monotonic())):
                thread.kill()
            self._note_raised(lane, self.engine.threads[lane])
            if int(self.engine.threads[lane]["ended"][0]):
                self._bury(lane)
        self.watcher = None
        self.threads.clear()
        now = self.engine.now
        self.engine.array("config")["clock_stopped"] = 1
        self.engine.set_clock(now)
        self._guarded(0, self.collect)

    def wait_for(self, epoch, seconds=5.0):
        """Wait until every running core has seen a change; one that is stuck in a stage is seen to meanwhile."""
        until = time.monotonic() + seconds
        while late := self._behind(epoch):
            for lane in late:
                self._look_at(lane)
            if time.monotonic() > until:
                raise RuntimeError(f"core {late[0]} has not answered for {seconds:.0f} s: sw.stop() ends it")
            time.sleep(0.0005)

    def _behind(self, epoch):
        """The running cores that have not seen a change yet."""
        return [lane for lane, thread in self.threads.items() if thread.alive and not self._has_seen(lane, epoch)]

    def _has_seen(self, lane, epoch):
        """Whether a core has seen a change and held all its megaflows against it: nothing of before is used or credited any more."""
        here = self.engine.array("lane", lane)[0]
        return int(here["epoch"]) == epoch and (int(here["cursor"]) < 0 or bool(here["only_watching"]))

    # --- watching ----------------------------------------------------------------------------

    def _watch(self):
        while not self.ending.wait(LOOK):
            if not self.lock.acquire(timeout=0.05):
                continue
            try:
                self._guarded(0, self.collect)
                self.trade()
                for lane in list(self.threads):
                    self._guarded(lane, self._look_at, lane)
            finally:
                self.lock.release()

    def _guarded(self, lane, do, *arguments):
        """Do one of the watcher's duties; what goes wrong in it (a disk that is full, say) is noted and ends nothing."""
        try:
            do(*arguments)
        except Exception as error:
            failure = Failure(lane, "watcher", f"{type(error).__name__}: {error}", 0, "The cores go on.")
            if failure not in self.failures:
                self.failures.append(failure)

    def _look_at(self, lane):
        thread, record = self.threads[lane], self.engine.threads[lane]
        if int(record["ended"][0]):
            thread.join(1.0)
            self._mourn(lane)
            return
        if not thread.alive:
            return
        self._note_raised(lane, record)
        beat, since, used = self._seen[lane]
        now = int(record["beat"][0])
        if now != beat:
            self._seen[lane] = (now, time.monotonic(), 0.0)
        elif not used:
            self._seen[lane] = (beat, since, thread.seconds())
        elif time.monotonic() - since > STUCK and thread.seconds() - used > STUCK / 2:
            thread.kill()
            self._mourn(lane)

    def _note_raised(self, lane, record):
        """A stage that raises costs its burst and no thread: name it once, and count on."""
        lost = int(record["lost"][0])
        if lost == self._raised.get(lane, 0):
            return
        name = self.engine.pipeline.places[int(record["failed_at"][0])].stage.name
        self._raised[lane] = lost
        why = "left a burst that cannot be" if int(record["result"][0]) == BROKEN else "raised"
        self.failures = [f for f in self.failures if (f.core, f.stage, f.why) != (lane, name, why)]
        self.failures.append(Failure(lane, name, why, lost, "sw.stop(), then sw.step(into=True) shows the line."))

    def _mourn(self, lane):
        """A PMD died in a stage: say which, clean up behind it, go on with the original stage, or without one that was on an arc."""
        place, why = self._bury(lane)
        name, lost = place.stage.name, self.failures[-1].lost
        failed, when = self._swapped.get(place.number, ("", 0.0))
        if place.stage is not place.original:
            self._swapped[place.number] = name, time.monotonic()
            place.swap(None)
            cure = f"The original {place.name} stands in its place again."
        elif self._seen[lane][1] < when + STUCK / 2:  # this core had gone into it before
            name, cure = failed, f"The original {place.name} stands in its place already."
        elif self.engine.pipeline.take_off(place):
            self._swapped[place.number] = name, time.monotonic()
            cure = f"It was taken off its arc; sw.stages[{place.name!r}].source shows it."
        else:
            return
        self.failures[-1] = Failure(lane, name, why, lost, cure)
        self.launch(lane)

    def _bury(self, lane):
        record = self.engine.threads[lane]
        place = self.engine.pipeline.places[int(record["at"][0])]
        signal = int(record["ended"][0])
        reason = STAGE_LOOPED if signal == int(KILL) else STAGE_FAULTED
        lost = give_up(self.engine.conductor(lane)[2], place.number, reason, 0)
        record["ended"] = 0
        words = "never ended" if reason == STAGE_LOOPED else f"touched memory that is not mapped (signal {signal})"
        self.failures.append(Failure(lane, place.stage.name, words, lost, "The core stands still: sw.stop(), then sw.start()."))
        return place, words

    # --- mbufs -------------------------------------------------------------------------------

    def trade(self):
        """Take what cores gave back and keep their supply filled, from control's own pool."""
        rings, slots = self.engine.array("rings", None, "ring"), self.engine.array("rings", None, "slots")
        head, free = self.engine.array("pool", 0, "head")[0], self.engine.array("pool", 0, "free")
        for lane in self.engine.lanes:
            ring = rings[SURPLUS + lane]
            while int(ring["head"]) != int(ring["tail"]):
                i = slots["index"][int(ring["first"]) + (int(ring["head"]) & (RING - 1))]
                free["index"][int(head["n"])] = i
                head["n"] += 1
                ring["head"] += 1
            ring = rings[SUPPLY + lane]
            while int(ring["tail"]) - int(ring["head"]) < LENT and int(head["n"]) > LENT:
                head["n"] -= 1
                slots["index"][int(ring["first"]) + (int(ring["tail"]) & (RING - 1))] = free["index"][int(head["n"])]
                ring["tail"] += 1

    def refill(self, wanted):
        """Bring free mbufs of stopped cores to control's pool."""
        if self.running:
            self.trade()
            return
        self.recall()
        mine, mine_free = self.engine.array("pool", 0, "head")[0], self.engine.array("pool", 0, "free")
        for lane in self.engine.lanes:
            theirs, their_free = self.engine.array("pool", lane, "head")[0], self.engine.array("pool", lane, "free")
            while int(mine["n"]) < wanted and int(theirs["n"]) > 128:
                theirs["n"] -= 1
                mine_free["index"][int(mine["n"])] = their_free["index"][int(theirs["n"])]
                mine["n"] += 1

    def recall(self):
        """Empty the trading rings into control's pool; only while nothing runs."""
        rings, slots = self.engine.array("rings", None, "ring"), self.engine.array("rings", None, "slots")
        head, free = self.engine.array("pool", 0, "head")[0], self.engine.array("pool", 0, "free")
        for lane in self.engine.lanes:
            for number in (SURPLUS + lane, SUPPLY + lane):
                ring = rings[number]
                while int(ring["head"]) != int(ring["tail"]):
                    free["index"][int(head["n"])] = slots["index"][int(ring["first"]) + (int(ring["head"]) & (RING - 1))]
                    head["n"] += 1
                    ring["head"] += 1
