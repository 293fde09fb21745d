"""Where tunnels end: addresses as words, the tunnel port that takes a packet, and what is noted of the tunnel it came through.

Called by `pop` when the outer headers are known. Of several ports the most exact one takes the packet, in the order of OVS's
tunnel ports: its key counts most, then its remote address, then its local one.
"""

import numpy as np

from lab.memory.raw import apart, load16, load32, load64, u64
from lab.offload.layers import FRAG_ANY, GRE_PROTO
from lab.offload.records import GRE, NO_TUNNEL, TP_KEY_FLOW, TP_REMOTE_FLOW, TP_V6
from lab.packet.headers import ipv4, ipv6, udp
from lab.packet.headers.ipv4 import get_tos as ipv4_get_tos
from lab.packet.headers.ipv4 import get_ttl as ipv4_get_ttl
from lab.packet.headers.ipv6 import get_tos as ipv6_get_tos
from lab.packet.headers.ipv6 import get_ttl as ipv6_get_ttl

# words of `tunnels[i].w`: those of the flow key from its word W_TUN_ID on
TUN_ID, TUN_IPV4, TUN_IPV6_SRC, TUN_IPV6_DST, TUN = 0, 1, 2, 4, 6
F_OAM, F_DF, F_CSUM, F_KEY = 1, 2, 4, 8  # tun_flags as in OVS, the low bits of word TUN
TOS_AT, TTL_AT, HALF = np.uint64(16), np.uint64(24), np.uint64(32)
ZERO = np.uint64(0)
IPV4_SOURCE, IPV4_DESTINATION, IPV6_SOURCE, IPV6_DESTINATION = ipv4.SRC, ipv4.DST, ipv6.SRC, ipv6.DST
LOW = np.uint64(0xFFFFFFFF)


def source_of(memory, m, s):
    """The outer source address in two words, as settings hold it: IPv4 in the low half of the second."""
    at = m.buf + m.data_off + s.ip
    if s.v == 4:
        return ZERO, u64(load32(memory, at + IPV4_SOURCE))
    return load64(memory, at + IPV6_SOURCE), load64(memory, at + IPV6_SOURCE + 8)


def destination_of(memory, m, s):
    """The outer destination address in two words."""
    at = m.buf + m.data_off + s.ip
    if s.v == 4:
        return ZERO, u64(load32(memory, at + IPV4_DESTINATION))
    return load64(memory, at + IPV6_DESTINATION), load64(memory, at + IPV6_DESTINATION + 8)


def is_own(memory, m, s, own):
    """Whether the outer destination is one of a port's own addresses."""
    high, low = destination_of(memory, m, s)
    if s.v == 4:
        return own.ip != 0 and low == u64(own.ip)
    return (high | low) != ZERO and high == own.ip6[0] and low == own.ip6[1]


def any_tunnel(tunnel_ports):
    """Whether the switch has a tunnel port at all."""
    for p in range(len(tunnel_ports)):
        if tunnel_ports[p].kind != NO_TUNNEL:
            return 1
    return 0


@apart
def first_port(memory, m, s, tunnel_ports):
    """The first port that listens where a packet goes, which says its kind, 0 for none; ports may listen where they like."""
    if s.frag & FRAG_ANY != 0 or (s.proto != GRE_PROTO and s.l4_len == 0):
        return 0
    wanted = 0
    if s.proto == ipv4.UDP:
        wanted = load16(memory, m.buf + m.data_off + s.l4 + udp.DST)
    elif s.proto != GRE_PROTO:
        return 0
    for p in range(1, len(tunnel_ports)):
        t = tunnel_ports[p]
        if t.kind != NO_TUNNEL and (t.kind == GRE) == (s.proto == GRE_PROTO) and (t.kind == GRE or t.dst_port == wanted):
            return p
    return 0


@apart
def port_for(c, m, s, first, key):
    """The tunnel port that takes a packet, 0 for none; `first` is the first that may."""
    found = 0
    best = -1
    kind = c.tunnel_ports[first].kind
    for p in range(first, len(c.tunnel_ports)):
        t = c.tunnel_ports[p]
        if t.kind == kind:
            n = exactness(c.memory, m, s, t, key)
            if n > best:
                best = n
                found = p
    return found


def exactness(memory, m, s, t, key):
    """How exactly a tunnel port's settings name a packet: -1 when they name another."""
    n = 0
    if t.kind != GRE and t.dst_port != load16(memory, m.buf + m.data_off + s.l4 + udp.DST):
        return -1
    if t.marks & TP_KEY_FLOW == 0:
        if t.key != key:
            return -1
        n += 4
    high, low = source_of(memory, m, s)
    if t.marks & TP_REMOTE_FLOW == 0:
        if (t.marks & TP_V6 != 0) != (s.v == 6) or t.remote[0] != high or t.remote[1] != low:
            return -1
        n += 2
    if (t.local[0] | t.local[1]) != ZERO:
        high, low = destination_of(memory, m, s)
        if t.local[0] != high or t.local[1] != low:
            return -1
        n += 1
    return n


def note(memory, m, s, w):
    """Write the outer addresses, TOS and TTL into the words of a packet's tunnel; flags and key are the caller's."""
    at = m.buf + m.data_off + s.ip
    for j in range(TUN + 1):
        w[j] = ZERO
    if s.v == 4:
        w[TUN_IPV4] = load64(memory, at + IPV4_SOURCE)
        w[TUN] = u64(ipv4_get_tos(memory, at)) << TOS_AT | u64(ipv4_get_ttl(memory, at)) << TTL_AT
        return
    for j in range(4):
        w[TUN_IPV6_SRC + j] = load64(memory, at + IPV6_SOURCE + 8 * j)
    w[TUN] = u64(ipv6_get_tos(memory, at)) << TOS_AT | u64(ipv6_get_ttl(memory, at)) << TTL_AT
