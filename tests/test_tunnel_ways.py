"""Packets from one switch to another through tunnels, in both tempos on both sides: what one pushes the other pops.

`left` has a guest at port 1, the wire at port 2; `right` the wire at port 1, a guest at port 2; the tunnel is port 3 of both.
"""

import time

import pytest
from both_tempos import Pair, udp, udp6
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN

from lab import Switch
from lab.offload.records import LEARNED

FRAME = udp()
KINDS = ("vxlan", "geneve", "gre", "mplsoudp")
WIRE, GUEST_MAC = 2, "02:00:00:00:00:99"
ENDS = {4: ("10.0.0.2", "10.0.0.9"), 6: ("fd00::2", "fd00::9")}


def each(pair, do):
    """Do something to both switches of a pair."""
    return [do(sw) for sw in pair.both]


@pytest.fixture(scope="module")
def ends():
    left, right = Pair(ports=2), Pair(ports=2)
    for pair, wire in ((left, "vm2"), (right, "vm1")):
        for sw in pair.both:
            sw.ports[wire].offloads.clear()  # what leaves here is all there: a wire computes nothing
            sw.routes.add("10.0.0.0/24", wire)
            sw.routes.add("fd00::/64", wire)
    for sw in right.both:
        sw.ports["vm1"].ip, sw.ports["vm1"].ip6 = "10.0.0.9", "fd00::9"
    yield left, right
    left.close()
    right.close()


@pytest.fixture
def tunnel(ends):
    """Makes the tunnel at both ends; its settings beside the addresses."""
    left, right = ends

    def make(kind, version=4, known=True, **settings):
        near, far = ENDS[version]
        for pair, remote in ((left, far), (right, near)):
            pair.begin()
            for sw in pair.both:
                sw.add_port("t0", type=kind, ofport=3, **{"remote_ip": remote, **settings})
                sw.neighbours.flush()
                if known:
                    sw.neighbours.add(remote, GUEST_MAC)
        left.rules("in_port=1,actions=t0", "in_port=t0,actions=output:1")
        right.rules("in_port=t0,actions=output:2", "in_port=2,actions=t0", "priority=0,actions=drop")
        return left, right

    yield make
    for pair in ends:
        for sw in pair.both:
            if "t0" in sw.ports:
                sw.remove_port("t0")
            if sw.ofctl("dump-tlv-map").endswith("tun_metadata0"):
                sw.ofctl("del-tlv-map")


def through(left, right, *frames):
    """What leaves on the right of frames that a guest on the left sends, and what was on the wire."""
    wire = left.send(*frames)[WIRE]
    return right.send(*wire).get(2, []), wire


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_what_one_switch_pushes_the_other_pops(tunnel, kind, version):
    left, right = tunnel(kind, version, key=100, csum=version == 6)
    came, wire = through(left, right, FRAME, udp6())
    inside = 14 if kind == "mplsoudp" else 0  # there an IP packet travels, and its Ethernet header is made anew
    assert [frame[inside:] for frame in came] == [FRAME[inside:], udp6()[inside:]]
    assert all(len(frame) > len(FRAME) + 20 for frame in wire)
    back = left.send(*right.send(FRAME, port=2)[1], port=2)
    assert [frame[inside:] for frame in back[1]] == [FRAME[inside:]]


def test_the_outer_headers_are_those_that_scapy_reads(tunnel):
    left, _ = tunnel("vxlan", key=100, tos=0x28)
    (frame,) = left.send(FRAME)[WIRE]
    read = Ether(frame)
    assert (read.dst, read.src, read["IP"].src, read["IP"].dst, read["IP"].ttl) == (
        GUEST_MAC, "02:00:00:00:00:02", "10.0.0.2", "10.0.0.9", 64)  # fmt: skip
    assert (read["UDP"].dport, read[VXLAN].vni, bytes(read[VXLAN].payload)) == (4789, 100, FRAME)
    assert read["IP"].tos == 0x28


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_the_flow_is_set_on_one_side_and_matched_on_the_other(tunnel, kind):
    left, right = tunnel(kind, key="flow")
    left.rules("in_port=1,tp_dst=53,udp,actions=set_field:500->tun_id,t0", "in_port=1,actions=set_field:501->tun_id,t0")
    right.rules("in_port=t0,tun_id=500,actions=output:2", "priority=1,actions=drop")
    assert len(through(left, right, FRAME)[0]) == 1
    assert through(left, right, udp(dport=54))[0] == []


