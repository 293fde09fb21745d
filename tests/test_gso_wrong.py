"""GSO and what cannot be cut: each such packet is dropped for its reason, in both tempos and checked, and every mbuf comes back."""
import pytest
from scapy.all import ARP, Ether, Raw
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.vxlan import VXLAN

from lab.memory.mbuf import GSO, L4_CSUM_BAD, L4_CSUM_PARTIAL, OUTER_L4_BAD, TUNNEL
from lab.memory.reasons import NOT_CUT, ONE_SEGMENT, POOL_EMPTY, PULLED_UP, SEGMENTED
from tests.gso_scene import ECN, TCPV4, TCPV6, UDP_L4, all_back, cut, expected, finished, load, metadata, run, scene, set_offloads

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=5)
V6 = ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2")
TCP4, TCP6, UDP4 = V4 / TCP(flags="A"), V6 / TCP(flags="A"), V4 / UDP(sport=1, dport=2)
VX = V4 / UDP(dport=4789, chksum=0) / VXLAN(flags=8) / TCP4
FLIGHT = int(GSO | L4_CSUM_PARTIAL)


@pytest.fixture(params=[False, True], ids=["run", "checked"])
def checked(request):
    return request.param


def count(reason):
    return int(scene().array("reasons")["count"][reason])


@pytest.mark.parametrize(
    "packet, size, fields, why",
    [
        (TCP4 / Raw(bytes(3000)), 0, {}, ("dropped: GSO size", 0, 3054)),
        (TCP4 / Raw(bytes(3000)), 100, {"gso_type": TCPV6}, ("dropped: GSO type", TCPV6, 0)),
        (TCP6 / Raw(bytes(3000)), 100, {"gso_type": TCPV4}, ("dropped: GSO type", TCPV4, 0)),
        (UDP4 / Raw(bytes(3000)), 100, {"gso_type": TCPV4}, ("dropped: GSO type", TCPV4, 0)),
        (TCP4 / Raw(bytes(3000)), 100, {"gso_type": UDP_L4}, ("dropped: GSO type", UDP_L4, 0)),
        (UDP4 / Raw(bytes(3000)), 100, {"gso_type": 3}, ("dropped: GSO type", 3, 0)),  # UFO: never IP fragments
        (TCP4 / Raw(bytes(3000)), 100, {"gso_type": 0}, ("dropped: GSO type", 0, 0)),
        (TCP4, 100, {}, ("dropped: GSO headers", 54, 100)),
        (TCP4 / Raw(bytes(1025)), 1, {}, ("dropped: too many segments", 1025, 1024)),
        (UDP4 / Raw(bytes(1290)), 10, {}, ("dropped: too many segments", 129, 128)),
        (TCP4 / Raw(bytes(3000)), 100, {"csum_start": 33}, ("dropped: checksum outside", 33, 3054)),
        (TCP4 / Raw(bytes(3000)), 100, {"csum_start": 60000}, ("dropped: checksum outside", 60000, 3054)),
        (TCP4 / Raw(bytes(3000)), 100, {"csum_offset": 6}, ("dropped: checksum outside", 34, 3054)),
        (TCP4 / Raw(bytes(3000)), 100, {"ol_flags": int(GSO | L4_CSUM_BAD)}, ("dropped: bad checksum", 0, 0)),
        (VX / Raw(bytes(3000)), 100, {"ol_flags": FLIGHT | int(TUNNEL | OUTER_L4_BAD)}, ("dropped: bad checksum", 0, 0)),
        (V4 / TCP(flags="A", dataofs=15) / Raw(bytes(10)), 5, {}, ("dropped: GSO headers", 34, 5)),
        (V4 / TCP(flags="A", dataofs=4) / Raw(bytes(100)), 5, {}, ("dropped: GSO headers", 34, 5)),
    ],
)  # fmt: skip
def test_refused(packet, size, fields, why, checked):
    tempo = scene()
    load(tempo, [bytes(packet)], [metadata(packet, bytes(packet), size) | fields])
    set_offloads(tempo, ("csum",))
    assert run(tempo, checked) == ([], [why])
    all_back(tempo)


def altered(packet, **fields):
    """A packet with fields of its outermost IP header that lie."""
    data = Ether(bytes(packet))
    for name, value in fields.items():
        setattr(data[IP], name, value)
    return bytes(data)


