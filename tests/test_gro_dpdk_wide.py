"""GRO, profile `dpdk`: tags, IPv6, VXLAN, chains, the bugs of librte_gro that are not here, and the short way like the long one."""
import pytest
from gro_dpdk import CYCLES_PER_US, FIN, PSH, TIMES, Scene, gso_of, ip4, ip6, payload, pseudo, segment, vxlan
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, PadN
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from lab.memory import reasons
from lab.memory.mbuf import GSO, OUTER_L4_PARTIAL, TUN_META, TUNNEL
from lab.offload.records import GRO_LINUX


@pytest.fixture
def scene():
    return Scene()


# --- tags ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", [[5], [5, 6]])
def test_tagged_segments_of_one_vlan_are_merged(scene, tags):
    out = scene.merge([segment(1, tags=tags), segment(101, tags=tags), segment(201, tags=tags, flags=PSH)])
    packet = Ether(scene.bytes_of(out[0]))
    assert (len(out), packet[Raw].load, packet[IP].len, packet[TCP].flags) == (1, payload(1, 300), 340, PSH)
    l4 = 34 + 4 * len(tags)
    assert (*gso_of(scene.mbuf(out[0])), packet[TCP].chksum) == (100, 3, 1, l4, 16, sum_of(packet[IP]))


def sum_of(ip):
    return pseudo(Ether() / Ether(bytes(Ether() / ip))[IP])


def test_bug_two_vlans_with_equal_tuples_are_two_flows(scene):
    frames = [segment(1, tags=[5]), segment(101, tags=[6]), segment(101), segment(101, tags=[5, 5])]
    assert scene.frames(frames) == frames
    assert scene.reason(reasons.GRO_HELD) == 4


# --- the other known bugs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(0, 4), (4, 0), (0, 8)])
@pytest.mark.parametrize("backwards", [False, True])
def test_bug_each_packet_loses_its_own_headers_however_long_they_are(scene, lengths, backwards):
    frames = [segment(1 + 100 * k, ip=ip4(7, flags="DF", options=[IPOption_NOP()] * n)) for k, n in enumerate(lengths)]
    frames.append(segment(201))
    out = scene.merge(frames[::-1] if backwards else frames)
    packet = Ether(scene.bytes_of(out[0]))
    assert (len(out), packet[Raw].load) == (1, payload(1, 300))
    assert (packet[IP].ihl, packet[IP].len) == (5 + lengths[0] // 4, 340 + lengths[0])
    assert gso_of(scene.mbuf(out[0])) == (100, 3, 1, 34 + lengths[0], 16)


@pytest.mark.parametrize("flags", [PSH, FIN])
def test_bug_flags_go_into_the_first_header_and_no_payload_changes(scene, flags):
    out = scene.frames([segment(1), segment(101, 1000, flags=flags)])
    assert (Ether(out[0])[TCP].flags, Ether(out[0])[Raw].load) == (flags, payload(1, 1100))
    scene = Scene()
    out = scene.frames([segment(101), segment(201, flags=flags), segment(1, 100)])  # put in front of what has the flag
    assert (len(out), Ether(out[0])[TCP].flags, Ether(out[0])[Raw].load) == (1, flags, payload(1, 300))


# --- IPv6 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_ipv6_is_merged_whatever_class_and_hop_limit_say(scene, backwards):
    frames = [segment(1, ip=ip6(fl=5)), segment(101, ip=ip6(fl=5, tc=3)), segment(201, ip=ip6(fl=5, hlim=2))]
    out = scene.merge(frames[::-1] if backwards else frames)
    packet = Ether(scene.bytes_of(out[0]))
    assert (len(out), packet[Raw].load, packet[IPv6].plen) == (1, payload(1, 300), 320)
    assert (*gso_of(scene.mbuf(out[0])), packet[TCP].chksum) == (100, 3, 4, 54, 16, pseudo(packet))


@pytest.mark.parametrize("other", [{"fl": 6}, {"src": "2001:db8:1::1"}, {"dst": "2001:db8::3"}])
def test_ipv6_flows_differ_by_label_and_addresses(scene, other):
    ip = ip6(fl=5)
    for field, value in other.items():
        setattr(ip, field, value)
    assert len(scene.frames([segment(1, ip=ip6(fl=5)), segment(101, ip=ip)])) == 2


def test_ipv6_extension_headers_must_be_equal(scene):
    def extended(byte):
        return ip6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes([byte] * 4))])
    assert len(scene.frames([segment(1, ip=extended(1)), segment(101, ip=extended(1))])) == 1
    assert len(scene.frames([segment(1, ip=extended(1)), segment(101, ip=extended(2))])) == 2
    assert len(scene.frames([segment(1, ip=extended(1)), segment(101, ip=ip6())])) == 2


@pytest.mark.parametrize("flags", [PSH, FIN])
@pytest.mark.parametrize("around", [None, "vxlan"])
def test_ipv6_and_vxlan_take_pure_ack_only(scene, flags, around):
    more = {"around": vxlan(), "ip": ip4(7, flags="DF")} if around else {"ip": ip6()}
    frames = [segment(1, **more), segment(101, flags=flags, **more)]
    assert scene.frames(frames) == frames[::-1]
    assert scene.reason(reasons.PASS_CANDIDATE) == 1


