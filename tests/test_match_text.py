"""The match of a rule as text: what it means bit by bit, how it is printed, and what each mistake says."""
import pytest
from hypothesis import given
from hypothesis import strategies as st
from match_rows import matches

from lab.flow.key import FIELDS, WIDE, put
from lab.openflow.errors import CommandError
from lab.openflow.matching.fields import ONLY_READ, READABLE, SHORTHANDS
from lab.openflow.matching.match import Match, format_match, parse_match

PORTS = {"vm1": 1, "vm2": 2, "vm-3": 3}


def match(**fields):
    """A match by the key's fields: a value, or (value, mask)."""
    mask, value = [0] * WIDE, [0] * WIDE
    for name, wanted in fields.items():
        wanted, bits = wanted if isinstance(wanted, tuple) else (wanted, (1 << FIELDS[name][2]) - 1)
        put(mask, name, bits)
        put(value, name, wanted)
    return Match.of_words(mask, value)


TCP = {"dl_type": 0x800, "nw_proto": 6}
MEANINGS = [
    ("", {}),
    ("in_port=2", {"in_port": 2}), ("in_port=vm2", {"in_port": 2}), ('in_port="vm-3"', {"in_port": 3}),
    ("tcp", TCP), ("dl_type=0x0800,nw_proto=6", TCP), ("nw_proto=6, ip", TCP), ("eth_type=2048 ip_proto=6", TCP),
    ("udp6", {"dl_type": 0x86DD, "nw_proto": 17}), ("icmp6", {"dl_type": 0x86DD, "nw_proto": 58}), ("ipv4", {"dl_type": 0x800}),
    ("dl_src=1:2:3:4:5:6", {"dl_src": 0x010203040506}),
    ("eth_dst=01:00:00:00:00:00/01:00:00:00:00:00", {"dl_dst": (1 << 40, 1 << 40)}),
    ("dl_vlan=7", {"vlan_tci": (0x1007, 0x1FFF)}), ("dl_vlan=0", {"vlan_tci": (0x1000, 0x1FFF)}),
    ("dl_vlan=0xffff", {"vlan_tci": 0}), ("dl_vlan=65535", {"vlan_tci": 0}), ("vlan_vid=0", {"vlan_tci": (0, 0x1FFF)}),
    ("vlan_vid=0x1007", {"vlan_tci": (0x1007, 0x1FFF)}), ("vlan_vid=0x1000/0x1000", {"vlan_tci": (0x1000, 0x1000)}),
    ("dl_vlan_pcp=3", {"vlan_tci": (0x7000, 0xF000)}), ("dl_vlan=7,vlan_pcp=3", {"vlan_tci": (0x7007, 0xFFFF)}),
    ("vlan_tci=0x1007/0x1fff", {"vlan_tci": (0x1007, 0x1FFF)}), ("vlan_tci=5", {"vlan_tci": 5}),
    ("ip,nw_src=10.1.2.3/8", {"dl_type": 0x800, "nw_src": (10 << 24, 0xFF << 24)}),
    ("ip,ip_dst=10.0.0.1/255.0.0.255", {"dl_type": 0x800, "nw_dst": (0x0A000001, 0xFF0000FF)}),
    ("ipv6,ipv6_src=fe80::1:2/16", {"dl_type": 0x86DD, "ipv6_src": (0xFE80 << 112, 0xFFFF << 112)}),
    ("ipv6,ipv6_label=0x12", {"dl_type": 0x86DD, "ipv6_label": (0x12, 0xFFFFF)}),
    ("ip,nw_tos=8", {"dl_type": 0x800, "nw_tos": (8, 0xFC)}), ("ip,ip_dscp=2", {"dl_type": 0x800, "nw_tos": (8, 0xFC)}),
    ("ip,nw_ecn=3", {"dl_type": 0x800, "nw_tos": (3, 3)}), ("ipv6,nw_ttl=64", {"dl_type": 0x86DD, "nw_ttl": (64, 0xFF)}),
    ("ip,nw_frag=no", {"dl_type": 0x800, "nw_frag": (0, 1)}), ("ip,nw_frag=yes", {"dl_type": 0x800, "nw_frag": (1, 1)}),
    ("ip,nw_frag=first", {"dl_type": 0x800, "nw_frag": (1, 3)}), ("ip,ip_frag=later", {"dl_type": 0x800, "nw_frag": (3, 3)}),
    ("ip,nw_frag=not_later", {"dl_type": 0x800, "nw_frag": (0, 2)}),
    ("tcp,tp_dst=80", TCP | {"tp_dst": 80}), ("tcp,tcp_src=0x50/0xfff0", TCP | {"tp_src": (0x50, 0xFFF0)}),
    ("tcp,tcp_flags=+syn-ack", TCP | {"tcp_flags": (2, 0x12)}), ("tcp,tcp_flags=syn|ack", TCP | {"tcp_flags": (0x12, 0xFFF)}),
    ("icmp,icmp_type=8,icmp_code=0", {"dl_type": 0x800, "nw_proto": 1, "tp_src": (8, 0xFF), "tp_dst": (0, 0xFF)}),
    ("arp,arp_op=1,arp_spa=10.0.0.1,arp_sha=00:00:00:00:00:07",
     {"dl_type": 0x806, "nw_proto": 1, "nw_src": 0x0A000001, "arp_sha": 7}),
    ("icmp6,icmpv6_type=135,nd_target=fe80::1,nd_sll=00:00:00:00:00:07",
     {"dl_type": 0x86DD, "nw_proto": 58, "tp_src": (135, 0xFF), "nd_target": (0xFE80 << 112 | 1, (1 << 128) - 1), "arp_sha": 7}),
    ("mpls,mpls_label=5,mpls_bos=1", {"dl_type": 0x8847, "mpls_lse0": (5 << 12 | 1 << 8, 0xFFFFF100)}),
    ("in_port=LOCAL", {"in_port": 0xFFFE}), ("in_port=4294967294", {"in_port": 0xFFFE}), ("in_port=none", {"in_port": 0xFFFF}),
    ("in_port_oxm=vm2", {"in_port": 2}), ("actset_output=vm1", {"actset_output": 1}),
    ("eth()", {}), ("eth,ip", {"dl_type": 0x800}), ("packet_type=(0,0)", {}),
    ("reg0=5", {"reg0": 5}), ("reg15=0x10/0xf", {"reg15": (0, 0xF)}), ("xreg1=5", {"reg2": 0, "reg3": 5}),
    ("xxreg0=0x50000000600000007/0xff000000ff", {"reg2": (6, 0xFF), "reg3": (7, 0xFF)}),
    ("reg1[8..15]=7", {"reg1": (0x700, 0xFF00)}), ("xxreg0[64..71]=5", {"reg1": (5, 0xFF)}),
    ("dl_dst[40]=1", {"dl_dst": (1 << 40, 1 << 40)}),
    ("NXM_NX_REG0=5", {"reg0": 5}), ("oxm_of_eth_type=0x800,OXM_OF_IPV4_SRC=1.2.3.4", {"dl_type": 0x800, "nw_src": 0x01020304}),
    ("metadata=5/7", {"metadata": (5, 7)}), ("tunnel_id=0x10/0xf0", {"tun_id": (0x10, 0xF0)}), ("tun_flags=oam", {"tun_flags": (1, 1)}),
    ("tun_src=1.2.3.4/8", {"tun_src": (1 << 24, 0xFF << 24)}), ("tun_ipv6_dst=fe80::/10", {"tun_ipv6_dst": (0xFE80 << 112, 0xFFC0 << 112)}),
    ("tun_tos=16,tun_ttl=64", {"tun_tos": 16, "tun_ttl": 64}), ("tun_gbp_flags=5/7", {"tun_gbp_flags": (5, 7)}),
    ("ct_state=+trk-est", {"ct_state": (0x20, 0x22)}), ("ct_state=trk|est", {"ct_state": 0x22}), ("ct_label=1/3", {"ct_label": (1, 3)}),
    ("skb_priority=5,pkt_mark=1/1", {"skb_priority": 5, "pkt_mark": (1, 1)}),
    ("tcp,nw_frag=first,tp_dst=80", TCP | {"nw_frag": (1, 3), "tp_dst": 80}), ("ip,nw_proto=6/0xff", TCP),
    ("ip,nw_proto=0/0", {"dl_type": 0x800}),
    ("icmp6,icmp_type=135,icmp_code=0,nd_sll=1:0:0:0:0:0/1:0:0:0:0:0",
     {"dl_type": 0x86DD, "nw_proto": 58, "tp_src": (135, 0xFF), "tp_dst": (0, 0xFF), "arp_sha": (1 << 40, 1 << 40)}),
]


