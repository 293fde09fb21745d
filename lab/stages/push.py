"""Put tunnel headers before the packets of a tunnel port's batch, and pass them on to the batch of the port that the route leads to.

It stands where other ports transmit. The headers are written once for all packets that take the same tunnel and copied before
each. When the other batch is full the stage stops; the conductor sends that one first and calls again. A next hop that nobody
knows is asked for, and the packet is lost, as on a router; a packet larger than the path is lost too, and its sender told.
"""

from lab.memory.mbuf import GSO, MAX_SEGMENTS, TUNNEL
from lab.memory.mempool import give_one, take
from lab.memory.raw import apart, i64
from lab.memory.reasons import (
    BAD_TUNNEL,
    LINK_DOWN,
    NEIGHBOUR_ASKED,
    NO_HEADROOM,
    NO_NEIGHBOUR,
    POOL_EMPTY,
    PORT_REMOVED,
    PULLED_UP,
    PUSHED,
    RING_FULL,
    TOO_BIG_TOLD,
    TUNNEL_TOO_BIG,
)
from lab.memory.record import NULL
from lab.offload.records import TP_CSUM, TP_KEY_FLOW, TP_PMTUD, TP_REMOTE_FLOW
from lab.offload.tunnel.encap import (
    INNER_HEADERS,
    MOST_TOTAL,
    RARE,
    UNFINISHED,
    ZERO,
    bring_together,
    fill_in,
    fill_in_tunnel,
    has_room,
    in_front,
    ip_inside,
    move_marks,
    put_form,
    segment_length,
    service_of,
    shorten,
    sum_now,
    type_inside,
)
from lab.offload.tunnel.form import ETH_LENGTH, asker_of, hop_of, make_form, same_way, takes_ip
from lab.offload.tunnel.inside import BRIDGED
from lab.offload.tunnel.messages import REQUEST, arp_message, solicitation
from lab.offload.tunnel.options import MAPPED
from lab.offload.tunnel.too_big import told_mtu, too_big
from lab.offload.tunnel.way import may_ask
from lab.stages.actions import send_alone
from lab.stages.burst import ROOM, drop, explain
from lab.stages.stage import stage


@stage
def push(bursts, port_stats, carrying):
    """Put tunnel headers on an output batch, and pass it on to the port that the route leads to."""
    burst = bursts[0]
    mbufs = carrying.mbufs
    here = carrying.lane[0].out
    t = carrying.tunnel_ports[here]
    form = take(carrying.pool, mbufs)
    if form == NULL:
        drop_rest(burst, mbufs)
        return
    f = mbufs[form]
    varies = t.marks & (TP_KEY_FLOW | TP_REMOTE_FLOW) != 0 or t.options[MAPPED] != ZERO
    stats = port_stats[here]
    made = NULL
    why = 0
    done = 0
    total = 0
    first = burst.first
    k = first
    while k < burst.n:
        i = burst.pkt[k]
        if made == NULL or (varies and same_way(carrying, i, made) == 0):
            why = get_form(carrying, t, f, i)
            made = i
        reason = why
        length = mbufs[i].pkt_len
        if why == 0:
            if carrying.outs[f.in_port].n == ROOM:
                break
            reason = pass_on(carrying, t, f, i, stats.tx_packets + done)
        if reason == 0:
            done += 1
            total += length
        else:
            lose(carrying, burst, k, f, reason)
        k += 1
    burst.first = k
    give_one(carrying.pool, mbufs, form)
    stats.tx_packets += done
    stats.tx_bytes += total
    stats.tx_drops += k - first - done
    carrying.reasons[PUSHED].count += done


@apart
def drop_rest(burst, mbufs):
    """Without an mbuf for the form nothing can go."""
    for k in range(burst.first, burst.n):
        drop(burst, mbufs[burst.pkt[k]], k, POOL_EMPTY, 0, 0)
    burst.first = burst.n


@apart
def get_form(c, t, f, i):
    """The form for a packet's tunnel: 0, or why the packet cannot go; a next hop that nobody knows is asked for."""
    here = c.ports[c.lane[0].out]
    if here.kind == 0 or t.kind == 0:
        return PORT_REMOVED
    if here.up == 0:
        return LINK_DOWN
    why = make_form(c, t, f, i)
    if why == NO_NEIGHBOUR:
        ask(c, f, i)
    return why


def full(c, port):
    """Whether a port's batch has no room for a message of the switch's own, which is lost then and counted."""
    if c.outs[port].n < ROOM:
        return False
    c.reasons[RING_FULL].count += 1
    return True


