"""virtio-net headers: what is believed of them and what is not, in all their forms, in both tempos and in checked code."""
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from tempo import Tempo
from vnet_stages import enter, leave

from lab import Switch
from lab.memory.mbuf import GSO, HEADROOM, L4_CSUM_GOOD, L4_CSUM_PARTIAL, OUTER_L4_PARTIAL, TUNNEL
from lab.memory.reasons import (
    BAD_CSUM_START,
    BAD_GSO_HEADERS,
    BAD_GSO_SIZE,
    BAD_GSO_TYPE,
    BAD_VNET,
    REASONS,
    TOO_MANY_SEGMENTS,
)
from lab.packet.packet import Packet

TEMPO = Tempo()
ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")
TCP4 = bytes(ETH / V4 / TCP(sport=1, dport=2) / bytes(1900))
TCP6 = bytes(ETH / V6 / TCP(sport=1, dport=2) / bytes(1900))
UDP4 = bytes(ETH / V4 / UDP(sport=1, dport=2) / bytes(1900))
TAGGED = bytes(ETH / Dot1Q(vlan=7) / V4 / TCP() / bytes(1900))
IN_VXLAN = bytes(ETH / V4 / UDP(sport=9, dport=4789, chksum=0) / VXLAN(vni=5) / ETH / V4 / TCP() / bytes(1800))
IN_VXLAN6 = bytes(ETH / V6 / UDP(sport=9, dport=4789) / VXLAN(vni=5) / ETH / V6 / TCP() / bytes(1700))


def header(n=12, *, flags=0, gso=0, hdr_len=0, size=0, start=0, offset=0, buffers=0, value=0, report=0, outer=0, inner=0):
    return struct.pack("<BBHHHHHIHxxHH", flags, gso, hdr_len, size, start, offset, buffers, value, report, outer, inner)[:n].ljust(n, b"\0")


def entered(frame, words, *, cuts=(), checked=False):
    """The mbuf of a packet that a guest said this of, and the reason to drop it, 0 for none."""
    TEMPO.unload()
    (i,) = TEMPO.load([frame], cuts=cuts)
    m = TEMPO.table("mbufs")[i]
    TEMPO.table("memory").write(m.buf, words[:HEADROOM])
    m.mark, m.tso_segsz, m.gso_type, m.reason = len(words), 0, 0, 0
    TEMPO.both(enter, checked=checked)
    return m, m.reason if int(TEMPO.table("bursts")[0].dropped) else 0


def content(m):
    return TEMPO.table("memory").bytes(m.buf + m.data_off, m.data_len)


# --- what is believed ----------------------------------------------------------------------------

@pytest.mark.parametrize("n", [10, 12, 20, 24])
def test_a_large_packet_with_its_checksum_left_is_believed_in_every_form(n):
    m, why = entered(TCP4, header(n, flags=1, gso=1, hdr_len=9999, size=1000, start=34, offset=16, buffers=77))
    assert why == 0 and int(m.ol_flags) == int(GSO | L4_CSUM_PARTIAL) and content(m) == TCP4
    assert (m.tso_segsz, m.gso_type, m.gso_segs, m.csum_start, m.csum_offset) == (1000, 1, 2, 34, 16)


@pytest.mark.parametrize("frame, kind, start, offset, layer", [(TCP4, 1, 34, 16, V4 / TCP()), (TCP6, 4, 54, 16, V6 / TCP()),
                                                               (UDP4, 5, 34, 6, V4 / UDP()), (TAGGED, 0x81, 38, 16, V4 / TCP())])
def test_a_large_packet_always_has_a_partial_checksum_afterwards(frame, kind, start, offset, layer):
    m, why = entered(frame, header(gso=kind, size=500))
    assert why == 0 and int(m.ol_flags) == int(GSO | L4_CSUM_PARTIAL)
    assert (m.csum_start, m.csum_offset, m.gso_segs, m.gso_type) == (start, offset, 4, kind)
    data, at = content(m), start + offset
    rest = data[start:] + bytes(len(data) & 1)
    total = sum(struct.unpack(f"!{len(rest) // 2}H", rest))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total ^ 0xFFFF == int.from_bytes(frame[at:at + 2], "big"), "summing the rest gives scapy's checksum"


def test_checksums_that_a_guest_vouches_for_are_good_and_those_it_left_are_partial():
    assert int(entered(TCP4, header(flags=2))[0].ol_flags) == int(L4_CSUM_GOOD)
    assert int(entered(TCP4, header(flags=3, start=34, offset=16))[0].ol_flags) == int(L4_CSUM_PARTIAL)
    assert int(entered(TCP4, header())[0].ol_flags) == 0


