"""What a port without offloads costs a small packet since chains are compiled in: beside the commit before, in pairs.

Two child processes forward the same 60-byte frames with an EMC hit, each with the package of its own tree: this one, and
the one of the commit, taken from git's history. They take turns, a short while each; the figure is the median of the
differences. Time is that of the core's thread on its processor, so that others' work on the machine counts less. The output
port lacks all offloads, so here the stages gso, checksum and linear stand on its egress arc.
"""

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from lab.engine.core import cycles_per_us

BEFORE = "9058d94"  # the commit before chains, GSO and GRO
ROOT = Path(__file__).resolve().parents[1]
STARTS, PAIRS, WINDOW = 9, 15, 0.02  # processes started anew, since where their memory lies counts; pairs of each; seconds
SERVE = """
import sys, time
from bench.forwarding import generator
import lab

def look():
    while True:
        first, spent, last = int(sent[out]), time.clock_gettime(clock), int(sent[out])
        if last - first < 500:
            return spent, (first + last) / 2

if not lab.__file__.startswith(sys.argv[1]):
    raise SystemExit(f"the package came from {lab.__file__}, not from {sys.argv[1]}")
sw = generator()
sw.set_option("emc-insert-inv-prob", 1)
sw.ports["out"].offloads.clear()
sent, out = sw.engine.array("port_stats", 1)["tx_packets"], sw.ports["out"].number
for line in sys.stdin:
    before = int(sent[out])
    sw.start(spin=True)
    while int(sent[out]) < before + 100_000:
        time.sleep(0.001)
    clock = ~int(sw.engine.threads[1]["tid"][0]) << 3 | 6  # of the processor time of that thread: pthread_getcpuclockid(3)
    began, first = ended, last = look()
    while last < first + 100_000:  # on a busy machine the thread may not have had its turn
        time.sleep(float(line))
        ended, last = look()
    sw.stop()
    print((ended - began) / (last - first), flush=True)
sw.close()
"""


def unpack(folder):
    """The tree of the commit before, in a folder; why not, or nothing."""
    try:
        words = ["git", "-C", str(ROOT), "archive", BEFORE, "lab", "bench"]
        done = subprocess.run(words, capture_output=True)
    except FileNotFoundError:
        return "git is not there"
    if done.returncode:
        return f"commit {BEFORE} is not in this checkout's history"
    with tarfile.open(fileobj=BytesIO(done.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return ""


class Forwarder:
    """A child process that forwards with the package of a tree, when asked."""

    def __init__(self, tree):
        where = {**os.environ, "PYTHONPATH": str(tree)}
        words = [sys.executable, "-c", SERVE, str(tree)]
        self._process = subprocess.Popen(words, cwd=tree, env=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def cycles(self, seconds):
        """Cycles a packet over a short while."""
        print(seconds, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that forwards ended: what it said stands above")
        return float(line) * 1e6 * cycles_per_us()

    def close(self):
        """End it."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def differences(tree, pairs, seconds):
    """[(before, now)] of one start of both, in turn, the first of a pair changing."""
    both = Forwarder(tree), Forwarder(ROOT)
    try:
        for one in both:
            one.cycles(seconds)  # caches, and machine code where there was none
        found = []
        for n in range(pairs):
            then = both if n % 2 else both[::-1]
            pair = {one: one.cycles(seconds) for one in then}
            found.append((pair[both[0]], pair[both[1]]))
        return found
    finally:
        for one in both:
            one.close()


def cost(starts=STARTS, pairs=PAIRS, seconds=WINDOW):
    """(median difference, median before, median now), or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        if reason := unpack(folder):
            return reason
        found = [pair for _ in range(starts) for pair in differences(folder, pairs, seconds)]
    before, now = zip(*found, strict=True)
    return statistics.median(b - a for a, b in found), statistics.median(before), statistics.median(now)