@pytest.mark.parametrize(("text", "fields"), MEANINGS, ids=[text for text, _ in MEANINGS])
def test_a_text_asks_for_just_these_bits(text, fields):
    assert parse_match(text, PORTS) == match(**fields)


@pytest.mark.parametrize("text", [text for text, _ in MEANINGS])
def test_what_is_printed_is_read_as_the_same_match(text):
    found = parse_match(text, PORTS)
    assert parse_match(found.text) == found


WRONG = [  # text, the word, its place, what the message says, the nearest word
    ("tcp,tp_dts=80", "tp_dts", 4, "unknown field 'tp_dts'", "tp_dst"),
    ("icmpv6", "icmpv6", 0, "unknown field", "icmp6"),
    ("xyzzy", "xyzzy", 0, "unknown field 'xyzzy'", ""),
    ("tp_dst=80", "tp_dst", 0, "add one of tcp, udp, sctp, tcp6, udp6 or sctp6", ""),
    ("ip,tp_dst=80", "tp_dst", 3, "add one of tcp", ""),
    ("udp,tcp_dst=80", "tcp_dst", 4, "add one of tcp or tcp6", ""),
    ("nw_src=10.0.0.1", "nw_src", 0, "add one of ip, arp or rarp", ""),
    ("icmp6,nd_target=fe80::1", "nd_target", 6, "add icmp_type=135 or icmp_type=136", ""),
    ("icmp,icmpv6_type=8", "icmpv6_type", 5, "add icmp6", ""),
    ("ip,nw_src=10.0.0.256", "10.0.0.256", 10, "not an IPv4 address", ""),
    ("ip,nw_src=10.0.0.0/33", "10.0.0.0/33", 10, "at most 32 bits", ""),
    ("ip,nw_src=10.0.0", "10.0.0", 10, "not an IPv4 address", ""),
    ("ipv6,ipv6_src=fe80:::1", "fe80:::1", 14, "not an IPv6 address", ""),
    ("ipv6,ipv6_src=fe80::1%eth0", "fe80::1%eth0", 14, "not an IPv6 address", ""),
    ("ip,nw_src=010.0.0.1", "010.0.0.1", 10, "not an IPv4 address", ""),
    ("ip,nw_src=10.0.0.0/²", "10.0.0.0/²", 10, "as a mask, '²' is not an IPv4 address", ""),
    ("ip,nw_src=10.0.0.0/", "10.0.0.0/", 10, "as a mask, '' is not an IPv4 address", ""),
    ("dl_src=1:2:3:4:5", "1:2:3:4:5", 7, "not a MAC address", ""),
    ("dl_vlan=4096", "4096", 8, "more than 4095", ""),
    ("dl_vlan_pcp=8", "8", 12, "more than 7", ""),
    ("vlan_vid=5", "5", 9, "write 0x1005, or dl_vlan=5", ""),
    ("vlan_vid=5/0x3fff", "5/0x3fff", 9, "as a mask, 0x3fff is more than 0x1fff", ""),
    ("tcp,tp_dst=80/0x1ffff", "80/0x1ffff", 11, "as a mask, 0x1ffff is more than 0xffff", ""),
    ("tcp,tp_dst=65536", "65536", 11, "more than 65535", ""),
    ("tcp,tp_dst=-1", "-1", 11, "is not a number", ""),
    ("tcp,tp_dst=010", "010", 11, "is not a number", ""),
    ("tcp,tp_dst=", "tp_dst", 4, "needs a value, such as tp_dst=1", ""),
    ("tcp,tp_dst", "tp_dst", 4, "needs a value", ""),
    ("tcp=1", "1", 4, "tcp stands alone", ""),
    ("in_port=vm9", "vm9", 8, "unknown port vm9", "vm2"),
    ("in_port=nowhere", "nowhere", 8, "the ports are vm1, vm2, vm-3", ""),
    ("in_port=1/3", "1/3", 8, "is not a number", ""),
    ("ip,nw_proto=6/7", "6/7", 12, "takes no mask", ""),
    ("ip,nw_tos=13", "13", 10, "the nearest TOS is 12", ""),
    ("ip,nw_frag=maybe", "maybe", 11, "none of no, yes, first, later, not_later", ""),
    ("tcp,tcp_flags=+sny", "+sny", 14, "'sny' is no TCP flag", ""),
    ("tcp,tcp_flags=0x1000", "0x1000", 14, "more than 0xfff", ""),
    ("ip,ipv6", "ipv6", 3, "contradicts what stands before it", ""),
    ("tcp,udp", "udp", 4, "contradicts", ""),
    ("tcp,tp_dst=80,tp_dst=81", "tp_dst", 14, "contradicts", ""),
    ("dl_vlan=0xffff,dl_vlan_pcp=1", "dl_vlan_pcp", 15, "contradicts", ""),
    ("in_port=(1", "(", 8, "never closed", ""),
    ("in_port(1", "(", 7, "never closed", ""),
    ("in_port=1)", ")", 9, "never opened", ""),
    ('in_port="vm1', '"', 8, "never closed", ""),
    ("=5", "=", 0, "a name is missing", ""),
    ("TCP", "TCP", 0, "unknown field 'TCP'", "tcp"),
    ("conj_id=5", "conj_id", 0, "conj_id is not built yet", ""),
    ("tun_metadata3=5", "tun_metadata3", 0, "not built yet", ""),
    ("igmp", "igmp", 0, "unknown field", "icmp"),
    ("mac_dst=1:2:3:4:5:6", "mac_dst", 0, "unknown field", "tcp_dst"),
    ("NXM_OF_IP_SRC_W=1.2.3.4/8", "NXM_OF_IP_SRC_W", 0, "unknown field", ""),
    ("OXM_OF_IPV4_SRC=1.2.3.4", "OXM_OF_IPV4_SRC", 0, "add one of ip, arp or rarp", ""),
    ("packet_type=(1,0x800)", "(1,0x800)", 12, "only Ethernet is switched here", ""),
    ("packet_type=0", "0", 12, "is not (NAMESPACE,TYPE)", ""),
    ("packet_type", "packet_type", 0, "such as packet_type=(0,0)", ""),
    ("reg16=1", "reg16", 0, "unknown field", "reg6"),
    ("reg0=0x100000000", "0x100000000", 5, "more than 0xffffffff", ""),
    ("reg0[0..40]=1", "reg0[0..40]", 0, "reg0 has the bits 0 to 31", ""),
    ("reg0[9..3]=1", "reg0[9..3]", 0, "9..3 is no part", ""),
    ("reg0[0..7]=0x100", "0x100", 11, "more than 0xff", ""),
    ("reg0[0..7]=5/7", "5/7", 11, "takes no mask", ""),
    ("ip,nw_proto[0..3]=6", "nw_proto[0..3]", 3, "nw_proto is asked for as a whole", ""),
    ("dl_vlan[]=5", "dl_vlan[]", 0, "dl_vlan is asked for as a whole", ""),
    ("tun_flags[1]=1", "tun_flags[1]", 0, "tun_flags has the bits 0 to 0", ""),
    ("gre0[0..7]=5", "gre0[0..7]", 0, "unknown field", ""),
    ("xreg0=1,reg1=2", "reg1", 8, "contradicts", ""),
    ("metadata=x", "x", 9, "is not a number", ""),
    ("skb_priority=5/7", "5/7", 13, "takes no mask", ""),
    ("ct_zone=5/7", "5/7", 8, "takes no mask", ""),
    ("ct_state=+est+foo", "+est+foo", 9, "'foo' is no connection state: they are new, est", ""),
    ("tun_flags=2", "2", 10, "more than 1", ""),
    ("tun_flags=key", "key", 10, "is no tunnel flag: they are oam", ""),
    ("tun_src=fe80::1", "fe80::1", 8, "not an IPv4 address", ""),
    ("in_port=70000", "70000", 8, "more than 65535", ""),
    ("in_port=lokal", "lokal", 8, "unknown port lokal", "LOCAL"),
    ("dl_type=0x800/0xff00", "0x800/0xff00", 8, "takes no mask", ""),
    ("dl_vlan=5/7", "5/7", 8, "is not a number", ""),
    ("mpls_label=5", "mpls_label", 0, "add one of mpls or mplsm", ""),
    ("mpls,mpls_label=1048576", "1048576", 16, "more than 1048575", ""),
    ("mpls,mpls_bos=2", "2", 14, "more than 1", ""),
    ("icmp,icmp_type=8/0xf", "8/0xf", 15, "takes no mask", ""),
    ("icmp6,icmp_type=136,nd_sll=1:2:3:4:5:6", "nd_sll", 20, "add icmp_type=135", ""),
    ("icmp6,icmp_type=135,icmp_code=1,nd_target=::1", "nd_target", 32, "add icmp_code=0", ""),
    ("tcp,nw_frag=later,tp_dst=80", "tp_dst", 18, "add nw_frag=not_later", ""),
    ("ipv6,ipv6_label=0x100000", "0x100000", 16, "more than 0xfffff", ""),
    ("ipv6,nw_src=1.2.3.4", "nw_src", 5, "add one of ip, arp or rarp", ""),
    ("arp,arp_op=256", "256", 11, "more than 255", ""),
    ("ip,nw_frag=1/1", "1/1", 11, "none of no, yes", ""),
    ("tcp()", "tcp", 0, "tcp stands alone", ""),
    ("dl_vlan=4095,dl_vlan=0xffff", "dl_vlan", 13, "contradicts", ""),
    ("in_port(1)x", "x", 10, "a comma is missing", ""),
]


