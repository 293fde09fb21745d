"""What the switch hears of its neighbours on the ports that tunnels lead through, and what it is asked: ARP and neighbour discovery.

`pop` calls it for untagged messages. A neighbour is learned from what it says to the switch itself; what it says unasked, only
when somebody knows it or has asked. What cannot be true (an address of a group or of the switch itself, a hop limit below 255, a
wrong checksum) teaches nothing.
"""

import numpy as np

from lab.memory.raw import apart, load8, sum16, u64
from lab.memory.record import NULL
from lab.offload.tunnel.messages import REPLY, REQUEST, advertisement, arp_message
from lab.offload.tunnel.way import is_known, learn
from lab.packet.checksum import ONES, fold, pseudo_ipv6
from lab.packet.headers import ethernet, icmpv6, ipv6
from lab.packet.headers.arp import check as check_arp
from lab.packet.headers.arp import get_op, get_sha, get_spa, get_tpa
from lab.packet.headers.ethernet import get_src as get_link_source
from lab.packet.headers.icmpv6 import check_target, get_target, get_type, link_addresses
from lab.packet.headers.ipv6 import get_dst, get_payload, get_src

ZERO, GROUP_BIT = np.uint64(0), np.uint64(1 << 40)


def is_station(mac):
    """Whether an address may be one neighbour's."""
    return mac != ZERO and mac & GROUP_BIT == ZERO


@apart
def hear_arp(c, i, port):
    """An ARP message came in through a port: (the answer's mbuf or NULL, 1 when a neighbour was learned)."""
    m = c.mbufs[i]
    at = m.buf + m.data_off + ethernet.LENGTH
    own = c.addresses[port].ip
    if own == 0 or check_arp(c.memory, at, m.data_len - ethernet.LENGTH) == 0:
        return NULL, 0
    op, sender, mac = get_op(c.memory, at), get_spa(c.memory, at), get_sha(c.memory, at)
    if (op != REQUEST and op != REPLY) or not is_station(mac) or sender == own:
        return NULL, 0
    mine = get_tpa(c.memory, at) == own
    news = 0
    if sender != 0 and (mine or is_known(c.neighbours, 4, port, ZERO, u64(sender)) != 0):
        news = learn(c, 4, port, (ZERO, u64(sender), mac))
    if mine and op == REQUEST:
        return arp_message(c, REPLY, c.ports[port].mac, own, (sender, mac)), news
    return NULL, news


@apart
def hear_nd(c, i, port):
    """A message of neighbour discovery came in through a port: (the answer's mbuf or NULL, 1 when a neighbour was learned)."""
    m = c.mbufs[i]
    ip_at = m.buf + m.data_off + ethernet.LENGTH
    at = ip_at + ipv6.LENGTH
    own = c.addresses[port].ip6
    left = m.data_len - ethernet.LENGTH - ipv6.LENGTH
    if (own[0] | own[1]) == ZERO or is_sound_nd(c.memory, ip_at, left) == 0:
        return NULL, 0
    high, low = get_target(c.memory, at)
    sound, source, target = link_addresses(c.memory, at, get_payload(c.memory, ip_at))
    if sound == 0:
        return NULL, 0
    mine = high == own[0] and low == own[1]
    if get_type(c.memory, at) == icmpv6.NEIGHBOUR_ADVERT:
        if mine or not is_station(target):
            return NULL, 0
        to_high, to_low = get_dst(c.memory, ip_at)
        if (to_high == own[0] and to_low == own[1]) or is_known(c.neighbours, 6, port, high, low) != 0:
            return NULL, learn(c, 6, port, (high, low, target))
        return NULL, 0
    return hear_question(c, i, port, source)


def is_sound_nd(memory, ip_at, left):
    """Whether it is a solicitation or advertisement that nobody can have sent from afar, whole and with a right checksum."""
    if left < icmpv6.ND_OPTIONS or load8(memory, ip_at + ipv6.NEXT) != ipv6.ICMPV6 or load8(memory, ip_at + ipv6.TTL) != 255:
        return 0
    n = get_payload(memory, ip_at)
    at = ip_at + ipv6.LENGTH
    if n > left or check_target(memory, at, n) == 0 or options_hold(memory, at, n) == 0:
        return 0
    if fold(pseudo_ipv6(memory, ip_at, ipv6.ICMPV6, n) + sum16(memory, at, n)) != ONES:
        return 0
    return 1


def options_hold(memory, at, n):
    """1 when every option of a message of `n` bytes says its length truly; a message with any other is nobody's."""
    off = icmpv6.ND_OPTIONS
    while off + 2 <= n:
        length = load8(memory, at + off + icmpv6.OPTION_LEN) * 8
        if length == 0:
            return 0
        off += length
    if off != n:
        return 0
    return 1


def hear_question(c, i, port, source):
    """A solicitation: answered when it asks for the port's own address."""
    m = c.mbufs[i]
    ip_at = m.buf + m.data_off + ethernet.LENGTH
    own = c.addresses[port].ip6
    asker_high, asker_low = get_src(c.memory, ip_at)
    high, low = get_target(c.memory, ip_at + ipv6.LENGTH)
    if high != own[0] or low != own[1] or (asker_high == own[0] and asker_low == own[1]):
        return NULL, 0
    news = 0
    mac = source
    if mac == ZERO:
        mac = get_link_source(c.memory, ip_at - ethernet.LENGTH)
    if not is_station(mac):
        return NULL, 0
    if (asker_high | asker_low) != ZERO and source != ZERO:
        news = learn(c, 6, port, (asker_high, asker_low, mac))
    return advertisement(c, c.ports[port].mac, (high, low), (asker_high, asker_low, mac)), news
