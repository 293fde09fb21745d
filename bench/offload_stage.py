"""A stage alone, timed: its machine code on prepared packets, put back as they were before each call.

An engine with one lane stands still while a compiled loop does what a core would: it calls the stage by its address, in the
world of the burst. Around each call it reads the time stamp counter, as the peer's program does around the library's. What a
call changes is found once, by comparing all memory, and written back from a copy between calls, outside the time.

    bench = Bench(offloads=CSUM | CHAINS)
    bench.load_large(frame, 32)
    bench.plan([Call(gso, output=True)])
    bench.cycles(400)   # the median of a call
"""

import ctypes
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.engine.code import objects
from lab.engine.core import Engine
from lab.engine.route import EGRESS, INGRESS
from lab.memory.mbuf import FILL, GSO, HEADROOM, L4_CSUM_PARTIAL, ROOM
from lab.memory.mempool import take
from lab.memory.raw import call, copy, cycles, fence, i64, load64, store64, sum16, u64
from lab.memory.record import NULL
from lab.offload.capabilities import GSO_TCPV4
from lab.stages.stage import Stage

LANE, IN, OUT = 1, 1, 2  # the lane, the port where packets came in and the one where they leave
HEADER, STEP, COPY = 3, 4, 3  # words of the plan: calls, steps, where results go; of a step; of a copy
ALL = (1 << 64) - 1
NEAR = 4  # words that did not change between two that did: copied with them


def drive(memory, mbufs, code):
    """Do what the plan says, that lies in the last mbuf's buffer: before each step copy, then call and time it."""
    plan = mbufs[len(mbufs) - 1].buf
    results = i64(load64(memory, plan + 16))
    for n in range(i64(load64(memory, plan))):
        spent = 0
        for s in range(i64(load64(memory, plan + 8))):
            step = plan + 8 * (HEADER + STEP * s)
            address = code[i64(load64(memory, step))].address
            world = load64(memory, step + 8)
            at = i64(load64(memory, step + 16))
            for _ in range(i64(load64(memory, step + 24))):
                copy(memory, i64(load64(memory, at)), i64(load64(memory, at + 8)), i64(load64(memory, at + 16)))
                at += 8 * COPY
            fence()
            began = cycles()
            call(address, world)
            spent += cycles() - began
        store64(memory, results + 8 * n, u64(spent))


def summing(bursts, mbufs, memory, lane):
    """Read what the packets of a burst carry, 1448 bytes each, and nothing else: what a checksum cannot do without."""
    burst = bursts[0]
    total = 0
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        total += sum16(memory, m.buf + m.data_off + 54, 1448)
    lane[0].spare = total


DRIVE, SUMMING = Stage(drive, checked=False), Stage(summing, checked=False)


@dataclass(frozen=True)
class Call:
    """One call of the plan: a stage, on which side, and what is changed (in memory, by a function of the bench) before it."""

    stage: Any
    output: bool = False
    before: Any = None


