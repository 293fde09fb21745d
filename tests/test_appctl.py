"""ovs-appctl's commands on the datapath, its upcalls and its cores: what they print, word by word, and beside the real tool."""
import re

import pytest
from real_ovs import MISSING, REASON, RealSwitch

from lab import Switch
from lab.openflow.errors import CommandError

TCP = bytes.fromhex("0200000000020200000000010800" "4500002800010000400666cd0a0000010a000002" "00140050000000000000000050022000917c0000")
ARP = bytes.fromhex("ffffffffffff020000000001" "0806" "0001080006040001020000000001" "0a000001" "000000000000" "0a000002")
TAGGED = ARP[:12] + bytes.fromhex("8100e007") + ARP[12:]
RULES = ("priority=10,tcp,nw_dst=10.0.0.0/8,tp_dst=80 actions=mod_nw_tos:4,output:3", "priority=8,arp actions=normal")
ALL = "skb_priority(0/0),skb_mark(0/0),ct_state(0/0),ct_zone(0/0),ct_mark(0/0),ct_label(0/0),"


def walk(sw):
    while sw.step() is not None:
        pass


@pytest.fixture
def sw():
    """A switch that a test may change."""
    yield from prepared()


@pytest.fixture(scope="module")
def kept():
    """One that tests only read."""
    yield from prepared()


def prepared():
    """Two packets of one megaflow, one of another, one of a third, half a second ago."""
    switch = Switch("br0", fail_mode="secure")
    for n in (1, 2, 3):
        switch.add_port(f"p{n}")
    for rule in RULES:
        switch.ofctl(f"add-flow {rule}")
    for frame in (TCP, TCP, ARP, TAGGED):
        switch.ports["p1"].inject(frame)
        walk(switch)
    switch.appctl("time/warp 500")
    yield switch
    switch.close()


@pytest.fixture(scope="module")
def ovs(tmp_path_factory):
    if MISSING:
        pytest.skip(REASON)
    with RealSwitch(tmp_path_factory.mktemp("ovs"), ports=3) as real:
        for rule in RULES:
            real.ofctl("add-flow", rule)
        appctl(real, "time/stop")
        for frame in (TCP, TCP, ARP, TAGGED):
            appctl(real, "netdev-dummy/receive", "p1", frame.hex())
        appctl(real, "time/warp", "500")
        yield real


def appctl(ovs, *words):
    return ovs.run("ovs-appctl", "-t", f"{ovs.folder}/ovs-vswitchd.ctl", *words).rstrip("\n")


# --- megaflows ---------------------------------------------------------------------------------------

def test_megaflows_are_printed_as_the_datapath_writes_them(kept):
    said = kept.appctl("dpctl/dump-flows --no-names").replace(",frag=no", "")  # whether fragments matter is translation's affair
    assert said.splitlines() == [
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,proto=6),tcp(dst=80), "
        "packets:2, bytes:108, used:0.500s, flags:S, actions:set(ipv4(tos=0x4/0xfc)),3",
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806), "
        "packets:1, bytes:42, used:0.500s, actions:2,3",
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),"
        "vlan(vid=7),encap(eth_type(0x0806)), packets:1, bytes:46, used:0.500s, actions:2,3",
    ]


def test_everything_is_printed_with_m_what_is_not_asked_for_under_an_empty_mask(kept):
    flow = kept.megaflows[1]
    ufid = f"{flow.ufid[:8]}-{flow.ufid[8:12]}-{flow.ufid[12:16]}-{flow.ufid[16:20]}-{flow.ufid[20:]}"
    said = (f"{ALL}recirc_id(0),dp_hash(0/0),in_port(p1),packet_type(ns=0,id=0),eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),"
            "eth_type(0x0806),arp(sip=0.0.0.0/0.0.0.0,tip=0.0.0.0/0.0.0.0,op=0/0,sha=00:00:00:00:00:00/00:00:00:00:00:00,"
            "tha=00:00:00:00:00:00/00:00:00:00:00:00), packets:1, bytes:42, used:0.500s")
    assert kept.appctl("dpctl/dump-flows -m").splitlines()[1] == f"ufid:{ufid}, {said}, dp:ovs, actions:p2,p3"
    assert kept.appctl("dpif/dump-flows -m br0").splitlines()[1] == f"ufid:{ufid} {said}, actions:p2,p3"
    assert kept.appctl(f"dpctl/get-flow -m ufid:{ufid}") == f"ufid:{ufid}, {said}, dp:ovs, actions:p2,p3"
    assert kept.appctl(f"dpctl/get-flow netdev@ovs-netdev {flow.ufid[:8]}").startswith(f"ufid:{ufid}, recirc_id(0),in_port(p1),")


