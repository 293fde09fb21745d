"""The rule table: what is found in it is what a scan of all rules finds, masks are sound, readers never see half a change."""
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.flow.actions import LAST, OUTPUT
from lab.flow.key import WORDS, key_t, put
from lab.flow.rules import best_rule
from lab.memory.arena import Arena
from lab.memory.ranges import Ranges
from lab.memory.record import NULL
from lab.openflow.actions import parse_actions
from lab.openflow.errors import CommandError
from lab.openflow.match import Match, parse_match
from lab.openflow.publish import COPIES
from lab.openflow.table import RuleTable
from lab.stages.regions import regions
from lab.stages.stage import stage
from tests.tempo import Tempo

PORTS = {"vm1": 1, "vm2": 2}
ALL = (1 << 64) - 1


def small_arena(rules=64, masks=8, acts=96):
    """An arena of just what a rule table needs."""
    group = {"head": 1, "subtables": masks, "slots": 256, "flows": rules}
    counts = {"rules": group, "rules_b": group, "acts": acts, "rule_stats": rules, "config": 1, "memory": 64,
              "megaflows": {"head": 1, "subtables": 4, "slots": 16, "flows": 8}}
    shapes = regions("small")
    return Arena({name: (shapes[name].shape, n, [0, 1] if name in ("rule_stats", "megaflows") else [None]) for name, n in counts.items()})


@pytest.fixture
def table():
    return RuleTable(small_arena())


def add(table, priority, match, actions="drop", **more):
    return table.add(priority, parse_match(match, PORTS), parse_actions(actions, PORTS), **more)


def record_of(words):
    record = key_t.view(bytearray(key_t.size), 0)
    for j, word in enumerate(words):
        record.w[j] = word
    return record


def ask(table, words, name=None):
    """(the rule that decides or None, the gathered mask) by the engine's own lookup."""
    wide = record_of([0] * WORDS)
    name = name or COPIES[table.arena.table("config")[0].active_rules]
    index = best_rule(table.arena.table(name), record_of(words), wide)
    return None if index == NULL else table.at(index), [int(word) for word in wide.w]


def scan(table, words):
    """The slow, obvious twin: the highest priority of all rules that take the key, or None."""
    return max((entry.priority for entry in table.entries.values() if entry.match.takes(words)), default=None)


def key_of(**values):
    words = [0] * WORDS
    for name, value in values.items():
        put(words, name, value)
    return words


def contents(table, name):
    """What a copy says: every rule in its chains, by match and priority."""
    rules, found = table.arena.table(name), []
    for at in range(len(rules.slots)):
        f = rules.slots[at].flow
        while f < len(rules.flows):
            flow = rules.flows[f]
            found.append((f, flow.priority, flow.number, flow.acts, flow.n_acts))
            f = flow.next
    return sorted(found)


def test_the_highest_priority_that_matches_decides(table):
    add(table, 1, "tcp", "output:vm1")
    high = add(table, 9, "tcp,tp_dst=80", "output:vm2")
    key = key_of(dl_type=0x800, nw_proto=6, tp_dst=80)
    assert ask(table, key)[0].number == high.number
    assert ask(table, key_of(dl_type=0x800, nw_proto=6, tp_dst=81))[0].priority == 1
    assert ask(table, key_of(dl_type=0x806))[0] is None


def test_a_lookup_stops_where_no_better_rule_can_be(table):
    add(table, 9, "tcp")
    add(table, 1, "dl_src=00:00:00:00:00:01")
    wide = ask(table, key_of(dl_type=0x800, nw_proto=6))[1]
    assert wide == list(parse_match("tcp").mask_words)


def test_rules_with_one_match_hang_in_one_chain_the_highest_first(table):
    numbers = {priority: add(table, priority, "arp").number for priority in (5, 9, 1, 7)}
    assert ask(table, key_of(dl_type=0x806))[0].number == numbers[9]
    table.delete(parse_match("arp"), strict=True, priority=9)
    assert ask(table, key_of(dl_type=0x806))[0].number == numbers[7]
    table.delete(parse_match("arp"), strict=True, priority=5)
    assert [rule.priority for rule in table] == [7, 1]
    assert len(contents(table, "rules")) == len(contents(table, "rules_b")) == 2


