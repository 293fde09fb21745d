"""What `complete` computes: a packet that owes its checksums gets back the bytes that scapy summed, and nothing else changes."""
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rewritten import content, loaded, run
from scapy.layers.inet import IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from summed import ETHER, TEMPO, V4, V6, completed, flags_of, inner_frames, load, ones_sum, packet_bytes, states, tunnels, verified, without

from lab.memory.mbuf import GSO
from lab.memory.raw import u64
from lab.memory.reasons import BAD_CSUM_START, CSUM_COMPUTED
from lab.offload.capabilities import CHAINS, CSUM, SCTP_CSUM, TSO4, TUNNEL_CSUM
from lab.stages.checksum import complete

DATA = bytes(range(7, 58))  # an odd length
NAMES = ["tcp", "udp", "sctp", "tcp6", "udp6", "icmp6"]
TUNNELS = list(tunnels(V4))
BOTH = ("ip partial", "l4 partial")
IPS = {"tcp": 4, "udp": 4, "sctp": 4, "tcp6": 6, "udp6": 6, "icmp6": 6}


def good(name):
    return {"l4 good", "ip good"} if IPS[name] == 4 else {"l4 good"}


def owing(name):
    """The flags of a packet that owes every checksum it has."""
    return flags_of(*BOTH) if IPS[name] == 4 else flags_of("l4 partial")


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("cuts", [(), (15, 20, 3, 9, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_a_packet_that_owes_its_checksums_gets_those_of_scapy(name, cuts, checked):
    whole = bytes(ETHER / inner_frames(DATA)[name])
    frame, place = without(whole, 14, header=True)
    found = completed(frame, cuts, checked=checked, ol_flags=owing(name), **place)
    assert found == (whole, good(name), "computed pulled up" if cuts else "computed")


@given(st.sampled_from(NAMES), st.binary(max_size=200), st.lists(st.integers(1, 90), max_size=8), st.integers(0, 17), st.booleans())
def test_chains_cut_anywhere_and_padding_change_no_checksum(name, payload, cuts, padding, tagged):
    packet = inner_frames(payload)[name]
    whole = bytes(ETHER / Dot1Q(vlan=5) / packet if tagged else ETHER / packet)
    frame, place = without(whole, 18 if tagged else 14, header=True)
    data, found, reason = completed(frame + b"\xa5" * padding, cuts, ol_flags=owing(name), **place)
    assert (data, found, reason.split()[0]) == (whole + b"\xa5" * padding, good(name), "computed")


@pytest.mark.parametrize(("packet", "ip", "start"), [
    (ETHER / IP(options=[IPOption_RR()]) / TCP() / DATA, 14, 14 + 24), (ETHER / Dot1AD(vlan=1) / Dot1Q(vlan=2) / V4 / TCP() / DATA, 22, 42),
    (ETHER / V6 / IPv6ExtHdrDestOpt() / TCP() / DATA, 14, 14 + 48),
])
def test_options_two_tags_and_extension_headers(packet, ip, start):
    whole = bytes(packet)
    frame = bytearray(whole)
    n = len(whole) - start
    l3 = packet.getlayer(IP) or packet.getlayer(IPv6)
    addresses = bytes(l3)[12:20] if l3.version == 4 else bytes(l3)[8:40]
    frame[start + 16:start + 18] = ones_sum(addresses + bytes([0, 6]) + n.to_bytes(2, "big")).to_bytes(2, "big")
    flags = flags_of("l4 partial")
    if l3.version == 4:
        flags = flags_of(*BOTH)
        frame[ip + 10:ip + 12] = b"\xff\x01"
    data, _, reason = completed(frame, ol_flags=flags, csum_start=start, csum_offset=16)
    assert (data, reason) == (whole, "computed")


# --- tunnels -------------------------------------------------------------------------------------------------


def around(tunnel):
    """The flag of a tunnel's own checksum, when it is to have one."""
    return () if tunnel == "gre key" else ("outer l4 partial",)


def owes_outer(frame, tunnel, outer):
    """The frame without the checksum of its tunnel."""
    if tunnel == "gre key":
        return frame
    if tunnel == "gre":
        at = 14 + (20 if outer is V4 else 40) + 4
        return frame[:at] + b"\x12\x34" + frame[at + 2:]
    return without(frame, 14)[0]


@pytest.mark.parametrize("name", ["tcp", "udp6", "sctp"])
@pytest.mark.parametrize("outer", [V4, V6])
@pytest.mark.parametrize("tunnel", TUNNELS)
def test_inner_before_outer(tunnel, outer, name):
    whole, inside = tunnels(inner_frames(DATA)[name], outer)[tunnel]
    whole = bytes(whole)
    frame, place = without(whole, inside, header=True)
    frame = owes_outer(frame, tunnel, outer)
    flags = owing(name) | flags_of("tunnel", *around(tunnel))
    after = good(name) | {"tunnel"} | {flag.replace("partial", "good") for flag in around(tunnel)}
    for cuts in ((), (21, 30, 3, 9, 1)):
        data, found, reason = completed(frame, cuts, ol_flags=flags, inner_off=inside, **place)
        assert (data, found, reason.split()[0]) == (whole, after, "computed")


@pytest.mark.parametrize("tunnel", ["vxlan", "geneve", "gre", "mplsoudp"])
@pytest.mark.parametrize("name", ["tcp", "udp", "tcp6"])
def test_what_the_port_computes_inside_is_left_and_counts_as_it_will_be(tunnel, name):
    whole, inside = tunnels(inner_frames(DATA)[name])[tunnel]
    whole = bytes(whole)
    partial, place = without(whole, inside)
    frame = owes_outer(partial, tunnel, V4)
    flags = flags_of("l4 partial", "outer l4 partial", "tunnel")
    data, found, _ = completed(frame, offloads=CSUM, ol_flags=flags, inner_off=inside, **place)
    at = place["csum_start"] + place["csum_offset"]
    assert data[:at] + whole[at:at + 2] + data[at + 2:] == whole
    assert data[at:at + 2] == partial[at:at + 2]
    assert found == {"l4 partial", "outer l4 good", "tunnel"}
    data, found, _ = completed(frame, offloads=TUNNEL_CSUM, ol_flags=flags, inner_off=inside, **place)
    field = 14 + 20 + (4 if tunnel == "gre" else 6)
    assert data == whole[:field] + frame[field:field + 2] + whole[field + 2:]
    assert found == {"l4 good", "outer l4 partial", "tunnel"}


def test_what_the_port_would_compute_inside_is_computed_when_the_outer_sum_needs_it():
    whole, inside = tunnels(inner_frames(DATA)["sctp"])["vxlan"]
    frame, place = without(bytes(whole), inside, header=True)
    flags = flags_of(*BOTH, "outer l4 partial", "tunnel")
    data, found, _ = completed(owes_outer(frame, "vxlan", V4), offloads=CSUM | SCTP_CSUM, ol_flags=flags, inner_off=inside, **place)
    assert (data, found) == (bytes(whole), {"ip good", "l4 good", "outer l4 good", "tunnel"})


def test_padding_inside_a_tunnel_belongs_to_the_outer_sum_alone():
    inner = bytes(ETHER / V4 / TCP() / b"abc") + b"\x81\x82\x83"
    whole = bytes(ETHER / V4 / UDP(sport=9, dport=4789) / VXLAN(vni=5) / Raw(inner))
    assert whole[16:18] == (20 + 8 + 8 + len(inner)).to_bytes(2, "big")
    frame, place = without(whole, 64)
    flags = flags_of("l4 partial", "outer l4 partial", "tunnel")
    assert completed(owes_outer(frame, "vxlan", V4), ol_flags=flags, inner_off=64, **place)[0] == whole


def test_an_outer_checksum_without_a_tunnel_is_an_error():
    whole = bytes(ETHER / V4 / TCP() / DATA)
    assert completed(whole, ol_flags=flags_of("outer l4 partial"))[0] is None


# --- what is due at which port ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "offloads", "due"), [
    ("tcp", 0, {"ip", "l4"}), ("tcp", CSUM, set()), ("tcp", SCTP_CSUM | TSO4 | CHAINS, {"ip", "l4"}), ("sctp", CSUM, {"l4"}),
    ("sctp", SCTP_CSUM, {"ip"}), ("sctp", SCTP_CSUM | CSUM, set()), ("udp", TUNNEL_CSUM, {"ip", "l4"}),
])
def test_just_what_the_port_does_not_compute_is_computed(name, offloads, due):
    whole = bytes(ETHER / inner_frames(DATA)[name])
    frame, place = without(whole, 14, header=True)
    data, found, reason = completed(frame, offloads=offloads, ol_flags=flags_of(*BOTH), **place)
    assert found == {f"{part} {'good' if part in due else 'partial'}" for part in ("ip", "l4")}
    assert data[24:26] == (whole if "ip" in due else frame)[24:26]
    assert data[34:] == (whole if "l4" in due else frame)[34:]
    assert reason == ("computed" if due else "")


def test_a_large_packet_keeps_its_partial_state_where_the_port_computes():
    whole = bytes(ETHER / V4 / TCP() / (DATA * 60))
    frame, place = without(whole, 14)
    flags = flags_of("l4 partial") | GSO
    assert completed(frame, offloads=CSUM | TSO4, ol_flags=flags, **place) == (frame, {"l4 partial"}, "")
    assert completed(frame, offloads=TSO4, ol_flags=flags, **place) == (whole, {"l4 good"}, "computed")


def test_a_sum_of_all_ones_is_sent_as_such_by_udp():
    sums = ones_sum(bytes(IP(src="10.0.0.1", dst="10.0.0.2"))[12:20] + b"\0\x11\0\x0a" + b"\0\1\0\2\0\x0a")
    whole = bytes(ETHER / V4 / UDP(sport=1, dport=2) / (0xFFFF - sums).to_bytes(2, "big"))
    frame, place = without(whole, 14)
    assert completed(frame, ol_flags=flags_of("l4 partial"), **place)[0][40:42] == b"\xff\xff"


def test_tcp_may_have_a_checksum_of_zero():
    whole = bytes(ETHER / V4 / TCP(seq=0))
    rest = int.from_bytes(whole[50:52], "big")
    whole = bytes(ETHER / V4 / TCP(seq=rest))
    frame, place = without(whole, 14)
    assert completed(frame, ol_flags=flags_of("l4 partial"), **place)[0] == whole[:50] + b"\0\0" + whole[52:]


def test_the_reason_has_the_bytes_and_the_checksum():
    whole = bytes(ETHER / V4 / TCP() / DATA)
    frame, place = without(whole, 14)
    load(frame, ol_flags=flags_of("l4 partial"), **place)
    TEMPO.table("ports")[TEMPO.table("lane")[0].out].offloads = u64(0)
    trace = TEMPO.table("trace")
    trace[0].on, trace[0].n = 1, 0
    TEMPO.both(complete)
    assert (trace[0].n, trace[1].reason, trace[1].a, trace[1].b) == (1, CSUM_COMPUTED, 20 + len(DATA), int.from_bytes(whole[50:52], "big"))
    trace[0].on, trace[0].n = 0, 0


# --- hostile places ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(("start", "offset"), [(0xFFFF, 0xFFFF), (0xFFFF, 16), (34, 0xFFFF), (34, 20 + len(DATA) - 1), (105, 0), (104, 16),
                                               (34 + 20 + len(DATA) - 11, 8), (500, 8)])
