"""Stages that keep packets from call to call: nothing is lost, doubled or sent elsewhere when something ends in between.

All stepped, so that one can stop just there: while GSO is cutting, while GRO has packets ready that found no room, while a
tunnel's batch waits for the batch below it.
"""
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from lab import Switch, stage
from lab.engine.route import EGRESS

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def tcp(n, sport=1000, seq=1, flags="A", vlan=None):
    packet = Ether(src=A, dst=B)
    packet = packet / Dot1Q(vlan=vlan) if vlan else packet
    return packet / IP(src="10.0.0.1", dst="10.0.0.2", id=5) / TCP(sport=sport, dport=80, flags=flags, seq=seq) / bytes(n)


@stage
def stumble(bursts):
    """Fail."""
    bursts[0].pkt[1000] = 1


@stage
def nothing(bursts):
    """Do nothing."""
    bursts[0].n = bursts[0].n


@pytest.fixture
def sw():
    switch = Switch(fail_mode="secure")
    for name in ("vm1", "vm2", "vm3"):
        switch.add_port(name)
    yield switch
    switch.mempool.check()
    switch.close()


def upto(sw, wanted):
    """Step until something holds."""
    for _ in range(2000):
        if wanted():
            return
        assert sw.step() is not None, "nothing moves any more"
    raise AssertionError("it never came to that")


def rest(sw):
    """Step to the end."""
    for _ in range(5000):
        if sw.step() is None:
            sw.mempool.check()
            assert sw.mempool.free == len(sw.mempool)
            return
    raise AssertionError("it never ends")


def lane(sw, name):
    return int(sw.engine.array("lane", 1)[name][0])


def cutting(sw):
    cut = sw.engine.array("cuts", 1)[0]
    return int(cut["first"]) < int(cut["n"]) and int(cut["done"]) > 0 and lane(sw, "phase") == EGRESS


# --- while GSO is cutting ---------------------------------------------------------------------------------------

def test_a_stage_behind_gso_that_fails_costs_the_rest_of_the_cut_and_no_reference(sw):
    sw.ports["vm2"].offloads.clear()
    sw.ofctl("add-flow actions=output:vm2")
    sw.ports["vm1"].inject(tcp(60_000), gso_size=448, external=True)
    upto(sw, lambda: cutting(sw))
    sw.stages["egress.checksum"].swap(stumble)
    upto(sw, lambda: sw.timeline[-1].error)
    sw.stages["egress.checksum"].swap(None)
    rest(sw)
    assert sw.counters["dropped: stage failed"] > 0 and not sw.ports["vm1"].outside.lent


def test_an_arc_that_changes_while_gso_is_cutting_skips_no_stage(sw):
    vm2 = sw.ports["vm2"]
    vm2.offloads.clear()
    vm2.egress.insert(0, nothing)
    sw.ofctl("add-flow actions=output:vm2")
    sw.ports["vm1"].inject(tcp(60_000), gso_size=700)
    upto(sw, lambda: cutting(sw))
    vm2.egress.remove("nothing")
    rest(sw)
    assert len(vm2.sent) == 86 and {packet.csum_state for packet in vm2.sent} == {"good"}
    assert all(packet.checksums[1].state == "good" for packet in vm2.sent)


def test_the_story_of_a_packet_begins_alone_though_another_is_being_cut(sw):
    sw.ports["vm2"].offloads.clear()
    sw.ofctl("add-flow actions=output:vm2")
    sw.ports["vm1"].inject(tcp(60_000), gso_size=700)
    upto(sw, lambda: cutting(sw))
    assert "out: 1 through vm2" in str(sw.trace(bytes(tcp(10)), in_port="vm1"))
    rest(sw)


def test_a_port_that_goes_while_a_packet_is_cut_for_it_takes_the_rest_along(sw):
    sw.ports["vm2"].offloads.clear()
    sw.ofctl("add-flow actions=output:vm2")
    sw.ports["vm1"].inject(tcp(60_000), gso_size=700)
    upto(sw, lambda: cutting(sw))
    sw.remove_port("vm2")
    rest(sw)


# --- while GRO has packets ready --------------------------------------------------------------------------------

def bursts_of_flows(flows=20, tags=8):
    return [tcp(100, 2000 + flow, vlan=tag) for flow in range(flows) for tag in range(1, tags + 1)]


def held_and_flushed(sw, port):
    """Many flows held, then a packet of each that cannot be merged: more leave at once than a burst takes."""
    port.inject(bursts_of_flows())
    upto(sw, lambda: not port.waiting and lane(sw, "phase") == 0 and not lane(sw, "pending"))
    port.inject([tcp(0, 2000 + flow, flags="S", vlan=1) for flow in range(20)] * 3)


def test_what_gro_has_ready_survives_a_stage_that_fails_further_on(sw):
    sw.ports["vm1"].gro = "linux"
    sw.ofctl("add-flow actions=output:vm2")
    held_and_flushed(sw, sw.ports["vm1"])
    upto(sw, lambda: lane(sw, "ready") or not sw.ports["vm1"].waiting)
    sw.stages["parse"].swap(stumble)
    upto(sw, lambda: sw.timeline[-1].error)
    sw.stages["parse"].swap(None)
    sw.mempool.check()
    rest(sw)


