"""Bits of a mask that other bits of it decide already, taken out again when a translation ends.

A packet has no labels unless its Ethernet type says so, no flags unless its protocol is TCP, no number in a tag that is not
there: such a bit is zero in every packet under the mask, whoever asked for it. What holds of all keys that `parse` makes is
written here, and nothing else. Called by `translate`, behind the interpreter.
"""

import numpy as np

from lab.flow.key import (
    W_ARP_SHA,
    W_ARP_THA,
    W_DST,
    W_IP,
    W_IPV4,
    W_IPV6_SRC,
    W_L4,
    W_LABEL,
    W_MPLS,
    W_ND_TARGET,
    W_VLAN,
)
from lab.memory.raw import apart, i64
from lab.translate.places import ARP, ICMP, ICMPV6, IPV4, IPV6, MPLS, MPLS_MULTICAST, RARP, SCTP, TCP, UDP
from lab.translate.records import ASKED

NOTHING = np.uint64(0)
TYPE_AT, THERE = np.uint64(48), np.uint64(0x1000 << 32)
PROTO, LATER, FLAGS = np.uint64(0xFF), np.uint64(2 << 24), np.uint64(0xFFF << 32)
IGMP = 2


def leave(t, j, bits):
    """Of word `j`, keep only some bits of the mask; and of what is booked on whoever asked for the others."""
    asked = t.desk.flows[ASKED]
    if asked.w[j] & ~bits != NOTHING:
        asked.w[j] = asked.w[j] & bits
        if t.ledger[0].on != 0:
            for n in range(1, t.ledger[0].n + 1):
                t.ledger[n].w[j] = t.ledger[n].w[j] & bits


@apart
def leave_out_implied(t, w):
    """Take out of the mask what must be zero in every packet under it; `w` is the key that was translated."""
    kind = i64(w[W_DST] >> TYPE_AT)
    if t.desk.flows[ASKED].w[W_VLAN] & THERE != NOTHING and w[W_VLAN] & THERE == NOTHING:
        leave(t, W_VLAN, THERE)
    if kind != MPLS and kind != MPLS_MULTICAST:
        leave(t, W_MPLS, NOTHING)
        leave(t, W_MPLS + 1, NOTHING)
    if kind != IPV6:
        for j in range(W_IPV6_SRC, W_IPV6_SRC + 4):
            leave(t, j, NOTHING)
        leave(t, W_LABEL, NOTHING)
    if kind == IPV4 or kind == IPV6:
        if kind == IPV6:
            leave(t, W_IPV4, NOTHING)
        of_transport(t, w)
    else:
        without_ip(t, kind)


def without_ip(t, kind):
    """What a packet without IP cannot have; ARP has addresses and an operation."""
    leave(t, W_L4, NOTHING)
    leave(t, W_ND_TARGET, NOTHING)
    leave(t, W_ND_TARGET + 1, NOTHING)
    if kind == ARP or kind == RARP:
        leave(t, W_IP, PROTO)
    else:
        leave(t, W_IP, NOTHING)
        leave(t, W_IPV4, NOTHING)
        leave(t, W_ARP_SHA, NOTHING)
        leave(t, W_ARP_THA, NOTHING)


def of_transport(t, w):
    """What an IP packet cannot have, once its protocol, or that it is a later fragment, is asked for."""
    asked = t.desk.flows[ASKED].w[W_IP]
    proto = i64(w[W_IP] & PROTO)
    bare = asked & LATER != NOTHING and w[W_IP] & LATER != NOTHING
    if asked & PROTO == PROTO:
        if proto != TCP:
            leave(t, W_IP, ~FLAGS)
        if proto != ICMPV6:
            bare_of_neighbours(t)
        if proto != TCP and proto != UDP and proto != SCTP and proto != ICMP and proto != IGMP and proto != ICMPV6:
            bare = True
    if bare:
        leave(t, W_L4, NOTHING)
        leave(t, W_IP, ~FLAGS)
        bare_of_neighbours(t)


def bare_of_neighbours(t):
    """There is no neighbour discovery."""
    for j in range(W_ND_TARGET, W_ARP_THA + 1):
        leave(t, j, NOTHING)
