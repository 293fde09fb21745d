"""The GRO table and the stage around it: time, pause, eviction, what finds no room, ports and places apart."""
import random

import numpy as np
import pytest
from gro_scene import EGRESS, INGRESS, A, B, Scene, cut, tcp
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether

from lab.engine import route
from lab.memory.reasons import F_PAUSE, GRO_HELD, GRO_MERGED
from lab.memory.record import NULL
from lab.offload.gro.table import EGRESS_PHASE, FAR, bucket_of, hash_of, place_of
from lab.offload.records import GRO_OFF, WAYS

FRAGMENT = bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2", frag=5, proto=17) / ("x" * 40))


@pytest.fixture
def scene():
    return Scene()


def one(k=0, **how):
    return tcp(1000 + 10 * k, bytes([65 + k]) * 10, ident=5 + k, **how)


def test_the_floor_below_has_the_numbers_of_the_conductor():
    assert (EGRESS_PHASE, INGRESS) == (route.EGRESS, route.INGRESS) and EGRESS == route.EGRESS


def test_a_packet_is_held_as_long_as_config_says(scene):
    assert scene.send(one()) == [] and (scene.lane.held, scene.lane.due) == (1, 1200)
    scene.lane.now = 1199
    assert scene.send(one(1)) == [] and scene.lane.due == 1200
    scene.lane.now = 1200
    scene.table("bursts")[0].n = 0
    [large] = scene.take_out(scene.call())
    assert large.count == 2 and (scene.lane.held, scene.lane.due) == (0, FAR)
    assert scene.told[-1] == ("flushed: held", 0, 2, 200) and scene.conserved()


def test_a_timeout_in_the_middle_of_traffic_lets_go_of_the_old_and_keeps_the_young(scene):
    scene.send(one())
    scene.lane.now = 1150
    scene.send(one(sport=5))
    scene.lane.now = 1210
    out = scene.send(one(sport=6))
    assert [p.bytes for p in out] == [one()] and (scene.lane.held, scene.lane.due) == (2, 1350)
    assert len(scene.pause()) == 2


def test_a_pause_lets_go_of_all(scene):
    scene.send(*[one(sport=100 + n) for n in range(20)])
    assert scene.lane.held == 20
    assert len(scene.pause()) == 20 and scene.codes().count("flushed: the traffic paused") == 20


def test_a_full_bucket_lets_go_of_its_oldest(scene):
    place = place_of(1, 1, 0, 1)
    addresses = 0x0A0000010A000002
    buckets = {}
    for sport in range(1000, 3000):
        h = hash_of(np.uint64(addresses), np.uint64(sport << 48 | 80 << 32 | place))
        buckets.setdefault(bucket_of(h), []).append(sport)
    sports = next(ports for ports in buckets.values() if len(ports) > WAYS)[:WAYS + 1]
    assert scene.send(*[one(sport=n) for n in sports[:WAYS]]) == []
    [oldest] = scene.send(one(sport=sports[WAYS]))
    assert oldest.bytes == one(sport=sports[0]) and "flushed: another flow needs its place" in scene.codes()
    assert scene.table("gro").head[0].evicted == 1
    assert len(scene.pause()) == WAYS


def held_flows(scene, n, **how):
    """Have so many flows held."""
    for at in range(0, n, 30):
        assert scene.send(*[one(sport=100 + at + k) for k in range(min(30, n - at))], **how) == []
    assert scene.lane.held == n


@pytest.mark.parametrize("side, room", [(INGRESS, 32), (EGRESS, 64)])
def test_what_finds_no_room_in_the_burst_stays_ready_and_goes_on_later(side, room):
    scene = Scene(side=side, port=3)
    held_flows(scene, 90, port=3)
    scene.put(FRAGMENT, port=3)
    first = scene.call()
    left = scene.lane.ready if side == INGRESS else scene.lane.ready_out
    assert len(first) == room and left == 91 - room
    ready = scene.table("gro").ready[0 if side == INGRESS else 1]
    assert (ready.port, ready.at, ready.n) == (3, 1, left)
    out = scene.take_out(first)
    assert len(out) == 91 and out[-1].bytes == FRAGMENT and scene.lane.held == 0 and scene.conserved()


