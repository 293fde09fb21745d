"""The rows of fields, and what a match is: two ints, its words and bytes, what it takes and covers, and the parser's two tempos."""
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from match_rows import matches

from lab.flow import actions as act
from lab.flow.key import ALIASES, FIELDS, WIDE, WORDS, get, put
from lab.openflow.errors import CommandError
from lab.openflow.matching import match as match_module
from lab.openflow.matching.fields import BY_NAME, BY_OXM, NOT_BUILT, READABLE, ROWS, by_any_name, field_of, is_known, wide_of, words_of
from lab.openflow.matching.match import Match, format_match, match_of, missing, parse_match, quick_match, shorthands
from lab.openflow.text import Text


def test_a_match_is_ints_over_the_wide_key_whose_bytes_are_the_words_of_a_record():
    found = parse_match("ipv6,ipv6_src=fe80::1,reg1=7,actset_output=3")
    words = [0] * WIDE
    for name, value in (("dl_type", 0x86DD), ("ipv6_src", 0xFE80 << 112 | 1), ("reg1", 7), ("actset_output", 3)):
        put(words, name, value)
    assert found.value_words == tuple(words) and len(found.mask_words) == WIDE
    assert np.frombuffer(found.bytes[1], "<u8").tolist() == words and len(found.bytes[0]) == 8 * WIDE
    assert found.value >> 64 * 9 & (1 << 64) - 1 == 0xFE80 << 48  # the high half lies in the first of two words
    assert Match.of_words(found.mask_words, found.value_words) == found
    assert hash(found) == hash(parse_match(found.text)) and found != parse_match("ipv6")


def test_the_match_of_nothing_takes_everything():
    assert Match() == parse_match("") and Match().takes([7] * WORDS) and Match().text == "" and repr(Match()) == "<match everything>"


def test_a_match_knows_which_packets_it_takes_and_which_matches_it_covers():
    ten = parse_match("ip,nw_src=10.0.0.0/8")
    assert ten.covers(parse_match("tcp,nw_src=10.1.0.0/16")) and not parse_match("tcp,nw_src=10.1.0.0/16").covers(ten)
    assert not ten.covers(parse_match("ip,nw_src=11.0.0.0/8")) and not ten.covers(parse_match("ip"))
    for many in (WORDS, WIDE):
        key = [0] * many
        put(key, "dl_type", 0x800)
        put(key, "nw_src", 0x0A010203)
        assert ten.takes(key) and ten.takes(np.array(key, "u8")) and not parse_match("ip,nw_src=10.2.0.0/16").takes(key)
    assert not parse_match("reg0=1").takes([0] * WORDS)


@given(matches(), matches())
def test_covering_is_the_same_word_by_word(one, other):
    a, b = parse_match(one), parse_match(other)
    rows = zip(a.mask_words, a.value_words, b.mask_words, b.value_words, strict=True)
    assert a.covers(b) == all(mask & ~narrow == 0 and (value ^ other) & mask == 0 for mask, value, narrow, other in rows)
    assert a.covers(a) and Match().covers(a)
    assert a.takes(a.value_words)


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=WIDE, max_size=WIDE))
def test_words_and_the_wide_int_are_the_same_bits(words):
    assert list(words_of(wide_of(words))) == words and wide_of(words[:WORDS]) == wide_of(words[:WORDS] + [0] * (WIDE - WORDS))
    for row in READABLE:
        if row.key in FIELDS:
            assert row.gather(wide_of(words)) == get(words, row.key) >> row.low & (1 << row.bits) - 1
        if row.base is None:
            assert row.gather(row.spread(row.full)) == row.full


def test_megaflows_of_32_words_print_as_matches_do():
    found = parse_match("recirc_id=0,in_port=1,tcp,tp_dst=80")
    short = found.value_words[:WORDS], found.mask_words[:WORDS]
    assert format_match(*short) == "recirc_id=0,eth,tcp,in_port=1,tp_dst=80" == found.text
    assert format_match(*short, {1: "vm1"}.get) == "recirc_id=0,eth,tcp,in_port=vm1,tp_dst=80"


def test_bits_that_no_rule_asks_for_are_printed_as_well():
    mask, value = [0] * WORDS, [0] * WORDS
    for name, bits in (("vlan_tpid", 0x88A8), ("vlan_tci1", 0x1005), ("mpls_lse1", 7)):
        put(mask, name, (1 << FIELDS[name][2]) - 1)
        put(value, name, bits)
    assert format_match(value, mask) == "vlan_tpid=0x88a8,vlan_tci1=0x1005,mpls_lse1=7"
    with pytest.raises(CommandError, match="unknown field 'vlan_tci1'"):
        parse_match("vlan_tci1=0x1005")


