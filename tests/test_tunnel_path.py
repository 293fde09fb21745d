"""push and the path: routes, what does not fit and who is told, large packets that stay large.

What headers look like is `test_tunnel_push`'s to say.
"""
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from test_tunnel_push import LINK, packet
from tunnels import GUEST, UNDERLAY, Scene, words

from lab.memory import reasons
from lab.memory.mbuf import GSO, L4_CSUM_PARTIAL, OUTER_FIXED_ID, TUNNEL
from lab.offload import records
from lab.offload.records import TP_DF, TP_PMTUD
from lab.stages.burst import ROOM
from lab.stages.push import push

# --- ways -----------------------------------------------------------------------------------------


def test_the_longest_prefix_and_its_gateway_lead_the_way():
    scene = Scene(records.VXLAN)
    scene.array("routes")["used"] = 0
    scene.route(0, "10.0.0.9/32", gateway="10.0.0.77")
    scene.route(1, "10.0.0.0/24")
    scene.route(2, "0.0.0.0/0", gateway="10.0.0.78")
    scene.neighbour(2, "10.0.0.77", 0x02BB00000077)
    scene.neighbour(3, "10.0.0.78", 0x02BB00000078)
    assert Ether(scene.push([packet()])[0]).dst == "02:bb:00:00:00:77"
    scene.clear()
    scene.settings["remote"] = words("8.8.8.8")
    assert Ether(scene.push([packet()])[0]).dst == "02:bb:00:00:00:78"


@pytest.mark.parametrize("prefix, leads", [
    ("fd00::/16", True), ("fd00::/127", False), ("fd00::8/125", True), ("::/0", True), ("fe00::/7", False), ("fd00::9/128", True),
    ("fd00:0:0:1::/64", False), ("fd00::/64", True),
])  # fmt: skip
def test_prefixes_of_ipv6(prefix, leads):
    scene = Scene(records.VXLAN, v=6)
    scene.array("routes")["used"] = 0
    scene.route(5, prefix)
    assert len(scene.push([packet()], tempo="step")) == leads
    assert leads or scene.reasons() == {0: reasons.NO_ROUTE}


def test_without_a_route_or_through_a_tunnel_nothing_goes():
    scene = Scene(records.VXLAN)
    scene.array("routes")["used"] = 0
    assert scene.push([packet()]) == []
    assert scene.reasons() == {0: reasons.NO_ROUTE}
    scene.clear()
    scene.route(0, "10.0.0.0/24", port=9)
    assert scene.push([packet()]) == []
    assert scene.reasons() == {0: reasons.TUNNEL_LOOP}
    scene.clear()
    scene.route(0, "10.0.0.0/24", port=7)  # a port that is gone
    assert scene.push([packet()]) == []
    assert scene.reasons() == {0: reasons.NO_ROUTE}


# --- large packets --------------------------------------------------------------------------------


def large(size=1400):
    """A change that makes a TCP packet one that GSO would cut."""
    def change(m, tunnel):
        m.ol_flags = m.ol_flags | GSO | L4_CSUM_PARTIAL
        m.tso_segsz, m.gso_type, m.csum_start, m.csum_offset = size, 1, 34, 16
    return change


TCP_FRAME = bytes(Ether(**LINK) / IP(src="1.1.1.1", dst="2.2.2.2", flags="DF") / TCP(sport=1, dport=2, flags="A") / (b"x" * 5000))


def test_a_large_packet_stays_large_in_its_tunnel():
    scene = Scene(records.VXLAN, marks=TP_DF)
    out, = scene.push([TCP_FRAME], change=large())
    m = scene.table("mbufs")[scene.waiting(UNDERLAY)[0]]
    assert out[50:] == TCP_FRAME
    assert m.ol_flags == GSO | L4_CSUM_PARTIAL | TUNNEL | OUTER_FIXED_ID
    assert (m.csum_start, m.csum_offset, m.inner_off, m.tso_segsz) == (84, 16, 64, 1400)
    assert int(scene.table("outs")[UNDERLAY].wants) & int(GSO | TUNNEL) == int(GSO | TUNNEL)
    assert Ether(out)[IP].len == len(out) - 14


@pytest.mark.parametrize("payload, fits", [(1422, True), (1423, False)])
def test_what_is_larger_than_the_path_is_dropped(payload, fits):
    scene = Scene(records.VXLAN)
    assert len(scene.push([packet(b"x" * payload)])) == fits
    assert fits or scene.reasons() == {0: reasons.TUNNEL_TOO_BIG}
    assert scene.waiting(GUEST) == []


