"""Parse: the first look at a packet. Its headers become a flow key, header lengths and a hash.

The key is the one that OVS's miniflow_extract gives, quirks included: a field that is not wholly there is not
there, a length that lies leaves dl_type alone, padding is never payload. Only the first segment is read. Headers that
its end cuts are pulled up once, and read again; where that cannot be (a buffer that is not the packet's own) they count as
truncated. Nothing is judged or dropped here, and no checksum is looked at.
"""

import numpy as np

from lab.flow.hashing import blocks_in_use, hash_key, mix, words_in_use
from lab.flow.key import (
    BLOCK,
    FRAG_ANY,
    FRAG_LATER,
    NO_TYPE,
    VLAN_PRESENT,
    W_ARP_SHA,
    W_ARP_THA,
    W_DST,
    W_HASH,
    W_IP,
    W_IPV4,
    W_IPV6_DST,
    W_IPV6_SRC,
    W_L4,
    W_LABEL,
    W_MARK,
    W_MPLS,
    W_ND_TARGET,
    W_PORT,
    W_SRC,
    W_TUN_ID,
    W_TUN_OPT,
    W_VLAN,
)
from lab.memory.mbuf import CHAINED, GSO, HASHED, TO_COMPUTE, TUN_META
from lab.memory.raw import apart, clear, i64, load8, load16, load32, load64, u64
from lab.memory.reasons import PARSED, PULLED_UP
from lab.memory.record import NULL
from lab.packet.headers.arp import check as check_arp
from lab.packet.headers.arp import get_op, get_sha, get_spa, get_tha, get_tpa
from lab.packet.headers.ethernet import ARP, IPV4, IPV6, MPLS, MPLS_MULTICAST, RARP, SNAP_LENGTH, TYPE_MIN, VLAN, VLAN_SERVICE, snap_type
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.icmpv6 import LENGTH as ICMP_LENGTH
from lab.packet.headers.icmpv6 import check_target, get_target, link_addresses
from lab.packet.headers.ipv4 import (
    ICMP,
    IGMP,
    MORE_FRAGMENTS,
    OFFSET_MASK,
    SCTP,
    TCP,
    UDP,
    get_frag,
    get_proto,
    get_tos,
    get_total,
    get_ttl,
)
from lab.packet.headers.ipv4 import LENGTH as IPV4_LENGTH
from lab.packet.headers.ipv4 import SRC as IPV4_SRC
from lab.packet.headers.ipv4 import check as check_ipv4
from lab.packet.headers.ipv6 import ICMPV6, check_chain, get_dst, get_label, get_payload, get_src
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import check as check_ipv6
from lab.packet.headers.ipv6 import get_tos as get_tos6
from lab.packet.headers.ipv6 import get_ttl as get_ttl6
from lab.packet.headers.mpls import BOTTOM, get_lse
from lab.packet.headers.mpls import LENGTH as MPLS_LENGTH
from lab.packet.headers.sctp import LENGTH as SCTP_LENGTH
from lab.packet.headers.tcp import FLAGS_MASK, get_flags
from lab.packet.headers.tcp import LENGTH as TCP_LENGTH
from lab.packet.headers.tcp import check as check_tcp
from lab.packet.headers.udp import LENGTH as UDP_LENGTH
from lab.stages.burst import explain
from lab.stages.gather import HEADERS, gather, is_cut
from lab.stages.stage import stage

LONGEST = 0xFFFF + ETH_LENGTH + IPV4_LENGTH  # no longer, and no padding is more than IPv4's length could say
LABELS = 3  # MPLS entries that the key has room for
WANTED = GSO | TO_COMPUTE  # flags that a stage of an egress arc may be there for
TUNNEL = 7  # words of the key, from W_TUN_ID on, that a packet's record in `tunnels` holds
ZERO = np.uint64(0)
SHIFT_16, SHIFT_32, SHIFT_40, SHIFT_48 = np.uint64(16), np.uint64(32), np.uint64(40), np.uint64(48)
BYTE_0, BYTE_1, BYTE_2 = np.uint64(0xFF), np.uint64(0xFF00), np.uint64(0xFF0000)
PORTS = np.uint64(0xFFFFFFFF00000000)
# the first eight bytes of an IPv4 header: neither options nor a fragment
PLAIN_MASK, PLAIN = np.uint64(0x0F00000000003FFF), np.uint64(0x0500000000000000)


