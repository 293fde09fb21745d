"""Rings of mbuf indexes with one producer and one consumer, each with a cache line of its own.

The producer writes a slot, then releases `tail`; the consumer acquires `tail`, reads, takes ownership of the
mbuf, then releases `head`. So whoever looks for lost mbufs finds each in a ring or owned by a lane.
"""

from lab.memory.raw import acquire, release
from lab.memory.record import NULL, Group, Layout

ring_t = Layout("ring", line=True, tail="i8", overflow="i8", gap=("i8", 6), head="i8", gap2=("i8", 7), first="i8", room="i8")
slot_t = Layout("ring_slot", index="u4")
rings_g = Group("rings", ring=ring_t, slots=slot_t)


def waiting(rings, r):
    """How many mbufs stand in ring `r`."""
    ring = rings.ring[r]
    n = ring.tail - ring.head
    acquire()
    return n


def push(rings, r, i):
    """Put one mbuf into ring `r`; 0 when it is full (and that is counted), else 1."""
    ring = rings.ring[r]
    tail = ring.tail
    if tail - ring.head >= ring.room:
        ring.overflow += 1
        return 0
    rings.slots[ring.first + (tail & (ring.room - 1))].index = i
    release()
    ring.tail = tail + 1
    return 1


def pop(rings, r, mbufs, lane):
    """Take the oldest mbuf of ring `r` for a lane, or NULL."""
    ring = rings.ring[r]
    head = ring.head
    if ring.tail == head:
        return NULL
    acquire()
    i = rings.slots[ring.first + (head & (ring.room - 1))].index
    mbufs[i].owner = lane
    release()
    ring.head = head + 1
    return i