def test_what_waits_for_a_place_of_the_arc_is_not_taken_along_at_the_next():
    scene = Scene()
    held_flows(scene, 50)
    scene.put(FRAGMENT)
    first = scene.call()
    assert len(first) == 32 and scene.lane.ready == 19
    scene.lane.at = 3  # the same burst at the second `gro` of its arc, which holds what it can
    second = scene.call()
    assert second == [] and (scene.lane.held, scene.lane.ready) == (32, 19)
    ready = scene.table("gro").ready[0]
    assert ready.at == 1
    scene.lane.at = 1
    scene.table("bursts")[0].n = 0
    out = scene.take_out(scene.call())
    assert len(out) == 19 and out[-1].bytes == FRAGMENT
    scene.lane.at = 3
    assert len(scene.pause()) == 32


def test_at_a_pause_no_more_leaves_than_the_burst_has_room_for():
    scene = Scene()
    held_flows(scene, 70)
    scene.lane.paused = 1
    out = []
    while scene.lane.held:
        scene.table("bursts")[0].n = 0
        found = scene.call()
        assert scene.lane.ready == 0
        out.append(len(found))
        for i in found:
            scene.give(i)
    assert out == [32, 32, 6] and scene.conserved()


def test_a_port_without_gro_passes_all_and_lets_go_of_what_it_held(scene):
    scene.send(one())
    scene.rows[1].gro = GRO_OFF
    out = scene.send(one(1))
    assert [p.bytes for p in out] == [one(), one(1)] and "flushed: its port does GRO no more" in scene.codes() and scene.conserved()


def test_two_ports_and_two_places_of_an_arc_hold_apart(scene):
    scene.send(one(), port=1)
    scene.send(one(1), port=2)  # out of a tunnel, on the same arc
    scene.lane.at = 2
    scene.send(one(1), port=1)
    scene.lane.at, scene.lane.port = 1, 2
    scene.send(one(1), port=1)
    assert scene.lane.held == 4
    items = scene.table("gro").items
    assert sorted((i.port, i.at) for i in (items[n] for n in range(len(items))) if i.first != NULL) == [(1, 1), (1, 1), (1, 2), (2, 1)]


def test_only_the_place_of_the_call_is_let_go_of_and_an_empty_call_always_moves_on(scene):
    scene.send(one())
    scene.lane.port = 2
    scene.send(one(), port=2)
    scene.lane.now = 2000
    scene.table("bursts")[0].n = 0
    assert len(scene.take_out(scene.call())) == 1 and scene.lane.held == 1 and scene.lane.due <= scene.lane.now
    scene.lane.port = 1
    scene.table("bursts")[0].n = 0
    assert len(scene.take_out(scene.call())) == 1 and scene.lane.due == FAR and scene.conserved()


def test_order_within_flows_never_changes_whatever_comes(scene):
    dice = random.Random(3)
    sent, out, at = {}, [], {}
    for _ in range(12):
        frames = []
        for _ in range(32):
            sport = dice.randrange(5)
            k = at[sport] = at.get(sport, -1) + 1
            flags = dice.choice(["A"] * 6 + ["PA", "S", "FA", "AE"])
            size = dice.choice([10, 10, 10, 7, 12, 0])
            frame = tcp(k, bytes([k & 0xFF]) * size, ident=k, sport=sport, flags=flags)
            if dice.random() < 0.1:
                frame = frame[:-1] + b"?"
            sent.setdefault(sport, []).append(frame)
            frames.append(frame)
        out += scene.send(*frames)
        scene.lane.now += dice.choice([5, 300])
    out += scene.pause()
    left = {}
    for frame in (f for p in out for f in cut(p)):
        left.setdefault(int.from_bytes(frame[34:36], "big"), []).append(frame)
    assert left == sent


def test_what_came_what_was_merged_and_what_left_is_counted(scene):
    scene.send(one(), one(1), one(2), one(sport=5))
    scene.pause()
    head, reasons = scene.table("gro").head[0], scene.table("reasons")
    assert (head.packets, head.merged, head.flushed, head.held) == (4, 2, 1, 0)
    assert (reasons[GRO_HELD].count, reasons[GRO_MERGED].count, reasons[F_PAUSE].count) == (2, 2, 2)


@pytest.mark.parametrize("frame", [b"", bytes(14), bytes(60), one()[:40], one()[:16] + b"\0\x13" + one()[18:],
                                   one()[:16] + b"\xff\xff" + one()[18:],
                                   one()[:46] + b"\xf0" + one()[47:], one()[:23] + b"\0" + one()[24:]])
def test_a_checked_build_finds_nothing_to_complain_of_in_frames_that_lie(frame):
    scene = Scene()
    scene.checked = True
    assert [p.bytes for p in scene.send(frame)] == [frame]
    out = scene.send(one(), one(1), frame) + scene.pause()
    assert [f for p in out for f in cut(p) if f != frame] == [one(), one(1)] and scene.conserved()