def plain_ipv4(memory, m, w, at):
    """The common case, straight on: TCP or UDP in IPv4 without options, unfragmented, untagged, headers in one segment; else 0."""
    first = load64(memory, at + ETH_LENGTH)
    second = load64(memory, at + ETH_LENGTH + 8)
    total = i64(first >> SHIFT_32) & 0xFFFF
    proto = second >> SHIFT_48 & BYTE_0
    if first & PLAIN_MASK != PLAIN:
        return 0
    left = total - IPV4_LENGTH
    if m.pkt_len != m.data_len:  # a chain: its payload goes on in other segments
        if ETH_LENGTH + total > m.pkt_len or m.pkt_len > LONGEST:
            return 0
        if left > m.data_len - ETH_LENGTH - IPV4_LENGTH:
            left = m.data_len - ETH_LENGTH - IPV4_LENGTH
    elif ETH_LENGTH + total > m.data_len:  # the length lies
        return 0
    at += ETH_LENGTH + IPV4_LENGTH
    ip = proto | (first >> SHIFT_40 & BYTE_1) | (second >> SHIFT_40 & BYTE_2)
    if i64(proto) == TCP and left >= TCP_LENGTH:
        control = load16(memory, at + 12)
        length = (control >> 12) * 4
        if length < TCP_LENGTH or length > left:
            return 0
        ip = ip | u64((control & FLAGS_MASK) << 32)
    elif i64(proto) == UDP and left >= UDP_LENGTH:
        length = UDP_LENGTH
    else:
        return 0
    addresses = load64(memory, at - IPV4_LENGTH + IPV4_SRC)
    ports = load64(memory, at) & PORTS
    w[W_IP] = ip
    w[W_IPV4] = addresses
    w[W_L4] = ports
    m.l2_len = ETH_LENGTH
    m.l3_len = IPV4_LENGTH
    m.l4_len = length
    m.blocks = 1
    m.hash = mix(addresses, ports ^ u64(m.recirc_id << 8) ^ proto)
    return 1


def link_layer(memory, w, at, left, limit):
    """Tags and type of a frame whose addresses are in the key: where its payload begins."""
    off = ETH_LENGTH - 2
    kind = load16(memory, at + off)
    if limit >= 1 and is_tag(kind) and left >= off + 6:
        w[W_VLAN] = u64((load32(memory, at + off) | VLAN_PRESENT) << 32)
        off += 4
        kind = load16(memory, at + off)
        if limit >= 2 and is_tag(kind) and left >= off + 6:
            w[W_VLAN] = w[W_VLAN] | u64(load32(memory, at + off) | VLAN_PRESENT)
            off += 4
            kind = load16(memory, at + off)
    off += 2
    if kind < TYPE_MIN:
        kind = snap_type(memory, at + off, left - off)
        off += SNAP_LENGTH
        if kind == 0:
            kind = NO_TYPE
            off -= SNAP_LENGTH
    w[W_DST] = w[W_DST] | u64(kind << 48)
    return off


def is_tag(kind):
    """Whether a type announces a VLAN tag."""
    return kind == VLAN or kind == VLAN_SERVICE


def network_layer(memory, m, w):
    """What lies behind the link layer, by its type."""
    kind = i64(w[W_DST] >> SHIFT_48)
    at = m.buf + m.data_off + m.l2_len
    left = m.data_len - m.l2_len
    if kind == IPV4:
        ipv4(memory, m, w, at, left)
    elif kind == IPV6:
        ipv6(memory, m, w, at, left)
    elif kind == ARP or kind == RARP:
        arp(memory, w, at, left)
    elif kind == MPLS or kind == MPLS_MULTICAST:
        mpls(memory, w, at, left)


