"""Packet: what a person holds of a packet, its bytes, its segments and what the stages know of it.

It is a copy, made at once, of an mbuf chain, or of bytes that somebody gave; so it stays as it is when the mbufs carry
other packets. Nothing on the packet's way uses it: stages work on mbufs, ports take bytes.
"""
from dataclasses import dataclass

from lab.live import Live
from lab.memory.mbuf import (
    EXTERNAL,
    GSO,
    IP_CSUM_BAD,
    IP_CSUM_GOOD,
    IP_CSUM_PARTIAL,
    L4_CSUM_BAD,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_IP_BAD,
    OUTER_IP_GOOD,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TUNNEL,
)
from lab.memory.record import NULL
from lab.packet.dissect import dissect
from lab.packet.text import Text

GSO_TYPES = {0: "none", 1: "tcpv4", 3: "udp", 4: "tcpv6", 5: "udp_l4"}  # VIRTIO_NET_HDR_GSO_*
GSO_ECN = 0x80
LONGEST = 255  # segments of a chain: they are counted in a byte


@dataclass(frozen=True, slots=True)
class Segment:
    """Where a part of a packet lay: mbuf, offset of its bytes, headroom before them, their number, size of the buffer."""

    mbuf: int
    offset: int
    headroom: int
    length: int
    room: int
    refcnt: int
    external: bool


class Packet(Live):
    """A packet: its bytes and what is known of them.

    >>> Packet(bytes.fromhex("ffffffffffff 020000000001 0806"), serial=7)
    <Packet 7: 14 B, Ethernet>
    """

    def __init__(self, data=b"", *, gso_size=0, gso_type=0, csum_state="unknown", in_port=0, serial=None):
        self._data = bytes(data)
        self.gso_size, self.gso_type = gso_size, gso_type
        self.csum_state = csum_state       # of TCP, UDP, SCTP: unknown, good, bad, or partial (NEEDS_CSUM)
        self.ip_csum_state = "unknown"
        self.outer_states = {"ip": "unknown", "l4": "unknown"}  # of the tunnel's headers around it
        self.gso_segs, self.inner_off = 0, None
        self.in_port, self.serial = in_port, serial
        self.segments = []
        self._layers = None

    @classmethod
    def of_chain(cls, arena, i):
        """A copy of the packet whose first mbuf is `i`, with its segments and its offloads."""
        mbufs, memory = arena.array("mbufs"), arena.memory
        first, segments, parts = mbufs[i], [], []
        while i != NULL and len(segments) < LONGEST:
            m = mbufs[i]
            headroom, length = int(m["data_off"]), int(m["data_len"])
            at = int(m["buf"]) + headroom
            parts.append(memory.bytes(at, length))
            segments.append(Segment(int(i), at, headroom, length, int(m["room"]), int(m["refcnt"]), bool(m["ol_flags"] & EXTERNAL)))
            i = int(m["next"])
        flags = first["ol_flags"]
        packet = cls(b"".join(parts), in_port=int(first["in_port"]), serial=int(first["serial"]))
        if flags & GSO:
            packet.gso_size, packet.gso_type = int(first["tso_segsz"]), int(first["gso_type"])
            packet.gso_segs = int(first["gso_segs"])
        packet.csum_state = _state(flags, L4_CSUM_GOOD, L4_CSUM_BAD, L4_CSUM_PARTIAL)
        packet.ip_csum_state = _state(flags, IP_CSUM_GOOD, IP_CSUM_BAD, IP_CSUM_PARTIAL)
        if flags & TUNNEL:
            packet.inner_off = int(first["inner_off"])
            outer = _state(flags, OUTER_L4_GOOD, OUTER_L4_BAD, OUTER_L4_PARTIAL)
            packet.outer_states = {"ip": _state(flags, OUTER_IP_GOOD, OUTER_IP_BAD), "l4": outer}
        packet.segments = segments
        return packet

    def bytes(self):
        """All bytes, the segments joined."""
        return self._data

    __bytes__ = bytes

    def len(self):
        """The number of bytes."""
        return len(self._data)

    __len__ = len

    @property
    def layers(self):
        """The headers, from the outside in."""
        if self._layers is None:
            self._layers = dissect(self._data)
        return self._layers

    @property
    def checksums(self):
        """Each checksum in it: what stands there, what should, and what the switch knows of it."""
        from lab.packet.sums import Checksums

        return Checksums(self)

    def scapy(self):
        """The same bytes as a scapy packet."""
        from scapy.layers import inet, inet6, l2, sctp
        assert inet and inet6 and sctp  # imported so that Ether knows what it may carry
        return l2.Ether(self._data)

    def show(self):
        """Every field of every header, a line each, with its offset."""
        lines = [repr(self)]
        lines += [f"  mbuf {s.mbuf}: {s.headroom} + {s.length} of {s.room} B" + ", external" * s.external for s in self.segments]
        for layer in self.layers:
            lines.append(str(layer))
            lines += [f"  {off:4} {n:3} B  {name:<14} {said}" for name, off, n, said in layer.fields]
        rest = len(self._data) - (self.layers[-1].off + self.layers[-1].len if self.layers else 0)
        if rest > 0:
            lines.append(f"{rest} B behind the headers")
        return Text("\n".join(lines))

    def __eq__(self, other):
        if isinstance(other, Packet):
            return self._data == other._data
        if isinstance(other, bytes | bytearray | memoryview):
            return self._data == other
        return NotImplemented

    def __hash__(self):
        return hash(self._data)

    def __repr__(self):
        said = [f"{len(self._data)} B" + (f" in {len(self.segments)} segments" if len(self.segments) > 1 else "")]
        if self.gso_size:
            said.append(f"gso_size {self.gso_size} {gso_name(self.gso_type)}".rstrip())
        if self.csum_state != "unknown":
            said.append(f"checksum {self.csum_state}")
        said.append(" / ".join(layer.name if layer.key == "eth" else str(layer) for layer in self.layers) or "no header")
        return f"<Packet{'' if self.serial is None else f' {self.serial}'}: {', '.join(said)}>"


def gso_name(number):
    """A gso_type in virtio's words.

    >>> gso_name(0x81)
    'tcpv4+ecn'
    """
    name = GSO_TYPES.get(number & ~GSO_ECN, str(number))
    return name + ("+ecn" if number & GSO_ECN else "")


def _state(flags, good, bad, partial=0):
    """What flags say of a checksum."""
    if flags & partial:
        return "partial"
    return "good" if flags & good else "bad" if flags & bad else "unknown"
