"""The ledger: for every bit of a mask, who asked for it; and the story of a translation, event by event.

Off (`ledger[0].on == 0`), it costs a predicted branch. On, each event is a record: its kind, how deep, the table,
up to three figures, and the bits of the mask that were asked for the first time because of it. The same records are
the ledger (those with bits) and the story that `ofproto/trace` tells (all of them). People's words: lab.control.
"""

import numpy as np

from lab.memory.raw import apart, clear

(
    L_ALWAYS,  # what every megaflow asks for: in_port, recirc_id, dl_type
    L_TABLE,  # a table was asked: a: rule found or NULL
    L_SUBTABLE,  # a subtable was probed: a: its number, b: the stage of the lookup at which it failed (255: found or wholly compared)
    L_TREE,  # a tree of subtable c; a: 0 nw_src, 1 nw_dst, 2 transport ports, 3 ipv6_src, 4 ipv6_dst; b: length of the prefix that decides
    L_ACTION,  # an action is run: a: its ofact record, b: rule
    L_OUTPUT,  # a: port or NULL, b: reason why not, or 0, c: the port meant
    L_NORMAL,  # a: what NORMAL found, see normal.py; b, c: figures of it
    L_GROUP,  # a: group record, b: bucket record or NULL
    L_FREEZE,  # a: recirc id
    L_THAW,  # a: recirc id
    L_ERROR,  # a: reason
    L_SET,  # the action set is run: a: how many actions
    L_END,  # a: how many datapath actions
    L_VALUE,  # a: what a move or a pop has written
) = range(1, 15)

ZERO = np.uint64(0)


def tell(ledger, event):
    """Begin a record: `event` is (kind, depth, table, a, b, c). Bits that are asked from here on are booked on it."""
    if ledger[0].on != 0:
        kind, depth, table, a, b, c = event
        write(ledger, kind * 65536 + depth, table, a, b, c)


@apart
def write(ledger, what, table, a, b, c):
    """The record of an event; when there is no room for another, the last one is written over and `lost` counts."""
    head = ledger[0]
    n = head.n + 1
    if n == len(ledger):
        n -= 1
        head.lost += 1
    row = ledger[n]
    row.kind = what >> 16
    row.depth = what & 0xFFFF
    row.table = table
    row.a = a
    row.b = b
    row.c = c
    clear(row.w)
    head.n = n


def ask(ledger, known, asked, j, bits):
    """Ask for bits of word `j`: added to the mask unless they are not the packet's any more; booked on the last record."""
    fresh = bits & ~known.w[j] & ~asked.w[j]
    if fresh != ZERO:
        asked.w[j] = asked.w[j] | fresh
        if ledger[0].on != 0:
            row = ledger[ledger[0].n]
            row.w[j] = row.w[j] | fresh
