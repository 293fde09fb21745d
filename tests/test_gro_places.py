"""GRO at several places: what waits goes on from where it stood, what is due leaves there, and no list grows over its end."""
import numpy as np
import pytest
from gro_scene import EGRESS, INGRESS, A, B, Scene, tcp
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from lab import Switch
from lab.offload.gro.table import FAR, bucket_of, hash_of, place_of
from lab.offload.records import GRO_DPDK, GRO_LINUX, READY
from lab.offload.records import VXLAN as VXLAN_KIND
from lab.stages.burst import BURST

FRAGMENT = bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2", frag=5, proto=17) / ("x" * 40))


def flow(sport, flags="A", vlan=0):
    link = Ether(src=A, dst=B)
    return tcp(1000 if flags == "A" else 7, b"x" * 10, sport=sport, flags=flags, link=link / Dot1Q(vlan=vlan) if vlan else link)


def apart(n, place):
    """So many source ports whose flows lie in buckets of their own."""
    found = {}
    for sport in range(1000, 3000):
        found.setdefault(bucket_of(hash_of(np.uint64(0x0A0000010A000002), np.uint64(sport << 48 | 80 << 32 | place))), sport)
    return list(found.values())[:n]


def call_empty(scene):
    scene.table("bursts")[0].n = 0
    return scene.call()


def give_all(scene, found):
    for i in found:
        scene.give(i)


# --- who makes way for whom ---------------------------------------------------------------------------------


def test_a_packet_lets_go_of_its_own_flow_and_not_of_one_in_another_vlan():
    scene = Scene()
    assert scene.send(flow(5, vlan=1), flow(5, vlan=2)) == []
    assert [p.bytes for p in scene.send(flow(5, "S", vlan=1))] == [flow(5, vlan=1), flow(5, "S", vlan=1)]
    assert scene.lane.held == 1 and [p.bytes for p in scene.pause()] == [flow(5, vlan=2)]


def test_flows_of_one_hash_in_eight_vlans_do_not_all_leave_for_one_packet():
    scene = Scene()
    sports = apart(32, place_of(1, 1, 0, 1))
    for vlan in range(1, 9):
        assert scene.send(*[flow(sport, vlan=vlan) for sport in sports]) == []
    assert scene.lane.held == 256
    scene.put(*[flow(sport, "S", vlan=1) for sport in sports])
    found = scene.call()
    assert scene.lane.held == 224 and len(found) + scene.lane.ready == 64
    scene.take_out(found)
    assert len(scene.pause()) == 224


def test_with_acknowledgements_joined_one_acknowledgement_does_not_let_go_of_other_profiles_items_without_end():
    scene = Scene()
    scene.rows[1].gro_acks = 1
    place = place_of(1, 1, 0, 1)
    sports = apart(20, place)
    for vlan in range(1, 9):
        scene.send(*[flow(sport, vlan=vlan) for sport in sports])
    items = scene.table("gro").items
    for n in range(len(items)):
        items[n].kind = 10  # as if another profile held them, with nothing to write when they leave
    scene.put(*[tcp(1000, b"", sport=sport, link=Ether(src=A, dst=B) / Dot1Q(vlan=1)) for sport in sports])
    found = scene.call()
    ready = scene.table("gro").ready[0]
    assert len(found) == BURST and len(found) + ready.n < READY // 2 + BURST
    scene.take_out(found)
    scene.pause()


def test_udp_to_the_port_of_a_tunnel_of_this_switch_is_not_merged_even_where_no_rfc_names_it():
    scene = Scene()

    def datagrams(port):
        nets = [IP(src="10.0.0.1", dst="10.0.0.2", id=k) for k in range(3)]
        return [bytes(Ether(src=A, dst=B) / net / UDP(sport=7, dport=port) / ("y" * 50)) for net in nets]

    assert len(scene.send(*datagrams(8472)) + scene.pause()) == 1
    scene.table("tunnel_ports")[5].kind, scene.table("tunnel_ports")[5].dst_port = VXLAN_KIND, 8472
    assert [p.bytes for p in scene.send(*datagrams(8472))] == datagrams(8472)
    assert len(scene.send(*datagrams(8473)) + scene.pause()) == 1


