"""All ports of a switch, by name; what stepping and the cores' watcher ask of them together."""

import difflib
from collections.abc import Mapping

from lab.live import Live, many
from lab.ports.port import Port
from lab.ports.replay import PcapPort
from lab.ports.sim import SimPort
from lab.ports.tunnel import TUNNELS
from lab.stages.regions import PORTS, TUNNEL_KIND

KINDS = {kind.kind: kind for kind in (SimPort, PcapPort, *TUNNELS)}


class Ports(Mapping, Live):
    """The ports by name, or by OpenFlow number.

    >>> from lab import Switch
    >>> sw = Switch("br0")
    >>> port = sw.add_port("vm1")
    >>> sw.ports["vm1"] is sw.ports[1]
    True
    """

    def __init__(self):
        self._by_name = {}
        self.controller = None  # who takes what is sent to the controller, as if it were port 0

    def __getitem__(self, name) -> Port:  # the type is what completion goes by
        for port in self._by_name.values():
            if name in (port.name, port.number):
                return port
        near = difflib.get_close_matches(str(name), self._by_name, 1)
        raise KeyError(
            f"no port is called {name!r}{f': did you mean {near[0]!r}?' if near else '.'} There are: {', '.join(self._by_name) or 'none'}"
        )

    def __iter__(self):
        return iter(self._by_name)

    def __len__(self):
        return len(self._by_name)

    def __contains__(self, name):
        return any(name in (port.name, port.number) for port in self._by_name.values())

    def __repr__(self):
        return f"<{many(len(self), 'port')}: {', '.join(f'{p.number} {name}' for name, p in self._by_name.items()) or 'none'}>"

    def _ipython_key_completions_(self):
        return list(self._by_name)

    def facts(self):
        """What the interface draws."""
        rows = [
            [p.number, name, p.kind, p.mtu, " ".join(p.offloads) or "none", ", ".join(p.said()), p.rx_packets, p.tx_packets, p.waiting,
             p.rx_drops + p.tx_drops]
            for name, p in self._by_name.items()
        ]
        return {
            "title": f"{len(self)} ports",
            "columns": ["ofport", "name", "kind", "mtu", "offloads", "does", "rx", "tx", "waiting", "dropped"],
            "rows": rows,
            "note": "",
        }

    # --- of the switch ---------------------------------------------------------------------

    def free_number(self, wanted=None):
        """An OpenFlow number that no port has."""
        taken = {port.number for port in self._by_name.values()}
        if wanted is None:
            wanted = next((n for n in range(1, PORTS) if n not in taken), None)
            if wanted is None:
                raise ValueError(f"a switch has at most {PORTS - 1} ports: remove one first")
        if not isinstance(wanted, int) or not 1 <= wanted < PORTS:
            raise ValueError(f"ofport {wanted!r} is not between 1 and {PORTS - 1}: leave ofport= out, or choose another")
        if wanted in taken:
            raise ValueError(f"ofport {wanted} is taken by {self[wanted].name}: leave ofport= out, or choose another")
        return wanted

    def make(self, switch, name, kind, number, options):
        """A new port of a kind."""
        if not isinstance(name, str) or not name or any(c in name for c in " ,:()="):
            raise ValueError(f"{name!r} is no name for a port: letters, digits, '.', '-' and '_' make one")
        if name in self._by_name:
            raise ValueError(f"a port called {name!r} is there already: sw.remove_port({name!r}) takes it away, or choose another name")
        if kind not in KINDS:
            near = difflib.get_close_matches(str(kind), KINDS, 1)
            raise ValueError(
                f"port {name}: no type is called {kind!r}{f', did you mean {near[0]!r}?' if near else ';'} there are {', '.join(KINDS)}"
            )
        for option in options:
            if option not in (known := KINDS[kind].options()):
                raise ValueError(f"port {name}: a {kind} port has no option {option!r}; it has {', '.join(known)}")
        number = self.free_number(number)
        rows = switch.engine.array("ports")
        before = rows[number].copy()
        try:
            port = KINDS[kind](switch, name, number, **options)
        except BaseException:  # a port that is half made must not be there
            rows[number] = before
            raise
        port._made = True
        self._by_name[name] = port
        return port

    def adopt(self, port):
        """Take a port that was made elsewhere: a fork's."""
        self._by_name[port.name] = port

    def drop(self, port):
        """Forget a port."""
        del self._by_name[port.name]

    def tunnels(self):
        """The ports that are tunnels."""
        return [port for port in self._by_name.values() if port.code == TUNNEL_KIND]

    def in_order(self):
        """The ports by their numbers."""
        return sorted(self._by_name.values(), key=lambda port: port.number)

    # --- of stepping and the watcher ----------------------------------------------------------

    def first_waiting(self):
        """(number, lane) of the lowest-numbered port with frames waiting that may come now, or None."""
        return next(((port.number, port.lane) for port in self.in_order() if port.waiting and port.due), None)

    def collect(self):
        """Move what has been sent into each port's `sent`: {number: packets}; what the controller was sent has the number 0."""
        outlets = [*self.in_order(), *([self.controller] if self.controller is not None else [])]
        return {outlet.number: packets for outlet in outlets if (packets := outlet.take_sent())}

    def uncollect(self, sent):
        """Packets have not been sent after all: a step was taken back."""
        for number, packets in sent.items():
            if (kept := self._kept(number)) is not None:
                kept.take_back(len(packets))

    def recollect(self, sent):
        """Packets have been sent again: a step was gone over again."""
        for number, packets in sent.items():
            if (kept := self._kept(number)) is not None:
                kept.append(packets)

    def _kept(self, number):
        """Where what was sent to a port is kept."""
        if number == 0:
            return self.controller
        return self[number].sent if number in self else None
