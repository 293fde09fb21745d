"""GSO of anything: whatever the sizes and wherever the chain is cut, segments are what scapy builds, and every mbuf comes back."""
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.all import Ether, Raw
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.vxlan import VXLAN

from lab.memory.mbuf import ELEMENTS, GSO, L4_CSUM_PARTIAL
from tests.gso_scene import all_back, cut, expected, finished, load, run, scene, set_offloads

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=0xFFF0)
TCP4, UDP6 = V4 / TCP(flags="FPAC", seq=0xFFFFFFF0), ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2)
VX = V4 / UDP(sport=9, dport=4789) / VXLAN(flags=8, vni=3) / TCP4
LENGTHS = st.lists(st.integers(0, 300), max_size=20)


@settings(max_examples=40, deadline=None)
@given(
    packet=st.sampled_from([TCP4, UDP6, VX]), payload=st.binary(min_size=2, max_size=4000), size=st.integers(1, 1500), cuts=LENGTHS,
    offloads=st.sampled_from([(), ("csum",), ("csum", "tso6", "tunnel-csum")]),
)  # fmt: skip
def test_segments_of_anything(packet, payload, size, cuts, offloads):
    size = max(size, -(-len(payload) // 120))
    packet = packet / Raw(payload)
    left, dropped = cut(packet, size, cuts=tuple(cuts), offloads=offloads)
    assert dropped == []
    if len(payload) <= size:
        assert [p.gso_size for p in left] == [0]
    else:
        assert [finished(p) for p in left] == expected(packet, size)


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(min_size=1, max_size=3000), flags=st.integers(0, 7), size=st.one_of(st.integers(20, 500), st.integers(0, 0xFFFF)),
    kind=st.sampled_from([0, 1, 1, 1, 3, 4, 5, 0x81, 255]), start=st.one_of(st.just(84), st.integers(0, 0xFFFF)),
    inner_off=st.one_of(st.just(64), st.integers(0, 0xFFFF)), cuts=LENGTHS, real=st.booleans(),
    damage=st.lists(st.tuples(st.integers(0, 110), st.integers(0, 255)), max_size=4),
)  # fmt: skip
def test_nothing_that_a_guest_may_write_is_lost_or_harms(data, flags, size, kind, start, inner_off, cuts, damage, real):
    """Bytes of no sense, or a packet with damaged headers, with metadata that lie: cut or dropped, checked, alike in both tempos."""
    data = bytearray(bytes(VX / Raw(data)) if real else data)
    for at, value in damage:
        if at < len(data):
            data[at] = value
    tempo = scene()
    more = [int(L4_CSUM_PARTIAL), 1 << 18, int(ELEMENTS)]
    fields = {
        "ol_flags": int(GSO) | sum(bit for k, bit in enumerate(more) if flags >> k & 1), "tso_segsz": size, "gso_type": kind,
        "csum_start": start, "csum_offset": 16, "inner_off": inner_off,
    }  # fmt: skip
    load(tempo, [bytes(data)], [fields], tuple(cuts))
    set_offloads(tempo, ("csum",))
    left, dropped = run(tempo, checked=True)
    assert len(left) + len(dropped) >= 1 and len(dropped) <= 1
    all_back(tempo)
