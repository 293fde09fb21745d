"""ovs-ofctl's commands on rules: what they do, what they print, that files and bundles are whole or none, and what mistakes say."""
import io
import sys

import pytest
from ofctl_bench import Bridge
from ruled import small_arena, texts, true

from lab.control.ofctl import files as ofctl_files
from lab.openflow.rules.dump import seconds


@pytest.fixture
def sw():
    return Bridge(small_arena(rules=256, masks=64, ofacts=512))


@pytest.mark.parametrize("line", [
    "add-flow priority=10,tcp actions=mod_vlan_vid:7,output:p2", "add-flow br0 priority=10,tcp,actions=mod_vlan_vid:7,output:2",
    "ovs-ofctl -O OpenFlow10 add-flow br0 'priority=10, tcp, actions=mod_vlan_vid:7, p2'",
    'ofctl add-flow --protocols=OpenFlow10 br0 "tcp priority=10 actions=mod_vlan_vid:7 output:p2"',
    "-OOpenFlow10 add-flow br0 tcp,priority=10,table=0,idle_timeout=0,actions=mod_vlan_vid:7,output:p2"])
def test_a_rule_is_added_however_it_is_quoted(sw, line):
    assert sw.ofctl(line) == ""
    assert sw.ofctl("dump-flows --no-stats --no-names") == " priority=10,tcp actions=mod_vlan_vid:7,output:2"
    assert sw.ofctl("dump-flows --no-stats br0") == " priority=10,tcp actions=mod_vlan_vid:7,output:p2"


def test_what_dump_flows_prints_can_be_added_again(sw):
    sw.ofctl("add-flow table=4,cookie=0x5,in_port=p1,dl_vlan=0xffff,idle_timeout=9,hard_timeout=99 actions=flood,in_port")
    sw.ofctl("add-flow priority=0,send_flow_rem,importance=3 actions=drop")
    sw.now = 1_234_567
    lines = sw.lines("dump-flows")
    assert lines == [
        " cookie=0x0, duration=1.234s, table=0, n_packets=0, n_bytes=0, priority=0 actions=drop",
        " cookie=0x5, duration=1.234s, table=4, n_packets=0, n_bytes=0, idle_timeout=9, hard_timeout=99, in_port=p1,vlan_tci=0x0000 "
        "actions=FLOOD,IN_PORT"]
    assert sw.lines("dump-flows --no-names")[1].split(", ")[-2:] == ["idle_age=1", "in_port=1,vlan_tci=0x0000 actions=FLOOD,IN_PORT"]
    for options in ("", "-O OpenFlow15 ", "--no-names "):
        before, said = texts(sw.rules), sw.lines(f"{options}dump-flows")
        sw.ofctl("del-flows")
        for line in said:
            sw.ofctl(f"-O OpenFlow15 add-flow {line}")
        assert [text.replace(",send_flow_rem", "").replace(",importance=3", "") for text in texts(sw.rules)] == [
            text.replace(",send_flow_rem", "").replace(",importance=3", "") for text in before]


def test_modifying_adds_what_is_not_there_up_to_openflow_11_and_never_in_a_bundle(sw):
    sw.ofctl("mod-flows tcp,actions=1")
    sw.ofctl("-O OpenFlow11 mod-flows --strict udp,actions=1")
    sw.ofctl("-O OpenFlow12 mod-flows arp,actions=1")
    sw.ofctl("--bundle mod-flows icmp,actions=1")
    sw.ofctl("mod-flows cookie=1/1,icmp6,actions=1")
    assert texts(sw.rules) == ["tcp actions=output:p1", "udp actions=output:p1"]
    sw.ofctl("--bundle mod-flows ip,actions=2")
    assert texts(sw.rules) == ["tcp actions=output:p2", "udp actions=output:p2"]


def test_rules_are_changed_and_deleted_loosely_and_strictly(sw):
    for rule in ("priority=1,tcp", "priority=2,tcp,tp_dst=80", "udp"):
        sw.ofctl(f"add-flow {rule},actions=output:p1")
    sw.ofctl("mod-flows tcp actions=output:p2")
    sw.ofctl("mod-flows --strict udp actions=drop")
    assert sw.lines("dump-flows --no-stats") == [
        " udp actions=drop", " priority=2,tcp,tp_dst=80 actions=output:p2", " priority=1,tcp actions=output:p2"]
    lines = ("--strict priority=3,tcp", "--strict priority=1,tcp", "out_port=p2", "table=3", "cookie=1/-1", "")
    for line, left in zip(lines, (3, 2, 1, 1, 1, 0), strict=True):
        sw.ofctl(f"del-flows {line}")
        assert len(sw.rules) == left


