"""The table of rules: what stands in it, how it is published, and that a change is whole or none, whatever comes between."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruled import PORTS, contents, give, match, ruled, small_arena, texts, true

from lab.flow.actions import CREDIT_RULE, CREDIT_TABLE
from lab.openflow.actions import parse_actions
from lab.openflow.errors import CommandError
from lab.openflow.publish import COPIES
from lab.openflow.rules.line import parse_rule
from lab.openflow.table import RuleTable
from lab.translate.ofact import O_GROUP, O_METER, O_OUTPUT


@pytest.fixture
def table():
    return ruled()


def ofacts(table, index):
    """(op, n) of a rule's actions as its record names them."""
    flow = table.arena.array(table.copies.used, None, "flows")[index]
    return table.arena.array("ofacts")[["op", "n"]][int(flow["acts"]):int(flow["acts"]) + int(flow["n_acts"])].tolist()


def test_a_rule_stands_in_both_copies_with_all_that_it_says(table):
    rule = give(table, "table=254,priority=7,cookie=0xfedcba9876543210,tcp,tp_dst=80,send_flow_rem actions=output:vm2,output:1")
    assert (rule.table, rule.priority, rule.cookie, rule.flags) == (254, 7, 0xFEDCBA9876543210, 5)
    assert true(table) and ofacts(table, rule.index) == [(O_OUTPUT, 2), (O_OUTPUT, 1)]
    assert table.arena.array("rules", None, "tables")["rules"][254] == 1


def test_many_rules_go_through_the_inbox_some_at_a_time_and_are_published_once(table):
    epoch = table.arena.table("config")[0].epoch
    with table.change():
        give(table, *(f"table={n % 5},priority={n},tcp,tp_dst={n} actions=output:1" for n in range(50)))
    assert table.arena.table("config")[0].epoch == epoch + 1 and len(table) == 50 and true(table)
    assert table.delete() == 50 and true(table)
    assert contents(table, "rules") == {}


def test_a_change_larger_than_the_table_is_worth_copies_the_table(table, monkeypatch):
    monkeypatch.setattr("lab.openflow.publish.COST", 1 << 40)
    give(table, "tcp actions=1", "udp actions=2")
    assert true(table)
    with table.change():
        table.delete("tcp")
        give(table, "arp actions=3")
    assert true(table) and texts(table) == ["udp actions=output:2", "arp actions=output:3"]


def test_a_rule_with_the_same_place_replaces_and_counts_anew(table):
    first = give(table, "priority=5,tcp actions=output:1")
    table.arena.array("rule_stats", 1)[first.index] = (7, 700, 3)
    assert (first.n_packets, first.n_bytes) == (7, 700)
    second = give(table, "priority=5,tcp,cookie=8 actions=output:2")
    assert len(table) == 1 and first.deleted and not second.deleted
    assert (second.n_packets, second.actions, second.cookie) == (0, "output:2", 8)
    assert repr(first) == "<rule 1, deleted: priority=5,tcp actions=output:1>"
    third = give(table, "table=1,priority=5,tcp actions=drop", "priority=6,tcp actions=drop")
    assert len(table) == 3 and third.priority == 6


def test_from_openflow_12_on_replacing_keeps_the_counters_unless_told(table):
    rule = give(table, "priority=5,tcp actions=output:1")
    table.arena.array("rule_stats", 1)[rule.index] = (7, 700, 3)
    again = give(table, "priority=5,tcp,idle_timeout=9 actions=output:2", version=12)
    assert (again.number, again.n_packets, again.actions, again.idle_timeout) == (rule.number, 7, "output:2", 9)
    assert true(table)
    assert give(table, "priority=5,tcp,reset_counts actions=output:2", version=12).n_packets == 0


def test_modifying_gives_other_actions_and_leaves_counters_timeouts_and_flags(table):
    rule = give(table, "cookie=5,idle_timeout=3,send_flow_rem,tcp actions=output:1")
    table.arena.array("rule_stats", 1)[rule.index]["packets"] = 4
    table.clock = lambda: 2_000_000
    table.carry_out(parse_rule("ip,idle_timeout=9 actions=output:2,output:1", PORTS, "modify"), 13)
    assert (rule.actions, rule.n_packets, rule.idle_timeout, rule.cookie) == ("output:2,output:1", 4, 3, 5)
    assert (rule.duration, rule.hard_age) == (2.0, 0) and true(table) and ofacts(table, rule.index) == [(O_OUTPUT, 2), (O_OUTPUT, 1)]
    table.carry_out(parse_rule("ip,reset_counts actions=output:3", PORTS, "modify"), 13)
    again = table.find()[0]
    assert (again.n_packets, again.duration, again.actions) == (0, 2.0, "output:3")


