"""The stage that runs actions, in both tempos with all memory compared: outputs, copies, floods, batches, drops and empty pools."""
import numpy as np
import pytest
from parse_frames import WHOLE
from scenes import udp

from lab.engine.route import LAST
from lab.memory.mbuf import FILL
from lab.memory.reasons import (
    NO_PORT,
    NO_RULE,
    NOWHERE,
    POOL_EMPTY,
    RULE_DROPS,
    TOO_MANY_OUTPUTS,
)
from lab.memory.record import NULL
from lab.stages.actions import actions
from lab.stages.burst import BURST
from lab.stages.emc import emc
from lab.stages.megaflow import megaflow
from lab.stages.regions import EVENTS

FLOWS = [udp(sport) for sport in range(1000, 1000 + BURST)]


# --- actions ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [1, 31, 32])
def test_a_single_output_takes_the_packet_itself(scene, n):
    scene.rule("output:vm2")
    assert scene.forward(FLOWS[:n]) == {2: scene.packets}
    flow = scene.array("megaflows", "flows")[scene.mbufs[scene.packets[0]].flow]
    assert (flow["packets"], flow["bytes_"], scene.burst.first, int(scene.lane.pending)) == (n, 60 * n, n, 1 << 2)
    scene.check()


def test_several_outputs_send_copies_and_the_last_the_packet(scene):
    scene.rule("output:vm2,mod_vlan_vid:7,output:vm3,output:vm4")
    gone = scene.forward(FLOWS[:3])
    assert gone[4] == scene.packets and {p: len(batch) for p, batch in gone.items()} == {2: 3, 3: 3, 4: 3}
    assert [scene.bytes_of(i) for i in gone[2]] == FLOWS[:3]
    assert all(scene.bytes_of(i)[12:16] == bytes.fromhex("81000007") for i in gone[3] + gone[4])
    scene.check()


def test_a_packet_that_only_copies_left_of_is_returned(scene):
    scene.rule("output:vm2,output:vm3,mod_vlan_vid:7")
    gone = scene.forward(FLOWS[:1])
    assert not set(gone[2] + gone[3]) & set(scene.packets) and scene.mbufs[scene.packets[0]].refcnt == 0
    scene.check()


def test_a_flood_goes_to_every_port_but_its_own(scene):
    scene.rule("flood")
    gone = scene.forward(FLOWS[:5], port=3)
    assert {p: [scene.bytes_of(i) for i in batch] for p, batch in gone.items()} == dict.fromkeys((1, 2, 4, 5), FLOWS[:5])
    scene.check()


def test_a_large_chain_is_copied_whole(scene):
    scene.rule("output:vm2,output:vm3")
    frame = udp(size=5 * FILL + 1)
    gone = scene.forward([frame])
    assert [scene.bytes_of(gone[p][0]) for p in (2, 3)] == [frame, frame]
    assert [len(scene.chain(gone[p][0])) for p in (2, 3)] == [6, 6] == [scene.mbufs[gone[p][0]].nb_segs for p in (2, 3)]
    scene.check()