# --- VXLAN -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("checksum", [0, 0x1234])
def test_segments_in_vxlan_are_merged_with_their_tunnel(scene, backwards, checksum):
    frames = [segment(1 + 100 * k, around=vxlan(chksum=checksum), options=TIMES) for k in range(3)]
    out = scene.merge(frames[::-1] if backwards else frames)
    m, packet = scene.mbuf(out[0]), Ether(scene.bytes_of(out[0]))
    inner = packet[VXLAN].payload
    assert (len(out), inner[Raw].load, inner[IP].len) == (1, payload(1, 300), 352)
    assert (packet[IP].len, packet[UDP].len) == (20 + 8 + 8 + 14 + 352, 8 + 8 + 14 + 352)
    assert (m.ol_flags & TUNNEL, m.inner_off) == (TUNNEL, 64)
    assert gso_of(m) == (100, 3, 1, 84, 16)
    assert bool(m.ol_flags & OUTER_L4_PARTIAL) == bool(checksum)
    for layer in (packet, inner):
        found = layer[IP].chksum
        del layer[IP].chksum
        assert IP(bytes(layer[IP]))[IP].chksum == found


@pytest.mark.parametrize("other", [{"vni": 6}, {"sport": 4001}, {"outer_id": 3}, {"df": True}])
def test_tunnels_are_told_apart_by_addresses_ports_key_and_outer_id(scene, other):
    around = {"outer_id": 1, "df": False}
    frames = [segment(1, around=vxlan(**around)), segment(101, around=vxlan(**{**around, "outer_id": 2, **other}))]
    assert scene.frames(frames) == frames
    assert not any(scene.mbuf(i).ol_flags & (TUNNEL | GSO) for i in scene.packets)


def test_outer_ids_that_count_are_merged(scene):
    assert len(scene.frames([segment(1 + 100 * k, around=vxlan(outer_id=3 + k, df=False)) for k in range(3)])) == 1


def test_inner_macs_and_tags_belong_to_the_key(scene):
    frames = [segment(1, around=vxlan()), segment(101, around=vxlan(), tags=[3])]
    other = bytearray(segment(101, around=vxlan()))
    other[50 + 5] ^= 1
    frames.append(bytes(other))
    assert scene.frames(frames) == frames


def test_what_came_out_of_two_tunnels_is_never_one(scene):
    for keys, left in (((1, 1), 1), ((1, 2), 2)):
        frames = [segment(1), segment(101)]
        scene = Scene()
        free = scene.table("pool")
        for k, key in enumerate(keys):
            i = free.free[free.head[0].n - 1 - k].index
            scene.table("tunnels")[i].w[0] = key
        assert len(scene.frames(frames, flags=TUN_META)) == left


# --- chains --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(60,), (54,), (54, 30), (30,)])
def test_chains_are_merged_and_leave_no_empty_segments(cuts):
    for order in (1, -1):
        scene = Scene()
        frames = [segment(1), segment(101), segment(201)]
        firsts = [scene_cut(scene, frame, cuts) for frame in frames]
        out = scene.merge_packets(firsts[::order])
        assert Ether(scene.bytes_of(out[0]))[Raw].load == payload(1, 300)
        sizes = [scene.mbuf(i).data_len for i in scene.segments(out[0])]
        assert (len(out), 0 in sizes, scene.mbuf(out[0]).nb_segs) == (1, False, len(sizes))


def scene_cut(scene, frame, cuts):
    return scene._put(frame, 1, 0, list(cuts))


# --- both ways alike -------------------------------------------------------------------------------------------


def test_the_short_way_merges_as_the_long_one():
    frames = [segment(1 + 100 * k, sport=1000 + flow, ip=ip4(7 + k), options=TIMES) for k in range(10) for flow in range(3)]
    frames[7], frames[10] = frames[10], frames[7]
    short, long = Scene(), Scene()
    long.table("trace")[0].on = 1  # what is told of each packet is told on the long way
    assert short.frames(frames) == long.frames(frames)
    assert [short.reason(n) for n in range(256)] == [long.reason(n) for n in range(256)]
    timed = Scene(cycles=CYCLES_PER_US)
    assert timed.frames(frames) == []
    timed.lane.now = 1
    assert sorted(timed.frames([])) == sorted(short.frames(frames))


def test_checked_code_does_the_same(scene):
    frames = [segment(1), segment(101, around=vxlan()), segment(101, flags=PSH), segment(1, ip=ip6()), segment(1, 0), bytes(20)]
    assert len(scene.frames(frames, checked=True)) == 5


def test_linux_and_dpdk_make_different_packets_of_one_burst(scene):
    frames = [segment(1, 50), segment(51), segment(151, flags=PSH), segment(251), segment(451), segment(351)]
    dpdk = [Ether(data)[Raw].load for data in scene.frames(frames)]
    other = Scene()
    other.table("ports")[1].gro = GRO_LINUX
    other.table("lane")[0].paused = 1
    linux = [Ether(data)[Raw].load for data in other.frames(frames)]
    assert [len(data) for data in dpdk] == [450, 100]  # sizes and PSH do not matter; what closes a gap goes behind the first
    assert [len(data) for data in linux] == [50, 200, 100, 100, 100]  # longer than the first, PSH, gaps: each ends it
    assert b"".join(linux) == b"".join(Ether(data)[Raw].load for data in frames)
