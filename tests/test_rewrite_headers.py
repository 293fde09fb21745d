"""What actions change in the rarer headers, in literal bytes: labels, ARP, ICMP, neighbour discovery, IPv6, and what no header holds."""
import pytest
from parse_frames import MACS, WHOLE
from rewritten import DATA, ETH, FRAMES, V6, content, fresh, loaded, rewritten, run
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import Ether

from lab.memory.mbuf import L4_CSUM_PARTIAL

# --- labels ------------------------------------------------------------------------------------------------

REST = FRAMES["udp"][14:]
IP4, LABEL, TWO_LABELS = "0800", "8847 00007140", "8847 00064040 00007140"
TAG, TAGS = "8100 6005", "88a8 a00c 8100 6005"


@pytest.mark.parametrize(("before", "text", "behind"), [
    (IP4, "push_mpls:0x8847/0x7140", "8847 00007140"),
    (TAG + IP4, "push_mpls:0x8848/0x7140", TAG + "8848 00007140"),  # behind the tag
    (TAGS + IP4, "push_mpls:0x8847/0x7140", TAGS + "8847 00007140"),
    (LABEL, "push_mpls:0x8847/0x64040", TWO_LABELS),  # in front of the label
    (LABEL, "push_mpls:0x8848/0x64040", "8848 00064040 00007140"),
    (IP4, "push_mpls:0x0800/0x7140", IP4),  # no Ethernet type of MPLS
    (LABEL, "pop_mpls:0x0800", IP4), (TAG + LABEL, "pop_mpls:0x0800", TAG + IP4),
    (TWO_LABELS, "pop_mpls:0x8847", LABEL), (TWO_LABELS, "pop_mpls:0x8847,pop_mpls:0x0800", IP4),
    (IP4, "pop_mpls:0x0800", IP4), (IP4, "push_mpls:0x8847/0x7140,pop_mpls:0x0800", IP4),
    (LABEL, "pop_mpls:0x0800,pop_mpls:0x0800", IP4),
    (LABEL, "lse:0x9000/0xfffff000", "8847 00009140"), (LABEL, "lse:0x3f/0xff", "8847 0000713f"), (LABEL, "lse:0", "8847 00000000"),
    (IP4, "lse:0x9000/0xfffff000", IP4),
    (IP4, "push_vlan:0x8100/7,push_mpls:0x8847/0x7140", "8100 0007" + LABEL),
    (IP4, "push_mpls:0x8847/0x7140,push_vlan:0x8100/7", "8100 0007" + LABEL),
    (TAG + LABEL, "pop_vlan,lse:0x3f/0xff", "8847 0000713f"),
])
def test_labels_in_literal_bytes(before, text, behind):
    assert rewritten(MACS + bytes.fromhex(before) + REST, text, vlan_limit=2).hex(" ") == (MACS + bytes.fromhex(behind) + REST).hex(" ")


def test_behind_a_label_no_field_of_ip_is_set():
    frame = rewritten(FRAMES["udp"], "push_mpls:0x8847/0x7140")
    assert rewritten(FRAMES["udp"], "push_mpls:0x8847/0x7140,mod_nw_src:1.2.3.4,mod_tp_dst:9,mod_nw_ttl:3") == frame


@pytest.mark.parametrize("text", ["push_mpls:0x8847/0x7140", "push_mpls:0x8847/0x7140,pop_mpls:0x0800", "push_vlan:0x8100"])
def test_where_a_partial_checksum_begins_moves_along(text):
    m, key = loaded(FRAMES["udp"])
    m.ol_flags, m.csum_start, m.csum_offset = L4_CSUM_PARTIAL, 34, 6
    run(m, key, text)
    assert content(m)[m.csum_start:] == FRAMES["udp"][34:]


@pytest.mark.parametrize("left", [0, 3])
def test_without_headroom_no_label_comes(left):
    m, key = loaded(FRAMES["udp"])
    m.data_off, m.data_len = left, 0
    run(m, key, "push_mpls:0x8847/0x7140")
    assert (m.data_off, m.data_len) == (left, 0)


def test_a_label_that_is_cut_is_not_popped():
    frame = MACS + bytes.fromhex("8847 000071")
    assert rewritten(frame, "pop_mpls:0x0800,lse:9") == frame


# --- ARP -----------------------------------------------------------------------------------------------------

ASK = bytes.fromhex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002")


@pytest.mark.parametrize(("text", "at", "octets"), [
    ("arp_op:2", 20, "0002"), ("arp_sha:0a:0b:0c:0d:0e:0f", 22, "0a0b0c0d0e0f"), ("arp_spa:1.2.3.4", 28, "01020304"),
    ("arp_tha:0a:0b:0c:0d:0e:0f", 32, "0a0b0c0d0e0f"), ("arp_tpa:1.2.3.4", 38, "01020304"), ("arp_tpa:0.0.3.0/0.0.255.0", 38, "0a000302")])