def shape(line):
    """A line of dump-flows without values of fields, which OVS keeps where a megaflow here does not, and without what is OVS's alone."""
    line = line.split(", dp-extra-info")[0].replace(",100", "").replace(",br0", "")
    line = re.sub(r"(src|dst|sip|tip|sha|tha|op|tos|ttl|frag|pcp|vid|proto)=[^,()]*,?", "", line)
    line = re.sub(r"ufid:[-0-9a-f]*|eth_type\([^)]*\)|tcp_flags\([^)]*\)", "", line)
    return re.sub(r"packets:\d+|bytes:\d+|used:[^,]*|flags:\w+,? ?|actions:.*", "", line)


def test_a_dump_has_the_shape_of_ovs_own(kept, ovs):
    theirs = [line for line in appctl(ovs, "dpctl/dump-flows", "-m").splitlines() if line.startswith("ufid:")]
    ours = kept.appctl("dpctl/dump-flows -m").splitlines()
    assert sorted(map(shape, ours)) == sorted(map(shape, theirs))


def test_megaflows_are_filtered_by_a_match_and_by_core(kept):
    assert len(kept.appctl("dpctl/dump-flows filter=arp").splitlines()) == 2
    assert "vlan(vid=7)" in kept.appctl("dpctl/dump-flows filter=arp,dl_vlan=7") and kept.appctl("dpctl/dump-flows filter=udp") == ""
    assert len(kept.appctl("dpctl/dump-flows pmd=1").splitlines()) == 3
    assert kept.appctl("dpctl/dump-flows type=offloaded") == "" != kept.appctl("dpctl/dump-flows type=ovs")


def test_deleted_megaflows_have_told_their_rules_first_and_are_counted(sw):
    assert sw.appctl("dpctl/del-flows") == "" == sw.appctl("dpctl/dump-flows")
    assert "n_packets=2, n_bytes=108, priority=10,tcp" in sw.ofctl("dump-flows")
    assert sw.appctl("coverage/read-counter megaflow_deleted_flushed") == "3"
    assert "deleted: 0 by mask, 0 idle, 3 flushed" in sw.appctl("upcall/show")


def test_a_megaflow_keeps_what_it_has_seen_when_it_is_pushed_back(sw):
    sw.appctl("time/warp 2000")
    sw.ports["p1"].inject(TCP)
    walk(sw)
    assert int(sw.engine.array("megaflows", 1, "flows")["packets"].sum()) < 5  # some were handed over to the rules
    assert "packets:3, bytes:162, used:0.000s" in sw.appctl("dpctl/dump-flows")
    assert "n_packets=3, n_bytes=162, priority=10,tcp" in sw.ofctl("dump-flows")


# --- the datapath ------------------------------------------------------------------------------------

def test_the_datapath_shows_lookups_flows_and_ports(kept):
    assert kept.appctl("dpctl/show") == (
        "netdev@ovs-netdev:\n  lookups: hit:1 missed:3 lost:0\n  flows: 3\n  port 1: p1 (sim)\n  port 2: p2 (sim)\n  port 3: p3 (sim)")
    assert kept.appctl("dpif/show") == (
        "netdev@ovs-netdev: hit:1 missed:3\n  br0:\n    p1 1/1: (sim)\n    p2 2/2: (sim)\n    p3 3/3: (sim)")


def test_ports_count_as_ovs_counts_them(kept, ovs):
    def ports(text):
        parts = re.split(r"  port \d+: ", text)
        return {part.split()[0]: re.sub(r"dropped:\S+", "", part.split("\n", 1)[1]).strip() for part in parts[1:] if part[0] == "p"}
    ours = ports(kept.appctl("dpctl/show -s"))
    assert ours == ports(appctl(ovs, "dpctl/show", "-s")) and ours["p1"].startswith("RX packets:4 errors:?")


def test_upcalls_are_shown_as_ovs_shows_them(sw, ovs):
    def words(text):
        return [re.sub(r"\d+", "N", line) for line in text.splitlines()[1:] if "revalidated" not in line and ": (keys" not in line]
    assert words(sw.appctl("upcall/show")) == words(appctl(ovs, "upcall/show"))
    assert "(current 3) (avg 3) (max 3) (limit 10000)" in sw.appctl("upcall/show")
    assert sw.appctl("upcall/show").endswith("\n  1: (keys 3)")
    sw.appctl("dpctl/del-flows")
    assert "(current 0) (avg 1) (max 3) (limit 10000)" in sw.appctl("upcall/show")


