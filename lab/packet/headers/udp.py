"""UDP (RFC 768).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------------------------------+-------------------------------+
    |            tp_src             |            tp_dst             |
    +-------------------------------+-------------------------------+
    |            length             |           checksum            |
    +-------------------------------+-------------------------------+
"""
from lab.memory.raw import load16, store16
from lab.packet.text import memory_of

SRC, DST, TOTAL, CHECKSUM, LENGTH = 0, 2, 4, 6, 8


def check(memory, at, left):
    """The length of the header, 0 when it is not wholly there."""
    if left < LENGTH:
        return 0
    return LENGTH


def get_src(memory, at):
    """The source port."""
    return load16(memory, at + SRC)


def get_dst(memory, at):
    """The destination port."""
    return load16(memory, at + DST)


def get_total(memory, at):
    """The length of the datagram, header included."""
    return load16(memory, at + TOTAL)


def get_checksum(memory, at):
    """The checksum over pseudo-header, header and payload; 0 for none."""
    return load16(memory, at + CHECKSUM)


def set_src(memory, at, port):
    """Write the source port; the checksum is the caller's."""
    store16(memory, at + SRC, port)


def set_dst(memory, at, port):
    """Write the destination port; the checksum is the caller's."""
    store16(memory, at + DST, port)


def set_total(memory, at, total):
    """Write the length of the datagram; the checksum is the caller's."""
    store16(memory, at + TOTAL, total)


def set_checksum(memory, at, checksum):
    """Write the checksum."""
    store16(memory, at + CHECKSUM, checksum)


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    return [
        ("tp_src", SRC, 2, str(get_src(memory, 0))),
        ("tp_dst", DST, 2, str(get_dst(memory, 0))),
        ("length", TOTAL, 2, str(get_total(memory, 0))),
        ("checksum", CHECKSUM, 2, f"0x{get_checksum(memory, 0):04x}"),
    ]
