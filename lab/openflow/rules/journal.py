"""What was done to the rules since they were last published, so that it can be taken back, or summed up and published.

A note is made before a rule comes, goes or changes; a change that was interrupted between the two is taken back all the same.
"""
from lab.openflow.publish import Change
from lab.openflow.rules.dump import SEND_FLOW_REM


class Journal:
    """Notes (before, after, reason): entries, or None for a rule that was not there or is gone; both have one record.

    `read_from` is the copy that cores read while the other is written; once they read that one, the notes stand.
    """

    def __init__(self):
        self._notes, self.read_from = [], None

    def __len__(self):
        return len(self._notes)

    def came(self, entry):
        """A rule comes."""
        self._notes.append((None, entry, None))

    def went(self, entry, reason):
        """A rule goes."""
        self._notes.append((entry, None, reason))

    def changed(self, entry, new):
        """A rule says something else from now on, or another takes its place."""
        self._notes.append((entry, new, None))

    def cut(self, mark):
        """Take the notes from a place on away, the last first."""
        gone = self._notes[:mark - 1 if mark else None:-1]
        del self._notes[mark:]
        return gone

    def sum(self):
        """The Change that all notes amount to."""
        first, last = {}, {}  # by record: a record is given to one rule only until this is published
        for before, after, _ in self._notes:
            index = (after or before).index
            first.setdefault(index, before)
            last[index] = after
        removed = [before for index, before in first.items() if before is not None and last[index] is None]
        added = [after for index, after in last.items() if after is not None and first[index] is None]
        changed = [after for index, after in last.items() if after is not None and first[index] is not None]
        return Change(removed, added, changed)

    def gone(self):
        """The entries whose records nothing needs once this is published."""
        return [before for before, after, _ in self._notes if after is None]

    def renewed(self):
        """The records that another rule has taken over."""
        both = ((before, after) for before, after, _ in self._notes if before is not None and after is not None)
        return [after.index for before, after in both if before.number != after.number]

    def outdated(self):
        """The entries of which nothing needs the actions then."""
        return [before for before, after, _ in self._notes if before is not None and after is not None]

    def leaving(self):
        """Both."""
        return self.gone() + self.outdated()

    def told(self):
        """(entry, reason) of the rules whose going is to be told."""
        return [(before, reason) for before, _, reason in self._notes if reason and before.flags & SEND_FLOW_REM]


def put_back(entries, notes):
    """Undo notes, the last first, in a dict of entries by number."""
    for before, after, _ in notes:
        if after is not None:
            entries.pop(after.number, None)
        if before is not None:
            entries[before.number] = before
