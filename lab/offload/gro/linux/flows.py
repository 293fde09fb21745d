"""Which flow a packet is of, and whether another packet of that flow differs in what must be equal to be one with it.

For the general way of profile `linux`: the headers of a packet are compared with those of the first that an item holds, as
they lie in memory. Two sights are needed: `sight[0]` is the packet's, `sight[1]` the first one's.
"""

import numpy as np

from lab.memory.mbuf import TUN_META
from lab.memory.raw import apart, load8, load16, load32, load64, u64
from lab.memory.reasons import F_DF, F_LABEL, F_OUTER, F_TOS, F_TTL
from lab.offload.gro.equal import same_bytes
from lab.offload.gro.finish import GRE_HAS_CHECKSUM
from lab.offload.gro.table import PLAIN, hash_of, same_place
from lab.offload.layers import look
from lab.offload.records import INGRESS_SIDE
from lab.packet.headers.gre import HAS_KEY, key_at
from lab.packet.headers.ipv4 import FRAG, SRC, TOS, TTL, UDP
from lab.packet.headers.ipv6 import FLOW, NEXT
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import SRC as IPV6_SRC
from lab.packet.headers.ipv6 import TTL as IPV6_TTL
from lab.packet.headers.udp import CHECKSUM as UDP_CHECKSUM
from lab.packet.headers.udp import LENGTH as UDP_LENGTH

OTHER = -1  # of another flow
ZERO, HALF = np.uint64(0), np.uint64(32)
CLASS_MASK = 0x0FF00000
TUNNEL_WORDS = 7
VNI = 4


def addresses_word(memory, ip, version):
    """Both addresses of a header in one word; of IPv4 exactly."""
    if version == 4:
        return load64(memory, ip + SRC)
    at = ip + IPV6_SRC
    return hash_of(hash_of(load64(memory, at), load64(memory, at + 8)), hash_of(load64(memory, at + 16), load64(memory, at + 24)))


def tunnel_key(memory, at, s):
    """Which of the networks in a tunnel a packet is of."""
    l4 = at + s.outer_l4
    if s.outer_proto == UDP:
        if s.l2_len < s.outer_l4 + UDP_LENGTH + 8:  # a single MPLS label
            return load32(memory, l4 + UDP_LENGTH) >> 12
        return load32(memory, l4 + UDP_LENGTH + VNI) >> 8
    flags = load16(memory, l4)
    if flags & HAS_KEY == 0:
        return 0
    return load32(memory, l4 + key_at(flags))


@apart
def flow_hash(to, i, m, s, place):
    """The hash of a packet whose ports are known: equal for all of a flow, whichever way finds it."""
    memory = to.memory
    at = m.buf + m.data_off
    h = hash_of(addresses_word(memory, at + s.ip, s.v), u64(load32(memory, at + s.l4)) << HALF | u64(place))
    if m.ol_flags & TUN_META != ZERO:
        h = hash_of(h, to.tunnels[i].w[0])
    if s.outer_v != 0:
        h = hash_of(h, addresses_word(memory, at + s.outer_ip, s.outer_v))
    return h


@apart
def differs(to, item, i, place):
    """OTHER when a packet is of another flow than what an item holds, else why its IP or outer headers part it, or 0."""
    memory = to.memory
    s = to.sight[0]
    h = to.sight[1]
    m = to.mbufs[i]
    head = to.mbufs[item.first]
    if same_place(item, place) == 0 or (item.side == INGRESS_SIDE and m.in_port != head.in_port):
        return OTHER
    look(memory, head, h)
    if s.v != h.v or s.proto != h.proto or s.outer_v != h.outer_v or (s.outer_v != 0 and s.outer_proto != h.outer_proto):
        return OTHER
    a = m.buf + m.data_off
    b = head.buf + head.data_off
    if link_end(s) != link_end(h) or same_bytes(memory, a, b, link_end(s)) == 0:
        return OTHER
    if same_addresses(memory, a + s.ip, b + h.ip, s.v) == 0 or load32(memory, a + s.l4) != load32(memory, b + h.l4):
        return OTHER
    if (m.ol_flags ^ head.ol_flags) & TUN_META != ZERO:
        return OTHER
    why = 0
    if m.ol_flags & TUN_META != ZERO:
        why = metadata_differs(to.tunnels[i], to.tunnels[item.first])
    if s.outer_v != 0 and why == 0:
        why = outer_differs(memory, a, b, s, h)
    if why == 0:
        why = network_differs(memory, a + s.ip, b + h.ip, s, h)
    return why


