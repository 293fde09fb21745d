"""What actions change in a packet: literal bytes, and scapy as the oracle of every checksum, in both tempos.

`rewritten` parses a frame and runs the records of an actions text on it, as plain Python; `Scene` takes the same frames
through the compiled stages. An oracle builds the changed packet anew and lets scapy compute what it must carry.
"""
import functools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parse_frames import MACS, WHOLE, ether, ipv4
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    fragment6,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from tempo import Tempo

from lab.flow.actions import act_t
from lab.memory.mbuf import HEADROOM, L4_CSUM_PARTIAL
from lab.openflow.actions import parse_actions
from lab.packet.crc32c import change16
from lab.stages.actions import actions
from lab.stages.emc import emc
from lab.stages.megaflow import megaflow
from lab.stages.parse import parse
from lab.stages.rewrite import rewrite
from lab.stages.upcall import upcall

ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2", tos=0xB9), IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0xB9, fl=0xABCDE)
DATA = bytes(n * 7 & 255 for n in range(51))  # an odd length
PACKETS = {
    "tcp": ETH / V4 / TCP(sport=4000, dport=80, seq=7) / DATA,
    "tcp with options": ETH / V4 / TCP(sport=4000, dport=80, options=[("MSS", 1448), ("WScale", 7)]) / DATA,
    "ip options": ETH / IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_RR()]) / TCP(sport=1, dport=2) / DATA,
    "udp": ETH / V4 / UDP(sport=4000, dport=53) / DATA,
    "udp with padding": ETH / V4 / UDP(sport=4000, dport=53),
    "udp without checksum": ETH / V4 / UDP(sport=4000, dport=53, chksum=0) / DATA,
    "icmp": ETH / V4 / ICMP() / DATA,
    "sctp": ETH / V4 / SCTP(sport=7, dport=9, tag=3) / SCTPChunkData(data=DATA),
    "vlan": ETH / Dot1Q(vlan=5, prio=3) / V4 / TCP(sport=4000, dport=80) / DATA,
    "vlan 0": ETH / Dot1Q(vlan=0, prio=6) / V4 / UDP(sport=4000, dport=53) / DATA,
    "service tag": ETH / Dot1AD(vlan=5) / V6 / UDP(sport=4000, dport=53) / DATA,
    "tcp6": ETH / V6 / TCP(sport=4000, dport=80) / DATA,
    "udp6": ETH / V6 / UDP(sport=4000, dport=53) / DATA,
    "icmp6": ETH / V6 / ICMPv6EchoRequest(data=DATA),
    "solicitation": ETH / V6 / ICMPv6ND_NS(tgt="2001:db8::9") / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"),
    "sctp6": ETH / V6 / SCTP(sport=7, dport=9, tag=3) / SCTPChunkData(data=DATA),
    "extensions": ETH / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(sport=4000, dport=80) / DATA,
    "routed": ETH / V6 / IPv6ExtHdrRouting(addresses=["2001:db8::7"]) / UDP(sport=4000, dport=53) / DATA,
    "routed to its end": ETH / V6 / IPv6ExtHdrRouting(addresses=["2001:db8::7"], segleft=0) / UDP(sport=4000, dport=53) / DATA,
    "arp": ETH / ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2", hwsrc="02:00:00:00:00:01"),
}
PACKETS["udp with padding"] = Ether(bytes(PACKETS["udp with padding"]) + bytes(18))
FRAMES = {name: bytes(packet) for name, packet in PACKETS.items()}
tempo = functools.cache(Tempo)


def loaded(frame, *, cuts=(), vlan_limit=1):
    """A frame in hand, parsed: (its mbuf, its key)."""
    here = tempo()
    here.unload()
    here.load([frame], cuts=cuts)
    here.table("config")[0].vlan_limit = vlan_limit
    here.step(parse)
    return here.table("mbufs")[here.packets[0]], here.table("keys")[0]


def run(m, key, text):
    """Run an actions text on a packet."""
    for values in parse_actions(text):
        act = act_t.view(bytearray(act_t.size), 0)
        act.op, act.detail, act.arg, act.v0, act.v1 = values
        rewrite(tempo().arena.memory, m, key, act)


