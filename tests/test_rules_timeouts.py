"""Rules that end by themselves: after idle seconds or hard ones, on the engine's clock, and what is told of it."""
import pytest
from ruled import give, ruled, true

from lab.openflow.rules.orders import MODIFY, Order


@pytest.fixture
def timed():
    """A table, its clock in a list, and what was told."""
    clock, told = [0], []
    table = ruled(clock=lambda: clock[0], removed=lambda rule, reason: told.append((rule.match, reason, rule.n_packets)))
    return table, clock, told


def test_an_idle_rule_goes_when_its_seconds_have_passed_and_not_before(timed):
    table, clock, told = timed
    rule = give(table, "tcp,idle_timeout=5,send_flow_rem actions=1")
    clock[0] = 5_000_000
    assert table.expire() == [] and rule.idle == 5
    clock[0] += 1
    assert [(gone.match, why) for gone, why in table.expire()] == [("tcp", "idle timeout")]
    assert rule.deleted and told == [("tcp", "idle timeout", 0)] and true(table) and table.expire() == []


def test_packets_keep_an_idle_rule(timed):
    table, _, told = timed
    rule = give(table, "tcp,idle_timeout=5,send_flow_rem actions=1")
    table.arena.array("rule_stats", 1)[rule.index] = (3, 180, 4_000_000)
    assert table.expire(9_000_000) == []
    gone, why = table.expire(9_000_001)[0]
    assert (why, gone.n_packets, told) == ("idle timeout", 3, [("tcp", "idle timeout", 3)])


def test_a_hard_rule_goes_whatever_packets_come_and_modifying_begins_its_time_anew(timed):
    table, clock, _ = timed
    rule = give(table, "tcp,hard_timeout=2,idle_timeout=9 actions=1")
    table.arena.array("rule_stats", 1)[rule.index]["used"] = 1_900_000
    clock[0] = 1_000_000
    table.carry_out(Order(MODIFY, rule.entry.match, rule.entry.actions))
    assert table.expire(3_000_000) == []
    assert [(gone.number, why) for gone, why in table.expire(3_000_001)] == [(1, "hard timeout")]


def test_the_hard_reason_counts_when_both_are_over(timed):
    table, _, _ = timed
    give(table, "tcp,hard_timeout=1,idle_timeout=1 actions=1", "udp,idle_timeout=0,hard_timeout=0 actions=1")
    assert [(gone.match, why) for gone, why in table.expire(10_000_000)] == [("tcp", "hard timeout")]
    assert [rule.match for rule in table] == ["udp"] and table.timed == []


def test_a_rule_whose_timeout_is_taken_away_stays(timed):
    table, _, _ = timed
    give(table, "tcp,hard_timeout=1 actions=1")
    give(table, "tcp actions=1", version=13)  # replaces it, and has no timeout
    assert table.timed == [] and table.expire(9_000_000) == [] and len(table) == 1
