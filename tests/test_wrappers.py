"""Wrappers of a port: the same face, the same bad luck for the same seed, nothing lost unseen, and captures that others read."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import Switch
from lab.memory.reasons import IMPAIRED
from lab.packet.packet import Packet
from lab.ports.capture import read
from lab.ports.wrappers import Impaired, Tap

SYN = bytes.fromhex(
    "020000000002020000000001080045000028000100004006 66cd 0a0000010a000002 9c400050 0000000000000000 5002200091 7b0000".replace(" ", "")
)


def frames(n):
    """Frames that a person can tell apart by their last two bytes."""
    return [SYN[:-2] + k.to_bytes(2, "big") for k in range(n)]


def numbers(packets):
    return [int.from_bytes(bytes(p)[-2:], "big") for p in packets]


@pytest.fixture
def sw():
    switch = Switch("br0")
    switch.add_port("vm1"), switch.add_port("vm2")
    switch.ofctl("add-flow in_port=vm1,actions=output:vm2")
    switch.ofctl("add-flow in_port=vm2,actions=output:vm1")
    yield switch
    switch.close()


def drain(switch):
    """What comes out at vm2 when the switch is stepped until nothing moves."""
    while switch.step():
        pass
    return numbers(switch.ports["vm2"].sent)


def test_a_wrapper_has_its_ports_face_and_stands_in_its_place(sw):
    vm1 = sw.ports["vm1"]
    with Impaired(vm1) as wire:
        assert sw.ports["vm1"] is wire is sw.ports[1]
        assert (wire.name, wire.mac, wire.ofport, wire.sent) == (vm1.name, vm1.mac, vm1.ofport, vm1.sent)
        wire.mtu = 9000
        assert vm1.mtu == 9000
        assert "mtu" in dir(wire) and "on_the_wire" in dir(wire)
        with pytest.raises(AttributeError, match="nonsense"):
            wire.nonsense  # noqa: B018
        assert repr(vm1) in repr(wire)
    assert sw.ports["vm1"] is vm1


def test_a_setting_reaches_the_port_through_two_wrappers(sw, tmp_path):
    vm1 = sw.ports["vm1"]
    with Impaired(vm1) as wire, Tap(wire, tmp_path / "a.pcapng") as tap:
        tap.mtu = 1600
        tap.up = False
        assert (vm1.mtu, vm1.up) == (1600, False)


def test_wrappers_leave_in_any_order(sw, tmp_path):
    vm1 = sw.ports["vm1"]
    wire = Impaired(vm1)
    tap = Tap(wire, tmp_path / "a.pcapng")
    wire.close()
    assert sw.ports["vm1"] is tap and tap.port is vm1
    tap.close()
    tap.close()
    assert sw.ports["vm1"] is vm1


def test_a_port_is_not_wrapped_twice_side_by_side(sw):
    vm1 = sw.ports["vm1"]
    with Impaired(vm1), pytest.raises(ValueError, match=r"wrap what stands there now, sw.ports\['vm1'\]"):
        Impaired(vm1)


def test_a_wire_that_does_nothing_changes_nothing(sw):
    wire = Impaired(sw.ports["vm1"])
    assert wire.inject(frames(40)) == 40
    assert drain(sw) == list(range(40))
    assert "changes nothing, seed 0; 40 offered, 0 lost" in repr(wire)


def outcome(seed, **impairments):
    """What arrives of 60 frames, with the wrapper's counters."""
    switch = Switch("br0")
    vm1 = switch.add_port("vm1")
    with Impaired(vm1, seed, **impairments) as wire:
        wire.inject(frames(60))
        wire.flush()
        ring, slots = switch.engine.array("rings", None, "ring")[vm1.number], switch.engine.array("rings", None, "slots")
        came = numbers(Packet.of_chain(switch.engine.arena, slots["index"][ring["first"] + k]) for k in range(vm1.waiting))
        counts = (wire.offered, wire.lost, wire.reordered, wire.duplicated, wire.delivered, wire.refused, wire.on_the_wire)
    switch.close()
    return came, counts


def test_one_seed_is_one_fate_and_another_seed_another():
    bad = {"loss": 0.3, "reorder": 0.3, "duplicate": 0.3, "delay_ms": 2, "jitter_ms": 2}
    assert outcome(7, **bad) == outcome(7, **bad)
    assert outcome(7, **bad) != outcome(8, **bad)


def test_a_further_impairment_does_not_change_who_is_lost():
    lost = set(range(60)) - set(outcome(3, loss=0.2)[0])
    assert lost == set(range(60)) - set(outcome(3, loss=0.2, duplicate=0.5, reorder=0.5)[0])
    assert 0 < len(lost) < 60