# --- time ---------------------------------------------------------------------------------------------------


def test_what_is_due_at_one_port_does_not_push_out_what_another_profile_holds_longer():
    scene = Scene()
    scene.rows[1].gro = GRO_DPDK
    scene.table("config")[0].gro_cycles, scene.table("config")[0].cycles_per_us = 50_000_000, 1000
    assert scene.send(flow(5)) == []
    scene.lane.port = 2
    assert scene.send(flow(5), port=2) == []
    scene.lane.now, scene.lane.port = 1500, 1
    assert call_empty(scene) == [] and scene.lane.held == 2
    scene.lane.port = 2
    [left] = scene.take_out(call_empty(scene))
    assert left.serial == 1 and (scene.lane.held, scene.lane.due) == (1, 51_000)


@pytest.mark.parametrize("side", [INGRESS, EGRESS])
def test_what_stood_at_a_place_that_the_arc_has_no_more_leaves_when_it_is_due(side):
    scene = Scene(side=side)
    assert scene.send(flow(5)) == []
    scene.lane.at = 4
    assert call_empty(scene) == [] and scene.lane.held == 1
    scene.lane.now = 1200
    assert len(scene.take_out(call_empty(scene))) == 1 and scene.lane.due == FAR and scene.conserved()


# --- what finds no room -------------------------------------------------------------------------------------


def held_at(scene, at, n):
    """Have so many flows held at a place of the arc."""
    scene.lane.at = at
    for first in range(0, n, BURST):
        assert scene.send(*[flow(100 * at + k) for k in range(first, min(n, first + BURST))]) == []


def test_what_the_second_place_has_no_room_for_goes_on_from_there_before_what_waits_at_the_first():
    scene = Scene()
    held_at(scene, 3, BURST)
    held_at(scene, 1, 50)
    scene.put(FRAGMENT)
    give_all(scene, scene.call())
    ready = scene.table("gro").ready[0]
    assert (ready.at, ready.n) == (1, 19)
    scene.lane.at = 3
    scene.put(*[flow(300 + k, "S") for k in range(BURST)])
    give_all(scene, scene.call())
    assert (ready.at, ready.n) == (3, BURST + 19)
    found = call_empty(scene)
    sent = [bytes(scene.arena.bytes[m.buf + m.data_off:m.buf + m.data_off + m.data_len]) for m in (scene.table("mbufs")[i] for i in found)]
    assert sent == [frame for k in range(16, 32) for frame in (flow(300 + k), flow(300 + k, "S"))]
    give_all(scene, found)
    assert (ready.at, ready.n) == (1, 19)
    scene.lane.at = 1
    out = [p.bytes for p in scene.take_out(call_empty(scene))]
    assert out[-1] == FRAGMENT and len(out) == 19 and scene.conserved()


def test_places_behind_each_other_never_make_more_ready_than_there_is_room_for():
    scene = Scene()
    places = range(1, 11)
    for at in places:
        held_at(scene, at, BURST)
    out = 0
    for at in places:
        scene.lane.at = at
        scene.put(*[flow(100 * at + k, "S") for k in range(BURST)])
        found = scene.call()
        out += len(found)
        give_all(scene, found)
        assert scene.table("gro").ready[0].n <= READY - BURST
    while scene.lane.ready:
        scene.lane.at = scene.table("gro").ready[0].at
        found = call_empty(scene)
        out += len(found)
        give_all(scene, found)
    assert out + scene.lane.held == 2 * BURST * len(places) and scene.lane.held == 3 * BURST
    while scene.lane.held:
        scene.lane.at, scene.lane.now = scene.lane.at % 10 + 1, scene.lane.now + 1000
        give_all(scene, call_empty(scene))
    assert scene.conserved()


