"""`sw.groups`: the OpenFlow groups of a switch, as a person changes and reads them.

It owns the groups' records and those of their buckets, in both copies of the rules (`publish.py`), and the end of `ofacts`
where the actions of buckets lie, each in the order of an action set. A change is all or nothing. Which bucket a packet
takes is decided in translation; how groups are written is in `group_text.py`.
"""
import dataclasses
from collections import namedtuple
from contextlib import contextmanager

import numpy as np

from lab.flow.actions import CREDIT_BUCKET, CREDIT_GROUP
from lab.live import many
from lab.memory.ranges import Ranges
from lab.openflow import group_text as said
from lab.openflow.action_set import in_set_order
from lab.openflow.errors import CommandError, missing
from lab.openflow.group import NONE_YET, Count, Group
from lab.openflow.group_plan import Plan
from lab.openflow.numbered import Numbered
from lab.openflow.rules.counting import begin_counting
from lab.openflow.rules.room import end_of_rules
from lab.openflow.rules.tally import tally
from lab.translate.groups import BY_DATAPATH, BY_FIELDS
from lab.translate.ofact import O_GROUP
from lab.translate.records import WATCHES_NOTHING

NO_PORT = 0  # watched in the place of a group that is not there: it is never up
Placed = namedtuple("Placed", "first facts")  # the first bucket's record; of each bucket, its records in `ofacts`: (first, rows)


def other_ofacts(arena):
    """The ranges of `ofacts` that rules leave to groups and packet-outs."""
    free, begin = Ranges(0), end_of_rules(arena)
    free.free = [(begin, arena.places["ofacts", None, ""][2] - begin)]
    return free