def test_a_checksum_outside_the_packet_costs_it_its_life(start, offset, checked):
    frame = bytes(ETHER / V4 / TCP() / DATA)
    for cuts in ((), (40, 10)):
        found = completed(frame, cuts, checked=checked, ol_flags=flags_of("l4 partial"), csum_start=start, csum_offset=offset)
        assert found == (None, {"l4 partial"}, BAD_CSUM_START)
        m = TEMPO.table("mbufs")[TEMPO.packets[0]]
        assert (m.reason_a, m.reason_b) == (start, len(frame))
        assert packet_bytes(TEMPO.packets[0]) == frame


anywhere = st.one_of(st.integers(0, 140), st.integers(0, 0xFFFF))


@given(st.sampled_from([*NAMES, *TUNNELS, "noise"]), anywhere, anywhere, anywhere, st.sets(st.sampled_from(["ip", "l4", "outer l4"])),
       st.lists(st.integers(1, 60), max_size=4), st.data())
def test_whatever_the_metadata_say_at_most_the_flagged_fields_change(name, start, offset, inside, due, cuts, data):
    frame = (bytes(ETHER / inner_frames(DATA)[name]) if name in NAMES else data.draw(st.binary(min_size=1, max_size=140)) if name == "noise"
             else bytes(tunnels(V4 / TCP() / DATA)[name][0]))
    flags = flags_of(*(f"{part} partial" for part in due), *(["tunnel"] if data.draw(st.booleans()) else []))
    found, after, _ = completed(frame, cuts, checked=data.draw(st.booleans()), ol_flags=flags, csum_start=start, csum_offset=offset,
                                inner_off=inside)
    if found is None:
        assert due & {"l4", "outer l4"}
    else:
        assert not {f"{part} partial" for part in due} & after
        changed = sum(a != b for a, b in zip(found, frame, strict=True))
        assert changed <= 2 * len(due) + (2 if offset == 8 else 0)


