"""A large packet, a port, and the stage `gso` until nothing is left to cut: what left, as bytes; every mbuf back in the pool.

`cut` runs the stage in both tempos and returns what stood in the batches. Scapy says what must have come out (`expected`):
it builds each segment anew, with all lengths and checksums; `finished` completes what GSO left partial, byte by byte.
"""
from dataclasses import dataclass
from functools import cache
from socket import AF_INET, AF_INET6, inet_pton

import numpy as np
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting
from scapy.layers.l2 import GRE

from lab.engine.code import objects
from lab.memory.mbuf import FIRST_BUFFER, GSO, L4_CSUM_PARTIAL, OUTER_L4_PARTIAL, ROOM, TUNNEL
from lab.memory.mempool import give
from lab.memory.reasons import REASONS
from lab.memory.record import NULL
from lab.offload.capabilities import NAMES
from lab.stages.burst import wants_of
from lab.stages.gso import gso
from lab.stages.stage import Stage
from tests.tempo import Tempo

TCPV4, TCPV6, UDP_L4, ECN = 1, 4, 5, 0x80
OUT = 2
IN_FLIGHT = GSO | L4_CSUM_PARTIAL


@dataclass
class Left:
    """A packet that left: its bytes, and of its mbuf what later stages read."""

    data: bytes
    flags: int
    gso_size: int
    csum_start: int
    csum_offset: int
    inner_off: int
    segments: list  # (mbuf, what it is attached to or NULL, its length)
    serial: int


@cache
def scene():
    """The arena that all tests of a process share; its mbufs are counted after each."""
    return Tempo()


@cache
def compiled(checked):
    """The stage's machine code alone: these tests want no other's."""
    return objects.compile_all([Stage(gso.function, checked=checked)])


def both(tempo, checked):
    """One call of the stage: in both tempos, or, with `checked` None, as plain Python."""
    if checked is None:
        tempo.step(gso)
        return
    compiled(checked)
    tempo.both(gso, checked=checked)


def load(tempo, frames, fields, cuts=()):
    """Frames into the batch of port OUT, with fields of their mbufs."""
    tempo.unload()
    for name in ("cuts", "reasons"):
        tempo.array(name).view("u1")[:] = 0
    tempo.load(frames, cuts=cuts)
    batch = tempo.table("bursts")[0]
    for i, more in zip(tempo.packets, fields, strict=True):
        m = tempo.table("mbufs")[i]
        for name, value in more.items():
            setattr(m, name, value)
        batch.wants = batch.wants | wants_of(m)
    lane = tempo.table("lane")[0]
    lane.out, lane.at = OUT, 1


def set_offloads(tempo, names):
    tempo.table("ports")[OUT].offloads = sum(1 << NAMES.index(name) for name in names)


def run(tempo, checked=False, most=None):
    """Call the stage until nothing is left to cut: the packets that left, and reasons of those that did not. Given back, all of it."""
    cut, batch, pool, mbufs = tempo.table("cuts")[0], tempo.table("bursts")[0], tempo.table("pool"), tempo.table("mbufs")
    left, dropped = [], []
    while True:
        both(tempo, checked)
        wants = 0
        for k in range(batch.n):
            i = batch.pkt[k]
            if int(batch.dropped) >> k & 1:
                m = mbufs[i]
                dropped.append((REASONS[m.reason].code, m.reason_a, m.reason_b))
            else:
                left.append(look_at(tempo, i))
                wants |= int(wants_of(mbufs[i]))
            give(pool, mbufs, i)
        assert wants & ~int(batch.wants) == 0
        batch.n, batch.dropped = 0, 0
        if cut.first >= cut.n:
            return left, dropped


def look_at(tempo, i):
    m, mbufs = tempo.table("mbufs")[i], tempo.table("mbufs")
    data, segments, j = b"", [], i
    while j != NULL:
        s = mbufs[j]
        data += bytes(tempo.arena.bytes[s.buf + s.data_off:s.buf + s.data_off + s.data_len])
        segments.append((j, s.attached if int(s.ol_flags) & 1 else NULL, s.data_len))
        assert s.refcnt >= 1 and s.owner == 1
        j = s.next
    assert len(data) == m.pkt_len and len(segments) == m.nb_segs
    return Left(data, int(m.ol_flags), m.tso_segsz, m.csum_start, m.csum_offset, m.inner_off, segments, m.serial)


def all_back(tempo):
    """Every mbuf is free again, with its own buffer, exactly once."""
    mbufs, free, head = tempo.array("mbufs"), tempo.array("pool", "free"), tempo.table("pool").head[0]
    assert head.n == len(mbufs)
    assert len(set(free["index"].tolist())) == len(mbufs)
    assert (mbufs["refcnt"] == 0).all()
    assert (mbufs["buf"] == FIRST_BUFFER + ROOM * np.arange(len(mbufs))).all()