def test_a_rule_with_the_same_match_and_priority_replaces_and_counts_anew(table):
    first = add(table, 5, "tcp", "output:vm1")
    table.arena.array("rule_stats", 1)[first.index] = (7, 700, 3)
    assert (first.n_packets, first.n_bytes) == (7, 700)
    second = add(table, 5, "tcp", "output:vm2", cookie=8)
    assert len(table) == 1 and first.deleted and not second.deleted
    assert (second.n_packets, second.actions, second.cookie) == (0, "output:2", 8)
    assert repr(first) == "<rule 1, deleted: priority=5,tcp actions=output:1>"


def test_counters_are_summed_over_the_lanes_and_the_megaflows_that_live(table):
    rule = add(table, 5, "tcp", "output:vm1")
    for lane in (0, 1):
        table.arena.array("rule_stats", lane)[rule.index] = (3, 300, 50 * lane)
    flows = table.arena.array("megaflows", 1, "flows")
    for name, value in {"alive": 1, "rule": rule.index, "packets": 2, "bytes_": 128, "used": 90}.items():
        flows[name][4] = value
    table.clock = lambda: 2_000_090
    assert (rule.n_packets, rule.n_bytes) == (8, 728)
    assert (rule.duration, rule.idle) == (2.00009, 2.0)
    assert repr(rule) == "<rule 1: priority=5,tcp actions=output:1, 8 packets>"


def test_loose_deletion_takes_what_the_match_covers_and_strict_just_that_rule(table):
    for priority, match in ((1, "tcp"), (2, "tcp,tp_dst=80"), (3, "udp"), (4, "tcp,nw_src=10.0.0.0/8")):
        add(table, priority, match, "output:vm2" if priority == 2 else "output:vm1")
    assert table.delete(parse_match("tcp"), strict=True, priority=2) == 0
    assert [rule.priority for rule in table.find(parse_match("ip,nw_src=10.0.0.0/7"))] == [4]
    assert table.delete(out_port=2) == 1
    assert table.delete(parse_match("tcp")) == 2
    assert [rule.match for rule in table] == ["udp"]
    assert table.delete() == 1 and len(table) == 0


def test_other_actions_leave_the_counters(table):
    rule = add(table, 5, "tcp", "output:vm1")
    table.arena.array("rule_stats", 1)[rule.index]["packets"] = 4
    assert table.modify(parse_actions("output:2,output:1"), parse_match("tcp")) == 1
    assert (rule.actions, rule.n_packets) == ("output:2,output:1", 4)
    flow = table.arena.table(COPIES[table.arena.table("config")[0].active_rules]).flows[rule.index]
    assert [tuple(act) for act in table.arena.array("acts")[flow.acts:flow.acts + flow.n_acts].tolist()] == [
        (OUTPUT, 0, 2, 0, 0), (OUTPUT, LAST, 1, 0, 0)]


def test_actions_are_freed_only_when_every_reader_has_moved_on():
    arena, seen = small_arena(acts=4), []

    def settled():
        seen.append((arena.table("config")[0].active_rules, [tuple(row) for row in arena.array("acts")[["op", "arg"]][:2].tolist()]))
    table = RuleTable(arena, settled=settled)
    add(table, 1, "tcp", "output:1,output:2")
    table.delete()
    assert seen == [(1, [(1, 1), (1, 2)]), (0, [(1, 1), (1, 2)])]
    assert arena.table("config")[0].epoch == 2
    add(table, 1, "tcp", "1,1,1,1")
    with pytest.raises(CommandError, match="no room for 1 more actions"):
        add(table, 2, "udp", "1")
    with pytest.raises(CommandError, match="no room"):
        add(table, 1, "tcp", "1")  # the old actions must live until the new ones are published
    assert [rule.actions for rule in table] == ["output:1,output:1,output:1,output:1"]


def test_a_reader_sees_all_of_a_change_or_nothing():
    arena, answers = small_arena(), []
    table = RuleTable(arena)
    add(table, 1, "tcp", "output:1")
    key, udp = key_of(dl_type=0x800, nw_proto=6), key_of(dl_type=0x800, nw_proto=17)
    table.copies.settled = lambda: answers.extend((name, ask(table, key, name)[0], ask(table, udp, name)[0]) for name in COPIES)
    active = arena.table("config")[0].active_rules
    with table.change():
        table.delete(parse_match("tcp"))
        add(table, 1, "udp", "output:1")
    new, old = (answers[0], answers[1]) if active else (answers[1], answers[0])
    assert (new[1], new[2].match) == (None, "udp")
    assert old[2] is None, "the copy that readers may still have is not touched before they moved on"
    assert contents(table, "rules") == contents(table, "rules_b")


