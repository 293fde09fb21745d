"""What `verify` says of packets: scapy made every checksum that is right, and one wrong byte is found wherever it lies."""
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrRouting
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from summed import ETHER, TEMPO, V4, V6, flags_of, inner_frames, load, tunnels, verified, without

from lab.memory.mbuf import GSO
from lab.memory.reasons import CSUM_GOOD, CSUM_LEFT, CSUM_WRONG
from lab.stages.checksum import verify

DATA = bytes(range(7, 58))  # an odd length
NAMES = list(inner_frames(b""))
TUNNELS = list(tunnels(V4))
ODD_CUTS = [15, 20, 3, 9, 1]
RIGHT = {"ip good", "l4 good"}


def right(packet):
    """The states of a packet whose checksums are right."""
    return RIGHT if packet.version == 4 else {"l4 good"}


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_what_scapy_summed_is_right_and_a_changed_byte_is_not(name, checked):
    packet = inner_frames(DATA)[name]
    frame = bytes(ETHER / packet)
    assert verified(frame, checked=checked) == (right(packet), "good")
    assert verified(frame, ODD_CUTS, checked) == (right(packet), "good pulled up")
    wrong = frame[:-9] + bytes([frame[-9] ^ 0x40]) + frame[-8:]
    assert verified(wrong, checked=checked) == (right(packet) - {"l4 good"} | {"l4 bad"}, "wrong")


@given(st.sampled_from(NAMES), st.binary(max_size=200), st.lists(st.integers(1, 90), max_size=8), st.integers(0, 17))
def test_chains_cut_anywhere_and_padding_change_no_sum(name, payload, cuts, padding):
    packet = inner_frames(payload)[name]
    found, reason = verified(bytes(ETHER / packet) + b"\xa5" * padding, cuts)
    assert (found, reason.split()[0]) == (right(packet), "good")


@pytest.mark.parametrize("name", ["tcp", "udp6", "sctp"])
@pytest.mark.parametrize("tunnel", TUNNELS)
@pytest.mark.parametrize("outer", [V4, V6])
def test_a_tunnel_has_two_of_each(tunnel, name, outer):
    packet = inner_frames(DATA)[name]
    frame, inside = tunnels(packet, outer)[tunnel]
    around = {"tunnel"} | ({"outer ip good"} if outer is V4 else set()) | (set() if tunnel == "gre key" else {"outer l4 good"})
    for cuts in ([], [21, 30, 3, 9, 1]):
        assert verified(frame, cuts)[0] == right(packet) | around
        assert TEMPO.table("mbufs")[TEMPO.packets[0]].inner_off == inside
    wrong = bytearray(bytes(frame))
    wrong[-9] ^= 1
    after = right(packet) - {"l4 good"} | {"l4 bad"} | around
    after = after if tunnel == "gre key" else after - {"outer l4 good"} | {"outer l4 bad"}
    assert verified(wrong) == (after, "wrong")


def test_only_the_outer_headers_are_wrong():
    frame = bytearray(bytes(tunnels(V4 / TCP() / DATA)["vxlan"][0]))
    frame[14 + 8] ^= 1  # the outer TTL
    frame[34] ^= 1  # the outer source port
    assert verified(frame) == (RIGHT | {"tunnel", "outer ip bad", "outer l4 bad"}, "wrong")
    key = bytearray(bytes(ETHER / V4 / GRE(chksum_present=1, key_present=1, key=7) / V4 / TCP() / DATA))
    key[34 + 11] ^= 1
    assert verified(key) == (RIGHT | {"tunnel", "outer ip good", "outer l4 bad"}, "wrong")


@pytest.mark.parametrize("tunnel", ["vxlan", "geneve", "mplsoudp"])
@pytest.mark.parametrize("outer", [V4, V6])
def test_a_tunnel_may_go_without_an_outer_checksum(tunnel, outer):
    frame, _ = tunnels(V4 / TCP() / DATA, outer)[tunnel]
    frame[UDP].chksum = 0
    found, reason = verified(frame)
    assert (found, reason) == (RIGHT | {"tunnel"} | ({"outer ip good"} if outer is V4 else set()), "good")


@pytest.mark.parametrize(("frame", "found", "reason"), [
    (ETHER / V4 / UDP(chksum=0) / DATA, {"ip good"}, "left"),
    (ETHER / V6 / UDP(chksum=0) / DATA, {"l4 bad"}, "wrong"),
    (ETHER / IP(flags="MF") / TCP() / DATA, {"ip good"}, "left"),
    (ETHER / IP(frag=3) / DATA, {"ip good"}, "left"),
    (ETHER / IP(proto=89) / DATA, {"ip good"}, "left"),
    (ETHER / IP(proto=0) / DATA, {"ip good"}, "left"),
    (ETHER / IP(options=[IPOption_RR()]) / TCP() / DATA, RIGHT, "good"),
    (ETHER / Dot1AD(vlan=3) / Dot1Q(vlan=4) / V4 / UDP() / DATA, RIGHT, "good"),
    (ETHER / V6 / IPv6ExtHdrDestOpt() / TCP() / DATA, {"l4 good"}, "good"),
    (ETHER / V6 / IPv6ExtHdrRouting(addresses=["fd00::7"]) / UDP() / DATA, set(), "left"),
    (ETHER / V6 / IPv6ExtHdrRouting(addresses=["fd00::7"], segleft=0) / UDP() / DATA, {"l4 good"}, "good"),
    (ETHER / V4 / TCP(dataofs=4) / DATA, {"ip good"}, "left"),
    (ETHER / V4 / TCP(dataofs=15) / b"short", {"ip good"}, "left"),
    (ETHER / V6 / TCP(dataofs=15) / b"short", set(), "left"),
    (ETHER / IP(flags="DF") / TCP() / DATA, RIGHT, "good"),
    (ETHER / IP(len=500) / TCP() / DATA, set(), "left"),
    (ETHER / IP(len=19) / TCP() / DATA, set(), "left"),
    (ETHER / V4 / UDP(len=200) / DATA, {"ip good"}, "left"),
    (ETHER / V4 / UDP(len=7) / DATA, {"ip good"}, "left"),
    (ETHER / IP(proto=2) / bytes.fromhex("1600 09fe e000 0001"), RIGHT, "good"),
    (ETHER / IP(proto=2) / bytes.fromhex("1600 09fd e000 0001"), {"ip good", "l4 bad"}, "wrong"),
    (ETHER / IP(proto=1) / b"\x08\0\xf7", {"ip good"}, "left"),
    (ETHER / IP(chksum=1) / UDP(chksum=0) / DATA, {"ip bad"}, "wrong"),
    (ETHER / Raw(DATA), set(), "left"), (Raw(bytes(12)), set(), "left"),
])  # fmt: skip
@pytest.mark.parametrize("cuts", [(), (15, 20, 3)])
def test_what_cannot_be_judged_stays_unknown(frame, found, reason, cuts):
    said = verified(frame, cuts)
    assert (said[0], said[1].replace(" pulled up", "").replace("pulled up", "")) == (found, reason)


