"""The mempool as a live object: where every mbuf is now, and the check that none is lost or double."""

import numpy as np

from lab.live import Live
from lab.memory.record import NULL
from lab.stages.regions import PORTS, RING, SURPLUS


class Mempool(Live):
    """Where every mbuf is: free in a lane's stack, in a ring, in a burst, recorded for replay.

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
        engine, where = self._switch.engine, {}
        total = len(engine.array("mbufs"))

        def at(i, place):
            where[i] = place if i not in where else f"twice: {where[i]} and {place}"

        for lane in range(engine.cores + 1):
            head, free = engine.array("pool", lane, "head")[0], engine.array("pool", lane, "free")
            for i in free["index"][: int(head["n"])].tolist():
                at(i, "free" if lane == 0 else f"free, core {lane}")
        rings, slots = engine.array("rings", None, "ring"), engine.array("rings", None, "slots")
        for number in np.flatnonzero(rings["tail"] != rings["head"]):
            ring = rings[number]
            for turn in range(int(ring["head"]), int(ring["tail"])):
                i = int(slots["index"][int(ring["first"]) + (turn & (RING - 1))])
                self._chain(i, self._ring_name(int(number)), at, single=number >= SURPLUS)
        for lane in engine.lanes:
            bursts = [("in hand", engine.array("bursts", lane)[0])] + [
                (f"to {self._port(p)}", out) for p, out in enumerate(engine.array("outs", lane))
            ]
            bursts += [("to be parsed again", waiting) for waiting in engine.array("again", lane)]
            for name, burst in bursts:
                for k in range(int(burst["first"]), int(burst["n"])):
                    self._chain(int(burst["pkt"][k]), f"{name}, core {lane}", at)
        for port in self._switch.ports.values():
            for i in getattr(port, "templates", ()):
                self._chain(i, f"recorded, {port.name}", at)
        for i in range(total):
            where.setdefault(i, "nowhere")
        return where

    def _chain(self, i, place, at, single=False):
        nexts, kept = self._switch.engine.array("mbufs")["next"], 0
        while i != NULL and kept <= 64:
            at(i, place)
            i = NULL if single else int(nexts[i])
            kept += 1

    def _ring_name(self, number):
        if number >= SURPLUS:
            return "trading ring"
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
        """Assert that every mbuf is at one place."""
        wrong = {i: place for i, place in self.places().items() if place == "nowhere" or place.startswith("twice")}
        assert not wrong, f"{len(wrong)} mbufs are lost or double: {dict(list(wrong.items())[:8])}; {self.counts()}"

    def __len__(self):
        return len(self._switch.engine.array("mbufs"))

    def __repr__(self):
        return f"<mempool: {self.free} of {len(self)} mbufs free>"

    def facts(self):
        """What the interface draws."""
        return {"title": repr(self)[1:-1], "columns": ["where", "mbufs"], "rows": [list(row) for row in self.counts().items()], "note": ""}
