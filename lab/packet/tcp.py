"""TCP with options (RFC 9293, RFC 7323, RFC 2018).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------------------------------+-------------------------------+
    |            tp_src             |            tp_dst             |
    +-------------------------------+-------------------------------+
    |                              seq                              |
    +---------------------------------------------------------------+
    |                              ack                              |
    +-------+-----------------------+-------------------------------+
    |offset |       tcp_flags       |            window             |
    +-------+-----------------------+-------------------------------+
    |           checksum            |            urgent             |
    +-------------------------------+-------------------------------+
"""
from lab.memory.raw import load8, load16, load32, store16, store32

SRC, DST, SEQ, ACK, OFFSET, WINDOW, CHECKSUM, URGENT, LENGTH = 0, 2, 4, 8, 12, 14, 16, 18, 20
FLAGS_MASK = 0x0FFF
FIN, SYN, RST, PSH, ACKED, URG, ECE, CWR, AE = 1, 2, 4, 8, 16, 32, 64, 128, 256


def check(memory, at, left):
    """The length of the header with its options, 0 when it is not wholly there or its offset lies."""
    if left < LENGTH:
        return 0
    length = (load8(memory, at + OFFSET) >> 4) * 4
    if length < LENGTH or length > left:
        return 0
    return length


def get_src(memory, at):
    """The source port."""
    return load16(memory, at + SRC)


def get_dst(memory, at):
    """The destination port."""
    return load16(memory, at + DST)


def get_seq(memory, at):
    """The number of the first byte."""
    return load32(memory, at + SEQ)


def get_ack(memory, at):
    """The number of the byte that is expected next."""
    return load32(memory, at + ACK)


def get_flags(memory, at):
    """The twelve bits beside the offset."""
    return load16(memory, at + OFFSET) & FLAGS_MASK


def get_checksum(memory, at):
    """The checksum over pseudo-header, header and payload."""
    return load16(memory, at + CHECKSUM)


def set_src(memory, at, port):
    """Write the source port; the checksum is the caller's."""
    store16(memory, at + SRC, port)


def set_dst(memory, at, port):
    """Write the destination port; the checksum is the caller's."""
    store16(memory, at + DST, port)


def set_seq(memory, at, seq):
    """Write the number of the first byte; the checksum is the caller's."""
    store32(memory, at + SEQ, seq)


def set_flags(memory, at, flags):
    """Write the twelve bits beside the offset; the checksum is the caller's."""
    store16(memory, at + OFFSET, (load16(memory, at + OFFSET) & 0xF000) | (flags & FLAGS_MASK))


def set_checksum(memory, at, checksum):
    """Write the checksum."""
    store16(memory, at + CHECKSUM, checksum)
