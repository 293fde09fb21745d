"""`sw.controller`: what an OpenFlow controller would be told, kept for whoever looks: packet-ins and flow-removed messages.

The cores put copies of packets for the controller into ring 0 of their lane (stage `punt`); `collect` takes them from there, as ports
take what was sent. Nobody answers: rules and packet-outs come by `sw.ofctl(...)`.
"""
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.live import Live, many
from lab.packet.packet import Packet
from lab.ports.intake import collect_ring
from lab.stages.regions import PORTS

KEPT = 10_000  # messages that are remembered
REASONS = ("no_match", "action", "invalid_ttl", "action_set", "group", "packet_out")  # why packets are sent, as OpenFlow numbers it
NO_RULE = 0xFFFFFF
LOW_32 = 0xFFFFFFFF


@dataclass(frozen=True, eq=False, repr=False)
class PacketIn(Live):
    """A packet that the rules sent to the controller: its first `max_len` of `total_len` bytes, and who sent it."""

    packet: Packet
    reason: str
    table: int
    cookie: int
    in_port: int
    max_len: int
    total_len: int
    rule: str | None  # the rule that sent it, as it said then
    port: str = field(default="", compare=False)  # the name of the port that it came from

    def __repr__(self):
        length = f"{len(self.packet)} of {self.total_len}" if len(self.packet) < self.total_len else str(self.total_len)
        return f"<packet-in: {length} B from {self.port or self.in_port or 'no port'}, {self.reason}, by {self.rule or 'no rule'}>"

    def facts(self):
        """What the interface draws."""
        rows = [["packet", repr(self.packet)], ["from", self.port or self.in_port], ["reason", self.reason], ["table", self.table],
                ["rule", self.rule or "none"], ["cookie", f"0x{self.cookie:x}"], ["bytes", f"{len(self.packet)} of {self.total_len}"]]
        return {"title": repr(self)[1:-1], "columns": ["", ""], "rows": rows, "note": ""}


@dataclass(frozen=True, eq=False, repr=False)
class FlowRemoved(Live):
    """A rule with send_flow_rem that has gone: why, after how many seconds, and what it had seen."""

    rule: str
    reason: str
    duration: float
    packets: int
    bytes: int
    table: int = 0
    cookie: int = 0

    def __repr__(self):
        return f"<flow removed: {self.rule!r}, {self.reason} after {self.duration:.3f} s, {many(self.packets, 'packet')}>"

    def facts(self):
        """What the interface draws."""
        names = ("rule", "reason", "duration", "packets", "bytes", "table", "cookie")
        return {"title": repr(self)[1:-1], "columns": ["", ""], "rows": [[name, getattr(self, name)] for name in names], "note": ""}


class Controller(Sequence, Live):
    """The last 10 000 messages, in the order in which they came.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> vm1 = sw.add_port("vm1")
    >>> _ = sw.ofctl("add-flow actions=controller:20")
    >>> vm1.inject(bytes(60))
    1
    >>> while sw.step(): pass
    >>> sw.controller[0]
    <packet-in: 20 of 60 B from vm1, action, by actions=CONTROLLER:20>
    """

    number = 0  # of the ring and the batch that copies go through

    def __init__(self, switch, like=None):
        self._switch = switch
        self._kept: deque[Any] = deque(() if like is None else like._kept, KEPT)

    def __len__(self):
        self._look()
        return len(self._kept)

    def __getitem__(self, i):
        self._look()
        return list(self._kept)[i] if isinstance(i, slice) else self._kept[i]

    def __iter__(self):
        self._look()
        return iter(list(self._kept))

    def __repr__(self):
        return f"<controller: {many(len(self.packet_ins), 'packet-in')}, {many(len(self.removed), 'removed rule')}>"

    def clear(self):
        """Forget everything."""
        self._look()
        self._kept.clear()

    @property
    def packet_ins(self):
        """The packets that were sent to the controller."""
        return [message for message in self if isinstance(message, PacketIn)]

    @property
    def removed(self):
        """The rules with send_flow_rem that have gone."""
        return [message for message in self if isinstance(message, FlowRemoved)]

    def find(self, **said):
        """The messages that say all of this: `find(reason="invalid_ttl", table=3)`."""
        return [message for message in self if all(getattr(message, name, None) == value for name, value in said.items())]

    def facts(self):
        """What the interface draws."""
        first = max(0, len(self) - 30)
        rows = [[at, "packet-in" if isinstance(one, PacketIn) else "flow removed", one.reason, one.table, one.rule or "none", repr(one)]
                for at, one in enumerate(self[first:], first)]
        note = "" if rows else "nothing yet: sw.ofctl('add-flow actions=controller') sends packets here"
        return {"title": repr(self)[1:-1], "columns": ["#", "what", "reason", "table", "rule", "message"], "rows": rows, "note": note}

    def _ipython_key_completions_(self):
        return list(range(len(self)))

    # --- of the switch ---------------------------------------------------------------------------

    def _look(self):
        """While the cores run nobody else collects in time."""
        self._switch.collect_port(self)

    def collect(self):
        """Take the copies out of the rings of all lanes, their mbufs returned; what was new."""
        engine = self._switch.engine
        return [message for lane in engine.lanes for message in collect_ring(engine, PORTS * lane + self.number, self._packet_in)]

    def take_sent(self):
        """Collect, and keep it."""
        fresh = self.collect()
        self.append(fresh)
        return fresh

    def append(self, messages):
        """Messages have come."""
        self._kept.extend(messages)

    def take_back(self, n):
        """The last packet-ins have not come after all: the switch was stepped back."""
        last = [at for at, message in enumerate(self._kept) if isinstance(message, PacketIn)][-n:] if n else []
        for at in reversed(last):
            del self._kept[at]

    def rule_removed(self, rule, reason):
        """A rule that asked for it has gone."""
        self._kept.append(FlowRemoved(rule.text, reason, rule.duration, rule.n_packets, rule.n_bytes, rule.table, rule.cookie))

    def _packet_in(self, arena, i):
        """The message that a copy in a ring stands for."""
        m = arena.array("mbufs")[i]
        told, lengths = int(m["reason_b"]), int(m["ext_cookie"])
        rule = None if told & NO_RULE == NO_RULE else self._switch.rules.at(told & NO_RULE)
        reason = told >> 32
        packet = Packet.of_chain(arena, i)
        return PacketIn(
            packet=packet, reason=REASONS[reason] if reason < len(REASONS) else str(reason), table=told >> 24 & 0xFF,
            cookie=int(m["reason_a"]) & (1 << 64) - 1, in_port=packet.in_port, max_len=lengths & LOW_32, total_len=lengths >> 32,
            rule=rule.text if rule else None, port=self._switch.port_name(packet.in_port) or "",
        )