def content(m):
    """The packet's bytes, its segments joined."""
    data, mbufs, left = b"", tempo().table("mbufs"), m.nb_segs
    while left:
        data += tempo().arena.memory.bytes(m.buf + m.data_off, m.data_len)
        left -= 1
        m = mbufs[m.next] if left else m
    return data


def rewritten(frame, text, **how):
    """A frame behind an actions text."""
    m, key = loaded(frame, **how)
    run(m, key, text)
    data = content(m)
    assert m.pkt_len == len(data)
    return data


# --- the oracle: the packet built anew ---------------------------------------------------------------

def fresh(packet):
    """The packet with every length and checksum left to scapy, except a checksum that was said to be absent."""
    packet = packet.copy()
    layer = packet
    while layer.name not in ("NoPayload", "Raw", "Padding"):
        absent = isinstance(layer, UDP) and layer.fields.get("chksum") == 0
        for name in () if absent else ("chksum", "cksum"):
            if name in layer.fields:
                layer.delfieldval(name)
        layer = layer.payload
    return bytes(packet)


def l3(packet):
    return packet.getlayer(IP) or packet.getlayer(IPv6)


def expected(packet, action, value):
    """What scapy makes of the packet with one field set, where it has that field."""
    packet = packet.copy()
    ip = l3(packet)
    ports = next((packet[layer] for layer in (TCP, UDP, SCTP) if layer in packet), None)
    if action in ("mod_dl_src", "mod_dl_dst"):
        setattr(packet, action[-3:], value)
    elif action in ("mod_tp_src", "mod_tp_dst") and ports is not None:
        setattr(ports, {"src": "sport", "dst": "dport"}[action[-3:]], value)
    elif action in {IP: ("mod_nw_src", "mod_nw_dst"), IPv6: ("ipv6_src", "ipv6_dst")}.get(type(ip), ()):
        setattr(ip, action[-3:], value)
    elif action == "mod_nw_tos" and ip is not None:
        name = "tos" if isinstance(ip, IP) else "tc"
        setattr(ip, name, value | getattr(ip, name) & 3)
    elif action == "mod_nw_ttl" and ip is not None:
        setattr(ip, "ttl" if isinstance(ip, IP) else "hlim", value)
    return fresh(packet)


def text_of(action, value):
    return f"set_field:{value}->{action}" if action.startswith("ipv6") else f"{action}:{value}"


macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
ip4 = st.one_of(st.sampled_from(["0.0.0.0", "255.255.255.255", "10.0.0.1"]), st.ip_addresses(v=4).map(str))
ip6 = st.one_of(st.sampled_from(["::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]), st.ip_addresses(v=6).map(str))
numbers = st.one_of(st.sampled_from([0, 1, 0xFFFF]), st.integers(0, 0xFFFF))
VALUES = {
    "mod_dl_src": macs, "mod_dl_dst": macs, "mod_nw_src": ip4, "mod_nw_dst": ip4, "mod_nw_tos": st.integers(0, 63).map(lambda n: n * 4),
    "mod_nw_ttl": st.integers(0, 255), "mod_tp_src": numbers, "mod_tp_dst": numbers, "ipv6_src": ip6, "ipv6_dst": ip6}
settings_of_fields = st.sampled_from(sorted(VALUES)).flatmap(lambda action: st.tuples(st.just(action), VALUES[action]))


@pytest.mark.parametrize("name", PACKETS)
def test_scapy_builds_the_packets_as_they_are(name):
    assert fresh(PACKETS[name]) == FRAMES[name]


@pytest.mark.parametrize("name", PACKETS)
@settings(max_examples=30)
@given(field=settings_of_fields)
def test_a_field_that_is_set_leaves_the_packet_that_scapy_would_build(name, field):
    action, value = field
    assert rewritten(FRAMES[name], text_of(action, value)).hex(" ") == expected(Ether(FRAMES[name]), action, value).hex(" ")


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(PACKETS)), fields=st.lists(settings_of_fields, max_size=6))
def test_fields_set_one_after_the_other_add_up(name, fields):
    packet = Ether(FRAMES[name])
    for action, value in fields:
        packet = Ether(expected(packet, action, value))
    assert rewritten(FRAMES[name], ",".join(text_of(*field) for field in fields)) == bytes(packet)


COVERED = {name: layer for name, packet in PACKETS.items() for layer in (TCP, UDP, ICMPv6EchoRequest)
           if layer in packet and "without" not in name}


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(COVERED)), field=settings_of_fields, wrong=st.integers(1, 0xFFFF))
def test_a_checksum_that_was_wrong_stays_wrong_by_as_much(name, field, wrong):
    packet, layer = Ether(FRAMES[name]), COVERED[name]
    key = "cksum" if layer is ICMPv6EchoRequest else "chksum"
    error = wrong - getattr(packet[layer], key)
    setattr(packet[layer], key, wrong)
    out = Ether(rewritten(bytes(packet), text_of(*field)))
    right = Ether(fresh(out))
    assert (getattr(out[layer], key) - getattr(right[layer], key) - error) % 0xFFFF == 0