def test_a_full_batch_stops_the_stage_and_it_goes_on_behind(scene):
    scene.rule("output:vm2,output:vm2,output:vm2")
    scene.look_up(FLOWS)
    rounds, sent = [], 0
    while scene.burst.first < scene.burst.n:
        scene.both(actions)
        batch = scene.outs[2]
        rounds.append((scene.burst.first, batch.n))
        sent += batch.n
        scene.burst.dropped = np.uint64(0)
        for k in range(batch.n):
            assert scene.bytes_of(batch.pkt[k]) == FLOWS[(sent - batch.n + k) // 3]
        scene.check()
        scene.send_out()
    assert rounds == [(11, 33), (22, 33), (32, 30)]


@pytest.mark.parametrize("copies", [32, 33, 64, 65, 100])
def test_more_outputs_to_one_port_than_a_batch_holds_never_leave_the_batch(scene, copies):
    scene.rule(",".join(["output:vm2"] * copies))
    scene.look_up(FLOWS[:8])
    for _ in range(8):
        scene.both(actions)
        assert scene.outs[2].n <= 64
        drops = scene.dropped()
        scene.settle(LAST)
        assert set(drops.values()) <= {TOO_MANY_OUTPUTS} and (drops == {}) == (copies <= 64)
        scene.check()
        scene.send_out()


def test_a_batch_that_is_nearly_full_takes_what_it_holds_and_no_more(scene):
    scene.rule("output:vm2", "udp,tp_src=1001/1")
    scene.rule(",".join(["output:vm2"] * 40), "udp,tp_src=1000/1")
    scene.look_up([udp(1001)] * 31 + [udp(1000)])
    scene.both(actions)
    assert scene.outs[2].n == 64 and scene.dropped() == {31: TOO_MANY_OUTPUTS}
    scene.settle(LAST)
    scene.check()


def test_a_drop_in_the_middle_closes_the_gap_and_moves_keys_and_misses(scene):
    """A stage in front of the lookup dropped two packets of five, after the EMC had missed three."""
    scene.rule("output:vm2")
    scene.look_up([FLOWS[0], FLOWS[2]])
    scene.look_up(FLOWS[:5], upto=emc)
    scene.both(emc)
    assert scene.misses() == [1, 3, 4]
    keys, hand = [scene.key(k) for k in range(5)], scene.hand()
    for k in (0, 3):
        scene.burst.dropped = scene.burst.dropped | np.uint64(1 << k)
        scene.mbufs[hand[k]].reason = RULE_DROPS
    scene.settle()
    assert scene.hand() == [hand[k] for k in (1, 2, 4)] and scene.misses() == [0, 2]
    assert [scene.key(k) for k in range(3)] == [keys[k] for k in (1, 2, 4)]
    scene.check()
    scene.both(megaflow)
    assert scene.misses() == []
    scene.both(actions)
    assert scene.gone_to() == {2: [hand[k] for k in (1, 2, 4)]}


@pytest.mark.parametrize(("rule", "why"), [
    ("drop", RULE_DROPS), ("mod_vlan_vid:7", RULE_DROPS), ("output:vm1", NOWHERE), ("output:9", NO_PORT), ("output:200", NO_PORT),
    ("output:9,output:vm1", NOWHERE)])
def test_a_packet_without_an_output_is_dropped_with_the_reason(scene, rule, why):
    scene.rule(rule)
    scene.look_up(FLOWS[:2])
    scene.both(actions)
    assert scene.dropped() == {0: why, 1: why} and scene.gone_to() == {}
    scene.settle(LAST)
    scene.check()


def test_the_port_that_a_packet_came_from_gets_it_only_when_named_in_port(scene):
    scene.rule("in_port")
    assert scene.forward(FLOWS[:2], port=3) == {3: scene.packets}


def test_an_empty_pool_drops_what_needs_a_copy_and_nothing_leaks(scene):
    scene.rule("output:vm2,output:vm3", "udp,tp_src=1000/1")
    scene.rule("output:vm2", "udp,tp_src=1001/1")
    scene.look_up(FLOWS[:6])
    head = scene.table("pool").head[0]
    scene.leave_free(1)
    scene.both(actions)
    assert scene.dropped() == {2: POOL_EMPTY, 4: POOL_EMPTY} and head.empty == 2 and head.n == 0
    assert {p: len(batch) for p, batch in scene.gone_to().items()} == {2: 4, 3: 1}
    scene.settle(LAST)
    scene.check()


def test_a_chain_that_cannot_be_copied_whole_is_given_back(scene):
    scene.rule("flood")
    scene.look_up([udp(size=3 * FILL)])
    head = scene.table("pool").head[0]
    scene.leave_free(8)  # two copies of three, then one mbuf too few
    scene.both(actions)
    assert scene.dropped() == {0: POOL_EMPTY} and head.n == 2
    assert {p: len(batch) for p, batch in scene.gone_to().items()} == {2: 1, 3: 1}
    scene.settle(LAST)
    scene.check()


def test_actions_remembers_tcp_flags_and_the_time(scene):
    scene.rule("output:vm2")
    scene.lane.now = 77
    scene.forward([WHOLE["tcp"], WHOLE["tcp"][:47] + b"\x01" + WHOLE["tcp"][48:]])
    flow = scene.array("megaflows", "flows")[scene.mbufs[scene.packets[0]].flow]
    assert (flow["tcp_flags"], flow["used"], flow["packets"]) == (0x13, 77, 2)


def test_the_record_behind_the_table_carries_one_packet_s_actions(scene):
    scene.rule("output:vm2", "udp,tp_src=1000")
    scene.table("megaflows").head[0].free = NULL
    scene.look_up(FLOWS[:2])
    scene.both(actions)
    assert scene.gone_to() == {2: [scene.packets[0]]} and scene.dropped() == {1: NO_RULE}


# --- all of them -----------------------------------------------------------------------------------

def test_a_full_trace_takes_no_further_explanation(scene):
    scene.rule("flood")
    scene.look_up(FLOWS)
    scene.trace_on()
    scene.trace[0].n = EVENTS - 3
    scene.both(actions)
    assert scene.trace[0].n == EVENTS
