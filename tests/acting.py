"""The `actions` stage on megaflows that a test writes itself: no rules, no translation, just records of actions.

`act(OP, ...)` is a record, `setting(FIELD, value)` a SET. `Acting` has ports 1 to 5; `go` parses frames, gives all of them
one megaflow with these actions and runs the stage in both tempos; `back` lets what was recirculated become the burst.
"""
from types import SimpleNamespace

import numpy as np
from tempo import Tempo

from lab.engine.route import LAST as LAST_STAGE
from lab.engine.route import Tally, settle, turn_to_waiting
from lab.flow.actions import _SETS as FIELDS_OF_SET
from lab.flow.actions import CLONE, LAST, OUTPUT, SET
from lab.memory.mempool import give
from lab.memory.record import NULL
from lab.stages.actions import actions
from lab.stages.parse import parse

ONES = (1 << 64) - 1


def act(op, arg=0, v0=0, v1=0, *, detail=0, m0=0, m1=0):
    """One record: (op, detail, arg, v0, v1, m0, m1)."""
    return op, detail, arg, v0, v1, m0, m1


def out(port):
    return act(OUTPUT, port)


def last(port):
    return act(OUTPUT, port, detail=LAST)


def clone(*body):
    """A CLONE with its body."""
    flat = [one for part in body for one in (part if isinstance(part, list) else [part])]
    return [act(CLONE, len(flat)), *flat]


def setting(field, value, mask=None):
    """A SET of a field, whole unless there is a mask."""
    bits = FIELDS_OF_SET[field][3]
    mask = (1 << bits) - 1 if mask is None else mask
    if bits == 128:
        return act(SET, 0, value >> 64, value & ONES, detail=field, m0=mask >> 64, m1=mask & ONES)
    return act(SET, 0, value, detail=field, m0=mask)


def flat(parts):
    """A list of records out of records and lists of them."""
    return [one for part in parts for one in (part if isinstance(part, list) else [part])]


class Acting(Tempo):
    """Lane 1 of a switch of ports 1 to 5."""

    def __init__(self, checked=False):
        super().__init__()
        self.checked = checked
        ports = self.array("ports")
        for number in range(1, 6):
            ports[number]["kind"], ports[number]["up"], ports[number]["mtu"] = 1, 1, 1500
        self.config, self.lane, self.burst = (self.table(name)[0] for name in ("config", "lane", "bursts"))
        self.config.lanes, self.config.recirc_limit = 1, 8
        self.mbufs, self.outs, self.again, self.trace = (self.table(name) for name in ("mbufs", "outs", "again", "trace"))
        self.array("mbufs")["attached"] = NULL
        self.aside = []

    def both(self, stage, *, checked=None):
        super().both(stage, checked=self.checked if checked is None else checked)

    def megaflow(self, parts, *, only=NULL, reason=0, number=0):
        """Write the actions of megaflow `number`."""
        acts, flow = self.table("acts").list, self.table("megaflows").flows[number]
        flow.acts, flow.n_acts, flow.only, flow.reason, flow.rule = 1000 * number, len(flat(parts)), only, reason, 7
        for at, record in enumerate(flat(parts)):
            one = acts[1000 * number + at]
            one.op, one.detail, one.arg = record[:3]
            one.v0, one.v1, one.m0, one.m1 = (np.uint64(part) for part in record[3:])

    def ready(self, frames, parts, *, port=1, cuts=(), **how):
        """Frames in hand, parsed, all of them packets of one megaflow."""
        self.megaflow(parts, **how)
        self.load(frames, port=port, cuts=cuts)
        self.step(parse)
        for i in self.packets:
            self.mbufs[i].flow = 0
        return self

    def go(self, frames, parts, **how):
        """Run the stage on frames: what went to each port."""
        self.ready(frames, parts, **how)
        self.both(actions)
        return self.gone()

    def settle(self):
        settle(Tally(*(self.table(name) for name in Tally._fields)), self.burst, 0, self.burst.n, LAST_STAGE)

    def back(self, parts, number=0):
        """What waits in `again` becomes the burst, under a megaflow with these actions; how many packets and their depth."""
        self.megaflow(parts, number=number)
        turn_to_waiting(SimpleNamespace(lane=self.table("lane"), bursts=self.table("bursts"), again=self.again))
        self.step(parse)
        for k in range(self.burst.n):
            self.mbufs[self.burst.pkt[k]].flow = number
        return self.burst.n, self.burst.depth

    def dropped(self):
        """{place: reason} of what the stage dropped."""
        return {k: self.mbufs[self.burst.pkt[k]].reason for k in range(self.burst.n) if int(self.burst.dropped) >> k & 1}

    def reason(self, number):
        return self.table("reasons")[number].count

    def gone(self):
        """{port: the bytes of each packet that waits to be sent there}."""
        return {p: [self.content(self.outs[p].pkt[k]) for k in range(self.outs[p].n)] for p in range(len(self.outs)) if self.outs[p].n}

    def waiting(self):
        """{depth: (id, bytes) of each packet that waits to be parsed again}."""
        found = {}
        for depth in range(len(self.again)):
            packets = [self.again[depth].pkt[k] for k in range(self.again[depth].n)]
            if packets:
                found[depth] = [(self.mbufs[i].recirc_id, self.content(i)) for i in packets]
        return found

    def chain(self, i):
        """The mbufs of a packet."""
        found = []
        while i != NULL:
            found.append(i)
            i = self.mbufs[i].next
        return found

    def content(self, i):
        """A packet's bytes, and that its lengths are true."""
        chain = self.chain(i)
        data = b"".join(self.arena.memory.bytes(self.mbufs[j].buf + self.mbufs[j].data_off, self.mbufs[j].data_len) for j in chain)
        assert (self.mbufs[i].pkt_len, self.mbufs[i].nb_segs) == (len(data), len(chain))
        return data

    def leave_free(self, n):
        """Leave only `n` free mbufs in the pool."""
        head, free = self.table("pool").head[0], self.table("pool").free
        self.aside, head.n = [free[k].index for k in range(n, head.n)], n

    def send_out(self):
        """Let every batch leave."""
        for p in range(len(self.outs)):
            for k in range(self.outs[p].n):
                give(self.table("pool"), self.mbufs, self.outs[p].pkt[k])
            self.outs[p].n = 0
        self.lane.pending = np.uint64(0)

    def check(self):
        """Every mbuf is at one place: free, kept aside by the test, in hand, in a batch, or waiting to be parsed again."""
        head, free = self.table("pool").head[0], self.table("pool").free
        seen = [free[k].index for k in range(head.n)] + self.aside
        batches = [table[n] for table in (self.outs, self.again) for n in range(len(table))]
        places = [(self.burst, self.burst.first), *((batch, 0) for batch in batches)]
        for batch, first in places:
            for k in range(first, batch.n):
                seen += self.chain(batch.pkt[k])
        assert sorted(seen) == list(range(len(self.mbufs)))
        assert self.lane.waits == sum(self.again[d].n for d in range(len(self.again)))
