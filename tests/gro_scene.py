"""A GRO stage on an arc of one port, in both tempos: bursts go in, and what came out, was held and was told is read back.

    scene = Scene()
    scene.send(tcp(1000, "a"), tcp(1001, "b"))
    [large] = scene.pause()
"""
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from tempo import Tempo

from lab.memory import mbuf, reasons
from lab.memory.record import NULL
from lab.offload.records import GRO_LINUX, ITEMS
from lab.stages.gro import gro

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
INGRESS, EGRESS = 2, 5
CODES = {r.number: r.code for r in reasons.REASONS}


def tcp(seq, payload, *, flags="A", ident=1, ack=1, options=(), link=None, sport=1000, dport=80, **ip):
    """A TCP frame whose checksums scapy computed."""
    ip = {"src": "10.0.0.1", "dst": "10.0.0.2"} | ip
    link = Ether(src=A, dst=B) if link is None else link
    payload = payload.encode() if isinstance(payload, str) else payload
    return bytes(link / IP(id=ident, **ip) / TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, options=list(options)) / payload)


class Out:
    """A packet that left: its bytes and what GRO said of it."""

    def __init__(self, scene, i):
        m = scene.table("mbufs")[i]
        self.serial, self.flags, self.bytes, self.segments = m.serial, int(m.ol_flags), b"", m.nb_segs
        self.size, self.count, self.kind = (m.tso_segsz, m.gso_segs, m.gso_type) if self.large else (0, 1, 0)
        self.start, self.offset, self.inner_off = m.csum_start, m.csum_offset, m.inner_off
        self.lengths = m.l2_len, m.l3_len, m.l4_len
        self.n, length, at = 0, m.pkt_len, i
        while at != NULL:
            s = scene.table("mbufs")[at]
            self.bytes += bytes(scene.arena.bytes[s.buf + s.data_off:s.buf + s.data_off + s.data_len])
            self.n, at = self.n + 1, s.next
        assert len(self.bytes) == length and self.n == self.segments, "lengths and segments of a chain are true"

    def __repr__(self):
        return f"<{len(self.bytes)} B of {self.count}>" if self.large else f"<{len(self.bytes)} B>"

    @property
    def large(self):
        """Whether it is to be cut."""
        return bool(self.flags & int(mbuf.GSO))


class Scene(Tempo):
    """One port with GRO on one of its arcs."""

    def __init__(self, side=INGRESS, profile=GRO_LINUX, port=1):
        super().__init__()
        self.side, self.port, self.told, self.checked = side, port, [], False
        self.rows = self.table("ports")
        for n in range(1, 8):
            self.rows[n].gro, self.rows[n].kind = profile, 1
        lane = self.table("lane")[0]
        lane.phase, lane.at, lane.port, lane.out, lane.now = side, 1, port, port, 1000
        self.table("config")[0].gro_us = 200
        self.table("trace")[0].on = 1
        self.serial, self.taken = 0, len(self.array("pool", "free"))

    @property
    def lane(self):
        return self.table("lane")[0]

    def call(self, stage=gro):
        """One call of the stage: the packets in the burst afterwards."""
        self.table("trace")[0].n = 0
        self.both(stage, checked=self.checked)
        trace = self.table("trace")
        self.told += [(CODES[trace[n].reason], trace[n].packet, trace[n].a, trace[n].b) for n in range(1, trace[0].n + 1)]
        burst = self.table("bursts")[0]
        return [burst.pkt[k] for k in range(burst.n)]

    def put(self, *frames, port=None, cuts=(), flags=0):
        """Frames into the burst; `flags` are ol_flags of each."""
        before = self.packets
        self.load(list(frames), port=self.port if port is None else port, cuts=cuts)
        for i in self.packets:
            m = self.table("mbufs")[i]
            m.serial, self.serial = self.serial, self.serial + 1
            m.ol_flags = flags
        self.packets = before + self.packets

    def send(self, *frames, **how):
        """Frames through the stage, and what it let go of, as packets; their mbufs go back."""
        self.put(*frames, **how)
        return self.take_out(self.call())

    def take_out(self, found):
        """The packets that are ready, until none is left; their mbufs go back."""
        out = []
        while True:
            for i in found:
                out.append(Out(self, i))
                self.give(i)
            if not (self.lane.ready or self.lane.ready_out):
                return out
            self.table("bursts")[0].n = 0
            found = self.call()

    def give(self, i):
        """Return a packet."""
        from lab.memory.mempool import give

        give(self.table("pool"), self.table("mbufs"), i)

    def pause(self):
        """Nothing comes any more: all that is held."""
        self.lane.paused = 1
        self.table("bursts")[0].n = 0
        out = self.take_out(self.call())
        for _ in range(ITEMS // 32):
            self.table("bursts")[0].n = 0
            out += self.take_out(self.call()) if self.lane.held else []
        self.lane.paused = 0
        assert self.lane.held == 0 and self.conserved()
        return out

    def conserved(self):
        """Whether every mbuf is back in the pool."""
        return self.table("pool").head[0].n == self.taken

    def codes(self):
        """Which reasons were told, in order."""
        return [code for code, *_ in self.told]


def cut(out):
    """What a port would make of a large packet, computed by scapy: the frames that its segments are."""
    if not out.large:
        return [out.bytes]
    whole = Ether(out.bytes)
    inner = list(whole.iterpayloads())
    place = max(n for n, layer in enumerate(inner) if isinstance(layer, (TCP, UDP)) and n < len(inner))
    payload = bytes(inner[place].payload)
    pieces = [payload[at:at + out.size] for at in range(0, len(payload), out.size)]
    frames = []
    for n, piece in enumerate(pieces):
        frame = whole.copy()
        layers = list(frame.iterpayloads())
        ips = [layer for layer in layers[:place] if isinstance(layer, IP)]
        for ip in ips:
            fixed = mbuf.FIXED_ID if ip is ips[-1] and inner_is_v4(layers[:place]) else mbuf.OUTER_FIXED_ID
            ip.id = ip.id if out.flags & int(fixed) else (ip.id + n) & 0xFFFF
        head = layers[place]
        if isinstance(head, TCP):
            head.seq = (head.seq + n * out.size) & 0xFFFFFFFF
            if n != len(pieces) - 1:
                head.flags = int(head.flags) & ~9
        for layer in layers[:place + 1]:
            for field in ("len", "plen", "chksum"):
                if field in layer.fields and not (isinstance(layer, UDP) and field == "chksum" and layer.chksum == 0):
                    delattr(layer, field)
        head.remove_payload()
        frames.append(bytes(frame / piece))
    return frames


def inner_is_v4(layers):
    """Whether the innermost IP header is of version 4."""
    return isinstance([layer for layer in layers if isinstance(layer, (IP, IPv6))][-1], IP)
