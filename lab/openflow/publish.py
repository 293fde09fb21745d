"""The rules in the arena, twice: readers use one copy while control writes the other.

Every core asks the rules when it misses, at any moment. So a change is put into the inbox, which the stage `enter` makes
it of the copy that nobody reads; the sign in `config` turns, every core is waited for, and the other copy follows. What a
rule is to a person stands in `rule.py`; here there are records, and nobody here knows how rules are found.
"""
from collections import namedtuple

import numpy as np

from lab.memory.reasons import RULE_DROPS
from lab.openflow.errors import CommandError
from lab.stages.enter import DONE, enter
from lab.translate.ofact import O_GROUP, O_METER
from lab.translate.records import ENTER, LEAVE, REWRITE
from lab.translate.rules import set_up_rules

Change = namedtuple("Change", "removed added changed")  # lists of entries
COPIES = ("rules", "rules_b")
WIDE_BYTES = 384  # of a mask or a value: 48 words
COST = 4096  # a row takes about as long to apply as it takes to copy so many bytes of the table


class Copies:
    """Both copies of the rules, and how a change reaches them.

    `perform(stage)` runs a stage on control's lane; `settled()` returns when no core is in a burst that began before the
    epoch now in `config`; `records` turns the numbers of groups and meters into those of their records.
    """

    def __init__(self, arena, perform, settled, records):
        self.arena, self.perform, self.settled = arena, perform, settled
        self.records = records
        self.ofacts, self.inbox = arena.array("ofacts"), arena.array("inbox")
        self.config = arena.table("config")
        self.behind = False  # whether the copy that nobody reads differs from the other

    def clear(self):
        """Make both copies empty: for an arena that is new."""
        for name in COPIES:
            set_up_rules(self.arena, name)

    def write(self, change):
        """Make a change to the copy that nobody reads."""
        self.catch_up()
        self._write_actions([*change.added, *change.changed])
        self.behind = True
        self._apply(change)

    def turn(self):
        """Send the readers to the other copy. From this moment on the change stands."""
        self.config[0].active_rules = 1 - self.config[0].active_rules
        self.config[0].epoch += 1

    def follow(self, change):
        """Wait until no core reads the copy that lacks the change, and make it there as well."""
        self.settled()
        low, high = self.arena.extent(self.idle)
        if COST * sum(map(len, change)) < high - low:
            self._apply(change)
        else:
            self._copy(self.used, self.idle)
        self.behind = False

    def catch_up(self):
        """Make both copies the same again: what cores read is what holds."""
        if self.behind:
            self.config[0].epoch += 1  # whether the interrupted change came to that, nobody knows
            self.settled()
            self._copy(self.used, self.idle)
            self.behind = False

    def edit(self, write):
        """Change something of both copies that no rule says: `write(name)` is called for each when nobody reads it."""
        self.catch_up()
        self.behind = True
        write(self.idle)
        self.turn()
        self.settled()
        write(self.idle)
        self.behind = False

    @property
    def used(self):
        """The name of the copy that cores read."""
        return COPIES[self.config[0].active_rules]

    @property
    def idle(self):
        """The name of the other copy."""
        return COPIES[1 - self.config[0].active_rules]

    def _copy(self, source, target):
        (low, high), (to, end) = self.arena.extent(source), self.arena.extent(target)
        self.arena.bytes[to:end] = self.arena.bytes[low:high]

    def _write_actions(self, entries):
        """Store the actions of rules, in records that nobody reads yet."""
        rows = [row for entry in entries for row in entry.actions.records]
        if not rows:
            return
        made = np.array(rows, self.ofacts.dtype)
        for op, name in ((O_GROUP, "group"), (O_METER, "meter")):
            at = np.flatnonzero(made["op"] == op)
            made["n"][at] = [self.records[name](int(number)) for number in made["n"][at]]
        n = np.array([len(entry.actions.records) for entry in entries])
        first = np.array([entry.first for entry in entries])
        self.ofacts[np.repeat(first - np.cumsum(n) + n, n) + np.arange(len(rows))] = made

    def _apply(self, change):
        """Put a change through the inbox, some at a time: what goes makes room for what comes."""
        for what, entries in zip((LEAVE, ENTER, REWRITE), change, strict=True):
            for at in range(0, len(entries), len(self.inbox)):
                batch = entries[at:at + len(self.inbox)]
                _fill(self.inbox, what, batch)
                self.perform(enter)
                if (self.inbox["done"][:len(batch)] != DONE).any():
                    raise CommandError("the table is full: no room for another mask or prefix; use one that another rule has")


def _fill(inbox, what, entries):
    """Write rows of the inbox; the first behind them says that there are no more."""
    n = len(entries)
    rows = inbox[:n]
    for name, column in zip(SAID, zip(*map(_said, entries), strict=True), strict=True):
        rows[name] = column
    rows["what"], rows["done"] = what, 0
    for name, part in (("mask", "mask"), ("w", "value")):
        words = b"".join([getattr(entry.match, part).to_bytes(WIDE_BYTES, "little") for entry in entries])
        rows[name] = np.frombuffer(words, "<u8").reshape(n, -1)
    if n < len(inbox):
        inbox["what"][n] = 0


SAID = ("index", "table", "priority", "acts", "n_acts", "number", "reason", "cookie", "marks")


def _said(entry):
    n = len(entry.actions.records)
    return (entry.index, entry.table, entry.priority, entry.first, n, entry.number, 0 if n else RULE_DROPS, entry.cookie, entry.flags)
