"""One rule: what it says, and what it has seen.

An `Entry` is what control remembers of a rule beside its records, and never changes: a rule that is modified gets another
one. A `Rule` is the live view that people get. Which rules a command means is a `Which`; how rules are printed: `dump.py`.
"""
from collections import namedtuple
from dataclasses import dataclass

from lab.live import Live, many
from lab.openflow.matching.match import Match, format_match
from lab.openflow.rules.dump import rule_words

DEFAULT_PRIORITY = 32768
EVERYTHING = Match()
Seen = namedtuple("Seen", "packets bytes used")
NOTHING_SEEN = Seen(0, 0, 0)
# what is said of a rule, in the order in which `RuleTable.enter` takes it
SAID = ("priority", "match", "actions", "cookie", "table", "idle_timeout", "hard_timeout", "importance", "flags")


class Entry:
    """A rule as it was given: `index` is its record, `first` that of its first action; `created` and `modified` are microseconds."""

    __slots__ = (*SAID, "number", "index", "first", "created", "modified")

    def __init__(self, said, number, index, first, times):
        self.priority, self.match, self.actions, self.cookie, self.table = said[:5]
        self.idle_timeout, self.hard_timeout, self.importance, self.flags = said[5:]
        self.number, self.index, self.first = number, index, first
        self.created, self.modified = times

    @property
    def said(self):
        """All that is said of it."""
        return tuple(getattr(self, name) for name in SAID)

    @property
    def place(self):
        """What no two rules have in common."""
        return self.table, self.priority, self.match.mask, self.match.value

    def action_text(self, record, port_name=None):
        """The action that one of its records is of, as it is written: one to one where each action has one record, else the whole list."""
        text = self.actions.show(port_name)
        pieces = top_level(text)
        at = record - self.first
        return pieces[at] if len(pieces) == len(self.actions.records) and 0 <= at < len(pieces) else text

    @property
    def timed(self):
        """Whether it ends by itself."""
        return self.idle_timeout or self.hard_timeout


def top_level(text):
    """A list of actions cut at the commas that no parenthesis encloses.

    >>> top_level("dec_ttl,resubmit(,1),2")
    ['dec_ttl', 'resubmit(,1)', '2']
    """
    pieces, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces


@dataclass(slots=True)
class Which:
    """Which rules are meant: those whose match the given one covers, or, strict, those of just this match and priority."""

    match: Match = EVERYTHING
    strict: bool = False
    priority: int | None = None
    table: int | None = None
    cookie: tuple | int | None = None  # (value, mask), or the whole
    out_port: int | None = None
    out_group: int | None = None
    meter: int | None = None

    def takes(self, entry):
        """Whether a rule is meant."""
        mask, value, other = self.match.mask, self.match.value, entry.match
        if mask & other.mask != mask or (value ^ other.value) & mask:
            return False
        return self.table in (None, entry.table) and self.priority in (None, entry.priority) and self.asks(entry)

    def asks(self, entry):
        """Whether a rule has the cookie and the outputs that are asked for."""
        actions = entry.actions
        if self.out_port is not None and self.out_port not in actions.outputs:
            return False
        if self.out_group is not None and self.out_group not in actions.groups:
            return False
        if self.meter is not None and self.meter not in actions.meters:
            return False
        if self.cookie is None:
            return True
        wanted, mask = self.cookie if isinstance(self.cookie, tuple) else (self.cookie, -1)
        return (entry.cookie ^ wanted) & mask == 0


def overlap(match, other):
    """Whether a packet can be both matches'."""
    return (match.value ^ other.value) & match.mask & other.mask == 0


class Found(list, Live):
    """Rules that were found, in their order: a list that can be looked at."""

    def __repr__(self):
        shown = [rule.text for rule in self[:3]] + ["..."] * (len(self) > 3)
        return f"<{many(len(self), 'rule')}{': ' if self else ''}{'; '.join(shown)}>"

    def facts(self):
        """What a drawing of them shows."""
        return facts_of(self, many(len(self), "rule"))


def facts_of(rules, title, note=""):
    """Rules as rows of a drawing."""
    seen = rules[0]._rules.tally() if rules else None
    rows = [(rule.number, rule.table, rule.priority, rule.match or "everything", rule.actions, int(seen.packets[rule.index]),
             int(seen.bytes[rule.index])) for rule in rules]
    columns = ("rule", "table", "priority", "match", "actions", "packets", "bytes")
    return {"title": title, "columns": columns, "rows": rows, "note": note}


