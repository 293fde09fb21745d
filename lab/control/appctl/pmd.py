"""`dpif-netdev/pmd-...`: what each core has done, in the words of ovs-appctl, from the counters and cycles of its lane.

`pmd-stats-clear` remembers what was counted so far and shows the rest from then on: a core's counters are its own to write.
Cycles are counted for one burst in eight; the others are taken to cost as much.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from lab.control.appctl.commands import appctl
from lab.control.appctl.dpctl import MISSES, core_of
from lab.memory.reasons import EMC_HIT, MEGAFLOW_FOUND, MEGAFLOW_HIT, RECEIVED, RECIRCULATED, SENT, SMC_HIT

_cleared: WeakKeyDictionary = WeakKeyDictionary()  # engine: {lane: the Seen at the last clear}
UPCALL = "upcall"
ARRAYS = ("reasons", "calls", "packets", "cycles", "measured")


@dataclass
class Seen:
    """What a core has counted."""

    reasons: np.ndarray
    calls: np.ndarray
    packets: np.ndarray
    cycles: np.ndarray  # of the bursts that had them counted
    measured: np.ndarray  # packets of those bursts
    rounds: int
    now: int

    @classmethod
    def of(cls, engine, lane):
        """A core's counters as they are."""
        counters, spent = engine.array("counters", lane), engine.spent[lane]
        arrays = {"reasons": engine.array("reasons", lane)["count"], "calls": counters["calls"], "packets": counters["packets_in"],
                  "cycles": spent["total"], "measured": spent["packets"]}
        rounds = int(engine.threads[lane]["rounds"][0])
        return cls(**{name: np.array(array, np.int64) for name, array in arrays.items()}, rounds=rounds, now=engine.now)

    def since(self, other):
        """What was counted since another moment; what was stepped back over counts for nothing."""
        if other is None:
            return self
        rows = {name: np.maximum(getattr(self, name) - getattr(other, name), 0) for name in ARRAYS}
        return Seen(**rows, rounds=max(0, self.rounds - other.rounds), now=max(0, self.now - other.now))

    def count(self, *reasons):
        """How often reasons were given."""
        return int(self.reasons[list(reasons)].sum())

    def cost(self, number):
        """Cycles of a stage, those of unmeasured bursts estimated."""
        return int(self.cycles[number] * max(self.packets[number], self.measured[number]) / max(1, self.measured[number]))

    @property
    def total(self):
        """Cycles of all stages."""
        return sum(self.cost(number) for number in range(len(self.cycles)))


def shown(call):
    """(core, what it has counted since the last clear) of the cores that are asked for."""
    call.at_most(0)
    chosen = call.options.get("-pmd")
    lanes = call.sw.engine.lanes if chosen is None else [core_of(call, chosen)]
    before = _cleared.get(call.sw.engine, {})
    return [(lane, Seen.of(call.sw.engine, lane).since(before.get(lane))) for lane in lanes]


def head(lane):
    """The line above what a core says."""
    return f"pmd thread numa_id 0 core_id {lane}:"


@appctl.command("dpif-netdev/pmd-stats-clear", "[-pmd CORE]")
def pmd_stats_clear(call):
    """Count from nothing again."""
    cleared = _cleared.setdefault(call.sw.engine, {})
    for lane, _ in shown(call):
        cleared[lane] = Seen.of(call.sw.engine, lane)


@appctl.command("dpif-netdev/pmd-stats-show", "[-pmd CORE]")
def pmd_stats_show(call):
    """Print what each core has received and looked up, where it was found, and what it cost."""
    lines = []
    for lane, seen in shown(call):
        packets, again = seen.count(RECEIVED), seen.count(RECIRCULATED)
        rows = {
            "packets received": packets,
            "packet recirculations": again,
            "avg. datapath passes per packet": f"{(packets + again) / packets if packets else 0:.2f}",
            "emc hits": seen.count(EMC_HIT),
            "smc hits": seen.count(SMC_HIT),
            "megaflow hits": seen.count(MEGAFLOW_HIT, MEGAFLOW_FOUND),
            "miss with success upcall": seen.count(*MISSES),
            "miss with failed upcall": 0,
            "avg. packets per output batch": f"{seen.count(SENT) / (batches(call.sw, seen) or 1):.2f}",
        }
        if packets and seen.total:
            rows["avg processing cycles per packet"] = f"{seen.total / packets:.2f} ({seen.total}/{packets})"
        lines += [head(lane), *(f"  {name}: {value}" for name, value in rows.items())]
    return "\n".join(lines)


def batches(sw, seen):
    """How many batches were sent."""
    return sum(int(seen.calls[place.number]) for place in sw.engine.pipeline.places if place.original.name in ("transmit", "sink"))


@appctl.command("dpif-netdev/pmd-perf-show", "[-pmd CORE]")
def pmd_perf_show(call):
    """Print how each core has spent its time."""
    sw, lines = call.sw, []
    chosen = shown(call)
    rate = int(sw.engine.array("config")["cycles_per_us"][0])
    since = max((seen.now for _, seen in chosen), default=0) / 1e6
    for lane, seen in chosen:
        packets, sent, sends = seen.count(RECEIVED), seen.count(SENT), batches(sw, seen)
        passes = packets + seen.count(RECIRCULATED)
        upcalls = seen.count(*MISSES)
        cost = seen.cost(sw.stages[UPCALL].number) / rate / upcalls if upcalls else 0.0

        def share(n, of=passes):
            return f"({100 * n / of if of else 0:5.1f} %"

        found = seen.count(MEGAFLOW_HIT, MEGAFLOW_FOUND)
        lines += [
            "", head(lane), "",
            f"  Iterations:        {seen.rounds:12}",
            f"  - Used TSC cycles: {seen.total:12}",
            f"  Rx packets:        {packets:12}  ({kilo(packets, since)} Kpps, {seen.total / packets if packets else 0:.0f} cycles/pkt)",
            f"  Datapath passes:   {passes:12}  ({passes / packets if packets else 0:.2f} passes/pkt)",
            f"  - EMC hits:        {seen.count(EMC_HIT):12}  {share(seen.count(EMC_HIT))})",
            f"  - SMC hits:        {seen.count(SMC_HIT):12}  {share(seen.count(SMC_HIT))})",
            f"  - Megaflow hits:   {found:12}  {share(found)})",
            f"  - Upcalls:         {upcalls:12}  {share(upcalls)}, {cost:.1f} us/upcall)",
            f"  - Lost upcalls:    {0:12}  {share(0)})",
            f"  Tx packets:        {sent:12}  ({kilo(sent, since)} Kpps)",
            f"  Tx batches:        {sends:12}  ({sent / sends if sends else 0:.2f} pkts/batch)",
        ]  # fmt: skip
    return "\n".join([f"Measurement duration: {since:.3f} s", *lines])


def kilo(n, seconds):
    """Thousands a second of the engine's time, which stands while the switch does."""
    return f"{n / seconds / 1000:.0f}" if seconds else "0"


@appctl.command("dpif-netdev/pmd-rxq-show", "[-pmd CORE]")
def pmd_rxq_show(call):
    """Print which core serves the queue of which port."""
    lines = []
    for lane, _ in shown(call):
        lines += [head(lane), "  isolated : false"]
        ports = next(pmd.ports for pmd in call.sw.pmds if pmd.lane == lane)
        lines += [f"  port: {call.sw.ports[number].name:<16}  queue-id:  0 (enabled)" for number in ports]
    return "\n".join(lines)


