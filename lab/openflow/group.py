"""One group: what it says, and what it has seen.

An `Entry` is what control remembers of a group beside its records; `Group` and `GroupBucket` are the live views that people
get. How groups come, change and go is in `groups.py`.
"""
from collections import namedtuple
from dataclasses import dataclass

from lab.live import Live, many
from lab.openflow import group_text as said
from lab.openflow.rule import Which

Count = namedtuple("Count", "packets bytes")
NONE_YET = Count(0, 0)


@dataclass(frozen=True, eq=False)
class Entry:
    """A group as it was given: `record` is its place in the arena, `since` what its counters said when it became this."""

    number: int
    record: int
    kind: int
    method: str
    param: int
    fields: tuple
    buckets: tuple
    created: int
    since: Count = NONE_YET
    carried: tuple = ()  # (bucket_id, Count): what buckets that stayed have seen before

    @property
    def named(self):
        """The numbers of the groups that its buckets lead to or watch."""
        to = {number for bucket in self.buckets for number in bucket.actions.groups}
        return to | {bucket.watch_group for bucket in self.buckets if bucket.watch_group is not None}


class GroupBucket(Live):
    """One bucket of a group, live."""

    def __init__(self, group, at):
        self._group, self._at = group, at

    said = property(lambda self: self._group.entry.buckets[self._at], doc="The bucket as it was given.")
    number = property(lambda self: self.said.number, doc="Its bucket_id.")
    weight = property(lambda self: self.said.weight, doc="Its share of a select group.")
    watch_port = property(lambda self: self.said.watch_port, doc="The number of the port that it watches, or None.")
    watch_group = property(lambda self: self.said.watch_group, doc="The number of the group that it watches, or None.")
    actions = property(lambda self: self.said.actions.show(self._group.groups.port_name), doc="What it does, as it was written.")
    live = property(lambda self: self._group.groups.lives(self.said), doc="Whether a packet may take it.")
    packets = property(lambda self: self._group.counts()[1][self._at].packets, doc="Packets that took it.")
    bytes = property(lambda self: self._group.counts()[1][self._at].bytes, doc="Their bytes.")

    def __repr__(self):
        state = "" if self.live else ", not live"
        return f"<bucket {self.number} of group {self._group.number}: {self.actions}{state}, {many(self.packets, 'packet')}>"


class Group(Live):
    """One group, live: `sw.groups[1].buckets[0].packets`."""

    def __init__(self, groups, entry):
        self.groups, self._last = groups, entry

    @property
    def entry(self):
        """What it says now; of a group that was deleted, what it said last."""
        self._last = self.groups.entries.get(self._last.number, self._last)
        return self._last

    number = property(lambda self: self._last.number, doc="Its group_id.")
    record = property(lambda self: self.entry.record, doc="Its record in the arena, as translation and megaflows name it.")
    type = property(lambda self: said.KIND_NAMES[self.entry.kind], doc="all, select, indirect or ff.")
    deleted = property(lambda self: self.number not in self.groups.entries, doc="Whether it is gone.")
    packets = property(lambda self: self.counts()[0].packets, doc="Packets that came to it.")
    bytes = property(lambda self: self.counts()[0].bytes, doc="Their bytes.")
    users = property(lambda self: len(self.groups.rules.chosen(Which(out_group=self.number))), doc="How many rules name it.")
    duration = property(lambda self: max(0, self.groups.rules.clock() - self.entry.created) / 1e6, doc="Seconds since it was added.")
    text = property(lambda self: self.show(self.groups.port_name), doc="The group as add-group would take it again.")

    @property
    def buckets(self):
        """Its buckets, in order."""
        return [GroupBucket(self, at) for at in range(len(self.entry.buckets))]

    def counts(self):
        """(Count of the group, [Count of each bucket])."""
        return self.groups.counts(self.entry)

    def show(self, port_name=None, version=said.OPENFLOW_10):
        """The group in the tool's words."""
        return said.show_group(self.entry, port_name, version)

    def __repr__(self):
        if self.deleted:
            return f"<group {self.number}, deleted: {self.text}>"
        return f"<group {self.number}: {self.type}, {many(len(self.entry.buckets), 'bucket')}, {many(self.packets, 'packet')}>"

    def facts(self):
        """What the interface draws."""
        rows = [[b.number, b.actions, b.weight, _watched(b), "live" if b.live else "not live", b.packets, b.bytes] for b in self.buckets]
        columns = ["bucket", "actions", "weight", "watches", "state", "packets", "bytes"]
        return {"title": repr(self)[1:-1], "columns": columns, "rows": rows, "note": self.text}


def _watched(bucket):
    port = [f"port {bucket.watch_port}"] if bucket.watch_port is not None else []
    return ", ".join(port + ([f"group {bucket.watch_group}"] if bucket.watch_group is not None else []))
