"""The captures of the course, made from nothing: `python -m datasets.make` writes them anew, byte for byte the same.

Scapy crafts the frames and `lab.ports.capture` writes them. Nothing here is random but by a seed, no time is read, and
every address is given, so that scapy asks no system for one. A test holds that the committed files are what this makes.
"""
import random
import struct
import sys
from pathlib import Path

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit

from lab.ports.capture import Frame, Writer

BEGIN = 1_700_000_000 * 10**9  # 2023-11-14 22:13:20 UTC
MICROSECOND = 1000
MAC = {1: "02:00:00:00:00:01", 2: "02:00:00:00:00:02"}
NET4, NET6 = "10.0.0.{}", "fd00::{}"
PARAGRAPH = b"A virtual switch you can see through. "


def ether(a, b):
    """An Ethernet header from host `a` to host `b`."""
    return Ether(src=MAC[a], dst=MAC.get(b, "ff:ff:ff:ff:ff:ff"))


def ip(a, b, **fields):
    """Ethernet and IPv4 from host `a` to host `b`."""
    return ether(a, b) / IP(src=NET4.format(a), dst=NET4.format(b), **fields)


def ip6(a, b, **fields):
    """Ethernet and IPv6 from host `a` to host `b`."""
    return ether(a, b) / IPv6(src=NET6.format(a), dst=NET6.format(b), **fields)


def timed(rows, step):
    """Frames `step` ns apart, out of (packet, interface, comment)."""
    for n, (packet, interface, comment) in enumerate(rows):
        data = bytes(packet)
        yield Frame(data, BEGIN + n * step, len(data), interface, comment)


def first_flow():
    """One TCP connection: handshake, a request, an answer of three segments, and the end."""
    answer = (b"HTTP/1.1 200 OK\r\nContent-Length: 3800\r\n\r\n" + PARAGRAPH * 100)[:3841]
    sequence, rows = {1: 1000, 2: 9000}, []

    def say(a, flags, data=b"", options=()):
        b = 3 - a
        acknowledged = sequence[b] if "A" in flags else 0
        ports = {"sport": 40000, "dport": 80} if a == 1 else {"sport": 80, "dport": 40000}
        segment = TCP(**ports, flags=flags, seq=sequence[a], ack=acknowledged, window=64240, options=list(options))
        rows.append((ip(a, b, id=len(rows) + 1, flags="DF") / segment / data, "", ""))
        sequence[a] += len(data) + ("S" in flags) + ("F" in flags)
    offers = [("MSS", 1460), ("SAckOK", b""), ("NOP", None), ("WScale", 7)]
    say(1, "S", options=offers)
    say(2, "SA", options=offers)
    say(1, "A")
    say(1, "PA", b"GET / HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n")
    say(2, "A")
    for at in range(0, len(answer), 1460):
        say(2, "PA" if at + 1460 >= len(answer) else "A", answer[at:at + 1460])
    say(1, "A")
    say(1, "FA")
    say(2, "FA")
    say(1, "A")
    return timed(rows, 250 * MICROSECOND)


def mixed():
    """A little of everything, seen at two ports: what a parser must know."""
    name = "glasswitch.example"
    query = UDP(sport=5353, dport=53) / DNS(id=7, rd=1, qd=DNSQR(qname=name))
    reply = UDP(sport=53, dport=5353) / DNS(id=7, qr=1, rd=1, ra=1, qd=DNSQR(qname=name), an=DNSRR(rrname=name, ttl=60, rdata="10.0.0.2"))
    large = fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=77) / UDP(sport=4000, dport=4001) / (PARAGRAPH * 80)[:3000], fragsize=1480)
    ask = ICMPv6ND_NS(tgt=NET6.format(2)) / ICMPv6NDOptSrcLLAddr(lladdr=MAC[1])
    solicited = Ether(src=MAC[1], dst="33:33:ff:00:00:02") / IPv6(src=NET6.format(1), dst="ff02::1:ff00:2", hlim=255)
    told = ICMPv6ND_NA(tgt=NET6.format(2), S=1, R=0) / ICMPv6NDOptDstLLAddr(lladdr=MAC[2])
    inner = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40001, dport=443, flags="S", seq=5)
    asking = ARP(op=1, hwsrc=MAC[1], psrc="10.0.0.1", hwdst="00:00:00:00:00:00", pdst="10.0.0.2")
    telling = ARP(op=2, hwsrc=MAC[2], psrc="10.0.0.2", hwdst=MAC[1], pdst="10.0.0.1")
    rows = [
        (ether(1, 0) / asking, "vm1", "ARP: who has 10.0.0.2"),
        (ether(2, 1) / telling, "vm2", "ARP: it is here"),
        (ip(1, 2) / ICMP(id=1, seq=1) / PARAGRAPH, "vm1", "ICMP echo request"),
        (ip(2, 1) / ICMP(type=0, id=1, seq=1) / PARAGRAPH, "vm2", "ICMP echo reply"),
        (ip(1, 2) / query, "vm1", "UDP: a DNS question"),
        (ip(2, 1) / reply, "vm2", "UDP: its answer"),
        (ip(1, 2) / TCP(sport=40000, dport=22, flags="S", seq=1), "vm1", "TCP SYN"),
        (ip(2, 1) / TCP(sport=22, dport=40000, flags="RA", ack=2), "vm2", "TCP reset"),
        (solicited / ask, "vm1", "IPv6 neighbour solicitation"),
        (ip6(2, 1, hlim=255) / told, "vm2", "IPv6 neighbour advertisement"),
        (ip6(1, 2) / ICMPv6EchoRequest(id=1, seq=1, data=PARAGRAPH), "vm1", "ICMPv6 echo request"),
        (ip6(1, 2) / IPv6ExtHdrHopByHop() / UDP(sport=1, dport=2) / b"hops", "vm1", "UDP behind a hop-by-hop header"),
        (ether(1, 2) / Dot1Q(vlan=7, prio=3) / inner, "vm1", "VLAN 7, priority 3"),
        (ether(1, 2) / Dot1AD(vlan=100) / Dot1Q(vlan=7) / inner, "vm1", "two tags: 100 outside, 7 inside"),
        (ether(1, 2) / Dot1Q(vlan=0, prio=5) / inner, "vm1", "a priority tag: VLAN 0"),
        *((ether(1, 2) / part, "vm1", f"fragment {n} of {len(large)}") for n, part in enumerate(large, 1)),
        (ip(1, 2) / SCTP(sport=36412, dport=36412, tag=0) / SCTPChunkInit(init_tag=1, init_tsn=1), "vm1", "SCTP INIT"),
    ]
    return timed(rows, 500 * MICROSECOND)


