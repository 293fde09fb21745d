"""GRO, profile `linux`, beyond TCP over IPv4: IPv6, UDP, and packets that stay in their tunnel; cut again they are what they were."""
import pytest
from gro_scene import Scene, cut, tcp
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import bind_layers

from lab.memory.mbuf import FIXED_ID, L4_CSUM_BAD, OUTER_FIXED_ID, OUTER_IP_BAD, OUTER_L4_BAD, OUTER_L4_PARTIAL, TUN_META, TUNNEL

bind_layers(UDP, MPLS, dport=6635)
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
LINK = Ether(src=A, dst=B)
INNER = Ether(src="02:00:00:00:01:0a", dst="02:00:00:00:01:0b")


@pytest.fixture(scope="module")
def scene():
    return Scene()


@pytest.fixture(autouse=True)
def conserved(scene):
    scene.told.clear()
    scene.lane.now += 1
    yield
    scene.pause()


def six(k, size=100, *, flags="A", link=LINK, ext=None, **ip):
    """Segment `k` of a flow over IPv6."""
    ip = {"src": "2001:db8::1", "dst": "2001:db8::2"} | ip
    header = IPv6(**ip) / ext if ext else IPv6(**ip)
    return bytes(link / header / TCP(sport=7, dport=8, seq=5 + 100 * k, ack=1, flags=flags) / (bytes([65 + k]) * size))


def datagram(k, size=100, *, link=LINK, ident=None, sport=7, dport=8, net=None, **ip):
    """Datagram `k` of a flow."""
    ip = {"src": "10.0.0.1", "dst": "10.0.0.2"} | ip
    net = IP(id=50 + k if ident is None else ident, **ip) if net is None else net
    return bytes(link / net / UDP(sport=sport, dport=dport) / (bytes([65 + k]) * size))


def all_out(scene, *frames, **how):
    return scene.send(*frames, **how) + scene.pause()


@pytest.mark.parametrize("link", [LINK, LINK / Dot1Q(vlan=7)])
@pytest.mark.parametrize("ext", [None, IPv6ExtHdrDestOpt()])
def test_ipv6(scene, link, ext):
    frames = [six(k, link=link, ext=ext, fl=5, tc=4) for k in range(4)]
    [large] = all_out(scene, *frames)
    assert cut(large) == frames and (large.kind, large.count, large.size) == (4, 4, 100)


@pytest.mark.parametrize("how, why", [({"fl": 1}, "IPv6 flow label or extension headers changed"), ({"tc": 4}, "TOS changed"),
                                      ({"hlim": 9}, "TTL changed"),
                                      ({"ext": IPv6ExtHdrDestOpt()}, "IPv6 flow label or extension headers changed")])
def test_ipv6_headers_that_differ(scene, how, why):
    frames = [six(0), six(1), six(2, **how)]
    out = all_out(scene, *frames)
    assert [f for one in out for f in cut(one)] == frames and len(out) == 2 and f"flushed: {why}" in scene.codes()


@pytest.mark.parametrize("net", [None, IPv6(src="2001:db8::1", dst="2001:db8::2")])
@pytest.mark.parametrize("last", [100, 30])
def test_udp_of_equal_length_and_a_shorter_last(scene, net, last):
    frames = [datagram(0, net=net), datagram(1, net=net), datagram(2, last, net=net)]
    [large] = all_out(scene, *frames)
    assert cut(large) == frames and (large.kind, large.count, large.size, large.offset) == (5, 3, 100, 6)
    assert ("flushed: shorter payload ends it" in scene.codes()) == (last < 100)


def test_udp_at_most_64_and_never_longer(scene):
    frames = [datagram(k % 20, 5, ident=9) for k in range(70)]
    out = [one for at in range(0, 70, 30) for one in scene.send(*frames[at:at + 30])] + scene.pause()
    assert [one.count for one in out] == [64, 6] and [f for one in out for f in cut(one)] == frames
    frames = [datagram(0), datagram(1, 101)]
    assert [one.bytes for one in all_out(scene, *frames)] == frames and "flushed: payload longer than the first" in scene.codes()


def with_udp(frame, **fields):
    packet = Ether(frame)
    for name, value in fields.items():
        setattr(packet[UDP], name, value)
    return bytes(packet)


@pytest.mark.parametrize("frame, why", [(with_udp(datagram(1), chksum=0), "UDP without a checksum"), (datagram(1, 0), "no payload"),
                                        (with_udp(datagram(1), len=50), "a header is cut or lies"),
                                        (with_udp(datagram(1), chksum=7), "its checksum is bad")])
