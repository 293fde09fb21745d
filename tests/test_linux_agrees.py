"""The Linux kernel agrees: it cuts what we cut into the same bytes, and merges the same bursts into the same packets.

Large frames go into a TAP whose neighbour takes no offloads, bursts into one that hands them to GRO (see linux_taps). The
same frames go through a switch that is stepped and one that runs. Where Linux differs by the rules of this project (order
is never changed), the frames here do not touch it. Two things cannot be asked of any kernel: tags merge only where 802.1Q is
built in, and UDP only for sockets or forwarding that want it.
"""
import struct

import pytest
from both_tempos import Pair
from linux_taps import HEADER, Taps, header, why_not
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

PROBLEM = why_not()
pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM or "-")
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
NEEDS_CSUM, TCPV4, TCPV6, UDP_L4, ECN = 1, 1, 4, 5, 0x80
TIMES = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
ETHER = Ether(src=A, dst=B)
LAYERS = {
    "tcp4": ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=77) / TCP(sport=1000, dport=80, seq=5, ack=9, flags="A"),
    "tcp4 psh fin": ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=65530) / TCP(sport=1000, dport=80, seq=2**32 - 2000, flags="APF"),
    "tcp4 times": ETHER / IP(src="10.0.0.1", dst="10.0.0.2", flags="DF", tos=0xB8) / TCP(sport=1, dport=2, flags="A", options=TIMES),
    "tcp4 options of ip": ETHER / IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_NOP()] * 4) / TCP(sport=1, dport=2, flags="A"),
    "tcp4 cwr": ETHER / IP(src="10.0.0.1", dst="10.0.0.2", tos=2) / TCP(sport=1, dport=2, flags="ACE"),
    "tcp6": ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2", fl=5) / TCP(sport=1000, dport=80, seq=5, flags="PA"),
    "tcp6 behind an extension": ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrDestOpt() / TCP(sport=1, dport=2, flags="A"),
    "tcp4 in a vlan": ETHER / Dot1Q(vlan=5, prio=3) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, flags="PA"),
    "tcp4 in two vlans": ETHER / Dot1AD(vlan=9) / Dot1Q(vlan=5) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, flags="A"),
    "uso4": ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=3) / UDP(sport=1000, dport=53),
    "uso6": ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1000, dport=53),
}
KINDS = {"tcp4": TCPV4, "tcp6": TCPV6, "uso4": UDP_L4, "uso6": UDP_L4}


