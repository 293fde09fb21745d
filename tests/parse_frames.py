"""Frames that try a parser: one of every kind, whole, for cutting; and a strategy that makes more, most of them nearly right."""
import struct

from hypothesis import strategies as st

MACS = bytes.fromhex("020000000002 020000000001")


def ether(kind, payload, tags=()):
    return MACS + b"".join(struct.pack(">HH", *tag) for tag in tags) + struct.pack(">H", kind) + payload


def ipv4(proto, payload, *, ihl=5, total=None, frag=0, tos=0, options=b""):
    total = ihl * 4 + len(payload) if total is None else total
    head = struct.pack(">BBHHHBBH4s4s", 0x40 | ihl, tos, total, 1, frag, 64, proto, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    return head + options + payload


def ipv6(proto, payload, *, length=None, label=0, tos=0):
    length = len(payload) if length is None else length
    return struct.pack(">IHBB", 6 << 28 | tos << 20 | label, length, proto, 64) + link_local(1) + link_local(2) + payload


def link_local(number):
    return b"\xfe\x80" + bytes(13) + bytes([number])


def tcp(*, offset=5, flags=0x12, options=b""):
    return struct.pack(">HHIIHHHH", 40000, 80, 1, 2, offset << 12 | flags, 1000, 0, 0) + options


UDP = struct.pack(">HHHH", 53, 5353, 8, 0)
SCTP = struct.pack(">HHII", 7, 9, 1, 2)
TARGET = link_local(9)
SLL, TLL = bytes.fromhex("0101 0200000000aa"), bytes.fromhex("0201 0200000000bb")
ARP = bytes.fromhex("0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002")


def extension(proto, following, extra=0, place=0):
    if proto == 44:
        return struct.pack(">BBHI", following, 0, place, 77)
    unit = 4 if proto == 51 else 8
    return bytes([following, extra]) + bytes((extra + (2 if proto == 51 else 1)) * unit - 2)


def chained(kinds, proto, payload):
    """Extension headers in a row: kinds are (number, extra length, fragment's place)."""
    out = b""
    for n, (kind, extra, place) in enumerate(kinds):
        out += extension(kind, kinds[n + 1][0] if n + 1 < len(kinds) else proto, extra, place)
    return ipv6(kinds[0][0] if kinds else proto, out + payload)


WHOLE = {
    "tcp": ether(0x0800, ipv4(6, tcp())),
    "tcp with options": ether(0x0800, ipv4(6, tcp(offset=8, options=bytes(12)))),
    "udp with padding": ether(0x0800, ipv4(17, UDP)) + bytes(18),
    "ip options": ether(0x0800, ipv4(6, tcp(flags=0xFFF), ihl=7, options=bytes(8))),
    "first fragment": ether(0x0800, ipv4(17, UDP, frag=0x2000)),
    "later fragment": ether(0x0800, ipv4(17, UDP, frag=0x0001)),
    "do not fragment": ether(0x0800, ipv4(17, UDP, frag=0x4000, tos=0xB9)),
    "sctp": ether(0x0800, ipv4(132, SCTP)),
    "icmp": ether(0x0800, ipv4(1, bytes([8, 3, 0, 0, 0, 1, 0, 2]))),
    "igmp": ether(0x0800, ipv4(2, bytes([0x16, 0, 0, 0, 224, 0, 0, 5]))),
    "icmpv6 in ipv4": ether(0x0800, ipv4(58, bytes([135, 0]) + bytes(6) + TARGET + SLL)),
    "unknown protocol": ether(0x0800, ipv4(99, bytes(30))),
    "version 5": ether(0x0800, b"\x55" + ipv4(6, tcp())[1:]),
    "vlan": ether(0x0800, ipv4(6, tcp()), [(0x8100, 0x6005)]),
    "qinq": ether(0x0800, ipv4(6, tcp()), [(0x88A8, 5), (0x8100, 6)]),
    "three tags": ether(0x0800, ipv4(6, tcp()), [(0x8100, 0), (0x8100, 6), (0x8100, 7)]),
    "llc": ether(40, b"\x42\x42\x03" + bytes(37)),
    "snap": ether(50, bytes.fromhex("aaaa03000000 0800") + ipv4(17, UDP)),
    "snap of another": ether(50, bytes.fromhex("aaaa0300000c 0800") + ipv4(17, UDP)),
    "snap with a length": ether(50, bytes.fromhex("aaaa03000000 0500") + ipv4(17, UDP)),
    "snap behind a tag": ether(50, bytes.fromhex("aaaa03000000 86dd") + ipv6(17, UDP), [(0x8100, 9)]),
    "arp": ether(0x0806, ARP),
    "rarp": ether(0x8035, ARP[:7] + b"\x03" + ARP[8:] + bytes(18)),
    "arp of another": ether(0x0806, b"\0\x06" + ARP[2:]),
    "arp opcode 256": ether(0x0806, ARP[:6] + b"\1\0" + ARP[8:]),
    "mpls": ether(0x8847, struct.pack(">II", 16 << 12 | 64, 17 << 12 | 0x100 | 64) + ipv4(6, tcp())),
    "mpls without end": ether(0x8848, struct.pack(">I", 16 << 12 | 64) * 12),
    "ipv6": ether(0x86DD, ipv6(6, tcp(), label=0xABCDE, tos=0xB9)),
    "ipv6 with a chain": ether(0x86DD, chained([(0, 1, 0), (43, 0, 0), (60, 2, 0), (51, 4, 0), (44, 0, 1)], 17, UDP)),
    "ipv6 atomic fragment": ether(0x86DD, chained([(44, 0, 0)], 6, tcp())),
    "ipv6 later fragment": ether(0x86DD, chained([(44, 0, 8), (60, 0, 0)], 6, tcp())),
    "ipv6 fragment, reserved bits": ether(0x86DD, chained([(44, 0, 6)], 17, UDP)),
    "ipv6 no next header": ether(0x86DD, ipv6(59, bytes(10))),
    "ipv6 with icmp of ipv4": ether(0x86DD, ipv6(1, bytes([8, 3, 0, 0, 0, 1, 0, 2]))),
    "ipv6 padding": ether(0x86DD, ipv6(17, UDP)) + bytes(9),
    "icmpv6 echo": ether(0x86DD, ipv6(58, bytes([128, 0, 1, 2, 0, 1, 0, 2]))),
    "solicitation": ether(0x86DD, ipv6(58, bytes([135, 0]) + bytes(6) + TARGET + SLL)),
    "advertisement": ether(0x86DD, ipv6(58, bytes([136, 0]) + bytes(6) + TARGET + bytes([14, 1]) + bytes(6) + TLL + SLL)),
    "solicitation, code 1": ether(0x86DD, ipv6(58, bytes([135, 1]) + bytes(6) + TARGET + SLL)),
    "address twice": ether(0x86DD, ipv6(58, bytes([136, 0]) + bytes(6) + TARGET + TLL + TLL)),
    "address twice, zero first": ether(0x86DD, ipv6(58, bytes([136, 0]) + bytes(6) + TARGET + TLL[:2] + bytes(6) + TLL)),
    "option of no length": ether(0x86DD, ipv6(58, bytes([136, 0]) + bytes(6) + TARGET + TLL + bytes([1, 0]) + SLL)),
    "option too long": ether(0x86DD, ipv6(58, bytes([136, 0]) + bytes(6) + TARGET + TLL + bytes([1, 9]) + bytes(6))),
    "long link option": ether(0x86DD, ipv6(58, bytes([136, 0]) + bytes(6) + TARGET + bytes([2, 2]) + bytes(14) + SLL)),
    "unknown type": ether(0x88CC, bytes(50)),
    "nothing": b"",
}


protos = st.sampled_from([0, 1, 2, 6, 17, 43, 44, 51, 58, 59, 60, 132, 255])
kinds_of_option, lengths = st.sampled_from([1, 2, 3, 14]), st.sampled_from([0, 1, 1, 1, 2, 31])
options = st.lists(st.tuples(kinds_of_option, lengths, st.binary(min_size=6, max_size=6)), max_size=4)


@st.composite
def transports(draw, proto):
    if proto == 6:
        return tcp(offset=draw(st.integers(0, 15)), flags=draw(st.integers(0, 0xFFF))) + draw(st.binary(max_size=45))
    if proto == 58:
        head = bytes([draw(st.sampled_from([128, 135, 136])), draw(st.sampled_from([0, 0, 0, 1])), 0, 0, 0, 0, 0, 0])
        return head + TARGET + b"".join(bytes([a, b]) + c for a, b, c in draw(options)) + draw(st.binary(max_size=9))
    return draw(st.binary(max_size=30))


@st.composite
def networks(draw):
    proto = draw(protos)
    payload = draw(transports(proto))
    kind = draw(st.sampled_from([0x0800, 0x0800, 0x86DD, 0x86DD, 0x0806, 0x8847, 0x88A8, 0x1234]))
    if kind == 0x0800:
        ihl = draw(st.sampled_from([5, 5, 5, 6, 15, 4, 0]))
        total = draw(st.one_of(st.none(), st.integers(0, 120)))
        frag = draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x2001, 0x1FFF, 0x8000]))
        return kind, ipv4(proto, payload, ihl=ihl, total=total, frag=frag, options=bytes(max(0, ihl * 4 - 20)))
    if kind == 0x86DD:
        kinds = st.tuples(st.sampled_from([0, 43, 44, 51, 60]), st.integers(0, 3), st.sampled_from([0, 0, 1, 6, 8, 9]))
        body = chained(draw(st.lists(kinds, max_size=5)), proto, payload)
        if draw(st.booleans()):
            body = body[:4] + draw(st.integers(0, 150)).to_bytes(2, "big") + body[6:]
        return kind, body
    if kind == 0x0806:
        return kind, ARP[:draw(st.integers(0, 8))] + draw(st.binary(max_size=30))
    return kind, draw(st.binary(max_size=40))


@st.composite
def frames(draw):
    kind, body = draw(networks())
    tags = draw(st.lists(st.tuples(st.sampled_from([0x8100, 0x88A8]), st.integers(0, 0xFFFF)), max_size=3))
    if draw(st.integers(0, 5)) == 0:
        kind, body = draw(st.integers(0, 0x5FF)), bytes.fromhex("aaaa03000000") + kind.to_bytes(2, "big") + body
    frame = ether(kind, body, tags) + bytes(draw(st.integers(0, 20)))
    if draw(st.integers(0, 3)) == 0:
        frame = frame[:draw(st.integers(0, len(frame)))]
    return frame