def test_udp_that_is_never_held(scene, frame, why):
    held, passed = scene.send(datagram(0), frame)
    assert held.bytes == datagram(0) and passed.bytes == frame and scene.codes()[-1] == f"passed by GRO: {why}"


def test_unknown_things_in_a_tunnel_are_never_merged_at_its_udp_header(scene):
    frames = [datagram(k, dport=4789) for k in range(3)]
    assert [one.bytes for one in scene.send(*frames)] == frames and set(scene.codes()) == {"passed by GRO: neither TCP nor UDP"}


def v4(k):
    return IP(src="1.1.1.1", dst="2.2.2.2", id=900 + k)


def v6(k):
    return IPv6(src="2001:db8:1::1", dst="2001:db8:1::2")


TUNNELS = {
    "vxlan": lambda outer: LINK / outer / UDP(sport=50000, dport=4789) / VXLAN(vni=77, flags=8) / INNER,
    "vxlan without checksum": lambda outer: LINK / outer / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=77, flags=8) / INNER,
    "geneve": lambda outer: LINK / outer / UDP(sport=50000, dport=6081) / GENEVE(vni=77, proto=0x6558) / INNER,
    "gre": lambda outer: LINK / outer / GRE(),
    "gre with key and checksum": lambda outer: LINK / outer / GRE(chksum_present=1, key_present=1, key=5),
    "gre with a frame": lambda outer: LINK / outer / GRE(proto=0x6558) / INNER,
    "mpls": lambda outer: LINK / outer / UDP(sport=50000, dport=6635) / MPLS(label=1000, s=1),
}


def tunnelled(name, outer, k, inner="tcp4", change=None, size=100):
    """Segment `k` in a tunnel."""
    packet = TUNNELS[name](outer(k))
    if inner == "tcp4":
        packet = packet / IP(src="10.0.0.1", dst="10.0.0.2", id=50 + k) / TCP(sport=7, dport=8, seq=5 + 100 * k, ack=1, flags="A")
    elif inner == "tcp6":
        packet = packet / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=7, dport=8, seq=5 + 100 * k, ack=1, flags="A")
    else:
        packet = packet / IP(src="10.0.0.1", dst="10.0.0.2", id=50 + k) / UDP(sport=7, dport=8)
    if change:
        change(packet)
    return bytes(packet / (bytes([65 + k]) * size))


@pytest.mark.parametrize("name", TUNNELS)
@pytest.mark.parametrize("outer", [v4, v6])
@pytest.mark.parametrize("inner", ["tcp4", "tcp6", "udp"])
def test_packets_are_merged_with_the_outer_headers_kept(scene, name, outer, inner):
    frames = [tunnelled(name, outer, k, inner) for k in range(4)]
    [large] = all_out(scene, *frames)
    assert (large.count, large.size, large.kind) == (4, 100, {"tcp4": 1, "tcp6": 4, "udp": 5}[inner])
    assert large.flags & int(TUNNEL) and large.bytes[large.inner_off] >> 4 == (6 if inner == "tcp6" else 4)
    assert bool(large.flags & int(OUTER_L4_PARTIAL)) == (name in ("vxlan", "geneve", "mpls", "gre with key and checksum"))
    if outer is v4:
        assert int.from_bytes(large.bytes[16:18], "big") == len(large.bytes) - 14
    else:
        assert int.from_bytes(large.bytes[18:20], "big") == len(large.bytes) - 54
    assert cut(large) == frames


def test_a_lone_packet_in_a_tunnel_leaves_as_it_came(scene):
    frame = tunnelled("vxlan", v4, 0)
    [alone] = all_out(scene, frame)
    assert alone.bytes == frame and alone.flags == 0
    lone = tunnelled("vxlan", v4, 1, change=lambda p: setattr(p[TCP], "flags", "S"))
    [alone] = scene.send(lone)
    assert alone.bytes == lone and alone.flags == 0


def test_each_ip_header_has_its_own_rule_for_ids(scene):
    frames = [tunnelled("vxlan", lambda k: IP(src="1.1.1.1", dst="2.2.2.2", id=9), k) for k in range(3)]
    [large] = all_out(scene, *frames)
    assert cut(large) == frames and large.flags & int(OUTER_FIXED_ID) and not large.flags & int(FIXED_ID)
    frames = [tunnelled("vxlan", lambda k: IP(src="1.1.1.1", dst="2.2.2.2", id=(9, 10, 10)[k]), k) for k in range(3)]
    out = all_out(scene, *frames)
    assert [f for one in out for f in cut(one)] == frames and "flushed: IPv4 id neither fixed nor counting" in scene.codes()