# --- literal bytes -----------------------------------------------------------------------------------

PLAIN = bytes.fromhex("020000000002 020000000001 0800 4500001c 00010000 40110000 0a000001 0a000002 03e80035 0008 0000")


@pytest.mark.parametrize(("text", "changed"), [
    ("mod_dl_dst:0a:0b:0c:0d:0e:0f", {0: "0a0b0c0d0e0f"}),
    ("mod_dl_src:0a:0b:0c:0d:0e:0f", {6: "0a0b0c0d0e0f"}),
    ("mod_nw_src:10.0.0.9", {24: "fff7", 26: "0a000009"}),  # 0 is a checksum, and eight less of it
    ("mod_nw_dst:1.2.3.4", {24: "05fc", 30: "01020304"}),
    ("mod_nw_tos:252", {15: "fc", 24: "ff03"}),
    ("mod_nw_ttl:63", {22: "3f", 24: "0100"}),
    ("mod_tp_src:65535", {34: "ffff"}),  # no checksum in it, and none comes
    ("mod_tp_dst:0", {36: "0000"}),
    ("set_field:2001:db8::9->ipv6_src", {}),  # no IPv6 in it
])
def test_a_field_is_set_in_literal_bytes(text, changed):
    wanted = bytearray(PLAIN)
    for at, octets in changed.items():
        wanted[at:at + len(bytes.fromhex(octets))] = bytes.fromhex(octets)
    assert rewritten(PLAIN, text).hex(" ") == bytes(wanted).hex(" ")


def test_a_udp_checksum_that_becomes_zero_is_sent_as_all_ones():
    packet = ETH / V4 / UDP(sport=4000, dport=0) / DATA
    for family in (packet, ETH / V6 / UDP(sport=4000, dport=0) / DATA):
        port = Ether(bytes(family))[UDP].chksum  # a port by so much larger makes it zero
        out = rewritten(bytes(family), f"mod_tp_dst:{port}")
        assert Ether(out)[UDP].chksum == 0xFFFF and out == expected(family, "mod_tp_dst", port)


def test_a_tcp_checksum_may_become_zero():
    packet = ETH / V4 / TCP(sport=4000, dport=0) / DATA
    port = Ether(bytes(packet))[TCP].chksum
    assert Ether(rewritten(bytes(packet), f"mod_tp_dst:{port}"))[TCP].chksum == 0


def test_an_address_of_a_packet_on_its_way_through_stops_does_not_count_for_the_checksum():
    """With segments left, ipv6_dst is the next stop; the checksum goes with the last address of the routing header."""
    before, after = FRAMES["routed"], rewritten(FRAMES["routed"], "set_field:2001:db8::99->ipv6_dst")
    assert [at for at in range(len(before)) if before[at] != after[at]] == [53]
    before, after = FRAMES["routed to its end"], rewritten(FRAMES["routed to its end"], "set_field:2001:db8::99->ipv6_dst")
    assert len([at for at in range(len(before)) if before[at] != after[at]]) in (2, 3)


def test_icmp_in_the_wrong_ip_has_no_checksum_that_covers_an_address():
    frame = WHOLE["icmpv6 in ipv4"]
    out = rewritten(frame, "mod_nw_src:10.9.9.9,mod_nw_dst:10.8.8.8")
    assert out[34:] == frame[34:] and out[26:34] == bytes([10, 9, 9, 9, 10, 8, 8, 8])