def test_a_hash_is_taken_over_when_it_says_of_which_kind_it_is():
    assert int(entered(TCP4, header(20, value=0xDEADBEEF, report=2))[0].hash) == 0xDEADBEEF
    assert int(entered(TCP4, header(20, value=0x12345678))[0].hash) != 0x12345678


def test_a_packet_of_one_segment_is_no_large_packet_whatever_its_guest_says():
    for size in (1900, 0xFFFF):
        m, why = entered(TCP4, header(gso=1, size=size))
        assert why == 0 and int(m.ol_flags) == int(L4_CSUM_PARTIAL) and m.tso_segsz == 0


@pytest.mark.parametrize("frame, kind, outer, inner, start", [(IN_VXLAN, 0x21, 34, 64, 84), (IN_VXLAN6, 0x44, 54, 84, 124)])
@pytest.mark.parametrize("flags, partial", [(1, 0), (9, int(OUTER_L4_PARTIAL))])
def test_offsets_of_a_tunnel_are_believed_where_the_headers_agree(frame, kind, outer, inner, start, flags, partial):
    m, why = entered(frame, header(24, flags=flags, gso=kind, size=500, start=start, offset=16, outer=outer, inner=inner))
    assert why == 0 and int(m.ol_flags) == int(GSO | L4_CSUM_PARTIAL | TUNNEL) | partial
    assert (m.inner_off, m.csum_start, m.gso_type, m.gso_segs) == (inner, start, kind & 7, 4)


def test_headers_in_several_segments_are_brought_together():
    m, why = entered(TCP4, header(flags=1, gso=1, size=1000, start=34, offset=16), cuts=(20, 10))
    assert why == 0 and m.data_len >= 54 and m.gso_segs == 2


# --- what is not ---------------------------------------------------------------------------------

ARPS = bytes(ETH / ARP())
FRAGMENT = bytes(ETH / IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / TCP() / bytes(1000))
SHORT_TOTAL = bytes(ETH / IP(src="10.0.0.1", dst="10.0.0.2", len=30) / TCP() / bytes(1000))
LESS_THAN_ITS_HEADER = bytes(ETH / IP(src="10.0.0.1", dst="10.0.0.2", len=19) / TCP() / bytes(1000))
EMPTY = bytes(ETH / V4 / TCP())
PADDED = bytes(ETH / V4 / TCP()) + bytes(1000)
PROTOCOL_0 = bytes(ETH / IP(src="10.0.0.1", dst="10.0.0.2", proto=0) / bytes(1000))
VX = {"flags": 1, "gso": 0x21, "size": 500, "start": 84, "offset": 16, "outer": 34, "inner": 64}
HOSTILE = [
    (TCP4, header(11), BAD_VNET),
    (TCP4, header(0), BAD_VNET),
    (TCP4, bytes(100), BAD_VNET),
    (TCP4, header(flags=1, start=len(TCP4) - 1), BAD_CSUM_START),
    (TCP4, header(flags=1, start=0xFFFF, offset=0xFFFF), BAD_CSUM_START),
    (TCP4, header(flags=5, start=34, offset=16), BAD_VNET),
    (TCP4, header(gso=1, size=0), BAD_GSO_SIZE),
    (TCP4, header(gso=1, size=1), TOO_MANY_SEGMENTS),
    (UDP4, header(gso=5, size=14), TOO_MANY_SEGMENTS),
    (TCP4, header(gso=2, size=500), BAD_GSO_TYPE),
    (UDP4, header(gso=1, size=500), BAD_GSO_TYPE),
    (TCP6, header(gso=1, size=500), BAD_GSO_TYPE),
    (TCP4, header(gso=4, size=500), BAD_GSO_TYPE),
    (TCP4, header(gso=5, size=500), BAD_GSO_TYPE),
    (UDP4, header(gso=3, size=500), BAD_GSO_TYPE),
    (UDP4, header(gso=0x85, size=500), BAD_GSO_TYPE),
    (ARPS, header(gso=1, size=500), BAD_GSO_TYPE),
    (PROTOCOL_0, header(gso=1, size=500), BAD_GSO_TYPE),
    (TCP4, header(gso=0xFF, size=500), BAD_GSO_TYPE),
    (TCP4[:40], header(gso=1, size=5), BAD_GSO_HEADERS),
    (FRAGMENT, header(gso=1, size=500), BAD_GSO_HEADERS),
    (SHORT_TOTAL, header(gso=1, size=500), BAD_GSO_HEADERS),
    (LESS_THAN_ITS_HEADER, header(gso=1, size=500), BAD_GSO_HEADERS),
    (EMPTY, header(gso=1, size=500), BAD_GSO_HEADERS),
    (PADDED, header(gso=1, size=500), BAD_GSO_HEADERS),
    (TCP4[:5], header(gso=1, size=5), BAD_GSO_TYPE),
    (TCP4, header(flags=1, gso=1, size=500, start=14, offset=10), BAD_CSUM_START),
    (TCP4, header(flags=1, gso=1, size=500, start=34, offset=6), BAD_CSUM_START),
    (IN_VXLAN, header(12, **VX), BAD_GSO_TYPE),
    (IN_VXLAN, header(24, **{**VX, "gso": 0x61}), BAD_GSO_TYPE),
    (IN_VXLAN, header(24, **{**VX, "gso": 0x41}), BAD_GSO_TYPE),
    (IN_VXLAN, header(24, **{**VX, "gso": 0x20}), BAD_GSO_TYPE),
    (IN_VXLAN, header(24, **{**VX, "flags": 0}), BAD_VNET),
    (IN_VXLAN, header(24, **{**VX, "outer": 35}), BAD_VNET),
    (IN_VXLAN, header(24, **{**VX, "inner": 38}), BAD_GSO_HEADERS),
    (IN_VXLAN, header(24, **{**VX, "inner": 0xFFFF}), BAD_GSO_HEADERS),
    (IN_VXLAN, header(24, **{**VX, "start": 34}), BAD_CSUM_START),
    (TCP4, header(24, **VX), BAD_GSO_HEADERS),
    (ARPS, header(24, **VX), BAD_CSUM_START),
]