shares = st.floats(0, 1)


@settings(max_examples=25)
@given(seed=st.integers(0, 1 << 32), loss=shares, reorder=shares, duplicate=shares, delay=st.integers(0, 9))
def test_every_frame_offered_is_lost_delivered_or_on_the_wire(seed, loss, reorder, duplicate, delay):
    bad = {"loss": loss, "reorder": reorder, "duplicate": duplicate, "delay_ms": delay}
    came, (offered, lost, _, doubled, delivered, refused, held) = outcome(seed, **bad)
    assert offered + doubled == lost + delivered + refused + held
    assert held == 0 and len(came) == delivered
    assert len(set(came)) == offered - lost


def test_losses_are_counted_by_reason_and_stay_when_steps_are_taken_back(sw):
    wire = Impaired(sw.ports["vm1"], seed=1, loss=0.5)
    wire.inject(frames(20))
    assert wire.lost and sw.engine.array("reasons", 0)["count"][IMPAIRED] == wire.lost
    assert sw.counters["dropped: impaired"] == wire.lost
    sw.step()
    wire.inject(frames(20))
    sw.step()
    while sw.back():
        pass
    assert sw.counters["dropped: impaired"] == wire.lost
    assert drain(sw) == drain(sw) and len(sw.ports["vm2"].sent) == wire.delivered


def test_without_jitter_a_delay_keeps_the_order_and_the_clock_lets_frames_arrive(sw):
    wire = Impaired(sw.ports["vm1"], delay_ms=5)
    assert wire.inject(frames(4)) == 0
    assert wire.on_the_wire == 4 and sw.step() is None
    sw.appctl("time/warp 4")
    assert sw.step() is None
    sw.appctl("time/warp 1")
    assert drain(sw) == [0, 1, 2, 3]
    assert wire.on_the_wire == 0


def test_a_later_frame_waits_for_its_own_time(sw):
    wire = Impaired(sw.ports["vm1"], delay_ms=5)
    first, second = frames(2)
    wire.inject(first)
    sw.clock.warp(3)
    wire.inject(second)
    sw.clock.warp(2)
    assert drain(sw) == [0]
    sw.clock.warp(3)
    assert drain(sw) == [0, 1]


def test_jitter_alone_can_turn_the_order(sw):
    wire = Impaired(sw.ports["vm1"], seed=2, delay_ms=5, jitter_ms=5)
    wire.inject(frames(30))
    sw.clock.warp(10)
    came = drain(sw)
    assert sorted(came) == list(range(30)) and came != sorted(came)


def test_a_reordered_frame_lets_the_next_one_go_first_and_is_not_stuck(sw):
    wire = Impaired(sw.ports["vm1"], seed=5, reorder=0.3)
    wire.inject(frames(30))
    came = drain(sw)
    assert sorted(came) == list(range(30)) and wire.reordered > 0
    assert all(abs(place - number) <= wire.reordered for place, number in enumerate(came)) and came != sorted(came)
    last = Impaired(sw.ports["vm1"], reorder=1.0)
    sw.ports["vm2"].sent.clear()
    assert last.inject(frames(1)) == 0 and drain(sw) == [0]


def test_a_duplicate_follows_its_original(sw):
    wire = Impaired(sw.ports["vm1"], duplicate=1.0)
    assert wire.inject(frames(3)) == 6
    assert drain(sw) == [0, 0, 1, 1, 2, 2]


def test_frames_arrive_by_themselves_while_the_switch_is_started(sw):
    wire = Impaired(sw.ports["vm1"], delay_ms=1)
    sw.start()
    try:
        wire.inject(frames(5))
        until = time.monotonic() + 30
        while len(sw.ports["vm2"].sent) < 5 and time.monotonic() < until:
            time.sleep(0.001)
    finally:
        sw.stop()
    assert numbers(sw.ports["vm2"].sent) == [0, 1, 2, 3, 4]


def test_looking_at_a_port_inside_a_stage_lets_nothing_arrive(sw):
    sw.ports["vm2"].inject(SYN)
    wire = Impaired(sw.ports["vm1"], reorder=1.0)
    sw.step()
    wire.inject(SYN)
    sw.step(into=True)
    assert "waiting" not in repr(wire.port) and wire.waiting == 0 and wire.on_the_wire == 1
    assert sw.walk.inside is not None
    sw.step()
    assert wire.waiting == 1