@pytest.mark.parametrize(("text", "word", "position", "says", "nearest"), WRONG, ids=[row[0] for row in WRONG])
def test_a_mistake_is_named_with_its_word_its_place_and_the_nearest_right_one(text, word, position, says, nearest):
    with pytest.raises(CommandError) as caught:
        parse_match(text, PORTS)
    error = caught.value
    assert (error.command, error.word, error.position, error.suggestion) == (text, word, position, nearest)
    assert says in error.problem
    first, line, caret = str(error).split("\n")
    assert line == text and caret == " " * position + "^" * len(word)
    assert first.endswith(f"did you mean {nearest!r}?") == bool(nearest)


def test_what_an_unknown_port_is_compared_with_is_told_when_nothing_is_near():
    with pytest.raises(CommandError, match="unknown port vm1: there is none yet"):
        parse_match("in_port=vm1")


def test_the_caret_of_a_long_command_stands_under_its_word():
    text = ",".join(f"tcp,tp_dst={80}" for _ in range(40)) + ",tp_dts=5,tcp"
    with pytest.raises(CommandError) as caught:
        parse_match(text)
    _, line, caret = str(caught.value).split("\n")
    assert len(line) < 120 and line[caret.index("^"):][:len("tp_dts")] == "tp_dts"


def test_ports_are_printed_by_name_in_quotes_unless_they_are_plain():
    for text, shown in (("in_port=vm2", "in_port=vm2"), ("in_port=3", 'in_port="vm-3"'), ("in_port=9", "in_port=9")):
        found = parse_match(text, PORTS)
        assert format_match(found.value_words, found.mask_words, {n: name for name, n in PORTS.items()}.get) == shown