def test_what_is_ready_for_one_port_never_leaves_by_another(sw):
    vm2 = sw.ports["vm2"]
    vm2.gro, vm2.gro_arc = "linux", "egress"
    sw.ofctl("add-flow in_port=vm1,tcp,actions=output:vm2")
    sw.ofctl("add-flow in_port=vm3,actions=output:vm1")
    vm2.egress.append(nothing)
    held_and_flushed(sw, sw.ports["vm1"])
    upto(sw, lambda: lane(sw, "ready_out") or not sw.ports["vm1"].waiting)
    sw.stages["nothing"].swap(stumble)
    upto(sw, lambda: sw.timeline[-1].error)
    sw.stages["nothing"].swap(None)
    sw.ports["vm3"].inject([bytes(60)])
    rest(sw)
    assert [packet.bytes() for packet in sw.ports["vm1"].sent] == [bytes(60)]


def test_a_port_that_goes_takes_what_gro_holds_for_it_and_the_next_of_its_number_begins_anew(sw):
    sw.ports["vm1"].gro = "dpdk"
    sw.gro.cycles = 10**9
    sw.ofctl("add-flow actions=output:vm2")
    sw.ports["vm1"].inject(tcp(100))
    upto(sw, lambda: len(sw.gro) == 1)
    sw.remove_port("vm1")
    sw.gro.cycles = 0
    sw.add_port("vm1", gro="dpdk", ofport=1).inject(tcp(100, seq=101))
    rest(sw)
    assert [len(packet) for packet in sw.ports["vm2"].sent] == [154]


def test_a_stage_in_gros_place_that_lets_nothing_go_does_not_keep_the_switch_moving(sw):
    sw.ports["vm1"].gro = "linux"
    sw.ofctl("add-flow actions=output:vm2")
    sw.ports["vm1"].inject(tcp(100))
    upto(sw, lambda: len(sw.gro) == 1)
    sw.stages["ingress.gro"].swap(nothing)
    for _ in range(50):
        if sw.step() is None:
            break
    else:
        raise AssertionError("it never ends")
    sw.stages["ingress.gro"].swap(None)
    rest(sw)
    assert len(sw.ports["vm2"].sent) == 1


# --- while a tunnel waits ---------------------------------------------------------------------------------------

def tunnelled(sw, tunnels=3):
    sw.add_port("eth", ofport=20)  # behind the tunnels, so that their batches come first
    sw.routes.add("10.9.0.0/24", "eth")
    sw.neighbours.add("10.9.0.2", "02:00:00:00:00:99", "eth")
    names = [f"vx{n}" for n in range(tunnels)]
    for n, name in enumerate(names):
        sw.add_port(name, type="vxlan", remote_ip="10.9.0.2", key=n)
    sw.ofctl(f"add-flow in_port=vm1,actions={','.join('output:' + name for name in names)}")
    return names


def test_a_tunnel_that_goes_while_its_batch_waits_for_the_one_below_returns_what_has_not_gone_on(sw):
    tunnelled(sw)
    sw.ports["vm1"].inject([tcp(10, port) for port in range(1000, 1024)])
    number = sw.ports["vx2"].ofport
    upto(sw, lambda: 0 < int(sw.engine.array("outs", 1)[number]["first"]) < int(sw.engine.array("outs", 1)[number]["n"]))
    sw.remove_port("vx2")
    sw.mempool.check()
    rest(sw)


def test_a_stage_that_fails_below_a_waiting_tunnel_costs_its_own_batch_alone(sw):
    tunnelled(sw)
    sw.ports["eth"].egress.append(nothing)
    sw.ports["vm1"].inject([tcp(10, port) for port in range(1000, 1024)])
    number = sw.ports["vx2"].ofport
    upto(sw, lambda: 0 < int(sw.engine.array("outs", 1)[number]["first"]) < int(sw.engine.array("outs", 1)[number]["n"]))
    sw.stages["nothing"].swap(stumble)
    upto(sw, lambda: sw.timeline[-1].error)
    sw.stages["nothing"].swap(None)
    sw.mempool.check()
    rest(sw)
    assert len(sw.ports["eth"].sent) == 72 - 64


def test_the_arc_of_a_tunnel_is_passed_once_however_often_its_batch_waits(sw):
    names = tunnelled(sw)
    seen = []
    for name in names:
        sw.ports[name].egress.append(nothing)
    sw.ports["vm1"].inject([tcp(10, port) for port in range(1000, 1032)])
    for _ in range(500):
        step = sw.step()
        if step is None:
            break
        if step.stage.endswith("nothing"):
            seen.append((step.stage, step.before))
    assert seen == [(f"{name}.egress.nothing", 32) for name in names]
    rest(sw)


# --- two cores --------------------------------------------------------------------------------------------------

def test_a_short_packet_does_not_overtake_a_large_one_of_its_flow_on_the_way_to_another_core():
    sw = Switch(cores=2, fail_mode="secure")
    sw.add_port("vm1", vrouter=True)
    vm2 = sw.add_port("vm2", offloads=())
    sw.ofctl("add-flow actions=output:vm2")
    for sport in range(1000, 1008):
        sw.ports["vm1"].inject([tcp(3000, sport)], gso_size=1000)
        sw.ports["vm1"].inject([bytes(tcp(7, sport, seq=3001))])
    while sw.step() is not None:
        pass
    flows = {}
    for packet in vm2.sent:
        layer = Ether(packet.bytes())[TCP]
        flows.setdefault(layer.sport, []).append(layer.seq)
    assert set(map(tuple, flows.values())) == {(1, 1001, 2001, 3001)} and len(flows) == 8
    sw.mempool.check()
    sw.close()
