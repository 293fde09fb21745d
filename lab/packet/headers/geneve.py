"""Geneve with options, behind UDP port 6081 (RFC 8926).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---+-----------+-+-+-----------+-------------------------------+
    |ver|  options  |O|C|           |            protocol           |
    +---+-----------+-+-+-----------+---------------+---------------+
    |                      VNI                      |   reserved    |
    +-------------------------------+-+-------------+-----+---------+
    |             class             |C|    type     |     | length  |  of an option: its value, in 4 B, then the value
    +-------------------------------+-+-------------+-----+---------+
"""
from lab.memory.raw import load8, load16, load32, store16, store32
from lab.packet.text import memory_of

FIRST, PROTOCOL, VNI, OPTIONS, LENGTH = 0, 2, 4, 8, 8
PORT = 6081
VERSION_MASK, WORDS_MASK = 0xC000, 0x3F
WORDS_SHIFT, VNI_SHIFT = 8, 8
OAM, CRITICAL = 0x80, 0x40  # of the second byte
BRIDGED = 0x6558  # the protocol of an Ethernet frame
OPTION_CLASS, OPTION_TYPE, OPTION_WORDS, OPTION_VALUE = 0, 2, 3, 4
OPTION_CRITICAL, OPTION_WORDS_MASK = 0x80, 0x1F


def check(memory, at, left):
    """The length of the header with its options, 0 when it is not wholly there, of another version, or a length lies."""
    if left < LENGTH:
        return 0
    first = load16(memory, at + FIRST)
    end = LENGTH + (first >> WORDS_SHIFT & WORDS_MASK) * 4
    if first & VERSION_MASK != 0 or end > left:
        return 0
    off = LENGTH
    while off < end:
        off += option_length(memory, at + off)
    if off != end:
        return 0
    return end


def option_length(memory, at):
    """What an option says of its own length, its head included."""
    return OPTION_VALUE + (load8(memory, at + OPTION_WORDS) & OPTION_WORDS_MASK) * 4


def get_options(memory, at):
    """The length of all options."""
    return (load8(memory, at) & WORDS_MASK) * 4


def get_flags(memory, at):
    """The bits O and C."""
    return load8(memory, at + 1) & (OAM | CRITICAL)


def get_protocol(memory, at):
    """The type of what follows."""
    return load16(memory, at + PROTOCOL)


def get_vni(memory, at):
    """The network's identifier: 24 bits."""
    return load32(memory, at + VNI) >> VNI_SHIFT


def get_option(memory, at):
    """Class and type of an option: 24 bits."""
    return load32(memory, at + OPTION_CLASS) >> 8


def set_first(memory, at, options, flags):
    """Write the version, how many bytes of options there are, and the bits O and C."""
    store16(memory, at + FIRST, options >> 2 << WORDS_SHIFT | flags)


def set_protocol(memory, at, protocol):
    """Write the type of what follows."""
    store16(memory, at + PROTOCOL, protocol)


def set_vni(memory, at, vni):
    """Write the network's identifier, and zeros into the reserved bits behind it."""
    store32(memory, at + VNI, vni << VNI_SHIFT)


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    length = check(memory, 0, len(data))
    if length == 0:
        return []
    flags = get_flags(memory, 0)
    fields = [
        ("version", FIRST, 1, "0"),
        ("options length", FIRST, 1, str(length - LENGTH)),
        ("oam", FIRST + 1, 1, "1" if flags & OAM else "0"),
        ("critical", FIRST + 1, 1, "1" if flags & CRITICAL else "0"),
        ("protocol", PROTOCOL, 2, f"0x{get_protocol(memory, 0):04x}"),
        ("tun_id", VNI, 3, str(get_vni(memory, 0))),
    ]
    off = OPTIONS
    while off < length:
        n, named = option_length(memory, off), get_option(memory, off)
        value = memory.bytes(off + OPTION_VALUE, n - OPTION_VALUE).hex(" ")
        fields.append(("option", off, n, f"class 0x{named >> 8:04x} type 0x{named & 0xFF:02x}: {value}"))
        off += n
    return fields
