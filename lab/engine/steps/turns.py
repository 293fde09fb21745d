"""Whose turn it is while stepping: the lane that moves next, and the queue that it looks at.

A core that runs takes its queues in turn; a person who steps wants to see one burst through, then what another core handed
over, then the lowest-numbered port with frames waiting. When nothing comes any more, the traffic has paused, and GRO lets
go of what it holds: the clock may stand still meanwhile.
"""

from lab.engine.route import FIND
from lab.stages.regions import HANDS, LANES, PORTS


def lane_to_move(engine, ports):
    """The lane whose turn it is, its next look turned to what waits for it; None when nothing moves."""
    lanes = {lane: engine.array("lane", lane)[0] for lane in engine.lanes}
    for here in lanes.values():
        here["paused"] = 0
    for lane, here in lanes.items():
        if here["phase"] != FIND or here["pending"] or here["ready"] or engine.array("bursts", lane)[0]["n"]:
            return lane
    for lane in lanes:
        giver = handed(engine, lane)
        if giver:
            turn_to(engine, lane, PORTS + giver)
            return lane
    waiting = ports.first_waiting()
    if waiting is not None:
        number, lane = waiting
        turn_to(engine, lane, number)
        return lane
    swapped = any(place.stage is not place.original for place in map(engine.pipeline.place, ("ingress.gro", "egress.gro")))
    for lane, here in lanes.items():
        if here["held"] and not swapped:  # another stage in GRO's place may not know that it should let go
            here["paused"] = 1
            return lane
    return None


def handed(engine, lane):
    """The lane whose ring to this one has packets waiting, or None."""
    rings = engine.array("rings", None, "ring")
    for giver in engine.lanes:
        ring = rings[HANDS + LANES * giver + lane]
        if ring["tail"] != ring["head"]:
            return giver
    return None


def turn_to(engine, lane, queue):
    """Let the lane's next look be at a certain queue."""
    queues = engine.array("queues", lane)[0]
    turn = queues["port"][: int(queues["n"])].tolist().index(queue)
    engine.array("lane", lane)[0]["poll"] = (turn - 1) % int(queues["n"])
