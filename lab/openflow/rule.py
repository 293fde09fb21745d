"""One rule: what it says, and what it has seen.

An `Entry` is what control remembers of a rule beside its records; a `Rule` is the live view that people get. Which
rules a command means is a `Which`.
"""
from dataclasses import dataclass

from lab.flow.actions import FLOOD, OUTPUT, describe
from lab.flow.key import get
from lab.live import Live
from lab.openflow.match import Match, format_match

DEFAULT_PRIORITY = 32768
EVERYTHING = Match()


def rule_words(priority, match, actions, port_name=None):
    """A rule in ovs-ofctl's words: `priority=10,tcp actions=output:2`; the default priority goes without saying."""
    said = [f"priority={priority}"] * (priority != DEFAULT_PRIORITY)
    said += filter(None, [format_match(match.value_words, match.mask_words, port_name)])
    return f"{','.join(said)}{' ' if said else ''}actions={describe(actions, port_name)}"


@dataclass(frozen=True)
class Entry:
    """A rule as it was given: `index` is its record, `first` that of its first action, `created` in microseconds."""

    number: int
    index: int
    priority: int
    match: Match
    actions: tuple
    cookie: int
    first: int
    created: int

    @property
    def outputs(self):
        """How many of its actions send the packet somewhere."""
        return sum(op in (OUTPUT, FLOOD) for op, *_ in self.actions)


@dataclass(frozen=True)
class Which:
    """Which rules are meant: those whose match the given one covers, or, strict, that very match and priority."""

    match: Match = EVERYTHING
    strict: bool = False
    priority: int | None = None
    out_port: int | None = None
    cookie: tuple | None = None  # (value, mask)

    def takes(self, entry):
        """Whether a rule is meant."""
        if self.strict:
            if (self.match, DEFAULT_PRIORITY if self.priority is None else self.priority) != (entry.match, entry.priority):
                return False
        elif not self.match.covers(entry.match) or self.priority not in (None, entry.priority):
            return False
        if self.out_port is not None and not any(op == OUTPUT and arg == self.out_port for op, _, arg, *_ in entry.actions):
            return False
        return self.cookie is None or (entry.cookie ^ self.cookie[0]) & self.cookie[1] == 0


class Rule(Live):
    """A rule of a table, live: `sw.rules[1].n_packets`."""

    def __init__(self, table, entry):
        self._table, self._last = table, entry

    @property
    def entry(self):
        """What it says now; of a rule that was deleted, what it said last."""
        self._last = self._table.entries.get(self._last.number, self._last)
        return self._last

    @property
    def deleted(self):
        """Whether it is gone."""
        return self._last.number not in self._table.entries

    @property
    def number(self):
        """Its number: counted up, never used twice."""
        return self._last.number

    @property
    def index(self):
        """Its record in the arena, as megaflows name it."""
        return self._last.index

    @property
    def priority(self):
        """The highest that matches decides."""
        return self.entry.priority

    @property
    def match(self):
        """Which packets it is for, in ovs-ofctl's words."""
        return format_match(self.entry.match.value_words, self.entry.match.mask_words, self._table.port_name)

    @property
    def actions(self):
        """What happens to them."""
        return describe(self.entry.actions, self._table.port_name)

    @property
    def cookie(self):
        """The number that whoever added it gave it."""
        return self.entry.cookie

    @property
    def n_packets(self):
        """Packets it decided on."""
        return self._table.seen(self.entry).packets

    @property
    def n_bytes(self):
        """Their bytes."""
        return self._table.seen(self.entry).bytes

    @property
    def duration(self):
        """Seconds since it was added."""
        return max(0, self._table.clock() - self.entry.created) / 1e6

    @property
    def idle(self):
        """Seconds since it was last used, or added."""
        return max(0, self._table.clock() - max(self._table.seen(self.entry).used, self.entry.created)) / 1e6

    @property
    def text(self):
        """The rule as add-flow would take it again."""
        return self.show(self._table.port_name)

    def show(self, port_name=None):
        """The rule in words, ports by the names that `port_name(number)` tells, or by number."""
        return rule_words(self.entry.priority, self.entry.match, self.entry.actions, port_name)

    def asks(self, field):
        """What its match asks of a field (a row of `fields.py`), or None."""
        match = self.entry.match
        mask, value = (get(words, field.key) >> field.low & field.full for words in (match.mask_words, match.value_words))
        return value if mask else None

    def __repr__(self):
        if self.deleted:
            return f"<rule {self.number}, deleted: {self.text}>"
        packets = self.n_packets
        return f"<rule {self.number}: {self.text}, {packets} packet{'' if packets == 1 else 's'}>"
