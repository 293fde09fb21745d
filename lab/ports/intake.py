"""Frames into mbufs and out of them, on control's side: chains for what is larger than a buffer, copies of what left.

What goes with a frame (a virtio-net header, the states of a Packet, a GSO size) is judged by `lab/offload/vnet.py`, as
what a guest says is: there is one truth about which packets may be large.
"""

import itertools
import struct

from lab.memory.mbuf import (
    EXTERNAL,
    FILL,
    HEADROOM,
    IP_CSUM_BAD,
    IP_CSUM_GOOD,
    IP_CSUM_PARTIAL,
    L4_CSUM_BAD,
    MAX_SEGMENTS,
    OUTER_IP_BAD,
    OUTER_IP_GOOD,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TUNNEL,
    mbuf_t,
    reset,
)
from lab.memory.mempool import give, take
from lab.memory.reasons import REASONS
from lab.memory.record import NULL, Table
from lab.offload import vnet
from lab.offload.layers import look
from lab.offload.records import sight_t
from lab.packet.dissect import dissect
from lab.packet.packet import GSO_ECN, Packet
from lab.packet.packet import GSO_TYPES as GSO_KINDS
from lab.packet.text import memory_of
from lab.stages.receive import own_rest
from lab.stages.regions import RING

GSO_TYPES = {"tcp": {"ip": 1, "ip6": 4}, "udp": {"ip": 5, "ip6": 5}}  # VIRTIO_NET_HDR_GSO_TCPV4, TCPV6, UDP_L4
VNET_HDR = {  # the fields of struct virtio_net_hdr_v1_hash_tunnel and what they hold
    "flags": 255, "gso_type": 255, "hdr_len": 65535, "gso_size": 65535, "csum_start": 65535, "csum_offset": 65535, "num_buffers": 65535,
    "hash_value": 0xFFFFFFFF, "hash_report": 65535, "outer_th_offset": 65535, "inner_nh_offset": 65535,
}  # fmt: skip
OWN = 256  # bytes of a frame in external memory that are the switch's own copy: its headers
WIRE = struct.Struct("<BBHHHHHIHxxHH")
TAKEN = ("ol_flags", "tso_segsz", "gso_type", "csum_start", "csum_offset", "gso_segs", "inner_off", "hash")
NOT_FIELDS = ("external", "refused")  # of what goes with a frame, what is no field of its mbuf
CSUM_FIELD = {6: vnet.TCP_SUM, 17: vnet.UDP_SUM, 132: 8}
IP_FLAGS = {"good": IP_CSUM_GOOD, "bad": IP_CSUM_BAD, "partial": IP_CSUM_PARTIAL}
OUTER_IP_FLAGS = {"good": OUTER_IP_GOOD, "bad": OUTER_IP_BAD}
OUTER_L4_FLAGS = {"good": OUTER_L4_GOOD, "bad": OUTER_L4_BAD, "partial": OUTER_L4_PARTIAL}


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
    outside, lent = fields.get("external"), b""
    if outside is not None:
        data, lent = data[:OWN], data[OWN:]
    pieces = [data[at : at + FILL] for at in range(0, len(data), FILL)]
    slots = outside.slots_for(lent) if lent else []
    wanted = len(pieces) + len(slots)
    if pool.head[0].n < wanted:
        refill(wanted)
    if pool.head[0].n < wanted:
        raise PoolEmpty(f"the mempool is empty: {wanted} mbufs wanted, {pool.head[0].n} free; run what waits, or use Switch(size='large')")
    chain = [take(pool, mbufs) for _ in range(wanted)]
    memory = engine.arena.memory
    for i, piece in zip(chain, pieces, strict=False):
        m = mbufs[i]
        memory.write(m.buf + HEADROOM, piece)
        m.data_len = len(piece)
    for i, slot, at in zip(chain[len(pieces) :], slots, range(0, len(lent), outside.SLOT if outside else 1), strict=True):
        m, piece = mbufs[i], lent[at : at + outside.SLOT]
        m.buf, m.data_off, m.data_len = outside.at(slot), 0, len(piece)
        m.ol_flags, m.ext_owner, m.ext_cookie = EXTERNAL, outside.owner, slot
        memory.write(m.buf, piece)
    for i, after in itertools.pairwise([*chain, NULL]):
        mbufs[i].next = after
    first = mbufs[chain[0]]
    first.pkt_len, first.nb_segs, first.serial = len(data) + len(lent), len(chain), serial
    for name, value in fields.items():
        if name not in NOT_FIELDS:
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


def offload(frame, gso_size, vnet_hdr):
    """The bytes of a frame and the mbuf fields of its offload metadata.

    A person's mistake in them is named; what a guest wrote and may not have is `refused`, for its port to count.
    """
    data = bytes(frame)
    if isinstance(vnet_hdr, bytes | bytearray | memoryview):
        why, m, data = _judge(data, bytes(vnet_hdr))
        return data, {"refused": why} if why else _fields(m)
    if vnet_hdr is not None:
        return _believe(data, _checked(vnet_hdr), "vnet_hdr")
    if gso_size:
        return _sized(data, gso_size)
    if isinstance(frame, Packet):
        return _stated(frame)
    return data, {}


