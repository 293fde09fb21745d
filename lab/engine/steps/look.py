"""What a person looks at in a step: one packet before and after a stage, and which packets came and left.

The eye follows one packet while it lives: into the mbufs that a stage made of it, into the packet that GRO merged it with
although nobody has that one in hand, and to the first of the segments that it was cut into. It only reads.
"""

from lab.engine.route import EGRESS, INGRESS
from lab.memory.record import NULL
from lab.packet.packet import LONGEST, Packet


class Look:
    """A stage about to run, seen: the packets in hand (`heads`, their first mbufs), and the one that is followed."""

    def __init__(self, engine, timeline, lane, place, burst, heads):
        self.engine, self.timeline, self.lane, self.stage, self.burst = engine, timeline, lane, place.name.rsplit(".", 1)[-1], burst
        self.heads, self.left = heads, None
        self.turn = self._turn(place)
        mbufs = engine.array("mbufs")
        self.serials = mbufs["serial"][heads].tolist() if heads else []
        self.lengths = mbufs["pkt_len"][heads].tolist() if heads else []
        self.was = self._before(timeline.last.shown if timeline.last is not None else None)

    def _before(self, last):
        """The packet to follow as it is now: the one looked at last, or a copy of it that goes another way, or the first in hand."""
        if last is not None and any(last.segments[:1] and last.segments[0].mbuf == i for i in self.heads) and last.serial in self.serials:
            return last
        at = self.serials.index(last.serial) if last is not None and last.serial in self.serials else 0
        return Packet.of_chain(self.engine.arena, self.heads[at]) if self.heads else None

    def _turn(self, place):
        """How many places of the same name lie behind on the arc."""
        here = self.engine.array("lane", self.lane)[0]
        side, number = {INGRESS: ("ingress", "port"), EGRESS: ("egress", "out")}.get(int(here["phase"]), (None, ""))
        if side is None:
            return 0
        arc = self.engine.array("ports")[int(here[number])][side]
        return arc[: max(0, int(here["at"]) - 1)].tolist().count(place.number)

    def stop(self, burst):
        """The stage has ended: what it left in the burst, before that goes on."""
        self.left = [burst.pkt[k] for k in range(burst.first, burst.n)]

    def seen(self):
        """What a Step has of it."""
        left = [self.burst.pkt[k] for k in range(self.burst.first, self.burst.n)] if self.left is None else self.left
        i = self._gro(left) if self.stage == "gro" else self._other(left)
        was, parts = self.was, self._parts(left)
        serial = self.engine.array("mbufs")["serial"]
        if parts:
            shown = parts[0]  # the mbufs of a packet that was cut are only lent
        else:
            shown = self.was if i is None else Packet.of_chain(self.engine.arena, i)
        if shown is not None and (was is None or was.serial != shown.serial):
            was = self._earlier(shown.serial) if self.stage == "gro" else None
        kin = frozenset(int(serial[k]) for k in self._chain(i)) if i is not None and self.stage == "gro" else frozenset()
        return {"shown": shown, "was": was, "parts": parts, "kin": kin, **self._in_hand(left)}

    def _other(self, left):
        """The first mbuf of the packet followed, or of the next best; None when it is gone."""
        serial, refcnt = self.engine.array("mbufs")["serial"], self.engine.array("mbufs")["refcnt"]
        followed = self.was.serial if self.was else None
        passed = self._pushed(followed) if self.stage == "push" else []
        mine = [i for i in [*left, *passed, *self.heads] if followed is None or serial[i] == followed]
        return next((i for i in mine if refcnt[i] > 0), None)

    def _pushed(self, followed):
        """A packet that got headers in front stands in another port's batch, maybe with a new first mbuf."""
        serial = self.engine.array("mbufs")["serial"]
        batches = [out for out in self.engine.array("outs", self.lane) if out["n"]]
        found = [int(i) for out in batches for i in out["pkt"][int(out["first"]) : int(out["n"])] if serial[int(i)] == followed]
        return [i for i in reversed(found) if i not in self.heads] + [i for i in found if i in self.heads]

    def _gro(self, left):
        """Behind GRO: the packet that the one followed is part of, if it goes on; else one that was held and goes on; else the held one."""
        serial = self.engine.array("mbufs")["serial"]
        items = self.engine.array("gro", self.lane, "items")["first"]
        ready = [int(i) for r in self.engine.array("gro", self.lane, "ready") for i in r["pkt"][: int(r["n"])]]
        followed = self.was.serial if self.was else None
        of_it = [i for i in left if any(serial[k] == followed for k in self._chain(i))] if followed is not None else []
        of_it += [i for i in left if serial[i] not in self.serials]
        held = [int(i) for i in items[items != NULL]] + ready
        of_it += [i for i in held if any(serial[k] == followed for k in self._chain(i))] if not of_it else []
        of_it += [i for i in held if serial[i] in self.serials] if not of_it and not left else []  # the one followed went into it wholly
        return next(iter([*of_it, *left]), None)

    def _chain(self, i):
        nexts, found = self.engine.array("mbufs")["next"], []
        while i != NULL and len(found) < LONGEST:
            found.append(int(i))
            i = int(nexts[i])
        return found

    def _earlier(self, serial):
        """What a packet was when it was last looked at: while GRO holds it nobody has it in hand."""
        return next((s.shown for s in reversed(self.timeline) if s.shown is not None and s.shown.serial == serial), None)

    def _parts(self, left):
        """Copies of the segments that the packet followed was cut into, as far as they are in this batch."""
        if self.stage != "gso" or self.was is None or not self.was.gso_size:
            return ()
        serial = self.engine.array("mbufs")["serial"]
        mine = [i for i in left if serial[i] == self.was.serial]
        return tuple(Packet.of_chain(self.engine.arena, i) for i in mine) if len(mine) > 1 else ()

    def _in_hand(self, left):
        """Serial numbers and lengths of the packets in hand: of those that came, or of those that left where a stage makes more of them."""
        mbufs = self.engine.array("mbufs")
        if len(left) > len(self.heads):
            return {"serials": tuple(mbufs["serial"][left].tolist()), "lengths": tuple(mbufs["pkt_len"][left].tolist())}
        lengths = list(self.lengths)
        for k, i in enumerate(self.heads if self.stage != "gro" else ()):
            if mbufs["refcnt"][i] > 0 and mbufs["serial"][i] == self.serials[k]:
                lengths[k] = int(mbufs["pkt_len"][i])
        return {"serials": tuple(self.serials), "lengths": tuple(lengths)}
