"""Actions that change the packet in hand: which file knows how, fields of Ethernet, and what no header holds.

A field changes under a mask, `new = old & ~mask | value`; a packet that lacks the header is left as it is, and a field
that has its value already is not written, nor is its checksum. Where the headers begin is told by `parse` (`l2_len`,
`l3_len`), which stays true behind a push or a pop. The fields of a tunnel are in no header yet: `tunnel.py`. SKB_PRIORITY
does nothing: no mbuf holds it until there are queues.
"""

import numpy as np

from lab.flow.actions import (
    ARP_OP,
    ARP_THA,
    ETH_DST,
    ETH_SRC,
    ICMP_CODE,
    ICMP_TYPE,
    IP_DST,
    IP_SRC,
    IP_TOS,
    IP_TTL,
    IPV6_DST,
    IPV6_LABEL,
    IPV6_SRC,
    MPLS_LSE,
    ND_TARGET,
    ND_TLL,
    PKT_MARK,
    POP_MPLS,
    POP_VLAN,
    PUSH_MPLS,
    PUSH_VLAN,
    SET,
    TP_DST,
    TP_SRC,
    VLAN_TCI,
)
from lab.flow.key import W_DST
from lab.memory.raw import apart, i64
from lab.stages.performing.arp import set_arp
from lab.stages.performing.ip import set_ipv4, set_ipv6
from lab.stages.performing.masked import masked, set48
from lab.stages.performing.neighbour import set_neighbour
from lab.stages.performing.tags import pop_mpls, pop_vlan, push_mpls, push_vlan, set_lse, set_tci
from lab.stages.performing.transport import set_icmp, set_port

ETH_LENGTH = 14
IPV4, IPV6, ARP, RARP = 0x0800, 0x86DD, 0x0806, 0x8035
TYPE_AT = np.uint64(48)


@apart
def rewrite(memory, m, key, act):
    """Do one action that changes the packet."""
    if act.op == SET:
        set_field(memory, m, key, act)
    elif act.op == PUSH_VLAN:
        push_vlan(memory, m, act.arg, i64(act.v0))
    elif act.op == POP_VLAN:
        pop_vlan(memory, m)
    elif act.op == PUSH_MPLS:
        push_mpls(memory, m, act.arg, i64(act.v0))
    elif act.op == POP_MPLS:
        pop_mpls(memory, m, act.arg)


@apart
def set_field(memory, m, key, act):
    """Set one field to a value under a mask, if the packet has it."""
    at = m.buf + m.data_off
    field = act.detail
    if field == PKT_MARK:
        m.mark = masked(m.mark, act)
    elif m.data_len < ETH_LENGTH:
        return
    elif field == ETH_DST:
        set48(memory, at, act)
    elif field == ETH_SRC:
        set48(memory, at + 6, act)
    elif field == VLAN_TCI:
        set_tci(memory, m, act)
    elif field == MPLS_LSE:
        set_lse(memory, m, act)
    elif ARP_OP <= field <= ARP_THA:
        kind = i64(key.w[W_DST] >> TYPE_AT)
        if kind == ARP or kind == RARP:
            set_arp(memory, m, act)
    elif m.l3_len > 0:
        set_in_ip(memory, m, key, act)


@apart
def set_in_ip(memory, m, key, act):
    """Set a field of IP or of what IP carries."""
    kind = i64(key.w[W_DST] >> TYPE_AT)
    field = act.detail
    if field == TP_SRC or field == TP_DST:
        set_port(memory, m, key, act)
    elif ND_TARGET <= field <= ND_TLL:
        set_neighbour(memory, m, key, act)
    elif field == IP_SRC or field == IP_DST:
        if kind == IPV4:
            set_ipv4(memory, m, key, act)
    elif field == IPV6_SRC or field == IPV6_DST or field == IPV6_LABEL:
        if kind == IPV6:
            set_ipv6(memory, m, key, act)
    elif field == IP_TOS or field == IP_TTL:
        if kind == IPV4:
            set_ipv4(memory, m, key, act)
        elif kind == IPV6:
            set_ipv6(memory, m, key, act)
    elif field == ICMP_TYPE or field == ICMP_CODE:
        set_icmp(memory, m, key, act)
