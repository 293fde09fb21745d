"""A table of rules alone in a small arena, for the tests of rules: stage `enter` runs as plain Python, nobody reads."""
from lab.memory.arena import Arena
from lab.openflow.matching.match import parse_match
from lab.openflow.publish import COPIES
from lab.openflow.rules.line import parse_rule
from lab.openflow.table import RuleTable
from lab.stages.regions import OTHER_OFACTS, regions

PORTS = {"vm1": 1, "vm2": 2}
NAMES = {number: name for name, number in PORTS.items()}


def small_arena(rules=64, masks=16, ofacts=96, rows=8):
    """An arena of just what a rule table needs, with two lanes."""
    group = {"head": 1, "tables": 255, "subtables": masks, "slots": 256, "flows": rules, "partials": 512, "nodes": 2048, "groups": 4,
             "buckets": 4}
    counts = {"memory": 64, "rules": group, "rules_b": group, "ofacts": ofacts + OTHER_OFACTS, "inbox": rows, "config": 1,
              "rule_stats": rules, "table_stats": 255,
              "megaflows": {"head": 1, "subtables": 4, "slots": 16, "flows": 8}, "acts": {"head": 1, "list": 64}}
    shapes, of_lanes = regions("small"), ("rule_stats", "table_stats", "megaflows", "acts")
    return Arena({name: (shapes[name].shape, n, [0, 1] if name in of_lanes else [None]) for name, n in counts.items()})


def ruled(arena=None, **around):
    """A table of rules whose ports are vm1 and vm2."""
    return RuleTable(arena or small_arena(), ports=lambda: PORTS, **around)


def give(table, *lines, version=10):
    """Add rules as add-flow does; the last one."""
    for line in lines:
        table.carry_out(parse_rule(line, PORTS), version)
    return table[max(table.entries)] if table.entries else None


def texts(table):
    """What rules there are, table by table, the highest priority first."""
    return [rule.text for rule in table]


def contents(table, name):
    """What a copy says: every rule, its actions and its match."""
    flows, subtables = table.arena.array(name, None, "flows"), table.arena.array(name, None, "subtables")
    said = ("number", "table", "priority", "acts", "n_acts", "cookie", "marks")
    return {int(f): (*(int(flows[f][key]) for key in said), flows[f]["w"].tobytes(), subtables[flows[f]["subtable"]]["mask"].tobytes())
            for f in flows["alive"].nonzero()[0]}


def wanted(table):
    """What the copies should say."""
    return {entry.index: (entry.number, entry.table, entry.priority, entry.first, len(entry.actions.records), entry.cookie, entry.flags,
                          entry.match.bytes[1], entry.match.bytes[0]) for entry in table.entries.values()}


def true(table):
    """Whether both copies say just what the table says."""
    return contents(table, COPIES[0]) == contents(table, COPIES[1]) == wanted(table)


def match(text):
    """The match of a text."""
    return parse_match(text, PORTS)