def test_what_waits_for_one_output_port_does_not_leave_through_another():
    scene = Scene(side=EGRESS, port=3)
    held_at(scene, 1, 90)
    scene.put(FRAGMENT)
    give_all(scene, scene.call())
    ready = scene.table("gro").ready[1]
    assert (ready.port, ready.n) == (3, 27)
    scene.lane.out, scene.lane.pending = 4, np.uint64(0)
    scene.put(flow(9, "S"))
    found = scene.call()
    assert len(found) == 1 and (ready.port, ready.n, int(scene.lane.pending)) == (3, 27, 1 << 3)
    give_all(scene, found)
    scene.lane.out = 3
    assert len(scene.take_out(call_empty(scene))) == 27 and scene.conserved()


# --- the second place of an arc -----------------------------------------------------------------------------


def behind_pop(scene, place=9):
    """The arc gro, pop, gro, and the lane behind the last."""
    for k, number in enumerate((place, 4, place)):
        scene.rows[1].ingress[k] = number
    scene.rows[1].n_ingress, scene.lane.at = 3, 3


@pytest.mark.parametrize("profile", [GRO_LINUX, GRO_DPDK])
def test_behind_pop_only_what_came_out_of_a_tunnel_is_held(profile):
    scene = Scene(profile=profile)
    scene.table("config")[0].gro_cycles, scene.table("config")[0].cycles_per_us = 50_000_000, 1000
    behind_pop(scene)
    assert [p.bytes for p in scene.send(flow(5), flow(6))] == [flow(5), flow(6)]
    assert scene.lane.held == 0 and scene.table("gro").head[0].packets == 0
    scene.put(flow(5), flow(6))
    scene.table("mbufs")[scene.packets[-1]].in_port = 2
    assert [p.bytes for p in scene.take_out(scene.call())] == [flow(5)]
    assert (scene.lane.held, scene.table("gro").head[0].packets) == (1, 1)
    scene.pause()


@pytest.fixture
def sw():
    switch = Switch(fail_mode="secure")
    yield switch
    switch.close()


def inner():
    return Ether(dst=B, src=A) / IP(src="10.0.0.1", dst="10.0.0.2", flags="DF") / TCP(sport=5, dport=6, flags="A") / (b"q" * 100)


def in_vxlan():
    outer = Ether(dst=B, src=A) / IP(src="10.0.0.9", dst="10.0.0.1") / UDP(sport=7, dport=4789, chksum=0)
    return bytes(outer / VXLAN(vni=1) / inner())


def test_a_plain_packet_on_an_arc_with_two_places_is_counted_and_held_once(sw):
    eth0, vm2 = sw.add_port("eth0", gro="linux"), sw.add_port("vm2")
    sw.add_port("vx0", type="vxlan", remote_ip="10.0.0.9", key=1, gro="linux")
    sw.ofctl("add-flow priority=10,actions=output:2")
    eth0.inject(bytes(inner()))
    while sw.step() is not None:
        pass
    assert len(vm2.sent) == 1 and sw.gro.counts()["packets"] == 1


def test_what_came_out_of_a_tunnel_is_held_for_the_tunnels_port_in_its_profile(sw):
    eth0 = sw.add_port("eth0")
    sw.add_port("vm2")
    vx0 = sw.add_port("vx0", type="vxlan", remote_ip="10.0.0.9", key=1, gro="dpdk")
    sw.gro.cycles = 10**8
    eth0.inject(in_vxlan())
    while not len(sw.gro):
        assert sw.step() is not None
    [held] = sw.gro
    assert (held.port, held.profile, held.side) == ("vx0", "dpdk", "ingress")
    assert held.timeout == -(-(10**8) // int(sw.engine.array("config")["cycles_per_us"][0]))
    assert [found.port for found in sw.gro.of(vx0.name)] == ["vx0"] and sw.gro.of("eth0") == []
