"""Where packets come in and go out, in both tempos with all memory compared: receive, replay, transmit, sink."""
import pytest
from scenes import udp
from tempo import LANE_OF_TESTS

from lab.memory.mbuf import FILL, GSO
from lab.memory.reasons import (
    LINK_DOWN,
    RECEIVED,
    RING_FULL,
    SENT,
    TOO_LARGE,
)
from lab.memory.record import NULL
from lab.stages.burst import BURST
from lab.stages.receive import receive
from lab.stages.regions import PORTS, RING
from lab.stages.replay import replay
from lab.stages.sink import sink
from lab.stages.transmit import transmit

FLOWS = [udp(sport) for sport in range(1000, 1000 + BURST)]


# --- receive ---------------------------------------------------------------------------------------

@pytest.mark.parametrize(("waiting", "taken"), [(0, 0), (1, 1), (31, 31), (32, 32)])
@pytest.mark.parametrize("turned", [0, RING - 10])
def test_receive_takes_what_waits_in_its_order(scene, waiting, taken, turned):
    mbufs = scene.wait_at(3, FLOWS[:waiting], head=turned)
    scene.lane.port = 3
    scene.both(receive)
    assert scene.hand() == mbufs[:taken] and scene.table("rings").ring[3].head == turned + taken
    assert {(scene.mbufs[i].in_port, scene.mbufs[i].owner, scene.mbufs[i].flow) for i in mbufs[:taken]} <= {(3, LANE_OF_TESTS, NULL)}
    stats = scene.table("port_stats")[3]
    assert (stats.rx_packets, stats.rx_bytes, scene.reason(RECEIVED)) == (taken, 60 * taken, taken)
    scene.check()


def test_receive_leaves_what_is_more_than_a_burst(scene):
    mbufs = scene.wait_at(3, FLOWS) + scene.load([bytes(60)] * 8)
    ring, slots = scene.table("rings").ring[3], scene.table("rings").slots
    for n, i in enumerate(mbufs[BURST:]):
        slots[ring.first + BURST + n].index = i
    ring.tail, scene.lane.port = 40, 3
    scene.both(receive)
    assert scene.hand() == mbufs[:BURST] and ring.tail - ring.head == 8
    scene.both(receive)
    assert scene.hand() == mbufs[BURST:] and ring.tail == ring.head


def test_receive_owns_every_segment_so_that_a_dead_core_can_return_them(scene):
    i, = scene.wait_at(3, [bytes(5 * FILL)])
    scene.array("mbufs")["owner"] = 0
    scene.lane.port = 3
    scene.both(receive)
    assert [scene.mbufs[j].owner for j in scene.chain(i)] == [LANE_OF_TESTS] * 5


def test_receive_explains_each_packet_while_tracing(scene):
    scene.wait_at(3, [bytes(60), bytes(99)])
    scene.lane.port = 3
    scene.trace_on()
    scene.both(receive)
    assert scene.traced() == [(0, RECEIVED, 2, 60), (1, RECEIVED, 2, 99)]


# --- replay ----------------------------------------------------------------------------------------

SIZES = (1, 2, 7, 8, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1500, FILL, FILL + 1, 5000)


def record(scene, frames, *, pace=0, ends=0):
    """Have port 4 replay frames; their mbufs."""
    templates = scene.load(frames, port=4)
    scene.burst.n = 0
    slots = scene.table("rings").slots
    for n, i in enumerate(templates):
        slots[n].index = i
    port = scene.table("ports")[4]
    port.replay_first, port.replay_n, port.pace, port.option = 0, len(frames), pace, ends
    scene.lane.port = 4
    return templates


def test_replay_copies_frames_of_every_length_in_turn(scene):
    frames = [bytes(n % 251 for n in range(size)) for size in SIZES]
    templates = record(scene, frames, ends=1000)
    scene.both(replay)
    assert [scene.bytes_of(i) for i in scene.hand()] == (frames + frames)[:BURST]
    assert not set(scene.hand()) & set(templates)
    assert [scene.mbufs[i].serial for i in scene.hand()] == list(range(1, BURST + 1))
    assert {scene.mbufs[i].in_port for i in scene.hand()} == {4}
    assert [scene.mbufs[i].nb_segs for i in scene.hand()][SIZES.index(5000)] == 3
    scene.check(recorded=templates)


def test_replay_keeps_what_a_recorded_frame_says_of_offloads(scene):
    large, = record(scene, [bytes(5000)])
    scene.mbufs[large].tso_segsz, scene.mbufs[large].gso_type, scene.mbufs[large].ol_flags = 1448, 1, GSO
    scene.both(replay)
    assert {(m.tso_segsz, m.gso_type, int(m.ol_flags)) for m in (scene.mbufs[i] for i in scene.hand())} == {(1448, 1, int(GSO))}