def test_a_fragment_asked_for_in_full_is_printed_as_ovs_prints_it():
    for value, mask, word in ((0, 3, "no"), (0, 1, "no"), (1, 3, "first"), (3, 3, "later"), (2, 2, "later"), (0, 2, "not_later")):
        row = BY_NAME["nw_frag"]
        assert format_match(words_of(row.spread(value)), words_of(row.spread(mask))) == f"nw_frag={word}"


# --- the rows -----------------------------------------------------------------------------------

def test_every_field_of_the_key_has_a_row():
    assert {row.key for row in ROWS} == set(FIELDS) | set(ALIASES)


def test_a_field_is_found_by_every_name():
    for name, wanted in (("nw_src", "nw_src"), ("ip_src", "nw_src"), ("NXM_OF_IP_SRC", "nw_src"), ("oxm_of_ipv4_src", "nw_src"),
                         ("Nxm_Nx_Reg3", "reg3"), ("OXM_OF_PKT_REG7", "xreg7"), ("OXM_OF_VLAN_PCP", "dl_vlan_pcp"), ("tunnel_id", "tun_id"),
                         ("OXM_OF_IN_PORT", "in_port_oxm"), ("OXM_OF_ICMPV6_TYPE", "icmpv6_type"), ("OXM_OF_SCTP_DST", "sctp_dst")):
        assert by_any_name(name).name == wanted and is_known(name) and is_known(f"{name}[0]")
    for name in ("NW_SRC", "NXM_OF_IP_SRC_W", "vlan_tpid", "igmp", ""):
        assert by_any_name(name) is None and not is_known(name)
    assert sum(len(row.oxm) for row in READABLE) == len(BY_OXM) and not NOT_BUILT & set(BY_NAME)


def test_places_are_words_of_the_wide_key():
    assert field_of("reg0").place == (33, 32, 32) and field_of("reg1").place == (33, 0, 32)
    assert field_of("xxreg1").place == (35, 0, 128)
    assert field_of("reg0[8..15]").place == (33, 40, 8) and field_of("NXM_NX_REG1[3]").place == (33, 3, 1)
    assert field_of("dl_vlan").place == (4, 32, 12) and field_of("vlan_pcp").place == (4, 45, 3)
    assert field_of("metadata[]").place == (32, 0, 64)
    assert field_of("nw_tos").place == (5, 8, 8) and field_of("nw_tos").full == 0xFC and field_of("ip_dscp").place == (5, 10, 6)
    assert field_of("nope[0..7]") is None and field_of("reg0[") is None and field_of("reg0[]x") is None
    with pytest.raises(ValueError, match="reg0 has the bits 0 to 31"):
        field_of("reg0[0..32]")


def test_what_actions_may_write_is_told_with_its_code_and_its_protocol():
    wanted = {
        "dl_dst": (act.ETH_DST, ()), "nw_src": (act.IP_SRC, ("ip",)), "arp_spa": (act.ARP_SPA, ("arp", "rarp")),
        "nw_ecn": (act.IP_TOS, ("ip", "ipv6")), "vlan_vid": (act.VLAN_TCI, ()), "mpls_tc": (act.MPLS_LSE, ("mpls", "mplsm")),
        "udp_dst": (act.TP_DST, ("udp", "udp6")), "icmp_type": (act.ICMP_TYPE, ("icmp",)), "icmpv6_type": (act.ICMP_TYPE, ("icmp6",)),
        "nd_tll": (act.ND_TLL, ("icmp6",)), "reg0": (0, ()), "xxreg3": (0, ()), "metadata": (0, ()), "in_port": (0, ()),
        "tun_id": (act.TUN_ID, ()), "pkt_mark": (act.PKT_MARK, ())}
    for name, (code, needs) in wanted.items():
        row = BY_NAME[name]
        assert (row.writable, row.code, row.needs if row.write_needs is None else row.write_needs) == (True, code, needs)
    assert not any(BY_NAME[name].writable for name in ("dl_type", "nw_proto", "nw_frag", "mpls_bos", "tcp_flags", "ct_state", "recirc_id",
                                                       "dp_hash", "skb_priority", "actset_output", "ct_mark"))


