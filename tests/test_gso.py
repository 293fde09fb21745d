"""GSO, every shape of packet: what leaves is what scapy builds for each segment, in both tempos, and every mbuf comes back."""
import pytest
from scapy.all import Dot1AD, Dot1Q, Ether, Raw
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN
from scapy.layers.l2 import GRE
from scapy.layers.vxlan import VXLAN

from lab.memory.mbuf import FIXED_ID, GSO, L4_CSUM_PARTIAL, OUTER_FIXED_ID, OUTER_L4_PARTIAL, TUN_META
from lab.memory.record import NULL
from tests.gso_scene import cut, expected, finished

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IP(src="10.0.0.1", dst="10.0.0.2", id=0xFFFE, flags="DF")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2", fl=0x12345)
OUTER4 = ETHER / IP(src="192.0.2.1", dst="192.0.2.2", id=0x1000)
OUTER6 = ETHER / IPv6(src="2001:db8:1::1", dst="2001:db8:1::2")
TIMES = [("NOP", None), ("NOP", None), ("Timestamp", (0x11223344, 0x55667788))]
PAYLOAD = bytes(range(256)) * 40 + b"the odd end"


def tcp(flags="PA", **more):
    return TCP(sport=1234, dport=80, seq=0xFFFFFE00, ack=9, flags=flags, **more)


def udp():
    return UDP(sport=5000, dport=6000)


def outer_udp(port, chksum):
    """An outer UDP header: `chksum` 0 has none, None is one to be made."""
    return UDP(sport=50000, dport=port, **({} if chksum is None else {"chksum": 0}))


INNER = ETHER / V4 / tcp()
SHAPES = {
    "TCP over IPv4": ETHER / V4 / tcp("FPA"),
    "TCP over IPv6": ETHER / V6 / tcp("FPA"),
    "TCP options": ETHER / V4 / tcp(options=TIMES),
    "IPv4 options": ETHER / V4 / tcp(),
    "USO over IPv4": ETHER / V4 / udp(),
    "USO over IPv6": ETHER / V6 / udp(),
    "802.1Q": ETHER / Dot1Q(vlan=7, prio=3) / V4 / tcp(),
    "QinQ": ETHER / Dot1AD(vlan=8) / Dot1Q(vlan=7) / V6 / tcp(),
    "IPv6 with a routing header": ETHER / V6 / IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::77"]) / tcp(),
    "IPv6 extension headers": ETHER / V6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 12)]) / IPv6ExtHdrDestOpt() / tcp(),
    "VXLAN": OUTER4 / outer_udp(4789, 0) / VXLAN(vni=42, flags=8) / INNER,
    "VXLAN with a checksum": OUTER4 / outer_udp(4789, None) / VXLAN(vni=42, flags=8) / INNER,
    "VXLAN over IPv6": OUTER6 / outer_udp(4789, None) / VXLAN(vni=42, flags=8) / ETHER / V6 / tcp(),
    "VXLAN with an inner tag": OUTER4 / outer_udp(4789, 0) / VXLAN(vni=42, flags=8) / ETHER / Dot1Q(vlan=3) / V4 / udp(),
    "Geneve": OUTER4 / outer_udp(6081, None) / GENEVE(vni=5, proto=0x6558, options=[GeneveOptions(data=b"12345678")]) / INNER,
    "Geneve over IPv6": OUTER6 / outer_udp(6081, None) / GENEVE(vni=5, proto=0x6558) / ETHER / V6 / udp(),
    "GRE": OUTER4 / GRE(proto=0x6558) / INNER,
    "GRE with key and checksum": OUTER4 / GRE(proto=0x6558, key_present=1, key=99, chksum_present=1) / INNER,
    "GRE with a sequence, over IPv6": OUTER6 / GRE(proto=0x86DD, seqnum_present=1, sequence_number=0xFFFFFFFE) / V6 / tcp(),
    "GRE of IPv4, everything": OUTER4 / GRE(proto=0x800, key_present=1, chksum_present=1, seqnum_present=1, sequence_number=7) / V4 / udp(),
    "MPLS over UDP": OUTER4 / outer_udp(6635, 0) / MPLS(label=100, s=0) / MPLS(label=16, s=1) / V4 / tcp(),
    "MPLS over UDP over IPv6": OUTER6 / outer_udp(6635, None) / MPLS(label=16, s=1) / V6 / tcp(options=TIMES),
}  # fmt: skip
SHAPES["IPv4 options"][IP].options = [IPOption_Router_Alert()]


@pytest.mark.parametrize("size", [1448, 1001])
@pytest.mark.parametrize("name", SHAPES)
def test_segments_are_what_scapy_builds(name, size):
    packet = SHAPES[name] / Raw(PAYLOAD)
    left, dropped = cut(packet, size)
    assert dropped == []
    assert [finished(p).hex() for p in left] == [data.hex() for data in expected(packet, size)]
    assert all(p.gso_size == 0 and p.flags & int(GSO) == 0 and p.flags & int(L4_CSUM_PARTIAL) for p in left)


@pytest.mark.parametrize("cuts", [(1,), (13, 1, 2, 20), (60, 1, 1, 1, 0, 3), (54, 0, 0, 1448), (2000, 0, 5, 0, 0, 9)])
@pytest.mark.parametrize("name", ["TCP over IPv4", "QinQ", "IPv6 extension headers", "VXLAN with a checksum"])
def test_a_chain_may_be_cut_anywhere(name, cuts):
    packet = SHAPES[name] / Raw(PAYLOAD)
    left, dropped = cut(packet, 1448, cuts=cuts)
    assert dropped == []
    assert [finished(p) for p in left] == expected(packet, 1448)


