"""Frames into mbufs and out of them, on control's side: chains for what is larger than a buffer, copies of what left."""

import struct

from lab.memory.mbuf import FILL, GSO, HEADROOM, L4_CSUM_PARTIAL, MAX_SEGMENTS
from lab.memory.mempool import give, take
from lab.memory.record import NULL
from lab.packet.checksum import pseudo_ipv4, pseudo_ipv6
from lab.packet.dissect import dissect
from lab.packet.packet import GSO_ECN, Packet
from lab.packet.packet import GSO_TYPES as GSO_KINDS
from lab.packet.text import memory_of
from lab.stages.receive import own_rest
from lab.stages.regions import RING

GSO_TYPES = {"tcp": {"ip": 1, "ip6": 4}, "udp": {"ip": 5, "ip6": 5}}  # VIRTIO_NET_HDR_GSO_TCPV4, TCPV6, UDP_L4
NEEDS_CSUM = 1
VNET_HDR = {  # the fields of struct virtio_net_hdr and what they hold
    "flags": 255, "gso_type": 255, "hdr_len": 65535, "gso_size": 65535, "csum_start": 65535, "csum_offset": 65535, "num_buffers": 65535,
}
PROTOCOLS = {"tcp": 6, "udp": 17}
CSUM_OFFSET = {"tcp": 16, "udp": 6}


class FrameTooLarge(ValueError):
    """A frame that no chain can hold."""


class PoolEmpty(MemoryError):
    """No mbuf is free for what a person injects."""


def check_length(data):
    """Refuse a frame that no chain can hold."""
    if not data:
        raise ValueError("an empty frame cannot be injected: give it at least one byte")
    if len(data) > FILL * MAX_SEGMENTS:
        raise FrameTooLarge(
            f"{len(data)} bytes do not fit into a chain of {MAX_SEGMENTS} mbufs of {FILL} bytes: inject at most {FILL * MAX_SEGMENTS}"
        )


def load_frame(engine, data, fields, serial, refill):
    """A chain of control's mbufs with these bytes; its first mbuf. `refill(n)` is asked when fewer than `n` are free."""
    check_length(data)
    pool, mbufs = engine.worlds[0].table("pool"), engine.worlds[0].table("mbufs")
    pieces = [data[at : at + FILL] for at in range(0, len(data), FILL)]
    if pool.head[0].n < len(pieces):
        refill(len(pieces))
    if pool.head[0].n < len(pieces):
        raise PoolEmpty(
            f"the mempool is empty: {len(pieces)} mbufs wanted, {pool.head[0].n} free; run what waits, or use Switch(size='large')"
        )
    chain = [take(pool, mbufs) for _ in pieces]
    memory = engine.arena.memory
    for at, (i, piece) in enumerate(zip(chain, pieces, strict=True)):
        m = mbufs[i]
        memory.write(m.buf + HEADROOM, piece)
        m.data_len = len(piece)
        m.next = chain[at + 1] if at + 1 < len(chain) else NULL
    first = mbufs[chain[0]]
    first.pkt_len, first.nb_segs, first.serial = len(data), len(chain), serial
    for name, value in fields.items():
        setattr(first, name, value)
    return chain[0]


def give_back(engine, i):
    """Return a packet to control's pool."""
    give(engine.worlds[0].table("pool"), engine.worlds[0].table("mbufs"), i)


def collect_ring(engine, number, copy=Packet.of_chain):
    """Copies of the packets in a ring, in order, their mbufs returned; `copy(arena, i)` makes one."""
    ring, slots = engine.array("rings", None, "ring")[number], engine.array("rings", None, "slots")
    packets = []
    while (head := int(ring["head"])) != int(ring["tail"]):
        i = int(slots["index"][int(ring["first"]) + (head & (RING - 1))])
        own_rest(engine.worlds[0].table("mbufs"), i, 0)
        ring["head"] = head + 1
        packets.append(copy(engine.arena, i))
        give_back(engine, i)
    return packets


def offload(data, gso_size, vnet_hdr):
    """The frame and the mbuf fields of its offload metadata; a mistake in them is named."""
    if vnet_hdr is not None:
        return data, _from_header(vnet_hdr, len(data))
    if not gso_size:
        return data, {}
    if not isinstance(gso_size, int) or not 0 < gso_size <= 0xFFFF:
        raise ValueError(f"gso_size={gso_size!r} is no number between 1 and 65535")
    layers = {layer.key: layer for layer in dissect(data)}
    l4 = next((layers[key] for key in ("tcp", "udp") if key in layers), None)
    l3 = layers.get("ip") or layers.get("ip6")
    if l4 is None or l3 is None:
        raise ValueError(f"gso_size={gso_size} wants a TCP or UDP packet over IP; this one is {' / '.join(layers) or 'empty'}")
    kind, field = GSO_TYPES[l4.key][l3.key], CSUM_OFFSET[l4.key]
    total = _pseudo(data, l3, l4)
    data = data[: l4.off + field] + struct.pack("!H", total) + data[l4.off + field + 2 :]
    return data, {"ol_flags": GSO | L4_CSUM_PARTIAL, "tso_segsz": gso_size, "gso_type": kind, "csum_start": l4.off, "csum_offset": field}


def _pseudo(data, l3, l4):
    """The pseudo-header's sum, as a sender that leaves the checksum to others writes it into the field."""
    memory, n = memory_of(data), len(data) - l4.off
    if l3.key == "ip":
        return pseudo_ipv4(memory, l3.off, PROTOCOLS[l4.key], n)
    return pseudo_ipv6(memory, l3.off, PROTOCOLS[l4.key], n)


def _from_header(header, length):
    """The mbuf fields of a virtio-net header, checked as the header of a hostile guest is."""
    if not isinstance(header, dict):
        raise ValueError(f"vnet_hdr={header!r} is no dict of the fields {', '.join(VNET_HDR)}")
    for name, value in header.items():
        if name not in VNET_HDR:
            raise ValueError(f"vnet_hdr has no field {name!r}; it has {', '.join(VNET_HDR)}")
        if not isinstance(value, int) or not 0 <= value <= VNET_HDR[name]:
            raise ValueError(f"vnet_hdr: {name}={value!r} is no number between 0 and {VNET_HDR[name]}")
    kind = header.get("gso_type", 0)
    if kind & ~GSO_ECN not in GSO_KINDS:
        raise ValueError(f"vnet_hdr: gso_type {kind} is unknown; there are {', '.join(f'{n} ({name})' for n, name in GSO_KINDS.items())}")
    if kind and not header.get("gso_size", 0):
        raise ValueError(f"vnet_hdr: gso_type {kind} wants a gso_size above 0")
    if header.get("flags", 0) & NEEDS_CSUM and header.get("csum_start", 0) + header.get("csum_offset", 0) + 2 > length:
        raise ValueError(f"vnet_hdr: a checksum at csum_start + csum_offset lies outside the frame of {length} bytes")
    flags = 0
    if header.get("flags", 0) & NEEDS_CSUM:
        flags |= int(L4_CSUM_PARTIAL)
    if header.get("gso_type", 0):
        flags |= int(GSO)
    return {
        "ol_flags": flags,
        "tso_segsz": header.get("gso_size", 0),
        "gso_type": header.get("gso_type", 0),
        "csum_start": header.get("csum_start", 0),
        "csum_offset": header.get("csum_offset", 0),
    }