@pytest.mark.parametrize("change", [lambda p: setattr(p[IP], "tos", 4), lambda p: setattr(p[IP], "ttl", 4),
                                    lambda p: setattr(p[UDP], "sport", 4), lambda p: setattr(p[UDP], "chksum", 0),
                                    lambda p: setattr(p.getlayer(Ether, 2), "src", A),
                                    lambda p: setattr(p[VXLAN], "reserved2", 1)])
def test_outer_headers_that_differ_part_a_flow(scene, change):
    frames = [tunnelled("vxlan", v4, 0), tunnelled("vxlan", v4, 1), tunnelled("vxlan", v4, 2, change=change)]
    out = all_out(scene, *frames)
    assert [f for one in out for f in cut(one)] == frames and len(out) == 2 and "flushed: outer headers changed" in scene.codes()


def test_another_network_in_the_tunnel_is_another_flow(scene):
    frames = [tunnelled("vxlan", lambda _: IP(src="1.1.1.1", dst="2.2.2.2", id=9), k // 2,
                        change=lambda p, k=k: setattr(p[VXLAN], "vni", 77 + k % 2)) for k in range(4)]
    out = all_out(scene, *frames)
    assert sorted(one.count for one in out) == [2, 2]
    assert sorted(f for one in out for f in cut(one)) == sorted(frames)


def test_what_came_out_of_two_tunnels_is_not_one(scene):
    frames = [tcp(1000, "a" * 10, ident=1), tcp(1010, "b" * 10, ident=2), tcp(1020, "c" * 10, ident=3)]
    scene.put(*frames, flags=int(TUN_META))
    for place, i in enumerate(scene.packets[-3:]):
        scene.table("tunnels")[i].w[0] = 5
        scene.table("tunnels")[i].w[6] = place // 2
    [first] = scene.take_out(scene.call())
    [last] = scene.pause()
    assert cut(first) == frames[:2] and last.bytes == frames[2] and "flushed: outer headers changed" in scene.codes()


@pytest.mark.parametrize("at, flag", [(24, OUTER_IP_BAD), (40, OUTER_L4_BAD), (-1, L4_CSUM_BAD)])
def test_checksums_of_a_tunnel_are_verified(scene, at, flag):
    first, second = tunnelled("vxlan", v4, 0), bytearray(tunnelled("vxlan", v4, 1))
    second[at] ^= 0x55
    held, bad = scene.send(first, bytes(second))
    assert held.bytes == first and bad.bytes == bytes(second) and bad.flags == int(flag)
    assert scene.codes()[-1] == "passed by GRO: its checksum is bad"


def test_a_gre_header_with_a_sequence_number_is_passed(scene):
    frames = [bytes(LINK / v4(k) / GRE(seqnum_present=1, sequence_number=k) / IP(tcp(5 + k, "a", ident=k)[14:])) for k in range(2)]
    assert [one.bytes for one in scene.send(*frames)] == frames
    assert set(scene.codes()) == {"passed by GRO: GSO could not give back its bytes"}


@pytest.mark.parametrize("cuts", [(20, 30), (60,), (100, 10)])
def test_tunnel_headers_in_pieces_are_brought_together(scene, cuts):
    frames = [tunnelled("vxlan", v4, k) for k in range(2)]
    out = scene.send(frames[0], cuts=cuts) + scene.send(frames[1], cuts=cuts) + scene.pause()
    assert [one.count for one in out] == [2] and cut(out[0]) == frames


def test_fragments_pass_behind_all_that_is_held_between_their_addresses(scene):
    frames = [datagram(0), datagram(1), bytes(LINK / IP(src="10.0.0.1", dst="10.0.0.2", frag=5, proto=17) / ("x" * 40)), datagram(2)]
    out = scene.send(*frames)
    assert cut(out[0]) == frames[:2] and out[1].bytes == frames[2] and len(out) == 2
    other = bytes(LINK / IP(src="10.0.0.9", dst="10.0.0.2", frag=5, proto=17) / ("x" * 40))
    assert [one.bytes for one in scene.send(other)] == [other] and scene.lane.held == 1


@pytest.mark.parametrize("outer", [v4, v6])
def test_the_outer_packet_has_at_most_65535_bytes(scene, outer):
    frames = [tunnelled("vxlan", outer, k, size=1400, change=lambda p, k=k: setattr(p[TCP], "seq", 5 + 1400 * k)) for k in range(48)]
    out = scene.send(*frames[:24]) + scene.send(*frames[24:])
    assert [one.count for one in out] == [46] and "flushed: it reached 64 KB" in scene.codes()
    assert [f for one in out + scene.pause() for f in cut(one)] == frames