def test_what_a_field_lacks_is_told_for_words_and_for_ints():
    found = parse_match("ip")
    words = found.mask_words, found.value_words
    for mask, value in ((found.mask, found.value), words, (words[0][:WORDS], words[1][:WORDS])):
        assert missing(BY_NAME["tcp_src"], mask, value) == "one of tcp or tcp6"
        assert missing(BY_NAME["nw_src"], mask, value) == "" and missing(BY_NAME["arp_op"], mask, value) == "one of arp or rarp"
        assert shorthands(mask, value) == {"ip"}
    assert missing(BY_NAME["nw_src"], *(lambda m: (m.mask, m.value))(parse_match("arp")), needs=("ip",)) == "ip"


# --- two tempos, one grammar ----------------------------------------------------------------------

PORTS = {"vm1": 1, "tcp": 9}


def carefully(text):
    """What the parser with places makes of a text."""
    try:
        cut = Text(text)
        return match_of(cut.words(), cut, PORTS)
    except CommandError:
        return None


WORDS_OF_RULES = [
    "tcp", "ip", "arp", "eth", "eth=", "tcp=", "tp_dst=80", "tp_dst=81", "tp_dst:80", "nw_dst=10.0.0.1/8", "nw_dst=10.0.0.256",
    "in_port=vm1", "in_port=tcp", "in_port=vm2", "in_port=1", "nw_frag=later", "icmp6", "icmp_type=135", "icmp_code=1",
    "nd_target=::1", "reg0[0..7]=5", "reg0[]=5=6", "reg0[0..99]=1",
    "x", "=", "packet_type", "packet_type=0", "NXM_NX_REG0=5", "nxm_nx_reg0=6", "dl_vlan_pcp=3"]


@given(st.lists(st.sampled_from(WORDS_OF_RULES), max_size=5), st.sampled_from([",", " ", ", ", "\t", ",,"]))
@example(["icmp6", "icmp_type=135", "icmp_code=1", "nd_target=::1"], ",")
@example(["tcp", "nw_frag=later", "tp_dst=80"], ",")
def test_the_quick_parser_takes_what_the_careful_one_takes_and_nothing_else(words, between):
    text = between.join(words)
    quick, careful = quick_match(text.replace(",", " ").split(), PORTS), carefully(text)
    assert quick == careful or (quick is None and "tp_dst:80" in words)


@given(matches())
def test_the_quick_parser_needs_no_help_for_sound_matches(text):
    assert quick_match(text.replace(",", " ").split(), {}) == carefully(text)


NAMES = sorted({*BY_NAME, *BY_OXM, "packet_type", "nope"})
VALUES = ["0", "1", "7", "0x10", "64", "135", "255", "0x800", "0x86dd", "4095", "0xffff", "65536", "1/1", "0/7", "5/0xff", "6/0xffff",
          "10.1.2.3", "10.1.2.3/8", "1.2.3.4/255.0.255.0", "fe80::1", "fe80::1/10", "::/::1", "1:2:3:4:5:6",
          "1:2:3:4:5:6/ff:ff:00:00:00:00", "+syn-ack", "+trk-est", "trk", "oam", "no", "first", "LOCAL", "vm1", "(0,0)", "-1", "", "x"]


@st.composite
def tried(draw):
    """A strategy for texts of which some are sound and many are not."""
    words = draw(st.lists(st.sampled_from(["", "ip", "ipv6", "tcp", "udp6", "icmp6", "arp", "mpls"]), max_size=1))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        part = draw(st.sampled_from(["", "", "", "[]", "[0]", "[0..3]"])) if "frag" not in name.lower() else ""
        words.append(f"{name}{part}={draw(st.sampled_from(VALUES))}")
    return ",".join(words)


@given(tried())
def test_whatever_is_taken_is_taken_by_both_parsers_and_printed_so_that_it_means_the_same(text):
    careful = carefully(text)
    assert "(" in text or quick_match(text.replace(",", " ").split(), PORTS) == careful
    if careful is not None:
        assert careful.value & ~careful.mask == 0 and parse_match(careful.text) == careful


def test_a_port_is_looked_up_anew_for_each_switch():
    assert [parse_match("in_port=vm1", {"vm1": n}).value_words[0] >> 32 for n in (1, 2)] == [1, 2]
    with pytest.raises(CommandError, match="unknown port vm1"):
        parse_match("in_port=vm1")


def test_what_is_remembered_of_words_stays_bounded():
    for n in range(2 * match_module.MOST_SEEN):
        parse_match(f"reg0={n}")
    assert len(match_module._seen) <= match_module.MOST_SEEN
    assert parse_match("reg0=1").mask is parse_match("reg0=2").mask
