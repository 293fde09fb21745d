"""Frames of flows with all that GSO and GRO must keep, and one arena through which they go: `gso`, `complete`, `gro`, back and forth.

A `Flow` says what is alike in all packets of a flow, `frame` writes one of them, every checksum computed word by word here;
with `partial` it is the large packet that a guest hands over. `Way` runs the stages, as plain Python or as machine code.
"""
import struct
from dataclasses import dataclass

from gro_scene import EGRESS, INGRESS, Scene

from lab.memory.mbuf import GSO, L4_CSUM_PARTIAL, OUTER_L4_PARTIAL, TUNNEL
from lab.memory.mempool import give
from lab.memory.record import NULL
from lab.offload.records import GRO_LINUX
from lab.stages.burst import BURST, wants_of
from lab.stages.checksum import complete
from lab.stages.gro import gro
from lab.stages.gso import gso

TCP, UDP, GRE = 6, 17, 47
TCPV4, TCPV6, UDP_L4 = 1, 4, 5
FIN, SYN, PSH, ACK, CWR = 1, 2, 8, 16, 128
MACS = bytes.fromhex("02000000000b02000000000a")
OUT = 2  # the port without offloads


@dataclass(frozen=True)
class Tunnel:
    """Headers around a packet."""

    kind: str = "vxlan"  # or geneve, gre, mpls
    v: int = 4
    summed: bool = False
    key: int = 5
    tos: int = 0
    df: bool = False
    bridged: bool = True  # of GRE and Geneve: an Ethernet frame inside, not IP alone
    tags: tuple = ()  # of that frame
    labels: int = 1
    options: bytes = b""


@dataclass(frozen=True)
class Flow:
    """What is alike in all packets of a flow."""

    v: int = 4
    proto: int = TCP
    tags: tuple = ()
    tunnel: Tunnel | None = None
    host: int = 1
    sport: int = 1000
    dport: int = 80
    tos: int = 0
    ttl: int = 64
    df: bool = False
    label: int = 0
    extension: bytes = b""  # an IPv6 header of destination options, or IPv4 options
    zero: bool = False  # UDP without a checksum