def test_dumps_are_chosen_and_sorted(sw):
    for rule in ("priority=7,tcp,tp_dst=9", "priority=9,tcp,tp_dst=7", "priority=8,arp", "table=1,priority=6,cookie=1,udp"):
        sw.ofctl(f"add-flow {rule},actions=drop")

    def dumped(options):
        return "".join(line.split("priority=")[1][0] for line in sw.lines(f"dump-flows {options}"))
    assert dumped("") == "9876" and dumped("tcp") == "97" and dumped("table=1") == "6" and dumped("cookie=1/1") == "6"
    assert dumped("--sort") == "6789" and dumped("--rsort=priority") == "9876" and dumped("--rsort=cookie")[0] == "6"
    assert dumped("--sort=tp_dst") == "9786" and dumped("--rsort=tp_dst") == "7986"
    assert sw.ofctl("dump-aggregate tcp") == "packet_count=0 byte_count=0 flow_count=2"
    assert sw.refuses("dump-flows --sort=tp_dts").suggestion == "tp_dst"


def test_counters_are_printed_and_summed(sw):
    sw.ofctl("add-flow tcp,actions=1")
    sw.ofctl("add-flow udp,actions=1")
    for index in (0, 1):
        sw.rules.arena.array("rule_stats", 1)[index] = (3 + index, 180, 2_000_000)
    sw.now = 65_000_000
    assert sw.lines("dump-flows --no-names tcp") == [
        " cookie=0x0, duration=65s, table=0, n_packets=3, n_bytes=180, idle_age=63, tcp actions=output:1"]
    assert sw.ofctl("dump-aggregate") == "packet_count=7 byte_count=360 flow_count=2"
    sw.ofctl("mod-flows tcp,actions=2")
    sw.now += 1_000_000
    assert "idle_age=64, hard_age=1, tcp actions=output:2" in sw.ofctl("dump-flows --no-names tcp")


def test_flags_and_importance_are_printed_by_the_versions_that_have_them(sw):
    sw.ofctl("add-flow udp,send_flow_rem,check_overlap,importance=5,no_byte_counts actions=drop")
    assert sw.ofctl("dump-flows --no-stats") == " udp actions=drop"
    assert sw.ofctl("-O OpenFlow13 dump-flows --no-stats") == " send_flow_rem check_overlap reset_counts no_byte_counts udp actions=drop"
    assert sw.ofctl("-O OpenFlow10,OpenFlow14 dump-flows --no-stats") == (
        " send_flow_rem check_overlap reset_counts no_byte_counts importance=5, udp actions=drop")


def test_an_overlap_is_refused_where_it_is_asked_for(sw):
    sw.ofctl("add-flow priority=7,tcp,actions=1")
    error = sw.refuses("add-flow priority=7,ip,nw_src=10.0.0.0/8,check_overlap,actions=1")
    assert "overlap: rule 1, tcp, has the same priority 7" in error.problem and (error.word, error.position) == ("add-flow", 0)
    for line in ("priority=7,udp", "priority=8,ip", "table=1,priority=7,ip", "priority=7,tcp"):
        sw.ofctl(f"add-flow {line},check_overlap,actions=1")
    sw.ofctl("add-flow priority=7,ip,actions=1")
    assert len(sw.rules) == 5


# --- files -------------------------------------------------------------------------------------------

def test_a_file_is_done_whole_or_not_at_all(sw, tmp_path):
    good = tmp_path / "rules.txt"
    good.write_text("# rules\n\npriority=1,tcp actions=p1  # to p1\n  add udp,actions=drop\nmodify tcp actions=p2\ndelete udp\n"
                    "table=9,arp actions=drop\ndelete_strict table=9,arp\nmodify_strict priority=1,tcp actions=p3\n")
    sw.ofctl(f"add-flows br0 {good}")
    assert sw.ofctl("dump-flows --no-stats") == " priority=1,tcp actions=output:p3"
    bad = tmp_path / "bad.txt"
    bad.write_text("arp actions=drop\ndelete\nip, nw_src=10.0.0.256 actions=drop\n")
    error = sw.refuses(f"add-flows {bad}")
    assert f"{bad} line 3: nw_src: '10.0.0.256' is not an IPv4 address" in error.problem
    assert (error.command, error.word, error.position) == ("ip, nw_src=10.0.0.256 actions=drop", "10.0.0.256", 11)
    late = tmp_path / "late.txt"  # what only the table can refuse is taken back as well
    late.write_text("delete\nip actions=drop\ntcp,check_overlap actions=drop\n")
    assert f"{late} line 3: overlap" in sw.refuses(f"--bundle add-flows {late}").problem
    late.write_text("delete\ntcp actions=group:4\n")
    assert f"{late} line 2: group 4 does not exist" in sw.refuses(f"add-flows {late}").problem
    assert sw.ofctl("dump-flows --no-stats") == " priority=1,tcp actions=output:p3" and true(sw.rules)


