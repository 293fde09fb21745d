"""GRO, profile `dpdk`: fragments of UDP over IPv4 are joined, in any order, plain and in VXLAN, and leave when nothing is missing."""
from itertools import permutations

import pytest
from gro_dpdk import CYCLES_PER_US, MACS, Scene, payload, vxlan
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from lab.memory import reasons
from lab.memory.mbuf import GSO, L4_CSUM_PARTIAL, OUTER_L4_PARTIAL, TUNNEL


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def timed():
    return Scene(cycles=50 * CYCLES_PER_US)


def datagram(number=9, n=500, **more):
    return IP(src="10.0.0.1", dst="10.0.0.2", id=number, **more) / UDP(sport=5, dport=6) / Raw(payload(0, n))


def whole(packet=None, around=None, tags=()):
    frame = Ether(**MACS)
    for tag in tags:
        frame /= Dot1Q(vlan=tag)
    frame = frame / IP(bytes(packet or datagram()))
    return bytes(around / frame if around else frame)


def fragments(packet=None, *, sizes=(200, 200, 108), arounds=(), tags=()):
    """The frames of a datagram's fragments; sizes count its UDP header."""
    packet = packet or datagram()
    data, frames, at = bytes(IP(bytes(packet)).payload), [], 0
    for k, size in enumerate(sizes):
        header = IP(src=packet[IP].src, dst=packet[IP].dst, id=packet[IP].id, proto=IP(bytes(packet)).proto, frag=at // 8,
                    flags="MF" if k < len(sizes) - 1 else 0)
        frame = Ether(**MACS)
        for tag in tags:
            frame /= Dot1Q(vlan=tag)
        frame = frame / header / Raw(data[at:at + size])
        frames.append(bytes(arounds[k] / frame if arounds else frame))
        at += size
    return frames


@pytest.mark.parametrize("order", permutations(range(3)))
def test_fragments_in_any_order_become_the_datagram(scene, order):
    frames = fragments()
    out = scene.merge([frames[k] for k in order])
    assert [scene.bytes_of(i) for i in out] == [whole()]
    m = scene.mbuf(out[0])
    assert (m.nb_segs, m.pkt_len, m.ol_flags & (GSO | L4_CSUM_PARTIAL)) == (3, 542, 0)
    assert (scene.reason(reasons.GRO_WHOLE), scene.held()) == (1, [])


@pytest.mark.parametrize("order", permutations(range(4)))
def test_a_fragment_between_two_items_makes_them_one(timed, order):
    frames = fragments(sizes=(120, 120, 120, 148))
    out = []
    for k in order[:-1]:
        assert timed.frames([frames[k]]) == []
    out = timed.frames([frames[order[-1]]])
    assert (out, timed.held(), timed.lane.held) == ([whole()], [], 0)


def test_what_is_not_whole_leaves_as_a_larger_fragment_in_time(timed):
    frames = fragments(sizes=(120, 120, 120, 148))
    assert timed.merge([frames[1], frames[2]]) == []
    timed.lane.now = 50
    out = timed.frames([])
    packet = Ether(out[0])[IP]
    assert (len(out), packet.len, packet.frag, str(packet.flags)) == (1, 260, 15, "MF")
    found = packet.chksum
    del packet.chksum
    assert IP(bytes(packet)).chksum == found
    assert timed.reason(reasons.F_TIMEOUT) == 1


def test_the_last_fragments_alone_have_no_more_behind_them(scene):
    out = scene.frames(fragments(sizes=(120, 120, 120, 148))[2:][::-1])
    packet = Ether(out[0])[IP]
    assert (len(out), packet.len, packet.frag, str(packet.flags)) == (1, 288, 30, "")


def test_datagrams_differ_by_id_addresses_and_tags(scene):
    one = fragments()
    others = [fragments(datagram(10))[1], fragments(tags=[5])[1]]
    assert scene.frames([one[0], *others]) == [one[0], *others]


def test_tagged_fragments_are_joined(scene):
    assert scene.frames(fragments(tags=[5, 6])) == [whole(tags=[5, 6])]


def test_fragments_that_overlap_are_not_joined(scene):
    frames = fragments()
    other = fragments(sizes=(192, 208, 108))
    assert len(scene.frames([frames[0], other[1]])) == 2
    assert len(scene.frames([frames[0], frames[0]])) == 2


def test_a_padded_last_fragment_is_joined_without_its_padding(scene):
    packet = datagram(n=404)
    frames = fragments(packet, sizes=(200, 200, 12))
    frames[2] += bytes(14)
    assert scene.frames(frames) == [whole(packet)]
    assert scene.frames([frames[2], frames[0]]) == [frames[2], frames[0]]


def test_fragments_of_tcp_and_lying_ones_pass(scene):
    tcp = fragments(IP(src="10.0.0.1", dst="10.0.0.2", id=9) / TCP() / Raw(payload(0, 480)), sizes=(200, 200, 100))
    for frame in tcp:
        assert Ether(frame)[IP].proto == 6
    assert scene.frames(tcp) == tcp
    assert scene.reason(reasons.PASS_FRAGMENT) + scene.reason(reasons.PASS_PROTOCOL) == 3
    odd = fragments(sizes=(200, 203, 105))
    assert scene.frames(odd[1:2]) == odd[1:2]
    assert scene.reason(reasons.PASS_CUT) == 1


def test_fragments_in_vxlan_are_joined_whatever_port_their_tunnel_comes_from(scene):
    arounds = [vxlan(sport=4000 + k, chksum=k) for k in (7, 8, 9)]
    out = scene.merge(fragments(arounds=arounds))
    m, packet = scene.mbuf(out[0]), Ether(scene.bytes_of(out[0]))
    assert (len(out), bytes(packet[VXLAN].payload)) == (1, whole())
    assert (packet[IP].len, packet[UDP].len, packet[UDP].sport) == (20 + 16 + 542, 16 + 542, 4007)
    assert (m.ol_flags & (TUNNEL | OUTER_L4_PARTIAL), m.inner_off) == (TUNNEL | OUTER_L4_PARTIAL, 64)
    found = packet[IP].chksum
    del packet[IP].chksum
    assert IP(bytes(packet[IP]))[IP].chksum == found


def test_vxlan_fragments_of_two_networks_are_two(scene):
    frames = fragments(arounds=[vxlan(vni=1), vxlan(vni=2), vxlan(vni=3)])
    assert scene.frames(frames) == frames


def test_twenty_fragments_are_the_most(scene):
    packet = datagram(n=24 * 8 - 8)
    out = scene.merge(fragments(packet, sizes=[8] * 24))
    assert sorted(scene.mbuf(i).nb_segs for i in out) == [4, 20]
