"""A little switch around one stage: ports, rules, rings, and the way up to the stage, for tests that need a meaningful state.

`Scene.both` holds what `Tempo.both` holds, and that the stage wrote nothing outside the regions that its signature names.
Between stages `settle` closes gaps as the engine does, and `check` asserts that no mbuf is lost.
"""
import struct

import numpy as np
from parse_frames import ether, ipv4
from tempo import Tempo

from lab.engine.route import LAST, MIDDLE, OUTPUT_SIDE, Tally, settle
from lab.memory.mempool import give
from lab.memory.record import NULL
from lab.openflow.actions import parse_actions
from lab.openflow.matching.match import parse_match
from lab.openflow.table import RuleTable
from lab.stages.actions import actions
from lab.stages.emc import emc
from lab.stages.megaflow import megaflow
from lab.stages.parse import parse
from lab.stages.regions import PORTS, RING
from lab.stages.smc import smc
from lab.stages.upcall import upcall

NAMES = {f"vm{n}": n for n in range(1, 6)}
ALWAYS, NEVER = 1 << 32, 0  # how often a resolved packet is entered into the EMC


def udp(sport=1000, dport=53, size=60, src=1):
    """A UDP frame of a flow told by its ports."""
    payload = bytes(max(0, size - 42))
    return ether(0x0800, ipv4(17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload))