def test_beyond_the_flow_limit_nothing_is_remembered(sw):
    assert sw.appctl("upcall/set-flow-limit 3") == "set flow_limit to 3"
    sw.ports["p2"].inject(ARP)
    walk(sw)
    assert len(sw.megaflows) == 3 and "(limit 3)" in sw.appctl("upcall/show")
    assert sw.appctl("coverage/read-counter 'not installed: flow limit'") == "1"


def test_waiting_for_revalidation_leaves_every_megaflow_sound():
    sw = Switch("br0", fail_mode="secure")
    sw.add_port("p1"), sw.add_port("p2")
    sw.ofctl("add-flow tcp,actions=output:p2")
    sw.ports["p1"].inject(TCP)
    walk(sw)
    sw.start()
    sw.ofctl("mod-flows tcp,actions=mod_nw_tos:4,output:p2")
    assert sw.appctl("revalidator/wait") == ""
    assert "actions:set(ipv4(tos=0x4/0xfc)),p2" in sw.appctl("dpctl/dump-flows")
    assert int(sw.appctl("coverage/read-counter megaflow_changed")) + int(sw.appctl("coverage/read-counter megaflow_deleted_mask")) == 1
    assert sw.appctl("revalidator/purge") == "" == sw.appctl("dpctl/dump-flows")
    sw.close()


def test_a_megaflow_that_nobody_uses_goes_for_a_reason(sw):
    sw.appctl("time/warp 11000")
    sw.ports["p1"].inject(TCP)
    walk(sw)
    assert int(sw.appctl("coverage/read-counter megaflow_deleted_idle")) >= 2
    assert re.search(r"deleted: 0 by mask, [23] idle, 0 flushed", sw.appctl("upcall/show"))


# --- cores ----------------------------------------------------------------------------------------------

def test_what_a_core_has_done_is_said_in_ovs_words(kept, ovs):
    rows = dict(line.strip().split(": ") for line in kept.appctl("dpif-netdev/pmd-stats-show").splitlines()[1:])
    theirs = dict(line.strip().split(": ") for line in appctl(ovs, "dpif-netdev/pmd-stats-show").splitlines()[1:])
    both = set(rows) & set(theirs)
    assert both == set(rows) - {"avg processing cycles per packet"}
    assert {name: rows[name] for name in both - {"avg. packets per output batch"}} == {
        name: theirs[name] for name in both - {"avg. packets per output batch"}}
    assert rows["megaflow hits"] == "1" and rows["miss with success upcall"] == "3"


def test_a_core_counts_from_nothing_when_told(sw):
    assert sw.appctl("dpif-netdev/pmd-stats-clear") == ""
    assert "  packets received: 0\n" in sw.appctl("dpif-netdev/pmd-stats-show -pmd 1")
    sw.ports["p1"].inject(TCP)
    walk(sw)
    assert "  packets received: 1\n" in sw.appctl("dpif-netdev/pmd-stats-show")
    perf = sw.appctl("dpif-netdev/pmd-perf-show")
    assert perf.startswith("Measurement duration: 0.000 s\n\npmd thread numa_id 0 core_id 1:\n\n  Iterations: ")
    assert re.search(r"\n  - Megaflow hits: +1  \(100\.0 %\)\n", perf) and re.search(r"\n  Tx packets: +1  \(0 Kpps\)\n", perf)


# --- the rest ------------------------------------------------------------------------------------------------

def test_the_bridges_rules_are_printed_as_ovs_prints_them(kept, ovs):
    def rules(text):
        return {re.sub(r"duration=\d+s", "", line) for line in text.splitlines() if "table_id=254" not in line}
    assert rules(kept.appctl("bridge/dump-flows --no-names br0")) == rules(appctl(ovs, "bridge/dump-flows", "br0"))
    assert "n_bytes=108, n_offload_packets=0, n_offload_bytes=0, priority=10" in kept.appctl("bridge/dump-flows --offload-stats")


