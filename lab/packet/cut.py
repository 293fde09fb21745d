"""Cut: which bytes of a large packet went where, when GSO made segments of it; or what GRO made one of many.

It is told by a step (`step.cut`), made of copies of the packets before and after, so it stays as it is. Each segment knows
its headers, which were written for it, and which part of the payload it refers to. Nothing on the packet's way uses it.
"""

from dataclasses import dataclass

from lab.live import Live, many
from lab.packet.packet import Packet


@dataclass(frozen=True)
class Part:
    """One segment: its packet, the length of its headers, and which bytes of the whole payload it carries."""

    packet: Packet
    headers: int
    begins: int
    ends: int

    @property
    def referred(self):
        """The mbufs that its payload lies in."""
        return [segment.mbuf for segment in self.packet.segments[1:]]


class Cut(Live):
    """A large packet and its segments.

    >>> Cut(Packet(bytes(54) + b"abc"), [Packet(bytes(54) + b"ab"), Packet(bytes(54) + b"c")], 54)
    <cut of 57 B into 2: payload 0 to 2, 2 to 3>
    """

    def __init__(self, whole, packets, headers, first=0):
        self.whole, self.headers, self.parts = whole, headers, []
        at = first
        for packet in packets:
            n = len(packet) - headers
            self.parts.append(Part(packet, headers, at, at + n))
            at += n

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, i):
        return self.parts[i]

    @property
    def payload(self):
        """Bytes behind the headers of the whole."""
        return len(self.whole) - self.headers

    def __repr__(self):
        spans = [f"{part.begins} to {part.ends}" for part in self.parts]
        shown = ", ".join(spans if len(spans) < 5 else [*spans[:2], "…", spans[-1]])
        return f"<cut of {len(self.whole)} B into {len(self)}: payload {shown}>"

    def facts(self):
        """What the interface draws, as a table."""
        rows = [
            [n, len(part.packet), part.headers, f"{part.begins} to {part.ends}", part.packet.csum_state, ", ".join(map(str, part.referred))]
            for n, part in enumerate(self.parts)
        ]
        columns = ["segment", "bytes", "headers", "payload", "checksum", "payload lies in mbufs"]
        return {"title": repr(self)[1:-1], "columns": columns, "rows": rows, "note": many(len(self.whole.segments), "mbuf") + " before"}


def header_length(packet):
    """Where the payload of a packet begins, as its innermost layer says."""
    return packet.layers[-1].off + packet.layers[-1].len if packet.layers else 0
