"""A port's IP addresses: where tunnels end, and what answers when a next hop's MAC address is asked for.

Settings of a person, written to the port's record in `addresses`; the stages `pop` and `push` read them. Also here: how
control writes an IP address into records, two words, IPv4 in the low half of the second.
"""

import ipaddress
from typing import Any

FIRST_IPV6 = 0xFD00 << 112  # fd00::n is the address of port n, as 10.0.0.n is


def words_of(address):
    """(version, high word, low word) of an address.

    >>> words_of("10.0.0.1")
    (4, 0, 167772161)
    """
    address = ipaddress.ip_address(address)
    return address.version, int(address) >> 64, int(address) & (1 << 64) - 1


def address_of(version, words):
    """The address that two words hold."""
    number = int(words[0]) << 64 | int(words[1])
    return ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)


def read_address(text, of):
    """An IP address of either version, or an error that says whose it was to be."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{of} {text!r} is no IP address, such as 10.0.0.2 or fd00::2") from None


def read_interface(text, version, of):
    """An address with the length of its network, or without one; of one version."""
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        found = None
    if found is None or found.version != version:
        such = "192.0.2.1/24" if version == 4 else "2001:db8::1/64"
        raise ValueError(f"{of} {text!r} is no IPv{version} address, such as {such} (whose network gets a route) or {such[:-3]}")
    return found


class Addressed:
    """The IP addresses of a port; a part of `Port`.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> eth0 = sw.add_port("eth0")
    >>> eth0.ip, eth0.ip6
    ('10.0.0.1', 'fd00::1')
    >>> eth0.ip = "192.0.2.1/24"
    >>> sw.routes
    <1 route: 192.0.2.0/24 eth0>
    """

    connected: dict = {}  # the network of each address that was set with one, by IP version: never changed, always replaced

    switch: Any
    engine: Any
    row: Any
    name: str
    number: int

    def write_addresses(self, ip, ip6):
        """Have these addresses, as numbers; 0 is none."""
        mine = self.engine.array("addresses")[self.number]
        mine["ip6"] = ip6 >> 64, ip6 & (1 << 64) - 1
        mine["ip"] = self.row["ip"] = ip

    def own_addresses(self):
        """Begin with the addresses that come with the port's number."""
        self.write_addresses(10 << 24 | self.number, FIRST_IPV6 | self.number)

    @property
    def ip(self):
        """The port's IPv4 address; `port.ip = "192.0.2.1/24"` adds the route to its network as well."""
        return str(ipaddress.IPv4Address(int(self.row["ip"])))

    @ip.setter
    def ip(self, value):
        self._settle_at(read_interface(value, 4, f"port {self.name}: ip"), value)

    @property
    def ip6(self):
        """The port's IPv6 address; `port.ip6 = "2001:db8::1/64"` adds the route to its network as well."""
        return str(address_of(6, self.engine.array("addresses")[self.number]["ip6"]))

    @ip6.setter
    def ip6(self, value):
        self._settle_at(read_interface(value, 6, f"port {self.name}: ip6"), value)

    def _settle_at(self, interface, text):
        """Have an address and, when it was given with a length, the route to its network instead of the one before."""
        version = interface.version
        numbers = {4: int(ipaddress.IPv4Address(self.ip)), 6: int(ipaddress.IPv6Address(self.ip6)), version: int(interface.ip)}
        with self.switch.lock:
            self.write_addresses(numbers[4], numbers[6])
            before, after = self.connected.get(version), interface.network if "/" in str(text) else None
            self.connected = {**self.connected, version: after}
            if before not in (None, after):
                self.switch.routes.forget(self.number, before)
            if after not in (None, before):
                self.switch.routes.add(after, self)
