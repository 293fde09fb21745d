"""Profile `dpdk`: a TCP packet among what is held of its flow. It is appended, put in front, or begins one more item.

The words of an item are its key: MAC addresses, IP addresses, ports, acknowledgement number, options, and the *context*:
where it stands, DF bits, the length of its TCP header. What the words do not hold (tags, IPv6, outer headers, long
options) is compared with the bytes of the packet that is held. TTL, TOS, IPv4 options and checksums are not looked at:
those of the first stay. Which packets are candidates is decided before, in `take.py`; what is true of the whole is
written when it leaves, in `finish.py`. Two items are never joined, though a packet may have closed the gap between them.
"""

from lab.memory.mbuf import TUNNEL
from lab.memory.raw import apart, i64, load8, load32, store8, u64
from lab.memory.reasons import F_CHAIN, F_FIN, F_FULL, F_MOST, F_PUSH, GRO_MERGED, GRO_PREPENDED, PASS_CANDIDATE, PASS_PADDED, PASS_ROOM
from lab.memory.record import NULL
from lab.offload.gro.dpdk.chain import hang_behind, most_segments, put_in_front, trim
from lab.offload.gro.dpdk.key import (
    DEEP,
    DF,
    HALF,
    HEADER,
    IDS,
    IN_VXLAN,
    IP,
    L4,
    LENGTH,
    MASK_16,
    NET,
    OUTER_DF,
    SAID,
    ZERO,
    alike,
    key_of,
    new_item,
    same_key,
)
from lab.offload.gro.dpdk.quick import MERGED
from lab.offload.gro.finish import let_go
from lab.offload.gro.table import DPDK_GENERAL, DPDK_PLAIN, MOST_IP, bucket_of, hash_of, last_of, room_for_more, rule_port_of, tell
from lab.offload.records import WAYS
from lab.packet.headers import tcp
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH

MASK_32 = 0xFFFFFFFF
BATCH = 64  # packets that one call may have to pass on at most
NO_NEIGHBOUR, APPEND, PREPEND = range(3)
FLAGS = 13  # where in the TCP header the eight flags lie


def passes(reason):
    """What `join` answers for a packet that passes, and the reason of such an answer."""
    return -1 - reason


def join(to, i, m, where, ctx):
    """Merge a packet with a neighbour, or fill the key of the item that it begins: MERGED, the item's number, or why it passes."""
    key = key_of(to.memory, m.buf + m.data_off, where, ctx)
    h = hash_of(key[2] ^ ctx, key[3])
    free = NULL
    first = bucket_of(h)
    for n in range(first, first + WAYS):
        item = to.gro.items[n]
        if item.first == NULL:
            if free == NULL:
                free = n
        elif item.hash == h and same_key(item, key, ctx) and (ctx & DEEP == ZERO or alike(to, item, i, where, ctx) != 0):
            which = neighbour(to, item, m, where, ctx)
            if which == NO_NEIGHBOUR:
                continue
            if fits(to, n, m, size_of(to, item, which, where), ctx) == 0:
                if item.first == NULL and free == NULL:
                    free = n
            else:
                if which == APPEND:
                    append(to, n, i, m, where)
                else:
                    prepend(to, n, i, where)
                if ctx & IN_VXLAN != ZERO:
                    say_tunnel(to, item, where)
                return MERGED
    if where[SAID] != tcp.ACKED:
        return passes(PASS_CANDIDATE)
    if m.pkt_len != where[L4] + where[HEADER] + where[LENGTH]:
        return passes(PASS_PADDED)
    if free == NULL:
        return passes(PASS_ROOM)
    new_item(to.gro.items[free], i, h, key, ctx)
    describe(to, to.gro.items[free], i, m, where)
    return free


def say_tunnel(to, item, where):
    """What was merged inside a tunnel is to be cut inside it."""
    head = to.mbufs[item.first]
    head.ol_flags = head.ol_flags | TUNNEL
    head.inner_off = where[IP]


def neighbour(to, item, m, where, ctx):
    """Whether a packet's bytes come right behind those of an item, or right before them, its IPv4 ids too where they count."""
    seq = load32(to.memory, m.buf + m.data_off + where[L4] + tcp.SEQ)
    if m.next != NULL and m.pkt_len != where[L4] + where[HEADER] + where[LENGTH]:
        return NO_NEIGHBOUR  # padding in a chain is not cut off
    if seq == item.next_seq:
        if item.why != F_FIN and counts_on(i64(item.w[7]) & MASK_32, where[IDS], ctx):
            return APPEND
    elif (
        (seq + where[LENGTH] - item.next_seq + item.total) & MASK_32 == 0
        and where[SAID] & tcp.FIN == 0
        and counts_on(where[IDS], i64(item.w[7] >> HALF), ctx)
    ):
        return PREPEND
    return NO_NEIGHBOUR