def pattern(n):
    """Bytes that are unlike their neighbours."""
    return b"".join(struct.pack("!H", k * 7919 & 0xFFFF) for k in range((n + 1) // 2))[:n]


def large(name, n):
    """(the frame with the pseudo-header's sum in its checksum, its virtio-net header without the size): as a guest sends it."""
    packet = LAYERS[name] / pattern(n)
    data = bytearray(bytes(packet))
    layer = packet[TCP] if TCP in packet else packet[UDP]
    field = 16 if TCP in packet else 6
    start = len(data) - len(bytes(layer))
    ip = packet[IPv6] if IPv6 in packet else packet[IP]
    proto, length = (6 if TCP in packet else 17), len(data) - start
    at = len(data) - len(bytes(ip))
    addresses = data[at + 8:at + 40] if IPv6 in packet else data[at + 12:at + 20]
    total = sum(struct.unpack(f"!{len(addresses) // 2}H", bytes(addresses))) + proto + length
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    data[start + field:start + field + 2] = struct.pack("!H", total)
    kind = KINDS[name.split()[0]] | (ECN if "cwr" in name else 0)
    return bytes(data), {"flags": NEEDS_CSUM, "gso_type": kind, "csum_start": start, "csum_offset": field}


@pytest.fixture(scope="module")
def pair():
    """A port that takes nothing but chains, and two switches that send to it."""
    pair = Pair(ports=2)
    for sw in pair.both:
        sw.ports["vm2"].offloads.clear()
        sw.ports["vm2"].mtu = 1500
    pair.rules("actions=output:2")
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def cutter():
    with Taps(merge=False) as taps:
        yield taps


@pytest.fixture(scope="module")
def merger():
    with Taps(merge=True) as taps:
        yield taps


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("n", "size"), [(1448 * 3, 1400), (5000, 1000), (1001, 1000), (20_000, 1208)])
def test_linux_cuts_into_the_same_segments(pair, cutter, name, n, size):
    if name.startswith("uso") and n > 5000:
        n = 6000
    frame, fields = large(name, n)
    theirs = [segment for _, segment in cutter.through([(header(**fields, gso_size=size), frame)])]
    stepped, ran = pair.both
    for sw in pair.both:
        sw.ports["vm1"].inject(frame, vnet_hdr={**fields, "gso_size": size})
    while stepped.step() is not None:
        pass
    ran.run()
    ours = [[packet.bytes() for packet in sw.ports["vm2"].sent] for sw in pair.both]
    for sw in pair.both:
        sw.ports["vm2"].sent.clear()
        sw.mempool.check()
    assert ours[0] == ours[1] == theirs
    assert len(theirs) == -(-n // size)


def segments(name, sizes, *, ids="counting", last="PA", **fields):
    """A burst of one flow: packets of these payloads, one behind the other."""
    out, seq = [], fields.pop("seq", 100)
    for k, n in enumerate(sizes):
        packet = LAYERS[name].copy()
        if TCP in packet:
            packet[TCP].seq, packet[TCP].flags = seq, last if k == len(sizes) - 1 else "A"
        if IP in packet:
            packet[IP].id = 40 + (k if ids == "counting" else 0)
        out.append(bytes(packet / pattern(n)))
        seq += n
    return out


def flags_changed():
    burst = segments("tcp4", [1000] * 5)
    mark = Ether(burst[2])
    mark[IP].tos = 3
    del mark[IP].chksum
    return [*burst[:2], bytes(mark), *burst[3:]]


BURSTS = {
    "tcp4": segments("tcp4", [1448] * 8),
    "tcp4 with a shorter last": segments("tcp4", [1000, 1000, 400], last="A"),
    "tcp4 with a longer one": segments("tcp4", [1000, 1000, 1200, 1000]),
    "tcp4 with times": segments("tcp4 times", [1200] * 5),
    "tcp6": segments("tcp6", [1300] * 6),
    "a gap": [*segments("tcp4", [1000] * 3, last="A"), *segments("tcp4", [1000] * 3, seq=9000)],
    "two flows": [frame for both in zip(segments("tcp4", [1000] * 4), segments("tcp6", [900] * 4), strict=True) for frame in both],
    "another tos in the middle": flags_changed(),
    "a pure acknowledgement": [bytes(LAYERS["tcp4"])] * 2,
}


@pytest.fixture(scope="module")
def joiner():
    """Two switches whose first port merges, and whose second takes all."""
    pair = Pair(ports=2)
    for sw in pair.both:
        sw.ports["vm1"].gro = "linux"
    pair.rules("actions=output:2")
    yield pair
    pair.close()


@pytest.mark.parametrize("name", BURSTS)
def test_linux_merges_the_same_burst_into_the_same_packets(joiner, merger, name):
    theirs = []
    for head, frame in merger.through([(header(), frame) for frame in BURSTS[name]]):
        _, kind, _, size, _, _ = HEADER.unpack(head)
        theirs.append((frame, kind & ~ECN, size))
    stepped, ran = joiner.both
    for sw in joiner.both:
        sw.ports["vm1"].inject(BURSTS[name])
    while stepped.step() is not None:
        pass
    ran.run()
    ours = [[(packet.bytes(), packet.gso_type & ~ECN, packet.gso_size) for packet in sw.ports["vm2"].sent] for sw in joiner.both]
    for sw in joiner.both:
        sw.ports["vm2"].sent.clear()
        sw.mempool.check()
    assert ours[0] == ours[1]
    assert sorted(ours[0]) == sorted(theirs)
    assert [len(data) for data, _, _ in ours[0]] == [len(data) for data, _, _ in theirs]


def test_linux_merges_packets_of_one_fixed_id_too_and_cuts_them_again_for_a_tap_that_cannot_keep_it(joiner, merger):
    burst = segments("tcp4", [1448] * 4, ids="fixed")
    theirs = merger.through([(header(), frame) for frame in burst])
    assert [HEADER.unpack(head)[0] & NEEDS_CSUM for head, _ in theirs] == [1] * 4  # nothing but a cut leaves a checksum open
    ran = joiner.both[1]
    ran.ports["vm1"].inject(burst)
    ran.run()
    assert [packet.gso_size for packet in ran.ports["vm2"].sent] == [1448]
    ran.ports["vm2"].sent.clear()
    joiner.both[0].mempool.check()
