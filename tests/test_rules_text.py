"""A rule as a line of text: its settings, what each kind of order takes, and what each mistake says."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.openflow.errors import CommandError
from lab.openflow.matching.match import parse_match
from lab.openflow.rules.line import _quick, parse_line, parse_rule
from lab.openflow.rules.orders import ADD, DELETE, DELETE_STRICT, FIND, KINDS, MODIFY, MODIFY_STRICT, Order

PORTS = {"vm1": 1, "vm-2": 2}


def test_every_setting_is_read():
    order = parse_rule("table=3,cookie=0x5,idle_timeout=60,hard_timeout=0x50,importance=3,priority=7,udp,send_flow_rem,check_overlap,"
                       "reset_counts,no_packet_counts,no_byte_counts actions=output:vm1", PORTS)
    assert (order.table, order.cookie, order.idle_timeout, order.hard_timeout, order.importance, order.priority) == (3, 5, 60, 80, 3, 7)
    assert order.flags == 31 and order.match == parse_match("udp") and order.actions.text == "output:1" and order.has_cookie is None


def test_what_a_dump_prints_can_be_read_again():
    line = (" cookie=0x5, duration=1.033s, table=3, n_packets=4, n_bytes=240, idle_timeout=60, hard_timeout=80, send_flow_rem reset_counts "
            "importance=3, idle_age=1, hard_age=0, priority=7,udp,in_port=\"vm-2\" actions=output:\"vm-2\"")
    order = parse_rule(line, PORTS)
    assert (order.table, order.cookie, order.idle_timeout, order.flags, order.importance, order.priority) == (3, 5, 60, 5, 3, 7)
    assert order.match == parse_match("udp,in_port=2") and order.actions.text == "output:2"


def test_a_cookie_is_given_or_found_by():
    assert parse_rule("cookie=7/0xf,cookie=9,tcp actions=drop", kind=MODIFY).has_cookie == (7, 15)
    assert parse_rule("cookie=7/0xf,cookie=9,tcp actions=drop", kind=MODIFY).cookie == 9
    assert parse_rule("cookie=7/-1", kind=FIND).which.cookie == (7, (1 << 64) - 1)
    assert parse_rule("cookie=-1 actions=drop").cookie == (1 << 64) - 1


def test_rules_are_found_by_outputs_groups_and_tables():
    which = parse_rule("tcp,out_port=vm1,out_group=0x10,table=4", PORTS, DELETE).which
    assert (which.out_port, which.out_group, which.table, which.strict, which.priority) == (1, 16, 4, False, None)
    assert parse_rule("out_port=controller", PORTS, FIND).out_port == 0xFFFD
    strict = parse_rule("tcp", PORTS, DELETE_STRICT).which
    assert (strict.strict, strict.priority) == (True, 32768)
    assert parse_rule("table=255", kind=DELETE).table is None


@pytest.mark.parametrize(("line", "kind"), [
    ("tcp actions=drop", ADD), ("  add tcp actions=drop # why", ADD), ("modify tcp actions=drop", MODIFY),
    ("modify_strict priority=3,tcp actions=drop", MODIFY_STRICT), ("delete tcp", DELETE), ("delete_strict priority=3,tcp", DELETE_STRICT)])
def test_a_line_of_a_file_may_begin_with_its_kind(line, kind):
    order = parse_line(line)
    assert order.kind == kind and order.match == parse_match("tcp")


@pytest.mark.parametrize("line", ["", "   ", "# only words", "  # and spaces"])
def test_a_line_that_says_nothing_is_none(line):
    assert parse_line(line) is None


WRONG = [  # line, kind, the word, its place, what is said
    ("priority=65536,actions=drop", ADD, "65536", 9, "priority: 65536 is more than 65535"),
    ("idle_timeout=70000 actions=drop", ADD, "70000", 13, "idle_timeout: 70000 is more than 65535"),
    ("hard_timeout=-1 actions=drop", ADD, "-1", 13, "is not a number"),
    ("table=255 actions=drop", ADD, "255", 6, "tables 0 to 254"),
    ("table=300 actions=drop", ADD, "300", 6, "more than 255"),
    ("table= actions=drop", ADD, "table", 0, "needs a value"),
    ("cookie=1/1,actions=drop", ADD, "1/1", 7, "without a mask"),
    ("cookie=1", DELETE, "1", 7, "rules are found by cookie=1/-1"),
    ("priority=5", DELETE, "priority", 0, "only with --strict"),
    ("priority=5", FIND, "priority", 0, "only with --strict"),
    ("tcp actions=drop", DELETE, "actions", 4, "no actions are asked for"),
    ("tcp,out_port=1 actions=drop", ADD, "out_port", 4, "finds rules"),
    ("tcp,out_group=1 actions=drop", MODIFY, "out_group", 4, "finds rules"),
    ("importance=1 actions=drop", MODIFY, "importance", 0, "is given to a rule"),
    ("check_overlap", FIND, "check_overlap", 0, "is given to a rule"),
    ("out_port=vm3", FIND, "vm3", 9, "unknown port vm3"),
    ("out_group=any", FIND, "any", 10, "is not a number"),
    ("duration actions=drop", ADD, "duration", 0, "duration needs a value"),
    ("tcp", ADD, "tcp", 0, "a rule needs actions"),
    ("tcp,output:2", ADD, "output", 4, "write actions= before it"),
    ("priorty=5,actions=drop", ADD, "priorty", 0, "unknown field"),
    ("table=5,tcp actions=goto_table:5", ADD, "goto_table", 20, "later table: this rule stands in table 5"),
    ("tcp actions=resubmit(,1),goto_table:0", ADD, "goto_table", 25, "this rule stands in table 0"),
]


@pytest.mark.parametrize(("line", "kind", "word", "at", "says"), WRONG, ids=[row[0] for row in WRONG])
def test_a_mistake_is_named_with_its_word_and_its_place(line, kind, word, at, says):
    with pytest.raises(CommandError) as caught:
        parse_rule(line, PORTS, kind)
    assert says in caught.value.problem and (caught.value.word, caught.value.position) == (word, at)


def test_the_nearest_setting_is_named():
    for wrong, right in (("priorty=5", "priority"), ("idle_timout=5", "idle_timeout"), ("send_flow_remm", "send_flow_rem")):
        with pytest.raises(CommandError) as caught:
            parse_rule(f"{wrong},actions=drop")
        assert caught.value.suggestion == right


SETTINGS = [
    "priority=5", "priority=0", "priority=00", "priority=65536", "table=3", "table=255", "table=0x3", "cookie=7",
    "cookie=0x7f", "cookie=0x", "idle_timeout=9", "idle_timeout", "send_flow_rem", "reset_counts=1", "n_packets=3", "tcp",
    "tcp,tp_dst=80", "tp_dst=80", "in_port=vm1", "in_port=vm9", "nw_src=10.0.0.0/8", "ip", "udp", "out_port=1",
    "dl_vlan=5", "nonsense", "nw_src=10.0.0.256", "importance=2", "xyz=3",
]


@given(st.lists(st.sampled_from(SETTINGS), max_size=5), st.sampled_from([*KINDS, FIND]))
def test_the_quick_reader_reads_what_the_careful_one_reads(words, kind):
    text = ",".join(words)
    quick = Order(kind)
    if _quick(quick, text, PORTS):
        actions = " actions=drop" if kind in KINDS[:3] else ""
        careful = parse_rule(f"n_packets=0,{text}{actions}", PORTS, kind)  # a dump's word bars the quick way
        careful.actions = None
        assert quick == careful