def link_end(s):
    """Where the outermost IP header begins."""
    if s.outer_v != 0:
        return s.outer_ip
    return s.ip


def same_addresses(memory, a, b, version):
    """1 when two IP headers have the same addresses."""
    if version == 4:
        return same_bytes(memory, a + SRC, b + SRC, 8)
    return same_bytes(memory, a + IPV6_SRC, b + IPV6_SRC, 32)


def metadata_differs(tunnel, other):
    """The same of the tunnels that two packets came out of."""
    if tunnel.w[0] != other.w[0]:
        return OTHER
    for k in range(1, TUNNEL_WORDS):
        if tunnel.w[k] != other.w[k]:
            return F_OUTER
    if tunnel.opt0 != other.opt0:
        return F_OUTER
    return 0


def outer_differs(memory, a, b, s, h):
    """The same of the headers of the tunnel around two packets, all but lengths, checksums and ids."""
    if same_addresses(memory, a + s.outer_ip, b + h.outer_ip, s.outer_v) == 0 or tunnel_key(memory, a, s) != tunnel_key(memory, b, h):
        return OTHER
    if s.outer_ip_len != h.outer_ip_len or s.ip != h.ip:
        return F_OUTER
    if ip_differs(memory, a + s.outer_ip, b + h.outer_ip, s.outer_v, s.outer_ip_len) != 0:
        return F_OUTER
    x = a + s.outer_l4
    y = b + h.outer_l4
    at = 0
    if s.outer_proto == UDP:
        if load32(memory, x) != load32(memory, y):
            return F_OUTER
        if (load16(memory, x + UDP_CHECKSUM) == 0) != (load16(memory, y + UDP_CHECKSUM) == 0):
            return F_OUTER
        at = UDP_LENGTH
    else:
        if load32(memory, x) != load32(memory, y):
            return F_OUTER
        at = 4
        if load16(memory, x) & GRE_HAS_CHECKSUM != 0:
            at = 6
    if same_bytes(memory, x + at, y + at, s.ip - s.outer_l4 - at) == 0:
        return F_OUTER
    return 0


def network_differs(memory, a, b, s, h):
    """Why two IP headers of one flow part it, or 0."""
    if s.ip_len != h.ip_len:
        return F_LABEL
    return ip_differs(memory, a, b, s.v, s.ip_len)


def ip_differs(memory, a, b, version, length):
    """The same of two headers of one length."""
    if version == 4:
        if load8(memory, a + TTL) != load8(memory, b + TTL):
            return F_TTL
        if load8(memory, a + TOS) != load8(memory, b + TOS):
            return F_TOS
        if load16(memory, a + FRAG) != load16(memory, b + FRAG):
            return F_DF
        return 0
    if load8(memory, a + IPV6_TTL) != load8(memory, b + IPV6_TTL):
        return F_TTL
    first = load32(memory, a + FLOW) ^ load32(memory, b + FLOW)
    if first & CLASS_MASK != 0:
        return F_TOS
    if first != 0 or load8(memory, a + NEXT) != load8(memory, b + NEXT):
        return F_LABEL
    if same_bytes(memory, a + IPV6_LENGTH, b + IPV6_LENGTH, length - IPV6_LENGTH) == 0:
        return F_LABEL
    return 0


def outermost_related(to, item, m, s):
    """1 when what an item holds goes between the same two addresses as a packet, as far as anybody can see from outside."""
    memory = to.memory
    a = m.buf + m.data_off + link_end(s)
    version = load8(memory, a) >> 4
    if item.kind == PLAIN:
        if version == 4 and load64(memory, a + SRC) == item.w[2]:
            return 1
        return 0
    h = to.sight[1]
    head = to.mbufs[item.first]
    look(memory, head, h)
    b = head.buf + head.data_off + link_end(h)
    if version != load8(memory, b) >> 4:
        return 0
    return same_addresses(memory, a, b, version)
