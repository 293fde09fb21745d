"""`sw.gro`: what GRO holds, for whom, since when, and why it will go; and how much it has merged.

Read from the tables of all cores as they are now. Which packets are merged and what ends a merge is decided in
`lab/offload/gro/`; settings of a port (`gro`, `gro_arc`) are the port's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.live import Live, many
from lab.memory.record import NULL
from lab.offload.gro.table import FIRST_OF_DPDK
from lab.offload.records import INGRESS_SIDE
from lab.packet.packet import Packet

COUNTED = {"packets": "packets", "merged": "merged", "flushed": "flushed", "evicted": "evicted"}


@dataclass(frozen=True)
class Held(Live):
    """A packet that GRO holds, as it was when looked at."""

    packet: Packet
    port: str
    side: str
    profile: str
    core: int
    packets: int
    size: int  # payload of the first
    total: int  # payload so far
    since: int  # microseconds of the switch's clock
    age: int
    timeout: int

    @property
    def flow(self):
        """The headers of the packet, in a line."""
        return " / ".join(str(layer) for layer in self.packet.layers if layer.key != "eth")

    @property
    def goes(self):
        """What will make it go, as far as that can be said now."""
        if self.profile == "dpdk" and not self.timeout:
            return "at the end of the burst"
        left = max(0, self.timeout - self.age)
        if self.profile == "dpdk":
            return f"in {left} us or at a pause; what it cannot take overtakes it"
        ends = "" if any(layer.key == "udp" for layer in self.packet.layers[-1:]) else "PSH, FIN, "
        return f"in {left} us or at a pause; with {ends}other than {self.size} B, or another header"

    def __repr__(self):
        many_bytes = f"{many(self.packets, 'packet')}, {self.total} B of payload"
        return f"<held by GRO for {self.port}, {self.side} arc: {many_bytes}, since {self.age} us, {self.flow}>"

    def facts(self):
        """What the interface draws."""
        rows = [
            ["flow", self.flow],
            ["for", f"{self.port}, {self.side} arc, core {self.core}"],
            ["profile", self.profile],
            ["packets", self.packets],
            ["payload", f"{self.total} B, the first {self.size} B"],
            ["held for", f"{self.age} us"],
            ["goes", self.goes],
        ]
        return {"title": repr(self)[1:-1], "columns": ["", ""], "rows": rows, "note": ""}


class Gro(Sequence, Live):
    """What GRO holds, the oldest first.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> vm1 = sw.add_port("vm1", gro="linux")
    >>> sw.gro
    <GRO: nothing held, 0 packets in>
    >>> sw.gro.timeout = 500
    """

    def __init__(self, switch):
        self._switch = switch

    def _rows(self):
        engine, found = self._switch.engine, []
        for lane in engine.lanes:
            items = engine.array("gro", lane, "items")
            found += [(int(items["order"][at]), lane, items[at]) for at in np.flatnonzero(items["first"] != NULL).tolist()]
        return sorted(found, key=lambda row: row[:2])

    def _held(self, lane, item):
        ingress = int(item["side"]) == INGRESS_SIDE
        number = int(self._switch.engine.array("mbufs")["in_port"][item["first"]]) if ingress else int(item["port"])
        port = self._switch.ports.get(number)  # of what came out of a tunnel on the arc of another port the settings of the tunnel's count
        profile = "dpdk" if item["kind"] >= FIRST_OF_DPDK else "linux"
        clock = int(self._switch.engine.array("lane", lane)["now"][0])
        return Held(
            packet=Packet.of_chain(self._switch.engine.arena, int(item["first"])),
            port=port.name if port else f"port {number}",
            side="ingress" if ingress else "egress",
            profile=profile,
            core=lane,
            packets=int(item["packets"]),
            size=int(item["first_len"]),
            total=int(item["total"]),
            since=int(item["since"]),
            age=max(0, clock - int(item["since"])),
            timeout=self._cycles_us() if profile == "dpdk" else self.timeout,
        )

    def __len__(self):
        return len(self._rows())

    def __getitem__(self, i):
        rows = self._rows()
        if isinstance(i, slice):
            return [self._held(lane, item) for _, lane, item in rows[i]]
        if not -len(rows) <= i < len(rows):
            raise IndexError(f"GRO holds {many(len(rows), 'packet')}: there is no {i}")
        return self._held(*rows[i][1:])

    def of(self, port):
        """What is held for a port, by its name or number."""
        name = self._switch.ports[port].name
        return [held for held in self if held.port == name]

    # --- settings ------------------------------------------------------------------------------------

    @property
    def timeout(self):
        """Microseconds that the profile `linux` holds a packet at most."""
        return int(self._switch.engine.array("config")["gro_us"][0])

    @timeout.setter
    def timeout(self, microseconds):
        if not isinstance(microseconds, int) or not 0 < microseconds < 100_000:
            raise ValueError(f"sw.gro.timeout={microseconds!r}: microseconds, 1 to 99999; a sender notices more than 100 ms")
        self._switch.engine.array("config")["gro_us"] = microseconds

    @property
    def cycles(self):
        """Processor cycles that the profile `dpdk` holds a packet at most; 0: to the end of the burst."""
        return int(self._switch.engine.array("config")["gro_cycles"][0])

    @cycles.setter
    def cycles(self, cycles):
        if not isinstance(cycles, int) or cycles < 0:
            raise ValueError(f"sw.gro.cycles={cycles!r}: a number of cycles, 0 for the end of each burst")
        self._switch.engine.array("config")["gro_cycles"] = cycles

    def _cycles_us(self):
        return -(-self.cycles // int(self._switch.engine.array("config")["cycles_per_us"][0]))

    # --- counts --------------------------------------------------------------------------------------

    def counts(self):
        """Packets that came, went into others, large ones that left, and evictions, over all cores."""
        heads = [self._switch.engine.array("gro", lane, "head")[0] for lane in self._switch.engine.lanes]
        return {name: sum(int(head[field]) for head in heads) for name, field in COUNTED.items()}

    @property
    def ratio(self):
        """Packets in for one that left, 1.0 when nothing was merged."""
        counts = self.counts()
        came = counts["packets"] - sum(int(item["packets"]) for _, _, item in self._rows())  # what is held has not left yet
        return round(came / max(1, came - counts["merged"]), 2) if came else 1.0

    def __repr__(self):
        counts, rows = self.counts(), self._rows()
        held = sum(int(item["packets"]) for _, _, item in rows)
        said = [f"{many(held, 'packet')} of {many(len(rows), 'flow')} held" if rows else "nothing held"]
        said.append(f"{many(counts['packets'], 'packet')} in")
        said += [f"{counts['merged']} merged into others, {self.ratio} to one"] if counts["merged"] else []
        return f"<GRO: {', '.join(said)}>"

    def facts(self):
        """What the interface draws."""
        rows = [[held.flow, held.port, held.side, held.packets, held.total, held.age, held.goes] for held in self]
        columns = ["flow", "for", "arc", "packets", "payload", "us held", "goes"]
        counts = ", ".join(f"{n} {name}" for name, n in self.counts().items())
        return {"title": repr(self)[1:-1], "columns": columns, "rows": rows, "note": f"{counts}; timeout {self.timeout} us"}
