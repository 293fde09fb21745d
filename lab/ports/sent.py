"""What left a port: copies of its packets, in order, for people to look at."""

from collections import deque
from collections.abc import Sequence

from lab.live import Live, many

KEPT = 10_000  # packets that `sent` remembers


class Sent(Sequence, Live):
    """The packets that left a port, in order: copies, the last 10 000.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2")
    >>> _ = sw.ofctl("add-flow actions=output:vm2")
    >>> vm1.inject(bytes(60))
    1
    >>> while sw.step(): pass
    >>> vm2.sent, vm2.sent[0].bytes() == bytes(60)
    (<1 packet sent by vm2>, True)
    """

    def __init__(self, port):
        self._port, self._kept, self.total = port, deque(maxlen=KEPT), 0

    def __len__(self):
        self._port.collect()
        return len(self._kept)

    def __getitem__(self, i):
        self._port.collect()
        return list(self._kept)[i] if isinstance(i, slice) else self._kept[i]

    def __iter__(self):
        self._port.collect()
        return iter(list(self._kept))

    def __repr__(self):
        return f"<{many(len(self), 'packet')} sent by {self._port.name}{f', {self.total} in all' if self.total > len(self._kept) else ''}>"

    def clear(self):
        """Forget what was sent."""
        self._port.collect()
        self._kept.clear()

    def append(self, packets):
        """Packets have left."""
        self._kept.extend(packets)
        self.total += len(packets)

    def take_back(self, n):
        """The last packets have not left after all: the switch was stepped back."""
        for _ in range(min(n, len(self._kept))):
            self._kept.pop()
        self.total -= n

    def facts(self):
        """What the interface draws."""
        rows = [[i, len(p), repr(p)] for i, p in list(enumerate(self))[-30:]]
        return {"title": repr(self)[1:-1], "columns": ["#", "bytes", "packet"], "rows": rows, "note": ""}
