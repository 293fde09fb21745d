"""What parse does with headers that the end of a packet's first segment cuts: they are brought together, once.

Only chains with a short first segment come here, and only behind a first reading that found less than there might be.
No stage of its own, and no payload is moved beyond the first 256 bytes of the packet.
"""

import numpy as np

from lab.flow.key import FRAG_LATER, W_DST, W_IP, W_MARK, W_PORT, W_SRC
from lab.memory.raw import clear, i64, load64, u64
from lab.offload.chains import pull_up, segments_of
from lab.packet.headers.arp import LENGTH as ARP_LENGTH
from lab.packet.headers.ethernet import ARP, IPV4, IPV6, MPLS, MPLS_MULTICAST, RARP, SNAP_LENGTH
from lab.packet.headers.ethernet import LENGTH as ETH_LENGTH
from lab.packet.headers.ipv4 import ICMP, IGMP, SCTP, TCP, UDP
from lab.packet.headers.ipv6 import ICMPV6
from lab.packet.headers.mpls import LENGTH as MPLS_LENGTH

HEADERS = 256  # bytes that are brought together
LABELS = 3  # MPLS entries that the key has room for
SHIFT_16, SHIFT_24, SHIFT_48 = np.uint64(16), np.uint64(24), np.uint64(48)


def is_cut(m, w):
    """1 when the segment's end may have cut a header that the key has room for; where a length lies it has not."""
    kind = i64(w[W_DST] >> SHIFT_48)
    here = m.data_len - m.l2_len
    if m.data_len < ETH_LENGTH or here < SNAP_LENGTH:
        return 1
    if kind == IPV4 or kind == IPV6:
        return ip_is_cut(m, w)
    if (kind == ARP or kind == RARP) and here < ARP_LENGTH:
        return 1
    if (kind == MPLS or kind == MPLS_MULTICAST) and here < LABELS * MPLS_LENGTH:
        return 1
    return 0


def ip_is_cut(m, w):
    """The same of IP and what it carries."""
    proto = i64(w[W_IP]) & 0xFF
    if m.l3_len == 0 or i64(w[W_IP]) == 0:
        return 1
    if m.l4_len != 0:
        if proto == ICMPV6:  # neighbour discovery has options
            return 1
        return 0
    if i64(w[W_IP] >> SHIFT_24) & FRAG_LATER != 0:
        return 0
    if proto == TCP or proto == UDP or proto == SCTP or proto == ICMP or proto == IGMP or proto == ICMPV6:
        return 1
    return 0


def gather(memory, mbufs, pool, i, w):
    """Bring a packet's headers together and begin its key anew; in how many segments they lay, 0 when nothing has changed."""
    m = mbufs[i]
    n = m.pkt_len
    if n > HEADERS:
        n = HEADERS
    segments = segments_of(mbufs, i, n)
    if m.data_len >= n or pull_up(memory, mbufs, pool, i, n) == 0:
        return 0
    clear(w)
    w[W_PORT] = u64(m.in_port << 32 | m.recirc_id)
    w[W_MARK] = u64(m.mark << 32)
    if n >= ETH_LENGTH:
        at = m.buf + m.data_off
        w[W_SRC] = load64(memory, at + 6) >> SHIFT_16
        w[W_DST] = load64(memory, at) >> SHIFT_16
    return segments
