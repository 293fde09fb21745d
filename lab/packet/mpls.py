"""MPLS: a stack of label entries, the last one marked (RFC 3032, RFC 5462).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------------------------------+-----+-+---------------+
    |                 label                 | TC  |S|      TTL      |
    +---------------------------------------+-----+-+---------------+
"""
from lab.memory.raw import load32, store32

LSE, LENGTH = 0, 4
BOTTOM = 0x100  # the bit of the last entry


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
