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
