"""`sw.routes`: which port and next hop lead to an address. Tunnels ask it where what they wrapped leaves.

Settings of a person, which stepping back keeps. Records lie sorted, the longest prefix first, with gaps, so the first that
matches is the best; cores read them meanwhile, so what moves is there twice rather than not at all. Nothing is added by
itself but by `port.ip = "192.0.2.1/24"`: a new switch's ports are all in 10.0.0.0/24.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from lab.live import Live, many
from lab.offload.records import ROUTES
from lab.ports.addresses import address_of, read_address, words_of


@dataclass(frozen=True, slots=True)
class Route:
    """A route, as it was when looked at."""

    prefix: str
    port: str
    gateway: str | None
    connected: bool  # it came with a port's address

    def __str__(self):
        return f"{self.prefix} {self.port}{f' via {self.gateway}' if self.gateway else ''}"


def network_of(prefix):
    """A prefix; bits behind its length do not count, as in OVS."""
    try:
        return ipaddress.ip_network(prefix, strict=False)
    except ValueError:
        raise ValueError(f"{prefix!r} is no prefix, such as 10.0.0.0/24 or fd00::/64; 0.0.0.0/0 is every IPv4 address") from None


class Routes(Sequence, Live):
    """The routes, the longest prefix first.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> eth0 = sw.add_port("eth0")
    >>> sw.routes.add("10.0.0.0/24", "eth0")
    >>> sw.routes.add("0.0.0.0/0", "eth0", gateway="10.0.0.254")
    >>> sw.routes
    <2 routes: 10.0.0.0/24 eth0, 0.0.0.0/0 eth0 via 10.0.0.254>
    >>> sw.routes.lookup("192.0.2.9").gateway
    '10.0.0.254'
    """

    def __init__(self, switch):
        self._switch = switch

    # --- looking ---------------------------------------------------------------------------------

    def _rows(self):
        return self._switch.engine.array("routes")

    def _used(self):
        rows = self._rows()
        return [rows[at] for at in range(ROUTES) if rows["used"][at]]

    @staticmethod
    def _network(row):
        return ipaddress.ip_network((address_of(int(row["v"]), row["prefix"]), int(row["length"])))

    def _route(self, row):
        switch, version, number, network = self._switch, int(row["v"]), int(row["port"]), self._network(row)
        gateway = str(address_of(version, row["gateway"])) if row["has_gateway"] else None
        connected = number in switch.ports and switch.ports[number].connected.get(version) == network and gateway is None
        return Route(str(network), switch.port_name(number) or str(number), gateway, connected)

    def __len__(self):
        return len(self._used())

    def __getitem__(self, i):
        return [self._route(row) for row in self._used()][i]

    def lookup(self, address):
        """The route that leads to an address, or None."""
        address = read_address(address, "route to")
        found = next((row for row in self._used() if int(row["v"]) == address.version and address in self._network(row)), None)
        return None if found is None else self._route(found)

    def __repr__(self):
        if not len(self):
            return "<no routes: sw.routes.add('10.0.0.0/24', port) adds one>"
        return f"<{many(len(self), 'route')}: {', '.join(map(str, self))}>"

    def facts(self):
        """What the interface draws."""
        rows = [[route.prefix, route.port, route.gateway or "", "its address" if route.connected else "added"] for route in self]
        note = "" if rows else "sw.routes.add('10.0.0.0/24', port) adds one"
        return {"title": many(len(rows), "route"), "columns": ["prefix", "port", "gateway", "by"], "rows": rows, "note": note}

    def _ipython_key_completions_(self):
        return [route.prefix for route in self]

    # --- changing ----------------------------------------------------------------------------------

    def add(self, prefix, port, gateway=None):
        """Let a prefix be reached through a port, directly or by a gateway; what the prefix had before is replaced."""
        switch = self._switch
        with switch.lock:
            network, port = network_of(prefix), self._port(port)
            if gateway is not None:
                gateway = read_address(gateway, "gateway")
                if gateway.version != network.version:
                    raise ValueError(f"gateway {gateway} is of another version of IP than {network}")
            before = self._places(lambda row: self._network(row) == network)
            if not before and len(self) == ROUTES:
                raise ValueError(f"there are {ROUTES} routes, which is all that find room: remove one first")
            row = self._rows()[0].copy()
            row["v"], row["length"], row["port"] = network.version, network.prefixlen, port.number
            row["prefix"] = words_of(network.network_address)[1:]
            row["has_gateway"], row["gateway"] = gateway is not None, words_of(gateway)[1:] if gateway is not None else (0, 0)
            if len(self) == ROUTES:
                self._write(before[0], row)
            else:
                self._insert(row)
                self._clear(self._places(lambda other: self._network(other) == network)[1:])

    def remove(self, prefix):
        """Take a prefix's route away."""
        with self._switch.lock:
            network = network_of(prefix)
            places = self._places(lambda row: self._network(row) == network)
            if not places:
                raise KeyError(f"no route has the prefix {network}: there are {', '.join(map(str, self)) or 'none'}")
            self._clear(places)

    def forget(self, number, network=None):
        """Take the routes of a port away, or the one to a network that came with its address."""


        def is_meant(row):
            return int(row["port"]) == number and (network is None or (self._network(row) == network and not row["has_gateway"]))

        self._clear(self._places(is_meant))

    def _port(self, port):
        name = getattr(port, "name", port)
        if name not in self._switch.ports:
            raise ValueError(f"there is no port {name!r}: there are {', '.join(self._switch.ports) or 'none yet'}")
        port = self._switch.ports[name]
        if hasattr(port, "remote_ip"):
            raise ValueError(f"{port.name} is a tunnel: a route leads through a port that frames leave by")
        return port

    def _places(self, is_meant):
        """Where the routes stand of which something is true."""
        rows = self._rows()
        return [at for at in range(ROUTES) if rows["used"][at] and is_meant(rows[at])]

    def _clear(self, places):
        self._rows()["used"][places] = 0

    def _insert(self, row):
        """Put a route before those whose prefix is not longer, in a gap or behind rows that move up."""
        rows, length = self._rows(), int(row["length"])
        after = min(self._places(lambda other: int(other["length"]) <= length), default=ROUTES)
        before = max(self._places(lambda other: int(other["length"]) > length), default=-1)
        if before + 1 < after:
            self._write(before + 1, row)
            return
        gap = next((at for at in range(after, ROUTES) if not rows["used"][at]), None)
        if gap is not None:
            for at in range(gap, after, -1):
                self._write(at, rows[at - 1].copy())
            self._write(after, row)
            return
        gap = next(at for at in range(before, -1, -1) if not rows["used"][at])
        for at in range(gap, before):
            self._write(at, rows[at + 1].copy())
        self._write(before, row)

    def _write(self, at, row):
        """Write a record, which is not used meanwhile."""
        rows = self._rows()
        rows["used"][at] = 0
        row["used"] = 0
        rows[at] = row
        rows["used"][at] = 1
