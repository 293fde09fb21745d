"""Whether a packet goes into what is held of its flow, and how it does, in the general way of profile `linux`.

The rules are the kernel's: what differs, the order of the segments, payload no longer than the first, IPv4 ids that stay or
count, in each IP header by itself, and no more than 64 KB, 64 mbufs and, of UDP, 64 datagrams.
"""

from lab.memory.mbuf import MAX_SEGMENTS
from lab.memory.mempool import give
from lab.memory.raw import apart, load16
from lab.memory.reasons import (
    F_ACK,
    F_CHAIN,
    F_CWR,
    F_FLAGS,
    F_FULL,
    F_GAP,
    F_GONE,
    F_ID,
    F_LONGER,
    F_OPTIONS,
    F_ORDER,
    F_URGENT,
    F_WINDOW,
    GRO_MERGED,
)
from lab.memory.record import NULL
from lab.offload.gro.equal import same_bytes
from lab.offload.gro.linux.flows import differs, link_end
from lab.offload.gro.linux.tcp import close, id_after
from lab.offload.gro.table import ACKS, FIRST_OF_DPDK, ID_UNDECIDED, MOST_IP, last_of, rule_port_of, tell
from lab.packet.headers.ipv4 import ID, TCP
from lab.packet.headers.tcp import CWR, FIN, LENGTH, PSH, URGENT, WINDOW, get_ack, get_flags, get_seq

MOST_DATAGRAMS = 64
MAY_DIFFER = PSH | FIN


@apart
def parted_by(to, n, i, place):
    """Why a packet cannot go into item `n`: OTHER when it is of another flow, or a reason to let go of the item; 0 when it can."""
    item = to.gro.items[n]
    if item.kind >= FIRST_OF_DPDK:
        return F_GONE
    why = differs(to, item, i, place)
    if why != 0:
        return why
    if item.kind == ACKS:
        return F_ORDER
    s = to.sight[0]
    h = to.sight[1]
    m = to.mbufs[i]
    head = to.mbufs[item.first]
    payload = s.end - s.payload
    if s.proto == TCP:
        why = tcp_differs(to.memory, m.buf + m.data_off + s.l4, head.buf + head.data_off + h.l4, s.l4_len)
        if why == 0 and item.next_seq != get_seq(to.memory, m.buf + m.data_off + s.l4):
            why = F_GAP
    if why != 0:
        return why
    if payload > item.first_len:
        return F_LONGER
    if s.v == 4 and rule_after(to, item, m, s.ip, item.id_rule) == ID_UNDECIDED:
        return F_ID
    if s.outer_v == 4 and rule_after(to, item, m, s.outer_ip, item.outer_id_rule) == ID_UNDECIDED:
        return F_ID
    if head.pkt_len + payload - link_end(s) > MOST_IP:
        return F_FULL
    if head.nb_segs + m.nb_segs > MAX_SEGMENTS:
        return F_CHAIN
    return 0


def rule_after(to, item, m, ip, rule):
    """How the ids of an IPv4 header go on, which stands at the same place in the first packet."""
    head = to.mbufs[item.first]
    first = load16(to.memory, head.buf + head.data_off + ip + ID)
    return id_after(rule, first, load16(to.memory, m.buf + m.data_off + ip + ID), item.packets)


def tcp_differs(memory, a, b, length):
    """Why two TCP headers part a flow, or 0, in the order in which the kernel asks."""
    flags = get_flags(memory, a)
    other = get_flags(memory, b)
    if (flags | other) & CWR != 0:
        return F_CWR
    if load16(memory, a + 12) >> 12 != load16(memory, b + 12) >> 12:
        return F_OPTIONS
    if (flags ^ other) & ~MAY_DIFFER != 0:
        return F_FLAGS
    if get_ack(memory, a) != get_ack(memory, b):
        return F_ACK
    if load16(memory, a + WINDOW) != load16(memory, b + WINDOW):
        return F_WINDOW
    if same_bytes(memory, a + LENGTH, b + LENGTH, length - LENGTH) == 0:
        return F_OPTIONS
    if load16(memory, a + URGENT) != load16(memory, b + URGENT):
        return F_URGENT
    return 0


@apart
def merge(to, n, i, place):
    """Append a packet, without its headers, to what item `n` holds; if nothing can follow it, the item leaves."""
    item = to.gro.items[n]
    s = to.sight[0]
    m = to.mbufs[i]
    payload = s.end - s.payload
    if s.v == 4:
        item.id_rule = rule_after(to, item, m, s.ip, item.id_rule)
    if s.outer_v == 4:
        item.outer_id_rule = rule_after(to, item, m, s.outer_ip, item.outer_id_rule)
    ends = 0
    most = to.ports[rule_port_of(place)].gro_most
    if s.proto == TCP:
        ends = get_flags(to.memory, m.buf + m.data_off + s.l4) & MAY_DIFFER
        item.next_seq = (item.next_seq + payload) & 0xFFFFFFFF
    elif most == 0 or most > MOST_DATAGRAMS:
        most = MOST_DATAGRAMS
    tell(to, m, GRO_MERGED, payload, item.packets + 1)
    append(to, item, i, m, s.payload)
    item.total += payload
    if ends != 0 or payload != item.first_len or item.packets == most:
        close(to, n, ends, payload)


def append(to, item, i, m, off):
    """The packet's segments, without its first `off` bytes, behind those of the item; a segment that is empty now goes back."""
    head = to.mbufs[item.first]
    head.pkt_len += m.pkt_len - off
    head.nb_segs += m.nb_segs
    item.packets += 1
    at = i
    if m.data_len == off:
        at = m.next
        head.nb_segs -= 1
        m.next = NULL
        give(to.pool, to.mbufs, i)
    else:
        m.data_off += off
        m.data_len -= off
    to.mbufs[item.last].next = at
    item.last = last_of(to, at)