def ask(c, f, i):
    """Send a question for the next hop's MAC address, once in a while."""
    port = f.in_port
    high, low = hop_of(c.memory, f)
    if full(c, port) or may_ask(c, f.l3_len, port, high, low) == 0:
        return
    own_high, own_low = asker_of(c.memory, f)
    if f.l3_len == 4:
        j = arp_message(c, REQUEST, c.ports[port].mac, i64(own_low), (i64(low), ZERO))
    else:
        j = solicitation(c, c.ports[port].mac, (own_high, own_low), (high, low))
    if j == NULL:
        return
    c.mbufs[j].serial = c.mbufs[i].serial
    send_alone(c.outs, c.lane, port, j, c.mbufs[j])
    c.reasons[NEIGHBOUR_ASKED].count += 1
    explain(c.trace, c.mbufs[i], NEIGHBOUR_ASKED, port, 0)


def pass_on(c, t, f, i, number):
    """Put the form before a packet and pass it on: 0, or why it cannot go. `number`: of the packets that this lane has pushed here."""
    m = c.mbufs[i]
    if m.next != NULL and m.data_len < INNER_HEADERS:
        pull_together(c, i)
    ip = ip_inside(c, m)
    strip = 0
    named = BRIDGED
    if takes_ip(t):
        strip = ip
        named = type_inside(c.memory, m, ip)
    grown = f.data_len - strip
    if m.ol_flags & RARE != ZERO or ip == 0 or m.pkt_len + grown - ETH_LENGTH > c.ports[f.in_port].mtu:
        why = examine(c, t, f, i, ip)
        if why != 0:
            return why
    tos, ttl = service_of(c.memory, m, ip)
    if strip != 0:
        shorten(m, strip)
    if not has_room(m, f.data_len):
        i = in_front(c, i, f.data_len)
        if i == NULL:
            m.reason_a = f.data_len
            if m.nb_segs < MAX_SEGMENTS:
                return POOL_EMPTY
            return NO_HEADROOM
        m = c.mbufs[i]
    put_form(c.memory, f, m)
    fill_in(c, t, f, m, (tos, ttl, number & 0xFFFF))
    source = fill_in_tunnel(c, t, f, m, named)
    if ip != 0:
        ip += grown
    move_marks(m, t, grown, ip)
    if ip == 0 and t.marks & TP_CSUM != 0:
        sum_now(c, t, f, i)
    send_alone(c.outs, c.lane, f.in_port, i, m)
    explain(c.trace, m, PUSHED, f.data_len, source)
    return 0


@apart
def pull_together(c, i):
    """The headers of a packet in segments, in one piece."""
    m = c.mbufs[i]
    segments = m.nb_segs
    n = bring_together(c, i)
    if n != 0:
        c.reasons[PULLED_UP].count += 1
        explain(c.trace, m, PULLED_UP, segments - m.nb_segs + 1, n)


@apart
def examine(c, t, f, i, ip):
    """A packet that is large, in a tunnel already, or no IP: 0, or why it cannot go."""
    m = c.mbufs[i]
    flags = m.ol_flags
    grown = f.data_len - ETH_LENGTH
    m.reason_b = t.kind
    if takes_ip(t):
        grown -= ip
        if ip == 0:
            m.reason_a = 0
            return BAD_TUNNEL
    if flags & UNFINISHED != ZERO and (ip == 0 or flags & TUNNEL != ZERO):
        m.reason_a = i64(flags & UNFINISHED)
        return BAD_TUNNEL
    length = m.pkt_len
    m.reason_b = MOST_TOTAL
    if flags & GSO != ZERO and length + grown <= MOST_TOTAL:
        longest = segment_length(c, m)
        if longest == 0:
            m.reason_a = 0
            return BAD_TUNNEL
        if longest < length:
            length = longest
    m.reason_a = length + grown
    if length + grown > MOST_TOTAL:
        return TUNNEL_TOO_BIG
    m.reason_b = c.ports[f.in_port].mtu
    if length + grown > c.ports[f.in_port].mtu:
        return TUNNEL_TOO_BIG
    return 0


@apart
def lose(c, burst, k, f, reason):
    """Drop a packet; the sender of one that is larger than the path is told, if the port's settings say so."""
    i = burst.pkt[k]
    m = c.mbufs[i]
    drop(burst, m, k, reason, m.reason_a, m.reason_b)
    t = c.tunnel_ports[c.lane[0].out]
    port = m.in_port
    if reason != TUNNEL_TOO_BIG or t.marks & TP_PMTUD == 0 or port == 0 or port == c.lane[0].out:
        return
    if port >= len(c.ports) or c.ports[port].kind == 0 or full(c, port):
        return
    ip = ip_inside(c, m)
    mtu = c.ports[f.in_port].mtu - f.data_len + ETH_LENGTH
    if not takes_ip(t):
        mtu -= ip
    mtu = told_mtu(c.memory, m, ip, mtu)
    j = too_big(c, i, ip, mtu)
    if j == NULL:
        return
    send_alone(c.outs, c.lane, port, j, c.mbufs[j])
    c.reasons[TOO_BIG_TOLD].count += 1
    explain(c.trace, m, TOO_BIG_TOLD, mtu, 0)
