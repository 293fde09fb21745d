"""`sw.rules`: the OpenFlow rules of a switch, as a person changes and reads them.

It owns the rules' records: which record and which actions belong to which rule, and what has to be published
(`publish.py`). A change is all or nothing; inside `with rules.change():` many become one. What an OpenFlow message means
is in `orders.py`; what a rule does to packets is decided in translation.
"""
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.flow.actions import CREDIT_RULE
from lab.live import Live, many
from lab.openflow.actions import parse_actions
from lab.openflow.errors import CommandError
from lab.openflow.matching.match import Match
from lab.openflow.publish import COPIES, Copies
from lab.openflow.rule import DEFAULT_PRIORITY, EVERYTHING, Entry, Found, Rule, Seen, Which, facts_of
from lab.openflow.rules import tally, timeouts
from lab.openflow.rules.counting import begin_counting
from lab.openflow.rules.journal import Journal, put_back
from lab.openflow.rules.line import parse_rule
from lab.openflow.rules.orders import FIND, Order, carry_out
from lab.openflow.rules.room import Room
from lab.translate.records import TABLES

DELETED, GROUP_GONE, METER_GONE = "delete", "group delete", "meter delete"  # why rules go, as OpenFlow names it; see timeouts.py as well


def _nothing(*_):
    return None


def _done(_regions, do):
    do()


def _place_of(lane, index):
    return lane, index


@dataclass
class Around:
    """What a table of rules needs of its switch; alone, it does with little.

    `settled()` returns when no core uses what the epoch before had, `clock()` tells microseconds of the engine's time,
    `perform(stage)` runs a stage on control's lane, `removed(rule, reason)` hears of rules that asked for it, `lasting(regions,
    do)` does to regions what is to be done again when somebody steps back to before it.
    """

    settled: Any = _nothing
    lasting: Any = _done
    clock: Any = int
    perform: Any = None
    port_name: Any = _nothing  # a port's name by its number, or nothing
    ports: Any = dict  # () -> {name: number}
    group_record: Any = None  # a group's record by its number
    meter_record: Any = None
    removed: Any = _nothing
    megaflow: Any = _place_of  # what stands for a megaflow of a lane