def test_a_datagram_shorter_than_its_packet_is_summed_as_far_as_it_says():
    whole = bytes(ETHER / V4 / UDP() / DATA)
    frame = ETHER / IP(src="10.0.0.1", dst="10.0.0.2", len=28 + len(DATA) + 5) / UDP(whole[34:]) / b"extra"
    assert verified(frame) == (RIGHT, "good")


@pytest.mark.parametrize("name", ["tcp", "udp", "sctp", "tcp6", "udp6"])
def test_what_a_guest_left_partial_counts_as_good_and_is_not_summed(name):
    packet = inner_frames(DATA)[name]
    frame, place = without(bytes(ETHER / packet), 14)
    assert verified(frame, ol_flags=flags_of("l4 partial"), **place) == (right(packet) - {"l4 good"} | {"l4 partial"}, "good")


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_inside_a_tunnel_what_is_partial_lets_the_outer_sum_be_judged(tunnel):
    around = {"tunnel", "outer ip good", "l4 partial", "ip good"} | (set() if tunnel == "gre key" else {"outer l4 good"})
    whole, inside = tunnels(V4 / TCP(flags="A") / DATA)[tunnel]
    frame, place = without(whole, inside)
    assert verified(frame, ol_flags=flags_of("l4 partial"), **place) == (around, "good")
    wrong = bytearray(frame)
    wrong[inside - 1] ^= 0x10  # the last byte of what announces the packet inside: of an Ethernet type, or a label's TTL
    if tunnel == "mplsoudp":
        around = around - {"outer l4 good"} | {"outer l4 bad"}
        assert verified(wrong, ol_flags=flags_of("l4 partial"), **place) == (around, "wrong")


def test_a_tunnel_whose_own_checksum_a_guest_left_partial_is_a_datagram():
    whole, _ = tunnels(V4 / TCP() / DATA)["vxlan"]
    frame, place = without(whole, 14)
    assert verified(frame, ol_flags=flags_of("l4 partial"), **place) == ({"ip good", "l4 partial"}, "good")
    assert verified(frame, ol_flags=flags_of("l4 partial") | GSO, **place) == ({"ip good", "l4 partial"}, "good")


def test_a_tunnel_that_lies_about_what_it_carries_is_a_datagram():
    inner = IP(src="1.1.1.1", dst="2.2.2.2", len=9000) / TCP() / DATA
    frame = ETHER / V4 / UDP(dport=4789) / VXLAN(vni=5) / ETHER / inner
    assert verified(frame) == (RIGHT, "good")


def test_what_was_believed_before_is_judged_anew():
    frame = bytearray(bytes(ETHER / V4 / TCP() / DATA))
    assert verified(frame, ol_flags=flags_of("l4 bad", "ip bad"))[0] == RIGHT
    frame[40] ^= 4
    assert verified(frame, ol_flags=flags_of("l4 good"))[0] == {"ip good", "l4 bad"}


def test_the_reason_has_what_was_found_and_what_should_be():
    frame = bytes(ETHER / V4 / UDP(sport=1, dport=2) / DATA)
    wrong = bytearray(frame)
    wrong[40:42] = b"\x12\x34"
    should = int.from_bytes(frame[40:42], "big")
    for data, event in ((frame, (CSUM_GOOD, 20 + 8 + len(DATA), 0)), (wrong, (CSUM_WRONG, 0x1234, should)),
                        (bytes(ETHER / Raw(DATA)), (CSUM_LEFT, 14 + len(DATA), 0))):
        load(data)
        trace = TEMPO.table("trace")
        trace[0].on, trace[0].n = 1, 0
        TEMPO.both(verify)
        assert [(trace[1 + n].reason, trace[1 + n].a, trace[1 + n].b) for n in range(trace[0].n)] == [event]
        trace[0].on, trace[0].n = 0, 0


@given(st.sampled_from(NAMES), st.binary(min_size=1, max_size=60), st.data())
def test_one_changed_byte_behind_ip_is_never_called_good(name, payload, data):
    packet = inner_frames(payload)[name]
    frame = bytearray(bytes(ETHER / packet))
    frame[data.draw(st.integers(34 if packet.version == 4 else 54, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    found, reason = verified(frame, data.draw(st.lists(st.integers(1, 90), max_size=4)))
    assert "l4 good" not in found and "good" not in reason