def test_files_that_cannot_be_read_say_why(sw, tmp_path):
    (tmp_path / "data").write_bytes(b"\xff\xfe\x00")
    for file, says in (("nothing", "cannot be read: No such file"), ("data", "it is not text"), ("", "cannot be read: Is a directory")):
        assert says in sw.refuses(f"add-flows {tmp_path}/{file}").problem
    for line in ("add-flows -", "replace-flows -", "diff-flows -", "add-flow -", "del-flows -"):
        assert "no standard input" in sw.refuses(line).problem
    assert "needs a file of rules" in sw.refuses("add-flows").problem and "takes no 'b'" in sw.refuses("add-flows a b").problem


def test_replacing_leaves_alone_what_is_the_same(sw, tmp_path):
    for rule in ("tcp actions=1", "udp,cookie=3 actions=2", "priority=0 actions=drop"):
        sw.ofctl(f"add-flow {rule}")
    file = tmp_path / "rules"
    file.write_text("tcp actions=1\nudp,cookie=4 actions=2\ntable=1,arp actions=normal\n")
    kept = sw.rules.find("tcp")[0]
    sw.rules.arena.array("rule_stats", 1)[kept.index] = (3, 180, 5)
    assert sw.lines(f"diff-flows {file}") == ["-udp cookie=0x3 actions=output:p2", "+udp cookie=0x4 actions=output:p2",
                                              "-priority=0 actions=drop", "+table=1 arp actions=NORMAL"]
    sw.ofctl(f"replace-flows br0 {file}")
    assert sorted(texts(sw.rules)) == ["table=1,arp actions=NORMAL", "tcp actions=output:p1", "udp actions=output:p2"]
    assert not kept.deleted and kept.n_packets == 3 and sw.rules.find("udp")[0].cookie == 4 and true(sw.rules)
    assert sw.ofctl(f"diff-flows br0 {file}") == sw.ofctl(f"diff-flows {file} br0") == ""
    sw.ofctl(f"replace-flows --readd {file}")
    assert kept.deleted and sw.rules.find("tcp")[0].n_packets == 0
    file.write_text("tcp actions=1\ndelete udp\n")
    assert f"{file} line 2: these lines are rules" in sw.refuses(f"replace-flows {file}").problem
    assert len(sw.rules) == 3


def test_differences_have_the_sign_of_the_side_that_has_the_rule(sw, tmp_path):
    sw.ofctl("add-flow udp,cookie=3,idle_timeout=4 actions=2")
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("udp actions=2\n")
    other.write_text("udp actions=2\ntable=2,priority=3,arp,importance=4 actions=drop\n")
    assert sw.lines(f"diff-flows br0 {one}") == ["-udp cookie=0x3 idle_timeout=4 actions=output:p2", "+udp actions=output:p2"]
    assert sw.lines(f"diff-flows {one} br0") == ["-udp actions=output:p2", "+udp cookie=0x3 idle_timeout=4 actions=output:p2"]
    assert sw.lines(f"diff-flows {one} {other}") == ["+table=2 priority=3,arp importance=4 actions=drop"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("out", "drawn"), [(Terminal(), True), (io.StringIO(), False)])
def test_progress_is_one_line_in_a_terminal_and_nothing_elsewhere(sw, tmp_path, monkeypatch, out, drawn):
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(ofctl_files, "SILENT", -1)
    monkeypatch.setattr(ofctl_files, "OFTEN", 5)
    file = tmp_path / "rules"
    file.write_text("".join(f"priority={n},tcp actions=drop\n" for n in range(12)))
    sw.ofctl(f"add-flows {file}")
    said = out.getvalue()
    assert ("\rrules: 5 of 12\rrules: 10 of 12\r" in said) == drawn and "\n" not in said and bool(said) == drawn


