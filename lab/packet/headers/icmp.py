"""ICMP (RFC 792).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------+---------------+-------------------------------+
    |   icmp_type   |   icmp_code   |           checksum            |
    +---------------+---------------+-------------------------------+
    |                 depends on the type: id and sequence, mtu, ...
    +---------------------------------------------------------------+
"""
from lab.memory.raw import load8, load16, store16
from lab.packet.text import memory_of

TYPE, CODE, CHECKSUM, REST, LENGTH = 0, 1, 2, 4, 8
ECHO_REPLY, ECHO = 0, 8


def check(memory, at, left):
    """The length of the header, 0 when it is not wholly there."""
    if left < LENGTH:
        return 0
    return LENGTH


def get_type(memory, at):
    """What kind of message it is."""
    return load8(memory, at + TYPE)


def get_code(memory, at):
    """What kind within its type."""
    return load8(memory, at + CODE)


def get_checksum(memory, at):
    """The checksum over header and payload."""
    return load16(memory, at + CHECKSUM)


def set_checksum(memory, at, checksum):
    """Write the checksum."""
    store16(memory, at + CHECKSUM, checksum)


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    kind = get_type(memory, 0)
    fields = [
        ("icmp_type", TYPE, 1, str(kind)),
        ("icmp_code", CODE, 1, str(get_code(memory, 0))),
        ("checksum", CHECKSUM, 2, f"0x{get_checksum(memory, 0):04x}"),
    ]
    if kind in (ECHO, ECHO_REPLY):
        return [*fields, ("id", REST, 2, str(load16(memory, REST))), ("seq", REST + 2, 2, str(load16(memory, REST + 2)))]
    return [*fields, ("rest", REST, 4, bytes(data[REST:LENGTH]).hex(" "))]
