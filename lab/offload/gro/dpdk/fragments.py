"""Profile `dpdk`: fragments of one UDP datagram over IPv4 are joined, plain or inside VXLAN; offsets say what is next to what.

Fragments of one datagram that are not neighbours are items of their own, and become one when the gap is filled. The
header of what is joined is true after each join, so an item may leave at any time: as the whole datagram at once when
nothing is missing (in burst mode with all others), else as a larger fragment. It is never cut again on the way: a whole
datagram keeps its UDP checksum, and what a port's MTU does not take is dropped there. No byte is taken from fragments
that overlap, and none joined with them.
"""

import numpy as np

from lab.memory.mbuf import TUNNEL
from lab.memory.raw import apart, i64, load16, load32, load64, store16, u64
from lab.memory.reasons import GRO_FRAGMENT, GRO_WHOLE, PASS_ACK, PASS_CUT, PASS_PADDED, PASS_ROOM
from lab.memory.record import NULL
from lab.offload.gro.dpdk.chain import hang_behind, most_segments, put_in_front, trim
from lab.offload.gro.dpdk.flow import close, passes
from lab.offload.gro.dpdk.key import DEEP, FRAGMENT, HALF, IN_VXLAN, IP, L4, LENGTH, NET, ZERO, alike, new_item, same_key
from lab.offload.gro.dpdk.quick import HOLE, MERGED
from lab.offload.gro.finish import finish_outer, new_total
from lab.offload.gro.table import DPDK_FRAGMENTS, MOST_IP, bucket_of, hash_of, last_of, rule_port_of, tell
from lab.offload.records import WAYS
from lab.packet.checksum import update16
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import CHECKSUM, FRAG, ID, MORE_FRAGMENTS, OFFSET_MASK, SRC, get_frag
from lab.packet.headers.tcp import LENGTH as NO_OPTIONS
from lab.packet.headers.udp import LENGTH as UDP_LENGTH
from lab.packet.headers.vxlan import LENGTH as VXLAN_LENGTH

LAST = np.uint64(1)  # in w[7]: the datagram's last fragment is in the item
UNIT = 8  # bytes that offsets of fragments count in


@apart
def join_fragment(to, i, m, s, spot):
    """Join a fragment with its neighbours, or fill the key of the item that it begins; answers as `flow.join` does."""
    frag = get_frag(to.memory, m.buf + m.data_off + s.ip)
    offset = (frag & OFFSET_MASK) * UNIT
    length = s.end - s.ip - s.ip_len
    last = ZERO
    if frag & MORE_FRAGMENTS == 0:
        last = LAST
    if length == 0:
        return passes(PASS_ACK)
    if offset + length > MOST_IP or (last == ZERO and length % UNIT != 0):
        return passes(PASS_CUT)
    if m.next != NULL and m.pkt_len != s.end:
        return passes(PASS_PADDED)
    key = key_of(to.memory, m.buf + m.data_off, s, spot)
    where = (link_of(s), s.ip, s.ip + s.ip_len, s.ip, NO_OPTIONS, length, 0, 0)
    if s.outer_v != 0:
        where = (link_of(s), s.ip, s.ip + s.ip_len, s.outer_ip, NO_OPTIONS, length, 0, 0)
    free = NULL
    first = bucket_of(key[7])
    for n in range(first, first + WAYS):
        item = to.gro.items[n]
        if item.first == NULL:
            if free == NULL:
                free = n
        elif same_datagram(to, item, i, key, where) != 0 and add(to, item, i, where, (offset, length, i64(last))) != 0:
            fill_gap(to, n, key, where)
            settle(to, n, s, key)
            return MERGED
    if m.pkt_len != s.end:
        return passes(PASS_PADDED)
    if free == NULL:
        return passes(PASS_ROOM)
    begin_fragments(to, to.gro.items[free], i, key, where)
    item = to.gro.items[free]
    item.next_seq = offset + length
    item.w[7] = last
    return free


def link_of(s):
    """Where the Ethernet header of the packet, or of the one in the tunnel, begins."""
    if s.outer_v != 0:
        return s.outer_l4 + UDP_LENGTH + VXLAN_LENGTH
    return 0


def key_of(memory, at, s, spot):
    """The words of a fragment's key, then its context and its hash."""
    ctx = spot | FRAGMENT
    if s.outer_v != 0:
        ctx = ctx | IN_VXLAN
    if s.ip != ETH_LENGTH:
        ctx = ctx | DEEP
    link = at + link_of(s)
    addresses = load64(memory, at + s.ip + SRC)
    number = u64(load16(memory, at + s.ip + ID))
    return load64(memory, link), u64(load32(memory, link + 8)), addresses, number, ZERO, ZERO, ctx, hash_of(addresses ^ ctx, number)