def hundred_flows():
    """2000 frames of 60 B in 100 UDP flows; the k-th flow has a share of 1/k: a few are large and most are small."""
    draw, flows = random.Random(100), range(1, 101)
    total, rows = sum(1 / k for k in flows), []
    for _ in range(2000):
        left = draw.random() * total
        for k in flows:
            left -= 1 / k
            if left <= 0:
                break
        packet = ip(1, 2, id=k) / UDP(sport=10_000 + k, dport=53) / struct.pack(">H16s", k, b"hundred flows...")
        rows.append((packet, "", ""))
    return timed(rows, 10 * MICROSECOND)


def odd_frames():
    """Frames that are cut, padded, or lie about themselves: what must be dropped, or parsed to the safe key."""
    segment = bytes(ip(1, 2) / TCP(sport=40000, dport=80, flags="S", options=[("MSS", 1460)]) / b"data")
    datagram = bytes(ip(1, 2) / UDP(sport=1, dport=2) / b"datagram")
    tagged = bytes(ether(1, 2) / Dot1Q(vlan=7) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2))
    six = bytes(ip6(1, 2) / UDP(sport=1, dport=2) / b"six")

    def lie(data, at, value):
        return data[:at] + value + data[at + len(value):]
    short = ip(1, 2) / TCP(sport=40000, dport=80, flags="A")
    rows = [
        (b"", "an empty frame"),
        (segment[:1], "a single byte"),
        (segment[:13], "Ethernet, one byte short"),
        (segment[:14], "Ethernet, and nothing behind it"),
        (segment[:33], "IPv4, one byte short"),
        (segment[:34], "IPv4, and nothing behind it"),
        (segment[:34 + 19], "TCP, one byte short"),
        (segment[:34 + 22], "TCP, its option cut"),
        (datagram[:34 + 7], "UDP, one byte short"),
        (tagged[:16], "a VLAN tag, cut"),
        (tagged[:18], "a VLAN tag, and nothing behind it"),
        (six[:14 + 39], "IPv6, one byte short"),
        (bytes(short) + bytes(6), "padded to 60 B: the length is IPv4's, not the frame's"),
        (lie(segment, 14, b"\x44"), "IPv4: a header of 16 B"),
        (lie(segment, 14, b"\x4f"), "IPv4: a header of 60 B, which is not there"),
        (lie(segment, 14, b"\x65"), "IPv4 by Ethernet, version 6 by itself"),
        (lie(segment, 16, b"\xff\xff"), "IPv4: a length of 65535"),
        (lie(segment, 16, b"\x00\x10"), "IPv4: a length of 16, less than its header"),
        (lie(segment, 24, b"\x00\x00"), "IPv4: a wrong checksum"),
        (lie(segment, 46, b"\x40"), "TCP: a header of 16 B"),
        (lie(segment, 46, b"\xf0"), "TCP: a header of 60 B, which is not there"),
        (lie(segment, 54, b"\x02\x00"), "TCP: an option of length 0"),
        (lie(datagram, 38, b"\xff\xff"), "UDP: a length of 65535"),
        (lie(datagram, 38, b"\x00\x00"), "UDP: a length of 0"),
        (lie(six, 18, b"\x00\x00"), "IPv6: a length of 0 with data behind it"),
        (bytes(ip6(1, 2, nh=0)) + b"\x00\x00\x00\x00\x00\x00\x00\x00" * 40, "IPv6: forty hop-by-hop headers"),
        (bytes(ether(1, 2))[:12] + b"\x81\x00\x00\x07" * 20 + b"\x08\x00", "twenty VLAN tags"),
        (bytes(ether(1, 2))[:12] + b"\x00\x20" + b"\xaa\xaa\x03" + bytes(29), "a length where the type stands: LLC"),
        (bytes(ip(1, 2, proto=6, frag=8189, flags="MF") / (b"x" * 32)), "IPv4: a fragment that would end beyond 65535"),
        (bytes(ip(1, 2, proto=6, frag=1) / (b"x" * 8)), "IPv4: a fragment that overlaps the TCP header"),
        (bytes(Ether(src="ff:ff:ff:ff:ff:ff", dst=MAC[2]) / IP(src="255.255.255.255", dst="10.0.0.2") / UDP()), "a broadcast as source"),
    ]
    return timed([(data, "odd", comment) for data, comment in rows], MICROSECOND)


CAPTURES = {"first-flow.pcap": first_flow, "mixed.pcapng": mixed, "hundred-flows.pcap": hundred_flows, "odd-frames.pcapng": odd_frames}


def make(folder):
    """Write all captures into a folder."""
    for name, frames in CAPTURES.items():
        with Writer(folder / name, Path(name).suffix[1:]) as out:
            for frame in frames():
                out.write(frame.data, frame.ns, frame.interface, frame.comment)
            print(f"{name}: {out.frames} frames")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
