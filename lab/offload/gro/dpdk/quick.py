"""Profile `dpdk`, burst mode: the short way, for a segment that goes right behind what is held of its flow or begins a flow.

It takes plain TCP over IPv4 in one segment with the flag ACK, no options or timestamps alone; whatever is not so, or needs
a decision, is left to `take.consider`, which would do the same with more loads. It counts nothing: who calls it does.
Items of a bucket are in use from its first place on, since a burst begins with none held: the first free place ends the search
(one that is free again has the hash HOLE until the burst ends).
"""

import numpy as np

from lab.memory.mbuf import BORROWED, ELEMENTS, GSO, IP_CSUM_BAD, L4_CSUM_BAD, OUTER_IP_BAD, OUTER_L4_BAD, TUN_META, TUNNEL
from lab.memory.raw import i64, load32, load64, u64
from lab.memory.record import NULL
from lab.offload.gro.dpdk.key import DF, HEADER_SHIFT, MASK_16, OUTER_DF, ZERO, new_item
from lab.offload.gro.table import DPDK_PLAIN, MOST_IP, bucket_of, hash_of
from lab.offload.records import WAYS
from lab.packet.headers import tcp
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH
from lab.packet.headers.ipv4 import SRC, TCP

MERGED = -1  # what is answered of a packet: 0 and above: a new item, below: it passes, for a reason, or
LONG_WAY = -(1 << 20)  # is left to others
HOLE = np.uint64(2)  # no packet's hash: those are odd
BAD = IP_CSUM_BAD | L4_CSUM_BAD | OUTER_IP_BAD | OUTER_L4_BAD
NOT_PLAIN = GSO | ELEMENTS | BAD | BORROWED | TUNNEL | TUN_META
# Of a plain packet, the words at 8 and at 16: Ethernet type, version and IPv4 length; no fragment, TCP
TYPE_BITS, TYPE_IS = np.uint64(0xFFFFFF00), np.uint64(0x08004500)
FRAG_BITS, FRAG_IS = np.uint64(0xBFFF00FF), np.uint64(TCP)
TOTAL_SHIFT, ID_SHIFT, DF_SHIFT, ID_BITS = np.uint64(48), np.uint64(32), np.uint64(30), np.uint64(0xFFFF)
PLAIN_L4 = ETH_LENGTH + IPV4_LENGTH
TIMES = tcp.LENGTH + 12  # a header with timestamps alone
# the word at 40: the end of the sequence number, the acknowledgement number, length and flags
SAID_BITS, SAID_BARE, SAID_TIMES = np.uint64(0xFFFF), np.uint64(0x5010), np.uint64(0x8010)
HIGH, LOW, SHIFT_16, SHIFT_32 = np.uint64(0xFFFFFFFF << 32), np.uint64(0xFFFFFFFF), np.uint64(16), np.uint64(32)


def join_plain(to, i, m, spot, most):
    """MERGED, the number of the item that the packet begins, or LONG_WAY."""
    memory = to.memory
    at = m.buf + m.data_off
    size = m.data_len
    if size <= PLAIN_L4 + TIMES or m.next != NULL or m.ol_flags & NOT_PLAIN != ZERO:
        return LONG_WAY
    kind = load64(memory, at + 8)
    second = load64(memory, at + 16)
    ack = load64(memory, at + 40)
    options = ZERO
    more = ZERO
    header = tcp.LENGTH
    if ack & SAID_BITS == SAID_TIMES:
        header = TIMES
        options = load64(memory, at + PLAIN_L4 + tcp.LENGTH)
        more = u64(load32(memory, at + PLAIN_L4 + tcp.LENGTH + 8))
    elif ack & SAID_BITS != SAID_BARE:
        return LONG_WAY
    if kind & TYPE_BITS != TYPE_IS or second & FRAG_BITS != FRAG_IS or i64(second >> TOTAL_SHIFT) != size - ETH_LENGTH:
        return LONG_WAY
    ports = load64(memory, at + PLAIN_L4)
    seq = i64(ports & LOW)
    ports = ports & HIGH | ack >> SHIFT_16 & LOW
    addresses = load64(memory, at + ETH_LENGTH + SRC)
    ctx = spot | u64(header) << HEADER_SHIFT | OUTER_DF | second >> DF_SHIFT & DF
    h = hash_of(addresses ^ ctx, ports)
    n = bucket_of(h)
    end = n + WAYS
    while to.gro.items[n].hash != h or to.gro.items[n].next_seq != seq:
        if to.gro.items[n].hash == ZERO:
            new_item(to.gro.items[n], i, h, (load64(memory, at), kind >> SHIFT_32, addresses, ports, options, more), ctx)
            begin_plain(to.gro.items[n], i, m, seq, size - PLAIN_L4 - header)
            ids = second >> ID_SHIFT & ID_BITS
            to.gro.items[n].w[7] = ids | ids << SHIFT_32
            return n
        n += 1
        if n == end or to.gro.items[n - 1].hash == h:  # of this flow, but not right before: what to do with it the long way decides
            return LONG_WAY
    item = to.gro.items[n]
    if item.first == NULL:
        return LONG_WAY
    w = item.w
    unlike = (w[0] ^ load64(memory, at)) | (w[1] ^ kind >> SHIFT_32) | (w[2] ^ addresses) | (w[3] ^ ports)
    unlike = unlike | (w[4] ^ options) | (w[5] ^ more) | (w[6] ^ ctx)
    ids = second >> ID_SHIFT & ID_BITS
    if unlike != ZERO or item.why != 0 or (ctx & DF == ZERO and i64(ids) != (i64(w[7] & ID_BITS) + 1) & MASK_16):
        return LONG_WAY
    head = to.mbufs[item.first]
    length = size - PLAIN_L4 - header
    if head.nb_segs >= most or head.pkt_len + length > MOST_IP + ETH_LENGTH:
        return LONG_WAY
    w[7] = w[7] & ~ID_BITS | ids
    head.nb_segs += 1
    head.pkt_len += length
    m.data_off += PLAIN_L4 + header
    m.data_len = length
    append_one(to, item, i, length)
    return MERGED


def append_one(to, item, i, length):
    """Hang one segment behind an item's."""
    to.mbufs[item.last].next = i
    item.last = i
    item.next_seq = item.next_seq + length
    item.total += length
    item.packets += 1
    if length > item.first_len:
        item.first_len = length


def begin_plain(item, i, m, seq, length):
    """Write into an item, and into its first mbuf, where headers and payload end."""
    m.l2_len = ETH_LENGTH
    m.l3_len = IPV4_LENGTH
    m.l4_len = m.data_len - PLAIN_L4 - length
    item.kind = DPDK_PLAIN
    item.ack = i64(item.w[3])
    item.last = i
    item.next_seq = seq + length
    item.total = length
    item.first_len = length