@pytest.mark.parametrize("match", [
    "tun_src=10.0.0.2", "tun_dst=10.0.0.9", "tun_src=10.0.0.0/24,tun_dst=10.0.0.8/31", "tun_ttl=9", "tun_tos=40", "tun_id=7",
    "tun_id=0x3/3", "tun_flags=-oam", "tun_id=7,tun_src=10.0.0.2,in_port=t0,udp,tp_dst=53",
])  # fmt: skip
def test_rules_see_the_tunnel_that_a_packet_came_through(tunnel, match):
    left, right = tunnel("geneve", key="flow", ttl=9, tos=40)
    left.rules("in_port=1,actions=set_field:7->tun_id,t0")
    right.rules(f"{match},actions=output:2", "priority=0,actions=drop")
    assert through(left, right, FRAME)[0] == [FRAME]


@pytest.mark.parametrize("match", [
    "tun_src=10.0.0.3", "tun_dst=10.0.0.2", "tun_ttl=64", "tun_id=8", "tun_flags=oam", "tun_ipv6_src=fd00::2",
])  # fmt: skip
def test_rules_about_another_tunnel_do_not(tunnel, match):
    left, right = tunnel("geneve", key=7, ttl=9)
    right.rules(f"{match},actions=output:2", "priority=0,actions=drop")
    assert through(left, right, FRAME)[0] == []


def test_a_megaflow_says_what_it_asks_of_a_tunnel_as_dpctl_does(tunnel):
    left, right = tunnel("geneve", key="flow")
    left.rules("in_port=1,actions=set_field:7->tun_id,t0")
    right.rules("tun_id=7,tun_src=10.0.0.0/24,tun_flags=-oam,actions=output:2")
    through(left, right, FRAME)
    assert left.both[1].appctl("dpctl/dump-flows").endswith("actions:set(tunnel(tun_id=0x7)),t0")
    assert "tunnel(tun_id=0x7,src=10.0.0.0/255.255.255.0,flags(-oam)),recirc_id(0),in_port(t0)" in right.both[1].appctl("dpctl/dump-flows")


def test_normal_learns_who_is_behind_a_tunnel(tunnel):
    left, right = tunnel("vxlan", key=7)
    for pair, wire in ((left, 2), (right, 1)):
        pair.rules("actions=NORMAL", f"priority=40000,in_port={wire},actions=drop")
    wire = left.send(FRAME)[WIRE]
    right.send(wire[0] if len(wire[0]) > len(FRAME) else wire[1])
    assert right.both[1].fdb[0, "02:00:00:00:00:0a"].port == "t0"
    answer = right.send(udp(dl_src="02:00:00:00:00:0b", dl_dst="02:00:00:00:00:0a"), port=2)
    assert list(answer) == [1]  # into the tunnel alone, and so out by the wire


def test_rules_see_ipv6_tunnels(tunnel):
    left, right = tunnel("geneve", 6, key=7, csum=True)
    right.rules("tun_ipv6_src=fd00::2,tun_ipv6_dst=fd00::/64,actions=output:2", "priority=0,actions=drop")
    assert through(left, right, FRAME)[0] == [FRAME]


