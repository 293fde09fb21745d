"""Groups: how they are written and printed, what stands in both copies of the records, what cannot be done."""
import shutil
import subprocess

import pytest

from lab.flow.actions import CREDIT_BUCKET, CREDIT_GROUP
from lab.openflow.errors import CommandError
from lab.openflow.group_text import ADD_OR_MODIFY, DELETE, INSERT, MODIFY, REMOVE, parse_group
from lab.openflow.groups import Groups
from lab.openflow.rules.line import parse_rule
from lab.translate.ofact import ALL, FAST_FAILOVER, INDIRECT, O_GROUP, O_OUTPUT, O_POP_VLAN, SELECT
from lab.translate.records import WATCHES_NOTHING
from tests.grouped import PORTS, World, small_arena

NOTHING = WATCHES_NOTHING


@pytest.fixture
def world():
    return World()


def same(world):
    """What both copies say, which must be the same."""
    first, second = world.records("rules"), world.records("rules_b")
    assert first == second
    return first


def wrong(call):
    with pytest.raises(CommandError) as caught:
        call()
    return caught.value


def rule(world, text):
    world.rules.carry_out(parse_rule(text, PORTS))


# --- what is written ------------------------------------------------------------------------------

WRITTEN = (
    "group_id=1,type=all,bucket=bucket_id:0,actions=output:1",
    "group_id=0,type=all",
    "group_id=2,type=select,bucket=bucket_id:0,weight:50,actions=mod_nw_dst:10.0.0.1,output:1,bucket=bucket_id:7,actions=output:2",
    "group_id=3,type=ff,bucket=bucket_id:0,watch_port:1,actions=output:1,bucket=bucket_id:1,watch_group:1,actions=output:2",
    "group_id=4,type=indirect,bucket=bucket_id:0,actions=drop",
    "group_id=5,type=select,selection_method=hash,selection_method_param=3,fields(ip_src,ip_dst),bucket=bucket_id:3,weight:2,actions=output:1",
    "group_id=6,type=select,selection_method=hash,fields=tcp_src,bucket=bucket_id:0,weight:0,actions=output:1",
    "group_id=7,type=select,selection_method=dp_hash,bucket=bucket_id:0,actions=group:1",
)


@pytest.mark.parametrize("line", WRITTEN)
def test_a_group_is_printed_as_it_may_be_written(line, world):
    world.give(line)
    assert world.texts() == [line]


@pytest.mark.parametrize(("line", "printed"), [
    ("group_id=1 type=all bucket=output:vm1 bucket=vm2",
     "group_id=1,type=all,bucket=bucket_id:0,actions=output:1,bucket=bucket_id:1,actions=output:2"),
    ("group_id=3,type=fast_failover,bucket=output:1,watch_port=vm2", "group_id=3,type=ff,bucket=bucket_id:0,watch_port:2,actions=output:1"),
    ("group_id=2,type=select,bucket=bucket_id:1,output:1,bucket=output:2",
     "group_id=2,type=select,bucket=bucket_id:1,actions=output:1,bucket=bucket_id:0,actions=output:2"),
    ("group_id=0x10,type=all,bucket=output(port=1,max_len=100)",
     "group_id=16,type=all,bucket=bucket_id:0,actions=output(port=1,max_len=100)"),
    ("group_id=9,type=select,selection_method=hash,fields(nw_dst,dl_src),bucket=output:1",
     "group_id=9,type=select,selection_method=hash,fields(eth_src,ip_dst),bucket=bucket_id:0,actions=output:1"),
])
def test_other_spellings_mean_the_same(line, printed, world):
    world.give(line)
    assert world.texts() == [printed]


def test_versions_without_bucket_ids_do_not_print_them(world):
    world.give(WRITTEN[5], WRITTEN[0])
    assert world.groups[5].show(version=13) == "group_id=5,type=select,bucket=weight:2,actions=output:1"
    assert world.groups[1].show({1: "vm1"}.get, version=13) == "group_id=1,type=all,bucket=actions=output:vm1"


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="ovs-ofctl is not installed")
@pytest.mark.parametrize("line", WRITTEN)
def test_ovs_understands_and_prints_the_same(line, world):
    done = subprocess.run(["ovs-ofctl", "-O", "OpenFlow15", "parse-group", line], capture_output=True, text=True)
    world.give(line)
    (group,) = world.groups.values()
    assert done.stdout.splitlines()[-1] == f" ADD {group.show(version=15)}", done.stderr