def ones(data):
    """A ones' complement sum, word by word."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def put_sum(data, at, value):
    """`data` with 16 bits at an offset."""
    return data[:at] + struct.pack("!H", value) + data[at + 2:]


def ip_header(v, hosts, proto, n, *, tos=0, ttl=64, ident=0, frag=0, label=0, extension=b""):
    """An IP header with `n` bytes behind it, and the sum of its pseudo-header."""
    if v == 4:
        ends = bytes([10, 0, 0, hosts[0], 10, 0, 0, hosts[1]])
        total = 20 + len(extension) + n
        head = struct.pack("!BBHHHBBH", 0x45 + len(extension) // 4, tos, total, ident, frag, ttl, proto, 0) + ends + extension
        head = put_sum(head, 10, ~ones(head) & 0xFFFF)
    else:
        ends = b"".join(bytes([0xFD] + [0] * 14 + [host]) for host in hosts)
        following = 60 if extension else proto
        head = struct.pack("!IHBB", 6 << 28 | tos << 20 | label, len(extension) + n, following, ttl) + ends
        head += bytes([proto]) + extension[1:] if extension else b""
    return head, ones(ends + struct.pack("!HH", proto, n))


def transport(flow, payload, seq, ack, flags, window, options):
    """A TCP or UDP header and payload, its checksum zero."""
    if flow.proto == UDP:
        return struct.pack("!HHHH", flow.sport, flow.dport, 8 + len(payload), 0) + payload
    word = (20 + len(options)) << 10 | flags
    return struct.pack("!HHIIHHHH", flow.sport, flow.dport, seq, ack, word, window, 0, 0) + options + payload


def summed(data, field, pseudo, udp):
    """The checksum of a transport header."""
    value = ~ones(struct.pack("!H", pseudo) + data) & 0xFFFF
    return put_sum(data, field, 0xFFFF if udp and value == 0 else value)


def field_of(flow):
    return 6 if flow.proto == UDP else 16


def frame(flow, payload, *, seq=1, ack=1, flags=ACK, window=500, ident=1, outer_ident=9, options=b"", frag=0, partial=False):
    """One packet of a flow; a `partial` one has its transport checksums still to be computed."""
    data = transport(flow, payload, seq, ack, flags, window, options)
    frag |= 0x4000 if flow.df and flow.v == 4 else 0
    hosts = (flow.host, 200)
    head, pseudo = ip_header(flow.v, hosts, flow.proto, len(data), tos=flow.tos, ttl=flow.ttl, ident=ident, frag=frag, label=flow.label,
                             extension=flow.extension)
    if not flow.zero:
        data = put_sum(data, field_of(flow), pseudo) if partial else summed(data, field_of(flow), pseudo, flow.proto == UDP)
    data = head + data
    if flow.tunnel:
        return wrap(flow, flow.tunnel, data, outer_ident, partial)
    return linked(flow.tags, flow.v, data)


def linked(tags, v, data):
    """Ethernet in front, with VLAN tags."""
    kinds = (0x88A8, 0x8100) if len(tags) == 2 else (0x8100,)
    link = MACS + b"".join(struct.pack("!HH", kind, tag) for kind, tag in zip(kinds, tags, strict=False))
    return link + (b"\x08\x00" if v == 4 else b"\x86\xdd") + data


def wrap(flow, tunnel, data, ident, partial):
    """The headers of a tunnel in front."""
    named = 0x0800 if flow.v == 4 else 0x86DD
    bridged = tunnel.bridged or tunnel.kind == "vxlan"
    if bridged and tunnel.kind != "mpls":
        data, named = linked(tunnel.tags, flow.v, data), 0x6558
    if tunnel.kind == "vxlan":
        data = struct.pack("!II", 0x08000000, tunnel.key << 8) + data
    elif tunnel.kind == "geneve":
        data = struct.pack("!BBHI", len(tunnel.options) // 4, 0, named, tunnel.key << 8) + tunnel.options + data
    elif tunnel.kind == "mpls":
        stack = [(tunnel.key + k) << 12 | (k == tunnel.labels - 1) << 8 | 64 for k in range(tunnel.labels)]
        data = struct.pack(f"!{len(stack)}I", *stack) + data
    proto = UDP
    if tunnel.kind == "gre":
        proto = GRE
        data = (bytes(4) if tunnel.summed else b"") + struct.pack("!I", tunnel.key) + data
        data = struct.pack("!HH", 0x2000 | tunnel.summed << 15, named) + data
    else:
        data = struct.pack("!HHHH", 50000, {"vxlan": 4789, "geneve": 6081, "mpls": 6635}[tunnel.kind], 8 + len(data), 0) + data
    head, pseudo = ip_header(tunnel.v, (100 + flow.host % 50, 250), proto, len(data), tos=tunnel.tos, ident=ident, frag=0x4000 * tunnel.df)
    if tunnel.summed and proto == UDP:
        data = put_sum(data, 6, pseudo) if partial else summed(data, 6, pseudo, True)
    elif tunnel.summed and not partial:
        data = put_sum(data, 4, ~ones(data) & 0xFFFF)
    return linked(flow.tags, tunnel.v, head + data)


def large_fields(flow, data, payload, size, fixed=0, options=b""):
    """What the mbuf of a large packet says."""
    l4_len = 8 if flow.proto == UDP else 20 + len(options)
    start = len(data) - len(payload) - l4_len
    inner = start - len(flow.extension) - (20 if flow.v == 4 else 40)
    flags = int(GSO) | (0 if flow.zero else int(L4_CSUM_PARTIAL)) | fixed
    if flow.tunnel:
        flags |= int(TUNNEL) | (int(OUTER_L4_PARTIAL) if flow.tunnel.summed else 0)
    kind = UDP_L4 if flow.proto == UDP else TCPV4 if flow.v == 4 else TCPV6
    return {"ol_flags": flags, "tso_segsz": size, "gso_type": kind, "csum_start": start, "csum_offset": field_of(flow),
            "inner_off": inner if flow.tunnel else 0, "gso_segs": -(-len(payload) // size)}  # fmt: skip


class Way(Scene):
    """The arena: port 1 has GRO on one of its arcs, port OUT takes no offload."""

    def __init__(self, side=INGRESS, profile=GRO_LINUX, plain=True):
        super().__init__(side, profile)
        self.plain = plain
        self.rows[OUT].offloads = 0
        self.clean, self.first = True, self.bytes.copy()

    def begin(self):
        """Nothing is left of a case that failed."""
        if not self.clean:
            self.bytes[:] = self.first
        self.clean = False

    def go(self, stage):
        """As plain Python, or as machine code."""
        if self.plain:
            self.step(stage)
        else:
            assert self.run(stage) == 0

    def bring(self, frames, cuts=(), fields=None):
        """Frames into mbufs: their indexes."""
        found = []
        for at in range(0, len(frames), BURST):
            found += self.load(list(frames[at:at + BURST]), port=self.port, cuts=cuts)
        for i in found:
            for name, value in (fields or {"ol_flags": 0}).items():
                setattr(self.table("mbufs")[i], name, value)
        return found

    def batch(self, packets):
        """Packets into the burst in hand."""
        burst = self.table("bursts")[0]
        burst.n, burst.first, burst.misses, burst.dropped, burst.wants = len(packets), 0, 0, 0, 0
        for k, i in enumerate(packets):
            burst.pkt[k] = i
            burst.wants = burst.wants | wants_of(self.table("mbufs")[i])
        return burst

    def sent(self, packets):
        """Packets to port OUT: what leaves behind `gso` and `complete`, as indexes, in order."""
        lane, cut, out = self.lane, self.table("cuts")[0], []
        was = lane.phase, lane.at, lane.out
        lane.phase, lane.at, lane.out = EGRESS, 1, OUT
        for at in range(0, len(packets), 32):
            burst = self.batch(packets[at:at + 32])
            while True:
                self.go(gso)
                self.go(complete)
                assert int(burst.dropped) == 0, "nothing here may be dropped"
                out += [burst.pkt[k] for k in range(burst.n)]
                self.batch([])
                if cut.first >= cut.n:
                    break
        lane.phase, lane.at, lane.out = was
        return out

    def merged(self, bursts, waits=()):
        """Bursts of packets through GRO, and what it holds behind them: indexes, in order. `waits` are microseconds before each."""
        lane, out = self.lane, []
        lane.phase, lane.at, lane.out, lane.port = self.side, 1, self.port, self.port
        for k, burst in enumerate(bursts):
            lane.now += waits[k] if k < len(waits) else 0
            self.batch(burst)
            out += self.drained()
        lane.paused = 1
        while lane.held or lane.ready or lane.ready_out:
            self.batch([])
            out += self.drained()
        lane.paused = 0
        return out

    def drained(self):
        """One call, and further ones while something is ready."""
        out = []
        while True:
            self.table("trace")[0].n = 0
            self.go(gro)
            burst = self.table("bursts")[0]
            out += [burst.pkt[k] for k in range(burst.n)]
            if not (self.lane.ready or self.lane.ready_out):
                return out
            self.batch([])

    def data(self, i):
        """The bytes of a packet, whose lengths and number of segments are true."""
        mbufs, data, count, first = self.table("mbufs"), b"", 0, i
        while i != NULL:
            m = mbufs[i]
            data += bytes(self.arena.bytes[m.buf + m.data_off:m.buf + m.data_off + m.data_len])
            count, i = count + 1, m.next
        assert (len(data), count) == (mbufs[first].pkt_len, mbufs[first].nb_segs)
        return data

    def take_back(self, packets):
        """Return packets; then every mbuf is free."""
        for i in packets:
            give(self.table("pool"), self.table("mbufs"), i)
        assert self.conserved() and self.lane.held == 0
        assert self.table("gro").head[0].held == 0 and (self.array("mbufs")["refcnt"] == 0).all()
        self.clean = True