def test_replay_ends_after_as_many_frames_as_asked_for(scene):
    record(scene, FLOWS[:5], ends=37)
    for wanted in (32, 5, 0):
        scene.both(replay)
        assert len(scene.hand()) == wanted
        for i in scene.hand():
            scene.table("pool").free[scene.table("pool").head[0].n].index = i
            scene.table("pool").head[0].n += 1


@pytest.mark.parametrize(("now", "came"), [(0, 0), (999, 0), (1000, 1), (10_500, 10), (10_000_000, 32)])
def test_replay_paces_by_the_lanes_clock(scene, now, came):
    record(scene, FLOWS[:5], pace=1000)
    scene.table("ports")[4].paced_at, scene.lane.now = 5_000_000, 5_000_000 + now
    scene.both(replay)
    assert len(scene.hand()) == came


@pytest.mark.parametrize(("free", "came"), [(0, 0), (1, 0), (32, 0), (33, 0), (34, 1), (40, 4)])
def test_replay_of_a_pool_that_runs_empty_in_a_chain_stops_and_loses_nothing(scene, free, came):
    templates = record(scene, [bytes(5000)])  # a copy takes a first mbuf for each place of the burst, then two more
    head = scene.table("pool").head[0]
    scene.leave_free(free)
    scene.both(replay)
    assert len(scene.hand()) == came and head.n == free - 3 * came and head.empty >= 1
    scene.check(recorded=templates)


@pytest.mark.parametrize("free", [0, 1, 31])
def test_replay_takes_as_many_mbufs_as_there_are(scene, free):
    templates = record(scene, FLOWS[:5])
    head = scene.table("pool").head[0]
    scene.leave_free(free)
    scene.both(replay)
    assert (len(scene.hand()), head.n, head.empty) == (free, 0, 1)
    scene.check(recorded=templates)


# --- transmit and sink -----------------------------------------------------------------------------

@pytest.mark.parametrize("n", [1, 32])
def test_transmit_puts_a_batch_into_the_ring_of_its_lane_and_port(scene, n):
    mbufs = scene.out(FLOWS[:n])
    ring = scene.table("rings").ring[PORTS + 2]
    ring.head = ring.tail = RING - 7
    scene.both(transmit)
    assert scene.sent(2) == mbufs and scene.dropped() == {} and scene.burst.first == n
    stats = scene.table("port_stats")[2]
    assert (stats.tx_packets, stats.tx_bytes, stats.tx_drops, scene.reason(SENT)) == (n, 60 * n, 0, n)
    scene.check()


@pytest.mark.parametrize("room", [0, 1, 20, 32])
def test_transmit_drops_what_the_ring_has_no_room_for(scene, room):
    mbufs = scene.out(FLOWS)
    ring = scene.table("rings").ring[PORTS + 2]
    ring.tail = RING - room
    scene.both(transmit)
    assert scene.dropped() == dict.fromkeys(range(room, 32), RING_FULL) and ring.overflow == 32 - room
    assert scene.sent(2)[RING - room:] == mbufs[:room] and scene.table("port_stats")[2].tx_drops == 32 - room


@pytest.mark.parametrize("stage", [transmit, sink])
def test_a_port_refuses_what_is_too_large_and_everything_while_down(scene, stage):
    frames = [bytes(1522), bytes(1523), bytes(60), bytes(40000), bytes(40000)]
    mbufs = scene.out(frames)
    scene.mbufs[mbufs[4]].tso_segsz = 1448
    scene.trace_on()
    scene.both(stage)
    assert scene.dropped() == {1: TOO_LARGE, 3: TOO_LARGE}
    assert [(scene.mbufs[mbufs[k]].reason_a, scene.mbufs[mbufs[k]].reason_b) for k in (1, 3)] == [(1523, 1500), (40000, 1500)]
    assert [(serial, a, b) for serial, why, a, b in scene.traced() if why == SENT] == [(0, 5, 1522), (2, 5, 60), (4, 5, 40000)]
    assert scene.table("port_stats")[2].tx_packets == 3
    scene.settle_output()
    scene.burst.n = 0
    scene.check()
    mbufs = scene.out(FLOWS[:3])
    scene.table("ports")[2].up = 0
    scene.both(stage)
    assert scene.dropped() == dict.fromkeys(range(3), LINK_DOWN)
    scene.settle_output()
    assert scene.burst.n == 0 or scene.burst.first == scene.burst.n
    scene.burst.n = 0
    scene.check()


@pytest.mark.parametrize("n", [1, 32])
def test_sink_returns_every_mbuf_of_every_chain(scene, n):
    before = scene.table("pool").head[0].n
    scene.out([bytes(1400 + 200 * (k % 2)) for k in range(n)])
    scene.table("ports")[2].mtu = 65535
    scene.both(sink)
    assert scene.table("pool").head[0].n == before and scene.table("port_stats")[2].tx_packets == n
    scene.burst.n = 0
    scene.check()