MISTAKES = (
    ("group_id=1,type=al,bucket=output:1", "al", "all"),
    ("group_id=1,bucket=output:1", "group_id=1,bucket=output:1", ""),
    ("type=all,bucket=output:1", "type=all,bucket=output:1", ""),
    ("group_id=x,type=all,bucket=output:1", "x", ""),
    ("group_id=4294967041,type=all", "4294967041", ""),
    ("group_id=all,type=all", "all", ""),
    ("group_id=1,tpye=all", "tpye", "type"),
    ("group_id=1,type=all,type=ff", "type", ""),
    ("group_id=1,type=all,command_bucket_id=1", "command_bucket_id", ""),
    ("group_id=1,type=all,bucket=weight:2,output:1", "2", ""),
    ("group_id=1,type=select,bucket=weight:65536,output:1", "65536", ""),
    ("group_id=1,type=all,bucket=", "bucket", ""),
    ("group_id=1,type=all,bucket=noraml", "noraml", "normal"),
    ("group_id=1,type=all,bucket=actions=ouput:1", "ouput", "output"),
    ("group_id=1,type=all,bucket=goto_table:2", "goto_table", ""),
    ("group_id=1,type=ff,bucket=output:1", "bucket", ""),
    ("group_id=1,type=ff,bucket=watch_port:vm3,output:1", "vm3", "vm2"),
    ("group_id=1,type=ff,bucket=watch_port:65280,output:1", "65280", ""),
    ("group_id=1,type=all,bucket=watch_port:1,output:1", "bucket", ""),
    ("group_id=1,type=indirect,bucket=output:1,bucket=output:2", "bucket", ""),
    ("group_id=1,type=indirect", "indirect", ""),
    ("group_id=1,type=all,selection_method=hash,bucket=output:1", "hash", ""),
    ("group_id=1,type=select,selection_method=dphash,bucket=output:1", "dphash", "dp_hash"),
    ("group_id=1,type=select,selection_method=dp_hash,fields(ip_src)", "ip_src", ""),
    ("group_id=1,type=select,selection_method_param=1", "1", ""),
    ("group_id=1,type=select,selection_method=hash,fields(ip_scr)", "ip_scr", "ip_src"),
    ("group_id=1,type=select,selection_method=hash,fields(ip_src,nw_src)", "nw_src", ""),
    ("group_id=1,type=select,selection_method=hash,fields(ip_src=255.0.0.0)", "255.0.0.0", ""),
    ("group_id=1,type=all,bucket=bucket_id:1,output:1,bucket=bucket_id:1,output:2", "1", ""),
    ("group_id=1,type=all,bucket:output:1", "bucket", ""),
)


@pytest.mark.parametrize(("line", "word", "right"), MISTAKES)
def test_a_mistake_is_pointed_at_and_changes_nothing(line, word, right, world):
    error = wrong(lambda: world.give("group_id=8,type=all,bucket=output:1", line))
    assert (error.word, error.suggestion) == (word, right)
    assert error.command == line and line[error.position:error.position + len(word)] == word
    assert world.texts() == [] and same(world) == {}
    assert world.arena.table("config")[0].epoch == 0


# --- what stands in the records ---------------------------------------------------------------------


def test_both_copies_say_what_the_groups_say(world):
    world.give("group_id=1,type=all,bucket=output:1,strip_vlan", "group_id=2,type=indirect,bucket=group:1")
    world.give("group_id=3,type=select,bucket=weight:9,output:2", "group_id=4,type=ff,bucket=watch_port:2,watch_group:1,output:2")
    assert same(world) == {
        1: (ALL, [(1, NOTHING, NOTHING, [(O_POP_VLAN, 0), (O_OUTPUT, 1)])]),
        2: (INDIRECT, [(1, NOTHING, NOTHING, [(O_GROUP, world.groups.record(1))])]),
        3: (SELECT, [(9, NOTHING, NOTHING, [(O_OUTPUT, 2)])]),
        4: (FAST_FAILOVER, [(1, 2, world.groups.record(1), [(O_OUTPUT, 2)])]),
    }


def test_a_group_that_is_not_there_is_led_to_nowhere_until_it_comes(world):
    world.give("group_id=1,type=all,bucket=group:9", "group_id=2,type=ff,bucket=watch_group:9,output:1")
    assert same(world)[1][1] == [(1, NOTHING, NOTHING, [])] and same(world)[2][1] == [(1, 0, NOTHING, [(O_OUTPUT, 1)])]
    world.give("group_id=9,type=all,bucket=output:2")
    nine = world.groups.record(9)
    assert same(world)[1][1] == [(1, NOTHING, NOTHING, [(O_GROUP, nine)])] and same(world)[2][1] == [(1, NOTHING, nine, [(O_OUTPUT, 1)])]
    world.give("group_id=9", what=DELETE)
    assert same(world)[1][1] == [(1, NOTHING, NOTHING, [])]


def test_groups_may_lead_in_a_circle(world):
    world.give("group_id=1,type=all,bucket=group:2", "group_id=2,type=all,bucket=group:1")
    assert [bucket[3] for _, buckets in same(world).values() for bucket in buckets] == [
        [(O_GROUP, world.groups.record(2))], [(O_GROUP, world.groups.record(1))]]


