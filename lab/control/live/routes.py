"""`sw.routes`: which port and next hop lead to an address. Tunnels ask it where what they wrapped leaves.

Settings of a person, which stepping back keeps. Records lie sorted, the longest prefix first, so the first that matches is
the best. Nothing is added by itself but by `port.ip = "192.0.2.1/24"`: a new switch's ports are all in 10.0.0.0/24.
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
            rows = [row.copy() for row in self._used() if self._network(row) != network]
            if len(rows) == ROUTES:
                raise ValueError(f"there are {ROUTES} routes, which is all that find room: remove one first")
            row = self._rows()[0].copy()
            row["v"], row["length"], row["port"], row["used"] = network.version, network.prefixlen, port.number, 1
            row["prefix"] = words_of(network.network_address)[1:]
            row["has_gateway"], row["gateway"] = gateway is not None, words_of(gateway)[1:] if gateway is not None else (0, 0)
            self._write(sorted([*rows, row], key=lambda row: -int(row["length"])))

    def remove(self, prefix):
        """Take a prefix's route away."""
        with self._switch.lock:
            network = network_of(prefix)
            rows = [row.copy() for row in self._used()]
            kept = [row for row in rows if self._network(row) != network]
            if len(kept) == len(rows):
                raise KeyError(f"no route has the prefix {network}: there are {', '.join(map(str, self)) or 'none'}")
            self._write(kept)

    def forget(self, number, network=None):
        """Take the routes of a port away, or the one to a network that came with its address."""
        rows = [row.copy() for row in self._used()]
        gone = [r for r in rows if int(r["port"]) == number and (network is None or (self._network(r) == network and not r["has_gateway"]))]
        if gone:
            self._write([row for row in rows if not any(row is other for other in gone)])

    def _port(self, port):
        name = getattr(port, "name", port)
        if name not in self._switch.ports:
            raise ValueError(f"there is no port {name!r}: there are {', '.join(self._switch.ports) or 'none yet'}")
        port = self._switch.ports[name]
        if hasattr(port, "remote_ip"):
            raise ValueError(f"{port.name} is a tunnel: a route leads through a port that frames leave by")
        return port

    def _write(self, wanted):
        """Write the table while cores may read it: what moves is there twice rather than not at all, and is whole when it is used."""
        rows = self._rows()
        fewer = len(wanted) < len(self)
        for at in range(ROUTES) if fewer else range(ROUTES - 1, -1, -1):
            if at >= len(wanted):
                rows["used"][at] = 0
            elif rows[at].tobytes() != wanted[at].tobytes():
                rows["used"][at] = 0
                fresh = wanted[at].copy()
                fresh["used"] = 0
                rows[at] = fresh
                rows["used"][at] = 1
