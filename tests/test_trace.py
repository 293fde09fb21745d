"""`ofproto/trace`: OVS's story line by line, a section for each recirculation, the ledger behind it; and nothing changes."""
import pytest
from real_ovs import MISSING, REASON, RealSwitch

from lab import Switch
from lab.openflow.errors import CommandError

TCP = "020000000002 020000000001 0800 4500002800010000400666cd0a0000010a000002 00140050000000000000000050022000917c0000".replace(" ", "")
MACS = "dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
RULES = """\
priority=10,tcp,in_port=1 actions=mod_nw_tos:4,resubmit(,1),output:3
priority=9,udp actions=clone(mod_nw_dst:10.0.0.9,output:2),dec_ttl,resubmit(,2)
priority=8,arp actions=normal
priority=8,icmp6 actions=normal
priority=7,icmp actions=group:1
priority=6,sctp actions=group:2
priority=5,mpls actions=pop_mpls:0x0800,dec_ttl,output:2
priority=4,ip,nw_proto=91 actions=drop
priority=4,ip,nw_proto=92 actions=group:3
priority=4,ip,nw_proto=93 actions=mod_vlan_vid:7,output:3,strip_vlan,flood
priority=4,ip,nw_proto=94 actions=load:5->reg1,move:reg1[]->reg2[],push:reg1[],pop:reg3[0..15],set_field:3->nw_ttl,resubmit(,5)
priority=4,ip,nw_proto=95 actions=resubmit(,6),resubmit(,7),output:3
priority=4,ip,nw_proto=96 actions=resubmit(,0)
priority=4,ip,nw_proto=97 actions=output:9,output:2,in_port
priority=4,ip,nw_proto=98 actions=note:01.02,exit,output:2
priority=4,ip,nw_proto=99 actions=controller,pop_queue,output:reg1[],output(port=3,max_len=100),all
priority=4,ip,nw_proto=100 actions=write_actions(mod_dl_src:02:00:00:00:00:07,output:3),goto_table:3
table=1,priority=3,tcp,tp_dst=80,nw_dst=10.0.0.0/8,cookie=0x55 actions=mod_vlan_vid:7,output:2
table=2 actions=normal
table=3 actions=mod_dl_dst:02:02:02:02:02:02
table=6 actions=resubmit(,8)
table=8 actions=resubmit(,9),2""".splitlines()
GROUPS = (
    "group_id=1,type=all,bucket=output:2,bucket=output:3",
    "group_id=2,type=select,bucket=output:2,bucket=output:3",
    "group_id=3,type=ff,bucket=watch_port:9,output:2,bucket=watch_port:3,output:3",
)
FLOWS = [
    f"in_port=1,tcp,{MACS},nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=80,nw_ttl=64,tcp_flags=syn|ack",
    f"in_port=1,tcp,{MACS},nw_dst=11.0.0.2,tp_dst=80,nw_ttl=64",
    "in_port=1,udp,nw_ttl=64",
    "in_port=1,udp,nw_ttl=1",
    "in_port=1,udp,nw_ttl=9,pkt_mark=7,dl_vlan=9",
    f"in_port=2,arp,{MACS},arp_op=1,arp_spa=10.0.0.1",
    "in_port=1,icmp6,icmpv6_type=135,nd_target=fe80::1,nw_ttl=255",
    "in_port=1,icmp6,icmpv6_type=1,dl_vlan=5,dl_vlan_pcp=2,dl_dst=01:80:c2:00:00:00",
    "in_port=2,icmp,icmp_type=8",
    f"in_port=2,mpls,{MACS},mpls_label=5,mpls_bos=1",
    *(f"in_port=2,ip,nw_proto={n},nw_ttl=64" for n in (91, 92, 93, 94, 95, 96, 97, 98, 99, 100)),
    "in_port=2,ip,nw_proto=94,nw_frag=first",
    "in_port=2,dl_type=0x1234",
]


@pytest.fixture(scope="module")
def sw():
    switch = Switch("br0", fail_mode="secure")
    for n in range(1, 5):
        switch.add_port(f"p{n}")
    for group in GROUPS:
        switch.ofctl(f"-O OpenFlow15 add-group {group}")
    for rule in RULES:
        switch.ofctl(f"{'-O OpenFlow11 ' * ('write_actions' in rule)}add-flow '{rule}'")
    yield switch
    switch.close()