def test_readers_see_a_whole_group_at_every_moment(world):
    seen = []
    around = World(small_arena(), settled=lambda: seen.append(around.records(around.rules.copies.used)))
    around.give("group_id=1,type=all,bucket=output:1")
    around.give("group_id=1,type=all,bucket=output:2", what=MODIFY)
    assert [said[1][1][0][3] for said in seen] == [[(O_OUTPUT, 1)], [(O_OUTPUT, 2)]]


def test_rooms_are_given_back(world):
    before = list(world.groups.ofacts.free), list(world.groups._buckets.free)
    for _ in range(20):
        world.give("group_id=1,type=all,bucket=output:1,strip_vlan,bucket=output:2")
        world.give("group_id=1,type=all,bucket=output:2", what=MODIFY)
        world.give("group_id=1", what=DELETE)
    assert (world.groups.ofacts.free, world.groups._buckets.free) == before


def test_limits_are_told(world):
    for number in range(6):
        world.give(f"group_id={number},type=all,bucket=output:1")
    assert "room for 6 groups" in wrong(lambda: world.give("group_id=7,type=all")).problem
    assert "no room for 13 buckets" in wrong(lambda: world.give("group_id=1,type=all" + 13 * ",bucket=output:1", what=MODIFY)).problem
    assert len(world.groups) == 6 and len(same(world)) == 6


# --- what is done to them ----------------------------------------------------------------------------


def test_a_group_that_is_there_is_not_added_and_one_that_is_not_is_not_changed(world):
    world.give("group_id=12,type=all,bucket=output:1")
    assert "already" in (error := wrong(lambda: world.give("group_id=12,type=ff"))).problem and error.word == "12"
    error = wrong(lambda: world.give("group_id=21,type=all", what=MODIFY))
    assert (error.problem, error.suggestion) == ("there is no group 21", "12")
    world.give("group_id=21,type=all", what=ADD_OR_MODIFY)
    world.give("group_id=12,type=all", what=ADD_OR_MODIFY)
    assert world.texts() == ["group_id=12,type=all", "group_id=21,type=all"]


def test_a_group_keeps_its_record_when_it_changes(world):
    world.give("group_id=1,type=all,bucket=output:1")
    rule(world, "actions=group:1")
    record = world.groups.record(1)
    world.give("group_id=1,type=select,bucket=output:2", what=MODIFY)
    assert world.groups.record(1) == record and world.groups.of_record(record).number == 1
    assert same(world) == {1: (SELECT, [(1, NOTHING, NOTHING, [(O_OUTPUT, 2)])])}


def test_the_rules_that_use_a_group_go_with_it(world):
    world.give("group_id=1,type=all,bucket=output:1", "group_id=2,type=all,bucket=output:1")
    rule(world, "tcp,actions=group:1")
    rule(world, "udp,actions=group:2")
    rule(world, "arp,actions=output:1")
    assert world.groups[1].users == 1
    world.give("group_id=1", what=DELETE)
    assert sorted(r.text for r in world.rules) == ["arp actions=output:1", "udp actions=group:2"]
    world.give("", what=DELETE)
    assert len(world.rules) == 1 and len(world.groups) == 0 and same(world) == {}
    world.give("group_id=77", what=DELETE)


def test_a_rule_needs_its_group(world):
    assert "there is no group 3" in wrong(lambda: rule(world, "actions=group:3")).problem
    assert len(world.rules) == 0


def test_buckets_come_and_go_by_their_ids(world):
    world.give("group_id=1,type=all,bucket=output:1")
    world.give("group_id=1,command_bucket_id=last,bucket=bucket_id:9,output:1", what=INSERT)
    world.give("group_id=1,command_bucket_id=first,bucket=bucket_id:8,output:1", what=INSERT)
    world.give("group_id=1,command_bucket_id=9,bucket=bucket_id:10,output:1,bucket=output:2", what=INSERT)
    assert [bucket.number for bucket in world.groups[1].buckets] == [8, 0, 9, 10, 1]
    error = wrong(lambda: world.give("group_id=1,command_bucket_id=33,bucket=output:1", what=INSERT))
    assert (error.word, error.problem) == ("33", "group 1 has no bucket 33: it has 8, 0, 9, 10, 1")
    assert wrong(lambda: world.give("group_id=1,command_bucket_id=last,bucket=bucket_id:9,output:1", what=INSERT)).word == "9"
    assert wrong(lambda: world.give("group_id=1,command_bucket_id=all,bucket=output:1", what=INSERT)).word == "all"
    assert wrong(lambda: world.give("group_id=1,bucket=output:1", what=INSERT)).problem.startswith("it needs a command_bucket_id")
    for place, left in (("first", [0, 9, 10, 1]), ("last", [0, 9, 10]), ("9", [0, 10]), ("all", [])):
        world.give(f"group_id=1,command_bucket_id={place}", what=REMOVE)
        assert [bucket.number for bucket in world.groups[1].buckets] == left
    assert wrong(lambda: world.give("group_id=1,command_bucket_id=5", what=REMOVE)).word == "5"
    assert same(world) == {1: (ALL, [])}