@given(old=st.integers(0, 0xFFFF), new=st.integers(0, 0xFFFF), side=st.sampled_from([0, 2]), data=st.binary(max_size=200))
def test_a_crc_changes_as_if_computed_anew(old, new, side, data):
    ports = [struct.pack("!HH", *pair) for pair in (((old, 5), (new, 5)) if side == 0 else ((5, old), (5, new)))]
    sums = [crc32c(head + bytes(8) + data) for head in ports]
    assert sums[0] ^ change16(old, new, 12 + len(data) - side - 2) == sums[1]


def crc32c(data):
    """As it stands in the header: bit by bit."""
    register = 0xFFFFFFFF
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ 0x82F63B78 * (register & 1)
    return int.from_bytes((register ^ 0xFFFFFFFF).to_bytes(4, "little"), "big")


# --- fragments, several segments ------------------------------------------------------------------------

def pieces(packet):
    whole = packet[IPv6] if IPv6 in packet else packet[IP]
    parts = fragment6(whole, 200) if IPv6 in packet else fragment(whole, 160)
    return [bytes(ETH / part) for part in parts]


LONG = bytes(range(250)) * 2
WHOLES = {"tcp": ETH / V4 / TCP(sport=4000, dport=80) / LONG, "udp": ETH / V4 / UDP(sport=4000, dport=53) / LONG,
          "udp6": ETH / V6 / IPv6ExtHdrFragment(id=7) / UDP(sport=4000, dport=53) / LONG,
          "icmp6": ETH / V6 / IPv6ExtHdrFragment(id=7) / ICMPv6EchoRequest(data=LONG)}


@pytest.mark.parametrize("name", WHOLES)
@settings(max_examples=15)
@given(field=settings_of_fields)
def test_setting_a_field_of_each_fragment_is_fragmenting_the_changed_packet(name, field):
    action, value = field
    changed = Ether(expected(Ether(bytes(WHOLES[name])), action, value))
    changed.src, changed.dst = ETH.src, ETH.dst
    text = text_of(action, value) if not action.startswith("mod_dl") else "mod_nw_ttl:64"
    if text == "mod_nw_ttl:64":
        changed = Ether(bytes(WHOLES[name]))
    parts = pieces(Ether(bytes(WHOLES[name])))
    assert len(parts) > 2 and [rewritten(part, text) for part in parts] == pieces(changed)


@pytest.mark.parametrize("cuts", [(60,), (55, 1, 1), (54 + 51,)])
def test_only_the_headers_need_to_lie_in_the_first_segment(cuts):
    frame = FRAMES["tcp"]
    out = rewritten(frame, "mod_nw_src:10.0.0.77,mod_tp_dst:8080,push_vlan:0x8100,mod_vlan_vid:9", cuts=cuts)
    packet = Ether(expected(Ether(expected(Ether(frame), "mod_nw_src", "10.0.0.77")), "mod_tp_dst", 8080))
    assert out == bytes(ETH / Dot1Q(vlan=9) / packet[IP])


# --- VLAN tags -----------------------------------------------------------------------------------------

BODY = bytes.fromhex("0800") + FRAMES["udp"][14:]
ONE, TWO, ZERO, SERVICE = "8100 6005", "88a8 a00c 8100 6005", "8100 c000", "88a8 1005"


@pytest.mark.parametrize(("tags", "text", "behind"), [
    ("", "mod_vlan_vid:7", "8100 0007"), (ONE, "mod_vlan_vid:7", "8100 6007"), (ZERO, "mod_vlan_vid:7", "8100 c007"),
    (SERVICE, "mod_vlan_vid:4095", "88a8 1fff"), (TWO, "mod_vlan_vid:7", "88a8 a007 8100 6005"), (ONE, "mod_vlan_vid:0", "8100 6000"),
    ("", "mod_vlan_pcp:5", "8100 a000"), (ONE, "mod_vlan_pcp:7", "8100 e005"), (ZERO, "mod_vlan_pcp:0", "8100 0000"),
    (SERVICE, "mod_vlan_pcp:7", "88a8 f005"),
    ("", "mod_vlan_pcp:5,mod_vlan_vid:7", "8100 a007"), ("", "mod_vlan_vid:7,mod_vlan_pcp:5", "8100 a007"),
    ("", "push_vlan:0x8100", "8100 0000"), (ONE, "push_vlan:0x88a8", "88a8 0000 8100 6005"),
    (ONE, "push_vlan:0x8100,mod_vlan_vid:9", "8100 0009 8100 6005"), ("", "push_vlan:0x88a8,push_vlan:0x8100", "8100 0000 88a8 0000"),
    (TWO, "push_vlan:0x8100", "8100 0000 88a8 a00c 8100 6005"),
    ("", "strip_vlan", ""), (ONE, "strip_vlan", ""), (ZERO, "pop_vlan", ""), (TWO, "strip_vlan", "8100 6005"), (SERVICE, "strip_vlan", ""),
    (TWO, "strip_vlan,strip_vlan,strip_vlan", ""), ("", "push_vlan:0x8100,strip_vlan", ""), (ONE, "strip_vlan,mod_vlan_vid:1", "8100 0001"),
])
def test_tags_in_literal_bytes(tags, text, behind):
    assert rewritten(MACS + bytes.fromhex(tags) + BODY, text).hex(" ") == (MACS + bytes.fromhex(behind) + BODY).hex(" ")


