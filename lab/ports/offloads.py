"""What stands on a port's arcs by its settings: offloads that its far side lacks, GRO, verification, tunnels, vRouter's way.

A person's own stages keep their places behind these. Nothing here runs on a packet's way: the rows of the arcs are written,
and the machine code of what is new on them is asked for.
"""

from collections.abc import MutableSet

from lab.live import Live
from lab.offload.capabilities import NAMES
from lab.offload.records import GRO_DPDK, GRO_LINUX, GRO_OFF
from lab.stages.regions import ARC, TUNNEL_KIND

GRO = {"off": GRO_OFF, "linux": GRO_LINUX, "dpdk": GRO_DPDK}
# a far side that lacks one of these has packets cut for it
CUT_FOR = ("csum", "tso4", "tso6", "ecn", "uso", "tunnel", "tunnel-csum", "chains")
SUMMED_FOR = ("csum", "sctp", "tunnel-csum")


class Offloads(MutableSet, Live):
    """What the far side of a port accepts; a live set.

    >>> from lab import Switch
    >>> vm2 = Switch().add_port("vm2", offloads=())
    >>> vm2.offloads.add("tso4")
    >>> vm2.offloads
    {'tso4'}
    """

    def __init__(self, row, port, changed=None):
        self._row, self._port, self._changed = row, port, changed

    @classmethod
    def _from_iterable(cls, names):
        return set(names)

    def __contains__(self, name):
        return name in NAMES and bool(int(self._row["offloads"]) >> NAMES.index(name) & 1)

    def __iter__(self):
        return (name for name in NAMES if name in self)

    def __len__(self):
        return sum(1 for _ in self)

    def add(self, name):
        """Say that the far side accepts this too."""
        self._write(int(self._row["offloads"]) | 1 << self._index(name))

    def discard(self, name):
        """Say that the far side does not accept this."""
        self._write(int(self._row["offloads"]) & ~(1 << self._index(name)))

    def become(self, names):
        """Say all that the far side accepts."""
        if isinstance(names, str):
            raise ValueError(f"port {self._port}: offloads={names!r} is one word: give a list, offloads=[{names!r}]")
        try:
            bits = sum({1 << self._index(name) for name in names})
        except TypeError:
            raise ValueError(f"port {self._port}: offloads={names!r} is no list of words; there are {', '.join(NAMES)}") from None
        self._write(bits)

    def _write(self, bits):
        self._row["offloads"] = bits
        if self._changed:
            self._changed()

    def _index(self, name):
        if name not in NAMES:
            raise ValueError(f"port {self._port}: no offload is called {name!r}; there are {', '.join(NAMES)}")
        return NAMES.index(name)

    def __repr__(self):
        return "{" + ", ".join(repr(name) for name in self) + "}"


def ingress_of(port, tunnels):
    """The places on a port's ingress arc, by name; `tunnels` are the tunnel ports of the switch."""
    gro_here = port.gro != "off" and port.gro_arc == "ingress"
    if port.code == TUNNEL_KIND:
        return []
    names = ["ingress.checksum"] if port.verify else []
    names += ["ingress.gro"] if gro_here else []
    if tunnels:
        names.append("pop")
        names += ["ingress.gro"] if any(t.gro != "off" and t.gro_arc == "ingress" for t in tunnels) else []
    return names + (["split", "handover"] if port.vrouter else [])


def egress_of(port):
    """The places on a port's egress arc, by name. A tunnel has none: the port that its route leads to decides."""
    if port.code == TUNNEL_KIND:
        return []
    names = ["egress.gro"] if port.gro != "off" and port.gro_arc == "egress" else []
    names += ["gso"] if any(name not in port.offloads for name in CUT_FOR) else []
    names += ["egress.checksum"] if any(name not in port.offloads for name in SUMMED_FOR) else []
    return names + (["linear"] if "chains" not in port.offloads else [])


def settle_arcs(port):
    """Let a port's arcs be what its settings ask for; what a person put there stays, behind it."""
    pipeline = port.engine.pipeline
    for arc, names in ((port.ingress, ingress_of(port, port.switch.ports.tunnels())), (port.egress, egress_of(port))):
        wanted = [pipeline.number(name) for name in names]
        had = [place.number for place in arc]
        own = [number for number in had if not pipeline.standing(number)]
        before = own[: next((at for at, number in enumerate(had) if pipeline.standing(number)), 0)]
        kept = [*before, *wanted, *own[len(before):]]
        if kept == had:
            continue
        if len(kept) > ARC:
            raise ValueError(f"{arc!r} would have {len(kept)} stages and holds {ARC}: remove one of your own")
        pipeline.ask(*names)
        arc.write(kept)