def test_small_questions_have_small_answers(kept):
    assert kept.appctl("ofproto/list") == "br0" and kept.appctl("dpctl/dump-dps") == "netdev@ovs-netdev"
    assert kept.appctl("memory/show") == "handlers:1 mbufs:4096 mbufs in use:0 ports:3 revalidators:1 rules:2 udpif keys:3"
    assert kept.appctl("version").startswith("glasswitch ")
    assert "\n  upcall/set-flow-limit N\n" in kept.appctl("list-commands") and "dpctl/dump-conntrack" not in kept.appctl("list-commands")


@pytest.mark.parametrize(("line", "word", "problem", "nearest"), [
    ("dpctl/dump-flow", "dpctl/dump-flow", "no command", "dpctl/dump-flows"),
    ("dpctl/dump-flows filtr=tcp", "filtr=tcp", "takes no", "filter="),
    ("dpctl/dump-flows filter=tpc", "tpc", "unknown field", "tcp"),
    ("dpctl/dump-flows type=of", "of", "no flows are of type", ""),
    ("dpctl/dump-flows pmd=7", "7", "no core '7': there is 1", ""),
    ("dpctl/get-flow", "dpctl/get-flow", "needs a ufid", ""),
    ("dpctl/get-flow ufid:xyz", "ufid:xyz", "is no ufid", ""),
    ("dpctl/get-flow ufid:00000000", "ufid:00000000", "no megaflow has this ufid", ""),
    ("dpctl/del-flows all", "all", "takes no 'all'", ""),
    ("dpctl/show ovs-netdv", "ovs-netdv", "no datapath", "ovs-netdev"),
    ("dpif/show br1", "br1", "takes no 'br1'", ""),
    ("upcall/set-flow-limit", "upcall/set-flow-limit", "needs a number", ""),
    ("upcall/set-flow-limit 0", "0", "from 1 to 10000", ""),
    ("upcall/set-flow-limit 99999", "99999", "from 1 to 10000", ""),
    ("revalidator/pause", "revalidator/pause", "nothing to pause", ""),
    ("revalidator/resume", "revalidator/resume", "nothing is paused", ""),
    ("coverage/read-counter megaflow_hti", "megaflow_hti", "no reason is called", "megaflow_hit"),
    ("coverage/read-counter", "coverage/read-counter", "needs a reason", ""),
    ("dpif-netdev/pmd-stats-show -pmd 4", "4", "no core", ""),
])
def test_a_mistake_is_named_with_the_nearest_right_word(kept, line, word, problem, nearest):
    with pytest.raises(CommandError) as caught:
        kept.appctl(line)
    assert problem in caught.value.problem and caught.value.word == word
    if nearest:
        assert caught.value.suggestion == nearest


# --- from rules to megaflows and back ------------------------------------------------------------------------

def test_rules_know_their_megaflows_and_megaflows_their_rules(kept):
    tcp, arp = kept.rules.find("tcp")[0], kept.rules.find("arp")[0]
    assert len(arp.megaflows) == 2 and [flow.match for flow in tcp.megaflows] == [kept.megaflows[0].match]
    assert [rule.number for rule in tcp.megaflows[0].rules] == [tcp.number]
    assert [flow.ufid for flow in kept.megaflows.find(rule=arp)] == [flow.ufid for flow in arp.megaflows]


def test_a_megaflow_names_its_groups_while_they_are_there(sw):
    sw.ofctl("add-group group_id=9,type=all,bucket=output:3")
    sw.ofctl("add-flow udp,actions=group:9")
    sw.ports["p1"].inject(TCP[:23] + b"\x11" + TCP[24:])
    walk(sw)
    flow = sw.megaflows.find("udp")[0]
    assert flow.groups == [9]
    sw.ofctl("del-groups group_id=9")
    assert flow.groups == []


def test_live_tables_complete_their_keys(kept):
    assert kept.megaflows._ipython_key_completions_() == [flow.ufid[:8] for flow in kept.megaflows]
    assert [repr(kept.megaflows[key]) for key in kept.megaflows._ipython_key_completions_()] == [repr(flow) for flow in kept.megaflows]
    assert [kept.fdb[key].mac for key in kept.fdb._ipython_key_completions_()] == ["02:00:00:00:00:01"] * 2
    assert repr(kept.megaflows) == "<3 megaflows in 3 subtables>"


def test_lookups_and_matches_of_a_table_are_counted(sw):
    assert "lookup=4, matched=4" in sw.ofctl("dump-tables")
    sw.ports["p1"].inject(bytes(60))
    walk(sw)
    assert "lookup=5, matched=4" in sw.ofctl("dump-tables")