def test_a_pool_that_is_empty_keeps_the_frame_on_the_wire(sw):
    wire = Impaired(sw.ports["vm1"], delay_ms=1)
    wire.inject([SYN + bytes(100_000)])
    sw.clock.warp(1)
    pool = sw.engine.array("pool", 0, "head")
    free = {lane: int(sw.engine.array("pool", lane, "head")["n"][0]) for lane in (0, 1)}
    for lane in free:
        sw.engine.array("pool", lane, "head")["n"] = 3
    assert wire.waiting == 0 and wire.on_the_wire == 1
    with pytest.raises(MemoryError, match="mempool is empty"):
        wire.flush()
    for lane, n in free.items():
        sw.engine.array("pool", lane, "head")["n"] = n
    assert wire.waiting == 1 and pool["n"][0] < free[0]


@pytest.mark.parametrize(
    "wrong, words",
    [({"loss": 1.5}, "loss=1.5 is not a share"), ({"reorder": -0.1}, "reorder=-0.1"), ({"jitter_ms": 3, "delay_ms": 2}, "jitter_ms=3"),
     ({"delay_ms": -1}, "delay_ms=-1")],
)  # fmt: skip
def test_impairments_out_of_range_are_refused(sw, wrong, words):
    vm1 = sw.ports["vm1"]
    with pytest.raises(ValueError, match=words):
        Impaired(vm1, **wrong)
    assert sw.ports["vm1"] is vm1


def test_bad_frames_are_refused_when_they_are_injected_not_when_they_arrive(sw):
    wire = Impaired(sw.ports["vm1"], delay_ms=5)
    for bad in (b"", bytes(200_000)):
        with pytest.raises(ValueError, match="a frame has 1 to"):
            wire.inject([SYN, bad])
    with pytest.raises(ValueError, match="gso_size"):
        wire.inject(bytes(60), gso_size=100)
    assert wire.offered == wire.on_the_wire == 0


def test_removing_the_port_forgets_its_wire(sw):
    wire = Impaired(sw.ports["vm1"], delay_ms=5)
    wire.inject(frames(3))
    sw.remove_port("vm1")
    assert wire.on_the_wire == 0 and "vm1" not in sw.ports
    wire.close()
    assert "vm1" not in sw.ports


def test_in_a_fork_the_wire_is_a_plain_one(sw):
    Impaired(sw.ports["vm1"], loss=1.0)
    copy = sw.fork()
    assert copy.ports["vm1"].inject(SYN) == 1
    assert "out: 1 through vm2" in sw.trace(SYN).text
    copy.close()


def test_a_tap_writes_both_ways_with_the_engines_time(sw, tmp_path):
    path = tmp_path / "vm1.pcapng"
    with Tap(sw.ports["vm1"], path) as tap:
        assert tap.inject([SYN, SYN]) == 2
        sw.clock.warp(7)
        sw.ports["vm2"].inject(SYN + b"!")
        sw.run()
        assert "2 in, 1 out" in repr(tap)
    assert [(f.interface, f.ns, f.data) for f in read(path)] == [("vm1 in", 0, SYN)] * 2 + [("vm1 out", 7_000_000, SYN + b"!")]


def test_a_tap_that_is_closed_captures_no_more(sw, tmp_path):
    path = tmp_path / "vm2.pcapng"
    Tap(sw.ports["vm2"], path).close()
    sw.ports["vm1"].inject(SYN)
    sw.run()
    assert list(read(path)) == []


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_scapy_reads_what_a_tap_wrote(sw, tmp_path, kind):
    scapy = pytest.importorskip("scapy.all")
    path = str(tmp_path / f"vm1.{kind}")
    with Tap(sw.ports["vm1"], path, kind) as tap:
        tap.inject("datasets/first-flow.pcap")
    packets = scapy.rdpcap(path)
    assert [bytes(p) for p in packets] == [f.data for f in read("datasets/first-flow.pcap")]
    assert packets[0].summary().startswith("Ether / IP / TCP 10.0.0.1:40000 > 10.0.0.2:")


def test_a_tap_before_a_bad_wire_sees_all_and_behind_it_what_came_through(sw, tmp_path):
    behind = Tap(sw.ports["vm1"], tmp_path / "behind.pcapng")
    wire = Impaired(behind, seed=4, loss=0.5)
    before = Tap(wire, tmp_path / "before.pcapng")
    before.inject(frames(20))
    assert before.captured_in == 20 and behind.captured_in == wire.delivered == 20 - wire.lost < 20
    for wrapper in (before, wire, behind):
        wrapper.close()
