"""ICMPv6 and neighbour discovery with its options (RFC 4443, RFC 4861).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------+---------------+-------------------------------+
    |  icmpv6_type  |  icmpv6_code  |           checksum            |
    +---------------+---------------+-------------------------------+
    |        depends on the type: id and sequence, mtu, nd_reserved
    +---------------------------------------------------------------+
    | of a neighbour's solicitation or advertisement: nd_target (128), options: type, length in 8 B, ...
"""
import numpy as np

from lab.memory.raw import load8, load16, load64, store16
from lab.packet import text
from lab.packet.text import memory_of

TYPE, CODE, CHECKSUM, REST, LENGTH = 0, 1, 2, 4, 8
ND_TARGET, ND_OPTIONS = 8, 24
OPTION_TYPE, OPTION_LEN, OPTION_ADDRESS, OPTION_LENGTH = 0, 1, 2, 8
ECHO, ECHO_REPLY, NEIGHBOUR_SOLICIT, NEIGHBOUR_ADVERT = 128, 129, 135, 136
SOURCE_LINK, TARGET_LINK = 1, 2
LINK_NAMES = {SOURCE_LINK: "nd_sll", TARGET_LINK: "nd_tll"}
NOTHING = np.uint64(0)
_ADDRESS_MASK = np.uint64(0xFFFFFFFFFFFF)


def check(memory, at, left):
    """The length of the header, 0 when it is not wholly there."""
    if left < LENGTH:
        return 0
    return LENGTH


def check_target(memory, at, left):
    """The length up to the options of neighbour discovery, 0 when the message is another or its target is cut."""
    if left < ND_OPTIONS or load8(memory, at + CODE) != 0:
        return 0
    kind = load8(memory, at + TYPE)
    if kind != NEIGHBOUR_SOLICIT and kind != NEIGHBOUR_ADVERT:
        return 0
    return ND_OPTIONS


def link_addresses(memory, at, left):
    """Whether the options are sound (none given twice), and the link-layer addresses of source and target."""
    source = NOTHING
    target = NOTHING
    off = ND_OPTIONS
    while left - off >= OPTION_LENGTH:
        length = load8(memory, at + off + OPTION_LEN) * 8
        if length == 0 or length > left - off:
            return 1, source, target
        kind = load8(memory, at + off + OPTION_TYPE)
        if length == OPTION_LENGTH and (kind == SOURCE_LINK or kind == TARGET_LINK):
            address = load64(memory, at + off) & _ADDRESS_MASK
            if kind == SOURCE_LINK:
                if source != NOTHING:
                    return 0, NOTHING, NOTHING
                source = address
            else:
                if target != NOTHING:
                    return 0, NOTHING, NOTHING
                target = address
        off += length
    return 1, source, target


def get_type(memory, at):
    """What kind of message it is."""
    return load8(memory, at + TYPE)


def get_code(memory, at):
    """What kind within its type."""
    return load8(memory, at + CODE)


def get_checksum(memory, at):
    """The checksum over pseudo-header, header and payload."""
    return load16(memory, at + CHECKSUM)


def get_target(memory, at):
    """The address that neighbour discovery asks for or tells of: its high and its low 64 bits."""
    return load64(memory, at + ND_TARGET), load64(memory, at + ND_TARGET + 8)


def set_checksum(memory, at, checksum):
    """Write the checksum."""
    store16(memory, at + CHECKSUM, checksum)


def show(data):
    """The fields of the header for people: (name, offset, length, text). The data goes on to the end of the packet."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    fields = [
        ("icmpv6_type", TYPE, 1, str(get_type(memory, 0))),
        ("icmpv6_code", CODE, 1, str(get_code(memory, 0))),
        ("checksum", CHECKSUM, 2, f"0x{get_checksum(memory, 0):04x}"),
    ]
    if get_type(memory, 0) in (ECHO, ECHO_REPLY):
        return [*fields, ("id", REST, 2, str(load16(memory, REST))), ("seq", REST + 2, 2, str(load16(memory, REST + 2)))]
    if check_target(memory, 0, len(data)) == 0:
        return [*fields, ("rest", REST, 4, bytes(data[REST:LENGTH]).hex(" "))]
    fields.append(("nd_reserved", REST, 4, bytes(data[REST:LENGTH]).hex(" ")))
    if link_addresses(memory, 0, len(data))[0] == 0:
        return fields
    return [*fields, ("nd_target", ND_TARGET, 16, text.ip6(*get_target(memory, 0))), *show_options(memory, len(data))]


def show_options(memory, end):
    """A field for each option of neighbour discovery that is wholly there."""
    fields, off = [], ND_OPTIONS
    while end - off >= OPTION_LENGTH:
        kind, length = load8(memory, off + OPTION_TYPE), load8(memory, off + OPTION_LEN) * 8
        if length == 0 or length > end - off:
            break
        if kind in LINK_NAMES and length == OPTION_LENGTH:
            fields.append((LINK_NAMES[kind], off, length, text.mac(load64(memory, off) & _ADDRESS_MASK)))
        else:
            fields.append((f"option {kind}", off, length, memory.bytes(off + OPTION_ADDRESS, length - OPTION_ADDRESS).hex(" ")))
        off += length
    return fields
