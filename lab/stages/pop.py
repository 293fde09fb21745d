"""Take tunnel headers off packets that are for the switch itself, on the ingress arc of a port that has an address.

Behind it a packet has come in through its tunnel port. ARP and neighbour discovery are listened to here as well, and questions
for the port's own address are answered; the messages themselves go on as they are. A switch without tunnel ports does nothing here.
"""

from lab.memory.mempool import give
from lab.memory.raw import apart, load8, load16, load32, load64
from lab.memory.reasons import (
    ADDRESS_ANSWERED,
    ECN_MARKED,
    NEIGHBOUR_LEARNED,
    NOT_POPPED,
    POPPED,
    PULLED_UP,
    RING_FULL,
)
from lab.memory.record import NULL
from lab.offload.tunnel.decap import decapsulate
from lab.offload.tunnel.ends import any_tunnel
from lab.offload.tunnel.heard import hear_arp, hear_nd
from lab.packet.headers.ethernet import ARP, IPV4, IPV6, VLAN, VLAN_SERVICE
from lab.packet.headers.ipv6 import ICMPV6
from lab.stages.actions import send_alone
from lab.stages.burst import ROOM, drop, explain
from lab.stages.stage import stage

TYPE_AT = 12
IPV4_DST_AT, IPV4_END = 30, 34
IPV6_NEXT_AT, IPV6_DST_AT, IPV6_END = 20, 38, 54


def concerns(memory, m, own):
    """Whether a packet may be meant for the switch itself: a quick look, a thorough one follows."""
    if m.data_len < IPV4_END:
        return m.next != NULL
    at = m.buf + m.data_off
    kind = load16(memory, at + TYPE_AT)
    if kind == IPV4:
        return load32(memory, at + IPV4_DST_AT) == own.ip
    if kind == IPV6:
        if m.data_len < IPV6_END:
            return m.next != NULL
        return load64(memory, at + IPV6_DST_AT + 8) == own.ip6[1] or load8(memory, at + IPV6_NEXT_AT) == ICMPV6
    return kind == ARP or kind == VLAN or kind == VLAN_SERVICE


@stage
def pop(bursts, port_stats, carrying):
    """Take tunnel headers off packets that are for the switch itself."""
    burst = bursts[0]
    if any_tunnel(carrying.tunnel_ports) == 0:
        return
    mbufs = carrying.mbufs
    own = carrying.addresses[burst.port]
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        if concerns(carrying.memory, m, own):
            listen(carrying, burst, k)
            take_off(carrying, burst, k, port_stats)


@apart
def listen(c, burst, k):
    """Learn from ARP and neighbour discovery, and answer for the port's own address."""
    i = burst.pkt[k]
    m = c.mbufs[i]
    if m.data_len < IPV4_END:
        return
    at = m.buf + m.data_off
    kind = load16(c.memory, at + TYPE_AT)
    port = burst.port
    answer, news = NULL, 0
    if kind == ARP:
        answer, news = hear_arp(c, i, port)
    elif kind == IPV6 and m.data_len >= IPV6_END and load8(c.memory, at + IPV6_NEXT_AT) == ICMPV6:
        answer, news = hear_nd(c, i, port)
    if news != 0:
        c.reasons[NEIGHBOUR_LEARNED].count += 1
        explain(c.trace, m, NEIGHBOUR_LEARNED, port, 0)
    if answer == NULL:
        return
    if c.outs[port].n == ROOM:
        c.reasons[RING_FULL].count += 1
        give(c.pool, c.mbufs, answer)
        return
    c.mbufs[answer].serial = m.serial
    send_alone(c.outs, c.lane, port, answer, c.mbufs[answer])
    c.reasons[ADDRESS_ANSWERED].count += 1
    explain(c.trace, m, ADDRESS_ANSWERED, port, 0)


@apart
def take_off(c, burst, k, port_stats):
    """Take the tunnel off one packet, if it has one that ends here."""
    i = burst.pkt[k]
    m = c.mbufs[i]
    end = m.data_off + m.data_len
    segments = m.nb_segs
    why = decapsulate(c, i, burst.port)
    if m.data_off + m.data_len > end:
        c.reasons[PULLED_UP].count += 1
        explain(c.trace, m, PULLED_UP, segments - m.nb_segs + 1, m.data_len)
    if why == 0:
        return
    if why != POPPED and why != ECN_MARKED and why != NOT_POPPED:
        drop(burst, m, k, why, m.reason_a, m.reason_b)
        return
    if why == ECN_MARKED:
        c.reasons[ECN_MARKED].count += 1
        explain(c.trace, m, ECN_MARKED, m.reason_a, m.reason_b)
        why = POPPED
    c.reasons[why].count += 1
    explain(c.trace, m, why, m.reason_a, m.reason_b)
    if why == POPPED:
        port_stats[m.in_port].rx_packets += 1
        port_stats[m.in_port].rx_bytes += m.pkt_len
