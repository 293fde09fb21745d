"""Checksums of a packet, each header's: what stands in it, what should, and what the switch knows of it.

For people to look at (`packet.checksums`): recomputed from the bytes each time, beside the state that stages have found. A
*partial* one is still to be computed: the field holds the sum of the pseudo-header. Nothing on the packet's way uses this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from lab.live import Live, many
from lab.memory.raw import load16, load32, sum16
from lab.packet.checksum import finish, fold, pseudo_ipv4, pseudo_ipv6
from lab.packet.crc32c import POLYNOMIAL
from lab.packet.text import memory_of

FIELD = {"tcp": 16, "udp": 6, "icmp": 2, "icmp6": 2}
PROTO = {"tcp": 6, "udp": 17, "icmp6": 58}
IP_SUM, SCTP_SUM, ONES = 10, 8, 0xFFFF


@dataclass(frozen=True, slots=True)
class Checksum:
    """One checksum: its header, where it stands, what is there and what should be; `known` is what the switch has found."""

    layer: str
    offset: int
    found: int
    right: int
    known: str

    @property
    def state(self):
        """good, bad, partial or none, from the bytes alone; partial is what the switch knows."""
        if self.known == "partial":
            return "partial"
        if self.layer == "udp" and self.found == 0:
            return "none"
        return "good" if self.found == self.right else "bad"

    def paid(self, data):
        """The packet's bytes with the right checksum in its place."""
        size = 4 if self.layer == "sctp" else 2
        return data[: self.offset] + self.right.to_bytes(size, "big") + data[self.offset + size :]

    def __str__(self):
        should = f", should be {self.right:#06x}" if self.state == "bad" else ""
        return f"{self.layer} {self.found:#06x} {self.state}{should}"


@cache
def _crc_table():
    """What each byte does to a CRC32c."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ POLYNOMIAL * (crc & 1)
        table.append(crc)
    return table


def crc32c_of(data):
    """The CRC32c of some bytes, as it stands in SCTP's header."""
    crc, table = 0xFFFFFFFF, _crc_table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return int.from_bytes((crc ^ 0xFFFFFFFF).to_bytes(4, "little"), "big")


class Checksums(Sequence, Live):
    """The checksums of a packet, from the outside in.

    >>> from lab.packet.packet import Packet
    >>> Checksums(Packet(bytes(14)))
    <no checksums>
    """

    def __init__(self, packet):
        self._data, self._layers = packet.bytes(), packet.layers
        states = {"l4": packet.csum_state, "ip": packet.ip_csum_state}
        self._rows = self._found(states, packet.outer_states)

    def _found(self, inner, outer):
        """Each checksum; of headers around a tunnel the packet knows other states than of those inside.

        The outer ones are of the packet as it will be: one that is still to be computed inside is there for them.
        """
        memory, rows = memory_of(self._data), []
        ips = [at for at, layer in enumerate(self._layers) if layer.key in ("ip", "ip6")]
        for at, layer in reversed([*enumerate(self._layers)]):
            known = inner if not ips or at >= ips[-1] or not any(outer.values()) else outer
            if layer.key == "ip":
                rows.append(Checksum("ip", layer.off + IP_SUM, *self._ip(memory, layer), known["ip"]))
            elif layer.key in FIELD or layer.key == "sctp":
                ip = next((self._layers[k] for k in reversed(range(at)) if self._layers[k].key in ("ip", "ip6")), None)
                if ip is not None and (right := self._right(memory, ip, layer)) is not None:
                    rows.append(right(known["l4"]))
                    if rows[-1].state == "partial" and len(ips) > 1:
                        memory = memory_of(rows[-1].paid(self._data))
        return rows[::-1]

    def _ip(self, memory, layer) -> tuple[int, int]:
        found = load16(memory, layer.off + IP_SUM)
        return found, finish(sum16(memory, layer.off, layer.len) + (~found & ONES))

    def _right(self, memory, ip, layer):
        """A function of the known state that makes the row, or None when the packet ends too early."""
        end = ip.off + (load16(memory, ip.off + 2) if ip.key == "ip" else 40 + load16(memory, ip.off + 4))
        n = end - layer.off
        if n < layer.len or end > len(self._data):
            return None
        if layer.key == "sctp":
            found = load32(memory, layer.off + SCTP_SUM)
            data = bytearray(self._data[layer.off : end])
            data[SCTP_SUM : SCTP_SUM + 4] = bytes(4)
            right = crc32c_of(data)
            return lambda known: Checksum("sctp", layer.off + SCTP_SUM, found, right, known)
        field = layer.off + FIELD[layer.key]
        found = load16(memory, field)
        total = sum16(memory, layer.off, n) + (~found & ONES)
        if layer.key in PROTO:
            pseudo = pseudo_ipv4 if ip.key == "ip" else pseudo_ipv6
            total += pseudo(memory, ip.off, PROTO[layer.key], n)
        right = finish(fold(total))
        if layer.key == "udp" and right == 0:
            right = ONES
        return lambda known: Checksum(layer.key, field, found, right, known)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, i):
        return self._rows[i]

    def __repr__(self):
        return f"<{', '.join(map(str, self._rows))}>" if self._rows else "<no checksums>"

    def facts(self):
        """What the interface draws."""
        rows = [[c.layer, c.offset, f"{c.found:#06x}", f"{c.right:#06x}", c.state, c.known] for c in self._rows]
        columns = ["header", "at", "found", "right", "state", "known to the switch"]
        return {"title": many(len(self), "checksum"), "columns": columns, "rows": rows, "note": ""}
