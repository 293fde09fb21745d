"""`sw.rules`: the OpenFlow rules of a switch, as a person changes and reads them.

It owns the rules' records: which record and which actions belong to which rule, and what has to be published
(`publish.py`). A change is all or nothing; inside `with rules.change():` many become one. What a rule does to
packets is decided in the stages upcall and actions.
"""
from collections import Counter, deque, namedtuple
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from lab.live import Live
from lab.memory.ranges import Ranges
from lab.memory.record import NULL
from lab.openflow.errors import CommandError
from lab.openflow.publish import COPIES, Change, Copies
from lab.openflow.rule import DEFAULT_PRIORITY, EVERYTHING, Entry, Rule, Which

Seen = namedtuple("Seen", "packets bytes used")


class RuleTable(Live):
    """The rules of a switch.

    `settled()` returns when no core and no megaflow uses what the epoch before had, `clock()` tells microseconds of
    the engine's time, `port_name(number)` a name or nothing. `like` is a table whose records lie in this arena already.
    """

    def __init__(self, arena, *, settled=lambda: None, clock=lambda: 0, port_name=None, like=None):
        self.arena, self.clock, self.port_name = arena, clock, port_name
        self.copies = Copies(arena, settled, fresh=like is None)
        self.entries = dict(like.entries) if like else {}  # number: Entry
        self._same = dict(like._same) if like else {}  # (match, priority): number
        self._masks = {mask: Counter(counts) for mask, counts in like._masks.items()} if like else {}  # mask: how many of each priority
        rules, self._most_masks, acts = self.copies.limits
        self._free, self._ranges = deque(like._free if like else range(rules)), Ranges(acts)
        if like:
            self._ranges.free = list(like._ranges.free)
        self._lanes = sorted(lane for name, lane, _ in arena.places if name == "rule_stats")
        self._next = like._next if like else 1
        self._depth = 0
        self._forget_pending()

    # --- changing ---------------------------------------------------------------------------

    def add(self, priority, match, actions, cookie=0):
        """Add a rule, over one with the same match and priority, and return it."""
        with self.change():
            if (old := self._same.get((match, priority))) is not None:
                self._take_out(self.entries[old])
            return Rule(self, self._put_in(priority, match, tuple(actions), cookie))

    def delete(self, match=None, **which):
        """Delete the rules that a match covers (`strict=True`: that have just this match and priority); how many."""
        gone = self._chosen(Which(match or EVERYTHING, **which))
        with self.change():
            for entry in gone:
                self._take_out(entry)
        return len(gone)

    def modify(self, actions, match=None, **which):
        """Give rules other actions; their counters go on. How many."""
        meant = self._chosen(Which(match or EVERYTHING, **which))
        with self.change():
            for entry in meant:
                self._replace(entry, tuple(actions))
        return len(meant)

    @contextmanager
    def change(self):
        """Publish all changes made inside at once; an exception takes them all back."""
        mark = len(self._undo)
        self._depth += 1
        try:
            yield self
        except BaseException:
            while len(self._undo) > mark:
                self._undo.pop()()
            raise
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._publish()

    def _put_in(self, priority, match, actions, cookie):
        if not self._free:
            raise CommandError(f"the table is full: {len(self)} rules; delete some, or make a Switch(size='large')")
        if match.mask_words not in self._masks and len(self._masks) == self._most_masks:
            raise CommandError(f"the table is full: its rules have {self._most_masks} different masks; use a mask that another rule has")
        first = self._room_for(actions)
        entry = Entry(self._next, self._free.popleft(), priority, match, actions, cookie, first, self.clock())
        self._next += 1
        self._count(entry, 1)
        self._added[entry.index] = entry
        self._undo.append(lambda: self._take_back(entry))
        return entry

    def _take_back(self, entry):
        self._count(entry, -1)
        del self._added[entry.index]
        self._free.append(entry.index)
        self._ranges.give(entry.first, len(entry.actions))

    def _take_out(self, entry):
        self._count(entry, -1)
        fresh = self._added.pop(entry.index, None)
        changed = self._changed.pop(entry.index, None)
        if fresh is None:
            self._removed[entry.index] = entry
        self._freed.append(entry)

        def back():
            self._freed.pop()
            self._removed.pop(entry.index, None)
            self._added.update({entry.index: fresh} if fresh else {})
            self._changed.update({entry.index: changed} if changed else {})
            self._count(entry, 1)
        self._undo.append(back)

    def _replace(self, entry, actions):
        new = replace(entry, actions=actions, first=self._room_for(actions))
        pending = self._added if entry.index in self._added else self._changed
        before = pending.get(entry.index)
        pending[entry.index] = self.entries[entry.number] = new
        self._outdated.append(entry)

        def back():
            self._outdated.pop()
            self._ranges.give(new.first, len(new.actions))
            self.entries[entry.number] = entry
            del pending[entry.index]
            pending.update({entry.index: before} if before else {})
        self._undo.append(back)

    def _room_for(self, actions):
        first = self._ranges.take(len(actions))
        if first is None:
            raise CommandError(f"the table is full: no room for {len(actions)} more actions; delete some rules")
        return first

    def _count(self, entry, by):
        """Add a rule to the ways of finding it, or take it away."""
        counts = self._masks.setdefault(entry.match.mask_words, Counter())
        counts[entry.priority] += by
        if by > 0:
            self.entries[entry.number] = entry
            self._same[entry.match, entry.priority] = entry.number
            return
        del self.entries[entry.number], self._same[entry.match, entry.priority]
        if not counts[entry.priority]:
            del counts[entry.priority]
        if not counts:
            del self._masks[entry.match.mask_words]

    def _publish(self):
        """Bring the records to what was said, then free what nothing names any more."""
        removed, added, changed = (list(pending.values()) for pending in (self._removed, self._added, self._changed))
        gone, outdated = self._freed, self._outdated
        self._forget_pending()
        if removed or added or changed:
            for entry in added:
                for lane in self._lanes:
                    self.arena.array("rule_stats", lane)[entry.index] = 0
            touched = {entry.match.mask_words for entry in (*removed, *added)}
            try:
                self.copies.publish(Change(removed, added, changed, self._tops(touched)))
            except BaseException:  # interrupted half-way: the records are made anew from what was said
                self.copies.rebuild(Change([], list(self.entries.values()), [], self._tops(self._masks)))
                raise
        self._free.extend(entry.index for entry in gone)
        for entry in (*gone, *outdated):
            self._ranges.give(entry.first, len(entry.actions))

    def _tops(self, masks):
        """The highest priority of each mask that rules have."""
        return {mask: max(self._masks[mask]) for mask in masks if mask in self._masks}

    def _forget_pending(self):
        self._undo, self._removed, self._added, self._changed, self._freed, self._outdated = [], {}, {}, {}, [], []

    # --- reading ----------------------------------------------------------------------------

    def find(self, match=None, **which):
        """The rules that a match covers, the highest priority first."""
        return [Rule(self, entry) for entry in self._chosen(Which(match or EVERYTHING, **which))]

    def _chosen(self, which):
        candidates = list(self.entries.values())
        if which.strict:
            number = self._same.get((which.match, DEFAULT_PRIORITY if which.priority is None else which.priority))
            candidates = [self.entries[number]] if number is not None else []
        return sorted((entry for entry in candidates if which.takes(entry)), key=lambda entry: (-entry.priority, entry.number))

    def seen(self, entry):
        """What a rule has decided on so far, with what its living megaflows have not handed over yet."""
        if entry.number not in self.entries:
            return Seen(0, 0, 0)
        packets, n_bytes, used = self.tally()
        return Seen(int(packets[entry.index]), int(n_bytes[entry.index]), int(used[entry.index]))

    def tally(self):
        """(packets, bytes, last use) of every record at once, as arrays."""
        packets, n_bytes, used = np.zeros((3, len(self.arena.array("rule_stats", self._lanes[0]))), np.int64)
        for lane in self._lanes:
            stats = self.arena.array("rule_stats", lane)
            flows = self.arena.array("megaflows", lane, "flows")
            flows = flows[(flows["packets"] > 0) & (flows["rule"] != NULL)]  # those for which the table had no room among them
            packets += stats["packets"]
            n_bytes += stats["bytes_"]
            np.add.at(packets, flows["rule"], flows["packets"])
            np.add.at(n_bytes, flows["rule"], flows["bytes_"])
            used = np.maximum(used, stats["used"])
            np.maximum.at(used, flows["rule"], flows["used"])
        return packets, n_bytes, used

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
        return f"<Rules: {len(self)}>"

    def facts(self):
        """What a drawing of the table shows."""
        packets, n_bytes, _ = self.tally()
        rows = [(rule.number, rule.priority, rule.match or "everything", rule.actions, int(packets[rule.index]), int(n_bytes[rule.index]))
                for rule in self]
        note = "" if rows else "no rule yet: sw.ofctl('add-flow actions=flood')"
        columns = ("rule", "priority", "match", "actions", "packets", "bytes")
        return {"title": repr(self)[1:-1], "columns": columns, "rows": rows, "note": note}
