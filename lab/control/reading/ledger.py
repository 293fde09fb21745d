"""Who asked for each bit of a mask, and what the tables would say: translations that control asks for, for people to read.

The switch's `Oracle` takes a key through the tables on control's own lane, with the same compiled function that a core's
upcall runs, and changes nothing. What comes back is a `Ledger`: the story of the translation, event by event, each with
the bits that it was the first to ask for.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab.control.live.megaflows import megaflow_match
from lab.control.reading.told_actions import texts_in_set_order, texts_of
from lab.engine.code import objects
from lab.flow.actions import describe
from lab.flow.key import FIELDS, WIDE, WORDS, get, names_of_bits
from lab.live import Live, many
from lab.memory.reasons import NO_ACTIONS, REASONS, RULE_DROPS
from lab.memory.record import NULL
from lab.openflow.matching.match import parse_match
from lab.stages.consult import consult
from lab.stages.translation import translation
from lab.translate import ledger as kinds
from lab.translate.emit import HALF
from lab.translate.normal import normal_words
from lab.translate.ofact import OFPP_CONTROLLER
from lab.translate.records import ASKED, FLOW

STAGES_OF_LOOKUP = ("metadata and ports", "L2", "L3", "L4")
TREES = ("nw_src", "nw_dst", "the transport ports (source, then destination)", "ipv6_src", "ipv6_dst")
DESK = ("keys", "desk", "lane")  # what a question is written to
WHOLE = 255  # the stage of a subtable that was compared wholly


@dataclass(frozen=True)
class Event:
    """One event of a translation: what happened, how deep, and the bits that it was the first to ask for."""

    kind: int
    depth: int
    table: int
    a: int
    b: int
    c: int
    words: tuple  # bits asked for, over the wide key
    text: str
    rule: int | None = None  # the number of the rule that it is about

    @property
    def bits(self):
        """How many bits it asked for."""
        return sum(word.bit_count() for word in self.words)

    @property
    def fields(self):
        """The fields that it asked for, with the bits of each: {name: bits}."""
        return {name: bits for name in FIELDS if (bits := get(self.words, name))}

    def __repr__(self):
        asked = ", ".join(f"{name}/{bits:#x}" for name, bits in self.fields.items())
        return f"<{self.text}{f': asked for {asked}' if asked else ''}>"


@dataclass(frozen=True, eq=False, repr=False)
class Ledger(Live):
    """A translation as people read it: its story, its mask with a cause for every bit, its datapath actions.

    >>> from lab import Switch
    >>> sw = Switch(fail_mode="secure")
    >>> _ = sw.add_port("vm1"), sw.add_port("vm2"), sw.ofctl("add-flow tcp,tp_dst=80,actions=output:vm2")
    >>> ledger = sw.oracle.ask("in_port=vm1,tcp,tp_dst=80")
    >>> ledger.actions, [cause.text for cause in ledger.causes][-1]
    ('vm2', 'table 0: rule priority=32768,tcp,tp_dst=80 was found by its whole match')
    """

    key: tuple
    mask: tuple
    events: tuple
    action_list: tuple
    error: str
    port_name: Any = field(compare=False)
    begun: tuple = ()  # the flow at the beginning, over the wide key: after a recirculation with its registers
    final: tuple = ()  # and in the end
    why: int = 0  # the reason why nothing is sent, or 0
    frozen: dict = field(default_factory=dict, compare=False)  # recirculation id: what waits under it

    @property
    def actions(self):
        """The datapath actions, in the words of `dpctl/dump-flows`."""
        return self.show_actions(self.port_name)

    def show_actions(self, port_name=None):
        """The datapath actions with ports as `port_name` names them, or by number."""
        return describe(self.action_list, port_name, (get(self.key, "dl_type"), get(self.key, "nw_proto")))

    @property
    def causes(self):
        """The events that asked for bits, in order."""
        return [event for event in self.events if event.bits]

    @property
    def match(self):
        """The megaflow's match, in OVS's words."""
        return megaflow_match([word & mask for word, mask in zip(self.key, self.mask, strict=True)], self.mask, self.port_name)

    @property
    def bits(self):
        """How many bits of the key the megaflow asks for."""
        return sum(word.bit_count() for word in self.mask[:WORDS])

    def cause_of(self, name, bit=None):
        """The events that asked for bits of a field, or for one of its bits (0 is the lowest)."""
        if name not in FIELDS:
            raise KeyError(f"no field is called {name!r}: there are {', '.join(FIELDS)}")
        return [event for event in self.causes if (asked := get(event.words, name)) and (bit is None or asked >> bit & 1)]

    def rows(self):
        """(field, bits asked for, cause in words), in the order of the translation."""
        return [(name, bits, event.text) for event in self.causes for name, bits in event.fields.items()]

    @property
    def text(self):
        """The ledger as lines of text."""
        lines = [f"{self.match or 'any'} -> {self.actions}", f"{many(self.bits, 'bit')} asked for:"]
        lines += [f"  {name}/{bits:#x}: {text}" for name, bits, text in self.rows()]
        return "\n".join(lines)

    def __repr__(self):
        return f"<ledger: {many(self.bits, 'bit')} asked for by {many(len(self.causes), 'cause')}, {self.actions}>"

    def facts(self):
        """What the interface draws."""
        rows = [[name, f"{bits:#x}", bits.bit_count(), text] for name, bits, text in self.rows()]
        return {"title": repr(self)[1:-1], "columns": ["field", "bits", "how many", "asked for by"], "rows": rows, "note": self.error}


class Oracle:
    """Asks the tables on control's lane; nothing changes."""

    def __init__(self, switch):
        self._switch = switch
        self._credits = []
        self._compiled = None  # whether there is machine code for questions, once that was looked for

    def ask(self, flow):
        """The Ledger of a flow in ovs-ofctl's words, `in_port=vm1,tcp,tp_dst=80`."""
        ports = {name: port.ofport for name, port in self._switch.ports.items()}
        return self.consult(parse_match(flow, ports).value_words[:WORDS])

    def consult(self, words, lane=None, frozen=None):
        """The Ledger of a key; `lane`: the core whose recirculation ids the key names, `frozen`: or the Ledger's where they come from."""
        engine = self._switch.engine
        with self._switch.lock, self._switch.walk.outside():
            if lane is not None and int(words[0]) & NULL:
                engine.array("desk", 0, "frozen")[:] = engine.array("desk", lane, "frozen")
            for at, state in enumerate((frozen or {}).values()):
                engine.array("desk", 0, "frozen")[at] = state
            engine.array("desk", 0, "xlate")["next_id"] = int(engine.array("desk", 0, "frozen")["number"].max())
            engine.array("lane", 0)["epoch"] = engine.array("config")["epoch"]  # what is frozen now is of the rules as they are
            engine.array("keys", 0)["w"][0] = np.array(words[:WORDS], np.uint64)
            head = engine.array("ledger", 0)[0:1]
            head["on"] = 1
            self._run()
            head["on"] = 0
            try:
                return self._read(tuple(int(word) for word in words[:WORDS]))
            finally:
                self._clear_up()

    def prepare(self):
        """Look once whether there is machine code for questions: before a stepper is drawn, say, so that no click waits for it."""
        self._compiled = all(objects.ready(stage) is not None for stage in (consult, translation))

    def _run(self):
        """Plainly, which takes a few milliseconds, until the pipeline is machine code: to look for some takes far longer."""
        engine = self._switch.engine
        if engine.pipeline.loaded and self._compiled is None:
            self.prepare()
        if self._compiled:
            engine.perform(consult)
        else:
            engine.interpret(consult, 0)

    def _clear_up(self):
        """Leave the desk as it was: a step's difference, and going back, know nothing of questions."""
        walk = self._switch.walk
        change = walk.shadow.changes(walk.extents(DESK, [0]))
        walk.shadow.write(change, change.old)

    def _read(self, key):
        engine = self._switch.engine
        x, draft = engine.array("desk", 0, "xlate")[0], engine.array("desk", 0, "draft")
        mask = engine.array("desk", 0, "flows")["w"][ASKED].tolist()
        rows = engine.array("ledger", 0)
        told = rows[1 : 1 + int(rows["n"][0])]
        events = tuple(map(self._event, told, self._rules(told)))
        n = int(x["n_credits"])
        self._credits = [tuple(act)[:4] for act in draft[HALF : HALF + n].tolist()]
        error = REASONS[int(x["error"])].sentence if int(x["error"]) else ""
        acts = tuple(tuple(act) for act in draft[: int(x["n_acts"])].tolist())
        names = {port.number: name for name, port in self._switch.ports.items()}
        states = engine.array("desk", 0, "frozen")
        frozen = {int(states["number"][at]): states[at].copy() for at in np.flatnonzero(states["alive"])}
        thawed = frozen.get(key[0] & NULL)
        tables = (0,) * (WIDE - WORDS) if thawed is None else tuple(thawed["w"][WORDS:].tolist())
        wide, final = tuple(key) + (0,) * (WIDE - WORDS), tuple(engine.array("desk", 0, "flows")["w"][FLOW].tolist())
        why = 0 if acts else int(x["error"] or x["why"]) or (NO_ACTIONS if int(x["rule"]) == NULL else RULE_DROPS)
        return Ledger(wide, tuple(mask), events, acts, error, names.get, wide[:WORDS] + tables, final, why, frozen)

    def credits(self):
        """The credits of the last translation, as (op, detail, arg, v0)."""
        return self._credits

    def _rules(self, rows):
        """The rule that each event is about, or None: of a subtable that was compared wholly, the one that was found in it."""
        subtables = self._copy("flows")["subtable"]
        found, rules = {}, []
        for row in rows[::-1]:
            kind, table, a, b = (int(row[name]) for name in ("kind", "table", "a", "b"))
            index = {kinds.L_TABLE: a, kinds.L_ACTION: b}.get(kind, NULL)
            if kind == kinds.L_TABLE:
                found[table] = a
            elif kind == kinds.L_SUBTABLE and b == WHOLE and found.get(table, NULL) != NULL and int(subtables[found[table]]) == a:
                index = found[table]
            rules.append(None if index == NULL else self._switch.rules.at(index))
        return rules[::-1]

    def _event(self, row, rule):
        kind, depth, table, a, b, c = (int(row[name]) for name in ("kind", "depth", "table", "a", "b", "c"))
        if kind == kinds.L_SUBTABLE and rule is not None:
            match = f"priority={rule.priority}" + (f",{rule.match}" if rule.match else "")
            text = f"table {table}: rule {match} was found by its whole match"
        else:
            text = self._words(kind, table, (a, b, c))
        return Event(kind, depth, table, a, b, c, tuple(row["w"].tolist()), text, None if rule is None else rule.number)

    def _words(self, kind, table, figures):
        """An event in words."""
        a, b, c = figures
        sw = self._switch
        if kind == kinds.L_ALWAYS:
            return "every megaflow asks for the ingress port, the recirculation id and the Ethernet type, of IP whether it is a fragment"
        if kind == kinds.L_TABLE:
            rule = None if a == NULL else sw.rules.at(a)
            return f"table {table}: {rule.text!r} matches" if rule else f"table {table}: no rule matches"
        if kind == kinds.L_SUBTABLE:
            return f"table {table}: {self.subtable(a, b)}"
        if kind == kinds.L_TREE:
            return f"table {table}: the first {many(b, 'bit')} of {TREES[a]} tell that no prefix of subtable {self.mask(c)} matches"
        if kind == kinds.L_ACTION:
            return f"table {table}: action {self.action(a, b)}"
        if kind == kinds.L_OUTPUT:
            reason = f", {REASONS[b].code}" if b else ""
            port = c if a == NULL else a
            name = "CONTROLLER" if port == OFPP_CONTROLLER else "no port" if port == NULL else sw.port_name(port) or port
            return f"output to {name}{reason}"
        if kind == kinds.L_NORMAL:
            return f"NORMAL: {normal_words(a, b, c, lambda n: sw.port_name(n) or str(n))}"
        if kind == kinds.L_GROUP:
            return f"group {self.group(a)}" + (f", bucket {self.bucket(b)}" if b != NULL else ", all buckets" if c == 0 else "")
        said = {
            kinds.L_FREEZE: f"the rest waits until the packet is parsed again, under recirculation id {a}",
            kinds.L_THAW: f"on from where recirculation id {a} stopped",
            kinds.L_ERROR: REASONS[a].sentence if kind == kinds.L_ERROR and a < len(REASONS) else "",
            kinds.L_SET: f"the action set is run: {many(a, 'action')}",
            kinds.L_END: f"{many(a, 'datapath action')}",
            kinds.L_VALUE: f"the value is {a & (1 << 64) - 1:#x}",
        }
        return said.get(kind, f"event {kind}")

    def subtable(self, number, stage):
        """What a probe of a subtable found, in words."""
        if stage == WHOLE:
            return f"subtable {self.mask(number)} was compared wholly and does not decide"
        what = STAGES_OF_LOOKUP[stage] if stage < len(STAGES_OF_LOOKUP) else "last"
        return f"no rule of subtable {self.mask(number)} has these {what} fields"

    def mask(self, number):
        """The mask of a subtable in words: `nw_proto,tp_dst/0xfff0`."""
        asked = names_of_bits(self._copy("subtables")["mask"][number].tolist())
        whole = {name: (1 << FIELDS[name][2]) - 1 for name in asked}
        return ",".join(name if bits == whole[name] else f"{name}/{bits:#x}" for name, bits in asked.items()) or "of no field"

    def _copy(self, part):
        return self._switch.engine.array(self._switch.rules.copies.used, None, part)

    def action(self, fact, rule):
        """An OpenFlow action by its record, as the rule that was run says it, or the bucket."""
        owner = None if rule == NULL else self._switch.rules.at(rule)
        entry = None if owner is None else owner.entry
        if entry is not None and entry.first <= fact < entry.first + len(entry.actions.records):
            return texts_of(entry.actions, self._switch.port_name)[fact - entry.first]
        buckets = self._copy("buckets")
        for group in self._switch.groups.values():
            row = self._copy("groups")[group.entry.record]
            for at, bucket in enumerate(group.entry.buckets, int(row["first"])):
                if 0 <= fact - int(buckets["acts"][at]) < int(buckets["n_acts"][at]):
                    texts = texts_in_set_order(bucket.actions, self._switch.port_name)
                    return f"{texts[fact - int(buckets['acts'][at])]} of bucket {bucket.number} of group {group.number}"
        return f"record {fact}"

    def group(self, record):
        """A group by its record."""
        return int(self._copy("groups")["number"][record])

    def bucket(self, record):
        """A bucket by its record."""
        return int(self._copy("buckets")["number"][record])