def test_every_field_of_the_table_can_be_read_and_printed():
    for row in READABLE:
        protocol = row.needs[0] if row.needs else ""
        kind = f",icmp_type={row.kinds[0]}" if row.kinds else ""
        value = {"nw_frag": "no", "vlan_vid": "0x1001", "nw_tos": "4", "tcp_flags": "syn"}.get(row.name) or row.show(1, row.full, row.full)
        found = parse_match(f"{protocol}{kind},{row.name}={value}".strip(","))
        assert parse_match(found.text) == found
        assert row.name in ONLY_READ or row.name in {"dl_type", "nw_proto", "nw_src", "nw_dst", "vlan_tci"} or f"{row.name}=" in found.text


@given(matches())
def test_printing_and_reading_give_the_match_back(text):
    found = parse_match(text)
    assert parse_match(found.text) == found
    assert found.value & ~found.mask == 0


@given(st.text(alphabet='tcp_dslanwvior=,./:0123456789abcdefx"()+-| []%²é\\0', max_size=40))
def test_no_text_gives_anything_but_a_match_or_a_command_error(text):
    try:
        assert isinstance(parse_match(text, PORTS), Match)
    except CommandError as error:
        assert error.command == text and 0 <= error.position <= len(text) and str(error)


def test_a_shorthand_stands_for_its_numbers():
    for name, (kind, proto) in SHORTHANDS.items():
        wanted = {} if kind is None else {"dl_type": kind} if proto is None else {"dl_type": kind, "nw_proto": proto}
        assert parse_match(name) == match(**wanted)
