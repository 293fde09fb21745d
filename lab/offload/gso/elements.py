"""Elements: a large packet as a chain in which each segment-to-be has an mbuf for its headers, then its payload.

The core that receives from a guest makes them, knowing nothing but the segment size; another core writes the headers (see
`heads`). Nothing is copied but the headers of the first element: payload is referred to where it lies. An element's payload
may lie in several mbufs, where it crosses a buffer's end.
"""

from lab.memory.mbuf import ELEMENTS, HEADROOM, ROOM, copy_fields
from lab.memory.mempool import give, take
from lab.memory.raw import apart, copy, count_refs
from lab.memory.record import NULL
from lab.offload.gso.payload import point

MOST_MBUFS = 255  # of a chain: `nb_segs` is a byte


@apart
def make_elements(work, i, payload):
    """A packet's chain of elements, its payload beginning at an offset; NULL when the pool is empty or the chain too long.

    The packet itself is given back then: the chain is the packet.
    """
    mbufs = work.mbufs
    m = mbufs[i]
    if payload > m.data_len or payload > ROOM - HEADROOM or m.tso_segsz == 0:
        return NULL
    first = take(work.pool, mbufs)
    if first == NULL:
        return NULL
    head = mbufs[first]
    copy_fields(head, m)
    copy(work.memory, head.buf + head.data_off, m.buf + m.data_off, payload)
    head.data_len = payload
    head.pkt_len = payload
    last = first
    count = 1
    at = i
    off = payload
    room = m.tso_segsz
    left = m.pkt_len - payload
    while left > 0:
        while off == mbufs[at].data_len:
            at = mbufs[at].next
            off = 0
        n = mbufs[at].data_len - off
        if n > room:
            n = room
        wanted = 1
        if room == m.tso_segsz and last != first:
            wanted = 2
        if count + wanted > MOST_MBUFS:
            give(work.pool, mbufs, first)
            return NULL
        if wanted == 2:
            last = append_header(work, last)
            count += 1
        if last != NULL:
            last = append_slice(work, last, at, off, n)
            count += 1
        if last == NULL:
            give(work.pool, mbufs, first)
            return NULL
        head.pkt_len += n
        off += n
        left -= n
        room -= n
        if room == 0:
            room = m.tso_segsz
    head.nb_segs = count
    head.ol_flags = head.ol_flags | ELEMENTS
    give(work.pool, mbufs, i)
    return first


def append_header(work, last):
    """An empty mbuf behind another, for headers: its index, or NULL."""
    j = take(work.pool, work.mbufs)
    if j != NULL:
        work.mbufs[last].next = j
    return j


def append_slice(work, last, at, off, n):
    """An mbuf behind another that refers to `n` bytes of a segment: its index, or NULL."""
    mbufs = work.mbufs
    j = take(work.pool, mbufs)
    if j == NULL:
        return NULL
    point(mbufs[j], mbufs[at], at, off, n)
    count_refs(mbufs[mbufs[j].attached], 1)
    mbufs[last].next = j
    return j
