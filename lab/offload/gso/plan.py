"""The egress decision: what a port lacks to cut a large packet itself, said by its offloads and the packet's kind.

Asked for each large packet of an output batch, before its bytes are looked at. It says nothing of whether the packet can
be cut at all (`measure`). As OVS: without TSO for the packet's kind, or without the tunnel's, all of it is cut here; with
the tunnel's but without its outer checksum, only so far that a port which repeats outer headers repeats right ones. As Linux: a
port that takes no chains takes nothing large, since what one buffer holds is all that can be brought together for it.
"""

from lab.memory.mbuf import FILL, OUTER_L4_PARTIAL, TUNNEL
from lab.memory.raw import u64
from lab.offload.capabilities import (
    CHAINS,
    CSUM,
    ECN,
    GSO_ECN,
    GSO_KIND,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    NAMES,
    TSO4,
    TSO6,
    TUNNEL_CSUM,
    TUNNEL_GSO,
    USO,
)

NOTHING = -1  # the port cuts it
NO_CSUM, NO_TSO4, NO_TSO6, NO_ECN, NO_USO, NO_TUNNEL, NO_TUNNEL_CSUM, NO_CHAINS = (
    NAMES.index(name) for name in ("csum", "tso4", "tso6", "ecn", "uso", "tunnel", "tunnel-csum", "chains")
)


def lacking(offloads, m):
    """The number, in NAMES, of the offload that a port lacks for a large packet; NOTHING when it takes the packet whole."""
    kind = m.gso_type & GSO_KIND
    if kind == GSO_TCPV4:
        if offloads & TSO4 == u64(0):
            return NO_TSO4
    elif kind == GSO_TCPV6:
        if offloads & TSO6 == u64(0):
            return NO_TSO6
    elif kind != GSO_UDP_L4 or offloads & USO == u64(0):
        return NO_USO
    if m.gso_type & GSO_ECN != 0 and offloads & ECN == u64(0):
        return NO_ECN
    if m.ol_flags & TUNNEL != u64(0) and offloads & TUNNEL_GSO == u64(0):
        return NO_TUNNEL
    if offloads & CSUM == u64(0):
        return NO_CSUM
    if offloads & CHAINS == u64(0) and m.pkt_len > FILL:
        return NO_CHAINS
    if m.ol_flags & TUNNEL != u64(0) and m.ol_flags & OUTER_L4_PARTIAL != u64(0) and offloads & TUNNEL_CSUM == u64(0):
        return NO_TUNNEL_CSUM
    return NOTHING