def ipv4(memory, m, w, at, left):
    """IPv4, when its header is wholly there and its lengths hold."""
    if left < IPV4_LENGTH:
        return
    length = check_ipv4(memory, at, m.pkt_len - m.l2_len)
    if length == 0 or length > left:
        return
    frag = 0
    place = get_frag(memory, at)
    if place & (MORE_FRAGMENTS | OFFSET_MASK) != 0:
        frag = FRAG_ANY
        if place & OFFSET_MASK != 0:
            frag = FRAG_ANY | FRAG_LATER
    w[W_IP] = u64(get_proto(memory, at) | get_tos(memory, at) << 8 | get_ttl(memory, at) << 16 | frag << 24)
    w[W_IPV4] = load64(memory, at + IPV4_SRC)
    m.l3_len = length
    total = get_total(memory, at)
    if total < left:
        left = total
    if frag & FRAG_LATER == 0:
        transport(memory, m, w, at + length, left - length)


def ipv6(memory, m, w, at, left):
    """IPv6; of a packet whose chain of extension headers is cut, OVS keeps the addresses alone."""
    if left < IPV6_LENGTH:
        return
    if check_ipv6(memory, at, m.pkt_len - m.l2_len) == 0:
        return
    w[W_IPV6_SRC], w[W_IPV6_SRC + 1] = get_src(memory, at)
    w[W_IPV6_DST], w[W_IPV6_DST + 1] = get_dst(memory, at)
    m.l3_len = IPV6_LENGTH
    total = IPV6_LENGTH + get_payload(memory, at)
    if total < left:
        left = total
    length, proto, frag = check_chain(memory, at, left)
    if length == 0:
        return
    w[W_LABEL] = u64(get_label(memory, at))
    w[W_IP] = u64(proto | get_tos6(memory, at) << 8 | get_ttl6(memory, at) << 16 | frag << 24)
    m.l3_len = length
    if frag & FRAG_LATER == 0:
        transport(memory, m, w, at + length, left - length)


def transport(memory, m, w, at, left):
    """Ports and flags, or type and code; OVS asks for the protocol alone, not for the version of IP below it."""
    proto = i64(w[W_IP] & BYTE_0)
    length = 0
    if proto == TCP:
        length = check_tcp(memory, at, left)
        if length != 0:
            w[W_IP] = w[W_IP] | u64(get_flags(memory, at) << 32)
            w[W_L4] = u64(load32(memory, at) << 32)
    elif proto == UDP and left >= UDP_LENGTH:
        length = UDP_LENGTH
        w[W_L4] = u64(load32(memory, at) << 32)
    elif proto == SCTP and left >= SCTP_LENGTH:
        length = SCTP_LENGTH
        w[W_L4] = u64(load32(memory, at) << 32)
    elif (proto == ICMP or proto == IGMP or proto == ICMPV6) and left >= ICMP_LENGTH:
        length = ICMP_LENGTH
        w[W_L4] = u64(load8(memory, at) << 48 | load8(memory, at + 1) << 32)
        if proto == ICMPV6 and check_target(memory, at, left) != 0:
            neighbour(memory, w, at, left)
    m.l4_len = length


def neighbour(memory, w, at, left):
    """Neighbour discovery: target and link-layer addresses, none of them when an address is given twice."""
    sound, source, target = link_addresses(memory, at, left)
    if sound == 0:
        return
    w[W_ND_TARGET], w[W_ND_TARGET + 1] = get_target(memory, at)
    w[W_ARP_SHA] = source
    w[W_ARP_THA] = target


def arp(memory, w, at, left):
    """ARP and RARP for Ethernet and IPv4; an opcode above 255 is not there."""
    if check_arp(memory, at, left) == 0:
        return
    w[W_IPV4] = u64(get_spa(memory, at) << 32 | get_tpa(memory, at))
    w[W_ARP_SHA] = get_sha(memory, at)
    w[W_ARP_THA] = get_tha(memory, at)
    if get_op(memory, at) <= 0xFF:
        w[W_IP] = u64(get_op(memory, at))


