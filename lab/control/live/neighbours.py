"""`sw.neighbours`: the MAC addresses of next hops, those that people set and those that cores have learned.

What control writes stands first and never ages; each core writes entries of its own behind it, from ARP and neighbour
discovery. Merged here, the entry counts that was set, else the one heard of last. Who asks for an address is `push`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lab.control.live.fdb import number_of
from lab.live import Live
from lab.offload.records import ASKED, NEIGHBOURS, STATIC
from lab.packet.text import mac as mac_text
from lab.ports.addresses import address_of, read_address, words_of


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A next hop, as it was when looked at."""

    ip: str
    mac: str | None  # None while its answer is awaited
    port: str
    age: float  # seconds since it was heard of
    fixed: bool


class Neighbours(Mapping, Live):
    """Next hops by IP address.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> eth0 = sw.add_port("eth0")
    >>> sw.neighbours.add("10.0.0.2", "02:00:00:00:00:99", "eth0")
    >>> sw.neighbours
    <1 neighbour: 10.0.0.2 at 02:00:00:00:00:99>
    >>> sw.neighbours["10.0.0.2"].port
    'eth0'
    """

    def __init__(self, switch):
        self._switch = switch

    # --- looking ---------------------------------------------------------------------------------

    def _rows(self):
        return self._switch.engine.array("neighbours")

    def _merged(self):
        """The record that counts of each address: {address: record}."""
        rows, found = self._rows(), {}
        for at in np.flatnonzero(rows["v"]).tolist():
            row = rows[at]
            address = address_of(int(row["v"]), row["ip"])
            rank = (int(row["state"]) == STATIC, int(row["state"]) != ASKED, int(row["used"]))
            if address not in found or rank > found[address][0]:
                found[address] = rank, row
        return {address: row for address, (_, row) in sorted(found.items(), key=lambda item: (item[0].version, item[0]))}

    def _neighbour(self, address, row):
        state, port = int(row["state"]), int(row["port"])
        age = max(0.0, (self._switch.engine.now - int(row["used"])) / 1e6)
        mac = None if state == ASKED else mac_text(row["mac"])
        return Neighbour(str(address), mac, self._switch.port_name(port) or str(port), age, state == STATIC)

    def entries(self):
        """All next hops, IPv4 first, by address."""
        return [self._neighbour(address, row) for address, row in self._merged().items()]

    def __getitem__(self, ip):
        address, found = read_address(ip, "neighbour"), self._merged()
        if address not in found:
            raise KeyError(f"{ip} is no neighbour: sw.neighbours shows the {len(found)} that are")
        return self._neighbour(address, found[address])

    def __iter__(self):
        return iter([entry.ip for entry in self.entries()])

    def __len__(self):
        return len(self._merged())

    def _ipython_key_completions_(self):
        return list(self)

    def __repr__(self):
        said = ", ".join(f"{entry.ip} at {entry.mac}" if entry.mac else f"{entry.ip} asked for" for entry in self.entries())
        return f"<{len(self)} neighbour{'' if len(self) == 1 else 's'}{f': {said}' if said else ''}>"

    def facts(self):
        """What the interface draws."""
        rows = [[e.ip, e.mac or "asked for", e.port, "fixed" if e.fixed else f"{e.age:.0f} s"] for e in self.entries()]
        return {"title": f"{len(rows)} neighbours", "columns": ["IP", "MAC", "port", "age"], "rows": rows, "note": ""}

    # --- changing ----------------------------------------------------------------------------------

    def add(self, ip, mac, port=None):
        """Set the MAC address of a next hop, which never ages; its port is the one that the route leads to, unless named."""
        switch = self._switch
        with switch.lock:
            address, number = read_address(ip, "neighbour"), number_of(mac)
            if number >> 40 & 1:
                raise ValueError(f"{mac} is a group's address: no next hop has it")
            name = getattr(port, "name", port)
            if name is None:
                route = switch.routes.lookup(address)
                if route is None:
                    first = next(iter(switch.ports), "eth0")
                    raise ValueError(f"no route leads to {address}: name the port, or add the route first: "
                                     f"sw.routes.add('{_around(address)}', {first!r})")  # fmt: skip
                name = route.port
            if name not in switch.ports:
                raise ValueError(f"there is no port {name!r}: there are {', '.join(switch.ports) or 'none yet'}")
            at = self._place(address)
            if at is None:
                raise ValueError(f"{NEIGHBOURS} neighbours are set, which is all that find room: remove one first")
            self._act(f"neighbour {address}", lambda: self._write(at, address, number, switch.ports[name].number))

    def _place(self, address):
        """Where control has this address, or room for it; None when it has neither."""
        places = [*self._at(address)[0], *np.flatnonzero(self._rows()["v"] == 0).tolist()]
        return next((at for at in places if at < NEIGHBOURS), None)

    def _at(self, address):
        """Where an address stands, whoever knows it."""
        version, *words = words_of(address)
        rows = self._rows()
        return np.nonzero((rows["v"] == version) & (rows["ip"][:, 0] == words[0]) & (rows["ip"][:, 1] == words[1]))

    def _write(self, at, address, mac, port):
        rows = self._rows()
        rows["v"][at] = 0  # cores may be reading: it is nobody's until it is whole
        rows["ip"][at], rows["mac"][at] = words_of(address)[1:], mac
        rows["port"][at], rows["fixed"][at], rows["used"][at] = port, 1, self._switch.engine.now
        rows["state"][at] = STATIC
        rows["v"][at] = address.version

    def remove(self, ip):
        """Forget a next hop, whoever knows it."""
        with self._switch.lock:
            address = read_address(ip, "neighbour")
            same = self._at(address)
            if not same[0].size:
                raise KeyError(f"{ip} is no neighbour: sw.neighbours shows the {len(self)} that are")
            self._act(f"forget neighbour {address}", lambda: self._clear(same))

    def flush(self):
        """Forget all next hops, those that were set as well: as OVS does."""
        with self._switch.lock:
            self._act("tnl/neigh/flush", lambda: self._clear(slice(None)))

    def forget(self, number):
        """Forget the next hops behind a port."""
        self._clear(self._rows()["port"] == number)

    def _clear(self, which):
        self._rows()["v"][which] = 0

    def _act(self, name, do):
        """Change the table as a person's act, which stepping back keeps."""
        if self._switch.cores.running:
            return do()
        return self._switch.walk.act(name, ("neighbours",), do, do)


def _around(address):
    """A network that an address is in, for a hint."""
    return f"{'.'.join(str(address).split('.')[:3])}.0/24" if address.version == 4 else f"{address}/64"
