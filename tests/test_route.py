"""The conductor: in which order a lane goes on, with packets that wait to be parsed again, and what is left of a stage that failed."""
import numpy as np
import pytest
from acting import Acting, act, clone, last
from test_actions_lists import FLOWS, FRAME, TAG

from lab.engine.pipeline import MAIN, SIDE
from lab.engine.route import FIND, LOOKUP, MIDDLE, SEND, Tally, Way, advance, come_to_rest, settle
from lab.engine.wreck import FREE_HANDED, Wreck, give_up, holds_together
from lab.flow.actions import RECIRC
from lab.memory.reasons import RULE_DROPS, STAGE_FAILED
from lab.memory.record import NULL
from lab.stages.actions import actions
from lab.stages.emc import emc
from lab.stages.parse import parse
from lab.stages.regions import NO_STAGE
from lab.stages.transmit import transmit

EVERY = [*(stage for _, stage, _ in SIDE), *(stage for stage, _ in MAIN)]


@pytest.fixture
def scene():
    """Lane 1 with the main way of the pipeline; whatever is sent leaves through `transmit`."""
    scene = Acting()
    route = scene.array("route")
    for at, (_, need) in enumerate(MAIN):
        route[at] = (len(SIDE) + at, need)
    scene.config.lookup_stages = len(MAIN)
    scene.array("ports")["transmit"] = EVERY.index(transmit)
    return scene


def on(scene):
    """The stage that comes next."""
    number = advance(Way(*(scene.table(name) for name in Way._fields)))
    return None if number == NO_STAGE else EVERY[number]


def conduct(scene, acts_at):
    """Run until nothing is in hand: the names of the stages, the megaflow at each depth having these actions."""
    names = []
    while (stage := on(scene)) is not None:
        names.append((stage.name, scene.burst.depth if stage is not transmit else scene.lane.out))
        if stage is actions:
            scene.megaflow(acts_at[scene.burst.depth], number=scene.burst.depth)
            for k in range(scene.burst.first, scene.burst.n):
                scene.mbufs[scene.burst.pkt[k]].flow = scene.burst.depth
            scene.step(stage)
            scene.settle()
        elif stage is parse:
            scene.step(stage)
        elif stage is transmit:
            scene.sent += [scene.content(scene.outs[scene.lane.out].pkt[k]) for k in range(scene.outs[scene.lane.out].n)]
            scene.send_out()
        if scene.lane.phase == FIND:
            break
        come_to_rest(Way(*(scene.table(name) for name in Way._fields)))
        if scene.lane.phase == FIND:
            break
    return names


def in_hand(scene, frames):
    scene.load(frames)
    scene.sent = []
    scene.lane.phase, scene.lane.at = LOOKUP, 0


def test_a_packet_that_goes_back_is_parsed_when_the_outputs_of_its_burst_have_left(scene):
    in_hand(scene, [FRAME])
    names = conduct(scene, {0: [clone(last(2)), TAG, act(RECIRC, 1)], 1: [last(3)]})
    assert names == [("parse", 0), ("emc", 0), ("actions", 0), ("transmit", 2), ("parse", 1), ("emc", 1), ("actions", 1), ("transmit", 3)]
    assert (scene.lane.phase, scene.burst.n, scene.lane.waits) == (FIND, 0, 0)
    assert scene.sent == [FRAME, FRAME[:12] + bytes.fromhex("81000007") + FRAME[12:]]
    scene.check()


def test_packets_in_wait_are_not_rest(scene):
    in_hand(scene, [FRAME])
    scene.ready([FRAME], [act(RECIRC, 1)])
    scene.step(actions)
    scene.lane.phase, scene.lane.at = LOOKUP, len(MAIN)
    come_to_rest(Way(*(scene.table(name) for name in Way._fields)))
    assert (scene.lane.phase, scene.burst.n, scene.lane.waits) == (SEND, 0, 1)