# --- what they have seen -------------------------------------------------------------------------------


def credit(world, lane, f, packets, credits):
    """A living megaflow that has seen packets and owes them to whom its credits name."""
    flow, acts = world.arena.array("megaflows", lane, "flows")[f:f + 1], world.arena.array("acts", lane, "list")
    flow["alive"], flow["packets"], flow["bytes_"], flow["acts"], flow["n_acts"] = 1, packets, 60 * packets, 8 * f, 0
    flow["n_credits"] = len(credits)
    for at, (op, arg) in enumerate(credits, 8 * f):
        acts["op"][at], acts["arg"][at] = op, arg


def test_a_group_counts_what_all_lanes_have_seen_and_what_megaflows_owe(world):
    world.give("group_id=1,type=all,bucket=output:1,bucket=output:2")
    record, first = world.groups.record(1), world.groups._placed[1].first
    for lane in (0, 1):
        world.arena.array("group_stats", lane)["packets"][record] = 3
        world.arena.array("bucket_stats", lane)["packets"][first + 1] = 2
    credit(world, 1, 2, 10, [(CREDIT_GROUP, record), (CREDIT_BUCKET, first + 1)])
    group = world.groups[1]
    assert (group.packets, group.bytes) == (16, 600)
    assert [(b.packets, b.bytes) for b in group.buckets] == [(0, 0), (14, 600)]
    assert repr(group) == "<group 1: all, 2 buckets, 16 packets>"
    assert repr(group.buckets[1]) == "<bucket 1 of group 1: output:2, 14 packets>"


def test_buckets_that_stay_go_on_counting_and_a_changed_group_begins_anew(world):
    world.give("group_id=1,type=all,bucket=output:1")
    world.arena.array("group_stats", 1)["packets"][world.groups.record(1)] = 5
    world.arena.array("bucket_stats", 1)["packets"][world.groups._placed[1].first] = 5
    world.give("group_id=1,command_bucket_id=first,bucket=output:2", what=INSERT)
    assert (world.groups[1].packets, [b.packets for b in world.groups[1].buckets]) == (5, [0, 5])
    world.give("group_id=1,type=all,bucket=output:1", what=MODIFY)
    assert (world.groups[1].packets, [b.packets for b in world.groups[1].buckets]) == (0, [0])
    world.arena.array("group_stats", 1)["packets"][world.groups.record(1)] += 2
    assert world.groups[1].packets == 2


def test_a_bucket_is_live_with_its_port_or_group(world):
    world.give("group_id=1,type=ff,bucket=watch_port:1,output:1,bucket=watch_port:9,output:2,bucket=watch_group:2,output:1",
               "group_id=2,type=ff,bucket=watch_port:2,output:1")
    assert [bucket.live for bucket in world.groups[1].buckets] == [True, False, True]
    world.arena.array("ports")["up"][1:3] = 0
    assert [bucket.live for bucket in world.groups[1].buckets] == [False, False, False]


def test_groups_are_a_mapping_that_tells_what_there_is(world):
    assert repr(world.groups) == "<Groups: none>" and "add-group" in world.groups.facts()["note"]
    world.give("group_id=5,type=all,bucket=output:1", "group_id=2,type=select,bucket=output:1")
    assert list(world.groups) == [2, 5] and repr(world.groups) == "<Groups: 2 select, 5 all>"
    assert world.groups._ipython_key_completions_() == [2, 5]
    with pytest.raises(KeyError, match="they are 2, 5"):
        world.groups[7]
    gone = world.groups[5]
    world.give("group_id=5", what=DELETE)
    assert gone.deleted and repr(gone) == "<group 5, deleted: group_id=5,type=all,bucket=bucket_id:0,actions=output:1>"
    assert world.groups.facts()["rows"] == [[2, "select", 1, 0, 0, 0]]


def test_a_fork_has_the_groups_and_goes_its_own_way(world):
    world.give("group_id=1,type=all,bucket=output:1")
    twin = Groups(world.rules, like=world.groups)
    free = list(twin.ofacts.free)
    world.give("group_id=2,type=all,bucket=output:1")
    assert list(twin) == [1] and twin.ofacts.free == free != world.groups.ofacts.free


def test_a_line_that_is_parsed_says_what_it_is():
    order = parse_group("group_id=1,type=all,bucket=output:1")
    assert (order.what, order.number, order.kind, len(order.buckets)) == ("add", 1, ALL, 1)