@pytest.mark.parametrize(
    "data, reason",
    [
        (altered(TCP4 / Raw(bytes(3000)), len=19), "dropped: GSO headers"),
        (altered(TCP4 / Raw(bytes(3000)), len=39), "dropped: GSO headers"),
        (altered(TCP4 / Raw(bytes(3000)), len=60000), "dropped: GSO headers"),
        (altered(TCP4 / Raw(bytes(3000)), ihl=4), "dropped: GSO headers"),
        (altered(TCP4 / Raw(bytes(3000)), ihl=15), "dropped: GSO headers"),
        (altered(TCP4 / Raw(bytes(3000)), proto=0), "dropped: GSO type"),
        (altered(TCP4 / Raw(bytes(3000)), flags="MF"), "dropped: GSO type"),
        (altered(TCP4 / Raw(bytes(3000)), frag=10), "dropped: GSO type"),
        (bytes(ETHER / ARP()) + bytes(3000), "dropped: GSO headers"),
        (bytes(TCP4)[:20], "dropped: GSO headers"),
        (b"x", "dropped: GSO headers"),
    ],
)
def test_headers_that_lie(data, reason, checked):
    tempo = scene()
    load(tempo, [data], [{"ol_flags": FLIGHT, "tso_segsz": 100, "gso_type": TCPV4, "csum_start": 34, "csum_offset": 16}])
    set_offloads(tempo, ("csum",))
    left, dropped = run(tempo, checked)
    assert left == [] and [d[0] for d in dropped] == [reason]
    all_back(tempo)


@pytest.mark.parametrize("inner_off", [0, 13, 34, 41, 60000])
def test_an_inner_packet_that_is_not_there(inner_off, checked):
    tempo = scene()
    packet = VX / Raw(bytes(3000))
    load(tempo, [bytes(packet)], [metadata(packet, bytes(packet), 100) | {"inner_off": inner_off}])
    set_offloads(tempo, ("csum",))
    left, dropped = run(tempo, checked)
    assert left == [] and [d[0] for d in dropped] == ["dropped: GSO headers"]
    all_back(tempo)


@pytest.mark.parametrize("size", [1, 53, 54, 0xFFFF])
def test_any_size_that_fits(size, checked):
    packet = TCP4 / Raw(bytes(range(200)) * 5)
    left, dropped = cut(packet, size, checked=checked)
    assert dropped == []
    assert [finished(p) for p in left] == expected(packet, size)


def test_one_segment_is_passed_with_its_checksum_still_partial():
    packet = TCP4 / Raw(bytes(100))
    left, _ = cut(packet, 100)
    assert count(ONE_SEGMENT) == 1 and count(SEGMENTED) == 0
    assert [(p.gso_size, p.flags, p.data) for p in left] == [(0, int(L4_CSUM_PARTIAL), left[0].data)]
    assert finished(left[0]) == bytes(packet)


def test_a_gso_packet_whose_checksum_nobody_left_partial_is_cut_all_the_same(checked):
    packet = TCP4 / Raw(bytes(300))
    left, _ = cut(packet, 100, checked=checked, ol_flags=GSO)
    assert [finished(p) for p in left] == expected(packet, 100)


@pytest.mark.parametrize("cuts", [(1,), (13, 1), (20, 20, 20), (33, 0, 0, 1, 2, 3, 4, 5, 6)])
def test_headers_spread_over_segments_are_pulled_up_once(cuts, checked):
    packet = TCP4 / Raw(bytes(3000))
    left, _ = cut(packet, 1448, cuts=cuts, checked=checked)
    assert [finished(p) for p in left] == expected(packet, 1448)
    assert count(PULLED_UP) == 1


def test_ecn_without_the_offload():
    packet = V4 / TCP(flags="AC") / Raw(bytes(300))
    for offloads, whole in ((("csum", "tso4"), 0), (("csum", "tso4", "ecn"), 1)):
        left, _ = cut(packet, 100, offloads=offloads, checked=None, gso_type=TCPV4 | ECN)
        assert (count(NOT_CUT), len(left)) == (whole, 1 if whole else 3)


def short_of_mbufs(spare, packet, size, cuts=()):
    """Cut with only `spare` mbufs free."""
    tempo = scene()
    load(tempo, [bytes(packet)], [metadata(packet, bytes(packet), size)], cuts)
    set_offloads(tempo, ("csum",))
    head = tempo.table("pool").head[0]
    # the free mbufs at the bottom of the stack are out of the stage's reach
    hidden = head.n - spare
    free = tempo.array("pool", "free")
    kept = free["index"].copy()
    free["index"][:spare] = kept[hidden:hidden + spare]
    head.n = spare
    left, dropped = run(tempo)
    n = head.n
    back = free["index"][:n].copy()
    free["index"][:hidden] = kept[:hidden]
    free["index"][hidden:hidden + n] = back
    head.n = hidden + n
    return tempo, left, dropped


@pytest.mark.parametrize("spare", [0, 1, 2, 3, 4, 5, 8, 12, 20, 40])
@pytest.mark.parametrize("cuts", [(), (54,), (60, 0, 7, 1)])
def test_a_pool_that_runs_dry_drops_what_is_left(spare, cuts):
    packet = TCP4 / Raw(bytes(range(250)) * 80)
    whole = expected(packet, 1448)
    tempo, left, dropped = short_of_mbufs(spare, packet, 1448, cuts)
    assert [finished(p) for p in left] == whole[: len(left)]
    assert dropped == ([] if len(left) == len(whole) else [("dropped: mempool empty", 0, 0)])
    assert len(left) < len(whole) or spare >= 40
    assert len(left) >= (spare - 2) // 3
    assert count(POOL_EMPTY) == 0  # the engine counts drops
    all_back(tempo)