def test_arp_in_literal_bytes(text, at, octets):
    octets = bytes.fromhex(octets)
    assert rewritten(ASK, text).hex(" ") == (ASK[:at] + octets + ASK[at + len(octets):]).hex(" ")
    assert rewritten(ASK[:41], text) == ASK[:41] and rewritten(WHOLE["arp of another"], text) == WHOLE["arp of another"]


def test_all_the_key_has_of_an_opcode_is_the_whole_opcode():
    large = ASK[:20] + bytes.fromhex("0103") + ASK[22:]
    assert rewritten(large, "arp_op:2")[20:22] == bytes.fromhex("0002") and rewritten(large, "arp_op:2/15")[20:22] == b"\x01\x02"


# --- ICMP ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text", ["icmp_type:0", "icmp_code:7", "icmp_type:0,icmp_code:255"])
def test_type_and_code_of_icmp(text):
    packet = ETH / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=7, seq=9) / DATA
    out = rewritten(bytes(packet), text)
    for part in text.split(","):
        name, value = part.split(":")
        setattr(packet[ICMP], name[5:], int(value))
    assert out == fresh(Ether(bytes(packet)))


@pytest.mark.parametrize("name", ["tcp", "udp", "arp", "sctp"])
def test_only_icmp_has_a_type(name):
    assert rewritten(FRAMES[name], "icmp_type:1,icmp_code:1") == FRAMES[name]


# --- neighbour discovery -----------------------------------------------------------------------------------------

SOURCE, TARGET = ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"), ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:02")
OTHER = "0a:0b:0c:0d:0e:0f"


@pytest.mark.parametrize(("options", "text", "which"), [
    ([SOURCE], "nd_sll", 0), ([TARGET], "nd_tll", 0), ([ICMPv6NDOptMTU(), SOURCE], "nd_sll", 1),
    ([SOURCE], "nd_tll", None), ([TARGET], "nd_sll", None), ([], "nd_sll", None),
    ([SOURCE, TARGET], "nd_tll", None),  # the first address alone counts, as in OVS
    ([SOURCE, TARGET], "nd_sll", 0)])
@pytest.mark.parametrize("kind", [ICMPv6ND_NS, ICMPv6ND_NA])
def test_an_address_is_set_where_the_option_is(kind, options, text, which):
    def packet(options):
        whole = ETH / V6 / kind(tgt="2001:db8::9")
        for option in options:
            whole = whole / option.copy()
        return Ether(bytes(whole))

    changed = [option.copy() for option in options]
    if which is not None:
        changed[which].lladdr = OTHER
    assert rewritten(bytes(packet(options)), f"{text}:{OTHER}").hex(" ") == bytes(packet(changed)).hex(" ")


def test_the_target_is_set_and_the_checksum_covers_it():
    packet = Ether(FRAMES["solicitation"])
    packet[ICMPv6ND_NS].tgt = "fe80::7"
    assert rewritten(FRAMES["solicitation"], "nd_target:fe80::7") == fresh(packet)


@pytest.mark.parametrize("name", ["icmp6", "udp6", "icmp", "tcp"])
def test_other_packets_have_no_target(name):
    assert rewritten(FRAMES[name], "nd_target:fe80::7,nd_sll:02:02:02:02:02:02") == FRAMES[name]


@pytest.mark.parametrize("first", [bytes(8), bytes([14, 9]) + bytes(6), bytes([14, 2]) + bytes(6)])
def test_behind_an_option_that_lies_no_address_is_found(first):
    """Of no length, or longer than the packet, or so long that the address is inside it."""
    frame = bytes(ETH / V6 / ICMPv6ND_NS(tgt="2001:db8::9") / (first + bytes(SOURCE)))
    assert rewritten(frame, f"nd_sll:{OTHER},nd_tll:{OTHER}") == frame
    assert rewritten(WHOLE["solicitation, code 1"], f"nd_sll:{OTHER}") == WHOLE["solicitation, code 1"]


# --- IPv6, marks ---------------------------------------------------------------------------------------------------

def test_label_class_and_hop_limit_of_ipv6_leave_each_other_alone():
    out = Ether(rewritten(FRAMES["udp6"], "ipv6_label:0x12345,mod_nw_tos:0x03/0x03,mod_nw_ttl:7"))
    assert (out[IPv6].version, out[IPv6].fl, out[IPv6].tc, out[IPv6].hlim) == (6, 0x12345, 0xBB, 7)
    assert bytes(out) == fresh(out)


def test_a_mark_is_of_the_packet_not_of_its_bytes():
    m, key = loaded(FRAMES["udp"])
    m.mark = 0xFFFF0000
    run(m, key, "pkt_mark:0x1234/0xff00ff00")
    assert m.mark == 0x00FF1200 and content(m) == FRAMES["udp"]
