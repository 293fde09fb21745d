"""SCTP, its common header (RFC 9260).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------------------------------+-------------------------------+
    |            tp_src             |            tp_dst             |
    +-------------------------------+-------------------------------+
    |                       verification tag                        |
    +---------------------------------------------------------------+
    |                       checksum (CRC32c)                       |
    +---------------------------------------------------------------+
"""
from lab.memory.raw import load16, load32, store16, store32
from lab.packet.text import memory_of

SRC, DST, TAG, CHECKSUM, LENGTH = 0, 2, 4, 8, 12


def check(memory, at, left):
    """The length of the common header, 0 when it is not wholly there."""
    if left < LENGTH:
        return 0
    return LENGTH


def get_src(memory, at):
    """The source port."""
    return load16(memory, at + SRC)


def get_dst(memory, at):
    """The destination port."""
    return load16(memory, at + DST)


def get_checksum(memory, at):
    """The CRC32c over header and chunks, as it lies."""
    return load32(memory, at + CHECKSUM)


def set_src(memory, at, port):
    """Write the source port; the checksum is the caller's."""
    store16(memory, at + SRC, port)


def set_dst(memory, at, port):
    """Write the destination port; the checksum is the caller's."""
    store16(memory, at + DST, port)


def set_checksum(memory, at, checksum):
    """Write the CRC32c."""
    store32(memory, at + CHECKSUM, checksum)


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    return [
        ("tp_src", SRC, 2, str(get_src(memory, 0))),
        ("tp_dst", DST, 2, str(get_dst(memory, 0))),
        ("tag", TAG, 4, f"0x{load32(memory, TAG):08x}"),
        ("checksum", CHECKSUM, 4, f"0x{get_checksum(memory, 0):08x}"),
    ]
