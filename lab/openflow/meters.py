"""`sw.meters`: the OpenFlow meters of a switch, as a person changes and reads them.

It owns the records of `meters`, which the cores read while they run packets through `meter:N`; what passed and what was
dropped each core counts for itself (`meter_state`). With several cores each lets its share of the rate pass, so a meter
that one core's ports use alone passes rate / cores. How meters are written is in `meter_text.py`.
"""
from collections import namedtuple
from dataclasses import dataclass

from lab.live import Live, many
from lab.openflow import meter_text as said
from lab.openflow.errors import missing
from lab.openflow.numbered import Numbered
from lab.openflow.rule import Which

Count = namedtuple("Count", "packets bytes")


@dataclass(frozen=True, eq=False)
class Entry:
    """A meter as it was given; `record` is its place in the arena, `version` tells a setting from the one before."""

    number: int
    record: int
    flags: tuple
    bands: tuple
    created: int
    version: int


class Meter(Live):
    """One meter, live: `sw.meters[1].packets`, `sw.meters[1].dropped`."""

    def __init__(self, meters, entry):
        self.meters, self._last = meters, entry

    @property
    def entry(self):
        """What it says now; of a meter that was deleted, what it said last."""
        self._last = self.meters.entries.get(self._last.number, self._last)
        return self._last

    number = property(lambda self: self._last.number, doc="Its number, as `meter:N` names it.")
    record = property(lambda self: self.entry.record, doc="Its record in the arena.")
    deleted = property(lambda self: self.number not in self.meters.entries, doc="Whether it is gone.")
    flags = property(lambda self: self.entry.flags, doc="Of kbps, pktps, burst and stats those that were said.")
    unit = property(lambda self: "kbps" if "kbps" in self.flags else "pktps", doc="What its rates count.")
    bands = property(lambda self: self.entry.bands, doc="Its bands: rate and burst of each.")
    packets = property(lambda self: self.counts()[0].packets, doc="Packets that came to it.")
    bytes = property(lambda self: self.counts()[0].bytes, doc="Their bytes.")
    dropped = property(lambda self: sum(count.packets for count in self.counts()[1]), doc="Packets that it dropped.")
    users = property(lambda self: len(self.meters.rules.chosen(Which(meter=self.number))), doc="How many rules name it.")
    duration = property(lambda self: max(0, self.meters.rules.clock() - self.entry.created) / 1e6, doc="Seconds since it was added.")
    text = property(lambda self: said.show_meter(self.entry).replace("bands=\n", "bands=").replace("\n", " "),
                    doc="The meter as add-meter would take it again.")

    def counts(self):
        """(Count of what came, [Count of what each band dropped]), over all cores."""
        return self.meters.counts(self.entry)

    def __repr__(self):
        if self.deleted:
            return f"<meter {self.number}, deleted: {self.text}>"
        rates = ", ".join(str(band.rate) for band in self.bands)
        return f"<meter {self.number}: {rates} {self.unit}, {many(self.packets, 'packet')}, {self.dropped} dropped>"

    def facts(self):
        """What the interface draws."""
        rows = [[at, f"{band.rate} {self.unit}", "a second's worth" if band.burst is None else band.burst, *count]
                for at, (band, count) in enumerate(zip(self.bands, self.counts()[1], strict=True))]
        cores = len(self.meters.lanes)
        note = f"each of {cores} cores lets its share of the rate pass" if cores > 1 else ""
        return {"title": repr(self)[1:-1], "columns": ["band", "rate", "burst", "dropped", "bytes"], "rows": rows, "note": note}


