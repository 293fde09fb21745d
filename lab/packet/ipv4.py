"""IPv4 with options and fragments (RFC 791, RFC 2474, RFC 3168).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------+-------+---------------+-------------------------------+
    |version|  IHL  |    nw_tos     |            length             |
    +-------+-------+---------------+-----+-------------------------+
    |              id               |0 D M|         offset          |
    +---------------+---------------+-----+-------------------------+
    |    nw_ttl     |   nw_proto    |           checksum            |
    +---------------+---------------+-------------------------------+
    |                            nw_src                             |
    +---------------------------------------------------------------+
    |                            nw_dst                             |
    +---------------------------------------------------------------+
"""
from lab.memory.raw import load8, load16, load32, store8, store16, store32

VERSION, TOS, TOTAL, ID, FRAG, TTL, PROTO, CHECKSUM, SRC, DST, LENGTH = 0, 1, 2, 4, 6, 8, 9, 10, 12, 16, 20
DONT_FRAGMENT, MORE_FRAGMENTS, OFFSET_MASK = 0x4000, 0x2000, 0x1FFF
ICMP, IGMP, TCP, UDP, SCTP = 1, 2, 6, 17, 132
PADDING_MAX = 0xFFFF  # more bytes than that behind the packet, and OVS takes its length for a lie


def check(memory, at, left):
    """The length of the header with its options, 0 when it is not wholly there or a length lies."""
    if left < LENGTH:
        return 0
    length = (load8(memory, at + VERSION) & 15) * 4
    total = load16(memory, at + TOTAL)
    if length < LENGTH or length > total or total > left or left - total > PADDING_MAX:
        return 0
    return length


def get_tos(memory, at):
    """DSCP and ECN."""
    return load8(memory, at + TOS)


def get_total(memory, at):
    """The length of the packet, header included."""
    return load16(memory, at + TOTAL)


def get_frag(memory, at):
    """The flags and the offset of a fragment, as they lie."""
    return load16(memory, at + FRAG)


def get_ttl(memory, at):
    """Time to live."""
    return load8(memory, at + TTL)


def get_proto(memory, at):
    """The protocol of what follows."""
    return load8(memory, at + PROTO)


def get_src(memory, at):
    """The source address."""
    return load32(memory, at + SRC)


def get_dst(memory, at):
    """The destination address."""
    return load32(memory, at + DST)


def set_tos(memory, at, tos):
    """Write DSCP and ECN; the checksum is the caller's."""
    store8(memory, at + TOS, tos)


def set_total(memory, at, total):
    """Write the length of the packet; the checksum is the caller's."""
    store16(memory, at + TOTAL, total)


def set_ttl(memory, at, ttl):
    """Write the time to live; the checksum is the caller's."""
    store8(memory, at + TTL, ttl)


def set_src(memory, at, address):
    """Write the source address; the checksums are the caller's."""
    store32(memory, at + SRC, address)


def set_dst(memory, at, address):
    """Write the destination address; the checksums are the caller's."""
    store32(memory, at + DST, address)