def test_the_deepest_go_first_and_every_packet_keeps_its_order(scene):
    """Three copies of each of 32 packets go back twice: a batch holds 64, so the burst is interrupted, and none overtakes another."""
    in_hand(scene, FLOWS)
    thrice = [clone(act(RECIRC, 1)), clone(act(RECIRC, 1)), act(RECIRC, 1)]
    names = conduct(scene, {0: thrice, 1: thrice, 2: [last(2)]})
    assert scene.sent == [frame for frame in FLOWS for _ in range(9)]
    depths = [depth for name, depth in names if name == "parse"]
    assert depths[:3] == [0, 1, 2] and max(depths) == 2 and depths.count(2) > 3
    assert (scene.lane.phase, scene.lane.waits) == (FIND, 0)
    scene.check()


def test_a_drop_in_the_middle_closes_the_gap_and_moves_keys_and_misses(scene):
    scene.load(FLOWS[:5])
    scene.step(parse)
    scene.step(emc)
    scene.burst.misses = 3
    for q, k in enumerate((1, 3, 4)):
        scene.burst.miss[q] = k
    keys, hand = [scene.key(k) for k in range(5)], list(scene.packets)
    for k in (0, 3):
        scene.burst.dropped = scene.burst.dropped | np.uint64(1 << k)
        scene.mbufs[hand[k]].reason = RULE_DROPS
    settle(Tally(*(scene.table(name) for name in Tally._fields)), scene.burst, 0, 5, MIDDLE)
    assert [scene.burst.pkt[k] for k in range(scene.burst.n)] == [hand[k] for k in (1, 2, 4)]
    assert [scene.burst.miss[q] for q in range(scene.burst.misses)] == [0, 2]
    assert [scene.key(k) for k in range(3)] == [keys[k] for k in (1, 2, 4)]
    scene.check()


# --- a stage that failed -----------------------------------------------------------------------------------------

def wreck_of(scene):
    return Wreck(*(scene.table(name) for name in Wreck._fields))


@pytest.mark.parametrize("counted", [0, 1, 40])
def test_what_waits_to_be_parsed_again_survives_a_stage_that_died(scene, counted):
    scene.ready(FLOWS[:4], [clone(TAG, act(RECIRC, 1)), clone(act(RECIRC, 1)), last(2)])
    scene.step(actions)
    scene.send_out()
    scene.load(FLOWS[:6])
    scene.lane.waits, scene.lane.phase = counted, LOOKUP
    assert give_up(wreck_of(scene), 0, STAGE_FAILED, 6) == 6
    assert (scene.lane.waits, scene.again[1].n, scene.lane.phase) == (8, 8, SEND)
    scene.check()


class Died(Exception):
    """What the stage raises in the middle of its work."""


class Reasons:
    """Where the stage counts: it dies at the first count."""

    def __getitem__(self, number):
        raise Died


def spoilt(scene, name):
    """A parameter of the stage, but for where it counts."""
    table = scene.table(name)
    return table._replace(reasons=Reasons()) if name == "doing" else table


def test_copies_of_a_nest_that_a_stage_died_in_return(scene):
    """The copy that was to go back is kept, since it waits already; the one around it and the burst are lost."""
    scene.ready(FLOWS[:2], [clone(TAG, clone(TAG, act(RECIRC, 1), last(2)), last(3)), last(4)])
    with pytest.raises(Died):
        actions.function(*(spoilt(scene, name) for name in actions.parameters))
    scene.lane.phase = LOOKUP
    assert give_up(wreck_of(scene), 0, STAGE_FAILED, 2) == 2
    assert (scene.again[1].n, scene.lane.waits) == (1, 1)
    scene.check()


@pytest.mark.parametrize("harm", ["count", "twice", "dead"])
def test_a_person_s_stage_that_spoils_what_waits_is_found_out(scene, harm):
    scene.ready(FLOWS[:2], [act(RECIRC, 1)])
    scene.step(actions)
    scene.burst.first = scene.burst.n = 0
    assert holds_together(wreck_of(scene), scene.burst, 0, FREE_HANDED) == 1
    waiting = scene.again[1]
    if harm == "count":
        waiting.n = 65
    elif harm == "twice":
        waiting.pkt[1] = waiting.pkt[0]
    else:
        waiting.pkt[1] = NULL
    assert holds_together(wreck_of(scene), scene.burst, 0, FREE_HANDED) == 0

