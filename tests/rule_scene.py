"""A small table of rules for the tests of the classifier: entered by the stage, asked in both tempos, checked by a list.

`Scene()` has one copy of the rules that is written and read. `enter` and `leave` go through the inbox; `best` is what
a naive search says; `look_up` what the classifier says, with the bits that it asked for.
"""
import ctypes
from collections import namedtuple
from functools import cache

import numpy as np

from lab.engine.code import objects
from lab.engine.world import place_numbers
from lab.flow.key import WIDE, put
from lab.memory.arena import Arena
from lab.memory.raw import clear
from lab.memory.record import NULL
from lab.stages.enter import enter
from lab.stages.regions import regions
from lab.stages.stage import Stage
from lab.translate.records import ASKED, ENTER, FLOW, KNOWN, LEAVE
from lab.translate.rules import find_rule, find_rule_asking, set_up_rules

ALL = (1 << 64) - 1
COUNTS = {
    "rules": {"head": 1, "tables": 4, "subtables": 6, "slots": 32, "flows": 20, "partials": 256, "nodes": 160, "groups": 1, "buckets": 1},
    "inbox": 64,
    "config": 1,
    "desk": {"xlate": 1, "flows": 3, "frames": 1, "saved": 1, "draft": 1, "frozen": 1},
    "ledger": 65,
}
Rule = namedtuple("Rule", "index table mask words priority")
Found = namedtuple("Found", "plain asking asked story")


def look(rules, desk, ledger):
    """Ask twice for the best rule of the flow on the desk, without and with the mask."""
    x = desk.xlate[0]
    clear(desk.flows[ASKED].w)
    x.rule = find_rule(rules, x.table, desk.flows[FLOW])
    x.exit_ = find_rule_asking(rules, x.table, desk, ledger)


LOOK = Stage(look, checked=False)


@cache
def machine_code(stage):
    """A stage's machine code as a function of a world."""
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)(objects.compile_all([stage])[stage].address)


def words(**fields):
    """The words of a wide key, or of a mask, with some fields set."""
    made = [0] * WIDE
    for name, value in fields.items():
        put(made, name, value)
    return tuple(made)


def masked(key, mask):
    return tuple(k & m for k, m in zip(key, mask, strict=True))


def differing(key, other, bits):
    """A key that has another's bits wherever a mask of 48 words has none."""
    return tuple(k & b | o & ~b & ALL for k, o, b in zip(key, other, bits, strict=True))


class Scene:
    """Rules in an arena of their own."""

    def __init__(self, **counts):
        counts = COUNTS | {"rules": COUNTS["rules"] | counts}
        counts["rules_b"] = counts["rules"]
        declared = regions("small")
        self.arena = Arena({"memory": (None, 64, [None])} | {name: (declared[name].shape, n, [None]) for name, n in counts.items()})
        self.world = np.zeros((len(place_numbers()), 2), np.uint64)
        for (name, part), number in place_numbers().items():
            if (name, None, part) in self.arena.places:
                at, _, n = self.arena.places[name, None, part]
                self.world[number] = self.arena.base + at, n
        self.all = np.frombuffer(self.arena.bytes, np.uint8)
        self.rules, self.desk, self.ledger = (self.arena.table(name) for name in ("rules", "desk", "ledger"))
        self.arena.table("config")[0].active_rules = 1  # what is written is `rules`
        self.clear()

    def clear(self):
        for name in ("rules", "rules_b"):
            set_up_rules(self.arena, name)
        self.entered = {}
        return self

    # --- writing

    def change(self, rows, *, both=False):
        """Make changes, each a dict of an inbox row's fields: what the stage says of each."""
        inbox = self.arena.array("inbox")
        inbox["what"] = 0
        for at, row in enumerate(rows):
            inbox[at]["done"] = 0
            for field, value in row.items():
                inbox[at][field] = value
        self.run(enter, both=both)
        return inbox["done"][:len(rows)].tolist()

    def enter(self, index, mask, key, priority=0, table=0, **rest):
        """A new rule; 1 when there was room."""
        row = {"what": ENTER, "index": index, "table": table, "priority": priority, "mask": mask, "w": key} | rest
        done, = self.change([row])
        if done == 1:
            self.entered[index] = Rule(index, table, mask, masked(key, mask), priority)
        return done

    def leave(self, index):
        self.entered.pop(index, None)
        return self.change([{"what": LEAVE, "index": index}])[0]

    # --- reading

    def best(self, key, table=0):
        """The rules that may be found: those of the highest priority that match."""
        fit = [r for r in self.entered.values() if r.table == table and masked(key, r.mask) == r.words]
        return [r.index for r in fit if r.priority == max(r.priority for r in fit)]

    def look_up(self, key, known=None, table=0, *, both=False):
        """What the classifier finds, without and with the mask; what it asked for; and the ledger's story."""
        flows = self.arena.array("desk", None, "flows")["w"]
        flows[FLOW] = key
        flows[KNOWN] = known or 0
        self.desk.xlate[0].table = table
        self.desk.xlate[0].depth = 1
        self.ledger[0].n = 0
        self.run(LOOK, both=both)
        x = self.desk.xlate[0]
        story = [(e.kind, e.a, e.b, e.c) for e in (self.ledger[i] for i in range(1, self.ledger[0].n + 1))]
        return Found(x.rule, x.exit_, tuple(int(w) for w in flows[ASKED]), story)

    def run(self, stage, *, both=False):
        """Run a stage as plain Python; with `both` also as machine code, which must leave the same."""
        before = self.all.copy() if both else None
        stage(*(self.arena.table(name) for name in stage.touches))
        if both:
            after = self.all.copy()
            self.all[:] = before
            assert machine_code(stage)(self.world.ctypes.data) == 0
            differs = np.flatnonzero(self.all != after)
            assert not len(differs), self.arena.name_of(int(differs[0]))

    # --- what must always hold

    def check(self):
        """The list of each table is sorted by the priorities that its subtables really have, and what is counted is there."""
        head = self.rules.head[0]
        assert head.count == len({(r.table, r.mask, r.words) for r in self.entered.values()})
        assert head.subtables == len({(r.table, r.mask) for r in self.entered.values()})
        for t in range(len(self.rules.tables)):
            s, before, seen = self.rules.tables[t].first, NULL, []
            while s != NULL:
                sub = self.rules.subtables[s]
                assert sub.before == before and sub.table == t
                inside = [r.priority for r in self.entered.values() if r.table == t and r.mask == tuple(int(w) for w in sub.mask)]
                assert sub.flows == len(inside) and sub.priority == max(inside)
                seen.append(sub.priority)
                before, s = s, sub.next
            assert seen == sorted(seen, reverse=True)
            assert self.rules.tables[t].subtables == len(seen)
            assert self.rules.tables[t].rules == len([r for r in self.entered.values() if r.table == t])
        if not self.entered:
            assert head.partials == head.nodes == 0
            assert (self.arena.array("rules", None, "slots")["flow"] == NULL).all()
            assert not self.arena.array("rules", None, "partials")["count"].any()