def test_a_failing_change_changes_nothing(table):
    add(table, 1, "tcp", "output:1")
    before = table.arena.bytes.tobytes(), list(table.entries), list(table._ranges.free), sorted(table._free)
    with pytest.raises(ZeroDivisionError), table.change():
        add(table, 2, "udp", "output:1,output:2")
        add(table, 1, "tcp", "output:2")
        table.modify(parse_actions("drop"))
        table.delete(parse_match("udp"))
        raise ZeroDivisionError
    assert (table.arena.bytes.tobytes(), list(table.entries), list(table._ranges.free), sorted(table._free)) == before
    with table.change():
        with pytest.raises(ZeroDivisionError), table.change():
            add(table, 3, "arp")
            raise ZeroDivisionError
        add(table, 4, "arp")
    assert [rule.priority for rule in table] == [4, 1]


def test_a_change_that_is_interrupted_leaves_a_true_table(table):
    for port in range(20):
        add(table, port, f"tcp,tp_dst={port}", "output:1")

    def interrupt():
        table.copies.settled = lambda: None
        raise KeyboardInterrupt
    table.copies.settled = interrupt
    with pytest.raises(KeyboardInterrupt):
        add(table, 9, "udp", "output:2")
    assert contents(table, "rules") == contents(table, "rules_b") and len(contents(table, "rules")) == 21
    assert ask(table, key_of(dl_type=0x800, nw_proto=17))[0].actions == "output:2"


def test_a_full_table_says_so_and_stays_as_it_was():
    table = RuleTable(small_arena(rules=3, masks=2))
    for port in (1, 2):
        add(table, 1, f"in_port={port}")
    add(table, 1, "arp")
    with pytest.raises(CommandError, match="the table is full: 3 rules"):
        add(table, 1, "in_port=3")
    table.delete(parse_match("in_port=1"))
    with pytest.raises(CommandError, match="2 different masks"):
        add(table, 1, "udp")
    add(table, 1, "in_port=4")
    assert [rule.match for rule in table] == ["in_port=2", "arp", "in_port=4"]


def test_many_rules_are_published_once(table):
    epoch = table.arena.table("config")[0].epoch
    with table.change():
        for port in range(64):
            add(table, port, f"tcp,tp_dst={port}", "output:1")
    assert table.arena.table("config")[0].epoch == epoch + 1
    assert contents(table, "rules") == contents(table, "rules_b") and len(contents(table, "rules")) == 64
    assert table.delete() == 64
    assert contents(table, "rules") == contents(table, "rules_b") == []


def test_a_fork_goes_its_own_way(table):
    add(table, 1, "tcp", "output:1")
    arena = small_arena()
    arena.bytes[:] = table.arena.bytes
    twin = RuleTable(arena, port_name={2: "vm2"}.get, like=table)
    add(twin, 2, "udp", "output:2")
    table.delete()
    assert (len(table), len(twin)) == (0, 2)
    assert ask(twin, key_of(dl_type=0x800, nw_proto=6))[0].actions == "output:1"
    assert [rule.actions for rule in twin] == ["output:vm2", "output:1"]
    assert ask(table, key_of(dl_type=0x800, nw_proto=6))[0] is None


def test_a_rule_is_found_by_its_record_without_a_look_at_the_others(table, monkeypatch):
    first, second = add(table, 1, "tcp", "output:1"), add(table, 2, "udp", "output:2")
    assert (table.at(first.index).number, table.at(second.index).number) == (first.number, second.number)
    assert table.at(second.index + 1) is None
    old = first.index
    table.delete(parse_match("tcp", PORTS))
    assert table.at(old) is None
    with table.change():
        third = add(table, 3, "icmp")
        assert table.at(third.index) is None  # no megaflow can name it yet
    assert table.at(third.index).number == third.number

    class Counted(dict):
        def values(self):
            raise AssertionError("it walked over all rules")

    monkeypatch.setattr(table, "entries", Counted(table.entries))
    assert table.at(second.index).number == second.number


def test_the_table_shows_itself(table):
    assert repr(table) == "<Rules: 0>" and "add-flow" in table.facts()["note"]
    add(table, 5, "in_port=vm1", "output:vm2")
    table.port_name = {1: "vm1", 2: "vm-2"}.get
    assert table.facts()["rows"] == [(1, 5, "in_port=vm1", 'output:"vm-2"', 0, 0)]
    assert table[1].text == 'priority=5,in_port=vm1 actions=output:"vm-2"'
    assert table._ipython_key_completions_() == [1] and 1 in table
    with pytest.raises(KeyError, match="no rule has number 7: they are 1"):
        table[7]