class Scene(Tempo):
    """Lane 1 of a switch with ports vm1 to vm5, no rules, and an EMC that takes everything."""

    def __init__(self, checked=False):
        super().__init__()
        self.checked = checked
        self.rules = RuleTable(self.arena)
        ports = self.array("ports")
        for number in NAMES.values():
            ports[number]["kind"], ports[number]["up"], ports[number]["mtu"] = 1, 1, 1500
        self.config, self.lane, self.burst = (self.table(name)[0] for name in ("config", "lane", "bursts"))
        self.config.emc_chance = np.uint64(ALWAYS)
        self.config.idle_us = 10_000_000
        self.mbufs, self.outs, self.trace = (self.table(name) for name in ("mbufs", "outs", "trace"))
        self.lane.epoch = self.config.epoch
        self.aside = []  # free mbufs that a test keeps from the pool

    # --- setting the scene -------------------------------------------------------------------------

    def rule(self, actions, match="", priority=10):
        """Add a rule in ovs-ofctl's words."""
        self.rules.add(priority, parse_match(match, NAMES), parse_actions(actions, NAMES))
        self.lane.epoch = self.config.epoch

    def load(self, frames, **how):
        """Put frames in hand; what was there is returned to the pool first."""
        for k in range(self.burst.first, self.burst.n):
            give(self.table("pool"), self.mbufs, self.burst.pkt[k])
        return super().load(frames, **how)

    def wait_at(self, port, frames, *, head=0):
        """Put frames into a port's ring, which has turned `head` times already; the mbufs."""
        mbufs = self.load(frames, port=port)
        self.burst.n = 0
        ring, slots = self.table("rings").ring[port], self.table("rings").slots
        ring.head, ring.tail = head, head + len(frames)
        for n, i in enumerate(mbufs):
            slots[ring.first + (head + n) % RING].index = i
        return mbufs

    def out(self, frames, port=2):
        """Put frames into the batch of an output port, as `actions` leaves it, and make it what the stage has in hand."""
        mbufs = self.load(frames)
        self.lane.out = port
        return mbufs

    def leave_free(self, n):
        """Leave only `n` free mbufs in the pool."""
        head, free = self.table("pool").head[0], self.table("pool").free
        self.aside, head.n = [free[k].index for k in range(n, head.n)], n

    def send_out(self):
        """Let every batch leave: its mbufs are free again."""
        for port, batch in self.gone_to().items():
            for i in batch:
                give(self.table("pool"), self.mbufs, i)
            self.outs[port].n = 0
        self.lane.pending = np.uint64(0)

    def trace_on(self):
        """Have reasons explained."""
        self.trace[0].on, self.trace[0].n = 1, 0

    def traced(self):
        """(serial, reason, a, b) of each explanation."""
        return [(e.packet, e.reason, e.a, e.b) for e in (self.trace[n] for n in range(1, 1 + self.trace[0].n))]

    def reason(self, number):
        """How often a reason was given."""
        return self.table("reasons")[number].count

    def look_up(self, frames, *, upto=None, port=1, cuts=()):
        """Take frames along the main way, stage by stage in both tempos, until before `upto`."""
        self.load(frames, port=port, cuts=cuts)
        for stage in (parse, emc, smc, megaflow, upcall):
            if stage is upto:
                return self
            if stage in (parse, emc) or (self.burst.misses and (stage is not smc or self.config.smc_on)):
                self.both(stage)
                self.settle()
        return self

    def forward(self, frames, port=1):
        """Take frames through lookup and actions: {output port: mbufs}."""
        self.look_up(frames, port=port)
        self.both(actions)
        self.settle(LAST)
        return self.gone_to()

    # --- running ------------------------------------------------------------------------------------

    def both(self, stage, *, checked=None):
        """Both tempos agree on every byte, and no byte outside the stage's own regions has changed."""
        before = self.bytes.copy()
        super().both(stage, checked=self.checked if checked is None else checked)
        own = [self.arena.extent(name, self.lanes[name]) for name in stage.touches if name in self.lanes]  # `code` lies beside the arena
        for low, high in own:
            before[low // 8:high // 8] = self.bytes[low // 8:high // 8]
        changed = np.flatnonzero(before != self.bytes)
        assert not len(changed), f"{stage.name} wrote into {self.arena.name_of(int(changed[0]) * 8)}, which its signature does not name"

    def settle(self, place=MIDDLE):
        """Close the stage as the engine does."""
        settle(Tally(*(self.table(name) for name in Tally._fields)), self.burst, 0, self.burst.n, place)

    def settle_output(self):
        """Close a stage that had an output batch in hand."""
        self.settle(OUTPUT_SIDE)

    # --- looking -------------------------------------------------------------------------------------

    def hand(self):
        """The packets in hand."""
        return [self.burst.pkt[k] for k in range(self.burst.n)]

    def misses(self):
        """The places that nothing has resolved yet."""
        return [self.burst.miss[q] for q in range(self.burst.misses)]

    def dropped(self):
        """{place: reason} of what the stage in hand has dropped."""
        return {k: self.mbufs[self.burst.pkt[k]].reason for k in range(64) if int(self.burst.dropped) >> k & 1}

    def gone_to(self):
        """{output port: mbufs} of every batch that has something."""
        return {p: [out.pkt[k] for k in range(out.n)] for p, out in ((p, self.outs[p]) for p in range(PORTS)) if out.n}

    def sent(self, port):
        """The mbufs in the ring of what lane 1 has sent through a port."""
        ring, slots = self.table("rings").ring[PORTS + port], self.table("rings").slots
        return [slots[ring.first + at % RING].index for at in range(ring.head, ring.tail)]

    def bytes_of(self, i):
        """The bytes of a packet."""
        data = b""
        while i != NULL:
            m = self.mbufs[i]
            data += self.arena.memory.bytes(m.buf + m.data_off, m.data_len)
            i = m.next
        return data

    def chain(self, i):
        """The mbufs of a packet."""
        found = []
        while i != NULL:
            found.append(i)
            i = self.mbufs[i].next
        return found

    def check(self, *, recorded=()):
        """Every mbuf is free, in hand from `first` on, in a batch, in a ring, or recorded for replay; in one place."""
        head, free = self.table("pool").head[0], self.table("pool").free
        places = [free[n].index for n in range(head.n)] + self.aside
        heads = [self.burst.pkt[k] for k in range(self.burst.first, self.burst.n)]
        heads += [i for batch in self.gone_to().values() for i in batch] + list(recorded)
        rings, slots = self.table("rings").ring, self.table("rings").slots
        for ring in (rings[r] for r in range(2 * PORTS)):
            heads += [slots[ring.first + at % RING].index for at in range(ring.head, ring.tail)]
        places += [i for packet in heads for i in self.chain(packet)]
        assert sorted(places) == list(range(len(self.mbufs)))
