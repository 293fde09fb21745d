"""GRE with checksum, key and sequence number, behind IP protocol 47 (RFC 2784, RFC 2890).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-----------------+-----+-------------------------------+
    |C| |K|S|        0        | ver |            protocol           |
    +-+-+-+-+-----------------+-----+-------------------------------+
    |       checksum, with C        |               0               |
    +-------------------------------+-------------------------------+
    |                          key, with K                          |
    +---------------------------------------------------------------+
    |                       sequence, with S                        |
    +---------------------------------------------------------------+
"""
from lab.memory.raw import load16, load32, store16, store32
from lab.packet.text import memory_of

FLAGS, PROTOCOL, LENGTH = 0, 2, 4
CHECKSUM = 4  # when it is there
WORD = 4  # each of the three that may follow
HAS_CHECKSUM, HAS_KEY, HAS_SEQUENCE = 0x8000, 0x2000, 0x1000
KNOWN = HAS_CHECKSUM | HAS_KEY | HAS_SEQUENCE
BRIDGED = 0x6558  # the protocol of an Ethernet frame


def check(memory, at, left):
    """The length of the header, 0 when it is not wholly there, of another version, or has bits that nobody may set."""
    if left < LENGTH:
        return 0
    flags = load16(memory, at + FLAGS)
    length = length_of(flags)
    if flags & ~KNOWN != 0 or length > left:
        return 0
    return length


def length_of(flags):
    """The length of a header with these flags."""
    length = LENGTH
    if flags & HAS_CHECKSUM != 0:
        length += WORD
    if flags & HAS_KEY != 0:
        length += WORD
    if flags & HAS_SEQUENCE != 0:
        length += WORD
    return length


def key_at(flags):
    """Where the key lies in a header with these flags, if it has one."""
    if flags & HAS_CHECKSUM != 0:
        return LENGTH + WORD
    return LENGTH


def get_flags(memory, at):
    """Which fields there are."""
    return load16(memory, at + FLAGS)


def get_protocol(memory, at):
    """The type of what follows."""
    return load16(memory, at + PROTOCOL)


def get_checksum(memory, at):
    """The checksum over header and payload, of a header that has one."""
    return load16(memory, at + CHECKSUM)


def get_key(memory, at):
    """The key of a header that has one."""
    return load32(memory, at + key_at(get_flags(memory, at)))


def get_sequence(memory, at):
    """The sequence number of a header that has one: the last word."""
    return load32(memory, at + length_of(get_flags(memory, at)) - WORD)


def set_flags(memory, at, flags):
    """Write which fields there are."""
    store16(memory, at + FLAGS, flags)


def set_protocol(memory, at, protocol):
    """Write the type of what follows."""
    store16(memory, at + PROTOCOL, protocol)


def set_checksum(memory, at, checksum):
    """Write the checksum, and zeros behind it."""
    store32(memory, at + CHECKSUM, checksum << 16)


def set_key(memory, at, key):
    """Write the key of a header whose flags say that it has one."""
    store32(memory, at + key_at(get_flags(memory, at)), key)


def set_sequence(memory, at, sequence):
    """Write the sequence number of a header whose flags say that it has one."""
    store32(memory, at + length_of(get_flags(memory, at)) - WORD, sequence)


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    length = check(memory, 0, len(data))
    if length == 0:
        return []
    flags = get_flags(memory, 0)
    fields = [("flags", FLAGS, 2, f"0x{flags:04x}"), ("protocol", PROTOCOL, 2, f"0x{get_protocol(memory, 0):04x}")]
    if flags & HAS_CHECKSUM:
        fields.append(("checksum", CHECKSUM, 2, f"0x{get_checksum(memory, 0):04x}"))
    if flags & HAS_KEY:
        fields.append(("tun_id", key_at(flags), WORD, str(get_key(memory, 0))))
    if flags & HAS_SEQUENCE:
        fields.append(("sequence", length - WORD, WORD, str(get_sequence(memory, 0))))
    return fields