class Meters(Numbered):
    """The meters by number. `rules` is the switch's table of rules; `like` the meters of a switch that this one is a fork of.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> _ = sw.ofctl("add-meter meter=1,pktps,bands=type=drop,rate=1000")
    >>> sw.meters, sw.meters[1]
    (<Meters: 1>, <meter 1: 1000 pktps, 0 packets, 0 dropped>)
    """

    kind = "meter"

    def __init__(self, rules, *, like=None):
        self.rules, self.arena = rules, rules.arena
        self.entries = dict(like.entries) if like is not None else {}
        self._version = like._version if like is not None else 0
        self.forget = lambda record: None  # told of a record that is given back, before anybody else has it
        self.most = self.arena.places["meters", None, ""][2]
        self.lanes = sorted(lane for name, lane, _ in self.arena.places if name == "meter_state" and lane)

    def view(self, entry):
        """The live object of an entry."""
        return Meter(self, entry)

    def __repr__(self):
        return f"<Meters: {', '.join(map(str, self)) or 'none'}>"

    def facts(self):
        """What the interface draws."""
        rows = [[m.number, ", ".join(f"{band.rate} {m.unit}" for band in m.bands), m.users, m.packets, m.bytes, m.dropped]
                for m in self.values()]
        note = "" if rows else "no meter yet: sw.ofctl('add-meter meter=1,pktps,bands=type=drop,rate=1000')"
        columns = ["meter", "rates", "rules", "packets", "bytes", "dropped"]
        return {"title": repr(self)[1:-1], "columns": columns, "rows": rows, "note": note}

    def record(self, number):
        """The record of a meter, for actions that name it."""
        if number not in self.entries:
            raise missing("meter", number, self)
        return self.entries[number].record

    def counts(self, entry):
        """(Count of what came to a meter, [Count of what each of its bands dropped])."""
        whole, bands = [0, 0], [[0, 0] for _ in entry.bands]
        for lane in self.lanes:
            state = self.arena.array("meter_state", lane)[entry.record]
            if int(state["version"]) != entry.version:
                continue  # the lane has seen no packet since the meter was set
            whole = [whole[0] + int(state["packets"]), whole[1] + int(state["bytes_"])]
            for at, band in enumerate(bands):
                band[0] += int(state["band_packets"][at])
                band[1] += int(state["band_bytes"][at])
        return Count(*whole), [Count(*band) for band in bands]

    # --- changing ---------------------------------------------------------------------------------

    def carry_out(self, order):
        """Do what an order says."""
        {said.ADD: self._add, said.MODIFY: self._modify, said.DELETE: self._delete}[order.what](order)

    def _add(self, order):
        if order.number in self.entries:
            raise order.error("meter", f"there is a meter {order.number} already: mod-meter changes it")
        taken = {entry.record for entry in self.entries.values()}
        record = next((at for at in range(self.most) if at not in taken), None)
        if record is None:
            raise order.error("meter", f"there is room for {self.most} meters: delete some")
        self._set(order, record, self.rules.clock())

    def _modify(self, order):
        if order.number not in self.entries:
            raise order.error("meter", f"there is no meter {order.number}", [str(number) for number in self.entries])
        old = self.entries[order.number]
        self._set(order, old.record, old.created)

    def _set(self, order, record, created):
        """Write a setting; its version goes last, so that a core which reads in between begins anew."""
        self._version += 1
        entry = Entry(order.number, record, order.flags, tuple(order.bands), created, self._version)
        row = self.arena.array("meters")[record : record + 1]
        row["n"] = 0  # no band is looked at while its figures change
        for at, band in enumerate(entry.bands):
            row["rate"][0][at] = band.rate
            row["burst"][0][at] = 0 if band.burst is None else band.burst
        row["number"], row["kbps"] = order.number, "kbps" in order.flags
        row["n"], row["alive"] = len(entry.bands), 1
        row["version"] = self._version
        self.entries[order.number] = entry

    def _delete(self, order):
        """Delete a meter, or all, with the rules that name them; what is not there is deleted already."""
        gone = list(self) if order.number is None else [order.number] * (order.number in self.entries)
        with self.rules.change():
            for number in gone:
                self.rules.meter_gone(number)
        for number in gone:
            record = self.entries.pop(number).record
            self.forget(record)
            self.arena.array("meters")["alive"][record] = 0
