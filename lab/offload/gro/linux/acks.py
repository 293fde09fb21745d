"""Pure acknowledgements joined, as FreeBSD's LRO does, for ports that ask for it (`gro_acks`).

Of acknowledgements that follow each other the newest wins, with its window and timestamps: the packets before it go back to the
pool. A duplicate is a packet of its own, since senders count them. Only plain ones are joined: nothing but ACK
among the flags, no options or timestamps alone; any other passes, behind what was held.
"""

from lab.memory.mempool import give
from lab.memory.raw import apart, load16, load32
from lab.memory.reasons import F_DUPLICATE, F_GAP, F_GONE, F_ORDER, GRO_ACK_JOINED, GRO_HELD, PASS_ACK
from lab.memory.record import NULL
from lab.offload.gro.finish import item_for, let_go
from lab.offload.gro.linux.flows import OTHER, differs
from lab.offload.gro.linux.verified import why_unfit
from lab.offload.gro.table import ACKS, FIRST_OF_DPDK, HELD, PASSES, begin, find, find_next, last_of, may_go, tell
from lab.packet.headers.tcp import ACKED, LENGTH, WINDOW, get_ack, get_flags, get_seq

TIMESTAMPS, WITH_TIMESTAMPS = 0x0101080A, 32
NEWER = 1 << 31  # half of all acknowledgement numbers lie ahead


@apart
def acks_take(to, i, m, h, place):
    """Hold an acknowledgement, put it in the place of the one that is held, or let it pass."""
    s = to.sight[0]
    l4 = m.buf + m.data_off + s.l4
    why = why_unfit(to, i, m, s)
    if why == 0 and ordinary(to.memory, l4, s.l4_len) == 0:
        why = PASS_ACK
    gone = 0
    n = find(to, h)
    while n != NULL:
        item = to.gro.items[n]
        parted = F_GONE
        if item.kind < FIRST_OF_DPDK:
            parted = differs(to, item, i, place)
        if parted != OTHER and may_go(to, item, gone) != 0:
            if parted == 0:
                parted = parts(to, item, l4, s.l4_len)
            if parted == 0 and why == 0:
                join(to, n, i, m)
                return HELD
            if parted == F_DUPLICATE:
                why = PASS_ACK
            if parted == 0:
                parted = F_ORDER
            let_go(to, n, parted, 0)
            gone = 1
        n = find_next(to, h, n + 1)
    if why != 0:
        tell(to, m, why, 0, 0)
        return PASSES
    n = item_for(to, h)
    item = to.gro.items[n]
    item.kind = ACKS
    begin(to, n, i, h, place)
    item.last = last_of(to, i)
    item.next_seq = get_seq(to.memory, l4)
    item.ack = get_ack(to.memory, l4)
    item.first_len = 0
    item.total = 0
    tell(to, m, GRO_HELD, 0, 0)
    return HELD


def ordinary(memory, l4, length):
    """1 when it says nothing but what it acknowledges, its window and the time."""
    if get_flags(memory, l4) != ACKED:
        return 0
    if length == LENGTH or (length == WITH_TIMESTAMPS and load32(memory, l4 + LENGTH) == TIMESTAMPS):
        return 1
    return 0


def parts(to, item, l4, length):
    """Why an acknowledgement of the flow cannot take the place of what an item holds, or 0. `sight[1]` is the held one's."""
    if item.kind != ACKS:
        return F_ORDER
    h = to.sight[1]
    head = to.mbufs[item.first]
    held = head.buf + head.data_off + h.l4
    if get_seq(to.memory, l4) != item.next_seq:
        return F_GAP
    ahead = (get_ack(to.memory, l4) - item.ack) & 0xFFFFFFFF
    if ahead == 0 and load16(to.memory, l4 + WINDOW) == load16(to.memory, held + WINDOW):
        return F_DUPLICATE
    if ahead >= NEWER or length != h.l4_len:
        return F_ORDER
    return 0


def join(to, n, i, m):
    """The newer acknowledgement takes the place of the one that is held, which goes back to the pool."""
    item = to.gro.items[n]
    give(to.pool, to.mbufs, item.first)
    item.first = i
    item.last = last_of(to, i)
    item.packets += 1
    item.why = 0
    item.ack = get_ack(to.memory, m.buf + m.data_off + to.sight[0].l4)
    tell(to, m, GRO_ACK_JOINED, item.packets, 0)
