"""What a person orders of groups, as a plan: nothing of it is there before it is published, so all of it or nothing is.

A `Plan` knows what groups there will be and which go; it points at the word of an order that cannot be done. What there is, and
how a plan gets into the records, is in `groups.py`.
"""
import dataclasses

from lab.openflow import group_text as said
from lab.openflow.group import Entry


class Plan:
    """The groups that there will be, by number, and the numbers of those that have gone meanwhile."""

    def __init__(self, groups):
        self.groups, self.entries, self.gone = groups, dict(groups.entries), set()

    def carry_out(self, order):
        """Do what an order says."""
        _DO[order.what](self, order)

    def _add(self, order):
        if order.number in self.entries:
            raise order.error("group_id", f"there is a group {order.number} already: mod-group changes it")
        if len(self.entries) >= self.groups.most:
            raise order.error("group_id", f"there is room for {self.groups.most} groups: delete some")
        taken = {entry.record for entry in (*self.groups.entries.values(), *self.entries.values())}
        record = next((at for at in range(self.groups.most) if at not in taken), None)
        if record is None:
            raise order.error("group_id", f"there is room for {self.groups.most} groups, those that go included: delete some first")
        buckets = _numbered(order.buckets, (), order)
        settings = order.kind, order.method, order.param, order.fields
        self.entries[order.number] = Entry(order.number, record, *settings, buckets, self.groups.rules.clock())

    def _modify(self, order):
        old = self._there(order)
        buckets = _numbered(order.buckets, (), order)
        self.entries[order.number] = dataclasses.replace(
            old, kind=order.kind, method=order.method, param=order.param, fields=order.fields, buckets=buckets,
            since=self.groups.total(old.record), carried=())

    def _add_or_modify(self, order):
        (self._modify if order.number in self.entries else self._add)(order)

    def _delete(self, order):
        gone = set(self.entries) if order.number is None else {order.number} & set(self.entries)
        for number in gone:
            del self.entries[number]
        self.gone |= gone

    def _insert(self, order):
        old = self._there(order)
        said.check_buckets(order, old.kind, len(old.buckets) + len(order.buckets))
        new = _numbered(order.buckets, old.buckets, order)
        at = {said.FIRST: 0, said.LAST: len(old.buckets)}.get(order.place)
        at = 1 + _place_of(old, order) if at is None else at
        self.entries[order.number] = dataclasses.replace(old, buckets=(*old.buckets[:at], *new, *old.buckets[at:]))

    def _remove(self, order):
        old, place = self._there(order), order.place
        kept = list(old.buckets)
        if place in (None, said.EVERY):
            kept.clear()
        elif place == said.FIRST:
            del kept[:1]
        elif place == said.LAST:
            del kept[-1:]
        else:
            del kept[_place_of(old, order)]
        self.entries[order.number] = dataclasses.replace(old, buckets=tuple(kept))

    def _there(self, order):
        if order.number not in self.entries:
            raise order.error("group_id", f"there is no group {order.number}", [str(number) for number in self.entries])
        return self.entries[order.number]


def _numbered(new, old, order):
    """Buckets with a bucket_id each: their own, else the lowest that is free."""
    taken = {bucket.number for bucket in old}
    for bucket in new:
        if bucket.number is not None:
            if bucket.number in taken:
                raise order.error("bucket_id", f"bucket_id {bucket.number} is there already")
            taken.add(bucket.number)
    numbered = []
    for bucket in new:
        number = bucket.number
        if number is None:
            number = next(n for n in range(len(taken) + 1) if n not in taken)
            taken.add(number)
        numbered.append(dataclasses.replace(bucket, number=number))
    return tuple(numbered)


def _place_of(entry, order):
    """Which of a group's buckets has the bucket_id that an order names."""
    numbers = [bucket.number for bucket in entry.buckets]
    if order.place not in numbers:
        have = f"it has {', '.join(map(str, numbers))}" if numbers else "it has none"
        raise order.error("command_bucket_id", f"group {entry.number} has no bucket {order.place}: {have}")
    return numbers.index(order.place)


_DO = {said.ADD: Plan._add, said.MODIFY: Plan._modify, said.ADD_OR_MODIFY: Plan._add_or_modify, said.DELETE: Plan._delete,
       said.INSERT: Plan._insert, said.REMOVE: Plan._remove}