class RuleTable(Live):
    """The rules of a switch, in tables 0 to 254.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> _ = sw.add_port("vm2"), sw.ofctl("add-flow table=3,tcp,actions=output:vm2")
    >>> sw.rules, sw.rules.find("table=3")[0]
    (<Rules: 2 in 2 tables>, <rule 2: table=3,tcp actions=output:vm2, 0 packets>)

    `like` is a table whose records lie in this arena already; what else it takes: see `Around`.
    """

    def __init__(self, arena, *, like=None, **around):
        self.arena, self.around = arena, Around(**around)
        self.clock, self.port_name = self.around.clock, self.around.port_name
        perform = self.around.perform or (lambda stage: stage.function(*(arena.table(name) for name in stage.touches)))
        self.copies = Copies(arena, perform, self.around.settled, {"group": self._group, "meter": self._meter})
        self.lanes = sorted(lane for name, lane, _ in arena.places if name == "rule_stats")
        self.entries = dict(like.entries) if like else {}  # number: Entry
        self._next = like._next if like else 1
        self._journal, self._depth, self._leaving = Journal(), 0, []
        self._renewed = []  # records that a new rule has taken over, and that still hold what the one before has seen
        if like is None:
            self.copies.clear()
        self._index_anew()

    @property
    def timed(self):
        """The entries that end by themselves."""
        return list(self._timed.values())

    @property
    def limit(self):
        """How many rules there is room for."""
        return self._room.limit

    # --- changing ---------------------------------------------------------------------------

    def add(self, priority, match, actions, cookie=0, **said):
        """Add a rule, over one with the same table, match and priority, and return it; further words are those of `Order`."""
        match = self._match(match)
        actions = parse_actions(actions, self.around.ports(), match) if isinstance(actions, str) else actions
        order = Order(priority=priority, match=match, actions=actions, cookie=cookie, **said)
        self.carry_out(order)
        return Rule(self, self._same[order.table or 0, priority, match.mask, match.value])

    def add_default(self):
        """The rule that a new switch begins with: what no other rule takes is switched as an ordinary switch does."""
        return self.add(0, EVERYTHING, "normal")

    def delete(self, match=None, *, reason=DELETED, **which):
        """Delete the rules that a match covers (`strict=True`: that have just this match and priority); how many."""
        return self.remove(Which(self._match(match), **which), reason)

    def modify(self, actions, match=None, **which):
        """Give rules other actions; their counters go on. How many."""
        meant = self.chosen(Which(self._match(match), **which))
        with self.change():
            for entry in meant:
                self.change_entry(entry, entry.said[:2] + (actions,) + entry.said[3:])
        return len(meant)

    def carry_out(self, order, version=10):
        """Do what an `Order` says, as that version of OpenFlow (10 to 15) means it; how many rules it touched."""
        with self.change():
            return carry_out(self, order, version)

    def remove(self, which, reason=DELETED):
        """Delete rules for a reason; how many."""
        gone = self.chosen(which)
        with self.change():
            for entry in gone:
                self._leave(entry, reason)
        return len(gone)

    def group_gone(self, number):
        """A group is deleted, and with it the rules that use it; how many."""
        return self.remove(Which(out_group=number), GROUP_GONE)

    def meter_gone(self, number):
        """A meter is deleted, and with it the rules that use it; how many."""
        return self.remove(Which(meter=number), METER_GONE)

    def expire(self, now=None):
        """Let rules go whose time is over; [(rule, reason)]."""
        over = timeouts.over(self, self.clock() if now is None else now) if self._timed else []
        with self.change():
            for entry, reason, _ in over:
                self._leave(entry, reason)
        return [(Rule(self, entry, seen), reason) for entry, reason, seen in over]

    @contextmanager
    def change(self):
        """Publish all changes made inside at once; an exception takes them all back."""
        mark = len(self._journal)
        self._depth += 1
        try:
            yield self
            if self._depth == 1:
                self._publish()
        except BaseException as error:
            self._roll_back(mark, error)
            raise
        finally:
            self._depth -= 1

    # --- what orders do -----------------------------------------------------------------------

    def enter(self, said, created=None):
        """A new rule that says this (see `rule.SAID`)."""
        if not self._room.indexes:
            there = self.limit - len(self)  # still there until the change is published
            going = f", and {there} that go with this change" if there else ""
            raise CommandError(f"the table is full: {many(len(self), 'rule')}{going}; delete some, or make a Switch(size='large')")
        first, now = self._room_for(said[2]), self.clock()
        entry = Entry(said, self._next, self._room.indexes.pop(), first, (now if created is None else created, now))
        self._next += 1
        self._journal.came(entry)
        self._count(entry)
        return entry

    def change_entry(self, entry, said, created=None):
        """Have a rule say something else; its counters go on."""
        new = Entry(said, entry.number, entry.index, self._room_for(said[2]), (entry.created if created is None else created, self.clock()))
        self._journal.changed(entry, new)
        self._count(new)
        if entry.timed and not new.timed:
            del self._timed[entry.number]
        return new

    def renew(self, entry, said, created=None):
        """Put another rule in the place of one; its counters begin at zero, in a record that no megaflow credits if there is one."""
        first, now = self._room_for(said[2]), self.clock()
        index = self._room.indexes.pop() if self._room.indexes else entry.index
        new = Entry(said, self._next, index, first, (now if created is None else created, now))
        self._next += 1
        if index == entry.index:
            self._journal.changed(entry, new)
        else:
            self._journal.went(entry, None)
            self._journal.came(new)
        self._forget(entry)
        self._count(new)
        return new

    def _leave(self, entry, reason):
        self._journal.went(entry, reason)
        self._forget(entry)

    def _forget(self, entry):
        del self.entries[entry.number], self._same[entry.place]
        if entry.timed:
            del self._timed[entry.number]

    def _room_for(self, actions):
        for number in actions.groups:
            self._group(number)
        for number in actions.meters:
            self._meter(number)
        return self._room.take(len(actions.records))

    def _group(self, number):
        if self.around.group_record is None:
            raise CommandError(f"group {number} does not exist")
        return self.around.group_record(number)

    def _meter(self, number):
        if self.around.meter_record is None:
            raise CommandError(f"meter {number} does not exist")
        return self.around.meter_record(number)

    def _count(self, entry):
        """Enter a rule into the ways of finding it."""
        self.entries[entry.number] = self._same[entry.place] = entry
        if entry.timed:
            self._timed[entry.number] = entry

    def _index_anew(self):
        """Make the ways of finding rules, and the free records, anew from the rules that there are."""
        self._same = {entry.place: entry for entry in self.entries.values()}
        self._timed = {entry.number: entry for entry in self.entries.values() if entry.timed}
        self._room = Room(self.arena, [*self.entries.values(), *self._journal.leaving(), *(entry for entry, _ in self._leaving)])

    def _roll_back(self, mark, error):
        """Take back what was done since a mark, unless cores read it already: then it stands, and only the rest was interrupted."""
        if self._journal.read_from not in (None, self.copies.used):
            self._stands()
        elif len(self._journal) > mark or not isinstance(error, CommandError):  # an interrupt may come before the note
            put_back(self.entries, self._journal.cut(mark))
            self._index_anew()

    def _stands(self):
        journal, self._journal = self._journal, Journal()
        self._leaving += [*((entry, False) for entry in journal.outdated()), *((entry, True) for entry in journal.gone())]

    def _publish(self):
        """Bring the records to what was said, then free what nothing names any more."""
        change, told = self._journal.sum(), self._journal.told()
        self._renewed += self._journal.renewed()
        self._begin_counting([entry.index for entry in change.added])
        if any(change):
            self.copies.write(change)
            self._journal.read_from = self.copies.used
            self.copies.turn()
        self._stands()
        if any(change):
            self.copies.follow(change)
        self.copies.catch_up()  # what an interrupted change before this one left may be free only then as well
        self._begin_counting(self._renewed)  # now that all that was seen for the rules before them has been handed over
        self._renewed = []
        if told:
            self._tell(told)
        self._room.give(self._leaving)
        self._leaving = []

    def _begin_counting(self, indexes):
        begin_counting(self.arena, self.lanes, {"rule_stats": indexes}, self.around.lasting)

    def _tell(self, gone):
        """Tell who asked for it of rules that went."""
        seen = self.tally()
        for entry, reason in gone:
            i = entry.index
            self.around.removed(Rule(self, entry, Seen(int(seen.packets[i]), int(seen.bytes[i]), int(seen.used[i]))), reason)

    # --- reading ----------------------------------------------------------------------------

    def find(self, match=None, **which):
        """The rules that a match covers: `find("tcp,tp_dst=80")`, `find(table=3, cookie=5, out_port=2, out_group=1)`."""
        if isinstance(match, str):
            order = parse_rule(match, self.around.ports(), FIND)
            said = {"match": order.match, "table": order.table, "cookie": order.has_cookie, "out_port": order.out_port,
                    "out_group": order.out_group}
            which, match = {**said, **which}, None
        elif match is not None:
            which["match"] = match
        return Found(Rule(self, entry) for entry in self.chosen(Which(**which)))

    def table(self, number):
        """The rules of one table."""
        return self.find(table=number)

    def same(self, said):
        """The entry with this table, priority and match, or None."""
        priority, match, table = said[0], said[1], said[4]
        return self._same.get((table, priority, match.mask, match.value))

    def chosen(self, which):
        """The entries that are meant: table by table, the highest priority first."""
        if which.strict:
            priority = DEFAULT_PRIORITY if which.priority is None else which.priority
            tables = range(TABLES) if which.table is None else (which.table,)
            same = (self._same.get((table, priority, which.match.mask, which.match.value)) for table in tables)
            found = [entry for entry in same if entry is not None and which.asks(entry)]
        else:
            found = [entry for entry in self.entries.values() if which.takes(entry)]
        return sorted(found, key=lambda entry: (entry.table, -entry.priority, entry.number))

    def _match(self, match):
        if match is None or isinstance(match, Match):
            return match or EVERYTHING
        return parse_rule(match, self.around.ports(), FIND).match

    def seen(self, entry):
        """What a rule has decided on so far, with what its living megaflows have not handed over yet."""
        packets, n_bytes, used = self.tally()
        return Seen(int(packets[entry.index]), int(n_bytes[entry.index]), int(used[entry.index]))

    def tally(self):
        """(packets, bytes, last use) of every record at once, as arrays."""
        return tally.tally(self.arena, self.lanes)

    def table_tally(self):
        """(lookups, matched) of every table, as arrays."""
        return tally.table_tally(self.arena, self.lanes)

    def megaflows_of(self, index):
        """The megaflows that are credited to the rule with this record."""
        return [self.around.megaflow(lane, f) for lane, f in tally.credited(self.arena, self.lanes, CREDIT_RULE, index)]

    def at(self, index):
        """The rule whose record has this index, or None: megaflows name their rule so."""
        used = COPIES[self.arena.table("config")[0].active_rules]
        entry = self.entries.get(int(self.arena.array(used, None, "flows")["number"][index]))
        return Rule(self, entry) if entry is not None and entry.index == index else None

    def __len__(self):
        return len(self.entries)

    def __iter__(self):
        return iter(self.find())

    def __getitem__(self, number):
        if number not in self.entries:
            have = f"they are {', '.join(map(str, list(self.entries)[:20]))}" if self.entries else "there is none yet"
            raise KeyError(f"no rule has number {number!r}: {have}")
        return Rule(self, self.entries[number])

    def __contains__(self, number):
        return number in self.entries

    def _ipython_key_completions_(self):
        return list(self.entries)

    def __repr__(self):
        tables = len({entry.table for entry in self.entries.values()})
        return f"<Rules: {len(self)}>" if tables < 2 else f"<Rules: {len(self)} in {tables} tables>"

    def facts(self):
        """What a drawing of the table shows."""
        return facts_of(self.find(), repr(self)[1:-1], "" if self.entries else "no rule yet: sw.ofctl('add-flow actions=normal')")
