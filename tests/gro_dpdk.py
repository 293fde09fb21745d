"""What the tests of GRO's profile `dpdk` share: frames of numbered payload, and a scene of one port whose arc has `gro`.

    scene = Scene()
    assert len(scene.frames([segment(1), segment(101)])) == 1
"""
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from tempo import Tempo

from lab.memory.mempool import give
from lab.memory.record import NULL
from lab.offload.records import GRO_DPDK
from lab.stages.gro import gro

MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
TIMES = [("NOP", None), ("NOP", None), ("Timestamp", (7, 9))]
ACK, PSH, FIN = "A", "PA", "FA"
CYCLES_PER_US = 1000


def payload(seq, n):
    """Bytes that tell which they are."""
    return bytes((seq + k) * 7 & 0xFF for k in range(n))


def segment(seq, n=100, *, flags=ACK, ack=500, sport=1000, tags=(), options=(), ip=None, around=None, window=400):
    """A TCP segment with its payload, in tags, perhaps in the headers `around`."""
    frame = Ether(**MACS)
    for tag in tags:
        frame /= Dot1Q(vlan=tag)
    frame = frame / (ip or IP(src="10.0.0.1", dst="10.0.0.2", id=7, flags="DF"))
    frame = frame / TCP(sport=sport, dport=80, seq=seq, ack=ack, flags=flags, options=list(options), window=window) / Raw(payload(seq, n))
    return bytes(around / frame if around else frame)


def vxlan(outer_id=1, df=True, vni=5, sport=4000, chksum=0):
    outer = Ether(src="02:00:00:00:00:03", dst="02:00:00:00:00:04")
    outer /= IP(src="192.168.0.1", dst="192.168.0.2", id=outer_id, flags="DF" if df else 0)
    return outer / UDP(sport=sport, dport=4789, chksum=chksum) / VXLAN(vni=vni, flags=8)


def ip4(number, **more):
    return IP(src="10.0.0.1", dst="10.0.0.2", id=number, **more)


def ip6(**more):
    return IPv6(src="2001:db8::1", dst="2001:db8::2", **more)


class Scene(Tempo):
    """Port 1 does GRO as DPDK does it; what leaves is read as bytes."""

    def __init__(self, cycles=0):
        super().__init__()
        port = self.table("ports")[1]
        port.gro, port.kind = GRO_DPDK, 1
        self.config = self.table("config")[0]
        self.config.gro_cycles, self.config.cycles_per_us = cycles, CYCLES_PER_US
        self.lane = self.table("lane")[0]
        self.lane.port, self.lane.phase, self.lane.at = 1, 2, 1

    def bytes_of(self, i):
        data = b""
        while i != NULL:
            m = self.table("mbufs")[i]
            data += bytes(self.arena.bytes[m.buf + m.data_off:m.buf + m.data_off + m.data_len])
            i = m.next
        return data

    def merge(self, frames, *, cuts=(), checked=False, flags=0):
        """Give frames to the stage, in both tempos; the packets that left."""
        burst = self.table("bursts")[0]
        for k in range(burst.n):  # what left before has been sent
            give(self.table("pool"), self.table("mbufs"), burst.pkt[k])
        self.load(frames, cuts=cuts)
        return self.run_on(self.packets, checked, flags)

    def merge_packets(self, packets):
        """The same with packets that lie in mbufs already."""
        self.load([])
        burst = self.table("bursts")[0]
        burst.n = len(packets)
        for k, i in enumerate(packets):
            burst.pkt[k] = i
        return self.run_on(packets, False, 0)

    def run_on(self, packets, checked, flags):
        """Run the stage on the burst."""
        burst = self.table("bursts")[0]
        for i in packets:
            m = self.table("mbufs")[i]
            m.ol_flags = m.ol_flags | flags
        self.both(gro, checked=checked)
        assert self.accounted()
        return [burst.pkt[k] for k in range(burst.n)]

    def frames(self, frames, **more):
        """The same; what left as bytes."""
        return [self.bytes_of(i) for i in self.merge(frames, **more)]

    def held(self):
        items = self.table("gro").items
        return [items[n] for n in range(len(items)) if items[n].first != NULL]

    def segments(self, i):
        """The mbufs of a packet."""
        found = []
        while i != NULL:
            found.append(i)
            i = self.table("mbufs")[i].next
        return found

    def accounted(self):
        """What is held, what left in the last call, and what is free are all mbufs there are."""
        burst, head = self.table("bursts")[0], self.table("pool").head[0]
        out = [burst.pkt[k] for k in range(burst.n)] + [item.first for item in self.held()]
        used = [i for first in out for i in self.segments(first)]
        assert len(used) == len(set(used))
        return len(used) + head.n == len(self.table("mbufs"))

    def mbuf(self, i):
        return self.table("mbufs")[i]

    def reason(self, number):
        return self.table("reasons")[number].count


def gso_of(m):
    return m.tso_segsz, m.gso_segs, m.gso_type, m.csum_start, m.csum_offset


def pseudo(packet):
    """The sum of the pseudo-header of TCP, as it stands in a partial checksum."""
    data = packet.payload
    begin = bytes(data)[12:20] if data.version == 4 else bytes(data)[8:40]
    length = data.len - 20 if data.version == 4 else data.plen
    total = sum(begin[k] << 8 | begin[k + 1] for k in range(0, len(begin), 2)) + 6 + length
    return (total & 0xFFFF) + (total >> 16)