def test_rules_are_found_by_text_and_by_words(table):
    give(table, "table=3,cookie=0x15,tcp,tp_dst=80 actions=output:vm2", "table=3,tcp actions=drop", "cookie=0x25,udp actions=output:1",
         "arp actions=write_actions(output:2),goto_table:3")
    assert [rule.match for rule in table.table(3)] == ["tcp", "tcp,tp_dst=80"] or [rule.number for rule in table.table(3)] == [1, 2]
    assert [rule.number for rule in table.find("tcp,tp_dst=80")] == [1]
    assert [rule.number for rule in table.find("tcp,table=3,out_port=vm2")] == [1]
    assert [rule.number for rule in table.find(cookie=0x25)] == [3]
    assert [rule.number for rule in table.find(cookie=(5, 0xF))] == [3, 1]
    assert [rule.number for rule in table.find(out_port=2)] == [4, 1]
    assert repr(table.find("udp")) == "<1 rule: udp actions=output:1>" and repr(table.find("rarp")) == "<0 rules>"
    assert table.find("udp").facts()["rows"] == [(3, 0, 32768, "udp", "output:1", 0, 0)]
    assert repr(table) == "<Rules: 4 in 2 tables>"
    with pytest.raises(CommandError, match="unknown field 'tp_dts'"):
        table.find("tcp,tp_dts=80")


def test_groups_and_meters_stand_as_their_records_and_take_their_rules_with_them():
    gone = []
    records = {"group_record": {70: 3, 71: 4}.__getitem__, "meter_record": {9: 2}.__getitem__}
    table = ruled(**records, removed=lambda rule, reason: gone.append((rule.number, reason)))
    one = give(table, "tcp,send_flow_rem actions=meter:9,group:70")
    give(table, "udp actions=group:71")
    assert ofacts(table, one.index) == [(O_METER, 2), (O_GROUP, 3)]
    assert [rule.number for rule in table.find(out_group=71)] == [2]
    assert table.group_gone(70) == 1 and gone == [(1, "group delete")] and true(table)
    assert table.meter_gone(9) == 0 and len(table) == 1


def test_a_group_that_is_not_there_is_refused_and_nothing_changes(table):
    give(table, "tcp actions=1")
    for actions, what in (("group:7", "group 7"), ("meter:8,output:1", "meter 8")):
        with pytest.raises(CommandError, match=f"{what} does not exist"):
            give(table, f"udp actions={actions}")
    assert texts(table) == ["tcp actions=output:1"] and true(table)


def test_rules_that_asked_for_it_are_told_of_when_they_go_with_what_they_had_seen():
    told = []
    table = ruled(removed=lambda rule, reason: told.append((rule.match, reason, rule.n_packets, rule.n_bytes, rule.deleted)))
    rule = give(table, "tcp,send_flow_rem actions=1")
    give(table, "udp actions=1", "arp,send_flow_rem actions=1", "arp,send_flow_rem actions=2")
    assert told == []  # a rule in whose place another comes is not told of
    table.arena.array("rule_stats", 0)[rule.index] = (3, 180, 5)
    table.delete()
    assert told == [("tcp", "delete", 3, 180, True), ("arp", "delete", 0, 0, True)]


def test_counters_are_summed_over_the_lanes_and_the_megaflows_that_live(table):
    first, second = give(table, "tcp actions=1"), give(table, "udp actions=2")
    for lane in (0, 1):
        table.arena.array("rule_stats", lane)[first.index] = (3, 300, 50 * lane)
    megaflow(table, 1, 4, packets=2, bytes_=128, used=90,
             credits=[(CREDIT_RULE, first.index), (CREDIT_TABLE, 3), (CREDIT_RULE, second.index)])
    megaflow(table, 0, 1, packets=5, bytes_=500, used=70, credits=[(CREDIT_RULE, second.index)], acts=10)
    megaflow(table, 0, 2, packets=0, bytes_=0, used=99, credits=[(CREDIT_RULE, second.index)], acts=20)
    table.clock = lambda: 2_000_090
    assert (first.n_packets, first.n_bytes, second.n_packets, second.n_bytes) == (8, 728, 7, 628)
    assert (first.duration, first.idle, first.idle_age, second.seen.used) == (2.00009, 2.0, 2, 90)
    assert repr(first) == "<rule 1: tcp actions=output:1, 8 packets>"
    assert first.megaflows == [(1, 4)] and second.megaflows == [(0, 1), (0, 2), (1, 4)]
    lookups, matched = table.table_tally()
    assert (lookups[3], matched[3], lookups[0], matched[0]) == (2, 0, 9, 9)


def megaflow(table, lane, f, *, credits, acts=30, **values):
    """A megaflow with two actions and these credits behind them."""
    flow, acts_of = table.arena.array("megaflows", lane, "flows"), table.arena.array("acts", lane, "list")
    for name, value in {"alive": 1, "acts": acts, "n_acts": 2, "n_credits": len(credits), **values}.items():
        flow[name][f] = value
    for n, (op, arg) in enumerate(credits):
        acts_of["op"][acts + 2 + n], acts_of["arg"][acts + 2 + n] = op, arg