@pytest.mark.parametrize("tags", ["", ONE, ZERO, SERVICE, TWO])
def test_headers_are_found_behind_tags_that_came_and_went(tags):
    """`l2_len` follows: a port set behind pushes and pops is the one set before them."""
    frame = MACS + bytes.fromhex(tags) + BODY
    ends = rewritten(frame, "mod_tp_dst:99,mod_nw_src:10.7.7.7", vlan_limit=2)
    assert Ether(ends)[UDP].dport == 99
    for text in ("push_vlan:0x8100,mod_tp_dst:99,push_vlan:0x88a8,mod_nw_src:10.7.7.7,pop_vlan,pop_vlan",
                 "push_vlan:0x8100,pop_vlan,mod_nw_src:10.7.7.7,mod_tp_dst:99", "mod_tp_dst:99,mod_nw_src:10.7.7.7"):
        assert rewritten(frame, text, vlan_limit=2) == ends


def test_pushing_ends_where_the_headroom_does():
    out = rewritten(FRAMES["udp"], ",".join(["push_vlan:0x8100"] * 40))
    assert len(out) == len(FRAMES["udp"]) + HEADROOM and out.endswith(BODY)


@pytest.mark.parametrize("text", ["mod_vlan_vid:7", "mod_vlan_pcp:7", "push_vlan:0x8100"])
@pytest.mark.parametrize("left", [0, 1, 3])
def test_without_headroom_no_tag_comes_and_nothing_is_harmed(text, left):
    m, key = loaded(FRAMES["udp"])
    memory = tempo().arena.memory
    memory.write(m.buf + left, FRAMES["udp"])
    m.data_off = left
    run(m, key, text)
    assert content(m) == FRAMES["udp"]


# --- what is not there is not changed ------------------------------------------------------------------

EVERYTHING = ",".join(["mod_nw_src:1.2.3.4", "mod_nw_dst:1.2.3.4", "mod_nw_tos:4", "mod_nw_ttl:3", "mod_tp_src:3", "mod_tp_dst:3",
                       "set_field:1::2->ipv6_src", "set_field:1::2->ipv6_dst"])


@pytest.mark.parametrize("name", ["arp", "rarp", "mpls", "mpls without end", "llc", "unknown type", "nothing", "three tags"])
def test_without_an_ip_header_no_field_of_it_is_set(name):
    assert rewritten(WHOLE[name], EVERYTHING) == WHOLE[name]


@pytest.mark.parametrize("name", ["tcp", "udp", "sctp", "udp6", "sctp6", "extensions", "vlan", "icmp6"])
def test_a_header_that_is_cut_is_not_changed(name):
    frame = FRAMES[name]
    for n in range(len(frame)):
        out = rewritten(frame[:n], EVERYTHING)
        assert out == frame[:n], f"the packet's length lies, so nothing of it is IP ({n} bytes)"


@pytest.mark.parametrize("n", range(18))
def test_a_frame_shorter_than_its_ethernet_header_is_left_alone(n):
    frame = bytes(range(1, 12)) + bytes.fromhex("aa 8100 000508")
    frame = frame[:n]
    assert rewritten(frame, "mod_dl_src:02:02:02:02:02:02,mod_dl_dst:03:03:03:03:03:03,strip_vlan") == (
        frame if n < 14 else bytes.fromhex("03" * 6 + "02" * 6) + frame[12:])


