"""From a click on STEP or BACK to the picture that answers it, in a real Chromium on JupyterLab as `make lab` starts it.

The stepper itself measures: from the click's event to the moment when the new picture has been painted. Every round begins
with a new stepper that nobody has clicked, so that each has a cold click among its clicks; the rounds are taken idle, while
a cell sleeps and while a cell computes, in our kernel and in a plain one.
"""
import math
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

ROUNDS = 5
CLICKS = ("step", "step", "back", "step", "step", "back", "step", "step", "back", "step")
CELLS = (
    """%load_ext lab
from scapy.all import IP, TCP, Ether
sw.add_port("vm1"), sw.add_port("vm2")
sw.ofctl("add-flow priority=10,tcp actions=mod_vlan_vid:7,output:vm2")""",
    """sw.ports["vm1"].inject(Ether() / IP(dst="10.0.0.2") / TCP(dport=80) / "hello, switch")
sw.stepper()""",
    "import time\ntime.sleep(60)",
    "import time\nend = time.time() + 60\nwhile time.time() < end: sum(range(1000))",
)
BUSY = {"idle": None, "a cell sleeps": 2, "a cell computes": 3}
BARS = {"idle": 80, "a cell sleeps": 120, "a cell computes": 120}


def measure():
    """The 95th percentile for each kernel and each state of its cells."""
    import browse
    if browse.CHROMIUM is None:
        raise FileNotFoundError("no chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, browse.Laboratory(folder) as laboratory, browse.chromium() as browser:
        for kernel in ("glasswitch", "python3"):
            tab = browser.new_context(viewport={"width": 1440, "height": 1060}).new_page()
            book = browse.Book(tab, laboratory, laboratory.write(f"clicks-{kernel}.ipynb", CELLS, kernel)).open()
            book.run(0)
            for state, cell in BUSY.items():
                rounds = [_round(book, cell) for _ in range(ROUNDS)]
                yield _row(f"click to picture, {state}, {kernel}", rounds, BARS[state])
            tab.close()


def _round(book, busy):
    """Milliseconds of the clicks on a new stepper; the first of them is the cold one."""
    book.run(1)
    if busy is not None:
        book.start(busy)
    times = []
    for what in CLICKS:
        times.append(book.answered(what))
        book.tab.wait_for_timeout(120)
    if busy is not None:
        if not book.running(busy):
            raise RuntimeError("the cell ended before the clicks did")
        book.laboratory.interrupt(book.name)
        book.wait(busy)
    return times


def _row(name, rounds, bar):
    times = sorted(time for each in rounds for time in each)
    figure = times[math.ceil(0.95 * len(times)) - 1]
    return {
        "name": name, "figure": round(figure, 1), "unit": "ms, 95th", "peer": None, "peer_figure": None, "ratio": None, "bar": bar,
        "met": figure <= bar, "median": round(statistics.median(times), 1), "cold": [round(each[0], 1) for each in rounds],
        "clicks": len(times)}
