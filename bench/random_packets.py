"""Random packets out of small pools of values: IPv4, IPv6, ARP, MPLS, tags, fragments, extension headers, and broken ones.

They are written with struct alone: thousands are wanted in a second. Checksums are right unless a packet is broken on purpose.
"""

import struct

PORTS = 4
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:01:03", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01")
VLANS = (0, 5, 10)
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.1", "192.168.1.1", "10.128.0.2")
ADDRESSES6 = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "fe80::1")
PORTS_OF_TRANSPORT = (1, 2, 80, 81, 443, 65535)
TTLS = (0, 1, 2, 64, 255)
WORDS6 = {
    "2001:db8::1": "20010db8000000000000000000000001", "2001:db8::2": "20010db8000000000000000000000002",
    "2001:db8:0:1::1": "20010db8000000010000000000000001", "fe80::1": "fe800000000000000000000000000001",
}


def total(data):
    """The Internet checksum of some bytes."""
    data += b"\0" * (len(data) & 1)
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return ~value & 0xFFFF


def mac(text):
    """The bytes of a MAC address."""
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    """The bytes of an IPv4 address."""
    return bytes(map(int, text.split(".")))


def segment(dice, proto, pseudo):
    """What IP carries: TCP, UDP, SCTP or ICMP, with its checksum."""
    source, target = dice.choice(PORTS_OF_TRANSPORT), dice.choice(PORTS_OF_TRANSPORT)
    data = bytes(dice.randrange(256) for _ in range(dice.choice((0, 1, 6, 20, 40))))
    if proto == 6:
        options = dice.choice((b"", b"", bytes(4)))
        head = struct.pack("!HHIIBBHHH", source, target, 1, 2, (5 + len(options) // 4) << 4, dice.choice((2, 16, 18, 24)), 512, 0, 0)
        data, at = head + options + data, 16
    elif proto == 17:
        data, at = struct.pack("!HHHH", source, target, 8 + len(data), 0) + data, 6
        if dice.random() < 0.2 and len(pseudo) == 8:
            return data  # without a checksum
    elif proto == 132:
        return struct.pack("!HHII", source, target, 1, dice.getrandbits(32)) + data
    elif proto in (1, 58):
        data, at = icmp(dice, proto) + data, 2
    else:
        return data
    covered = pseudo + struct.pack("!HH", proto, len(data)) if proto != 1 else b""
    checksum = total(covered + data)
    return data[:at] + struct.pack("!H", checksum or (0xFFFF if proto == 17 else 0)) + data[at + 2:]


def icmp(dice, proto):
    """The header of ICMP, or neighbour discovery."""
    if proto == 1:
        return struct.pack("!BBHHH", dice.choice((0, 3, 8)), dice.choice((0, 1)), 0, 7, 9)
    kind = dice.choice((128, 129, 135, 136))
    head = struct.pack("!BBHI", kind, 0, 0, 0)
    if kind < 135:
        return head
    head += bytes.fromhex(WORDS6[dice.choice(ADDRESSES6)])
    return head + dice.choice((b"", bytes([1, 1]) + mac(dice.choice(MACS)), bytes([2, 1]) + mac(dice.choice(MACS))))


def ipv4(dice):
    """An IPv4 packet."""
    proto = dice.choice((6, 6, 6, 17, 17, 1, 132, 47))
    source, target = ip(dice.choice(ADDRESSES)), ip(dice.choice(ADDRESSES))
    data = segment(dice, proto, source + target)
    options = dice.choice((b"", b"", b"", b"", b"\1\1\1\0"))
    frag = dice.choice((0, 0, 0, 0, 0, 0x4000, 0x4000, 0x2000, 0x2001, 0x0007))
    if frag & 0x1FFF:
        data = data[:3]  # in a longer one Open vSwitch takes the bytes for a header and changes a checksum that is not there
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, dice.choice((0, 0, 40, 3)), 20 + len(options) + len(data), 1, frag,
                       dice.choice(TTLS), proto, 0) + source + target + options
    return head[:10] + struct.pack("!H", total(head)) + head[12:] + data


def ipv6(dice):
    """An IPv6 packet."""
    proto = dice.choice((6, 6, 17, 58, 58, 132, 47))
    source, target = (bytes.fromhex(WORDS6[dice.choice(ADDRESSES6)]) for _ in range(2))
    data = segment(dice, proto, source + target)
    choice = dice.random()
    if choice < 0.1:
        data, proto = bytes([proto, 0]) + bytes(6) + data, dice.choice((0, 60))  # hop-by-hop or destination options
    elif choice < 0.2:
        place = dice.choice((1, 8, 0x101))  # of one that is a whole packet Open vSwitch forgets the checksum when it writes an address
        data, proto = struct.pack("!BBHI", proto, 0, place, 7) + (data[:3] if place & 0xFFF8 else data), 44
    first = 6 << 28 | dice.choice((0, 40, 3)) << 20 | dice.choice((0, 7))
    return struct.pack("!IHBB", first, len(data), proto, dice.choice(TTLS)) + source + target + data


def arp(dice):
    """A request or an answer."""
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, dice.choice((1, 2, 2, 3))) + b"".join(
        (mac(dice.choice(MACS)), ip(dice.choice(ADDRESSES)), mac(dice.choice(MACS)), ip(dice.choice(ADDRESSES))))


def labels(dice):
    """A label stack, and IP below it."""
    n = dice.choice((1, 1, 2, 3, 4))
    stack = b"".join(struct.pack("!I", dice.choice((0, 16, 100)) << 12 | dice.choice((0, 5)) << 9 | (i == n - 1) << 8 | dice.choice(TTLS))
                     for i in range(n))
    return stack + dice.choice((ipv4, ipv4, ipv6))(dice)


BODIES = ((0x0800, ipv4),) * 8 + ((0x86DD, ipv6),) * 4 + ((0x0806, arp),) * 2 + ((0x8847, labels),) * 2 + ((0x88B5, None),)


def random_packet(dice, broken=0.1):
    """(port, frame)."""
    kind, body = dice.choice(BODIES)
    tags = b""
    for _ in range(dice.choice((0, 0, 0, 0, 1, 1, 1, 2))):
        tags += struct.pack("!HH", dice.choice((0x8100, 0x8100, 0x8100, 0x88A8)), dice.choice(VLANS) | dice.choice((0, 0, 5)) << 13)
    data = body(dice) if body else bytes(46)
    frame = mac(dice.choice(MACS)) + mac(dice.choice(MACS[:3])) + tags + struct.pack("!H", kind) + data
    if dice.random() < 0.3:
        frame += bytes(max(0, 60 - len(frame)))
    if dice.random() < broken:
        at = dice.randrange(12, len(frame))
        frame = frame[: max(at, 14)] if dice.random() < 0.5 else frame[:at] + bytes([dice.randrange(256)]) + frame[at + 1:]
    return dice.randint(1, PORTS), frame