# --- a wrong checksum stays wrong ---------------------------------------------------------------------------------

CHANGES = ["mod_nw_src:1.2.3.4,mod_nw_ttl:9", "mod_tp_src:77,mod_tp_dst:78", "mod_nw_dst:9.9.9.9,mod_nw_tos:32,push_vlan:0x8100/7"]


@pytest.mark.parametrize("text", CHANGES)
@pytest.mark.parametrize("name", ["tcp", "udp", "sctp"])
def test_a_wrong_checksum_stays_wrong_through_everything(name, text):
    frame = bytearray(bytes(ETHER / inner_frames(DATA)[name]))
    frame[14 + 4] ^= 1  # the IPv4 id
    frame[-3] ^= 1
    flags = verified(frame)[0]
    assert flags == {"ip bad", "l4 bad"}
    m, key = loaded(bytes(frame))
    run(m, key, text)
    data, found, _ = completed(content(m), ol_flags=flags_of(*flags))
    assert (data, found) == (content(m), flags)
    assert verified(data)[0] == flags


# --- actions and what is partial ------------------------------------------------------------------------------------


def acted(frame, text, flags, **fields):
    """A frame behind actions, its checksums then completed in full."""
    m, key = loaded(frame)
    m.ol_flags = flags
    for name, value in fields.items():
        setattr(m, name, value)
    run(m, key, text)
    return completed(content(m), ol_flags=m.ol_flags, csum_start=m.csum_start, csum_offset=m.csum_offset, inner_off=m.inner_off)[0]


