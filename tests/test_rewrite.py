"""What actions change in a header: literal bytes, and scapy as the oracle of every checksum, in both tempos."""
import struct

import pytest
from acting import FIELDS_OF_SET, Acting, last
from hypothesis import given, settings
from hypothesis import strategies as st
from parse_frames import WHOLE
from rewritten import (
    DATA,
    ETH,
    FRAMES,
    PACKETS,
    V4,
    V6,
    WORDS,
    expected,
    fresh,
    number_of,
    place_of,
    records_of,
    rewritten,
    settings_of_fields,
    text_of,
)
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Dot1Q, Ether

from lab.memory.mbuf import L4_CSUM_PARTIAL
from lab.packet.crc32c import change16
from lab.stages.actions import actions


@pytest.mark.parametrize("name", PACKETS)
def test_scapy_builds_the_packets_as_they_are(name):
    assert fresh(PACKETS[name]) == FRAMES[name]


@pytest.mark.parametrize("name", PACKETS)
@settings(max_examples=30)
@given(field=settings_of_fields)
def test_a_field_that_is_set_leaves_the_packet_that_scapy_would_build(name, field):
    action, value = field
    assert rewritten(FRAMES[name], text_of(action, value)).hex(" ") == expected(Ether(FRAMES[name]), action, value).hex(" ")


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(PACKETS)), field=settings_of_fields, mask=st.integers(0, (1 << 128) - 1))
def test_only_the_bits_of_the_mask_change(name, field, mask):
    action, value = field
    mask &= (1 << FIELDS_OF_SET[WORDS[action]][3]) - 1
    text = f"{action}:{number_of(str(value))}/{mask}"
    assert rewritten(FRAMES[name], text).hex(" ") == expected(Ether(FRAMES[name]), action, value, mask).hex(" ")


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(PACKETS)), field=settings_of_fields, wrong=st.integers(0, 0xFFFF))
def test_a_field_that_has_its_value_already_changes_no_byte(name, field, wrong):
    """Not even a checksum that is wrong, or zero written the other way."""
    packet = Ether(FRAMES[name])
    place = place_of(packet, field[0])
    for layer in (IP, TCP, UDP):
        if layer in packet:
            packet[layer].chksum = wrong
    value = getattr(*place) if place else field[1]
    assert rewritten(bytes(packet), f"{text_of(field[0], value)}{'/255' if field[0] == 'mod_nw_tos' else ''}") == bytes(packet)


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
    ("ipv6_src:2001:db8::9", {}),  # no IPv6 in it
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
    before, after = FRAMES["routed"], rewritten(FRAMES["routed"], "ipv6_dst:2001:db8::99")
    assert [at for at in range(len(before)) if before[at] != after[at]] == [53]
    before, after = FRAMES["routed to its end"], rewritten(FRAMES["routed to its end"], "ipv6_dst:2001:db8::99")
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
    out = rewritten(frame, "mod_nw_src:10.0.0.77,mod_tp_dst:8080,push_vlan:0x8100,tci:9/0xfff", cuts=cuts)
    packet = Ether(expected(Ether(expected(Ether(frame), "mod_nw_src", "10.0.0.77")), "mod_tp_dst", 8080))
    assert out == bytes(ETH / Dot1Q(vlan=9) / packet[IP])


# --- both tempos ---------------------------------------------------------------------------------------

MIXED = [*FRAMES.values(), *pieces(WHOLES["tcp"])[:2], *pieces(WHOLES["udp6"])[:2], WHOLE["later fragment"], WHOLE["qinq"],
         WHOLE["three tags"], WHOLE["mpls"], FRAMES["udp"][:30], bytes(14), bytes(12)][:32]
TEXTS = ["mod_dl_src:0a:0b:0c:0d:0e:0f,mod_dl_dst:0a:0b:0c:0d:0e:01,tci:0x6007/0xefff,icmp_code:7,ipv6_label:9",
         "arp_op:2,arp_spa:1.2.3.4,arp_tpa:4.3.2.1,arp_sha:0a:0b:0c:0d:0e:0f,arp_tha:0a:0b:0c:0d:0e:01,pkt_mark:7",
         "nd_target:fe80::7,nd_sll:0a:0b:0c:0d:0e:0f,nd_tll:0a:0b:0c:0d:0e:01,push_mpls:0x8847/0x7140,lse:0x9000/0xfffff000",
         "push_vlan:0x8100/7,push_mpls:0x8848/0x7140,pop_mpls:0x0800,mod_nw_dst:1.2.3.4/0xff00ff,mod_tp_src:0xff00/0xf0f0",
         "mod_nw_src:1.2.3.4,mod_nw_dst:255.255.255.255,mod_nw_tos:252,mod_nw_ttl:1,strip_vlan",
         "ipv6_src:1::2,ipv6_dst:ffff::1,push_vlan:0x88a8,mod_tp_src:1,mod_tp_dst:65535"]


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_both_tempos_change_the_same(text, checked):
    scene = Acting(checked=checked)
    scene.ready(MIXED, [*records_of(text), last(2)])
    partial = scene.packets[::3]
    for i in partial:
        scene.mbufs[i].ol_flags, scene.mbufs[i].csum_start = L4_CSUM_PARTIAL, 34
    scene.both(actions)
    assert [scene.outs[2].pkt[k] for k in range(scene.outs[2].n)] == scene.packets
    for i, frame in zip(scene.packets, MIXED, strict=True):
        assert i in partial or scene.content(i) == rewritten(frame, text)