def test_a_transport_header_that_is_cut_keeps_its_ports_and_its_address_changes():
    for proto, body in ((6, bytes(19)), (17, bytes(7)), (132, bytes(11))):
        frame = ether(0x0800, ipv4(proto, body))
        out = rewritten(frame, "mod_tp_src:9,mod_tp_dst:9,mod_nw_src:9.9.9.9")
        assert out[34:] == body and out[26:30] == bytes([9, 9, 9, 9])


# --- partial checksums ---------------------------------------------------------------------------------

OFFSETS = {"tcp": (TCP, 16), "tcp with options": (TCP, 16), "ip options": (TCP, 16), "udp": (UDP, 6), "vlan": (TCP, 16),
           "tcp6": (TCP, 16), "udp6": (UDP, 6), "extensions": (TCP, 16)}


@pytest.mark.parametrize("name", OFFSETS)
@settings(max_examples=15)
@given(fields=st.lists(settings_of_fields, max_size=3), tags=st.sampled_from(["", "push_vlan:0x8100", "pop_vlan", "mod_vlan_vid:3"]))
def test_what_a_nic_makes_of_a_partial_checksum_is_right(name, fields, tags):
    """The field holds the pseudo-header's sum; from `csum_start` on, the sum of what is there is what the packet needs."""
    packet, (layer, offset) = Ether(FRAMES[name]), OFFSETS[name]
    start = len(packet) - len(packet[layer])
    pseudo = sum16(FRAMES[name][start:]) ^ 0xFFFF  # a whole packet sums up to the complement of its pseudo-header's sum
    frame = FRAMES[name][:start + offset] + struct.pack("!H", pseudo_sum(packet, layer)) + FRAMES[name][start + offset + 2:]
    assert pseudo % 0xFFFF == pseudo_sum(packet, layer) % 0xFFFF
    m, key = loaded(frame)
    m.ol_flags, m.csum_start, m.csum_offset = L4_CSUM_PARTIAL, start, offset
    texts = [text_of(*field) for field in fields] + [tags] * bool(tags)
    run(m, key, ",".join(texts))
    data = content(m)
    total = sum16(data[m.csum_start:]) ^ 0xFFFF
    at = m.csum_start + m.csum_offset
    whole = data[:at] + struct.pack("!H", total or (0xFFFF if layer is UDP else 0)) + data[at + 2:]
    assert whole == fresh(Ether(whole))
    assert m.l2_len + m.l3_len == m.csum_start


def sum16(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) & 1)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo_sum(packet, layer):
    ip, n = l3(packet), len(packet[layer])
    octets = bytes(ip)
    addresses = octets[12:20] if isinstance(ip, IP) else octets[8:40]
    return sum16(addresses + struct.pack("!HH", {TCP: 6, UDP: 17}[layer], n))


# --- both tempos ---------------------------------------------------------------------------------------

MIXED = [*FRAMES.values(), *pieces(WHOLES["tcp"])[:2], *pieces(WHOLES["udp6"])[:2], WHOLE["later fragment"], WHOLE["qinq"],
         WHOLE["three tags"], WHOLE["mpls"], FRAMES["udp"][:30], bytes(14), bytes(12)][:32]
TEXTS = ["mod_dl_src:0a:0b:0c:0d:0e:0f,mod_dl_dst:0a:0b:0c:0d:0e:01,mod_vlan_vid:7,mod_vlan_pcp:3",
         "mod_nw_src:1.2.3.4,mod_nw_dst:255.255.255.255,mod_nw_tos:252,mod_nw_ttl:1,strip_vlan",
         "set_field:1::2->ipv6_src,set_field:ffff::1->ipv6_dst,push_vlan:0x88a8,mod_tp_src:1,mod_tp_dst:65535"]


@pytest.mark.parametrize("text", TEXTS)
def test_both_tempos_change_the_same(scene, text):
    scene.rule(text + ",output:vm2")
    scene.load(MIXED)
    for stage in (parse, emc, megaflow, upcall):
        scene.step(stage)
    partial = scene.packets[::3]
    for i in partial:
        scene.mbufs[i].ol_flags, scene.mbufs[i].csum_start = L4_CSUM_PARTIAL, 34
    scene.both(actions)
    assert scene.gone_to() == {2: scene.packets}
    for i, frame in zip(scene.packets, MIXED, strict=True):
        assert i in partial or scene.bytes_of(i) == rewritten(frame, text)