def _judge(data, header):
    """What `vnet_in` makes of a frame: (reason or 0, the mbuf, the frame, in which a pseudo-header's sum may stand now)."""
    m, memory, tables = _scratch(data, header)
    why = vnet.vnet_in(vnet.entrance(memory, tables[0], None, tables[1]), 0, 0, len(header))
    return why, m, memory.bytes(m.data_off, m.data_len)


def _scratch(data, header=b""):
    """An mbuf with a frame, in memory of its own with a header before it."""
    header = header[: vnet.TUNNELLED].ljust(vnet.TUNNELLED, b"\0")
    mbufs, sight = (Table(bytearray(layout.size), 0, layout, 1) for layout in (mbuf_t, sight_t))
    m = mbufs[0]
    reset(m)
    m.data_off, m.data_len, m.pkt_len = len(header), len(data), len(data)
    return m, memory_of(memoryview(bytearray(header + data))), (mbufs, sight)


def _fields(m):
    """What a fresh mbuf does not say by itself."""
    return {name: int(value) for name in TAKEN if (value := getattr(m, name))}


def _believe(data, header, what):
    """The frame and its fields, or an error that says what is wrong with them."""
    why, m, data = _judge(data, header)
    if why:
        said = REASONS[why].sentence.format(a=m.reason_a, b=m.reason_b)
        raise ValueError(f"{what}: {said}")
    return data, _fields(m)


def _sized(data, gso_size):
    """A frame that is to be cut into segments of a size: the rest follows from its headers."""
    if not isinstance(gso_size, int) or not 0 < gso_size <= 0xFFFF:
        raise ValueError(f"gso_size={gso_size!r} is no number between 1 and 65535")
    layers = {layer.key: layer for layer in dissect(data)}
    l4 = next((layers[key] for key in ("tcp", "udp") if key in layers), None)
    l3 = layers.get("ip") or layers.get("ip6")
    if l4 is None or l3 is None:
        raise ValueError(f"gso_size={gso_size} wants a TCP or UDP packet over IP; this one is {' / '.join(layers) or 'empty'}")
    header = _wire({"gso_type": GSO_TYPES[l4.key][l3.key], "gso_size": gso_size})
    return _believe(data, header, f"gso_size={gso_size}")


def _stated(packet):
    """A Packet keeps what is known of it."""
    data, header, flags = packet.bytes(), {}, 0
    m, memory, (_, sight) = _scratch(data)
    if packet.inner_off is not None:
        m.inner_off, m.ol_flags = packet.inner_off, TUNNEL
    found, s = look(memory, m, sight[0]), sight[0]
    flags |= int(IP_FLAGS.get(packet.ip_csum_state, 0))
    if packet.csum_state == "partial" and found:
        header = {"flags": vnet.NEEDS_CSUM, "csum_start": s.l4, "csum_offset": CSUM_FIELD[s.proto]}
    elif packet.csum_state == "good":
        header = {"flags": vnet.DATA_VALID}
    elif packet.csum_state == "bad":
        flags |= int(L4_CSUM_BAD)
    if packet.inner_off is not None and found:
        flags |= int(OUTER_IP_FLAGS.get(packet.outer_states["ip"], 0)) | int(OUTER_L4_FLAGS.get(packet.outer_states["l4"], 0)) | int(TUNNEL)
        if packet.gso_size:
            header["outer_th_offset"], header["inner_nh_offset"] = s.outer_l4, packet.inner_off
    if packet.gso_size:
        if not packet.gso_type and not found:
            return _sized(data, packet.gso_size)  # which says what is missing
        kind = packet.gso_type or (5 if s.proto == 17 else 1 if s.v == 4 else 4)
        around = 0 if packet.inner_off is None else vnet.IN_IPV6 if s.outer_v == 6 else vnet.IN_IPV4
        header |= {"gso_type": kind | around, "gso_size": packet.gso_size}
    data, fields = _believe(data, _wire(header), "Packet") if header else (data, {})
    if flags:
        fields["ol_flags"] = fields.get("ol_flags", 0) | flags
    if packet.inner_off is not None and found:
        fields["inner_off"] = packet.inner_off
    return data, fields


def _wire(header):
    """A virtio-net header of 24 bytes."""
    return WIRE.pack(*(header.get(name, 0) for name in VNET_HDR))


def _checked(header):
    """The bytes of a header that a person gave as a dict; names and ranges are looked at here, the rest as a guest's is."""
    if not isinstance(header, dict):
        raise ValueError(f"vnet_hdr={header!r} is no dict of the fields {', '.join(VNET_HDR)}, and no bytes")
    for name, value in header.items():
        if name not in VNET_HDR:
            raise ValueError(f"vnet_hdr has no field {name!r}; it has {', '.join(VNET_HDR)}")
        if not isinstance(value, int) or not 0 <= value <= VNET_HDR[name]:
            raise ValueError(f"vnet_hdr: {name}={value!r} is no number between 0 and {VNET_HDR[name]}")
    kind = header.get("gso_type", 0)
    if kind & ~(GSO_ECN | vnet.IN_TUNNEL) not in GSO_KINDS:
        raise ValueError(f"vnet_hdr: gso_type {kind} is unknown; there are {', '.join(f'{n} ({name})' for n, name in GSO_KINDS.items())}")
    if kind and not header.get("gso_size", 0):
        raise ValueError(f"vnet_hdr: gso_type {kind} wants a gso_size above 0")
    return _wire(header)