def story(text):
    """What OVS tells as well: of the first pass, without the mask (which may be wider), the datapath's actions and the ledger."""
    first = text.split("\n\n\n====")[0].split("\n\nLedger:")[0]
    return [line for line in first.splitlines() if not line.startswith(("Megaflow:", "Datapath actions:", "Dropped:", "Translation"))]


# --- against OVS -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def ovs(tmp_path_factory):
    if MISSING:
        pytest.skip(REASON)
    with RealSwitch(tmp_path_factory.mktemp("ovs")) as real:
        for group in GROUPS:
            real.ofctl("add-group", group, options=("-OOpenFlow15",))
        for rule in RULES:
            real.ofctl("add-flow", rule, options=("-OOpenFlow11",) if "write_actions" in rule else ())
        yield real


def told_by(ovs, *words):
    return ovs.run("ovs-appctl", "-t", f"{ovs.folder}/ovs-vswitchd.ctl", "ofproto/trace", "br0", *words)


@pytest.mark.parametrize("flow", FLOWS)
def test_the_story_is_ovs_own_line_by_line(sw, ovs, flow):
    theirs = told_by(ovs, flow)
    assert theirs.startswith("Flow: "), theirs
    assert story(sw.appctl(f"ofproto/trace --no-names br0 {flow}")) == story(theirs)


def test_a_packet_in_hexadecimal_is_read_as_ovs_reads_it(sw, ovs):
    ours = sw.appctl(f"ofproto/trace --no-names br0 in_port=1 {TCP}")
    assert story(ours) == story(told_by(ovs, "in_port=1", TCP))
    assert "tp_src=20,tp_dst=80,tcp_flags=syn" in ours.splitlines()[0]


# --- literally ------------------------------------------------------------------------------------------

def test_mask_actions_and_ledger_stand_behind_the_story(sw):
    said = sw.appctl("ofproto/trace in_port=p1,tcp,nw_dst=10.0.0.2,tp_dst=80")
    assert said.replace(",nw_frag=no,tp_dst", ",tp_dst").split("Final flow: ")[1].splitlines()[1:3] == [
        "Megaflow: recirc_id=0,eth,tcp,in_port=p1,vlan_tci=0x0000/0x1000,nw_dst=10.0.0.0/8,tp_dst=80",
        "Datapath actions: set(ipv4(tos=0x4/0xfc)),push_vlan(vid=7,pcp=0),p2,p3"]
    rows = [line.split(None, 3) for line in said.split("Ledger:\n")[1].splitlines() if "nw_frag" not in line]
    assert [row[:2] for row in rows] == [
        ["in_port", "32"], ["recirc_id", "32"], ["dl_type", "16"], ["nw_proto", "8"], ["nw_dst", "8"], ["tp_dst", "16"], ["vlan_tci", "1"]]
    assert rows[5][3] == "table 1: rule priority=3,tcp,nw_dst=10.0.0.0/8,tp_dst=80 was found by its whole match"
    assert rows[6][3] == "table 1: action mod_vlan_vid:7"


def test_a_select_group_is_followed_behind_its_recirculation(sw):
    said = sw.appctl("ofproto/trace --no-names in_port=1,sctp,tp_src=7")
    first, again = said.split("\n\n\n" + "=" * 79 + "\n")
    assert "Datapath actions: hash(l4(0)),recirc(0x1)" in first
    title, _, rest = again.partition("\n" + "=" * 79 + "\n\n")
    assert title.startswith("recirc(0x1) - resume with dp_hash=0x")
    lines = rest.splitlines()
    assert lines[0].startswith(f"Flow: recirc_id=0x1,dp_hash={title.split('=')[1]},eth,sctp,in_port=1,")
    assert lines[4:6] == ["    thaw", "        Resuming from table 0"]
    bucket = lines[6].removeprefix("     -> using bucket ")
    assert lines[7:9] == [f"    bucket {bucket}", f"            output:{int(bucket) + 2}"]


def test_the_bucket_that_is_told_is_the_one_that_packets_take(sw):
    said = sw.appctl("ofproto/trace --no-names in_port=1,sctp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=7,tp_dst=9")
    told = said.rsplit("Datapath actions: ", 1)[1].splitlines()[0]
    sctp = bytes.fromhex("020000000002020000000001080045000020000100004084" + "0000" + "0a0000010a000002" + "00070009" + "00" * 8)
    for port in sw.ports.values():
        port.sent.clear()
    sw.ports["p1"].inject(sctp)
    while sw.step() is not None:
        pass
    assert [port.number for port in sw.ports.values() if len(port.sent)] == [int(told)]
    sw.appctl("dpctl/del-flows")


