"""The switch's tables as live objects: the stages, the megaflows, the EMC and the SMC. They read the arena when looked at.

Nothing here is on a packet's way, and nothing is kept: only a `Megaflow` stays as it was when it was looked at.
"""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from lab.flow.key import names_of_bits
from lab.flow.smc import NONE
from lab.live import Live
from lab.memory.reasons import EMC_HIT, EMC_MISS, REASONS, SMC_HIT, SMC_MISS
from lab.memory.record import NULL
from lab.openflow.actions import format_actions
from lab.openflow.match import format_match


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


class Megaflow(Live):
    """One megaflow, as it was when looked at, merged over the cores that have it.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> sw.add_port("vm1").inject(bytes(60))
    1
    >>> while sw.step(): pass
    >>> sw.megaflows[0].text()
    'in_port=vm1,dl_type=0x05ff, packets:1, bytes:60, used:0.000s, actions:drop'
    """

    def __init__(self, switch, copies):
        self._switch = switch
        self.lanes = [lane for lane, _ in copies]
        lane, self.index = copies[0]
        arena = switch.engine.arena
        flow = arena.array("megaflows", lane, "flows")[self.index]
        sub = arena.array("megaflows", lane, "subtables")[int(flow["subtable"])]
        self.mask_words, self.value_words = sub["mask"].tolist(), flow["w"].tolist()
        rows = [arena.array("megaflows", at, "flows")[i] for at, i in copies]
        self.packets, self.bytes = (sum(int(row[key]) for row in rows) for key in ("packets", "bytes_"))
        self.used_us = max(int(row["used"]) for row in rows)
        self.tcp_flags = int(np.bitwise_or.reduce([row["tcp_flags"] for row in rows]))
        self.ufid = "{:016x}{:016x}".format(*(int(half) for half in flow["ufid"]))
        self.subtable = int(flow["subtable"])
        self.rule_index = None if int(flow["rule"]) == NULL else int(flow["rule"])
        acts = arena.array("acts")[int(flow["acts"]) : int(flow["acts"]) + int(flow["n_acts"])]
        self.action_list = [tuple(int(v) for v in act) for act in acts]
        self.reason = REASONS[int(flow["reason"])] if int(flow["reason"]) else None

    @property
    def match(self):
        """The masked key in OVS's words."""
        return format_match(self.value_words, self.mask_words, self._switch.port_name)

    @property
    def actions(self):
        """The actions in OVS's words."""
        return format_actions(self.action_list, self._switch.port_name) if self.action_list else "drop"

    @property
    def bits(self):
        """How many bits of the key it asks for."""
        return sum(word.bit_count() for word in self.mask_words)

    @property
    def used(self):
        """Seconds since a packet used it; None if none has."""
        return (self._switch.engine.now - self.used_us) / 1e6 if self.packets else None

    def text(self, full=False):
        """The megaflow as `dpctl/dump-flows` prints it; `full` with its ufid."""
        head = f"ufid:{self.ufid[:8]}-{self.ufid[8:12]}-{self.ufid[12:16]}-{self.ufid[16:20]}-{self.ufid[20:]}, " if full else ""
        used = "never" if self.used is None else f"{self.used:.3f}s"
        flags = f", flags:{tcp_flag_names(self.tcp_flags)}" if self.tcp_flags else ""
        return f"{head}{self.match}, packets:{self.packets}, bytes:{self.bytes}, used:{used}{flags}, actions:{self.actions}"

    def __repr__(self):
        return f"<megaflow {self.ufid[:8]}: {self.match or 'any'} → {self.actions}, {self.packets} packets>"

    def facts(self):
        """What the interface draws."""
        rows = [
            ["match", self.match],
            ["actions", self.actions],
            ["packets", self.packets],
            ["bytes", self.bytes],
            ["bits asked for", self.bits],
            ["ufid", self.ufid],
            ["cores", ", ".join(map(str, self.lanes))],
        ]
        return {"title": repr(self)[1:-1], "columns": ["", ""], "rows": rows, "note": ""}


def tcp_flag_names(flags):
    """TCP flags as OVS prints them."""
    return "".join(letter for bit, letter in enumerate("FSRP.UEC") if flags >> bit & 1) or "none"


class Megaflows(Sequence, Live):
    """The megaflows of all cores, merged by ufid: by place in the first core's table, then those that only other cores have.

    A place that was given back is taken again, so this is not the order in which they were installed. `sw.megaflows["3f2a"]`
    is the one whose ufid begins so.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2")
    >>> vm1.inject(bytes(60))
    1
    >>> while sw.step(): pass
    >>> sw.megaflows[0].actions, sw.megaflows[0].packets, sw.megaflows[0].bits
    ('drop', 1, 80)
    """

    def __init__(self, switch):
        self._switch = switch

    def _merged(self):
        found = {}
        for lane in self._switch.engine.lanes:
            flows = self._switch.engine.array("megaflows", lane, "flows")
            for i in np.flatnonzero(flows["alive"]):
                found.setdefault(flows["ufid"][i].tobytes(), []).append((lane, int(i)))
        return list(found.values())

    def __len__(self):
        return len(self._merged())

    def __getitem__(self, i):
        if isinstance(i, str):
            found = next((flow for flow in self if flow.ufid.startswith(i.replace("-", ""))), None)
            if found is None:
                raise KeyError(f"no megaflow has a ufid that begins with {i!r}: sw.megaflows shows them")
            return found
        chosen = self._merged()[i]
        return [Megaflow(self._switch, copies) for copies in chosen] if isinstance(i, slice) else Megaflow(self._switch, chosen)

    def __iter__(self):
        return iter(self[:])

    @property
    def subtables(self):
        """(core, mask, megaflows, hits) of each subtable, in the order in which they are probed."""
        engine, rows = self._switch.engine, []
        for lane in engine.lanes:
            subtables = engine.array("megaflows", lane, "subtables")
            for s in subtables["rank"][: int(engine.array("megaflows", lane, "head")["subtables"][0])].tolist():
                mask = ", ".join(names_of_bits(subtables["mask"][s].tolist()))
                rows.append((lane, mask, int(subtables["flows"][s]), int(subtables["hits"][s])))
        return rows

    def __repr__(self):
        engine = self._switch.engine
        masks = max(int(engine.array("megaflows", lane, "head")["subtables"][0]) for lane in engine.lanes)
        return f"<{len(self)} megaflows in {masks} subtables>"

    def facts(self):
        """What the interface draws."""
        rows = [[m.ufid[:8], m.match or "any", m.actions, m.packets, m.bytes, m.bits] for m in self[:200]]
        note = f"{len(self) - 200} more" if len(self) > 200 else ""
        return {
            "title": repr(self)[1:-1],
            "columns": ["ufid", "match", "actions", "packets", "bytes", "bits asked for"],
            "rows": rows,
            "note": note,
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
