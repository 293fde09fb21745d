"""Where the actions of megaflows lie: ranges of a lane's records, taken and given back by compiled code.

A range has a power of two of records, from 2 to 8192; one that is free hangs in the list of its size, through `arg`
of its first record. Ranges are never split or joined: megaflows come and go in the same few sizes.
"""

from lab.flow.actions import act_t
from lab.memory.record import NULL, Group, Layout

SIZES = 13
acts_head_t = Layout("acts_head", line=True, top="u4", taken="u4", free=("u4", SIZES))
acts_g = Group("acts", head=acts_head_t, list=act_t)


def size_of(n):
    """The number of the smallest size that holds `n` records."""
    size = 0
    while 2 << size < n:
        size += 1
    return size


def take_acts(acts, n):
    """The first record of a range for `n` acts, or NULL when there is none left."""
    head = acts.head[0]
    size = size_of(n)
    first = head.free[size]
    if first != NULL:
        head.free[size] = acts.list[first].arg
    else:
        first = head.top
        if first + (2 << size) > len(acts.list):
            return NULL
        head.top = first + (2 << size)
    head.taken += 2 << size
    return first


def give_acts(acts, first, n):
    """Give back the range that was taken for `n` acts."""
    head = acts.head[0]
    size = size_of(n)
    acts.list[first].arg = head.free[size]
    head.free[size] = first
    head.taken -= 2 << size
