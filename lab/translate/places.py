"""Writing the flow: registers and header fields, with what each header field needs to be there.

A write changes the flow, marks its bits as known and, for a header field, puts a SET into the draft. A packet
without the header keeps everything as it is, and what told so was asked for. A write that changes nothing which is
decided already is left out.
"""

import numpy as np

from lab.flow.actions import (
    ARP_OP,
    ARP_SPA,
    ARP_THA,
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
    ND_SLL,
    ND_TARGET,
    ND_TLL,
    PKT_MARK,
    SET,
    TCP_FLAGS,
    TP_DST,
    TP_SRC,
    TUN_IPV6_DST,
    TUN_IPV6_SRC,
    TUN_SRC,
    TUN_TOS,
    TUN_TTL,
    VLAN_TCI,
)
from lab.flow.key import W_DST, W_IP, W_IPV6_DST, W_IPV6_SRC, W_L4, W_ND_TARGET, W_PORT, W_TUN_IPV6_DST, W_TUN_IPV6_SRC
from lab.memory.raw import apart, i64
from lab.translate.emit import put, read
from lab.translate.records import ASKED, FLOW, KNOWN
from lab.translate.tags import set_tci

TYPE_AT, TYPE = np.uint64(48), np.uint64(0xFFFF << 48)
PROTO, LATER, KIND_AT, KIND = np.uint64(0xFF), np.uint64(2 << 24), np.uint64(48), np.uint64(0xFFFF << 48)
ZERO = np.uint64(0)
IPV4, IPV6, ARP, RARP, MPLS, MPLS_MULTICAST = 0x0800, 0x86DD, 0x0806, 0x8035, 0x8847, 0x8848
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
SOLICITATION, ADVERTISEMENT = 135, 136
HALF = np.uint64(32)


def low_of(field):
    """The lowest bit of a header field in its word of the key."""
    if field == IP_SRC or field == ARP_SPA or field == TP_DST or field == ICMP_CODE or field == VLAN_TCI or field == MPLS_LSE:
        return 32
    if field == PKT_MARK or field == TUN_SRC or field == TCP_FLAGS:
        return 32
    if field == TP_SRC or field == ICMP_TYPE:
        return 48
    if field == IP_TTL or field == TUN_TOS:
        return 16
    if field == IP_TOS:
        return 8
    if field == TUN_TTL:
        return 24
    return 0


def type_of(t):
    """The Ethernet type of the flow; every megaflow asks for it."""
    return i64(read(t, W_DST, TYPE) >> TYPE_AT)


def is_ip(kind):
    """Whether an Ethernet type is that of IP."""
    return kind == IPV4 or kind == IPV6


@apart
def has_header(t, field):
    """1 when the packet has the header that a field lies in."""
    if field < IP_SRC or (field >= PKT_MARK and field < TCP_FLAGS) or field == VLAN_TCI:
        return 1
    kind = type_of(t)
    ok = False
    if field == IP_SRC or field == IP_DST:
        ok = kind == IPV4
    elif field == IP_TOS or field == IP_TTL:
        ok = is_ip(kind)
    elif field == IPV6_SRC or field == IPV6_DST or field == IPV6_LABEL:
        ok = kind == IPV6
    elif field >= ARP_OP and field <= ARP_THA:
        ok = kind == ARP or kind == RARP
    elif field == MPLS_LSE:
        ok = kind == MPLS or kind == MPLS_MULTICAST
    elif is_ip(kind):
        ok = has_transport(t, field, kind) != 0
    if ok:
        return 1
    return 0


def has_transport(t, field, kind):
    """1 when an IP packet has the transport header that a field lies in."""
    proto = i64(read(t, W_IP, PROTO))
    ok = False
    if field == TP_SRC or field == TP_DST:
        ok = proto == TCP or proto == UDP or proto == SCTP
    elif field == TCP_FLAGS:
        ok = proto == TCP
    elif field == ICMP_TYPE or field == ICMP_CODE:
        ok = (proto == ICMP and kind == IPV4) or (proto == ICMPV6 and kind == IPV6)
    elif proto == ICMPV6 and kind == IPV6:
        what = i64(read(t, W_L4, KIND) >> KIND_AT)
        ok = (field == ND_TARGET or field == ND_SLL) and what == SOLICITATION
        if (field == ND_TARGET or field == ND_TLL) and what == ADVERTISEMENT:
            ok = True
    if ok and read(t, W_IP, LATER) == ZERO:
        return 1
    return 0


def same_already(t, j, value, mask):
    """Whether bits of a word have a value already, for every packet of the mask so far."""
    flows = t.desk.flows
    return (flows[FLOW].w[j] & mask) == value and mask & ~(flows[KNOWN].w[j] | flows[ASKED].w[j]) == ZERO


def write_word(t, j, value, mask):
    """Write bits of one word of the flow; they are no longer the packet's."""
    flows = t.desk.flows
    flows[FLOW].w[j] = (flows[FLOW].w[j] & ~mask) | value
    flows[KNOWN].w[j] = flows[KNOWN].w[j] | mask
    if j == W_PORT:
        t.desk.xlate[0].in_port = i64(flows[FLOW].w[j] >> HALF)


@apart
def write_place(t, field, j, values):
    """Write a value under a mask (v0, v1, m0, m1, in place) at word `j` and, when it is wide, the next."""
    v0, v1, m0, m1 = values
    if field == VLAN_TCI:
        set_tci(t, v0, m0)
        return
    if field != 0:
        if has_header(t, field) == 0:
            return
        if same_already(t, j, v0, m0) and (m1 == ZERO or same_already(t, j + 1, v1, m1)):
            return
        low = np.uint64(low_of(field))
        act = put(t, SET, field, 0)
        if is_lower_half(field, j):
            act.v1 = v0
            act.m1 = m0
        else:
            act.v0 = v0 >> low
            act.m0 = m0 >> low
            act.v1 = v1
            act.m1 = m1
        t.desk.xlate[0].changes += 1
    write_word(t, j, v0, m0)
    if m1 != ZERO:
        write_word(t, j + 1, v1, m1)


def is_lower_half(field, j):
    """Whether a word holds the lower half of a field that is an IPv6 address."""
    if field == IPV6_SRC or field == IPV6_DST:
        return j == W_IPV6_SRC + 1 or j == W_IPV6_DST + 1
    if field == TUN_IPV6_SRC or field == TUN_IPV6_DST:
        return j == W_TUN_IPV6_SRC + 1 or j == W_TUN_IPV6_DST + 1
    return field == ND_TARGET and j == W_ND_TARGET + 1


def ones(bits):
    """As many ones as a place has bits."""
    if bits >= 64:
        return np.uint64(0xFFFFFFFFFFFFFFFF)
    return (np.uint64(1) << np.uint64(bits)) - np.uint64(1)


def read_place(t, word, low, bits):
    """The value of a place of at most 64 bits, asked for."""
    at = np.uint64(low)
    return read(t, word, ones(bits) << at) >> at


def write_value(t, fact, value):
    """Write a value that is not in place yet to the place that an action names."""
    at = np.uint64(fact.low)
    mask = ones(fact.bits) << at
    write_place(t, fact.header, fact.word, (value << at & mask, ZERO, mask, ZERO))