class Bench:
    """An engine, packets in the burst of its lane, and a plan of calls on them."""

    def __init__(self, *, offloads=0, gro=0):
        self.engine = Engine("small")
        self.arena = self.engine.arena
        ports = self.engine.array("ports")
        for n in (IN, OUT):
            ports[n]["kind"], ports[n]["up"], ports[n]["mtu"] = 1, 1, 1500
            ports[n]["offloads"], ports[n]["gro"] = int(offloads), gro
        self.bytes = np.frombuffer(self.arena.bytes, np.uint64)
        self.packets = []
        self._kept = []  # arrays that the plan refers to

    def table(self, name, *, output=False):
        """A region of the lane, as stages see it."""
        return self.engine.worlds[LANE].table(name, OUT if output else None)

    def load(self, frames):
        """Frames that have come in, each in one mbuf."""
        assert max(map(len, frames)) <= FILL
        self.packets = [self._put(frame) for frame in frames]
        self._begin(False)

    def load_large(self, frame, l4_len, size):
        """A large TCP packet, a chain that waits in a port's batch."""
        first = self._put(frame)
        m = self.table("mbufs")[first]
        m.l2_len, m.l3_len, m.l4_len = 14, 20, l4_len
        m.tso_segsz, m.gso_type = size, GSO_TCPV4
        m.gso_segs = -(-(len(frame) - 34 - l4_len) // size)
        m.csum_start, m.csum_offset = 34, 16
        m.ol_flags = GSO | L4_CSUM_PARTIAL
        self.packets = [first]
        self._begin(True)

    def repeat(self, times):
        """Let the burst be its first packet, so many times: only for stages that read."""
        self.packets = self.packets[:1] * times
        self._begin(False)

    def _begin(self, output):
        burst, here = self.table("bursts", output=output)[0], self.table("lane")[0]
        burst.n, burst.port = len(self.packets), IN
        if output:
            burst.wants = self.table("mbufs")[self.packets[0]].ol_flags
        for k, i in enumerate(self.packets):
            burst.pkt[k] = i
        here.phase, here.at, here.port, here.out = EGRESS if output else INGRESS, 1, IN, OUT

    def _put(self, frame):
        pool, mbufs = self.table("pool"), self.table("mbufs")
        first, last = NULL, NULL
        for at in range(0, len(frame), FILL):
            piece = frame[at : at + FILL]
            i = take(pool, mbufs)
            assert i != NULL
            m = mbufs[i]
            m.data_len = len(piece)
            self.arena.bytes[m.buf + HEADROOM : m.buf + HEADROOM + len(piece)] = piece
            if first == NULL:
                first = i
                m.pkt_len, m.in_port, m.nb_segs = len(frame), IN, 0
            else:
                mbufs[last].next = i
            mbufs[first].nb_segs += 1
            last = i
        return first

    # --- the plan ---------------------------------------------------------------------------

    def plan(self, calls):
        """Go through the calls once, and note what has to be written before each so that all can be done again."""
        made = objects.compile_all([DRIVE, *(one.stage for one in calls)])
        self._code = {name: ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)(code.address) for name, code in made.items()}
        begin, free = self.bytes.copy(), self._free_buffers()
        steps = []
        for n, one in enumerate(calls):
            self.engine.code["address"][n] = made[one.stage].address
            before = self.bytes.copy()
            if one.before:
                one.before(self)
            steps.append([n, self.engine.worlds[LANE].address(OUT if one.output else None), self._changes(self.bytes, before, free)])
            status = self._code[one.stage](steps[-1][1])
            assert status == 0, f"{one.stage.name} raised"
        self.left = int(self.table("bursts", output=calls[-1].output)[0].n)
        steps[0][2] = self._changes(begin, self.bytes, free)
        self.bytes[:] = begin
        if calls[0].before:
            raise ValueError("what holds before the first call is loaded, not changed")
        self._write(steps)

    def _free_buffers(self):
        """Which words lie in buffers of free mbufs: what stands there does not matter."""
        mbufs, free = self.engine.array("mbufs"), np.zeros(len(self.bytes), bool)
        for at in mbufs["buf"][mbufs["refcnt"] == 0]:
            free[int(at) // 8 : (int(at) + ROOM) // 8] = True
        return free

    def _changes(self, wanted, found, free):
        """[(first word, its words)]: what to write so that `found` becomes `wanted`."""
        words = np.flatnonzero((wanted != found) & ~free)
        if not len(words):
            return []
        runs = np.split(words, np.flatnonzero(np.diff(words) > NEAR) + 1)
        return [(int(run[0]), wanted[run[0] : run[-1] + 1].copy()) for run in runs]

    def _write(self, steps):
        base, words = self.arena.base, [0, len(steps), 0]
        for row, world, changes in steps:
            source = np.concatenate([data for _, data in changes] or [np.zeros(1, np.uint64)])
            copies, at = np.zeros(COPY * len(changes) + 1, ">u8"), source.ctypes.data - base
            for c, (first, data) in enumerate(changes):
                copies[COPY * c : COPY * c + COPY] = [8 * first, at & ALL, data.nbytes]
                at += data.nbytes
            words += [row, world, (copies.ctypes.data - base) & ALL, len(changes)]
            self._kept += [source, copies]
        where = int(self.engine.array("mbufs")["buf"][-1])
        assert self.engine.array("mbufs")["refcnt"][-1] == 0 and 8 * len(words) <= ROOM
        self._plan = np.frombuffer(self.arena.bytes, ">u8", len(words), where)
        self._plan[:] = words

    def cycles(self, calls):
        """The median of what all steps took together, over some rounds of the plan."""
        results = np.zeros(calls, ">u8")
        self._plan[0], self._plan[2] = calls, (results.ctypes.data - self.arena.base) & ALL
        self._code[DRIVE](self.engine.worlds[LANE].address())
        return statistics.median(int(spent) for spent in results)
