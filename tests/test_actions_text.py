"""Actions as text: the records they become, how these are printed, and what each mistake says."""
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.flow.actions import (
    ALL,
    ETH_DST,
    ETH_SRC,
    FLOOD,
    IN_PORT,
    IP_DST,
    IP_SRC,
    IP_TOS,
    IP_TTL,
    IPV6_DST,
    IPV6_SRC,
    LAST,
    OUTPUT,
    POP_VLAN,
    PUSH_VLAN,
    SET,
    SET_PCP,
    SET_VID,
    TP_DST,
    TP_SRC,
    act_t,
)
from lab.openflow.actions import format_actions, parse_actions
from lab.openflow.errors import CommandError
from lab.openflow.match import parse_match

PORTS = {"vm1": 1, "vm2": 2, "vm-3": 3}
GO = (OUTPUT, LAST, 2, 0, 0)

MEANINGS = [  # text, records, as it is printed
    ("drop", [], "drop"), ("", [], "drop"),
    ("output:2", [GO], "output:2"), ("output=2", [GO], "output:2"), ("output(2)", [GO], "output:2"), ("2", [GO], "output:2"),
    ("output:vm2", [GO], "output:2"), ("vm2", [GO], "output:2"), ('output:"vm-3"', [(OUTPUT, LAST, 3, 0, 0)], "output:3"),
    ('"vm-3",2', [(OUTPUT, 0, 3, 0, 0), GO], "output:3,output:2"),
    ("1,vm2", [(OUTPUT, 0, 1, 0, 0), GO], "output:1,output:2"), ("1 2", [(OUTPUT, 0, 1, 0, 0), GO], "output:1,output:2"),
    ("in_port", [(OUTPUT, LAST, IN_PORT, 0, 0)], "IN_PORT"), ("output:IN_PORT", [(OUTPUT, LAST, IN_PORT, 0, 0)], "IN_PORT"),
    ("output:65528", [(OUTPUT, LAST, IN_PORT, 0, 0)], "IN_PORT"),
    ("flood", [(FLOOD, 0, 0, 0, 0)], "FLOOD"),
    ("FLOOD,2", [(FLOOD, 0, 0, 0, 0), GO], "FLOOD,output:2"),
    ("all", [(FLOOD, 0, ALL, 0, 0)], "ALL"),
    ("2,strip_vlan", [(OUTPUT, 0, 2, 0, 0), (POP_VLAN, 0, 0, 0, 0)], "output:2,strip_vlan"),
    ("mod_dl_src:1:2:3:4:5:6", [(SET, ETH_SRC, 0, 0x010203040506, 0)], "mod_dl_src:01:02:03:04:05:06"),
    ("mod_dl_dst=ff:ff:ff:ff:ff:ff", [(SET, ETH_DST, 0, 0xFFFFFFFFFFFF, 0)], "mod_dl_dst:ff:ff:ff:ff:ff:ff"),
    ("mod_nw_src:10.0.0.1", [(SET, IP_SRC, 0, 0x0A000001, 0)], "mod_nw_src:10.0.0.1"),
    ("mod_nw_dst:10.0.0.1", [(SET, IP_DST, 0, 0x0A000001, 0)], "mod_nw_dst:10.0.0.1"),
    ("mod_nw_tos:252", [(SET, IP_TOS, 0, 252, 0)], "mod_nw_tos:252"), ("mod_nw_ttl:0x40", [(SET, IP_TTL, 0, 64, 0)], "mod_nw_ttl:64"),
    ("mod_tp_src:65535", [(SET, TP_SRC, 0, 65535, 0)], "mod_tp_src:65535"), ("mod_tp_dst:80", [(SET, TP_DST, 0, 80, 0)], "mod_tp_dst:80"),
    ("mod_vlan_vid:7", [(SET_VID, 0, 0, 7, 0)], "mod_vlan_vid:7"), ("set_vlan_vid:7", [(SET_VID, 0, 0, 7, 0)], "mod_vlan_vid:7"),
    ("mod_vlan_pcp:7", [(SET_PCP, 0, 0, 7, 0)], "mod_vlan_pcp:7"), ("pop_vlan", [(POP_VLAN, 0, 0, 0, 0)], "strip_vlan"),
    ("push_vlan:0x8100", [(PUSH_VLAN, 0, 0x8100, 0, 0)], "push_vlan:0x8100"),
    ("push_vlan:0x88A8", [(PUSH_VLAN, 0, 0x88A8, 0, 0)], "push_vlan:0x88a8"),
    ("set_field:1:2:3:4:5:6->eth_src", [(SET, ETH_SRC, 0, 0x010203040506, 0)], "mod_dl_src:01:02:03:04:05:06"),
    ("set_field:10.0.0.1->ip_dst", [(SET, IP_DST, 0, 0x0A000001, 0)], "mod_nw_dst:10.0.0.1"),
    ("set_field:fe80::1->ipv6_src", [(SET, IPV6_SRC, 0, 0xFE80 << 48, 1)], "set_field:fe80::1->ipv6_src"),
    ("set_field:::2->ipv6_dst", [(SET, IPV6_DST, 0, 0, 2)], "set_field:::2->ipv6_dst"),
    ("set_field:10->ip_dscp", [(SET, IP_TOS, 0, 40, 0)], "mod_nw_tos:40"),
    ("set_field:40->nw_tos", [(SET, IP_TOS, 0, 40, 0)], "mod_nw_tos:40"),
    ("set_field:9->nw_ttl", [(SET, IP_TTL, 0, 9, 0)], "mod_nw_ttl:9"), ("set_field:9->udp_dst", [(SET, TP_DST, 0, 9, 0)], "mod_tp_dst:9"),
    ("set_field:4103->vlan_vid", [(SET_VID, 0, 0, 7, 0)], "mod_vlan_vid:7"),
    ("set_field:3->vlan_pcp", [(SET_PCP, 0, 0, 3, 0)], "mod_vlan_pcp:3"),
]


