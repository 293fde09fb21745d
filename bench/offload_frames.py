"""Frames that the benchmarks of the offloads use: TCP segments of some flows in turn, and one large packet.

Checksums are true, so that whoever verifies them has nothing to complain of; DPDK's libraries do not look at them.
"""

import struct

SIZE = 1448  # payload of a segment: what a link of 1500 bytes carries when TCP has timestamps
BURST = 32
LARGE = 45 * SIZE  # the largest payload of whole segments in one IP packet
STAMPS = bytes.fromhex("0101080a 00bc614e 004c4b40")  # the option of timestamps, two no-operations before it
PLAIN_HEADER, STAMPED_HEADER = 20, 20 + len(STAMPS)
ACK, PUSH = 0x10, 0x08
MACS = bytes.fromhex("020000000002 020000000001 0800")


def folded(data, total=0):
    """The ones' complement sum of some bytes."""
    total += sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) & 1)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def segment(flow, number, payload, *, stamps=False, partial=False, flags=ACK):
    """A frame: the segment of a flow with this number in it. A partial checksum is the pseudo-header's sum alone."""
    options = STAMPS if stamps else b""
    tcp = struct.pack("!HHIIBBHHH", 1000 + flow, 80, 1 + number * SIZE, 7, (20 + len(options)) // 4 << 4, flags, 500, 0, 0) + options
    length = 20 + len(tcp) + len(payload)
    addresses = struct.pack("!BBHBBH", 10, 0, flow, 10, 1, flow)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, length, 100 + number, 0x4000, 64, 6, 0) + addresses
    ip = ip[:10] + struct.pack("!H", ~folded(ip) & 0xFFFF) + ip[12:]
    pseudo = folded(addresses + struct.pack("!HH", 6, length - 20))
    check = pseudo if partial else ~folded(tcp + payload, pseudo) & 0xFFFF
    return MACS + ip + tcp[:16] + struct.pack("!H", check) + tcp[18:] + payload


def burst_of(flows, *, stamps=False):
    """A burst of full segments, the flows in turn, each in order."""
    payload = bytes(i * 7 & 0xFF for i in range(SIZE))
    return [segment(k % flows, k // flows, payload, stamps=stamps) for k in range(BURST)]


def large_packet():
    """A packet of 45 segments, as a sender with TSO and timestamps makes it."""
    return segment(0, 0, bytes(i * 7 & 0xFF for i in range(LARGE)), stamps=True, partial=True, flags=ACK | PUSH)