class Groups(Numbered):
    """The groups by number. `rules` is the switch's table of rules; `like` the groups of a switch that this one is a fork of.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> _ = sw.ofctl("add-group group_id=1,type=all,bucket=output:1,bucket=output:2")
    >>> sw.groups, sw.groups[1].buckets[1].actions
    (<Groups: 1 all>, 'output:2')
    """

    kind = "group"

    def __init__(self, rules, *, like=None):
        self.rules, self.arena = rules, rules.arena
        self.entries = dict(like.entries) if like is not None else {}
        self._placed = dict(like._placed) if like is not None else {}
        self.ofacts, self._buckets = other_ofacts(self.arena), Ranges(self.arena.places["rules", None, "buckets"][2])
        self.most = self.arena.places["rules", None, "groups"][2]
        self.forget = lambda record: None  # told of a record that is given back, before anybody else has it
        if like is not None:
            self.ofacts.free, self._buckets.free = list(like.ofacts.free), list(like._buckets.free)

    port_name = property(lambda self: self.rules.port_name, doc="What tells a port's name by its number.")

    # --- reading ----------------------------------------------------------------------------------

    def view(self, entry):
        """The live object of an entry."""
        return Group(self, entry)

    def __repr__(self):
        return f"<Groups: {', '.join(f'{number} {self[number].type}' for number in self) or 'none'}>"

    def facts(self):
        """What the interface draws."""
        rows = [[g.number, g.type, len(g.entry.buckets), g.users, g.packets, g.bytes] for g in self.values()]
        note = "" if rows else "no group yet: sw.ofctl('add-group group_id=1,type=all,bucket=output:1,bucket=output:2')"
        return {"title": repr(self)[1:-1], "columns": ["group", "type", "buckets", "rules", "packets", "bytes"], "rows": rows, "note": note}

    def record(self, number):
        """The record of a group, for actions that name it."""
        if number not in self.entries:
            raise missing("group", number, self)
        return self.entries[number].record

    def of_record(self, record):
        """The group with a record, or None: megaflows and stories name it so."""
        return next((Group(self, entry) for entry in self.entries.values() if entry.record == record), None)

    def lives(self, bucket):
        """Whether a packet may take a bucket: the port it watches is up, or the group it watches has such a bucket."""
        if bucket.watch_port is None and bucket.watch_group is None:
            return True
        watched = self.entries.get(bucket.watch_group)
        return self._port_lives(bucket.watch_port) or (watched is not None and any(
            (one.watch_port is None and one.watch_group is None) or self._port_lives(one.watch_port) for one in watched.buckets))

    def _port_lives(self, number):
        ports = self.arena.array("ports")
        return number is not None and 0 < number < len(ports) and bool(ports["kind"][number]) and bool(ports["up"][number])

    def total(self, record):
        """What the counters of a group's record say."""
        return Count(*(int(part[record]) for part in tally(self.arena, self.rules.lanes, "group_stats", CREDIT_GROUP)[:2]))

    def counts(self, entry):
        """(Count of a group, [Count of each of its buckets])."""
        total = self.total(entry.record)
        seen = tally(self.arena, self.rules.lanes, "bucket_stats", CREDIT_BUCKET)
        whole = Count(max(0, total.packets - entry.since.packets), max(0, total.bytes - entry.since.bytes))
        placed, carried = self._placed.get(entry.number), dict(entry.carried)
        if placed is None:
            return whole, [NONE_YET for _ in entry.buckets]
        each = []
        for at, bucket in enumerate(entry.buckets, placed.first):
            before = carried.get(bucket.number, NONE_YET)
            each.append(Count(int(seen.packets[at]) + before.packets, int(seen.bytes[at]) + before.bytes))
        return whole, each

    # --- changing ---------------------------------------------------------------------------------

    def carry_out(self, order):
        """Do what an order says."""
        with self.change() as plan:
            plan.carry_out(order)

    @contextmanager
    def change(self):
        """Publish all that is carried out inside at once, on the Plan that this gives; after an exception nothing has changed."""
        plan = Plan(self)
        yield plan
        self._publish(plan.entries, plan.gone & set(self.entries))

    # --- publishing -------------------------------------------------------------------------------

    def _publish(self, plan, gone):
        """Bring the records to what the plan says, and let the rules go that name a group that goes."""
        records, before = ({number: entry.record for number, entry in of.items()} for of in (plan, self.entries))
        moved = {number for number in (*records, *before) if records.get(number) != before.get(number)}
        changed = [entry for number, entry in plan.items() if self.entries.get(number) is not entry or entry.named & moved]
        if not changed and not gone:
            return
        fresh = {}
        try:
            for entry in changed:
                fresh[entry.number] = self._place(entry, records)
            with self.rules.change():
                for number in sorted(gone):
                    self.rules.group_gone(number)
        except BaseException:
            for placed in fresh.values():
                self._give_back(placed)
            raise
        for number in moved & before.keys():
            self.forget(before[number])
        self._begin_counting(changed, fresh)
        placed = {number: fresh.get(number) or self._placed[number] for number in plan}
        self.rules.copies.edit(lambda name: self._write(name, plan, placed, records))
        left = [old for number, old in self._placed.items() if placed.get(number) is not old]
        plan = {number: self._carry(entry) if number in fresh else entry for number, entry in plan.items()}
        self.entries, self._placed = plan, placed
        for old in left:
            self._give_back(old)

    def _place(self, entry, records):
        """Room for a group's buckets and their actions, and the actions in it."""
        first = self._buckets.take(len(entry.buckets))
        if first is None:
            raise CommandError(f"group {entry.number}: no room for {many(len(entry.buckets), 'bucket')} more; delete some groups")
        facts = []
        for bucket in entry.buckets:
            rows = _rows(bucket, records)
            at = self.ofacts.take(len(rows))
            if at is None:
                self._give_back(Placed(first, facts), len(entry.buckets))
                raise CommandError(f"group {entry.number}: no room for {len(rows)} more actions; delete some groups")
            if rows:
                self.arena.array("ofacts")[at : at + len(rows)] = np.array(rows, self.arena.array("ofacts").dtype)
            facts.append((at, len(rows)))
        return Placed(first, facts)

    def _give_back(self, placed, buckets=None):
        self._buckets.give(placed.first, len(placed.facts) if buckets is None else buckets)
        for first, n in placed.facts:
            self.ofacts.give(first, n)

    def _begin_counting(self, changed, fresh):
        """Records that come into use begin at zero."""
        buckets = [at for placed in fresh.values() for at in range(placed.first, placed.first + len(placed.facts))]
        before = {number: entry.record for number, entry in self.entries.items()}
        groups = [entry.record for entry in changed if before.get(entry.number) != entry.record]
        begin_counting(self.arena, self.rules.lanes, {"bucket_stats": buckets, "group_stats": groups}, self.rules.around.lasting)

    def _carry(self, entry):
        """A group whose buckets have new records now: those that stayed keep what they have seen."""
        old = self.entries.get(entry.number)
        if old is None or old.record != entry.record or entry.since != old.since:
            return entry
        stayed = {bucket.number for bucket in old.buckets} & {bucket.number for bucket in entry.buckets}
        seen = zip(old.buckets, self.counts(old)[1], strict=True)
        return dataclasses.replace(entry, carried=tuple((bucket.number, count) for bucket, count in seen if bucket.number in stayed))

    def _write(self, name, plan, placed, records):
        """All groups and buckets into one copy."""
        groups, buckets = (self.arena.array(name, None, part) for part in ("groups", "buckets"))
        groups["alive"] = 0
        for number, entry in plan.items():
            where = placed[number]
            for at, (bucket, (first, n)) in enumerate(zip(entry.buckets, where.facts, strict=True)):
                row = buckets[where.first + at : where.first + at + 1]
                row["acts"], row["n_acts"], row["weight"], row["number"] = first, n, bucket.weight, bucket.number
                row["watch_port"], row["watch_group"] = _watches(bucket, records)
            row = groups[entry.record : entry.record + 1]
            row["number"], row["kind"], row["first"], row["n"] = number, entry.kind, where.first, len(entry.buckets)
            row["method"] = BY_FIELDS if entry.method == "hash" else BY_DATAPATH
            row["fields"], row["basis"] = _fields(entry), entry.param & 0xFFFFFFFF
            row["alive"] = 1


def _fields(entry):
    """The bits of the fields that a hash takes."""
    bits = 0
    for name in entry.fields:
        bits |= said.HASHED[name]
    return bits


def _rows(bucket, records):
    """The records of a bucket's actions, groups by their records; nothing when it leads to a group that is not there."""
    rows = in_set_order(bucket.actions.records)
    if rows and rows[-1].op == O_GROUP:
        return [*rows[:-1], rows[-1]._replace(n=records[rows[-1].n])] if rows[-1].n in records else []
    return rows


def _watches(bucket, records):
    """What a bucket watches, as records say it."""
    port = WATCHES_NOTHING if bucket.watch_port is None else bucket.watch_port
    if bucket.watch_group is None:
        return port, WATCHES_NOTHING
    if bucket.watch_group in records:
        return port, records[bucket.watch_group]
    return NO_PORT if bucket.watch_port is None else port, WATCHES_NOTHING