@pytest.mark.parametrize("length, value", [(4, 0xDEADBEEF), (8, 0x0102030405060708)])
def test_a_mapped_geneve_option_travels_as_tun_metadata0(tunnel, length, value):
    left, right = tunnel("geneve", key=7)
    for pair in (left, right):
        pair.ofctl(f"add-tlv-map {{class=0x102,type=0x80,len={length}}}->tun_metadata0")
    left.rules(f"in_port=1,actions=set_field:{value:#x}->tun_metadata0,t0")
    right.rules(f"tun_metadata0={value:#x},actions=output:2", "priority=0,actions=drop")
    came, (wire,) = through(left, right, FRAME)
    assert came == [FRAME]
    assert bytes.fromhex("010280") + bytes([length // 4]) + value.to_bytes(length, "big") in wire


def test_gre_may_carry_ip_packets_without_their_ethernet_header(tunnel):
    left, right = tunnel("gre", key=7, packet_type="legacy_l3")
    came, (wire,) = through(left, right, FRAME)
    assert wire[34:42].hex() == "2000080000000007" and wire[42:] == FRAME[14:]
    assert [frame[14:] for frame in came] == [FRAME[14:]]


def test_the_sum_around_one_that_is_still_to_be_computed_is_called_good(tunnel):
    left, _ = tunnel("vxlan", key=7, csum=True)
    packet = Ether(FRAME[:14]) / IP(src="10.1.0.1", dst="10.1.0.2") / TCP() / bytes(4200)
    try:
        for sw in left.both:
            sw.ports["vm2"].offloads.add("csum")
            sw.ports["vm1"].inject(packet, gso_size=1400)
            sw.run()
            sent = sw.ports["vm2"].sent[-1]
            assert [c.state for c in sent.checksums] == ["good", "good", "good", "partial"]
            outer, whole = sent.checksums[1], sent.checksums[3].paid(sent.bytes())
            assert Ether(whole)["TCP"].chksum == sent.checksums[3].right
            again = Ether(whole)
            del again["UDP"].chksum
            assert Ether(bytes(again))["UDP"].chksum == outer.found
    finally:
        for sw in left.both:
            sw.ports["vm2"].offloads.clear()


def test_options_that_a_port_always_pushes_are_on_the_wire(tunnel):
    left, right = tunnel("geneve", key=7, options=[(0xABCD, 0x11, b"\1\2\3\4")])
    came, (wire,) = through(left, right, FRAME)
    assert came == [FRAME] and bytes.fromhex("abcd110101020304") in wire


def test_a_far_end_of_the_flow_is_where_tun_dst_says(tunnel):
    left, right = tunnel("vxlan", key=7)
    for sw in left.both:
        sw.ports["t0"].remote_ip = "flow"
    left.rules("in_port=1,actions=set_field:10.0.0.9->tun_dst,t0")
    assert through(left, right, FRAME)[0] == [FRAME]
    left.rules("in_port=1,actions=t0")
    assert left.why(FRAME) == {"dropped: no tunnel remote": 1}


def test_a_copy_that_stays_has_no_headers(tunnel):
    left, right = tunnel("vxlan", key=7)
    right.rules("in_port=t0,actions=t0,output:2,in_port")  # as OVS: back where it came from only by in_port
    left.rules("in_port=1,actions=t0,in_port")
    sent = left.send(FRAME)
    assert sent[1] == [FRAME] and len(sent[WIRE]) == 1
    assert right.send(*sent[WIRE])[2] == [FRAME]


def test_a_next_hop_that_nobody_knows_is_asked_for_learned_and_shown(tunnel):
    left, right = tunnel("vxlan", key=7, known=False)
    asked = left.send(FRAME)  # lost, as on a router
    assert Ether(asked[WIRE][0])[ARP].pdst == "10.0.0.9"
    assert left.both[0].neighbours["10.0.0.9"].mac is None
    right.rules("priority=0,actions=drop")
    left.send(*right.send(*asked[WIRE])[1], port=2)
    for sw in left.both:
        found = sw.neighbours["10.0.0.9"]
        assert (found.mac, found.port, found.fixed) == ("02:00:00:00:00:01", "vm2", False)
        assert int(sw.engine.array("neighbours")["state"][64]) == LEARNED
        assert sw.appctl("tnl/neigh/show").splitlines()[2].split() == ["10.0.0.9", "02:00:00:00:00:01", sw.name]
    right.rules("in_port=t0,actions=output:2")
    assert through(left, right, FRAME)[0] == [FRAME]


def test_without_a_route_the_reason_says_how_to_add_one(tunnel):
    left, _ = tunnel("vxlan", key=7)
    for sw in left.both:
        sw.routes.remove("10.0.0.0/24")
    try:
        assert left.why(FRAME) == {"dropped: no route": 1}
    finally:
        for sw in left.both:
            sw.routes.add("10.0.0.0/24", "vm2")


def test_settings_that_change_count_from_the_next_packet_on(tunnel):
    left, right = tunnel("vxlan", key=7)
    assert through(left, right, FRAME)[0] == [FRAME]
    each(left, lambda sw: sw.vsctl("set interface t0 options:key=8"))
    assert through(left, right, FRAME)[0] == []  # the right still takes key 7
    each(right, lambda sw: setattr(sw.ports["t0"], "key", 8))
    assert through(left, right, FRAME)[0] == [FRAME]


def test_on_running_cores_packets_take_the_tunnel_too():
    sw = Switch("br0", fail_mode="secure")
    try:
        vm1, wire = sw.add_port("vm1"), sw.add_port("wire")
        sw.routes.add("10.0.0.0/24", "wire")
        sw.neighbours.add("10.0.0.9", GUEST_MAC)
        sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9", key=7)
        sw.ofctl("add-flow in_port=vm1,actions=t0")
        sw.start()
        vm1.inject([FRAME] * 100)
        ends_at = time.monotonic() + 30
        while len(wire.sent) < 100 and time.monotonic() < ends_at:
            time.sleep(0.01)
        sw.ports["t0"].key = 8
        vm1.inject(FRAME)
        while len(wire.sent) < 101 and time.monotonic() < ends_at:
            time.sleep(0.01)
        sw.stop()
        assert [Ether(frame.bytes())[VXLAN].vni for frame in wire.sent] == [7] * 100 + [8]
    finally:
        sw.close()
