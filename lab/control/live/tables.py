"""The switch's tables as live objects: the stages, the EMC and the SMC. They read the arena when looked at.

Nothing here is on a packet's way, and nothing is kept. Megaflows have a file of their own.
"""

import difflib
from collections.abc import Mapping

import numpy as np

from lab.control.live.megaflows import Megaflow
from lab.flow.smc import NONE
from lab.live import Live
from lab.memory.reasons import EMC_HIT, EMC_MISS, SMC_HIT, SMC_MISS
from lab.memory.record import NULL


class Stages(Mapping, Live):
    """The places of the pipeline by name; a short name works while it is unique.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> sw.stages["parse"]
    <stage parse: 0 packets in, 0 out, 0 dropped>
    >>> sw.stages["pares"]
    Traceback (most recent call last):
    KeyError: "no stage is called 'pares': did you mean 'parse'? There are: ...
    """

    def __init__(self, engine):
        self._engine = engine

    def _places(self):
        return {place.name: place for place in self._engine.pipeline.places}

    def __getitem__(self, name):
        places = self._places()
        if name in places:
            return places[name]
        short = [key for key in places if key.rsplit(".", 1)[-1] == name]
        if len(short) == 1:
            return places[short[0]]
        near = short or difflib.get_close_matches(str(name), places, 1)
        raise KeyError(f"no stage is called {name!r}{f': did you mean {near[0]!r}?' if near else ''} There are: {', '.join(places)}")

    def __iter__(self):
        return iter(self._places())

    def __len__(self):
        return len(self._engine.pipeline.places)

    def __repr__(self):
        return f"<{len(self)} stages: {' → '.join(place.name for place in self._engine.pipeline.main)}>"

    def _ipython_key_completions_(self):
        return list(self._places())

    def facts(self):
        """What the interface draws."""
        rows = [
            [
                p.name,
                p.group,
                c.packets_in,
                c.packets_out,
                c.drops,
                f"{c.cycles:.1f}" if c.cycles else "",
                ", ".join(p.touches),
                p.stage.name if p.stage is not p.original else "",
            ]
            for p in self._engine.pipeline.places
            if (c := p.counts()) is not None
        ]
        return {
            "title": f"{len(self)} stages",
            "columns": ["stage", "where", "in", "out", "dropped", "cycles a packet", "touches", "swapped for"],
            "rows": rows,
            "note": "",
        }


class Emc(Live):
    """The exact-match cache: which of the 8192 entries that each core has are in use, and for which megaflow.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> sw.set_option("emc-insert-inv-prob", 1)
    >>> sw.add_port("vm1").inject([bytes(60)] * 40)
    40
    >>> while sw.step(): pass
    >>> sw.emc
    <EMC: 1 of 8192 entries, 8 hits, 32 misses>
    """

    def __init__(self, switch):
        self._switch = switch

    @property
    def entries(self):
        """(core, place, hash, megaflow) of each entry whose megaflow lives; of those that do not, the place is merely in use."""
        engine = self._switch.engine
        rows = []
        for lane in engine.lanes:
            emc, flows = engine.array("emc", lane), engine.array("megaflows", lane, "flows")
            rows += [
                (lane, int(i), int(emc["hash"][i]), Megaflow(self._switch, [(lane, int(emc["flow"][i]))]))
                for i in np.flatnonzero(emc["flow"] != NULL)
                if flows["alive"][emc["flow"][i]]
            ]
        return rows

    def __len__(self):
        engine = self._switch.engine
        return sum(int((engine.array("emc", lane)["flow"] != NULL).sum()) for lane in engine.lanes)

    hits = property(lambda self: self._switch.count(EMC_HIT), doc="Packets that it resolved.")
    misses = property(lambda self: self._switch.count(EMC_MISS), doc="Packets that it did not resolve.")

    def __repr__(self):
        return f"<EMC: {len(self)} of {8192 * self._switch.engine.cores} entries, {self.hits} hits, {self.misses} misses>"

    def facts(self):
        """What the interface draws."""
        rows = [[place, f"{h:016x}", flow.ufid[:8], flow.match] for _, place, h, flow in self.entries[:60]]
        chance = self._switch.get_option("emc-insert-inv-prob")
        return {
            "title": repr(self)[1:-1],
            "columns": ["entry", "hash", "megaflow", "match"],
            "rows": rows,
            "note": f"a resolved packet is entered with a chance of 1/{chance}",
        }


class Smc(Live):
    """The signature-match cache; off unless `smc-enable` is set.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> sw.smc
    <SMC: off>
    >>> sw.set_option("smc-enable", True)
    >>> sw.smc
    <SMC: 0 signatures, 0 hits, 0 misses>
    """

    def __init__(self, switch):
        self._switch = switch

    hits = property(lambda self: self._switch.count(SMC_HIT), doc="Packets that it resolved.")
    misses = property(lambda self: self._switch.count(SMC_MISS), doc="Packets that it did not resolve.")

    @property
    def on(self):
        """Whether it is in use."""
        return bool(self._switch.engine.array("config")["smc_on"][0])

    def __len__(self):
        engine = self._switch.engine
        return sum(int((engine.array("smc", lane)["flow"] != NONE).sum()) for lane in engine.lanes) if self.on else 0

    def __repr__(self):
        return f"<SMC: {len(self)} signatures, {self.hits} hits, {self.misses} misses>" if self.on else "<SMC: off>"

    def facts(self):
        """What the interface draws."""
        return {
            "title": repr(self)[1:-1],
            "columns": ["", ""],
            "rows": [["signatures", len(self)], ["hits", self.hits], ["misses", self.misses]],
            "note": "" if self.on else "sw.set_option('smc-enable', True) turns it on",
        }