@pytest.mark.parametrize("n", range(len(HOSTILE)))
def test_what_the_packets_bytes_deny_is_refused_with_its_reason(n):
    frame, words, reason = HOSTILE[n]
    for cuts in ((), (20,)):
        m, why = entered(frame, words, cuts=cuts)
        assert REASONS[why].code == REASONS[reason].code
        assert int(m.ol_flags & (GSO | TUNNEL)) == 0 and m.tso_segsz == 0


@given(st.sampled_from([TCP4, TCP6, UDP4, TAGGED, IN_VXLAN, IN_VXLAN6, ARPS, FRAGMENT, EMPTY]), st.binary(max_size=30),
       st.integers(0, 1950))
def test_whatever_a_guest_writes_what_is_believed_is_true_in_checked_code(frame, words, cut):
    m, why = entered(frame[:max(cut, 1)], words, checked=True)
    if why == 0 and int(m.ol_flags & GSO):
        s = TEMPO.table("sight")[0]
        assert m.csum_start == s.l4 and 1 < m.gso_segs <= 1024
        assert m.tso_segsz * (m.gso_segs - 1) < s.end - s.payload <= m.tso_segsz * m.gso_segs
    if why == 0 and int(m.ol_flags & L4_CSUM_PARTIAL):
        assert m.csum_start + m.csum_offset + 2 <= m.pkt_len


# --- what a guest is told ------------------------------------------------------------------------

def told(frame, words, n):
    """The header that a guest gets of a packet that another one sent with these words; None where this form cannot say it."""
    m, why = entered(frame, words)
    assert why == 0
    m.mark = n
    TEMPO.both(leave)
    return TEMPO.table("memory").bytes(m.buf, n) if m.mark else None


@pytest.mark.parametrize("n", [10, 12, 20, 24])
def test_a_guest_is_told_what_the_sender_said(n):
    buffers = 1 if n > 10 else 0
    assert told(TCP4, header(flags=1, gso=1, size=1000, start=34, offset=16), n) == header(
        n, flags=1, gso=1, hdr_len=54, size=1000, start=34, offset=16, buffers=buffers)
    assert told(TCP4, header(flags=2), n) == header(n, flags=2, buffers=buffers)
    assert told(TCP4, header(), n) == header(n, buffers=buffers)


def test_a_large_packet_in_a_tunnel_is_told_of_only_where_there_are_offsets_for_it():
    words = header(24, **{**VX, "flags": 9})
    assert told(IN_VXLAN, words, 24) == header(24, **{**VX, "flags": 9}, hdr_len=104, buffers=1)
    assert told(IN_VXLAN, words, 20) is None
    v6 = {"flags": 1, "gso": 0x44, "size": 500, "start": 124, "offset": 16, "outer": 54, "inner": 84}
    assert told(IN_VXLAN6, header(24, **v6), 24) == header(24, **v6, hdr_len=144, buffers=1)


