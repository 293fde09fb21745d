"""Profile `dpdk`: the segments of two packets become one chain. Each packet loses its own headers, as long as they are.

A packet that was held with its headers alone in the first segment leaves no empty segment in the chain. Lengths and
`nb_segs` of the first mbuf stay true; what the headers say is not looked at here.
"""

from lab.memory.mbuf import MAX_SEGMENTS
from lab.memory.mempool import give_one
from lab.memory.raw import apart
from lab.memory.record import NULL
from lab.offload.gro.table import last_of

MOST_SEGMENTS = 20  # of one packet, where the port says nothing


def most_segments(to, port):
    """How many segments a packet may have by a port's settings."""
    most = to.ports[port].gro_most
    if most == 0:
        return MOST_SEGMENTS
    if most > MAX_SEGMENTS:
        return MAX_SEGMENTS
    return most


def trim(m, end):
    """Cut padding off a packet in one segment; a chain has none (see `neighbour`)."""
    if m.pkt_len != end:
        m.pkt_len = end
        m.data_len = end


def hang_behind(to, item, i, off):
    """Hang a packet's segments, without its first `off` bytes, behind those of an item."""
    m = to.mbufs[i]
    head = to.mbufs[item.first]
    head.nb_segs += m.nb_segs
    m.data_off += off
    m.data_len -= off
    last = i
    if m.next != NULL:
        last = last_of(to, i)
        if m.data_len == 0:
            i = without_first(to, head, i)
    to.mbufs[item.last].next = i
    item.last = last


def put_in_front(to, item, i):
    """Hang an item's segments, without their headers, behind a packet, which is the item's first from now on."""
    m = to.mbufs[i]
    old = item.first
    held = to.mbufs[old]
    off = held.l2_len + held.l3_len + held.l4_len
    held.data_off += off
    held.data_len -= off
    m.nb_segs += held.nb_segs
    m.pkt_len += item.total
    if held.data_len == 0:
        old = without_first(to, m, old)
    to.mbufs[last_of(to, i)].next = old
    item.first = i


@apart
def without_first(to, head, i):
    """The second segment of a packet whose first, left empty by its headers, goes back to the pool."""
    j = to.mbufs[i].next
    head.nb_segs -= 1
    give_one(to.pool, to.mbufs, i)
    return j
