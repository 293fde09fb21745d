"""What a person orders of rules: add, modify, delete, as OpenFlow 1.0 to 1.5 mean it.

An `Order` is one such message, read from a line by `line.py`; `carry_out` does it to a `RuleTable`. The versions
differ: up to 1.1 modifying adds what is not there, from 1.2 on adding over a rule keeps its counters unless told otherwise.
"""
from dataclasses import dataclass, field
from types import SimpleNamespace

from lab.openflow.errors import CommandError
from lab.openflow.matching.match import Match
from lab.openflow.rule import DEFAULT_PRIORITY, Which, overlap
from lab.openflow.rules.dump import CHECK_OVERLAP, OF10, OF11, OF12, RESET_COUNTS
from lab.translate.records import TABLES

ADD, MODIFY, MODIFY_STRICT, DELETE, DELETE_STRICT, FIND = "add", "modify", "modify_strict", "delete", "delete_strict", "find"
KINDS = (ADD, MODIFY, MODIFY_STRICT, DELETE, DELETE_STRICT)
STRICT = {MODIFY: MODIFY_STRICT, DELETE: DELETE_STRICT}
ALL_TABLES = 255


@dataclass(slots=True)
class Order:
    """What a line says of rules; None is what it does not say. `cookie` is given to rules, `has_cookie` (value, mask) finds them."""

    kind: str = ADD
    match: Match = field(default_factory=Match)
    actions: object = None
    priority: int | None = None
    table: int | None = None
    cookie: int | None = None
    has_cookie: tuple | None = None
    idle_timeout: int = 0
    hard_timeout: int = 0
    importance: int = 0
    flags: int = 0
    out_port: int | None = None
    out_group: int | None = None

    @property
    def which(self):
        """The rules it means."""
        strict = self.kind in (MODIFY_STRICT, DELETE_STRICT)
        wanted = DEFAULT_PRIORITY if self.priority is None else self.priority
        return Which(self.match, strict, wanted if strict else None, self.table, self.has_cookie, self.out_port, self.out_group)

    def as_said(self):
        """Its own words as a rule has them, for printing."""
        return SimpleNamespace(priority=DEFAULT_PRIORITY if self.priority is None else self.priority, match=self.match)


def carry_out(rules, order, version=OF10):
    """Do what an order says, as its version of OpenFlow means it; how many rules it touched."""
    if order.kind in (DELETE, DELETE_STRICT):
        return rules.remove(order.which)
    if order.kind == ADD:
        _add(rules, order, version)
        return 1
    return _modify(rules, order, version)


def _add(rules, order, version):
    """Add a rule, over one with the same table, match and priority."""
    flags = order.flags | (RESET_COUNTS if version < OF12 else 0)
    said = said_of(order, flags)
    old = rules.same(said)
    if old is None:
        return _enter(rules, said)
    if flags & RESET_COUNTS:
        return rules.renew(old, said)
    return rules.change_entry(old, said, created=rules.clock())


def said_of(order, flags):
    """What an order that adds says, as an Entry takes it."""
    priority = DEFAULT_PRIORITY if order.priority is None else order.priority
    table = order.table or 0
    return (priority, order.match, order.actions, order.cookie or 0, table, order.idle_timeout, order.hard_timeout, order.importance, flags)


def _enter(rules, said):
    priority, match, table, flags = said[0], said[1], said[4], said[8]
    for entry in rules.entries.values() if flags & CHECK_OVERLAP else ():
        if entry.table == table and entry.priority == priority and overlap(match, entry.match):
            raise CommandError(f"overlap: rule {entry.number}, {entry.match.text or 'everything'}, has the same priority "
                               f"{priority} and takes some of its packets (check_overlap)")
    rules.enter(said)


def _modify(rules, order, version):
    """Give rules other actions; their counters, timeouts and flags stay, their cookie as well unless the order has one."""
    which = order.which
    if which.table is None and version > OF10:
        which.table = 0  # later versions have no word for all tables here
    meant = rules.chosen(which)
    if not meant:
        if version <= OF11 and order.has_cookie is None:
            _enter(rules, said_of(order, order.flags))
            return 1
        return 0
    cookie = order.cookie if version == OF10 else None  # later versions only find rules by it
    if version == OF10 and order.has_cookie is None:
        cookie = order.cookie or 0
    for entry in meant:
        said = (entry.priority, entry.match, order.actions, entry.cookie if cookie is None else cookie, *entry.said[4:])
        if order.flags & RESET_COUNTS:
            rules.renew(entry, said, created=entry.created)
        else:
            rules.change_entry(entry, said)
    return len(meant)


assert ALL_TABLES == TABLES
