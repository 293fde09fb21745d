"""Actions as text: the records they become, how they are printed, and what else they tell."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.flow.actions import ARP_OP, ETH_DST, ETH_SRC, IP_SRC, IP_TOS, IP_TTL, IPV6_SRC, MPLS_LSE, SKB_PRIORITY, TP_DST, TUN_ID, VLAN_TCI
from lab.openflow.actions import format_actions, parse_actions
from lab.openflow.acts import parse as memo
from lab.openflow.acts.value import OPENFLOW_10, OPENFLOW_13, OPENFLOW_15, Actions, Fact
from lab.openflow.matching.match import parse_match
from lab.translate import ofact as of
from lab.translate.ofact import ofact_t

PORTS = {"vm1": 1, "vm2": 2, "vm-3": 3}
GO = Fact(of.O_OUTPUT, n=2)
HIGH, LOW = 33, 33  # reg0 is the upper half of word 33, reg1 the lower


def to(port, **more):
    return Fact(of.O_OUTPUT, n=port, **more)


def reg0(value, mask=0xFFFFFFFF):
    return Fact(of.O_SET, word=33, low=32, bits=32, v0=value << 32, m0=mask << 32)


def queue(number):
    return Fact(of.O_SET, SKB_PRIORITY, word=1, low=0, bits=32, v0=number, m0=0xFFFFFFFF)


def again(table, port=0xFFF8):
    return Fact(of.O_RESUBMIT, n=port, v0=table)


MEANINGS = [  # text, records, as it is printed
    ("drop", [], "drop"), ("", [], "drop"), ("drop,drop", [], "drop"),
    *((text, [GO], "output:2") for text in (
        "output:2", "output=2", "output(2)", "2", "output:vm2", "vm2", 'output:"vm2"', '"vm2"', "OUTPUT:2")),
    ('output:"vm-3"', [to(3)], "output:3"), ('"vm-3",2', [to(3), GO], "output:3,output:2"), ("1 2", [to(1), GO], "output:1,output:2"),
    *((text, [to(0xFFF8)], "IN_PORT") for text in ("in_port", "output:IN_PORT", "output:65528", "output:4294967288")),
    ("flood", [to(0xFFFB)], "FLOOD"), ("all", [to(0xFFFC)], "ALL"), ("local", [to(0xFFFE)], "LOCAL"), ("table", [to(0xFFF9)], "TABLE"),
    ("Normal", [to(0xFFFA)], "NORMAL"), ("output:normal,2", [to(0xFFFA), GO], "NORMAL,output:2"),
    ("output(port=1,max_len=100)", [to(1, m0=100)], "output(port=1,max_len=100)"),
    ("output(max_len=100, port=vm1)", [to(1, m0=100)], "output(port=1,max_len=100)"),
    ("output(port=in_port,max_len=14)", [to(0xFFF8, m0=14)], "output(port=IN_PORT,max_len=14)"),
    ("output:reg0[0..15]", [Fact(of.O_OUTPUT_REG, bits=16, src_word=33, src_low=32)], "output:NXM_NX_REG0[0..15]"),
    ("output:NXM_NX_REG1[]", [Fact(of.O_OUTPUT_REG, bits=32, src_word=33, src_low=0)], "output:NXM_NX_REG1[]"),
    *((text, [Fact(of.O_CONTROLLER, n=0xFFFF, reason=1)], "CONTROLLER:65535")
      for text in ("controller", "output:controller", "controller()", "controller(reason=action,id=0)")),
    ("controller:100", [Fact(of.O_CONTROLLER, n=100, reason=1)], "CONTROLLER:100"),
    ("controller(max_len=100,reason=no_match,id=5,userdata=0102ff)", [Fact(of.O_CONTROLLER, n=100, reason=0, v0=5)],
     "controller(reason=no_match,max_len=100,id=5,userdata=01.02.ff)"),
    ("enqueue:2:7", [queue(7), GO, queue(0)], "enqueue:2:7"), ("enqueue(vm2,7)", [queue(7), GO, queue(0)], "enqueue:2:7"),
    ("enqueue:local:7", [queue(7), to(0xFFFE), queue(0)], "enqueue:LOCAL:7"),
    ("set_queue:7,2,pop_queue", [queue(7), GO, queue(0)], "set_queue:7,output:2,pop_queue"),
    ("2,strip_vlan", [GO, Fact(of.O_POP_VLAN)], "output:2,strip_vlan"), ("pop_vlan", [Fact(of.O_POP_VLAN)], "strip_vlan"),
    ("push_vlan:0x88A8", [Fact(of.O_PUSH_VLAN, n=0x88A8)], "push_vlan:0x88a8"),
    *((text, [Fact(of.O_SET_VID, v0=7)], "mod_vlan_vid:7") for text in ("mod_vlan_vid:7", "set_vlan_vid:7")),
    *((text, [Fact(of.O_SET_PCP, v0=5)], "mod_vlan_pcp:5") for text in ("mod_vlan_pcp:5", "set_vlan_pcp:5")),
    ("set_field:4103->vlan_vid",
     [Fact(of.O_SET, VLAN_TCI, word=4, low=32, bits=12, v0=7 << 32, m0=0xFFF << 32)], "set_field:4103->vlan_vid"),
    ("set_field:3->vlan_pcp", [Fact(of.O_SET, VLAN_TCI, word=4, low=45, bits=3, v0=3 << 45, m0=7 << 45)], "set_field:3->vlan_pcp"),
    ("push_mpls:0x8847", [Fact(of.O_PUSH_MPLS, n=0x8847)], "push_mpls:0x8847"),
    ("pop_mpls:0x800", [Fact(of.O_POP_MPLS, n=0x800)], "pop_mpls:0x0800"),
    ("set_mpls_label:5", [Fact(of.O_SET, MPLS_LSE, word=17, low=44, bits=20, v0=5 << 44, m0=0xFFFFF << 44)], "set_mpls_label(5)"),
    ("set_mpls_tc(3)", [Fact(of.O_SET, MPLS_LSE, word=17, low=41, bits=3, v0=3 << 41, m0=7 << 41)], "set_mpls_tc(3)"),
    ("set_mpls_ttl:9", [Fact(of.O_SET, MPLS_LSE, word=17, low=32, bits=8, v0=9 << 32, m0=0xFF << 32)], "set_mpls_ttl(9)"),
    ("dec_mpls_ttl", [Fact(of.O_DEC_MPLS_TTL)], "dec_mpls_ttl"), ("dec_ttl", [Fact(of.O_DEC_TTL)], "dec_ttl"),
    ("dec_ttl(4, 5)", [Fact(of.O_DEC_TTL, v0=4)], "dec_ttl(4,5)"),
    *((text, [Fact(of.O_SET, ETH_SRC, word=3, low=0, bits=48, v0=0x010203040506, m0=0xFFFFFFFFFFFF)], "mod_dl_src:01:02:03:04:05:06")
      for text in ("mod_dl_src:1:2:3:4:5:6", "set_field:1:2:3:4:5:6->eth_src", "set_field:01:02:03:04:05:06->dl_src")),
    ("set_field:1:0:0:0:0:0/1:0:0:0:0:0->eth_dst", [Fact(of.O_SET, ETH_DST, word=2, low=0, bits=48, v0=1 << 40, m0=1 << 40)],
     "load:0x1->NXM_OF_ETH_DST[40]"),
    *((text, [Fact(of.O_SET, IP_SRC, word=6, low=32, bits=32, v0=0x0A000001 << 32, m0=0xFFFFFFFF << 32)], "mod_nw_src:10.0.0.1")
      for text in ("mod_nw_src:10.0.0.1", "set_field:10.0.0.1->ip_src", "set_field:10.0.0.1->nw_src")),
    ("load:0x0a000001->NXM_OF_IP_SRC[]", [Fact(of.O_SET, IP_SRC, word=6, low=32, bits=32, v0=0x0A000001 << 32, m0=0xFFFFFFFF << 32)],
     "load:0xa000001->NXM_OF_IP_SRC[]"),
    ("set_field:10.0.0.1/16->ip_src", [Fact(of.O_SET, IP_SRC, word=6, low=32, bits=32, v0=0x0A00 << 48, m0=0xFFFF << 48)],
     "load:0xa00->NXM_OF_IP_SRC[16..31]"),
    *((text, [Fact(of.O_SET, IP_TOS, word=5, low=8, bits=8, v0=40 << 8, m0=0xFC << 8)], "mod_nw_tos:40")
      for text in ("mod_nw_tos:40", "set_field:40->nw_tos", "set_field:10->ip_dscp")),
    ("mod_nw_ecn:2", [Fact(of.O_SET, IP_TOS, word=5, low=8, bits=2, v0=2 << 8, m0=3 << 8)], "mod_nw_ecn:2"),
    ("mod_nw_ttl:0x40", [Fact(of.O_SET, IP_TTL, word=5, low=16, bits=8, v0=64 << 16, m0=0xFF << 16)], "mod_nw_ttl:64"),
    ("set_field:64->nw_ttl", [Fact(of.O_SET, IP_TTL, word=5, low=16, bits=8, v0=64 << 16, m0=0xFF << 16)], "load:0x40->NXM_NX_IP_TTL[]"),
    *((text, [Fact(of.O_SET, TP_DST, word=7, low=32, bits=16, v0=80 << 32, m0=0xFFFF << 32)], "mod_tp_dst:80")
      for text in ("mod_tp_dst:80", "set_field:80->tcp_dst", "set_field:80->udp_dst", "set_field:80->tp_dst")),
    ("set_field:2->arp_op", [Fact(of.O_SET, ARP_OP, word=5, low=0, bits=8, v0=2, m0=0xFF)], "load:0x2->NXM_OF_ARP_OP[]"),
    ("set_field:fe80::1->ipv6_src", [Fact(of.O_SET, IPV6_SRC, word=9, low=0, bits=128, v0=0xFE80 << 48, v1=1, m0=2**64 - 1, m1=2**64 - 1)],
     "set_field:fe80::1->ipv6_src"),
    ("set_field:fe80::1/64->ipv6_src", [Fact(of.O_SET, IPV6_SRC, word=9, low=0, bits=128, v0=0xFE80 << 48, m0=2**64 - 1)],
     "load:0xfe80000000000000->NXM_NX_IPV6_SRC[64..127]"),
    *((text, [reg0(5)], "load:0x5->NXM_NX_REG0[]") for text in ("set_field:5->reg0", "load:5->reg0", "load:5->NXM_NX_REG0[0..31]")),
    *((text, [reg0(5, 0xFF)], "load:0x5->NXM_NX_REG0[0..7]") for text in ("set_field:0x305/0xff->reg0", "load:5->reg0[0..7]")),
    ("set_field:0x15/0x15->reg0", [reg0(0x15, 0x15)], "set_field:0x15/0x15->reg0"),
    ("load:0->reg1[3]", [Fact(of.O_SET, word=33, low=0, bits=32, m0=8)], "load:0->NXM_NX_REG1[3]"),
    ("load:0x7ff->xxreg1[60..70]", [Fact(of.O_SET, word=35, low=0, bits=128, v0=0x7F, v1=0xF << 60, m0=0x7F, m1=0xF << 60)],
     "load:0x7ff->NXM_NX_XXREG1[60..70]"),
    ("set_field:5/0->reg0", [], "drop"), ("set_field:5/0->reg0,2", [GO], "output:2"),
    *((text, [Fact(of.O_SET, TUN_ID, word=19, low=0, bits=64, v0=5, m0=2**64 - 1)], printed) for text, printed in (
        ("set_tunnel:5", "set_tunnel:0x5"), ("set_tunnel64:5", "set_tunnel64:0x5"), ("set_field:5->tun_id", "load:0x5->NXM_NX_TUN_ID[]"))),
    ("set_tunnel:0x100000000", [Fact(of.O_SET, TUN_ID, word=19, low=0, bits=64, v0=1 << 32, m0=2**64 - 1)], "set_tunnel64:0x100000000"),
    ("write_metadata:5", [Fact(of.O_SET, word=32, low=0, bits=64, v0=5, m0=2**64 - 1)], "write_metadata:0x5"),
    ("write_metadata:5/3", [Fact(of.O_SET, word=32, low=0, bits=64, v0=1, m0=3)], "write_metadata:0x5/0x3"),
    ("move:reg0[0..15]->reg1[16..31]", [Fact(of.O_MOVE, word=33, low=16, bits=16, src_word=33, src_low=32)],
     "move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31]"),
    ("move:eth_src->eth_dst", [Fact(of.O_MOVE, ETH_DST, word=2, low=0, bits=48, src_word=3)], "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]"),
    ("push:reg0[4..7],pop:reg1[0..3]",
     [Fact(of.O_STACK_PUSH, bits=4, src_word=33, src_low=36), Fact(of.O_STACK_POP, word=33, low=0, bits=4)],
     "push:NXM_NX_REG0[4..7],pop:NXM_NX_REG1[0..3]"),
    ("resubmit:vm1", [again(255, 1)], "resubmit:1"), ("resubmit(1,)", [again(255, 1)], "resubmit:1"),
    ("resubmit(,7)", [again(7)], "resubmit(,7)"),
    ("resubmit(vm2,7)", [again(7, 2)], "resubmit(2,7)"), ("resubmit(in_port,7)", [again(7)], "resubmit(,7)"),
    ("resubmit(1,255)", [again(255, 1)], "resubmit:1"), ("resubmit:LOCAL", [again(255, 0xFFFE)], "resubmit:LOCAL"),
    ("goto_table:254", [Fact(of.O_GOTO, n=254)], "goto_table:254"),
    ("group:0xffffff00", [Fact(of.O_GROUP, n=0xFFFFFF00)], "group:4294967040"),
    ("meter:3,2", [Fact(of.O_METER, n=3), GO], "meter:3,output:2"),
    ("clone(1,clone(2)),2", [Fact(of.O_CLONE, n=3), to(1), Fact(of.O_CLONE, n=1), GO, GO], "clone(output:1,clone(output:2)),output:2"),
    ("clone(drop)", [Fact(of.O_CLONE)], "clone(drop)"), ("clone()", [Fact(of.O_CLONE)], "clone(drop)"),
    ("write_actions(2,group:5)", [Fact(of.O_WRITE_ACTIONS, n=2), GO, Fact(of.O_GROUP, n=5)], "write_actions(output:2,group:5)"),
    ("write_actions(drop),goto_table:1", [Fact(of.O_GOTO, n=1)], "goto_table:1"),
    ("clear_actions", [Fact(of.O_CLEAR_ACTIONS)], "clear_actions"),
    *((text, [Fact(of.O_NOTE)], "note:01.ab.00.00.00.00") for text in ("note:01.AB", "note:01ab", "note:01.ab.00.00.00.00")),
    ("note:", [Fact(of.O_NOTE)], "note:00.00.00.00.00.00"), ("exit", [Fact(of.O_EXIT)], "exit"),
    ("check_pkt_larger(100)->reg0[3]", [Fact(of.O_CHECK_LARGER, n=100, word=33, low=35, bits=1)], "check_pkt_larger(100)->NXM_NX_REG0[3]"),
    ("check_pkt_larger:100->reg0[3],2", [Fact(of.O_CHECK_LARGER, n=100, word=33, low=35, bits=1), GO],
     "check_pkt_larger(100)->NXM_NX_REG0[3],output:2"),
]


@pytest.mark.parametrize(("text", "records", "printed"), MEANINGS, ids=[text or "nothing" for text, _, _ in MEANINGS])
def test_a_text_becomes_these_records_and_they_are_printed_so(text, records, printed):
    actions = parse_actions(text, PORTS)
    assert list(actions.records) == records
    assert actions.text == format_actions(actions) == printed
    assert parse_actions(printed, PORTS) == actions


def test_records_are_laid_out_as_the_arena_wants_them():
    records = parse_actions("output(port=1,max_len=100),set_field:fe80::1->ipv6_src").records
    rows = np.array(list(records), ofact_t.dtype)
    assert (rows["op"][0], rows["n"][0], rows["m0"][0]) == (of.O_OUTPUT, 1, 100)
    assert (rows["op"][1], rows["word"][1], rows["bits"][1], rows["v0"][1], rows["v1"][1]) == (of.O_SET, 9, 128, 0xFE80 << 48, 1)


def test_every_record_fits_into_the_arena():
    widths = {name: 8 * int(code[1]) for name, (code, _) in ofact_t.fields.items()}
    for text, _, _ in MEANINGS:
        for record in parse_actions(text, PORTS).records:
            assert all(0 <= value < 1 << widths[name] for name, value in record._asdict().items()), text


def test_ports_are_printed_by_name_in_quotes_unless_they_are_plain():
    names = {number: name for name, number in PORTS.items()}.get
    actions = parse_actions("1,3,9,in_port,clone(vm2),resubmit(1,7),enqueue:2:5,output(port=3,max_len=20)", PORTS)
    assert actions.show(names) == ('output:vm1,output:"vm-3",output:9,IN_PORT,clone(output:vm2),resubmit(vm1,7),enqueue:vm2:5,'
                                   'output(port="vm-3",max_len=20)')


def test_dumps_of_later_versions_print_later_words():
    text = "mod_nw_src:10.0.0.1,set_field:5->reg0,load:5->reg0[0..7],set_tunnel:5,enqueue:2:7,strip_vlan"
    actions = parse_actions(text, PORTS, parse_match("ip"))
    assert actions.show(version=OPENFLOW_10) == (
        "mod_nw_src:10.0.0.1,load:0x5->NXM_NX_REG0[],load:0x5->NXM_NX_REG0[0..7],set_tunnel:0x5,enqueue:2:7,strip_vlan")
    assert actions.show(version=OPENFLOW_13) == (
        "set_field:10.0.0.1->ip_src,set_field:0x5->reg0,load:0x5->NXM_NX_REG0[0..7],set_field:0x5->tun_id,set_queue:7,output:2,pop_queue,"
        "pop_vlan")
    assert actions.show(version=OPENFLOW_15) == (
        "set_field:10.0.0.1->ip_src,set_field:0x5->reg0,set_field:0x5/0xff->reg0,set_field:0x5->tun_id,set_queue:7,output:2,pop_queue,pop_vlan")


def test_what_a_match_does_not_prove_stays_in_the_older_words():
    assert parse_actions("mod_nw_src:10.0.0.1", match=parse_match("")).show(version=OPENFLOW_13) == "mod_nw_src:10.0.0.1"


def test_actions_tell_their_ports_groups_and_meters_also_from_inside_bodies():
    actions = parse_actions("meter:4,vm1,clone(vm2,group:7),controller,write_actions(group:9,output:5)", PORTS)
    assert actions.outputs == {1, 2, 5, of.OFPP_CONTROLLER}
    assert (actions.groups, actions.meters, actions.ports_named) == ({7, 9}, {4}, {"vm1", "vm2"})
    assert parse_actions("drop").outputs == frozenset()


def test_the_same_actions_are_equal_however_they_were_written():
    one, other = parse_actions("vm2,set_field:5->reg0", PORTS), parse_actions("output:2, load:0x5->NXM_NX_REG0[]")
    assert one == other and hash(one) == hash(other) and len({one, other}) == 1
    assert one != parse_actions("2") and one != "output:2" and parse_actions("note:01") != parse_actions("note:02")
    assert repr(other) == "<actions output:2,load:0x5->NXM_NX_REG0[]>" and str(other) == other.text and len(other) == 2


# --- moves across words ---------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "pieces"), [  # (word, low, bits, source word, source low) in this order
    ("move:xxreg0[]->xxreg1[]", [(36, 0, 64, 34, 0), (35, 0, 64, 33, 0)]),
    ("move:xxreg0[32..95]->xreg4[]", [(37, 0, 32, 34, 32), (37, 32, 32, 33, 0)]),
    ("move:xxreg0[0..63]->xxreg0[32..95]", [(33, 0, 32, 34, 32), (34, 32, 32, 34, 0)]),  # upwards: the top first
    ("move:xxreg0[32..95]->xxreg0[0..63]", [(34, 0, 32, 34, 32), (34, 32, 32, 33, 0)]),
])
def test_a_move_across_words_is_cut_so_that_nothing_is_read_after_it_was_written(text, pieces):
    records = parse_actions(text).records
    assert [(r.word, r.low, r.bits, r.src_word, r.src_low) for r in records] == pieces
    assert {r.op for r in records} == {of.O_MOVE}


def test_bits_that_mean_nothing_read_as_zero_and_are_not_written():
    out_of = parse_actions("move:NXM_OF_IP_TOS[]->reg0[0..7]").records
    assert [(r.op, r.low, r.bits, r.src_low, r.m0) for r in out_of] == [(of.O_SET, 32, 2, 0, 3 << 32), (of.O_MOVE, 34, 6, 10, 0)]
    into = parse_actions("move:reg0[0..7]->NXM_OF_IP_TOS[]").records
    assert [(r.op, r.low, r.bits, r.src_low) for r in into] == [(of.O_MOVE, 10, 6, 34)]
    operation = parse_actions("move:arp_op->reg0[0..15]").records
    assert [(r.op, r.low, r.bits) for r in operation] == [(of.O_MOVE, 32, 8), (of.O_SET, 40, 8)]


def test_the_stack_takes_what_crosses_words_in_two_and_gives_it_back():
    records = parse_actions("push:xxreg0,pop:xxreg1").records
    assert [(r.op, r.src_word or r.word, r.bits) for r in records] == [
        (of.O_STACK_PUSH, 33, 64), (of.O_STACK_PUSH, 34, 64), (of.O_STACK_POP, 36, 64), (of.O_STACK_POP, 35, 64)]


# --- the memo -------------------------------------------------------------------------------------


def test_the_same_text_gives_the_same_value_and_the_memo_stays_small():
    assert parse_actions("mod_vlan_vid:7,output:2") is parse_actions("mod_vlan_vid:7,output:2")
    for number in range(1, 5000):
        parse_actions(f"output:{number}")
    assert len(memo._remembered) <= memo.MOST_REMEMBERED


def test_a_port_that_gets_another_number_a_name_or_goes_changes_what_a_text_means():
    assert parse_actions("output:web", {"web": 1}).records[0].n == 1
    assert parse_actions("output:web", {"web": 4}).records[0].n == 4
    with pytest.raises(ValueError, match="unknown port web"):
        parse_actions("output:web", {"other": 4})
    assert parse_actions("output:reg0").records[0].op == of.O_OUTPUT_REG
    assert parse_actions("output:reg0", {"reg0": 9}).records[0] == to(9), "a port of that name comes first"


def test_what_was_read_for_one_match_does_not_pass_for_another():
    for _ in range(2):
        assert parse_actions("set_field:5->tcp_dst", match=parse_match("tcp"))
        with pytest.raises(ValueError, match="add one of tcp or tcp6"):
            parse_actions("set_field:5->tcp_dst", match=parse_match("udp"))
        assert parse_actions("set_field:5->tp_dst", match=parse_match("udp")).show(version=OPENFLOW_13) == "set_field:5->udp_dst"
        assert parse_actions("set_field:5->tp_dst", match=parse_match("tcp")).show(version=OPENFLOW_13) == "set_field:5->tcp_dst"


# --- properties -----------------------------------------------------------------------------------


numbers = st.integers(0, 255)
registers = st.builds("{}{}".format, st.sampled_from(("reg", "xreg", "NXM_NX_REG")), st.integers(0, 7))
bit_ranges = st.tuples(st.integers(0, 31), st.integers(0, 31)).map(sorted).map(lambda pair: f"[{pair[0]}..{pair[1]}]")
simple = st.one_of(
    st.sampled_from([text for text, _, _ in MEANINGS if text and not text.startswith(
        ("drop", "meter", "goto", "write", "clear", "clone", "set_field:5/0", "note:", "Normal"))]),
    st.builds("output:{}".format, st.integers(1, 65000)), st.builds("resubmit({},{})".format, st.integers(1, 9), numbers),
    st.builds("set_field:{}/{}->{}".format, numbers, st.integers(1, 2**32 - 1), registers.filter(lambda name: name[0] != "N")),
    st.builds("load:{}->{}[{}..31]".format, st.integers(0, 1), registers, st.integers(0, 31)),
    st.builds("push:{}{}".format, registers, bit_ranges), st.builds("move:{0}{2}->{1}{2}".format, registers, registers, bit_ranges),
    st.builds("enqueue:{}:{}".format, st.integers(1, 9), numbers), st.builds("note:{:02x}{:02x}".format, numbers, numbers),
)
lists = st.recursive(st.lists(simple, min_size=1, max_size=4).map(",".join),
                     lambda inner: st.builds("clone({}),{}".format, inner, inner), max_leaves=4)
rules = st.builds("{}{}{}".format, st.sampled_from(("", "meter:3,")), lists, st.sampled_from(("", ",clear_actions", ",goto_table:9")))


@settings(max_examples=200, deadline=None)
@given(rules)
def test_what_is_printed_means_the_same_in_every_version(text):
    actions = parse_actions(text, PORTS)
    assert parse_actions(actions.text, PORTS) == actions
    for version in (OPENFLOW_13, OPENFLOW_15):
        assert parse_actions(actions.show(version=version), PORTS).records == actions.records


def test_nothing_is_an_actions_of_its_own():
    assert Actions() == parse_actions("drop") and Actions().text == "drop"