def test_both_answers_about_a_length_are_followed():
    switch = Switch("br0", fail_mode="secure")
    switch.add_port("p1"), switch.add_port("p2")
    switch.ofctl("add-flow ip,actions=check_pkt_larger(100)->reg0[0],resubmit(,7)")
    switch.ofctl("add-flow table=7,reg0=1,actions=output:p2")
    said = switch.appctl("ofproto/trace in_port=p1,ip")
    assert "Datapath actions: check_pkt_len(size=100,gt(recirc(0x1)),le(recirc(0x2)))" in said
    _, longer, other = said.split("\nrecirc(")
    assert longer.startswith("0x1) - the packet is longer than 100 B") and "Datapath actions: p2" in longer
    assert other.startswith("0x2) - the packet has 100 B at most") and " 7. No match.\n    drop" in other and "Dropped: " in other
    switch.close()


def test_an_action_in_a_bucket_is_named_by_its_bucket_in_the_ledger():
    switch = Switch("br0", fail_mode="secure")
    switch.add_port("p1"), switch.add_port("p2")
    switch.ofctl("add-group group_id=4,type=all,bucket=dec_ttl,output:p2")
    switch.ofctl("add-flow ip,actions=group:4")
    assert "table 0: action dec_ttl of bucket 0 of group 4" in switch.appctl("ofproto/trace in_port=p1,ip,nw_ttl=9")
    switch.close()


def test_nothing_changes(sw):
    before = bytes(sw.engine.arena.bytes)
    for flow in FLOWS:
        sw.appctl(f"ofproto/trace br0 {flow}")
    sw.appctl(f"ofproto/trace br0 in_port=1 {TCP}")
    assert not len(sw.megaflows) and not len(sw.fdb)
    after = bytes(sw.engine.arena.bytes)
    changed = {sw.engine.arena.name_of(at)[:3] for at in range(0, len(before), 4096) if before[at:at + 4096] != after[at:at + 4096]}
    assert {name for name, *_ in changed} <= {"ledger"}


# --- mistakes -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("line", "word", "problem", "nearest"), [
    ("ofproto/trace", "ofproto/trace", "needs a flow", ""),
    ("ofproto/trace br0 in_prt=1", "in_prt", "unknown field", "in_port"),
    ("ofproto/trace br0 in_port=p9", "p9", "unknown port", ""),
    ("ofproto/trace bro in_port=1", "bro", "no bridge", "br0"),
    ("ofproto/trace br0 in_port=1 01x", "01x", "in hexadecimal", ""),
    ("ofproto/trace br0 in_port=1 0102", "0102", "at least the 14 B", ""),
    ("ofproto/trace br0 in_port=1 tcp 00", "tcp", "a flow and a packet", ""),
    ("ofproto/trace br0 tp_dst=80", "tp_dst", "without its protocol", ""),
    ("ofproto/trace br0 reg1=4", "reg1=4", "no packet brings reg1", ""),
    ("ofproto/trace br0 in_port=1 --ct-next", "--ct-next", "no option", ""),
    ("ofproto/trcae br0 in_port=1", "ofproto/trcae", "no command", "ofproto/trace"),
])
def test_a_mistake_is_named(sw, line, word, problem, nearest):
    with pytest.raises(CommandError) as caught:
        sw.appctl(line)
    assert problem in caught.value.problem and caught.value.word == word
    if nearest:
        assert caught.value.suggestion == nearest


# --- sw.trace ---------------------------------------------------------------------------------------------------

def test_the_story_of_a_packet_has_its_ledgers(sw):
    told = sw.trace(bytes.fromhex(TCP), "p1")
    assert told.ledger.actions == "set(ipv4(tos=0x4/0xfc)),push_vlan(vid=7,pcp=0),p2,p3"
    assert [event.text for event in told.ledger.cause_of("tp_dst")] == [
        "table 1: rule priority=3,tcp,nw_dst=10.0.0.0/8,tp_dst=80 was found by its whole match"]
    assert told.outputs == {"p2": 1, "p3": 1} and len(told.ledgers) == 1
