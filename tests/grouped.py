"""Rules, groups and meters in a small arena with two ports, for the tests of groups and meters: nobody reads."""
from lab.memory.arena import Arena
from lab.openflow.group_text import ADD, parse_group
from lab.openflow.groups import Groups
from lab.openflow.meters import Meters
from lab.openflow.table import RuleTable
from lab.stages.regions import OTHER_OFACTS, regions

PORTS = {"vm1": 1, "vm2": 2}


def small_arena(groups=6, buckets=12, meters=3):
    """An arena of just what rules, groups and meters need, with two lanes."""
    table = {"head": 1, "tables": 255, "subtables": 16, "slots": 256, "flows": 64, "partials": 512, "nodes": 2048, "groups": groups,
             "buckets": buckets}
    counts = {"memory": 64, "rules": table, "rules_b": table, "ofacts": OTHER_OFACTS + 96, "inbox": 8, "config": 1, "rule_stats": 64,
              "table_stats": 255, "megaflows": {"head": 1, "subtables": 4, "slots": 16, "flows": 8}, "acts": {"head": 1, "list": 64},
              "group_stats": groups, "bucket_stats": buckets, "meters": meters, "meter_state": meters, "ports": 64}
    shapes = regions("small")
    of_lanes = ("rule_stats", "table_stats", "megaflows", "acts", "group_stats", "bucket_stats", "meter_state")
    return Arena({name: (shapes[name].shape, n, [0, 1] if name in of_lanes else [None]) for name, n in counts.items()})


class World:
    """Rules with their groups and meters; `now` is the time in microseconds."""

    def __init__(self, arena=None, **around):
        self.now, self.arena = 0, arena or small_arena()
        self.rules = RuleTable(self.arena, ports=lambda: PORTS, clock=lambda: self.now, group_record=lambda n: self.groups.record(n),
                               meter_record=lambda n: self.meters.record(n), **around)
        self.groups, self.meters = Groups(self.rules), Meters(self.rules)
        ports = self.arena.array("ports")
        ports["kind"][1:3], ports["up"][1:3] = 1, 1

    def give(self, *lines, what=ADD):
        """Carry out lines on groups, all at once."""
        orders = [parse_group(line, PORTS, what) for line in lines]
        with self.groups.change() as plan:
            for order in orders:
                plan.carry_out(order)

    def texts(self):
        """The groups as dump-groups prints them."""
        return [group.text for group in self.groups.values()]

    def records(self, name):
        """What a copy says: {number: (kind, [(weight, port, group, [(op, n)])])}."""
        groups, buckets = (self.arena.array(name, None, part) for part in ("groups", "buckets"))
        facts = self.arena.array("ofacts")[["op", "n"]]

        def bucket(b):
            acts = facts[int(b["acts"]):int(b["acts"]) + int(b["n_acts"])].tolist()
            return int(b["weight"]), int(b["watch_port"]), int(b["watch_group"]), acts
        return {int(g["number"]): (int(g["kind"]), [bucket(b) for b in buckets[int(g["first"]):int(g["first"]) + int(g["n"])]])
                for g in groups if g["alive"]}