@given(st.lists(st.integers(0, 9), max_size=40))
def test_ranges_never_overlap_and_come_back_whole(sizes):
    ranges, held = Ranges(64), []
    for n in sizes:
        first = ranges.take(n)
        if first is None:
            assert all(room < n for _, room in ranges.free)
            if held:
                ranges.give(*held.pop(len(held) // 2))
        elif n:
            held.append((first, n))
        spans = sorted(held + ranges.free)
        assert sum(n for _, n in spans) == 64 and all(a + n == b for (a, n), (b, _) in pairwise(spans))
    for first, n in held:
        ranges.give(first, n)
    assert ranges.free == [(0, 64)]


# --- against the slow twin ----------------------------------------------------------------------

TCP = {"dl_type": 0x800, "nw_proto": 6}
FIELDS = {  # matches, and what makes a key that some of them take
    "in_port=1": {"in_port": 1}, "in_port=2": {"in_port": 2}, "tcp": TCP, "udp": {"dl_type": 0x800, "nw_proto": 17},
    "ip,nw_src=10.0.0.0/8": {"nw_src": 10 << 24}, "ip,nw_src=10.1.0.0/16": {"nw_src": 10 << 24 | 1 << 16},
    "tcp,tp_dst=80": {"tp_dst": 80}, "tcp,tp_dst=0x50/0xfff0": {"tp_dst": 85}, "": {}, "in_port=1,tcp": {}}
what_to_do = st.sampled_from(["add", "add", "add", "delete", "strict"])
changes = st.lists(st.tuples(what_to_do, st.sampled_from(list(FIELDS)), st.integers(0, 3)), max_size=24)


@st.composite
def keys(draw):
    words = [0] * WORDS
    for part in draw(st.lists(st.sampled_from(list(FIELDS.values())), max_size=5)):
        for name, value in part.items():
            put(words, name, value)
    return words


def carry_out(table, rows):
    for what, match, priority in rows:
        if what == "add":
            add(table, priority, match, "output:1")
        else:
            table.delete(parse_match(match), **({"strict": True, "priority": priority} if what == "strict" else {}))


@settings(max_examples=60)
@given(changes, st.lists(keys(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_what_is_found_is_what_a_scan_finds_and_the_mask_is_sound(rows, questions, chance):
    table = RuleTable(small_arena())
    carry_out(table, rows)
    assert contents(table, "rules") == contents(table, "rules_b")
    for words in questions:
        rule, wide = ask(table, words)
        assert (rule and rule.priority) == scan(table, words)
        assert rule is None or rule.entry.match.takes(words)
        for _ in range(4):
            other = [word ^ (chance.getrandbits(64) & ~mask & ALL) for word, mask in zip(words, wide, strict=True)]
            again, _ = ask(table, other)
            assert (again and again.number) == (rule and rule.number) and scan(table, other) == scan(table, words)


@stage(checked=False)
def ask_rules(keys, masks, rules, rules_b, config, lane):
    """Ask the rules for the first key, and leave their answer in the lane's `at`."""
    if config[0].active_rules == 0:
        lane[0].at = best_rule(rules, keys[0], masks[0])
    else:
        lane[0].at = best_rule(rules_b, keys[0], masks[0])


def test_both_tempos_find_the_same_rule_and_mask():
    tempo, chance = Tempo(), random.Random(1)
    table = RuleTable(tempo.arena)
    with table.change():
        for _ in range(60):
            carry_out(table, [("add", chance.choice(list(FIELDS)[:8]), chance.randrange(40))])
    found = set()
    for _ in range(40):
        words = [0] * WORDS
        for part in chance.sample(list(FIELDS.values()), 3):
            for name, value in part.items():
                put(words, name, value)
        tempo.array("keys")[0]["w"] = np.array(words, np.uint64)
        tempo.array("masks")[0]["w"] = 0
        tempo.both(ask_rules)
        index = tempo.table("lane")[0].at
        assert (None if index == NULL else table.at(index).priority) == scan(table, words)
        found.add(index)
    assert len(found) > 2


def test_a_match_of_everything_takes_everything(table):
    add(table, 0, "", "flood")
    rule, wide = ask(table, [ALL] * WORDS)
    assert (rule.number, wide) == (1, [0] * WORDS)
    assert Match().covers(parse_match("tcp")) and not parse_match("tcp").covers(Match())
