"""What each mistake in a list of actions says: the word, its place, the nearest right one; and what belongs nowhere."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.openflow.actions import KNOWN, NOT_BUILT, parse_actions
from lab.openflow.errors import CommandError
from lab.openflow.matching.match import parse_match
from lab.openflow.text import Text

PORTS = {"vm1": 1, "vm2": 2, "vm-3": 3}
ORDER = "the order is meter, actions, clear_actions, write_actions, write_metadata, goto_table"

WRONG = [  # text, the word, its place, what the message says, the nearest word
    ("noraml", "noraml", 0, "unknown action 'noraml'", "normal"),
    ("outptu:1", "outptu", 0, "unknown action", "output"), ("flod", "flod", 0, "unknown action", "flood"),
    ("mod_vlan_vid:1,mod_nw_scr:1.2.3.4", "mod_nw_scr", 15, "unknown action", "mod_nw_src"),
    ("resubmti(,1)", "resubmti", 0, "unknown", "resubmit"),
    ("vm4", "vm4", 0, "unknown action", "vm2"), ("output:vm4", "vm4", 7, "unknown port vm4", "vm2"),
    ("output:noraml", "noraml", 7, "unknown port noraml", "normal"), ("output:nowhere", "nowhere", 7, "the ports are vm1, vm2, vm-3", ""),
    ("xyzzy", "xyzzy", 0, "there are output, drop, set_field", ""), ("clone(1,noraml)", "noraml", 8, "unknown action", "normal"),
    ("1,clone(2,clone(3,set_field:5->rge0))", "rge0", 31, "no field", "reg0"),
    ("write_actions(1,xyzzy:1)", "xyzzy", 16, "unknown action", ""),
    ("output:", "output", 0, "output needs a port", ""), ("output", "output", 0, "output needs a port", ""),
    ("2,output:", "output", 2, "needs a port", ""),
    ("output:0", "0", 7, "numbered from 1 to 65279", ""), ("output:65400", "65400", 7, "numbered from 1", ""),
    ("0", "0", 0, "numbered from 1", ""),
    ("output:70000", "70000", 7, "more than 65535", ""), ("1;2", "1;2", 0, "is not a number", ""),
    ("output:none", "none", 7, "unknown port", ""),
    ("outputt:1,drop", "outputt", 0, "unknown action", "output"),
    ("1,drop", "drop", 2, "drop stands alone", ""), ("drop:1", "1", 5, "takes no value", ""),
    ("clone(1,drop)", "drop", 8, "stands alone", ""),
    ("flood:1", "1", 6, "takes no value", ""), ("exit:1", "1", 5, "takes no value", ""), ("strip_vlan:3", "3", 11, "takes no value", ""),
    ("output(port=1)", "port=1", 7, "max_len= is missing", ""), ("output(max_len=100)", "max_len=100", 7, "port= is missing", ""),
    ("output(port=1,max_len=13)", "13", 22, "less than 14", ""),
    ("output(port=flood,max_len=99)", "flood", 12, "only whole packets go to flood", ""),
    ("output(port=vm4,max_len=99)", "vm4", 12, "unknown port vm4", "vm2"),
    ("output(prot=1,max_len=99)", "prot", 7, "output has no 'prot'", "port"),
    ("output(port=1,port=2,max_len=99)", "port", 14, "stands there twice", ""),
    ("output:xxreg0", "xxreg0", 7, "more bits than the number of a port", ""),
    ("output:reg0[0..32]", "[0..32]", 11, "has 32 bits", ""), ("controller:65536", "65536", 11, "more than 65535", ""),
    ("controller(reason=foo)", "foo", 18, "is none of no_match, action", ""),
    ("controller(reason=no_mtach)", "no_mtach", 18, "is none of", "no_match"),
    ("controller(pause)", "pause", 11, "controller(pause) is not built yet", ""),
    ("controller(meter_id=1)", "meter_id", 11, "not built yet", ""),
    ("controller(userdata=1)", "1", 20, "two hexadecimal digits", ""), ("controller(id=70000)", "70000", 14, "more than 65535", ""),
    ("enqueue:1", "1", 8, "enqueue:PORT:QUEUE", ""), ("enqueue:vm4:1", "vm4", 8, "unknown port vm4", "vm2"),
    ("enqueue:1:x", "x", 10, "not a number", ""),
    ("enqueue:flood:1", "flood", 8, "has no queues", ""), ("set_queue", "set_queue", 0, "needs a value", ""),
    ("mod_vlan_vid:4096", "4096", 13, "more than 4095", ""), ("mod_vlan_vid", "mod_vlan_vid", 0, "needs a value", ""),
    ("mod_vlan_pcp:8", "8", 13, "more than 7", ""), ("mod_nw_tos:13", "13", 11, "the nearest TOS is 12", ""),
    ("mod_nw_ecn:4", "4", 11, "more than 3", ""),
    ("mod_nw_ttl:256", "256", 11, "more than 255", ""), ("mod_nw_src:10.0.0.256", "10.0.0.256", 11, "not an IPv4 address", ""),
    ("mod_dl_src:1:2:3", "1:2:3", 11, "not a MAC address", ""), ("push_vlan:5", "5", 10, "0x8100 or 0x88a8", ""),
    ("push_mpls:0x800", "0x800", 10, "0x8847 or 0x8848", ""), ("set_mpls_label:1048576", "1048576", 15, "more than 1048575", ""),
    ("dec_ttl(1,x)", "x", 10, "not a number", ""), ("dec_mpls_ttl:5", "5", 13, "takes no value", ""),
    ("set_field:5", "5", 10, "set_field is written set_field:VALUE->FIELD", ""), ("set_field", "set_field", 0, "set_field is written", ""),
    ("set_field:5->tp_dts", "tp_dts", 13, "tp_dts is no field", "tp_dst"), ("set_field:5->", "", 13, "a field is missing", ""),
    ("set_field:5->nw_proto", "nw_proto", 13, "nw_proto cannot be set", ""),
    ("set_field:5->dl_vlan", "dl_vlan", 13, "cannot be set", "vlan_vid"),
    ("set_field:5->skb_priority", "skb_priority", 13, "cannot be set", ""), ("set_field:1->mpls_bos", "mpls_bos", 13, "cannot be set", ""),
    ("set_field:5->reg0[0..7]", "reg0[0..7]", 13, "load:VALUE->reg0[0..7] writes these bits", ""),
    ("set_field:5/3->nw_ttl", "5/3", 10, "takes no mask", ""),
    ("set_field:70000->tcp_dst", "70000", 10, "more than 65535", ""), ("set_field:->reg0", "", 10, "a number is missing", ""),
    ("set_field:5->vlan_vid", "5", 10, "lacks the bit 0x1000 of a tag: write 4101, or mod_vlan_vid:5", ""),
    ("set_field:vm4->in_port", "vm4", 10, "unknown port vm4", "vm2"),
    ("load:5", "5", 5, "load:VALUE->FIELD[FIRST..LAST]", ""), ("load:5->reg0[0..1]", "5", 5, "5 does not fit into 2 bits", ""),
    ("load:2->reg0[0]", "2", 5, "does not fit into 1 bit", ""), ("load:x->reg0", "x", 5, "not a number", ""),
    ("load:5->dl_type", "dl_type", 8, "cannot be set: it is read-only", ""), ("move:reg0", "reg0", 5, "move:FIELD[..]->FIELD[..]", ""),
    ("move:reg0[0..7]->reg1[0..8]", "reg0[0..7]->reg1[0..8]", 5, "from 8 bits to 9", ""),
    ("move:reg0->nw_proto", "nw_proto", 11, "read-only", ""),
    ("move:rge0->reg1", "rge0", 5, "no field", "reg0"), ("pop:dl_type", "dl_type", 4, "read-only", ""),
    ("push", "push", 0, "needs a value", ""),
    ("resubmit()", "resubmit", 0, "needs a port or a table", ""), ("resubmit(,)", ",", 9, "needs a port or a table", ""),
    ("resubmit:in_port", "in_port", 9, "needs a port or a table", ""), ("resubmit(,255)", ",255", 9, "needs a port or a table", ""),
    ("resubmit(,256)", "256", 10, "there are tables 0 to 254", ""),
    ("resubmit(,1,ct)", "ct", 12, "resubmit(PORT,TABLE,ct) is not built yet", ""),
    ("resubmit(1,2,3)", "1,2,3", 9, "resubmit(PORT,TABLE)", ""), ("resubmit(vm4,1)", "vm4", 9, "unknown port", "vm2"),
    ("resubmit(1,x)", "x", 11, "not a number", ""), ("goto_table:255", "255", 11, "there are tables 0 to 254", ""),
    ("goto_table", "goto_table", 0, "needs", ""),
    ("group:x", "x", 6, "not a number", ""), ("group:4294967041", "4294967041", 6, "numbered from 0 to 4294967040", ""),
    ("meter:0", "0", 6, "numbered from 1 to 4294901760", ""), ("write_metadata:x", "x", 15, "not a number", ""),
    ("write_metadata:1/x", "1/x", 15, "as a mask", ""),
    ("note:0", "0", 5, "two hexadecimal digits", ""), ("note:01.2", "01.2", 5, "two hexadecimal digits", ""),
    ("note:zz", "zz", 5, "two hex", ""),
    ("check_pkt_larger(100)", "check_pkt_larger", 0, "check_pkt_larger(LENGTH)->FIELD[BIT]", ""),
    ("check_pkt_larger(100)->reg0", "reg0", 23, "the answer is one bit", ""),
    ("check_pkt_larger(99999)->reg0[0]", "99999", 17, "more than 65535", ""),
    ("check_pkt_larger(100)->rge0[0]", "rge0", 23, "no field", "reg0"),
    ("clone", "clone", 0, "needs its actions in parentheses", ""), ("clone:1", "clone", 0, "in parentheses", ""),
    ("write_actions", "write_actions", 0, "in paren", ""),
    ("apply_actions(output:1)", "apply_actions", 0, "without apply_actions", ""),
    ("tp_dst=5", "tp_dst", 0, "write it before actions=", ""), ("tp_dst", "tp_dst", 0, "is a field, no action", ""),
    ("output:(1", "(", 7, "never closed", ""), ("clone(1", "(", 5, "never closed", ""), ("clone(1))", ")", 8, "a comma is missing", ""),
    # the order of instructions, and where they may stand
    ("goto_table:3,output:1", "output", 13, f"output comes before goto_table: {ORDER}", ""),
    ("output:1,meter:1", "meter", 9, "meter comes before output", ""),
    ("clear_actions,2", "2", 14, "2 comes before clear_actions", ""),
    ("write_actions(1),clear_actions", "clear_actions", 17, "comes before write_actions", ""),
    ("write_metadata:5,write_actions(1)", "write_actions", 17, "comes before write_metadata", ""),
    ("write_metadata:5,2", "2", 17, "2 comes before write_metadata", ""),
    ("goto_table:3,goto_table:4", "goto_table", 13, "one goto_table at most", ""),
    ("meter:1,meter:2", "meter", 8, "one meter at most", ""),
    ("write_metadata:5,write_metadata:6", "write_metadata", 17, "one write_metadata at", ""),
    ("clone(goto_table:2)", "goto_table", 6, "it stands in a rule, not in a clone", ""),
    ("clone(meter:1)", "meter", 6, "before all actions, not in clone", ""),
    ("clone(clear_actions)", "clear_actions", 6, "not in a clone", ""),
    ("write_actions(goto_table:3)", "goto_table", 14, "not in a write_actions", ""),
    *((f"write_actions(1,{text})", text.partition("(")[0].partition(":")[0], 16, "has no place in an action set", "") for text in (
        "clone(1)", "note:01", "exit",
        "push:reg0", "pop:reg0", "enqueue:1:2", "pop_queue", "controller(id=3)", "output:reg0", "output(port=1,max_len=99)",
        "check_pkt_larger(100)->reg0[0]")),
    *((name, name, 0, f"{name} is not built yet", "") for name in (
        "sample", "learn", "multipath",
        "bundle", "bundle_load", "ct", "ct_clear", "nat", "conjunction", "fin_timeout", "encap", "decap", "dec_nsh_ttl",
        "delete_field")),
    ("1,ct(commit,zone=5),2", "ct", 2, "ct is not built yet", ""),
]


@pytest.mark.parametrize(("text", "word", "position", "says", "nearest"), WRONG, ids=[row[0] for row in WRONG])
def test_a_mistake_is_named_with_its_word_its_place_and_the_nearest_right_one(text, word, position, says, nearest):
    with pytest.raises(CommandError) as caught:
        parse_actions(text, PORTS)
    error = caught.value
    assert (error.command, error.word, error.position) == (text, word, position) and says in error.problem
    assert text[position:position + len(word)] == word
    if nearest or any(part in says for part in ("there are output", "the ports are", "is not a number")):
        assert error.suggestion == nearest


def test_places_are_those_of_the_whole_command():
    command = "add-flow priority=5 actions=1,clone(noraml)"
    start = command.index("1,clone")
    with pytest.raises(CommandError) as caught:
        parse_actions(Text(command).part(start, len(command)), PORTS)
    assert (caught.value.command, caught.value.word, caught.value.position) == (command, "noraml", command.index("noraml"))


@pytest.mark.parametrize("where", ["bucket", "packet-out"])
def test_buckets_and_packet_outs_take_no_instructions_but_a_meter(where):
    for text in ("goto_table:1", "write_metadata:1", "clear_actions", "write_actions(1)"):
        with pytest.raises(CommandError, match=f"it stands in a rule, not in a {where}"):
            parse_actions(f"1,{text}", PORTS, where=where)
        assert parse_actions(f"1,{text}", PORTS)
    for text in ("meter:1,output:1", "clone(1)", "note:01", "table", "resubmit(,0)", "controller(id=3)", "set_field:5->tcp_dst", ""):
        assert parse_actions(text, PORTS, where=where).text


PROOFS = [  # match, actions that are allowed, actions that are not, what is to be added
    ("tcp", "set_field:5->tcp_dst", "set_field:5->udp_dst", "one of udp or udp6"),
    ("udp6", "set_field:5->udp_dst", "load:5->NXM_OF_TCP_DST[]", "one of tcp or tcp6"),
    ("ip", "mod_tp_dst:5,dec_ttl,mod_nw_ttl:5", "set_field:5->tcp_dst", "one of tcp or tcp6"),
    ("", "mod_nw_src:1.2.3.4,mod_tp_dst:5,set_mpls_label:5,dec_ttl,mod_nw_ttl:3", "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[]", "ip"),
    ("arp", "set_field:1.1.1.1->arp_spa", "set_field:1.1.1.1->nw_src", "ip"),
    ("ipv6", "set_field:::1->ipv6_src", "set_field:1.1.1.1->ip_src", "ip"),
    ("icmp", "set_field:5->icmp_type", "set_field:5->icmpv6_type", "icmp6"),
    ("icmp6", "set_field:5->icmpv6_type", "set_field:5->icmp_type", "icmp"),
    ("icmp6,icmp_type=135", "set_field:1:2:3:4:5:6->nd_sll", "set_field:1:2:3:4:5:6->nd_tll", "icmp_type=136"),
    ("dl_vlan=5", "set_field:0x1007->vlan_vid", "pop_vlan,set_field:0x1007->vlan_vid", "dl_vlan, or push_vlan before it"),
    ("vlan_tci=0x1000/0x1000", "set_field:3->vlan_pcp", "strip_vlan,push_vlan:0x8100,pop_vlan,set_field:3->vlan_pcp", "dl_vlan"),
    ("", "push_vlan:0x8100,set_field:3->vlan_pcp", "set_field:3->vlan_pcp", "dl_vlan"),
    ("vlan_tci=0", "mod_vlan_vid:3,set_field:3->vlan_pcp",
     "load:3->OXM_OF_VLAN_VID[]", "dl_vlan"), ("", "load:5->NXM_OF_VLAN_TCI[0..11]", "move:vlan_vid->reg0[0..11]", "dl_vlan"),
    ("ip", "push_mpls:0x8847,set_field:5->mpls_label", "push_mpls:0x8847,set_field:1.2.3.4->nw_src", "ip"),
    ("mpls", "pop_mpls:0x0800,set_field:1.2.3.4->nw_src", "pop_mpls:0x86dd,set_field:1.2.3.4->nw_src", "ip"),
    ("tcp", "push_mpls:0x8847,pop_mpls:0x0800,set_field:1.2.3.4->nw_src", "push_mpls:0x8847,pop_mpls:0x0800,set_field:5->tcp_dst", "tcp"),
    ("", "clone(push_vlan:0x8100,set_field:3->vlan_pcp)", "clone(push_vlan:0x8100),set_field:3->vlan_pcp", "dl_vlan"),
    ("", "push_vlan:0x8100,clone(pop_vlan),set_field:3->vlan_pcp", "clone(set_field:3->vlan_pcp)", "dl_vlan"),
    ("", "write_actions(push_vlan:0x8100,set_field:3->vlan_pcp)", "write_actions(set_field:5->tcp_dst)", "tcp"),
    ("tcp,nw_frag=no", "set_field:5->tcp_dst", "push_mpls:0x8847,pop_mpls:0x0800,load:5->NXM_OF_TCP_DST[]", "tcp"),
    ("tcp", "set_field:5->tcp_dst", "set_field:::1->nd_target", "icmp6"),
    ("ip", "push:nw_src", "pop:tcp_dst", "tcp"), ("mpls", "set_field:5->mpls_tc", "set_field:5->nw_ttl", "one of ip or ipv6"),
]


@pytest.mark.parametrize(("match", "right", "wrong", "add"), PROOFS, ids=[
    f"{match or 'nothing'}: {wrong}" for match, _, wrong, _ in PROOFS])
def test_a_field_is_written_only_where_the_match_and_the_actions_before_prove_it(match, right, wrong, add):
    assert parse_actions(right, PORTS, parse_match(match))
    with pytest.raises(CommandError, match="needs a match that proves it is there: add ") as caught:
        parse_actions(wrong, PORTS, parse_match(match))
    assert add in caught.value.problem
    assert parse_actions(wrong, PORTS), "without a match nothing is checked"


def test_bodies_in_bodies_end_somewhere():
    assert parse_actions("clone(" * 60 + "1" + ")" * 60).records[-1].n == 1
    with pytest.raises(CommandError, match="at most 64 deep"):
        parse_actions("clone(" * 200 + "1" + ")" * 200)


fragments = st.sampled_from([
    *KNOWN, *NOT_BUILT, "vm1", "reg0", "[0..7]", "->", "1", "10.0.0.1", "0x5", "/", "(", ")", ",", ":", "=", '"', " ", "max_len", "port",
    "ct"])


@settings(max_examples=400, deadline=None)
@given(st.lists(fragments, max_size=14).map("".join) | st.text(max_size=30), st.sampled_from(("rule", "bucket", "packet-out")))
def test_no_text_gives_anything_but_actions_or_a_command_error(text, where):
    try:
        actions = parse_actions(text, PORTS, where=where)
        assert parse_actions(actions.text, PORTS, where=where) == actions
    except CommandError as error:
        assert error.command == text and 0 <= error.position <= len(text) and str(error)
