"""The rules in the arena, twice: readers use one copy while control writes the other.

Every core asks the rules when it misses, at any moment. So a change goes to the copy that nobody reads, the sign in
`config` turns, every core is waited for, and the change is made to the other copy as well. What a rule is to a
person stands in `rule.py`; here there are records.
"""
from collections import namedtuple

import numpy as np

from lab.flow.classifier import rank_by_priority, subtable_of
from lab.flow.key import WORDS, key_t
from lab.flow.rules import enter, leave
from lab.memory.reasons import RULE_DROPS
from lab.memory.record import NULL

Change = namedtuple("Change", "removed added changed tops")  # entries; `tops`: the highest priority of each mask touched
COPIES = ("rules", "rules_b")
MANY = 64  # from so many changes on it is quicker to copy the table than to make them twice


class Copies:
    """Both copies of the rules, and how a change reaches them.

    `settled` returns when no core is in a burst that began before the epoch now in `config`.
    """

    def __init__(self, arena, settled, fresh=True):
        self.arena, self.settled = arena, settled
        self.acts = arena.array("acts")
        self.config = arena.table("config")
        self._key, self._mask = (key_t.view(bytearray(key_t.size), 0) for _ in range(2))
        for name in COPIES if fresh else ():
            self._clear(name)

    def _clear(self, name):
        head, slots = self.arena.table(name).head[0], self.arena.array(name, None, "slots")
        slots["flow"] = NULL
        self.arena.array(name, None, "flows")["alive"] = 0
        head.slot_mask, head.limit = len(slots) - 1, self.arena.places[name, None, "flows"][2]
        head.subtables = head.count = head.gone = 0

    @property
    def limits(self):
        """How many rules, masks and actions there is room for."""
        return tuple(self.arena.places[key][2] for key in (("rules", None, "flows"), ("rules", None, "subtables"), ("acts", None, "")))

    def write_actions(self, entry):
        """Store a rule's actions, in records that nobody reads yet."""
        if entry.actions:
            self.acts[entry.first:entry.first + len(entry.actions)] = np.array(list(entry.actions), self.acts.dtype)

    def publish(self, change):
        """Make a change visible: rules that go, come, or have new actions."""
        for entry in (*change.added, *change.changed):
            self.write_actions(entry)
        idle, used = self._idle(), COPIES[self.config[0].active_rules]
        self._apply(self.arena.table(idle), *change)
        self._turn()
        if len(change.removed) + len(change.added) + len(change.changed) < MANY:
            self._apply(self.arena.table(used), *change)
        else:
            self._copy(idle, used)

    def rebuild(self, change):
        """Make both copies anew, of all rules: for when a change was interrupted."""
        self.settled()
        idle = self._idle()
        self._clear(idle)
        for entry in change.added:
            self.write_actions(entry)
        self._apply(self.arena.table(idle), *change)
        self._turn()
        self._copy(idle, self._idle())

    def _idle(self):
        return COPIES[1 - self.config[0].active_rules]

    def _turn(self):
        """Send the readers to the other copy, and wait until they are there."""
        self.config[0].active_rules = 1 - self.config[0].active_rules
        self.config[0].epoch += 1
        self.settled()

    def _copy(self, source, target):
        (low, high), (to, end) = self.arena.extent(source), self.arena.extent(target)
        self.arena.bytes[to:end] = self.arena.bytes[low:high]

    def _apply(self, rules, removed, added, changed, tops):
        for entry in removed:
            leave(rules, self._record(self._key, entry.match.value_words), entry.index)
        places = {mask: subtable_of(rules, self._record(self._mask, mask)) for mask in tops}
        for entry in (*added, *changed):
            _fill(rules.flows[entry.index], entry)
        for entry in added:
            enter(rules, places[entry.match.mask_words], self._record(self._key, entry.match.value_words), entry.index)
        for mask, top in tops.items():
            rules.subtables[places[mask]].priority = top
        rank_by_priority(rules)

    @staticmethod
    def _record(record, words):
        for j in range(WORDS):
            record.w[j] = words[j]
        return record


def _fill(record, entry):
    """Write what a rule says into its record."""
    record.acts, record.n_acts = entry.first, len(entry.actions)
    record.n_outputs = entry.outputs
    record.reason = 0 if entry.outputs else RULE_DROPS
    record.priority, record.number, record.cookie = entry.priority, entry.number, entry.cookie