def counts_on(ids, following, ctx):
    """Whether IPv4 ids, inner and outer, follow each other, where they say anything."""
    if ctx & DF == ZERO and (following - ids) & MASK_16 != 1:
        return False
    return ctx & OUTER_DF != ZERO or ((following >> 16) - (ids >> 16)) & MASK_16 == 1


def size_of(to, item, which, where):
    """How long the IP packet would be, the outermost header counted."""
    if which == PREPEND:
        return where[L4] + where[HEADER] + where[LENGTH] + item.total - where[NET]
    return to.mbufs[item.first].pkt_len + where[LENGTH] - where[NET]


def fits(to, n, m, size, ctx):
    """1 when a packet may still be merged into item `n`; else why the item is full is noted, and with a timeout it leaves."""
    item = to.gro.items[n]
    most = most_segments(to, rule_port_of(i64(ctx >> HALF)))
    if size <= MOST_IP and to.mbufs[item.first].nb_segs + m.nb_segs <= most:
        return 1
    close(to, n, which_limit(to, size, ctx), most)
    return 0


def which_limit(to, size, ctx):
    """Why an item takes no more."""
    if size > MOST_IP:
        return F_FULL
    if to.ports[rule_port_of(i64(ctx >> HALF))].gro_most != 0:
        return F_MOST
    return F_CHAIN


@apart
def close(to, n, why, figure):
    """Item `n` shall leave: at once where there is a timeout (and room for all that may still come), else with all others."""
    item = to.gro.items[n]
    if item.why != F_FIN:
        item.why = why
    if to.config[0].gro_cycles != 0 and room_for_more(to, item.side, BATCH):
        let_go(to, n, item.why, figure)


def append(to, n, i, m, where):
    """Put a packet behind an item's, without its headers."""
    item = to.gro.items[n]
    head = to.mbufs[item.first]
    length = where[LENGTH]
    off = where[L4] + where[HEADER]
    item.packets += 1
    tell(to, m, GRO_MERGED, length, item.packets)
    head.pkt_len += length
    trim(m, off + length)
    hang_behind(to, item, i, off)
    item.next_seq = item.next_seq + length
    item.total += length
    if length > item.first_len:
        item.first_len = length
    item.w[7] = u64(where[IDS]) | (item.w[7] >> HALF) << HALF
    if where[SAID] != tcp.ACKED:
        flag(to, n, head, where[SAID])


@apart
def prepend(to, n, i, where):
    """Put a packet in front of an item's, whose headers go: the newcomer's are those of the whole."""
    item = to.gro.items[n]
    m = to.mbufs[i]
    held = to.mbufs[item.first]
    length = where[LENGTH]
    said = where[SAID] | load8(to.memory, held.buf + held.data_off + held.l2_len + held.l3_len + FLAGS)
    item.packets += 1
    tell(to, m, GRO_PREPENDED, length, item.packets)
    trim(m, where[L4] + where[HEADER] + length)
    put_in_front(to, item, i)
    head_of(item, m, where)
    item.total += length
    if length > item.first_len:
        item.first_len = length
    item.w[7] = u64(i64(item.w[7]) & MASK_32) | u64(where[IDS]) << HALF
    if said != tcp.ACKED:
        flag(to, n, m, said)


@apart
def flag(to, n, head, said):
    """FIN and PSH of any packet stand in the header of the whole; FIN ends it, and with a timeout both let it leave."""
    at = head.buf + head.data_off + head.l2_len + head.l3_len + FLAGS
    store8(to.memory, at, load8(to.memory, at) | said)
    if said & tcp.FIN != 0:
        close(to, n, F_FIN, 0)
    else:
        close(to, n, F_PUSH, 0)


def head_of(item, m, where):
    """Write into the mbuf of an item's first packet where its headers end, and into the item how it is finished."""
    m.l2_len = where[IP]
    m.l3_len = where[L4] - where[IP]
    m.l4_len = where[HEADER]
    item.kind = DPDK_GENERAL
    if where[L4] == ETH_LENGTH + IPV4_LENGTH and where[IP] == ETH_LENGTH:
        item.kind = DPDK_PLAIN


def describe(to, item, i, m, where):
    """Write into an item where its bytes begin and end."""
    head_of(item, m, where)
    l4 = m.buf + m.data_off + where[L4]
    item.ack = load32(to.memory, l4 + tcp.ACK)
    item.last = i
    if m.next != NULL:
        item.last = last_of(to, i)
    item.next_seq = load32(to.memory, l4 + tcp.SEQ) + where[LENGTH]
    item.total = where[LENGTH]
    item.first_len = where[LENGTH]
    item.w[7] = u64(where[IDS]) | u64(where[IDS]) << HALF
