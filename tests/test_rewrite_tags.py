"""What actions change around headers: VLAN tags in literal bytes, partial checksums under them, and what is not there and stays so."""
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parse_frames import MACS, WHOLE, ether, ipv4
from rewritten import FRAMES, content, fresh, l3, loaded, rewritten, run, settings_of_fields, tempo, text_of
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from lab.memory.mbuf import HEADROOM, L4_CSUM_PARTIAL

# --- VLAN tags -----------------------------------------------------------------------------------------

BODY = bytes.fromhex("0800") + FRAMES["udp"][14:]
ONE, TWO, ZERO, SERVICE = "8100 6005", "88a8 a00c 8100 6005", "8100 c000", "88a8 1005"


@pytest.mark.parametrize(("tags", "text", "behind"), [
    (ONE, "tci:7/0xfff", "8100 6007"), (ZERO, "tci:7/0xfff", "8100 c007"),
    (SERVICE, "tci:0xfff/0xfff", "88a8 0fff"), (TWO, "tci:7/0xfff", "88a8 a007 8100 6005"), (ONE, "tci:0/0xfff", "8100 6000"),
    ("", "tci:40960/0xe000", ""), (ONE, "tci:57344/0xe000", "8100 e005"), (ZERO, "tci:0/0xe000", "8100 0000"),
    (SERVICE, "tci:57344/0xe000", "88a8 e005"),
    (ONE, "tci:40960/0xe000,tci:7/0xfff", "8100 a007"), (ONE, "tci:0xa007/0xefff", "8100 a007"),
    ("", "push_vlan:0x8100", "8100 0000"), (ONE, "push_vlan:0x88a8", "88a8 0000 8100 6005"),
    (ONE, "push_vlan:0x8100,tci:9/0xfff", "8100 0009 8100 6005"), ("", "push_vlan:0x88a8,push_vlan:0x8100", "8100 0000 88a8 0000"),
    (TWO, "push_vlan:0x8100", "8100 0000 88a8 a00c 8100 6005"),
    ("", "strip_vlan", ""), (ONE, "strip_vlan", ""), (ZERO, "pop_vlan", ""), (TWO, "strip_vlan", "8100 6005"), (SERVICE, "strip_vlan", ""),
    (TWO, "strip_vlan,strip_vlan,strip_vlan", ""), ("", "push_vlan:0x8100,strip_vlan", ""), (ONE, "strip_vlan,tci:1/0xfff", ""),
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


@pytest.mark.parametrize("text", ["tci:7/0xfff", "tci:57344/0xe000", "push_vlan:0x8100"])
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
                       "ipv6_src:1::2", "ipv6_dst:1::2"])


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
@given(fields=st.lists(settings_of_fields, max_size=3), tags=st.sampled_from(["", "push_vlan:0x8100", "pop_vlan", "tci:3/0xfff"]))
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
