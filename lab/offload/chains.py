"""Chains: packets in several segments, brought together where a stage must have bytes in one piece, and only there.

`pull_up` is for headers: whoever finds them cut (`layers.look`, `parse`) calls it once, and the payload stays where it is.
`linearise` is for ports that take no chains. A segment whose buffer is not its own, or that lends it to others, is never
written to. Lengths and `nb_segs` stay true, and every segment that has become empty goes back to the pool.
"""

from lab.memory.mbuf import BORROWED, ELEMENTS, FILL, ROOM, copy_fields
from lab.memory.mempool import give, give_one, take
from lab.memory.raw import apart, copy, u64
from lab.memory.record import NULL

LEAST_HEADROOM = 64  # what is left before a packet that was moved down in its buffer: room for the headers of a tunnel
FIXED = BORROWED | ELEMENTS


@apart
def pull_up(memory, mbufs, pool, i, n):
    """1 when the first `n` bytes of a packet lie in its first segment now; 0 when that cannot be, and nothing has changed."""
    m = mbufs[i]
    if n <= m.data_len:
        return 1
    if n > m.pkt_len or n > ROOM - LEAST_HEADROOM or m.refcnt != 1 or m.ol_flags & FIXED != u64(0):
        return 0
    if bytes_from(mbufs, m.next, n - m.data_len) == 0:
        return 0
    if m.data_off + n > ROOM:
        copy(memory, m.buf + ROOM - n, m.buf + m.data_off, m.data_len)
        m.data_off = ROOM - n
    while m.data_len < n:
        j = m.next
        s = mbufs[j]
        length = n - m.data_len
        if length > s.data_len:
            length = s.data_len
        copy(memory, m.buf + m.data_off + m.data_len, s.buf + s.data_off, length)
        m.data_len += length
        if length < s.data_len:
            s.data_off += length
            s.data_len -= length
        else:
            m.next = s.next
            m.nb_segs -= 1
            give_one(pool, mbufs, j)
    return 1


def bytes_from(mbufs, i, n):
    """Whether the segments from `i` on have `n` bytes."""
    while i != NULL and n > 0:
        n -= mbufs[i].data_len
        i = mbufs[i].next
    if n > 0:
        return 0
    return 1


def segments_of(mbufs, i, n):
    """In how many segments the first `n` bytes of a packet lie."""
    segments = 0
    while i != NULL and n > 0:
        n -= mbufs[i].data_len
        i = mbufs[i].next
        segments += 1
    return segments


@apart
def linearise(memory, mbufs, pool, i):
    """The packet in one buffer: itself, or a copy of it when it cannot be (it returns then); NULL when it fits nowhere.

    What else is kept by an mbuf's number, as `tunnels` are, does not follow a copy.
    """
    m = mbufs[i]
    if m.next == NULL:
        return i
    if m.pkt_len > FILL:
        return NULL
    if pull_up(memory, mbufs, pool, i, m.pkt_len) != 0:
        if m.next != NULL:  # segments without a byte
            give(pool, mbufs, m.next)
            m.next = NULL
            m.nb_segs = 1
        return i
    j = take(pool, mbufs)
    if j == NULL:
        return NULL
    to = mbufs[j]
    copy_fields(to, m)
    to.ol_flags = to.ol_flags & ~ELEMENTS
    to.pkt_len = m.pkt_len
    to.data_len = copy_out(memory, mbufs, i, 0, m.pkt_len, to.buf + to.data_off)
    give(pool, mbufs, i)
    return j


@apart
def copy_out(memory, mbufs, i, off, n, to):
    """Copy `n` bytes of a packet, from its byte `off` on, to one place in memory; how many there were."""
    done = 0
    while i != NULL and done < n:
        m = mbufs[i]
        if off < m.data_len:
            length = m.data_len - off
            if length > n - done:
                length = n - done
            copy(memory, to + done, m.buf + m.data_off + off, length)
            done += length
            off = 0
        else:
            off -= m.data_len
        i = m.next
    return done