def test_a_reused_record_begins_at_zero(table):
    rule = give(table, "tcp actions=1")
    table.arena.array("rule_stats", 1)[rule.index] = (7, 700, 3)
    table.delete()
    assert give(table, "udp actions=1").index == rule.index and table.find()[0].seen == (0, 0, 0)


# --- whole or none --------------------------------------------------------------------------------

def test_a_failing_change_changes_nothing(table):
    give(table, "priority=1,tcp actions=output:1")
    before = dict(table.entries), contents(table, "rules"), list(table._room._ranges.free), sorted(table._room.indexes)
    with pytest.raises(ZeroDivisionError), table.change():
        give(table, "priority=2,udp actions=output:1,output:2", "priority=1,tcp actions=output:2")
        table.modify(parse_actions("drop"))
        table.delete("udp")
        raise ZeroDivisionError
    assert (table.entries, contents(table, "rules"), table._room._ranges.free, sorted(table._room.indexes)) == before and true(table)
    with table.change():
        with pytest.raises(ZeroDivisionError), table.change():
            give(table, "priority=3,arp actions=1")
            raise ZeroDivisionError
        give(table, "priority=4,arp actions=1")
    assert [rule.priority for rule in table] == [4, 1] and true(table)
    with pytest.raises(CommandError, match="overlap"):
        give(table, "priority=4,check_overlap actions=drop")


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["add", "replace", "modify", "delete", "move"]), max_size=12), st.integers(0, 30), st.booleans())
def test_wherever_a_change_is_interrupted_the_table_is_what_it_was_or_what_it_should_be(steps, moment, with_room):
    table = ruled(small_arena(rows=2 if with_room else 8))
    give(table, "priority=1,tcp actions=1", "priority=2,udp actions=2", "table=2,arp actions=drop")
    before, left = texts(table), [moment]

    def maybe(*_):
        left[0] -= 1
        if left[0] < 0:
            left[0] = 1 << 30
            raise KeyboardInterrupt
    settle, perform = table.copies.settled, table.copies.perform
    table.copies.settled = lambda: (maybe(), settle(), maybe())
    table.copies.perform = lambda stage: (maybe(), perform(stage), maybe())
    table.clock = lambda: maybe() or 0
    try:
        with table.change():
            for n, step in enumerate(steps):
                maybe()
                act(table, step, n)
        interrupted = False
    except KeyboardInterrupt:
        interrupted = True
    left[0] = 1 << 30
    after = texts(table)
    said = {f: row[:1] for f, row in contents(table, table.copies.used).items()}
    assert said == {entry.index: (entry.number,) for entry in table.entries.values()}, "cores read what people read"
    table.copies.catch_up()
    assert true(table)
    twin = ruled()
    give(twin, "priority=1,tcp actions=1", "priority=2,udp actions=2", "table=2,arp actions=drop")
    with twin.change():
        for n, step in enumerate(steps):
            act(twin, step, n)
    assert after == texts(twin) or (interrupted and after == before)
    give(table, "icmp actions=1")
    assert true(table)
    held = {i for entry in table.entries.values() for i in range(entry.first, entry.first + len(entry.actions.records))}
    free = {i for first, n in table._room._ranges.free for i in range(first, first + n)}
    assert not held & free and len(held) + len(free) == 96
    assert sorted([*table._room.indexes, *(entry.index for entry in table.entries.values())]) == list(range(64))


def act(table, step, n):
    if step == "add":
        give(table, f"priority={n},tcp,tp_dst={n} actions=output:1,output:2")
    elif step == "replace":
        give(table, "priority=1,tcp actions=output:3,output:4,output:5")
    elif step == "modify":
        table.modify(parse_actions(f"output:{n + 1}"), "ip")
    elif step == "move":
        table.delete("udp")
        give(table, "priority=2,udp actions=6")
    else:
        table.delete("tcp")


def test_actions_are_freed_only_when_every_reader_has_moved_on():
    arena, seen = small_arena(ofacts=4), []
    table = ruled(arena, settled=lambda: seen.append((arena.table("config")[0].active_rules, arena.array("ofacts")["n"][:2].tolist())))
    give(table, "tcp actions=output:1,output:2")
    table.delete()
    assert seen == [(1, [1, 2]), (0, [1, 2])] and arena.table("config")[0].epoch == 2
    give(table, "tcp actions=1,1,1,1")
    with pytest.raises(CommandError, match="no room for 1 more actions"):
        give(table, "udp actions=1")
    with pytest.raises(CommandError, match="no room"):
        give(table, "tcp actions=1")  # the old actions must live until the new ones are published
    assert texts(table) == ["tcp actions=output:1,output:1,output:1,output:1"]