@pytest.mark.parametrize("segment, fits", [(1410, True), (1411, False)])
def test_a_large_packet_whose_segments_are_larger_than_the_path_is_dropped(segment, fits):
    scene = Scene(records.VXLAN)
    assert len(scene.push([TCP_FRAME], change=large(segment))) == fits
    assert fits or scene.reasons() == {0: reasons.TUNNEL_TOO_BIG}


@pytest.mark.parametrize("kind, overhead", [(records.VXLAN, 50), (records.GRE, 38), (records.MPLSOUDP, 32)])
def test_the_sender_of_a_packet_larger_than_the_path_is_told(kind, overhead):
    scene = Scene(kind, marks=TP_PMTUD)
    frame = packet(b"x" * 1460, flags="DF")
    assert scene.push([frame]) == []
    answer = Ether(scene.bytes_of(scene.waiting(GUEST)[0]))
    assert (answer.src, answer.dst) == (LINK["dst"], LINK["src"])
    assert (answer[IP].src, answer[IP].dst) == ("2.2.2.2", "1.1.1.1")
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu) == (3, 4, 1500 - overhead)
    raw = bytes(answer)
    assert raw[42:] == frame[14:14 + 548]
    del answer[ICMP].chksum, answer[IP].chksum
    assert bytes(answer) == raw
    assert scene.counted(reasons.TOO_BIG_TOLD) == 1


def test_the_sender_of_an_ipv6_packet_is_told_too():
    scene = Scene(records.VXLAN, v=6, marks=TP_PMTUD)
    frame = packet(b"x" * 1460, v=6, vlan=9)
    scene.push([frame])
    raw = scene.bytes_of(scene.waiting(GUEST)[0])
    answer = Ether(raw)
    assert answer[Dot1Q].vlan == 9
    assert (answer[IPv6].src, answer[IPv6].dst, answer[ICMPv6PacketTooBig].mtu) == ("fd22::2", "fd11::1", 1500 - 70 - 4)
    assert len(raw) == 18 + 1280
    del answer[ICMPv6PacketTooBig].cksum
    assert bytes(answer) == raw


@pytest.mark.parametrize("v, least", [(4, 68), (6, 1280)])
def test_no_sender_is_told_less_than_every_path_must_take(v, least):
    for mtu in (60, 100):
        scene = Scene(records.VXLAN, v=6, marks=TP_PMTUD)
        scene.table("ports")[UNDERLAY].mtu = mtu
        scene.push([packet(b"x" * 400, v=v, flags="DF" if v == 4 else 0)])
        answer = Ether(scene.bytes_of(scene.waiting(GUEST)[0]))
        assert (answer[ICMP].nexthopmtu if v == 4 else answer[ICMPv6PacketTooBig].mtu) == least


def test_a_sender_that_cannot_be_told_for_want_of_room_is_counted():
    scene = Scene(records.VXLAN, marks=TP_PMTUD)
    scene.set_up([packet(b"x" * 1460, flags="DF")], GUEST, (), None)
    scene.table("outs")[GUEST].n = ROOM
    scene.both(push)
    assert scene.reasons() == {0: reasons.TUNNEL_TOO_BIG}
    assert (scene.counted(reasons.RING_FULL), scene.counted(reasons.TOO_BIG_TOLD)) == (1, 0)


def test_who_did_not_ask_or_may_not_be_told_is_not():
    for frame, told in ((packet(b"x" * 1460), False), (packet(b"x" * 1460, flags="DF"), True)):
        scene = Scene(records.VXLAN, marks=TP_PMTUD)
        scene.push([frame], tempo="step")
        assert bool(scene.waiting(GUEST)) == told
    error = bytes(Ether(**LINK) / IP(src="1.1.1.1", dst="2.2.2.2", flags="DF") / ICMP(type=3, code=1) / bytes(1480))
    group = bytes(Ether(src=LINK["src"], dst="01:00:5e:00:00:01") / IP(src="1.1.1.1", dst="224.0.0.1", flags="DF") / UDP() / bytes(1480))
    for frame in (error, group):
        scene = Scene(records.VXLAN, marks=TP_PMTUD)
        assert scene.push([frame]) == []
        assert scene.waiting(GUEST) == []


def test_a_packet_of_64_kb_whose_outer_length_would_not_fit_is_dropped():
    scene = Scene(records.VXLAN)
    frame = bytes(Ether(**LINK) / IP(src="1.1.1.1", dst="2.2.2.2") / TCP(flags="A") / (b"x" * 65480))
    assert scene.push([frame], change=large()) == []
    assert scene.reasons() == {0: reasons.TUNNEL_TOO_BIG}
