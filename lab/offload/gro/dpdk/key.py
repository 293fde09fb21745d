"""Profile `dpdk`: the key of a packet, and whether what is held has the same.

Eight words of an item hold MAC addresses, IP addresses, ports, acknowledgement number, options and the *context*: where
it stands, DF bits, the length of its TCP header; the eighth is left to IPv4 ids. What the words do not hold (tags, IPv6,
outer headers, long options) is compared with the bytes of the packet that is held. TTL, TOS and IPv4 options are no part
of it.
"""

import numpy as np

from lab.memory.raw import apart, load8, load16, load32, load64, same_words, u64
from lab.offload.gro.equal import same_bytes
from lab.offload.gro.table import FIRST_OF_DPDK, ID_UNDECIDED
from lab.packet.headers import tcp
from lab.packet.headers.ipv4 import SRC as IPV4_SRC
from lab.packet.headers.ipv6 import DST as IPV6_DST
from lab.packet.headers.ipv6 import NEXT
from lab.packet.headers.ipv6 import SRC as IPV6_SRC
from lab.packet.headers.udp import DST as UDP_DST
from lab.packet.headers.udp import LENGTH as UDP_LENGTH

MASK_16 = 0xFFFF
ZERO, HALF = np.uint64(0), np.uint64(32)
ALL_BUT_CLASS = 0xF00FFFFF  # of an IPv6 header's first 32 bits
# The context: its high half says where the packet stands (`place_of`)
DF, OUTER_DF = np.uint64(1), np.uint64(2)  # the IPv4 id says nothing, or there is none
DEEP = np.uint64(4)  # more must be equal than the words hold
V6, IN_VXLAN = np.uint64(8), np.uint64(16)
FROM_TUNNEL = np.uint64(32)  # `tunnels` says which
FRAGMENT = np.uint64(64)  # an item of IP fragments
HEADER_SHIFT = np.uint64(8)  # bits 8 to 15: the length of the TCP header
# `where`: offsets of the Ethernet header that counts, of its IP and TCP, and of the outermost IP; lengths of TCP header and
# payload; the TCP flags; the IPv4 id, the outer one in the high half
TO, IP, L4, NET, HEADER, LENGTH, SAID, IDS = range(8)


def key_of(memory, at, where, ctx):
    """The words of a packet's key but for the context."""
    ip = at + where[IP]
    l4 = at + where[L4]
    addresses = load64(memory, ip + IPV4_SRC)
    if ctx & V6 != ZERO:
        addresses = load64(memory, ip + IPV6_SRC + 8) ^ load64(memory, ip + IPV6_DST + 8)
    options = ZERO
    more = ZERO
    if where[HEADER] == tcp.LENGTH + 12:  # as with timestamps
        options = load64(memory, l4 + tcp.LENGTH)
        more = u64(load32(memory, l4 + tcp.LENGTH + 8))
    elif where[HEADER] != tcp.LENGTH:
        options = u64(load32(memory, l4 + tcp.LENGTH))
    macs = u64(load32(memory, at + where[TO] + 8))
    ports = u64(load32(memory, l4)) << HALF | u64(load32(memory, l4 + tcp.ACK))
    return load64(memory, at + where[TO]), macs, addresses, ports, options, more


def same_key(item, key, ctx):
    """Whether an item has a packet's key."""
    w = item.w
    unlike = (w[0] ^ key[0]) | (w[1] ^ key[1]) | (w[2] ^ key[2]) | (w[3] ^ key[3]) | (w[4] ^ key[4]) | (w[5] ^ key[5]) | (w[6] ^ ctx)
    return unlike == ZERO and item.kind >= FIRST_OF_DPDK


@apart
def alike(to, item, i, where, ctx):
    """1 when all that must be equal and that the words do not hold is: tunnels, tags, outer headers, IPv6, long options."""
    memory = to.memory
    m = to.mbufs[i]
    held = to.mbufs[item.first]
    a = m.buf + m.data_off
    b = held.buf + held.data_off
    if held.l2_len != where[IP] or same_bytes(memory, a, b, where[NET]) == 0:
        return 0
    if ctx & FROM_TUNNEL != ZERO and same_tunnel(to, i, item.first) == 0:
        return 0
    if ctx & IN_VXLAN != ZERO and same_outer(memory, a, b, where, ctx) == 0:
        return 0
    if ctx & V6 != ZERO and (held.l3_len != where[L4] - where[IP] or same_ipv6(memory, a + where[IP], b + where[IP], held.l3_len) == 0):
        return 0
    return same_bytes(memory, a + where[L4] + tcp.LENGTH, b + held.l2_len + held.l3_len + tcp.LENGTH, where[HEADER] - tcp.LENGTH)


def same_tunnel(to, i, j):
    """Whether two packets came out of one tunnel."""
    if same_words(to.tunnels[i].w, to.tunnels[j].w) and to.tunnels[i].opt0 == to.tunnels[j].opt0:
        return 1
    return 0


def same_outer(memory, a, b, where, ctx):
    """Whether outer addresses and ports, the VXLAN header and the inner Ethernet header are equal."""
    net = where[NET]
    if load8(memory, a + net) != load8(memory, b + net) or load64(memory, a + net + IPV4_SRC) != load64(memory, b + net + IPV4_SRC):
        return 0
    udp = net + (load8(memory, a + net) & 15) * 4
    if load16(memory, a + udp + UDP_DST) != load16(memory, b + udp + UDP_DST):
        return 0
    if ctx & FRAGMENT == ZERO and load16(memory, a + udp) != load16(memory, b + udp):
        return 0  # of fragments the first alone has ports, so a hash of them may differ
    return same_bytes(memory, a + udp + UDP_LENGTH, b + udp + UDP_LENGTH, where[IP] - udp - UDP_LENGTH)


def same_ipv6(memory, a, b, length):
    """Whether two IPv6 headers are equal but for class, length and hop limit."""
    if (load32(memory, a) ^ load32(memory, b)) & ALL_BUT_CLASS != 0 or load8(memory, a + NEXT) != load8(memory, b + NEXT):
        return 0
    return same_bytes(memory, a + IPV6_SRC, b + IPV6_SRC, length - IPV6_SRC)


def new_item(item, i, h, key, ctx):
    """Write the key of a packet into the item that it begins."""
    item.first = i
    item.hash = h
    item.packets = 1
    item.why = 0
    item.id_rule = ID_UNDECIDED
    item.outer_id_rule = ID_UNDECIDED
    w = item.w
    w[0] = key[0]
    w[1] = key[1]
    w[2] = key[2]
    w[3] = key[3]
    w[4] = key[4]
    w[5] = key[5]
    w[6] = ctx