def _said(name, text):
    return property(lambda self: getattr(self.entry, name), doc=text)


class Rule(Live):
    """A rule of a table, live: `sw.rules[1].n_packets`."""

    def __init__(self, rules, entry, seen=None):
        self._rules, self._last, self._seen = rules, entry, seen

    priority = _said("priority", "The highest that matches decides.")
    cookie = _said("cookie", "The number that whoever added it gave it.")
    table = _said("table", "The table it stands in.")
    idle_timeout = _said("idle_timeout", "After so many seconds without a packet it goes; 0: it stays.")
    hard_timeout = _said("hard_timeout", "So many seconds after it was added or modified it goes; 0: it stays.")
    importance = _said("importance", "Which rules give way first when there is no room (none does unless eviction is on).")
    flags = _said("flags", "OpenFlow's flags as bits.")

    @property
    def entry(self):
        """What it says now; of a rule that was deleted, what it said last."""
        self._last = self._rules.entries.get(self._last.number, self._last)
        return self._last

    @property
    def deleted(self):
        """Whether it is gone."""
        return self._last.number not in self._rules.entries

    @property
    def number(self):
        """Its number: counted up, never used twice."""
        return self._last.number

    @property
    def index(self):
        """Its record in the arena, as megaflows name it."""
        return self._last.index

    @property
    def match(self):
        """Which packets it is for, in ovs-ofctl's words."""
        return format_match(self.entry.match.value, self.entry.match.mask, self._rules.port_name)

    @property
    def actions(self):
        """What happens to them."""
        return self.entry.actions.show(self._rules.port_name)

    def action_at(self, record):
        """The action that one of its records in the arena is of."""
        return self.entry.action_text(record, self._rules.port_name)

    @property
    def seen(self):
        """Packets, bytes, and when it was last used in microseconds; of a rule that went by itself, what it had seen then."""
        if self.deleted:
            return self._seen or NOTHING_SEEN
        return self._rules.seen(self.entry)

    @property
    def n_packets(self):
        """Packets it decided on."""
        return self.seen.packets

    @property
    def n_bytes(self):
        """Their bytes."""
        return self.seen.bytes

    def _since(self, moment):
        return max(0, self._rules.clock() - moment) / 1e6

    @property
    def duration(self):
        """Seconds since it was added."""
        return self._since(self.entry.created)

    @property
    def idle(self):
        """Seconds since it was last used, or added."""
        return self._since(max(self.seen.used, self.entry.created))

    @property
    def idle_age(self):
        """The same in whole seconds, as dumps print it."""
        return int(self.idle)

    @property
    def hard_age(self):
        """Whole seconds since it was added or modified."""
        return int(self._since(self.entry.modified))

    @property
    def megaflows(self):
        """The megaflows that it had a part in deciding: they are credited to it."""
        return [] if self.deleted else self._rules.megaflows_of(self.index)

    @property
    def text(self):
        """The rule as add-flow would take it again."""
        return self.show(self._rules.port_name)

    def show(self, port_name=None):
        """The rule in words, ports by the names that `port_name(number)` tells, or by number."""
        return rule_words(self.entry, port_name)

    def facts(self):
        """What a drawing of it shows."""
        ends = ", ".join(f"{name} {seconds} s" for name, seconds in (("idle", self.idle_timeout), ("hard", self.hard_timeout)) if seconds)
        rows = [["table", self.table], ["priority", self.priority], ["match", self.match or "everything"], ["actions", self.actions],
                ["packets", self.n_packets], ["bytes", self.n_bytes], ["megaflows", len(self.megaflows)],
                ["cookie", f"0x{self.cookie:x}"], ["ends after", ends or "never"], ["added", f"{self.duration:.3f} s ago"]]
        return {"title": repr(self)[1:-1], "columns": ["", ""], "rows": rows, "note": "it was deleted" if self.deleted else ""}

    def __repr__(self):
        if self.deleted:
            return f"<rule {self.number}, deleted: {self.text}>"
        return f"<rule {self.number}: {self.text}, {many(self.n_packets, 'packet')}>"
