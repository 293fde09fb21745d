"""Memory of a simulated port beside the arena, as a guest's or a NIC's would be: frames stay there, segments refer to it.

It is mapped into the switch's range when it is first used, 16 slots of 64 KB, and opened as a window, so all tempos reach
it. An mbuf's `ext_cookie` is its slot. Which slots are lent is read from the mbufs, what was given back from `told` of all
lanes, so both are right after stepping back. The bytes themselves are not rewound: a slot that was filled again since then
holds the later frame, so slots are filled in turn.
"""

import numpy as np

from lab.live import Live
from lab.memory.mbuf import EXTERNAL
from lab.memory.mempool import TOLD
from lab.ports.intake import PoolEmpty


class OutsideFull(PoolEmpty):
    """Every slot of a port's own memory is lent."""


class Outside(Live):
    """The slots of a port's own memory, and who has them.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> vm1 = sw.add_port("vm1")
    >>> vm1.inject([bytes(1000), bytes(2000)], external=True)
    2
    >>> vm1.outside.lent
    {0: 1, 1: 1}
    """

    SLOT, SLOTS = 1 << 16, 16

    def __init__(self, port):
        self.port, self.owner, self._next = port, port.number, 0
        arena = port.engine.arena
        self._first = 2 * arena.shadow_at + self.owner * self.SLOT * self.SLOTS
        end = self._first + self.SLOT * self.SLOTS
        if end > arena.range.size:
            raise MemoryError(f"port {port.name}: the switch's range has no room for memory of its own")
        if all(low != self._first for low, _, _ in arena.windows):
            arena.open_window(self._first, end, memoryview(arena.range.map(self._first, end - self._first)).cast("B"))

    def at(self, slot):
        """Where a slot begins, as an offset in the range."""
        return self._first + slot * self.SLOT

    @property
    def lent(self):
        """{slot: how many mbufs refer to it}: an external segment itself, and the pieces that GSO has cut from it."""
        mbufs = self.port.engine.array("mbufs")
        mine = np.flatnonzero((mbufs["refcnt"] > 0) & (mbufs["ol_flags"] & EXTERNAL != 0) & (mbufs["ext_owner"] == self.owner))
        return {int(mbufs["ext_cookie"][i]): int(mbufs["refcnt"][i]) for i in sorted(mine, key=lambda i: mbufs["ext_cookie"][i])}

    @property
    def given_back(self):
        """The slots that were given back, in order, those of each lane after the other's: of each lane's last 4096 tellings."""
        engine, slots = self.port.engine, []
        for lane in range(engine.cores + 1):
            told, freed = engine.array("pool", lane, "told"), int(engine.array("pool", lane, "head")["ext_freed"][0])
            for turn in range(max(0, freed - TOLD), freed):
                row = told[turn & (TOLD - 1)]
                if int(row["owner"]) == self.owner:
                    slots.append(int(row["cookie"]))
        return slots

    def slots_for(self, data):
        """Free slots for so many bytes, in turn."""
        lent, wanted = self.lent, -(-len(data) // self.SLOT)
        free = [slot % self.SLOTS for slot in range(self._next, self._next + self.SLOTS) if slot % self.SLOTS not in lent]
        if len(free) < wanted:
            raise OutsideFull(f"port {self.port.name}: {wanted} slots wanted, {len(free)} of {self.SLOTS} are free; run what waits")
        self._next = (free[wanted - 1] + 1) % self.SLOTS
        return free[:wanted]

    def __len__(self):
        return self.SLOTS

    def __repr__(self):
        return f"<memory of {self.port.name}: {len(self.lent)} of {self.SLOTS} slots lent, {len(self.given_back)} given back>"

    def facts(self):
        """What the interface draws."""
        lent, back = self.lent, self.given_back
        rows = [[slot, f"lent, {lent[slot]} refer to it" if slot in lent else "free", back.count(slot)] for slot in range(self.SLOTS)]
        note = "last given back: " + " ".join(map(str, back[-16:])) if back else ""
        return {"title": repr(self)[1:-1], "columns": ["slot", "now", "given back"], "rows": rows, "note": note}