def right_anew(data):
    """The frame with all checksums made again by scapy; a UDP or GRE checksum that is absent stays so."""
    packet = layer = Ether(data)
    while layer.name not in ("NoPayload", "Raw", "Padding"):
        for name in ("chksum",):
            if layer.fields.get(name):
                layer.delfieldval(name)
        layer = layer.payload
    return bytes(packet)


@pytest.mark.parametrize("text", CHANGES)
@pytest.mark.parametrize("name", ["tcp", "udp"])
def test_actions_leave_to_be_computed_what_is_partial(name, text):
    frame, place = without(bytes(ETHER / inner_frames(DATA)[name]), 14, header=True)
    data = acted(frame, text, flags_of(*BOTH), **place)
    assert data == right_anew(data)
    assert data[-len(DATA):] == DATA


@pytest.mark.parametrize("text", CHANGES)
@pytest.mark.parametrize("outer", [(), ("outer l4 partial",)])
@pytest.mark.parametrize("inner", [(), ("l4 partial",), BOTH])
@pytest.mark.parametrize("tunnel", ["vxlan", "geneve", "gre"])
def test_actions_change_the_tunnel_and_mind_its_own_state_alone(tunnel, inner, outer, text):
    whole, inside = tunnels(V4 / TCP(flags="A") / DATA)[tunnel]
    if outer or not inner:
        text = text.replace("mod_tp_src:77,mod_tp_dst:78", "mod_tp_src:77")
    frame, place = bytes(whole), {}
    if inner:
        frame, place = without(frame, inside, header="ip partial" in inner)
    if outer:
        frame = owes_outer(frame, tunnel, V4)
    data = acted(frame, text.replace(",mod_tp_dst:78", ""), flags_of("tunnel", *inner, *outer), inner_off=inside, **place)
    found, reason = verified(data)
    assert (found, reason) == ({"ip good", "l4 good", "outer ip good", "outer l4 good", "tunnel"}, "good")
    assert data.endswith(DATA)


def test_a_partial_crc_is_not_touched_by_actions():
    whole = bytes(ETHER / V4 / SCTP(sport=1, dport=2) / SCTPChunkData(data=DATA))
    frame, place = without(whole, 14)
    m, key = loaded(frame)
    m.ol_flags, m.csum_start, m.csum_offset = flags_of("l4 partial"), place["csum_start"], place["csum_offset"]
    run(m, key, "mod_tp_src:9,mod_nw_src:1.2.3.4")
    assert content(m)[42:46] == frame[42:46]
    assert states(m) == {"l4 partial"}
    packet = Ether(whole)
    packet[SCTP].sport, packet[IP].src = 9, "1.2.3.4"
    packet[SCTP].delfieldval("chksum")
    packet[IP].delfieldval("chksum")
    assert acted(frame, "mod_tp_src:9,mod_nw_src:1.2.3.4", flags_of("l4 partial"), **place) == bytes(packet)
