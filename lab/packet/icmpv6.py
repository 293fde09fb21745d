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

TYPE, CODE, CHECKSUM, REST, LENGTH = 0, 1, 2, 4, 8
ND_TARGET, ND_OPTIONS = 8, 24
OPTION_TYPE, OPTION_LEN, OPTION_ADDRESS, OPTION_LENGTH = 0, 1, 2, 8
NEIGHBOUR_SOLICIT, NEIGHBOUR_ADVERT = 135, 136
SOURCE_LINK, TARGET_LINK = 1, 2
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
