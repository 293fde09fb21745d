"""Ports that come and go, on a switch that stands still or runs.

The core that serves a port's queue reads a list; a change writes the list, moves the epoch and waits until the core has
seen it. Then no burst of the port is in hand, and what still waits at it can be returned.
"""

import itertools

from lab.stages import revalidate, upcall
from lab.stages.regions import PORTS

# what a change of rules or ports makes anew
LOOKED_UP = tuple({*revalidate.revalidate.touches, *upcall.upcall.touches})
OF_THE_LANE = ("lane", "desk", "fdb", "reasons")  # all of it that can change where there is neither a megaflow nor a burst in hand


def looked_up(engine, lane):
    """What a change of rules may change in a lane's memory; comparing all of it takes time."""
    idle = not int(engine.array("megaflows", lane, "head")["count"][0]) and not int(engine.array("bursts", lane)["n"][0])
    return OF_THE_LANE if idle else LOOKED_UP


def add(switch, name, kind, number, options):
    """A new port, served by its core."""
    switch.walk.leave_stage()
    port = switch.ports.make(switch, name, kind, number, options)
    port.row["kind"] = port.code  # the last store of its setting up: from now on cores send to it
    queues = switch.engine.array("queues", port.lane)[0]
    serve(queues, port.number)
    switch.settle_arcs()
    changed(switch, f"add-port {name}", barrier=port.kind != "sim")
    return port


def serve(queues, number):
    """Let a core look at one more queue: the entry first, then the count that the core reads."""
    n = int(queues["n"])
    if number not in queues["port"][:n].tolist():
        queues["port"][n] = number
        queues["n"] += 1


def open_hands(switch):
    """Let every core look at the rings from the others."""
    engine = switch.engine
    if engine.cores > 1:
        engine.pipeline.ask("take_over")
    for taker, giver in itertools.permutations(engine.lanes, 2):
        serve(engine.array("queues", taker)[0], PORTS + giver)


def remove(switch, name):
    """Take a port away; how many frames waited at it."""
    port = switch.ports[name]
    switch.walk.leave_stage()
    queues = switch.engine.array("queues", port.lane)[0]
    kept = [number for number in queues["port"][: int(queues["n"])].tolist() if number != port.number]
    port.row["kind"] = 0
    queues["port"][: len(kept)] = kept
    queues["n"] = len(kept)
    with switch.fdb.forgetting(port.number, fixed=True):
        move_epoch(switch)
    port.ingress.clear()
    port.egress.clear()
    switch.routes.forget(port.number)
    switch.neighbours.forget(port.number)
    lost = port.leave()
    switch.ports.collect()
    switch.ports.drop(port)
    port.be_gone()
    switch.settle_arcs()
    changed(switch, f"del-port {name}", barrier=True)
    return lost


def changed(switch, name, barrier=False):
    """Megaflows that name ports may be wrong now. Behind a barrier nobody steps back: mbufs have come or gone for good."""
    if switch.cores.running:
        move_epoch(switch)
    elif barrier:
        move_epoch(switch)
        switch.walk.sync()
    else:
        switch.walk.act(name, LOOKED_UP, lambda: move_epoch(switch), lambda: move_epoch(switch))


def move_epoch(switch):
    """Let every core look up anew, and wait until each has."""
    switch.engine.array("config")["epoch"] += 1
    switch.settled()