def test_a_reader_sees_all_of_a_change_or_nothing(table):
    give(table, "tcp actions=1")
    seen, used = [], table.copies.used
    table.copies.settled = lambda: seen.append({name: [row[0] for row in contents(table, name).values()] for name in COPIES})
    with table.change():
        table.delete("tcp")
        give(table, "udp actions=1")
    assert seen == [{used: [1], table.copies.used: [2]}], "the copy that readers may still have is not touched before they moved on"
    assert true(table)


def test_a_full_table_says_so_and_stays_as_it_was():
    table = ruled(small_arena(rules=16, masks=2))
    give(table, *(f"in_port={port} actions=drop" for port in range(1, 16)), "arp actions=drop")
    with pytest.raises(CommandError, match="the table is full: 16 rules;"):
        give(table, "in_port=16 actions=drop")
    with pytest.raises(CommandError, match="the table is full: 15 rules, and 1 that go with this change"), table.change():
        table.delete("in_port=2")
        give(table, "in_port=16 actions=drop")
    with table.change():  # those that take another's place need no room
        give(table, *(f"in_port={port} actions={port}" for port in range(1, 16)))
    assert table.find("in_port=3")[0].actions == "output:3" and true(table)
    table.delete("in_port=1")
    with pytest.raises(CommandError, match="no room for another mask"):
        give(table, "udp actions=drop")
    assert len(table) == 15
    give(table, "in_port=16 actions=drop")
    assert len(table) == 16 and true(table)


def test_something_else_of_both_copies_is_edited_when_nobody_reads_it(table):
    give(table, "tcp actions=1")
    seen = []

    def write(name):
        seen.append((name, table.copies.used))
        table.arena.array(name, None, "groups")["number"][0] = 7
    used, other = table.copies.used, table.copies.idle
    table.copies.edit(write)
    assert seen == [(other, used), (used, other)] and true(table)
    assert [int(table.arena.array(name, None, "groups")["number"][0]) for name in COPIES] == [7, 7]


# --- looking ----------------------------------------------------------------------------------------

def test_a_fork_goes_its_own_way(table):
    give(table, "priority=1,tcp,idle_timeout=5 actions=output:1")
    arena = small_arena()
    arena.bytes[:] = table.arena.bytes
    twin = RuleTable(arena, port_name={2: "vm2"}.get, like=table)
    give(twin, "priority=2,udp actions=output:2")
    table.delete()
    assert (len(table), len(twin)) == (0, 2) and true(table) and true(twin)
    assert [rule.actions for rule in twin] == ["output:vm2", "output:1"] and len(twin.timed) == 1


def test_a_rule_is_found_by_its_record_without_a_look_at_the_others(table, monkeypatch):
    first, second = give(table, "tcp actions=1"), give(table, "udp actions=2")
    assert (table.at(first.index).number, table.at(second.index).number) == (first.number, second.number)
    assert table.at(second.index + 1) is None
    table.delete("tcp")
    assert table.at(first.index) is None
    with table.change():
        third = give(table, "icmp actions=1")
        assert table.at(third.index) is None  # no megaflow can name it yet
    assert table.at(third.index).number == third.number

    class Counted(dict):
        def values(self):
            raise AssertionError("it walked over all rules")

    monkeypatch.setattr(table, "entries", Counted(table.entries))
    assert table.at(second.index).number == second.number


def test_the_table_shows_itself(table):
    assert repr(table) == "<Rules: 0>" and "add-flow" in table.facts()["note"]
    give(table, "table=2,priority=5,in_port=vm1 actions=output:vm2")
    table.port_name = {1: "vm1", 2: "vm-2"}.get
    assert table.facts()["rows"] == [(1, 2, 5, "in_port=vm1", 'output:"vm-2"', 0, 0)]
    assert table[1].text == 'table=2,priority=5,in_port=vm1 actions=output:"vm-2"'
    assert table._ipython_key_completions_() == [1] and 1 in table
    with pytest.raises(KeyError, match="no rule has number 7: they are 1"):
        table[7]


def test_a_new_switch_has_one_rule_that_switches_normally(table):
    rule = table.add_default()
    assert rule.text == "priority=0 actions=NORMAL" and rule.match == "" and true(table)


def test_add_takes_matches_and_actions_as_text_or_as_they_were_read(table):
    table.add(5, "tcp,tp_dst=80", "output:vm2", 7, table=3, hard_timeout=4)
    table.add(5, match("udp"), parse_actions("drop"))
    assert texts(table) == ["priority=5,udp actions=drop", "table=3,priority=5,tcp,tp_dst=80,hard_timeout=4 actions=output:2"]
    assert np.count_nonzero(table.arena.array("rules", None, "flows")["alive"]) == 2
