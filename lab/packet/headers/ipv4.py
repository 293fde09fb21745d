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
from lab.packet import text
from lab.packet.text import memory_of

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


def show(data):
    """The fields of the header for people: (name, offset, length, text). The data goes on to the end of the frame."""
    memory = memory_of(data)
    length = check(memory, 0, len(data))
    if length == 0:
        return []
    tos, frag = get_tos(memory, 0), get_frag(memory, 0)
    fields = [
        ("version", VERSION, 1, str(load8(memory, VERSION) >> 4)),
        ("header length", VERSION, 1, str(length)),
        ("nw_tos", TOS, 1, str(tos & 0xFC)),
        ("nw_ecn", TOS, 1, str(tos & 3)),
        ("length", TOTAL, 2, str(get_total(memory, 0))),
        ("id", ID, 2, str(load16(memory, ID))),
        ("frag", FRAG, 2, describe_frag(frag)),
        ("nw_ttl", TTL, 1, str(get_ttl(memory, 0))),
        ("nw_proto", PROTO, 1, str(get_proto(memory, 0))),
        ("checksum", CHECKSUM, 2, f"0x{load16(memory, CHECKSUM):04x}"),
        ("nw_src", SRC, 4, text.ip(get_src(memory, 0))),
        ("nw_dst", DST, 4, text.ip(get_dst(memory, 0))),
    ]
    if length > LENGTH:
        fields.append(("options", LENGTH, length - LENGTH, bytes(data[LENGTH:length]).hex(" ")))
    return fields


def describe_frag(frag):
    """Flags and offset in words: `no`, `no, df`, or the place of the fragment in bytes."""
    said = []
    if frag & (MORE_FRAGMENTS | OFFSET_MASK):
        said.append(f"at {(frag & OFFSET_MASK) * 8}")
    else:
        said.append("no")
    if frag & DONT_FRAGMENT:
        said.append("df")
    if frag & MORE_FRAGMENTS:
        said.append("more")
    return ", ".join(said)
