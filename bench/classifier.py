"""The rule classifier's bars: lookups a second among 100 000 rules of 5 priorities, and how long entering them takes.

The workload is that of the benchmark in OVS's own tests/test-classifier.c: thirteen fields of two values each, a mask
and a value for each rule drawn at random, a rule that is there already dropped, 8192 flows to look up, drawn at random
one by one. OVS's program draws N sets of fields, but compares all thirteen fields in every rule, whatever the set: its N
masks are one. Both are measured here, rules made as its program makes them and rules that really have N masks; and,
for a figure without a bar, 100 000 rules of which none is dropped, where most flows are sought in every mask.
"""

import ctypes
import random
import statistics
import time

import numpy as np

from bench.core import row
from lab.engine.code import objects
from lab.engine.world import place_numbers
from lab.flow.key import WIDE, put
from lab.memory.arena import Arena
from lab.memory.raw import clear, copy_words
from lab.memory.record import NULL
from lab.stages.enter import enter
from lab.stages.regions import regions
from lab.stages.stage import Stage
from lab.translate.records import ASKED, ENTER, FLOW, LEAVE
from lab.translate.rules import find_rule, find_rule_asking, set_up_rules

RULES = 100_000
LEVELS = [129 * i for i in range(5)]  # priorities
KEYS = 8192
FIRST_KEY = 3  # behind the flows of the desk
LOOKUPS = 1_000_000
ROUNDS = 7
BARS, WITH_MASK = {1: 16, 8: 16, 32: 13}, 6.5  # million lookups a second, by how many masks
ARP_TYPE, IPV4_TYPE = 0x0806, 0x0800
FIELDS = {  # name: its two values, and the bits that are compared
    "tun_id": (0, 0xFEDCBA9876543210, 0),
    "metadata": (0, 0xFEDCBA9876543210, 0),
    "nw_src": (0xC0A80001, 0xC0A04455, 0),
    "nw_dst": (0xC0A80002, 0xC0A04455, 0),
    "in_port": (1, 0xFFFE, 0xFFFF),
    "vlan_tci": (101, 0, 0),
    "dl_type": (IPV4_TYPE, ARP_TYPE, 0),
    "tp_src": (49362, 80, 0),
    "tp_dst": (6667, 22, 0),
    "dl_src": (0x0002E30F80A4, 0x5E337F5F1E99, 0),
    "dl_dst": (0x4A2771AE64C1, 0xFFFFFFFFFFFF, 0),
    "nw_proto": (6, 1, 0),
    "nw_tos": (48, 0, 0xFC),
}
BITS = {"tun_id": 64, "metadata": 64, "nw_src": 32, "nw_dst": 32, "dl_src": 48, "dl_dst": 48, "nw_proto": 8}


def looking_up(rules, desk):
    """Look up flows drawn at random, no mask wanted: how many had a rule."""
    x = desk.xlate[0]
    draw = x.salt
    found = 0
    for _ in range(LOOKUPS):
        draw = draw ^ (draw << np.uint64(13))
        draw = draw ^ (draw >> np.uint64(7))
        draw = draw ^ (draw << np.uint64(17))
        f = find_rule(rules, 0, desk.flows[FIRST_KEY + ((draw >> np.uint64(20)) & np.uint64(KEYS - 1))])
        if f != NULL:
            found += 1
    x.salt = draw
    x.changes += found


def looking_up_asking(rules, desk, ledger):
    """The same with the mask wanted: each lookup fills an empty one."""
    x = desk.xlate[0]
    draw = x.salt
    found = 0
    for _ in range(LOOKUPS):
        draw = draw ^ (draw << np.uint64(13))
        draw = draw ^ (draw >> np.uint64(7))
        draw = draw ^ (draw << np.uint64(17))
        copy_words(desk.flows[FLOW].w, desk.flows[FIRST_KEY + ((draw >> np.uint64(20)) & np.uint64(KEYS - 1))].w)
        clear(desk.flows[ASKED].w)
        f = find_rule_asking(rules, 0, desk, ledger)
        if f != NULL:
            found += 1
    x.salt = draw
    x.changes += found


