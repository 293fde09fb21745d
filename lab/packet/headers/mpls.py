"""MPLS: a stack of label entries, the last one marked (RFC 3032, RFC 5462).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------------------------------+-----+-+---------------+
    |                 label                 | TC  |S|      TTL      |
    +---------------------------------------+-----+-+---------------+
"""
from lab.memory.raw import load32, store32
from lab.packet.text import memory_of

LSE, LENGTH = 0, 4
BOTTOM = 0x100  # the bit of the last entry
LABEL_SHIFT, TC_SHIFT, TTL_MASK = 12, 9, 0xFF


def check(memory, at, left):
    """The length of one entry, 0 when it is not wholly there."""
    if left < LENGTH:
        return 0
    return LENGTH


def get_lse(memory, at):
    """One label stack entry as it lies."""
    return load32(memory, at + LSE)


def set_lse(memory, at, lse):
    """Write one label stack entry."""
    store32(memory, at + LSE, lse)


def show(data):
    """The fields of the entry for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    lse = get_lse(memory, 0)
    return [
        ("mpls_label", LSE, 3, str(lse >> LABEL_SHIFT)),
        ("mpls_tc", LSE + 2, 1, str(lse >> TC_SHIFT & 7)),
        ("mpls_bos", LSE + 2, 1, "1" if lse & BOTTOM else "0"),
        ("mpls_ttl", LSE + 3, 1, str(lse & TTL_MASK)),
    ]
