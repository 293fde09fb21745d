"""The engine's bars: cycles a packet of the whole way, tracing, start-up, stepping, memory, failing stages, live swaps.

`lab bench core` runs it alone on a quiet machine; `bench/README.md` says what each measure means and keeps the figures.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.forwarding import by_stage, cycles_a_packet, frame, generator, window
from lab import Switch
from lab.engine.code import objects
from lab.stages.stage import Stage

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 101  # of windows, with and without tracing compiled in


def row(name, figure, unit, bar=None, met=None, **rest):
    """One measure; without a word of its own it is met when it does not exceed its bar."""
    if met is None and bar is not None:
        met = figure <= bar
    return {"name": name, "figure": figure, "unit": unit, "peer": None, "peer_figure": None, "ratio": None, "bar": bar, "met": met, **rest}


def measure():
    """Every bar of the foundation."""
    yield from forwarding()
    yield tracing()
    yield from start_up()
    yield from stepping()
    yield resident()
    yield from failing()
    yield swapping()
    from bench import clicks

    yield from clicks.measure()


def forwarding():
    """The whole way, a replaying port to a sink, 60-byte frames of 256 flows, keys of 32 words."""
    for name, bar, chance, options in (
        ("EMC hit, 256 buffers", 80, 1, {}),
        ("EMC hit, 16384 buffers", None, 1, {"frames": 16384, "size": "large"}),
        ("EMC off, 1 megaflow subtable", 110, 0, {}),
        ("EMC off, 8 megaflow subtables", 200, 0, {"subtables": 8}),
    ):
        sw = generator(**options)
        sw.set_option("emc-insert-inv-prob", chance)
        figure = cycles_a_packet(sw)
        yield row(name, round(figure, 1), "cycles/packet", bar, stages=by_stage(sw))
        sw.close()


def tracing():
    """What tracing costs when it is compiled in and off: on one running switch, its stages swapped for ones without it and back."""
    sw = generator()
    sw.set_option("emc-insert-inv-prob", 1)
    pipeline = sw.engine.pipeline
    kinds = [{place.number: Stage(place.original.function, traced=traced) for place in pipeline.places} for traced in (True, False)]
    codes = [objects.compile_all(stages.values()) for stages in kinds]
    sw.start(spin=True)
    time.sleep(0.2)
    differences = []
    for _ in range(PAIRS):
        pair = []
        for stages, code in zip(kinds, codes, strict=True):
            for number, stage in stages.items():
                pipeline.publish(number, stage, code[stage].address)
            time.sleep(0.002)
            pair.append(window(sw, 0.015))
        differences.append(pair[0] - pair[1])
    sw.stop()
    sw.close()
    return row("tracing compiled in, off", round(statistics.median(differences), 1), "cycles/packet", 2)


def _seconds(code, **environment):
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, **environment}, capture_output=True)
    return time.perf_counter() - began


def _of(code, runs=5):
    return round(statistics.median(_seconds(code) for _ in range(runs)), 2)


FIRST = """
from lab import Switch
sw = Switch("br0"); vm1 = sw.add_port("vm1"); vm2 = sw.add_port("vm2")
sw.ofctl("add-flow actions=output:vm2"); vm1.inject(bytes(60)); sw.run()
assert len(vm2.sent) == 1
"""


def start_up():
    """From nothing to a forwarded packet, each in a fresh process."""
    objects.warm()
    yield row("import lab", _of("import lab; lab.Switch"), "s", 1)
    yield row("first packet, warm cache", _of(FIRST), "s", 2)
    with tempfile.TemporaryDirectory() as folder:
        cold = _seconds("from lab.engine.code.objects import warm; warm()", GLASSWITCH_CACHE=folder)
    yield row("all stages compiled cold", round(cold, 1), "s", 40)


def _small_switch(cores=1):
    sw = Switch("bench", cores=cores, fail_mode="secure")
    ports = sw.add_port("gen"), sw.add_port("out", offloads=())
    sw.ofctl("add-flow priority=10,tcp,actions=mod_vlan_vid:7,output:out")
    return sw, *ports


def stepping():
    """Steps with their differences, and rewinds, on the largest arena of the small size: 4 cores, 56 MB."""
    sw, gen, _ = _small_switch(cores=4)
    for name, n, bar in (("one step of one packet", 1, 10), ("one step of a burst of 32", 32, 25)):
        forward, back = [], []
        for turn in range(8):
            gen.inject([frame(n * turn + i) for i in range(n)])
            while True:
                began = time.perf_counter()
                if sw.step() is None:
                    break
                forward.append(time.perf_counter() - began)
            for _ in range(3):
                began = time.perf_counter()
                sw.back()
                back.append(time.perf_counter() - began)
            while sw.step():
                pass
        yield row(f"{name}, the slowest stage", round(_slowest(forward, 8) * 1000, 1), "ms", bar)
    yield row("one rewind", round(max(back) * 1000, 2), "ms", 5)
    sw.close()


def _slowest(times, turns):
    """The median over the turns of each turn's slowest step."""
    size = len(times) // turns
    return statistics.median(max(times[at : at + size]) for at in range(0, size * turns, size))