@pytest.mark.parametrize("n", [10, 12, 20, 24])
def test_an_outer_checksum_that_is_left_of_a_packet_that_is_not_large_can_be_told_in_no_form(n):
    for flags in (TUNNEL | OUTER_L4_PARTIAL, TUNNEL | OUTER_L4_PARTIAL | L4_CSUM_PARTIAL, TUNNEL):
        m, _ = entered(IN_VXLAN, header())
        m.mark, m.ol_flags, m.inner_off = n, flags, 64
        TEMPO.both(leave)
        assert bool(m.mark) == (flags == TUNNEL)


# --- through a port ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def sw():
    made = Switch()
    made.add_port("vm1")
    made.add_port("vm2", mtu=9000)
    made.ofctl("add-flow actions=output:vm2")
    yield made
    made.close()


def sent(sw, frame, **options):
    """What leaves vm2 of what is injected at vm1."""
    sw.ports["vm2"].sent.clear()
    sw.ports["vm1"].inject(frame, **options)
    while sw.step() is not None:
        pass
    sw.mempool.check()
    return list(sw.ports["vm2"].sent)


@pytest.mark.parametrize("n", range(len(HOSTILE)))
def test_a_refused_header_is_counted_and_nothing_is_queued(sw, n):
    frame, words, reason = HOSTILE[n]
    before, drops = sw.counters.get(REASONS[reason].code, 0), sw.ports["vm1"].rx_drops
    assert sw.ports["vm1"].inject([frame, frame], vnet_hdr=words) == 0
    assert (sw.counters[REASONS[reason].code], sw.ports["vm1"].rx_drops) == (before + 2, drops + 2)
    assert sw.ports["vm1"].waiting == 0 and sw.mempool.free == len(sw.mempool)


def test_a_guests_bytes_and_a_persons_dict_give_the_same_packet(sw):
    said = {"flags": 1, "gso_type": 1, "gso_size": 1000, "csum_start": 34, "csum_offset": 16}
    (one,), (other,) = sent(sw, TCP4, vnet_hdr=header(flags=1, gso=1, size=1000, start=34, offset=16)), sent(sw, TCP4, vnet_hdr=said)
    assert one.bytes() == other.bytes() == TCP4
    assert [(p.gso_size, p.gso_type, p.gso_segs, p.csum_state) for p in (one, other)] == [(1000, 1, 2, "partial")] * 2


def test_a_person_may_say_what_a_guest_with_a_tunnel_says(sw):
    said = {"flags": 1, "gso_type": 0x21, "gso_size": 500, "csum_start": 84, "csum_offset": 16}
    said |= {"outer_th_offset": 34, "inner_nh_offset": 64}
    (packet,) = sent(sw, IN_VXLAN, vnet_hdr=said)
    assert (packet.inner_off, packet.gso_size, packet.csum_state) == (64, 500, "partial")
    (again,) = sent(sw, packet)
    assert (again.inner_off, again.gso_size, again.csum_state, again.bytes()) == (64, 500, "partial", packet.bytes())


@pytest.mark.parametrize("packet, states", [
    (Packet(TCP4, gso_size=1000), (1000, 1, "partial", "unknown")),
    (Packet(TCP4, gso_size=1000, gso_type=0x81), (1000, 0x81, "partial", "unknown")),
    (Packet(TCP4, csum_state="partial"), (0, 0, "partial", "unknown")), (Packet(TCP4, csum_state="good"), (0, 0, "good", "unknown")),
    (Packet(TCP4, csum_state="bad"), (0, 0, "bad", "unknown")), (Packet(TCP4), (0, 0, "unknown", "unknown"))])
def test_an_injected_packet_keeps_what_is_known_of_it(sw, packet, states):
    (got,) = sent(sw, packet)
    assert (got.gso_size, got.gso_type, got.csum_state, got.ip_csum_state) == states
    (again,) = sent(sw, got)
    assert (again.gso_size, again.gso_type, again.csum_state, again.ip_csum_state, again.bytes()) == (*states, got.bytes())


@pytest.mark.parametrize("state", ["good", "bad", "partial"])
def test_an_injected_packet_keeps_the_state_of_its_ip_header(sw, state):
    packet = Packet(TCP4)
    packet.ip_csum_state = state
    (got,) = sent(sw, packet)
    assert got.ip_csum_state == state


def test_a_packet_that_cannot_be_large_is_an_error_with_its_reason(sw):
    with pytest.raises(ValueError, match="gso_type 4 is not what the headers say"):
        sw.ports["vm1"].inject(Packet(TCP4, gso_size=1000, gso_type=4))
    with pytest.raises(ValueError, match="it would be 1900 segments; 1024 are the most"):
        sw.ports["vm1"].inject(TCP4, gso_size=1)
