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
from lab.packet import text
from lab.packet.text import memory_of

SRC, DST, SEQ, ACK, OFFSET, WINDOW, CHECKSUM, URGENT, LENGTH = 0, 2, 4, 8, 12, 14, 16, 18, 20
FLAGS_MASK = 0x0FFF
FIN, SYN, RST, PSH, ACKED, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
FLAG_NAMES = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]")
END, NOP, MSS, SCALE, SACK_OK, SACK, TIMES = 0, 1, 2, 3, 4, 5, 8
OPTIONS = {END: "end", NOP: "nop", MSS: "mss", SCALE: "wscale", SACK_OK: "sack ok", SACK: "sack", TIMES: "timestamps"}


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


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    length = check(memory, 0, len(data))
    if length == 0:
        return []
    fields = [
        ("tp_src", SRC, 2, str(get_src(memory, 0))),
        ("tp_dst", DST, 2, str(get_dst(memory, 0))),
        ("seq", SEQ, 4, str(get_seq(memory, 0))),
        ("ack", ACK, 4, str(get_ack(memory, 0))),
        ("offset", OFFSET, 1, str(length)),
        ("tcp_flags", OFFSET, 2, text.flags(get_flags(memory, 0), FLAG_NAMES)),
        ("window", WINDOW, 2, str(load16(memory, WINDOW))),
        ("checksum", CHECKSUM, 2, f"0x{get_checksum(memory, 0):04x}"),
        ("urgent", URGENT, 2, str(load16(memory, URGENT))),
    ]
    return fields + show_options(memory, length)


def show_options(memory, end):
    """A field for each option; one that lies about its length takes the rest."""
    fields, off = [], LENGTH
    while off < end:
        kind = load8(memory, off)
        if kind in (END, NOP):
            length = end - off if kind == END else 1
            fields.append((OPTIONS[kind], off, length, ""))
            off += length
            continue
        length = load8(memory, off + 1) if off + 1 < end else 0
        if length < 2 or length > end - off:
            fields.append(("options", off, end - off, f"cut: {memory.bytes(off, end - off).hex(' ')}"))
            break
        fields.append((OPTIONS.get(kind, f"option {kind}"), off, length, describe_option(kind, memory.bytes(off + 2, length - 2))))
        off += length
    return fields


def describe_option(kind, value):
    """What an option says, in numbers."""
    if (kind, len(value)) in ((MSS, 2), (SCALE, 1)):
        return str(int.from_bytes(value, "big"))
    if (kind, len(value)) == (TIMES, 8) or (kind == SACK and len(value) % 8 == 0):
        words = [int.from_bytes(value[i:i + 4], "big") for i in range(0, len(value), 4)]
        return ", ".join(f"{a} {b}" if kind == TIMES else f"{a} to {b}" for a, b in zip(words[::2], words[1::2], strict=True))
    return value.hex(" ")