def test_headers_are_copied_and_payload_is_referred_to():
    left, _ = cut(SHAPES["TCP over IPv4"] / Raw(bytes(4000)), 1448, checked=None)
    assert [[(owner != NULL, n) for _, owner, n in p.segments] for p in left] == [
        [(False, 54), (True, 1448)],
        [(False, 54), (True, 546), (True, 902)],
        [(False, 54), (True, 1104)],
    ]
    assert {owner for p in left for _, owner, _ in p.segments[1:]} == {0, 1}


@pytest.mark.parametrize(
    "flags, first, middle, last",
    [
        ("FPA", "A", "A", "FPA"),
        ("PAC", "AC", "A", "PA"),
        ("AEC", "AEC", "AE", "AE"),
        ("NAC", "NAC", "NAC", "NAC"),  # AE, CWR: AccECN's counter
    ],
)
def test_flags_of_first_middle_and_last(flags, first, middle, last):
    left, _ = cut(ETHER / V4 / tcp(flags) / Raw(bytes(40)), 16, checked=None)
    assert [str(Ether(p.data)[TCP].flags) for p in left] == [str(TCP(flags=f).flags) for f in (first, middle, last)]


def test_ids_count_or_stay():
    packet = SHAPES["VXLAN"] / Raw(bytes(30))
    ids = {}
    for name, flag in (("count", 0), ("inner", FIXED_ID), ("outer", OUTER_FIXED_ID)):
        left, _ = cut(packet, 10, checked=None, ol_flags=int(GSO | L4_CSUM_PARTIAL | (1 << 18)) | int(flag))
        ids[name] = [(Ether(p.data)[IP].id, Ether(p.data)[VXLAN][IP].id) for p in left]
    assert ids == {
        "count": [(0x1000, 0xFFFE), (0x1001, 0xFFFF), (0x1002, 0)],
        "inner": [(0x1000, 0xFFFE), (0x1001, 0xFFFE), (0x1002, 0xFFFE)],
        "outer": [(0x1000, 0xFFFE), (0x1000, 0xFFFF), (0x1000, 0)],
    }


def test_a_wrong_ip_checksum_stays_as_wrong():
    packet = ETHER / V4 / tcp() / Raw(bytes(100))
    packet[IP].chksum = 0x1234
    right = [Ether(data)[IP].chksum for data in expected(packet, 60)]
    left, _ = cut(packet, 60)
    wrong = [Ether(p.data)[IP].chksum for p in left]
    whole = Ether(bytes(ETHER / V4 / tcp() / Raw(bytes(100))))[IP].chksum
    assert [(w - r) % 0xFFFF for w, r in zip(wrong, right, strict=True)] == [(0x1234 - whole) % 0xFFFF] * 2


def test_udp_without_a_checksum_stays_without():
    packet = ETHER / V4 / UDP(sport=1, dport=2, chksum=0) / Raw(bytes(100))
    left, _ = cut(packet, 60, ol_flags=GSO)
    assert [Ether(p.data)[UDP].chksum for p in left] == [0, 0]
    assert all(p.flags & int(L4_CSUM_PARTIAL) == 0 for p in left)


def test_an_outer_checksum_of_zero_stays_zero_and_another_is_left_partial():
    for chksum in (0, None):
        left, _ = cut(OUTER4 / outer_udp(4789, chksum) / VXLAN(vni=1, flags=8) / INNER / Raw(bytes(100)), 60, checked=None)
        for p in left:
            assert bool(p.flags & int(OUTER_L4_PARTIAL)) == (chksum is None)
            assert (Ether(p.data)[UDP].chksum == 0) == (chksum == 0)


def test_padding_behind_the_packet_is_not_payload():
    packet = ETHER / V4 / tcp() / Raw(bytes(3000))
    padded = Raw(bytes(packet) + b"\xff" * 700)
    left, _ = cut(packet, 1448)
    for cuts in ((), (2000, 1054), (1000, 1000, 1060), (54, 2000, 1000, 300)):
        tail, _ = cut_bytes(padded, packet, 1448, cuts)
        assert [p.data for p in tail] == [p.data for p in left]


def cut_bytes(raw, packet, size, cuts):
    """Cut bytes that say less of themselves than there is."""
    from tests.gso_scene import all_back, load, metadata, run, scene, set_offloads

    tempo = scene()
    load(tempo, [bytes(raw)], [metadata(packet, bytes(packet), size)], cuts)
    set_offloads(tempo, ("csum",))
    out = run(tempo)
    all_back(tempo)
    return out


def test_segments_carry_what_the_packet_carried():
    left, _ = cut(
        ETHER / V4 / tcp() / Raw(bytes(100)), 60, serial=77, ol_flags=GSO | L4_CSUM_PARTIAL | TUN_META, mark=5, timestamp=1 << 40,
    )  # fmt: skip
    assert [p.serial for p in left] == [77, 77]
    assert all(p.flags & int(TUN_META) == 0 for p in left)  # what `tunnels` holds is the other mbuf's
    assert [(p.csum_start, p.csum_offset) for p in left] == [(34, 16)] * 2
