"""What a lane that stands still holds of a port, or of all: taken out of its batches and tables, to be given back.

For control: when a port goes, and when a what-if copy begins with nothing on its way. It is not what happens behind a stage
that failed (see `wreck`), which knows less of what it finds.
"""

import numpy as np

from lab.engine.route import FIND
from lab.memory.record import NULL
from lab.offload.gso.payload import abandon
from lab.stages.regions import HANDS, LANES


def take_out(engine, lane, port=None):
    """The packets that a lane holds for a port (None: all that it holds), each by its first mbuf; they are nowhere then."""
    numbers = range(len(engine.array("outs", lane))) if port is None else [port]
    found = _cut(engine, lane, port)
    for number in numbers:
        found += _from(engine.array("outs", lane)[number])
    found += _held(engine, lane, port) + _ready(engine, lane, port)
    if port is None:
        found += _from(engine.array("bursts", lane)[0])
        for waiting in engine.array("again", lane):
            found += _from(waiting)
        found += _handed(engine, lane)
        here = engine.array("lane", lane)[0]
        here["phase"], here["at"], here["pending"], here["later"], here["waits"] = FIND, 0, 0, 0, 0
    return found


def _from(batch):
    """All of a batch that has not gone on."""
    found = batch["pkt"][int(batch["first"]) : int(batch["n"])].tolist()
    batch["first"] = batch["n"] = batch["misses"] = 0
    return found


def _cut(engine, lane, port):
    """What GSO is still cutting: it has one output batch in hand at a time."""
    cut, here = engine.array("cuts", lane)[0], engine.array("lane", lane)[0]
    first, n = int(cut["first"]), int(cut["n"])
    if first >= n or port not in (None, int(here["out"])):
        return []
    if int(cut["done"]) > 0:
        abandon(engine.conductor(lane)[2], int(cut["pkt"][first]))
    cut["first"] = cut["n"] = cut["done"] = 0
    return cut["pkt"][first:n].tolist()


def _held(engine, lane, port):
    """What GRO holds."""
    items, here = engine.array("gro", lane, "items"), engine.array("lane", lane)[0]
    mine = (items["first"] != NULL) & (True if port is None else items["port"] == port)
    at = np.flatnonzero(mine)
    found = items["first"][at].tolist()
    items["first"][at], items["hash"][at] = NULL, 0
    engine.array("gro", lane, "head")["held"] -= len(found)
    here["held"] -= len(found)
    return found


def _ready(engine, lane, port):
    """What GRO let go of and that found no room yet: parts, of which each packet's `reason_a` says where it goes on."""
    found, here, places = [], engine.array("lane", lane)[0], engine.array("mbufs")["reason_a"]
    for side, field in enumerate(("ready", "ready_out")):
        ready = engine.array("gro", lane, "ready")[side]
        waiting = ready["pkt"][: int(ready["n"])].tolist()
        kept = [i for i in waiting if port is not None and int(places[i]) >> 16 != port]
        found += [i for i in waiting if i not in kept]
        ready["pkt"][: len(kept)], ready["n"], here[field] = kept, len(kept), len(kept)
        if kept:
            ready["port"], ready["at"] = int(places[kept[0]]) >> 16, int(places[kept[0]]) & 0xFF
    return found


def _handed(engine, lane):
    """What other cores handed over."""
    rings, slots, found = engine.array("rings", None, "ring"), engine.array("rings", None, "slots"), []
    for giver in engine.lanes:
        ring = rings[HANDS + LANES * giver + lane]
        head, tail = int(ring["head"]), int(ring["tail"])
        found += [int(slots["index"][int(ring["first"]) + (at & int(ring["room"]) - 1)]) for at in range(head, tail)]
        ring["head"] = tail
    return found
