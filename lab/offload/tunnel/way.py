"""Which way leads to a tunnel's far end: the route with the longest prefix, the next hop, and the next hop's MAC address.

`push` asks once for all packets of a batch that go to the same place. Addresses are two words, IPv4 in the low half of the
second. Routes are control's; neighbours are control's too in lane 0's rows, and each lane's own in its rows: whoever reads looks
at all of them. A writer clears `v` first and writes it last, so what is half written is nobody's neighbour.
"""

import numpy as np

from lab.memory.raw import apart, release
from lab.memory.record import NULL
from lab.offload.records import ASKED, LEARNED, NEIGHBOURS, STATIC

ZERO, WORD = np.uint64(0), 64
ASK_AGAIN = 1_000_000  # microseconds between two questions for one address


@apart
def route_to(routes, v, high, low):
    """The first route, and so the longest, that leads to an address; NULL for none."""
    for r in range(len(routes)):
        route = routes[r]
        if route.used != 0 and route.v == v and begins_with(route, high, low):
            return r
    return NULL


def begins_with(route, high, low):
    """Whether an address lies in a route's prefix."""
    length = route.length
    if route.v == 4:
        length += 96
    if length == 0:
        return True
    if length <= WORD:
        return (high ^ route.prefix[0]) >> np.uint64(WORD - length) == ZERO
    return high == route.prefix[0] and (low ^ route.prefix[1]) >> np.uint64(2 * WORD - length) == ZERO


def is_place(row, v, port, high, low):
    """Whether a neighbour's row is about an address of a port."""
    return row.v == v and row.port == port and row.ip[0] == high and row.ip[1] == low


@apart
def neighbour_of(neighbours, v, port, high, low):
    """The row that says where an address of a port is: one that a person wrote, else the newest; NULL when nobody knows."""
    found = NULL
    newest = -1
    for n in range(len(neighbours)):
        row = neighbours[n]
        if is_place(row, v, port, high, low):
            if row.state == STATIC:
                return n
            if row.state == LEARNED and row.used > newest:
                newest = row.used
                found = n
    return found


@apart
def own_row(c, v, port, high, low):
    """The lane's own row about an address, or the one to write about it: an empty one, else the one unused for longest."""
    first = c.lane[0].number * NEIGHBOURS
    oldest = first
    for n in range(first, first + NEIGHBOURS):
        row = c.neighbours[n]
        if is_place(row, v, port, high, low):
            return n
        if row.v == 0:
            if c.neighbours[oldest].v != 0:
                oldest = n
        elif c.neighbours[oldest].v != 0 and row.used < c.neighbours[oldest].used:
            oldest = n
    return oldest


@apart
def learn(c, v, port, who):
    """A neighbour of a port said where it is (`who`: address in two words, MAC): 1 when that is news."""
    high, low, mac = who
    n = own_row(c, v, port, high, low)
    row = c.neighbours[n]
    if is_place(row, v, port, high, low) and row.state == LEARNED and row.mac == mac:
        row.used = c.lane[0].now
        return 0
    write_row(c, row, port, who)
    row.state = LEARNED
    release()
    row.v = v
    return 1


@apart
def may_ask(c, v, port, high, low):
    """Whether it is time to ask for an address (again), which is remembered then."""
    row = c.neighbours[own_row(c, v, port, high, low)]
    if is_place(row, v, port, high, low) and row.state == ASKED and c.lane[0].now - row.used < ASK_AGAIN:
        return 0
    write_row(c, row, port, (high, low, ZERO))
    row.state = ASKED
    release()
    row.v = v
    return 1


def write_row(c, row, port, who):
    """Begin a row anew: it is nobody's until the caller writes its state, and then its version."""
    row.v = 0
    release()
    row.ip[0] = who[0]
    row.ip[1] = who[1]
    row.mac = who[2]
    row.port = port
    row.fixed = 0
    row.used = c.lane[0].now


@apart
def is_known(neighbours, v, port, high, low):
    """Whether anybody knows or has asked for an address: what its owner says unasked is news then."""
    for n in range(len(neighbours)):
        if is_place(neighbours[n], v, port, high, low):
            return 1
    return 0
