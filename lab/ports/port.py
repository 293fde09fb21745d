"""A port: one record of the arena with its rings, as a live object.

What comes in waits in the port's ring until a core takes it; what went out is collected into `sent`. The kinds of ports
differ in the two stages that receive and transmit, and in what their far side accepts (`offloads`).
"""

import inspect
import os

import numpy as np

from lab.engine.clearing import take_out
from lab.live import Live
from lab.memory.reasons import EMPTY_FRAME, POOL_EMPTY, PORT_REMOVED, RING_FULL
from lab.offload.capabilities import NAMES as OFFLOADS
from lab.packet.craft import craft
from lab.packet.packet import Packet
from lab.ports.addresses import Addressed
from lab.ports.arc import Arc
from lab.ports.intake import PoolEmpty, check_length, collect_ring, give_back, load_frame, offload
from lab.ports.offloads import Offloads
from lab.ports.sent import Sent
from lab.ports.settings import HasSettings
from lab.ports.vlans import InVlans
from lab.stages.regions import PORTS, RING


class Port(HasSettings, InVlans, Addressed, Live):
    """A port of the switch; `kind` and its two stages are told by the subclass.

    >>> from lab import Switch
    >>> vm1 = Switch().add_port("vm1", mtu=9000, offloads=["csum"])
    >>> vm1
    <port vm1: sim, ofport 1, mtu 9000, csum, rx 0, tx 0>
    >>> vm1.gro, vm1.verify = "linux", True
    >>> vm1
    <port vm1: sim, ofport 1, mtu 9000, csum, gro linux, verify, rx 0, tx 0>
    >>> vm1.mac, vm1.ip
    ('02:00:00:00:00:01', '10.0.0.1')
    """

    kind = "port"
    code = 0  # what `ports[n].kind` says; 0 is no port
    receive_stage = "receive"
    transmit_stage = "transmit"
    can = frozenset(OFFLOADS)

    @property
    def outside(self):
        """The port's own memory beside the arena, for frames that the switch refers to; only simulated ports have one."""
        raise ValueError(f"port {self.name}: a {self.kind} port has no memory of its own: inject without external=True")

    def __init__(
        self, switch, name, number, *, mtu=1500, offloads=None, gro="off", gro_arc="ingress", gro_acks=False, gro_most=0, verify=False,
        vrouter=False, tag=None, trunks=(), vlan_mode=None,
    ):  # fmt: skip
        offloads = sorted(self.can) if offloads is None else offloads
        self.switch, self.name, self.number = switch, name, number
        self.engine = switch.engine
        self.row = self.engine.array("ports")[number]
        self.sent = Sent(self)
        self.watchers = []  # told of every packet that left: captures
        self.ingress, self.egress = Arc(self, "ingress"), Arc(self, "egress")
        self.engine.array("vlans")[number] = 0
        self.write_vlans(tag=tag, trunks=trunks, vlan_mode=vlan_mode)
        self._settle_in(mtu, offloads)
        self._begin_settings(gro, gro_arc, gro_acks, gro_most, verify, vrouter)
        self.settle_arcs()

    @classmethod
    def options(cls):
        """What `add_port` takes for this kind of port."""
        made = [inspect.signature(kind.__init__).parameters.values() for kind in cls.__mro__ if issubclass(kind, Port)]
        return list(dict.fromkeys(option.name for taken in made for option in taken if option.kind == option.KEYWORD_ONLY))

    def twin(self, switch):
        """This port in a fork of its switch, whose memory is a copy already: what it sent so far goes along."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _made=False)
        twin.switch, twin.engine, twin.watchers = switch, switch.engine, []
        twin.row = switch.engine.array("ports")[self.number]
        twin._no_offloads_yet(twin.row)
        twin.sent = Sent(twin)
        twin.sent.append(list(self.sent))
        twin.ingress, twin.egress = Arc(twin, "ingress"), Arc(twin, "egress")
        twin._made = True
        return twin

    def _settle_in(self, mtu, offloads):
        row, n = self.row, self.number
        mtu, wanted = self._mtu(mtu), Offloads({"offloads": 0}, self.name)
        wanted.become(offloads)
        generation = int(row["generation"]) + 1
        self.engine.array("ports")[n] = 0
        for lane in range(self.engine.cores + 1):
            self.engine.array("port_stats", lane)[n] = 0
        pipeline = self.engine.pipeline
        row["generation"], row["up"], row["mtu"] = generation, 1, mtu
        row["mac"] = 0x020000000000 + n
        self.own_addresses()
        row["receive"], row["transmit"] = pipeline.number(self.receive_stage), pipeline.number(self.transmit_stage)
        row["lane"] = self.switch.lane_for(n)
        row["offloads"] = sum(1 << OFFLOADS.index(name) for name in wanted)
        self._no_offloads_yet(row)

    def __repr__(self):
        if self.removed:
            return f"<port {self.name}: {self.kind}, removed from {self.switch.name}>"
        said = [
            self.kind,
            f"ofport {self.number}",
            f"mtu {self.mtu}",
            " ".join(self.offloads) or "no offloads",
            *self.said(),
            f"rx {self.rx_packets}",
            f"tx {self.tx_packets}",
        ]
        dropped = self.rx_drops + self.tx_drops
        said += [f"{self.waiting} waiting"] if self.waiting else []
        said += [f"{dropped} dropped"] if dropped else []
        return f"<port {self.name}: {', '.join(said)}>"

    def said(self):
        """What the port does to packets beside taking them, in words."""
        said = [f"gro {self.gro}" + (" on egress" if self.gro_arc == "egress" else "")] if self.gro != "off" else []
        return said + ["verify"] * self.verify + ["vrouter"] * self.vrouter

    ofport = property(lambda self: self.number, doc="The OpenFlow number.")
    type = property(lambda self: self.kind, doc="The kind of port, as `add_port(type=...)` takes it.")
    lane = property(lambda self: int(self.row["lane"]), doc="The core that serves the port's queue, from 1.")

    @property
    def mtu(self):
        """The longest packet behind the Ethernet header that the port takes."""
        return int(self.row["mtu"])

    @mtu.setter
    def mtu(self, value):
        self.row["mtu"] = self._mtu(value)

    def _mtu(self, value):
        if not isinstance(value, int) or not 68 <= value <= 65535:
            raise ValueError(f"port {self.name}: mtu {value!r} is not between 68 and 65535")
        return value

    @property
    def mac(self):
        """The address that frames crafted for this port come from."""
        return ":".join(f"{int(self.row['mac']) >> shift & 255:02x}" for shift in range(40, -8, -8))

    @property
    def up(self):
        """Whether the link is up; a port that is down takes no packet."""
        return bool(self.row["up"])

    @up.setter
    def up(self, value):
        if bool(value) != self.up:
            self.row["up"] = bool(value)
            self.switch.link_changed(self)

    @property
    def waiting(self):
        """How many frames wait to be received."""
        ring = self._ring(0)
        return int(ring["tail"]) - int(ring["head"])

    @property
    def due(self):
        """How many frames a look at the port would give by now: those that wait, unless the port paces them."""
        return self.waiting

    def _ring(self, lane):
        return self.engine.array("rings", None, "ring")[PORTS * lane + self.number]

    def _total(self, name):
        return sum(int(self.engine.array("port_stats", lane)[self.number][name]) for lane in range(self.engine.cores + 1))

    rx_packets = property(lambda self: self._total("rx_packets"), doc="Frames that came in.")
    rx_bytes = property(lambda self: self._total("rx_bytes"), doc="Bytes that came in.")
    tx_packets = property(lambda self: self._total("tx_packets"), doc="Frames that went out.")
    tx_bytes = property(lambda self: self._total("tx_bytes"), doc="Bytes that went out.")
    rx_drops = property(lambda self: self._total("rx_drops"), doc="Frames that could not be queued.")
    tx_drops = property(lambda self: self._total("tx_drops"), doc="Frames that the port did not take.")

    # --- frames in ---------------------------------------------------------------------------------

    def inject(self, frame, *, gso_size=0, vnet_hdr=None, external=False):
        """Queue a frame (bytes, a scapy packet, a Packet, the path of a capture, or a list of these); how many were queued.

        `vnet_hdr` is a virtio-net header: a dict of its fields, or the bytes that a guest wrote, which are refused with a reason
        if they lie. With `external` all but the headers stays in the port's own memory, `outside`.

        >>> from lab import Switch
        >>> Switch().add_port("vm1").inject([bytes(60), bytes(1000)])
        2
        """
        frames = [offload(data, gso_size, vnet_hdr) for data in self._frames(frame)]
        if external:
            frames = [(data, {**fields, "external": self.outside}) for data, fields in frames]
        return self.switch.inject(self, frames)

    def _frames(self, frame):
        if isinstance(frame, list | tuple):
            return [data for one in frame for data in self._frames(one)]
        if isinstance(frame, str | os.PathLike):
            from lab.ports.capture import read

            return self._not_empty([one.data for one in read(frame)])
        if isinstance(frame, Packet):
            return [frame]  # what is known of it goes along
        return [craft(frame, mac=self.mac, ip=self.ip, mac_of=self.switch.mac_of)]

    def _not_empty(self, frames):
        """Frames of a capture without those that have no byte at all, which are counted."""
        kept = [data for data in frames if data]
        self.engine.array("port_stats", 0)["rx_drops"][self.number] += len(frames) - len(kept)
        self.engine.array("reasons", 0)["count"][EMPTY_FRAME] += len(frames) - len(kept)
        return kept

    def queue(self, frames):
        """Put frames into the ring; how many found room. The rest is counted as dropped, with the reason."""
        engine, queued = self.engine, 0
        stats = engine.array("port_stats", 0)[self.number]
        ring, slots = self._ring(0), engine.array("rings", None, "slots")
        for data, _ in frames:
            check_length(data)
        for at, (data, fields) in enumerate(frames):
            if int(ring["tail"]) - int(ring["head"]) >= RING:
                ring["overflow"] += 1
                stats["rx_drops"] += 1
                engine.array("reasons", 0)["count"][RING_FULL] += 1
                continue
            if "refused" in fields:
                stats["rx_drops"] += 1
                engine.array("reasons", 0)["count"][fields["refused"]] += 1
                continue
            try:
                i = load_frame(engine, data, fields, self.switch.next_serial(), self.switch.cores.refill)
            except PoolEmpty:
                stats["rx_drops"] += len(frames) - at
                engine.array("reasons", 0)["count"][POOL_EMPTY] += len(frames) - at
                raise
            engine.array("mbufs")["in_port"][i] = fields.get("in_port", self.number)
            slots["index"][int(ring["first"]) + (int(ring["tail"]) & (RING - 1))] = i
            ring["tail"] += 1
            queued += 1
        return queued

    # --- frames out --------------------------------------------------------------------------------

    def collect(self):
        """Move what has been sent into `sent`; while stepping there is nothing to move."""
        return self.switch.collect_port(self)

    def take_sent(self):
        """The packets in the port's outgoing rings, their mbufs returned."""
        packets = []
        for lane in self.engine.lanes:
            packets += collect_ring(self.engine, PORTS * lane + self.number)
        if packets:
            self.sent.append(packets)
            for watch in self.watchers:
                watch(packets)
        return packets

    def leave(self):
        """The port goes: what waits in its ring is dropped with a reason."""
        self.row["up"] = 0
        self.row["kind"] = 0
        self.write_addresses(0, 0)
        n = self.empty()
        self.engine.array("reasons", 0)["count"][PORT_REMOVED] += n + self.leave_lanes()
        for lane in range(self.engine.cores + 1):
            self.engine.array("port_stats", lane)[self.number] = 0  # the next port of this number counts from nothing
        return n

    def be_gone(self):
        """The port is no part of the switch any more: it keeps what it was, in a row of its own."""
        row = np.zeros(1, self.row.dtype)
        row[0] = self.row
        self._made = False
        self.row, self.removed = row[0], True
        self._no_offloads_yet(self.row)
        self._made = True

    def let_go(self):
        """Let go of what the port holds outside the arena: the switch is closed."""

    def empty(self):
        """Give back what waits in the port's ring; how many frames."""
        ring, slots = self._ring(0), self.engine.array("rings", None, "slots")
        head, tail = int(ring["head"]), int(ring["tail"])
        for at in range(head, tail):
            give_back(self.engine, int(slots["index"][int(ring["first"]) + (at & (RING - 1))]))
        ring["head"] = tail
        return tail - head

    def leave_lanes(self):
        """Return what stepping has left of this port in batches and tables; how many packets. Cores that run let go of it in their turn."""
        found = [i for lane in (() if self.switch.cores.running else self.engine.lanes) for i in take_out(self.engine, lane, self.number)]
        for i in found:
            give_back(self.engine, i)
        return len(found)

    def facts(self):
        """What the interface draws."""
        rows = [
            ["kind", self.kind],
            ["ofport", self.number],
            ["mtu", self.mtu],
            ["offloads", " ".join(self.offloads) or "none"],
            ["mac", self.mac],
            ["VLAN", self.vlan_text()],
            ["GRO", self.gro if self.gro == "off" else f"{self.gro}, {self.gro_arc} arc"],
            ["checksums", "verified on ingress" if self.verify else "not verified"],
            ["large packets", "split here for the core of their hash (vrouter)" if self.vrouter else "go on whole"],
            ["arcs", f"in: {', '.join(p.name for p in self.ingress) or 'empty'}; out: {', '.join(p.name for p in self.egress) or 'empty'}"],
            ["received", f"{self.rx_packets} packets, {self.rx_bytes} B"],
            ["sent", f"{self.tx_packets} packets, {self.tx_bytes} B"],
            ["waiting", self.waiting],
            ["dropped", self.rx_drops + self.tx_drops],
            ["core", self.lane],
        ]
        return {"title": f"port {self.name}", "columns": ["", ""], "rows": rows, "note": ""}