def same_datagram(to, item, i, key, where):
    """Whether what an item holds and a packet are fragments of one datagram."""
    if item.hash != key[7] or not same_key(item, key, key[6]):
        return 0
    if key[6] & DEEP == ZERO:
        return 1
    return alike(to, item, i, where, key[6])


def add(to, item, i, where, part):
    """1 when a fragment (its offset, its length, whether it is the last) was next to those of an item and is with them now."""
    offset, length, last = part
    m = to.mbufs[i]
    if offset == item.next_seq and item.w[7] == ZERO:
        if too_large(to, item, m, to.mbufs[item.first].pkt_len + length - where[NET]) != 0:
            return 0
        trim(m, where[L4] + length)
        to.mbufs[item.first].pkt_len += length
        hang_behind(to, item, i, where[L4])
        item.next_seq = offset + length
        item.w[7] = u64(last)
    elif offset + length == item.next_seq - item.total and last == 0:
        if too_large(to, item, m, where[L4] + length + item.total - where[NET]) != 0:
            return 0
        trim(m, where[L4] + length)
        put_in_front(to, item, i)
        header_of(m, where)
    else:
        return 0
    item.total += length
    item.packets += 1
    tell(to, m, GRO_FRAGMENT, item.total, 0)
    return 1


def too_large(to, item, m, size):
    """Whether an item would be too long, from the outermost IP header on, or have too many segments with one more packet."""
    most = most_segments(to, rule_port_of(i64(item.w[6] >> HALF)))
    if size > MOST_IP or to.mbufs[item.first].nb_segs + m.nb_segs > most:
        return 1
    return 0


def fill_gap(to, n, key, where):
    """With its newest fragment an item may have become the neighbour of another one of its datagram: they are one then."""
    item = to.gro.items[n]
    first = bucket_of(key[7])
    for k in range(first, first + WAYS):
        other = to.gro.items[k]
        if k != n and other.first != NULL and same_datagram(to, other, item.first, key, where) != 0:
            if other.next_seq - other.total == item.next_seq:
                take_in(to, item, other, where)
            elif item.next_seq - item.total == other.next_seq:
                put_before(to, item, other, where)


def take_in(to, item, other, where):
    """What another item holds goes behind what this one holds."""
    m = to.mbufs[other.first]
    if too_large(to, item, m, to.mbufs[item.first].pkt_len + other.total - where[NET]) != 0:
        return
    to.mbufs[item.first].pkt_len += other.total
    hang_behind(to, item, other.first, m.l2_len + m.l3_len)
    item.next_seq = other.next_seq
    item.w[7] = other.w[7]
    joined(to, item, other)


def put_before(to, item, other, where):
    """What another item holds goes before what this one holds."""
    m = to.mbufs[other.first]
    if too_large(to, item, m, m.pkt_len + item.total - where[NET]) != 0:
        return
    put_in_front(to, item, other.first)
    joined(to, item, other)


def joined(to, item, other):
    """One item less."""
    item.total += other.total
    item.packets += other.packets
    other.first = NULL
    other.hash = HOLE  # else the short way of the burst would not look behind it
    to.gro.head[0].held -= 1
    to.lane[0].held -= 1


def settle(to, n, s, key):
    """Make the header true; the whole datagram need not wait."""
    item = to.gro.items[n]
    m = to.mbufs[item.first]
    ip = m.buf + m.data_off + m.l2_len
    new_total(to.memory, ip, m.pkt_len - m.l2_len)
    old = get_frag(to.memory, ip)
    frag = old & ~MORE_FRAGMENTS
    if item.w[7] == ZERO:
        frag = old | MORE_FRAGMENTS
    store16(to.memory, ip + FRAG, frag)
    store16(to.memory, ip + CHECKSUM, update16(load16(to.memory, ip + CHECKSUM), old, frag))
    if key[6] & IN_VXLAN != ZERO:
        m.ol_flags = m.ol_flags | TUNNEL
        m.inner_off = m.l2_len
        finish_outer(to.memory, m, s)
    if item.w[7] == LAST and item.total == item.next_seq:
        close(to, n, GRO_WHOLE, m.pkt_len)


def begin_fragments(to, item, i, key, where):
    """Write the key of a fragment into the item that it begins."""
    new_item(item, i, key[7], key, key[6])
    m = to.mbufs[i]
    header_of(m, where)
    item.kind = DPDK_FRAGMENTS
    item.last = i
    if m.next != NULL:
        item.last = last_of(to, i)
    item.total = where[LENGTH]
    item.first_len = where[LENGTH]
    item.ack = 0


def header_of(m, where):
    """Where the headers of an item's first packet end."""
    m.l2_len = where[IP]
    m.l3_len = where[L4] - where[IP]
    m.l4_len = 0