class Bench:
    """Rules in an arena of their own, and the machine code that writes and reads them."""

    def __init__(self):
        large = regions("large")
        counts = {name: large[name].counts for name in ("rules", "rules_b", "inbox", "config", "desk", "ledger")}
        counts["inbox"] = 2 * RULES + 1
        counts["desk"] = {**counts["desk"], "flows": FIRST_KEY + KEYS}
        layout = {"memory": (None, 64, [None])} | {name: (large[name].shape, n, [None]) for name, n in counts.items()}
        self.arena = Arena(layout, huge=True)
        self.world = np.zeros((len(place_numbers()), 2), np.uint64)
        for (name, part), number in place_numbers().items():
            if (name, None, part) in self.arena.places:
                at, _, n = self.arena.places[name, None, part]
                self.world[number] = self.arena.base + at, n
        stages = [enter, *(Stage(f, checked=False) for f in (looking_up, looking_up_asking))]
        made = objects.compile_all(stages)
        self.codes = {s.name: ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)(made[s].address) for s in stages}
        self.arena.table("config")[0].active_rules = 1  # rules are written to `rules` and read there

    def run(self, name):
        """Run a stage: the seconds of processor time it took, since a busy machine would count others' work."""
        began = time.thread_time()
        self.codes[name](self.world.ctypes.data)
        return time.thread_time() - began

    def enter(self, matches):
        """Enter rules, each (mask, words, priority); the seconds it took, and all must have found room."""
        set_up_rules(self.arena, "rules")
        self.entered = len(matches)
        inbox = self.arena.array("inbox")
        inbox["what"] = 0
        rows = inbox[: len(matches)]
        rows["what"], rows["index"] = ENTER, np.arange(len(matches))
        for field, i in (("mask", 0), ("w", 1), ("priority", 2)):
            rows[field] = np.array([match[i] for match in matches], np.uint64)
        seconds = self.run("enter")
        assert (rows["done"] == 1).all()
        return seconds

    def leave(self):
        """Take all rules out again."""
        rows = self.arena.array("inbox")[: self.entered]
        rows["what"] = LEAVE
        rows["index"] = np.random.default_rng(1).permutation(self.entered)
        seconds = self.run("enter")
        head = self.arena.table("rules").head[0]
        assert head.count == head.subtables == head.partials == head.nodes == 0
        return seconds

    def write_keys(self, keys):
        """The flows to look up."""
        self.arena.array("desk", None, "flows")["w"][FIRST_KEY:] = np.array(keys, np.uint64)
        self.arena.table("desk").xlate[0].salt = 88172645463325252

    def rate(self, name):
        """Lookups a second, in millions."""
        x = self.arena.table("desk").xlate[0]
        x.changes = 0
        seconds = self.run(name)
        self.found = x.changes / LOOKUPS
        return LOOKUPS / seconds / 1e6


def words_of(values):
    """Words of a wide key with some fields set."""
    words = [0] * WIDE
    for name, value in values.items():
        put(words, name, value)
    return tuple(words)


def mask_of(field):
    """The bits of a field that rules compare."""
    return FIELDS[field][2] or (1 << BITS.get(field, 16)) - 1


def as_ovs_draws(masks, *, really, seed=1):
    """Rules of as many masks: (mask, words, priority), none twice. Without `really` every rule compares all fields."""
    draw = random.Random(seed)
    names = list(FIELDS)
    sets = draw.sample(range(1, 1 << len(names)), masks)
    made = {}
    for _ in range(RULES):
        fields, values, priority = draw.choice(sets), draw.getrandbits(len(names)), draw.choice(LEVELS)
        used = [i for i in range(len(names)) if not really or fields >> i & 1]
        made[tuple((i, values >> i & 1) for i in used), priority] = used
    done = []
    for (values, priority), used in made.items():
        mask = words_of({names[i]: mask_of(names[i]) for i in used})
        done.append((mask, words_of({names[i]: FIELDS[names[i]][bit] & mask_of(names[i]) for i, bit in values}), priority))
    return done


def distinct(masks, seed=3):
    """RULES rules of which none is dropped: each has a destination of its own, and any of five priorities in any mask."""
    draw = random.Random(seed)
    names = [name for name in FIELDS if name != "nw_dst"]
    made = []
    for i, which in enumerate(draw.choices(draw.sample(range(1, 1 << len(names)), masks), k=RULES)):
        used = [name for bit, name in enumerate(names) if which >> bit & 1]
        values = {name: draw.choice(FIELDS[name][:2]) & mask_of(name) for name in used}
        mask = words_of({name: mask_of(name) for name in (*used, "nw_dst")})
        made.append((mask, words_of(values | {"nw_dst": 0x0A000000 + i}), draw.choice(LEVELS)))
    return made


def keys(seed=2):
    """The flows to look up. As in OVS's program the number that draws their values has one bit less than there are fields."""
    draw = random.Random(seed)
    last = "nw_tos"
    return [words_of({name: two[draw.getrandbits(1) if name != last else 0] for name, two in FIELDS.items()}) for _ in range(KEYS)]


def lookups():
    """The bars of the classifier; each figure is a median, the two ways of asking alternate."""
    bench = Bench()
    for kind, bars in (("as OVS's program makes them", BARS), ("really", BARS), ("really, none alike", {})):
        for masks in (1, 8, 32):
            if kind == "really, none alike":
                rules, flows = distinct(masks), random.Random(4)
                wanted = [words for _, words, _ in flows.sample(rules, KEYS)]
            else:
                rules, wanted = as_ovs_draws(masks, really=kind == "really"), keys()
            bench.enter(rules)
            bench.write_keys(wanted)
            plain, asking = zip(*((bench.rate("looking_up"), bench.rate("looking_up_asking")) for _ in range(ROUNDS)), strict=True)
            name = f"{masks} mask{'s' if masks > 1 else ''} {kind}, {len(rules)} rules"
            yield rate_row(f"lookups, {name}", plain, bars.get(masks))
            yield rate_row(f"lookups with the mask wanted, {name}", asking, bars and WITH_MASK)
    yield from entering(bench)


def rate_row(name, rates, bar):
    """A rate that is to be at least its bar."""
    figure = round(statistics.median(rates), 1)
    return row(name, figure, "million/s", bar or None, figure >= bar if bar else None)


def entering(bench):
    """How long it takes to enter 100 000 rules, and to take them out again in any order."""
    rules = distinct(32)
    spent = [(bench.enter(rules), bench.leave()) for _ in range(3)]
    for name, seconds in zip(("entering", "removing"), zip(*spent, strict=True), strict=True):
        yield row(f"{name} {len(rules)} rules in 32 masks", round(statistics.median(seconds), 3), "s", 1)