def mpls(memory, w, at, left):
    """The first entries of a label stack; nothing behind it is looked at."""
    for i in range(LABELS):
        if left < MPLS_LENGTH * (i + 1):
            return
        entry = get_lse(memory, at + MPLS_LENGTH * i)
        w[W_MPLS + (i >> 1)] = w[W_MPLS + (i >> 1)] | u64(entry << 32 * (1 - (i & 1)))
        if entry & BOTTOM != 0:
            return


def add_hashes(burst, mbufs, keys):
    """Recirculated packets have the hash that an action gave them in their keys."""
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        if m.ol_flags & HASHED != ZERO:
            keys[k].w[W_HASH] = u64(m.dp_hash)
            m.blocks = W_HASH // BLOCK + 1


def add_tunnels(burst, mbufs, keys, tunnels):
    """What came through a tunnel, or shall take one, has the tunnel's fields in its key, and a hash that they are a part of."""
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        if m.ol_flags & TUN_META != ZERO:
            w = keys[k].w
            held = tunnels[burst.pkt[k]]
            mixed = held.opt0
            for j in range(TUNNEL):
                w[W_TUN_ID + j] = held.w[j]
                mixed = mix(mixed, held.w[j])
            w[W_TUN_OPT] = held.opt0
            m.hash = mix(m.hash, mixed)
            m.blocks = W_TUN_OPT // BLOCK + 1


@apart
def read(memory, m, w, at, limit):
    """Any packet whose key is empty but for its addresses, from its first byte on, which lies at `at`."""
    left = m.data_len
    m.l2_len = 0
    m.l3_len = 0
    m.l4_len = 0
    if left >= ETH_LENGTH:
        m.l2_len = link_layer(memory, w, at, left, limit)
        network_layer(memory, m, w)
    m.hash = hash_key(m, w)
    m.blocks = blocks_in_use(w)


@apart
def read_again(bursts, mbufs, keys, memory, pool, limit, reasons, trace):
    """Pull up the headers that the end of a first segment cuts, and read them again."""
    burst = bursts[0]
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        w = keys[k].w
        if m.next == NULL or m.data_len >= HEADERS or is_cut(m, w) == 0:
            continue
        segments = gather(memory, mbufs, pool, burst.pkt[k], w)
        if segments != 0:
            read(memory, m, w, m.buf + m.data_off, limit)
            reasons[PULLED_UP].count += 1
            explain(trace, m, PULLED_UP, segments, m.data_len)


@stage
def parse(bursts, mbufs, keys, memory, pool, config, tunnels, reasons, trace):
    """Fill the flow key, the header lengths and the hash of each packet of the burst."""
    burst = bursts[0]
    limit = config[0].vlan_limit
    flags = ZERO
    chains = 0
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        flags = flags | m.ol_flags
        w = keys[k].w
        clear(w)
        w[W_PORT] = u64(m.in_port << 32 | m.recirc_id)
        w[W_MARK] = u64(m.mark << 32)
        at = m.buf + m.data_off
        left = m.data_len
        plain = 0
        if m.pkt_len != left:
            chains = 1
        if left >= ETH_LENGTH:
            behind = load64(memory, at + 6)  # dl_src and the type
            w[W_SRC] = behind >> SHIFT_16
            w[W_DST] = load64(memory, at) >> SHIFT_16
            if left >= ETH_LENGTH + IPV4_LENGTH + UDP_LENGTH and i64(behind) & 0xFFFF == IPV4:
                w[W_DST] = w[W_DST] | behind << SHIFT_48
                plain = plain_ipv4(memory, m, w, at)
        if plain == 0:
            read(memory, m, w, at, limit)
    burst.wants = flags & WANTED
    if chains != 0:
        burst.wants = burst.wants | CHAINED
        read_again(bursts, mbufs, keys, memory, pool, limit, reasons, trace)
    if burst.depth != 0:
        add_hashes(burst, mbufs, keys)
    if flags & TUN_META != ZERO:
        add_tunnels(burst, mbufs, keys, tunnels)
    reasons[PARSED].count += burst.n
    if trace[0].on != 0:
        for k in range(burst.n):
            explain(trace, mbufs[burst.pkt[k]], PARSED, words_in_use(keys[k].w), 0)
