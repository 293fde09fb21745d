"""The mempool as a live object: where every mbuf is now, who lends and who borrows, and the check that none is lost or double.

It looks and changes nothing. A packet is found through whatever refers to it (a ring, a burst, the GRO table, what GSO is
cutting), and named segment by segment; a segment that no packet has any more is there for those that refer to its bytes.
"""

from collections import Counter

import numpy as np

from lab.live import Live
from lab.memory.mbuf import EXTERNAL, INDIRECT
from lab.memory.record import NULL
from lab.stages.regions import HANDS, LANES, PORTS, RING, SURPLUS

LONGEST = 4096  # segments of a chain that are followed: more only if it goes round


class Mempool(Live):
    """Where every mbuf is: free, in a ring, in a burst, held by GRO, being cut by GSO, recorded for replay; who lends its bytes.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> sw.add_port("vm1").inject([bytes(60)] * 3)
    3
    >>> sw.mempool.counts()
    {'free': 3581, 'free, core 1': 512, 'waiting at vm1': 3}
    """

    def __init__(self, switch):
        self._switch = switch

    def places(self):
        """{mbuf: where it is}, for every mbuf; an mbuf found twice or nowhere is named so."""
        where: dict[int, str] = {}
        mbufs = self._switch.engine.array("mbufs")

        def at(i, place):
            where[i] = place if i not in where else f"twice: {where[i]} and {place}"

        self._free(at)
        for i, place in self._packets():
            self._chain(i, place, at)
        for lender, n in self._lent().items():
            if lender not in where:
                where[lender] = f"lent to {n} segment{'s' * (n != 1)}"
        for i in np.flatnonzero((mbufs["ol_flags"] & EXTERNAL != 0) & (mbufs["refcnt"] > 0)).tolist():
            if i in where:
                where[i] += f", bytes of {self._port(int(mbufs['ext_owner'][i]))}"
        for i in range(len(mbufs)):
            where.setdefault(i, "nowhere")
        return where

    def _free(self, at):
        """The mbufs that can be taken: in a lane's stack, or on their way between two."""
        engine = self._switch.engine
        for lane in range(engine.cores + 1):
            head, free = engine.array("pool", lane, "head")[0], engine.array("pool", lane, "free")
            for i in free["index"][: int(head["n"])].tolist():
                at(i, "free" if lane == 0 else f"free, core {lane}")
        for number, i in self._waiting():
            if SURPLUS <= number < HANDS:
                at(i, "trading ring")

    def _packets(self):
        """(first mbuf, where it is) of every packet."""
        engine = self._switch.engine
        yield from ((i, self._ring_name(number)) for number, i in self._waiting() if not SURPLUS <= number < HANDS)
        for lane in engine.lanes:
            here = f", core {lane}"
            batches = [("in hand", engine.array("bursts", lane)[0])]
            batches += [(f"to {self._port(p)}", out) for p, out in enumerate(engine.array("outs", lane))]
            batches += [("to be parsed again", waiting) for waiting in engine.array("again", lane)]
            batches += [(f"being cut for {self._port(int(engine.array('lane', lane)['out'][0]))}", engine.array("cuts", lane)[0])]
            for ready in engine.array("gro", lane, "ready"):
                yield from ((int(i), "ready behind GRO" + here) for i in ready["pkt"][: int(ready["n"])])
            for name, batch in batches:
                for k in range(int(batch["first"]), int(batch["n"])):
                    yield int(batch["pkt"][k]), name + here
            held = engine.array("gro", lane, "items")["first"]
            yield from ((int(i), "held by GRO" + here) for i in held[held != NULL])
        for port in self._switch.ports.values():
            yield from ((i, f"recorded, {port.name}") for i in getattr(port, "templates", ()))

    def _waiting(self):
        """(ring, mbuf) of everything that stands in a ring."""
        rings, slots = self._switch.engine.array("rings", None, "ring"), self._switch.engine.array("rings", None, "slots")
        for number in np.flatnonzero(rings["tail"] != rings["head"]).tolist():
            first, head, tail = (int(rings[number][field]) for field in ("first", "head", "tail"))
            yield from ((number, int(slots["index"][first + (turn & (RING - 1))])) for turn in range(head, tail))

    def _lent(self):
        """{mbuf: how many living segments refer to its bytes}."""
        mbufs = self._switch.engine.array("mbufs")
        borrowers = (mbufs["refcnt"] > 0) & (mbufs["ol_flags"] & INDIRECT != 0)
        return Counter(mbufs["attached"][borrowers].tolist())

    def _chain(self, i, place, at):
        nexts, kept = self._switch.engine.array("mbufs")["next"], 0
        while i != NULL and kept <= LONGEST:
            at(i, place)
            i = int(nexts[i])
            kept += 1

    def _ring_name(self, number):
        if number >= HANDS:
            return f"on its way to core {(number - HANDS) % LANES}"
        lane, port = divmod(number, PORTS)
        if lane == 0:
            return f"waiting at {self._port(port)}"
        return f"sent by {self._port(port)}" if port else "sent to the controller"

    def _port(self, number):
        return self._switch.port_name(number) or (f"port {number}" if number else "the controller")

    def counts(self):
        """How many mbufs are at each place."""
        found = {}
        for place in self.places().values():
            found[place] = found.get(place, 0) + 1
        return found

    @property
    def free(self):
        """Mbufs that can be taken."""
        engine = self._switch.engine
        return sum(int(engine.array("pool", lane, "head")["n"][0]) for lane in range(engine.cores + 1))

    def check(self):
        """Assert that every mbuf is at one place, and that `refcnt` says how many refer to its bytes."""
        places, lent = self.places(), self._lent()
        wrong = {i: place for i, place in places.items() if place == "nowhere" or place.startswith("twice")}
        assert not wrong, f"{len(wrong)} mbufs are lost or double: {dict(list(wrong.items())[:8])}; {self.counts()}"
        refcnt = self._switch.engine.array("mbufs")["refcnt"]
        alone = [i for i, place in places.items() if place.startswith(("free", "trading", "lent to"))]
        expected = np.ones(len(refcnt), np.int64)
        expected[alone] = 0
        for lender, n in lent.items():
            expected[lender] += n
        untrue = np.flatnonzero(refcnt != expected).tolist()
        assert not untrue, "refcnt is untrue of " + ", ".join(
            f"mbuf {i} ({places[i]}): {refcnt[i]}, and {expected[i]} refer to it" for i in untrue[:8]
        )

    def __len__(self):
        return len(self._switch.engine.array("mbufs"))

    def __repr__(self):
        return f"<mempool: {self.free} of {len(self)} mbufs free>"

    def facts(self):
        """What the interface draws."""
        return {"title": repr(self)[1:-1], "columns": ["where", "mbufs"], "rows": [list(row) for row in self.counts().items()], "note": ""}