@pytest.mark.parametrize(("text", "records", "printed"), MEANINGS, ids=[text or "nothing" for text, _, _ in MEANINGS])
def test_a_text_becomes_these_records_and_they_are_printed_so(text, records, printed):
    assert parse_actions(text, PORTS) == records
    assert format_actions(records) == printed
    assert parse_actions(printed, PORTS) == records


def test_ports_are_printed_by_name_in_quotes_unless_they_are_plain():
    names = {number: name for name, number in PORTS.items()}.get
    assert format_actions(parse_actions("1,3,9,in_port"), names) == 'output:vm1,output:"vm-3",output:9,IN_PORT'


WRONG = [  # text, the word, its place, what the message says, the nearest word
    ("noraml", "noraml", 0, "unknown action 'noraml'", "normal"),
    ("normal", "normal", 0, "normal is not built yet (flood sends to every other port)", "flood"),
    ("NORMAL", "NORMAL", 0, "not built yet", "flood"),
    ("output:normal", "normal", 7, "not built yet", "flood"),
    ("resubmit(,1)", "resubmit", 0, "not built yet", ""),
    ("outptu:1", "outptu", 0, "unknown action", "output"),
    ("flod", "flod", 0, "unknown action", "flood"),
    ("mod_vlan_vid:1,mod_nw_scr:1.2.3.4", "mod_nw_scr", 15, "unknown action", "mod_nw_src"),
    ("vm4", "vm4", 0, "unknown action", "vm2"),
    ("output:vm4", "vm4", 7, "unknown port vm4", "vm2"),
    ("output:nowhere", "nowhere", 7, "the ports are vm1, vm2, vm-3", ""),
    ("xyzzy", "xyzzy", 0, "there are output, drop, set_field", ""),
    ("output:", "output", 0, "output needs a port", ""),
    ("output", "output", 0, "output needs a port", ""),
    ("2,output:", "output", 2, "output needs a port", ""),
    ("output:0", "0", 7, "numbered from 1 to 65279", ""),
    ("output:65400", "65400", 7, "numbered from 1", ""),
    ("output:70000", "70000", 7, "more than 65535", ""),
    ("1;2", "1;2", 0, "is not a number", ""),
    ("1,drop", "drop", 2, "drop stands alone", ""),
    ("drop:1", "1", 5, "takes no value", ""),
    ("flood:1", "1", 6, "takes no value", ""),
    ("mod_vlan_vid:4096", "4096", 13, "more than 4095", ""),
    ("mod_vlan_vid", "mod_vlan_vid", 0, "needs a value", ""),
    ("mod_vlan_pcp:8", "8", 13, "more than 7", ""),
    ("mod_nw_tos:13", "13", 11, "the nearest TOS is 12", ""),
    ("mod_nw_ttl:256", "256", 11, "more than 255", ""),
    ("mod_nw_src:10.0.0.256", "10.0.0.256", 11, "not an IPv4 address", ""),
    ("mod_dl_src:1:2:3", "1:2:3", 11, "not a MAC address", ""),
    ("push_vlan:5", "5", 10, "0x8100 or 0x88a8", ""),
    ("set_field:5", "5", 10, "set_field is written set_field:VALUE->FIELD", ""),
    ("set_field", "set_field", 0, "set_field is written", ""),
    ("set_field:5->tp_dts", "tp_dts", 13, "tp_dts is no field", "tp_dst"),
    ("set_field:5->nw_proto", "nw_proto", 13, "nw_proto cannot be set", ""),
    ("set_field:1.2.3.4/8->nw_src", "1.2.3.4/8", 10, "with a mask is not built yet", ""),
    ("set_field:70000->tcp_dst", "70000", 10, "more than 65535", ""),
    ("tp_dst=5", "tp_dst", 0, "write it before actions=", ""),
    ("output:(1", "(", 7, "never closed", ""),
]


