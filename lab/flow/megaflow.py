"""Megaflows: what the datapath remembers of a translation.

A megaflow is a masked key, the range of actions to run with the credits behind them (who gets its statistics), and what
it has seen: packets, bytes (and those that were pushed back to the credits already), the last time, TCP flags. `watches` is 1
when the MAC table had a say, `only` the port through which its packets simply leave, when that is all there is to do,
`first` the whole key of the packet that made it: asked again with it, the tables take the same way. Each lane has a table of
its own; `sw.megaflows` merges them by ufid. The table's last BURST records are never entered: they carry the actions of
packets that came when it was full.
"""

import numpy as np

from lab.flow.classifier import find, hash_slot_t, head_t, insert, remove, subtable_of, subtable_t
from lab.flow.key import WORDS
from lab.memory.raw import add, copy_words, mul
from lab.memory.record import NULL, Group, Layout

megaflow_t = Layout(
    "megaflow",
    line=True,
    acts="u4",
    n_acts="u2",
    n_credits="u2",
    subtable="u4",
    rule="u4",
    packets="i8",
    bytes_="i8",
    used="i8",
    created="i8",
    tcp_flags="u2",
    alive="u2",
    reason="u2",
    next="u4",
    only="u4",
    watches="u4",
    w=("u8", WORDS),
    ufid=("u8", 2),
    pushed_packets="i8",
    pushed_bytes="i8",
    first=("u8", WORDS),
)
megaflows_g = Group("megaflows", head=head_t, subtables=subtable_t, slots=hash_slot_t, flows=megaflow_t)

UFID_0, UFID_1 = np.uint64(0xA24BAED4963EE407), np.uint64(0x9FB21C651E98DF25)


def free_all(table):
    """Chain every record that may be entered into the list of free ones."""
    head = table.head[0]
    for f in range(head.limit):
        table.flows[f].alive = 0
        table.flows[f].next = f + 1
    table.flows[head.limit - 1].next = NULL
    head.free = 0


def install(table, mask, key):
    """A fresh megaflow for a key under a mask, or NULL when the table or its subtables are full."""
    head = table.head[0]
    f = head.free
    if f == NULL:
        return NULL
    s = subtable_of(table, mask)
    if s == NULL:
        return NULL
    flow = table.flows[f]
    head.free = flow.next
    flow.packets = 0
    flow.bytes_ = 0
    flow.pushed_packets = 0
    flow.pushed_bytes = 0
    flow.used = 0
    flow.tcp_flags = 0
    flow.reason = 0
    flow.alive = 1
    if f >= head.top:
        head.top = f + 1
    insert(table, s, key, f)
    copy_words(flow.first, key.w)
    name_flow(table, f)
    return f


def name_flow(table, f):
    """Give a megaflow its ufid: 128 bits of its masked key and its mask."""
    flow = table.flows[f]
    sub = table.subtables[flow.subtable]
    a = UFID_0
    b = UFID_1
    for j in range(8 * sub.blocks):
        a = mul(a ^ flow.w[j], UFID_1)
        a = a ^ (a >> np.uint64(31))
        b = mul(add(b, sub.mask[j]) ^ flow.w[j], UFID_0)
        b = b ^ (b >> np.uint64(29))
    flow.ufid[0] = a ^ b  # its first digits are what people read, so they tell masks apart as well
    flow.ufid[1] = b


def uninstall(table, f):
    """Take a megaflow out of its table and back among the free ones."""
    table.flows[f].alive = 0
    remove(table, f)
    table.flows[f].next = table.head[0].free
    table.head[0].free = f


def lookup(table, key):
    """The megaflow of a key by trying every subtable in its rank, or NULL."""
    for r in range(table.head[0].subtables):
        f = find(table, table.subtables[r].rank, key)
        if f != NULL:
            return f
    return NULL