RESIDENT = (
    FIRST
    + """
import re
print(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""
)


def resident():
    """Resident memory of a fresh switch that has run one packet through warm machine code, without Jupyter."""
    said = subprocess.run([sys.executable, "-c", RESIDENT], check=True, cwd=ROOT, capture_output=True, text=True).stdout
    return row("resident memory, fresh Switch()", round(int(said) / 1024), "MB", 250)


def loops(bursts, mbufs):
    """A stage that never ends."""
    i = 0
    while bursts[0].n > 0:
        i = (i + 1) & 7
        mbufs[bursts[0].pkt[0]].mark = i


def faults(bursts, mbufs):
    """A stage that writes far outside."""
    for k in range(bursts[0].n):
        mbufs[1 << 36].mark = k


def failing():
    """How long it takes until a stage that loops or faults on a PMD is ended and named, while another PMD goes on."""
    for bad in (loops, faults):
        sw = Switch("bench", cores=2, fail_mode="secure")
        ports = [sw.add_port(name) for name in ("a", "b", "c", "d")]
        sw.ofctl("add-flow in_port=1,actions=output:3")
        sw.ofctl("add-flow in_port=2,actions=output:4")
        ports[0].ingress.append(Stage(bad, checked=False))
        sw.start()
        began = time.perf_counter()
        ports[0].inject(frame(1))
        while not sw.cores.failures and time.perf_counter() - began < 5:
            ports[1].inject(frame(2))
            time.sleep(0.002)
        took = time.perf_counter() - began
        before = len(ports[3].sent)
        ports[1].inject(frame(2))
        time.sleep(0.1)
        goes_on = len(ports[3].sent) == before + 1 and sw.cores.failures and sw.cores.failures[0].stage == bad.__name__
        sw.stop()
        sw.mempool.check()
        sw.close()
        yield row(f"a stage that {bad.__name__}, until named", round(took, 2), "s", 1, bool(goes_on and took <= 1))


def swapping():
    """Packets lost while a stage is swapped a hundred times on live traffic."""
    sw = generator()
    other = Stage(sw.stages["parse"].original.function, traced=False)
    objects.compile_all([other])
    sw.start(spin=True)
    for turn in range(100):
        sw.stages["parse"].swap(other if turn % 2 else None)
        time.sleep(0.005)
    sw.stop()
    while _in_hand(sw):
        sw.walk.step(compiled=True)
    lost = sw.ports["gen"].rx_packets - sw.ports["out"].tx_packets
    sw.close()
    return row("lost in 100 swaps on live traffic", lost, "packets", 0)


def _in_hand(sw):
    """Whether a burst that the core had in hand when it stopped is not through yet."""
    return any(sw.engine.array("bursts", lane)["n"][0] or sw.engine.array("lane", lane)["pending"][0] for lane in sw.engine.lanes)