@pytest.mark.parametrize(("text", "word", "position", "says", "nearest"), WRONG, ids=[row[0] for row in WRONG])
def test_a_mistake_is_named_with_its_word_its_place_and_the_nearest_right_one(text, word, position, says, nearest):
    with pytest.raises(CommandError) as caught:
        parse_actions(text, PORTS)
    error = caught.value
    assert (error.command, error.word, error.position) == (text, word, position) and says in error.problem
    if nearest or text in ("xyzzy", "1;2", "output:nowhere"):
        assert error.suggestion == nearest


def test_set_field_asks_the_match_to_prove_that_the_field_is_there():
    for match, actions in (("tcp", "set_field:5->tcp_dst"), ("ipv6", "set_field:::1->ipv6_src"), ("", "set_field:5->vlan_vid")):
        assert parse_actions(actions, match=parse_match(match))
    with pytest.raises(CommandError, match="needs a match that proves it is there: add one of tcp or tcp6") as caught:
        parse_actions("set_field:5->tcp_dst", match=parse_match("ip"))
    assert (caught.value.word, caught.value.position) == ("tcp_dst", 13)
    assert parse_actions("mod_tp_dst:5", match=parse_match("")), "OpenFlow 1.0's actions ask for nothing: they change what is there"


def test_every_record_fits_into_the_arena():
    for text, records, _ in MEANINGS:
        for record in records:
            for value, code in zip(record, ("u2", "u2", "u4", "u8", "u8"), strict=True):
                assert 0 <= value < 1 << 8 * int(code[1]), text
    assert list(act_t.fields.values()) == [("u2", 1), ("u2", 1), ("u4", 1), ("u8", 1), ("u8", 1)]


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="ovs-ofctl is missing: install openvswitch-common")
def test_ovs_prints_actions_as_we_do():
    # ovs-ofctl has no ports by name here; a TTL and IPv6 addresses it writes as loads, and push_vlan needs a later OpenFlow
    later = ("nw_ttl", "ipv6", "push_vlan")
    checked = 0
    for text, _, printed in MEANINGS:
        if "vm" in text or any(word in text for word in later):
            continue
        match = "udp,dl_vlan=3"
        done = subprocess.run(["ovs-ofctl", "parse-flow", f"{match} actions={text}"], capture_output=True, text=True, check=False)
        assert f"ADD udp,dl_vlan=3 actions={printed}" in done.stdout, text
        checked += 1
    assert checked > 25


@given(st.text(alphabet="output:drp_mflsvnwicae,0123456789=->()\"' ", max_size=40))
def test_no_text_gives_anything_but_records_or_a_command_error(text):
    try:
        records = parse_actions(text, PORTS)
        assert parse_actions(format_actions(records), PORTS) == records
    except CommandError as error:
        assert error.command == text and 0 <= error.position <= len(text) and str(error)