def cut(packet, size, *, offloads=("csum",), cuts=(), checked=False, kind=None, **fields):
    """A scapy packet cut for a port: (what left, what was dropped)."""
    tempo = scene()
    fields = metadata(packet, bytes(packet), size, kind) | fields
    load(tempo, [left_partial(packet, fields)], [fields], cuts)
    set_offloads(tempo, offloads)
    out = run(tempo, checked)
    all_back(tempo)
    return out


def left_partial(packet, fields):
    """The packet's bytes as a sender leaves them that does not sum: with the pseudo-header's sum in the field."""
    data = bytearray(bytes(packet))
    if int(fields["ol_flags"]) & int(L4_CSUM_PARTIAL):
        at, n = fields["csum_start"], len(data) - fields["csum_start"]
        ips, l4 = inner(packet)
        to = getattr(ips[-1].getlayer(IPv6ExtHdrRouting), "addresses", None) or [ips[-1].dst]
        addresses = b"".join(inet_pton(AF_INET if isinstance(ips[-1], IP) else AF_INET6, a) for a in (ips[-1].src, to[-1]))
        total = ones(addresses + bytes([0, 17 if isinstance(l4, UDP) else 6]) + n.to_bytes(2, "big"))
        data[at + fields["csum_offset"]:at + fields["csum_offset"] + 2] = total.to_bytes(2, "big")
    return bytes(data)


def inner(packet):
    """The innermost IP and transport layers, and how many IP headers there are."""
    ips, layer = [], packet
    while layer:
        if layer.__class__ in (IP, IPv6):
            ips.append(layer)
        layer = layer.payload
    l4 = ips[-1].getlayer(TCP) or ips[-1].getlayer(UDP)
    return ips, l4


def metadata(packet, data, size, kind=None):
    """What whoever handed the packet over says of it."""
    ips, l4 = inner(packet)
    ip = ips[-1]
    start = len(data) - len(bytes(l4))
    flags = IN_FLIGHT
    if len(ips) > 1:
        flags |= TUNNEL
        outer = ips[0].payload if isinstance(ips[0].payload, UDP) else None
        if (outer and outer.chksum != 0) or (packet.getlayer(GRE) and packet[GRE].chksum_present):
            flags |= OUTER_L4_PARTIAL
    if kind is None:
        kind = UDP_L4 if isinstance(l4, UDP) else TCPV4 if isinstance(ip, IP) else TCPV6
    offset = 6 if isinstance(l4, UDP) else 16
    return {
        "ol_flags": flags, "tso_segsz": size, "gso_type": kind, "csum_start": start, "csum_offset": offset,
        "inner_off": len(data) - len(bytes(ip)) if len(ips) > 1 else 0,
    }


def expected(packet, size, fixed=(False, False)):
    """The segments, as scapy builds them."""
    _, l4 = inner(packet)
    payload = bytes(l4.payload)
    chunks = [payload[at:at + size] for at in range(0, len(payload), size)]
    found = []
    for k, chunk in enumerate(chunks):
        q = packet.copy()
        ips, l4 = inner(q)
        for at, ip in enumerate(ips):
            if isinstance(ip, IP):
                if not fixed[at if len(ips) > 1 else 1]:
                    ip.id = (ip.id + k) & 0xFFFF
                del ip.len, ip.chksum
            else:
                del ip.plen
        if isinstance(l4, TCP):
            l4.seq = (l4.seq + k * size) & 0xFFFFFFFF
            flags = int(l4.flags)
            if k < len(chunks) - 1:
                flags &= ~9
            if k and not flags & 0x100:
                flags &= ~0x80
            l4.flags = flags
            del l4.chksum
        else:
            del l4.len, l4.chksum
        if len(ips) > 1:
            outer = ips[0].payload if isinstance(ips[0].payload, UDP) else None
            if outer:
                del outer.len
                if outer.chksum != 0:
                    del outer.chksum
            elif ips[0].getlayer(GRE):
                gre = ips[0][GRE]
                if gre.chksum_present:
                    del gre.chksum
                if gre.seqnum_present:
                    gre.sequence_number = (gre.sequence_number + k) & 0xFFFFFFFF
        l4.remove_payload()
        found.append(bytes(q / chunk))
    return found


def ones(data):
    """A ones' complement sum, word by word."""
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[at:at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def finished(packet):
    """A packet's bytes with what was left partial computed: the inner checksum from csum_start to the end, then the outer."""
    data = bytearray(packet.data)
    if packet.flags & int(L4_CSUM_PARTIAL):
        complete(data, packet.csum_start, packet.csum_offset)
    if packet.flags & int(OUTER_L4_PARTIAL):
        l4, protocol = outer_transport(data)
        complete(data, l4, 6 if protocol == 17 else 4)
    return bytes(data)


def complete(data, start, offset):
    value = ~ones(bytes(data[start:])) & 0xFFFF
    data[start + offset:start + offset + 2] = (value or (0xFFFF if offset == 6 else 0)).to_bytes(2, "big")


def outer_transport(data):
    off = 14
    while data[off - 2:off] in (b"\x81\x00", b"\x88\xa8"):
        off += 4
    if data[off] >> 4 == 4:
        return off + (data[off] & 15) * 4, data[off + 9]
    return off + 40, data[off + 6]

