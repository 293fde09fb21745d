"""`sw.fdb`: the MAC table as a live object: which address of which VLAN was seen at which port.

Each core writes a part of its own, control writes lane 0's: what people add and what never ages. Merged here, the entry
counts that a lookup would find. While cores run, forgetting is asked for and each core does it between two bursts.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from lab.control import membership
from lab.live import Live
from lab.ports.vlans import bitmap, check_vlan
from lab.translate.fdb import WAYS, WAYS_IN_ALL, fdb_key, first_way, own, write_entry
from lab.translate.normal import BRIDGE, FORWARD_BPDU

STATISTICS = ("learned", "moved", "expired", "evicted")


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """An address, as it was when looked at."""

    port: str
    vlan: int
    mac: str
    age: float  # seconds since it was seen
    fixed: bool
    ofport: int


def number_of(mac):
    """An address as a number."""
    digits = str(mac).replace(":", "")
    if len(digits) != 12 or set(digits.lower()) - set("0123456789abcdef"):
        raise ValueError(f"{mac!r} is no MAC address: six bytes, such as 02:00:00:00:00:01")
    return int(digits, 16)


class Fdb(Mapping, Live):
    """The MAC table: entries by (VLAN, address), those seen last at the end.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> vm1 = sw.add_port("vm1")
    >>> sw.fdb.add("02:00:00:00:00:01", "vm1", vlan=10)
    >>> sw.fdb
    <MAC table: 1 address, 1 of them fixed>
    >>> sw.fdb[10, "02:00:00:00:00:01"].port
    'vm1'
    """

    def __init__(self, switch):
        self._switch = switch

    # --- looking ---------------------------------------------------------------------------------

    def _part(self, part):
        return self._switch.engine.array("fdb", None, part)

    def _merged(self):
        rows, now, ages = self._part("entries"), self._switch.engine.now, self.aging * 1_000_000
        found = {}
        for at in np.flatnonzero(rows["key"]).tolist():
            key, used, port, fixed = (int(rows[name][at]) for name in ("key", "used", "port", "fixed"))
            if fixed or now - used < ages:
                found[key] = max(found.get(key, ()), (fixed, used, -at, port))
        return sorted(found.items(), key=lambda item: item[1][1:3])

    def _entry(self, key, row):
        fixed, used, _, port = row
        mac = (key & (1 << 48) - 1).to_bytes(6, "big").hex(":")
        age = max(0.0, (self._switch.engine.now - used) / 1e6)
        return FdbEntry(self._switch.port_name(port) or str(port), key >> 48 & 0xFFF, mac, age, bool(fixed), port)

    def entries(self, port=None, vlan=None):
        """The entries in the order in which they were seen last, those of a port or a VLAN only if one is given."""
        name = getattr(port, "name", port)
        found = [self._entry(key, row) for key, row in self._merged()]
        return [e for e in found if (name is None or name in (e.port, e.ofport)) and vlan in (None, e.vlan)]

    def __getitem__(self, place):
        try:
            vlan, mac = place
        except (TypeError, ValueError):
            raise KeyError(f"{place!r}: an entry is found by (VLAN, address), such as sw.fdb[0, '02:00:00:00:00:01']") from None
        wanted = int(fdb_key(check_vlan(vlan, "VLAN"), np.uint64(number_of(mac))))
        for key, row in self._merged():
            if key == wanted:
                return self._entry(key, row)
        raise KeyError(f"{mac} is not known in VLAN {vlan}: sw.fdb shows the {len(self)} that are")

    def __iter__(self):
        return iter([(entry.vlan, entry.mac) for entry in self.entries()])

    def __len__(self):
        return len(self._merged())

    def _ipython_key_completions_(self):
        return list(self)

    def statistic(self, name):
        """How many addresses were `learned`, `moved`, `expired` or `evicted`, over all cores."""
        return int(self._part("head")[name].sum())

    def __repr__(self):
        fixed = sum(row[0] for _, row in self._merged())
        return f"<MAC table: {len(self)} address{'' if len(self) == 1 else 'es'}{f', {fixed} of them fixed' if fixed else ''}>"

    def facts(self):
        """What the interface draws."""
        rows = [[e.port, e.vlan, e.mac, "fixed" if e.fixed else f"{e.age:.0f} s"] for e in self.entries()[-200:]]
        note = ", ".join(f"{self.statistic(name)} {name}" for name in STATISTICS)
        return {"title": repr(self)[1:-1], "columns": ["port", "VLAN", "MAC", "age"], "rows": rows, "note": note}

    # --- changing ----------------------------------------------------------------------------------

    def add(self, mac, port, vlan=0):
        """An entry that never ages and never moves."""
        with self._switch.lock:
            port = getattr(port, "name", port)
            if port not in self._switch.ports:
                raise ValueError(f"there is no port {port!r}: there are {', '.join(self._switch.ports) or 'none yet'}")
            number = number_of(mac)
            if number >> 40 & 1:
                raise ValueError(f"{mac} is a group's address: no port has it")
            key = fdb_key(check_vlan(vlan, "VLAN"), np.uint64(number))
            self._act(f"fdb/add {mac}", partial(self._write, key, self._switch.ports[port].number))

    def _write(self, key, port):
        fdb = self._switch.engine.arena.table("fdb")
        at = own(fdb, 0, key)
        first = first_way(0, key)
        free = [way for way in range(first, first + WAYS) if fdb.entries[way].key == 0]
        if at >= len(fdb.entries) and not free:
            raise ValueError(f"{WAYS} fixed addresses share one place of the table: remove one of them")
        if at >= len(fdb.entries):
            at = free[0]
            fdb.head[0].count += 1
        write_entry(fdb, at, key, port, self._switch.engine.now)
        fdb.entries[at].fixed = 1
        fdb.head[0].changes += 1

    def remove(self, mac, vlan=0):
        """Take away an entry that was added; what cores have learned goes with `flush`."""
        with self._switch.lock:
            key = fdb_key(check_vlan(vlan, "VLAN"), np.uint64(number_of(mac)))
            at = own(self._switch.engine.arena.table("fdb"), 0, key)
            if at >= len(self._part("entries")):
                raise KeyError(f"{mac} was not added in VLAN {vlan}: nothing to remove")
            self._act(f"fdb/del {mac}", lambda: self._clear(np.array([at])))

    def flush(self, port=None):
        """Forget every address that was learned, or those of one port."""
        with self._switch.lock:
            number = 0 if port is None else self._switch.ports[getattr(port, "name", port)].number
            with self.forgetting(number):
                membership.changed(self._switch, "fdb/flush")

    @contextmanager
    def forgetting(self, number, fixed=False):
        """Around a change that every core notices: the addresses of a port (0: all) are forgotten with it."""
        switch = self._switch
        name = f"forget addresses of port {number}" if number else "fdb/flush"
        if switch.cores.running:
            head = self._part("head")
            head["flush_port"][0], head["flush_at"][0] = number, switch.engine.now
            head["flush"][0] += 1  # last: it is what cores look at
            if fixed:
                self._clear(self._at(0, number, True))
            yield
            return
        switch.engine.array("config")["flushes"] += 1  # megaflows bring their counts first, which may learn addresses anew
        yield
        self._act(name, lambda: [self._clear(self._at(lane, number, fixed)) for lane in range(switch.engine.cores + 1)])

    def _at(self, lane, number, fixed):
        """The places of a lane that hold something of a port (0: any)."""
        rows = self._part("entries")[lane * WAYS_IN_ALL : (lane + 1) * WAYS_IN_ALL]
        held = (rows["key"] != 0) & ((rows["port"] == number) | (number == 0)) & ((rows["fixed"] == 0) | fixed)
        return np.flatnonzero(held) + lane * WAYS_IN_ALL

    def _clear(self, places):
        if len(places):
            head = self._part("head")[int(places[0]) // WAYS_IN_ALL]
            self._part("entries")["key"][places] = 0
            head["count"] -= len(places)
            head["changes"] += len(places)

    def clear_statistics(self):
        """Count from nothing again."""
        with self._switch.lock:
            for name in STATISTICS:
                self._act("fdb/stats-clear", partial(self._part("head")[name].fill, 0))

    def _act(self, name, do):
        """Change the table as a person's act, which stepping back keeps."""
        if self._switch.cores.running:
            return do()
        return self._switch.walk.act(name, ("fdb",), do, do)

    # --- settings ----------------------------------------------------------------------------------

    def _set(self, what, do):
        with self._switch.lock:
            do()
            membership.changed(self._switch, f"set {what}")

    @property
    def aging(self):
        """Seconds after which an address is forgotten that is not seen; as in OVS 15 to 3600, what is set beyond is the nearest."""
        return int(self._switch.engine.array("config")["mac_age_us"][0]) // 1_000_000

    @aging.setter
    def aging(self, seconds):
        us = 1_000_000 * max(15, min(int(seconds), 3600))
        self._set("mac-aging-time", lambda: self._switch.engine.array("config")["mac_age_us"].fill(us))

    @property
    def limit(self):
        """The most addresses that a core remembers; as in OVS at least 10."""
        return int(self._switch.engine.array("config")["mac_limit"][0])

    @limit.setter
    def limit(self, n):
        n = max(10, min(int(n), WAYS_IN_ALL))
        self._set("mac-table-size", lambda: self._switch.engine.array("config")["mac_limit"].fill(n))

    @property
    def forward_bpdu(self):
        """Whether frames to reserved addresses (01:80:c2:00:00:0x and kin) are forwarded."""
        return bool(int(self._switch.engine.array("vlans")["marks"][BRIDGE]) & FORWARD_BPDU)

    @forward_bpdu.setter
    def forward_bpdu(self, on):
        self._set("forward-bpdu", lambda: self._switch.engine.array("vlans")["marks"].__setitem__(BRIDGE, FORWARD_BPDU if on else 0))

    @property
    def flood_vlans(self):
        """The VLANs in which nothing is learned and everything floods."""
        words = self._switch.engine.array("vlans")["trunks"][BRIDGE].tolist()
        return tuple(64 * j + bit for j, word in enumerate(words) for bit in range(64) if word >> bit & 1)

    @flood_vlans.setter
    def flood_vlans(self, vlans):
        words = bitmap({check_vlan(vlan, "flood_vlans:") for vlan in vlans})
        self._set("flood_vlans", lambda: self._switch.engine.array("vlans")["trunks"].__setitem__(BRIDGE, words))