# --- printing and mistakes -------------------------------------------------------------------------------

def test_messages_are_printed_without_doing_anything(sw, tmp_path):
    assert sw.ofctl("parse-flow table=5,tcp,actions=p2") == "OFPT_FLOW_MOD: ADD table:5 tcp actions=output:p2"
    file = tmp_path / "rules"
    file.write_text("delete_strict priority=4,cookie=3/0xff,out_port=p1\nmodify udp actions=2\n")
    assert sw.lines(f"-O OpenFlow13 parse-flows --no-names {file}") == [
        "OFPT_FLOW_MOD (OF1.3): DEL_STRICT priority=4 cookie:0x3/0xff out_port:1", "OFPT_FLOW_MOD (OF1.3): MOD udp actions=output:2"]
    assert len(sw.rules) == 0


def test_tables_that_are_alike_are_told_once(sw):
    sw.ofctl("add-flow table=3,tcp,actions=drop")
    sw.rules.arena.array("table_stats", 1)[0] = (9, 4)
    assert sw.ofctl("-O OpenFlow13 dump-tables") == (
        "  table 0:\n    active=0, lookup=9, matched=4\n\n  table 1:\n    active=0, lookup=0, matched=0\n\n  table 2: ditto\n\n"
        "  table 3:\n    active=1, lookup=0, matched=0\n\n  table 4:\n    active=0, lookup=0, matched=0\n\n  tables 5...254: ditto")


def test_durations_are_printed_as_the_tool_prints_them():
    assert [seconds(value) for value in (0, 1.5, 12.3456, 60, 0.0009, 1.001)] == ["0s", "1.500s", "12.345s", "60s", "0s", "1.001s"]


WRONG = [  # line, the word, its place, what the message says, the nearest word
    ("add-flow tcp actions=noraml", "noraml", 21, "unknown action 'noraml'", "normal"),
    ("add-flow br0 'tcp, tp_dts=80' actions=drop", "tp_dts", 19, "unknown field", "tp_dst"),
    ("add-flow br0 priorty=5,actions=drop", "priorty", 13, "unknown field", "priority"),
    ("add-flow priority=65536,actions=drop", "65536", 18, "more than 65535", ""),
    ("add-flow tcp", "tcp", 9, "a rule needs actions", ""),
    ("add-flow", "add-flow", 0, "needs a rule, such as add-flow priority=10", ""),
    ("mod-flows --strict", "mod-flows", 0, "needs a rule, such as mod-flows", ""),
    ("add-flow tcp,output:2", "output", 13, "write actions= before it", ""),
    ("add-flow table=255,actions=drop", "255", 15, "one of the tables 0 to 254", ""),
    ("add-flow cookie=1/1,actions=drop", "1/1", 16, "without a mask", ""),
    ("del-flows cookie=1", "1", 17, "rules are found by cookie=1/-1", ""),
    ("del-flows priority=5", "priority", 10, "only with --strict", ""),
    ("dump-flows priority=5", "priority", 11, "only with --strict", ""),
    ("del-flows tcp actions=drop", "actions", 14, "no actions are asked for", ""),
    ("del-flows out_port=p9", "p9", 19, "unknown port p9", ""),
    ("add-flow -O OpenFlow1.3 tcp,actions=drop", "OpenFlow1.3", 12, "no protocol 'OpenFlow1.3'", "OpenFlow13"),
    ("dump-flows --no-stat", "--no-stat", 11, "has no option", "--no-stats"),
    ("add-flow -O", "-O", 9, "needs a value", ""),
    ("diff-flows", "diff-flows", 0, "needs a file of rules, or two", ""),
    ("dmp-flows", "dmp-flows", 0, "has no command 'dmp-flows'", "dump-flows"),
]


@pytest.mark.parametrize(("line", "word", "position", "says", "nearest"), WRONG, ids=[row[0] for row in WRONG])
def test_a_mistake_is_named_with_its_word_its_place_and_the_nearest_right_one(sw, line, word, position, says, nearest):
    sw.ofctl("add-flow arp,actions=drop")
    error = sw.refuses(line)
    assert says in error.problem and (error.command, error.word, error.position) == (line, word, position)
    if nearest:
        assert error.suggestion == nearest
    assert texts(sw.rules) == ["arp actions=drop"]
