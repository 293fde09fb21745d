"""VLAN tags and MPLS labels of the flow: pushed, popped and written.

A push or a pop moves fields, so what moves is asked for first and known afterwards. `unparsed` is set when the last
label went and what lay below it is not known: whoever wants to see it must recirculate.
"""

import numpy as np

from lab.flow.actions import MPLS_LSE, POP_MPLS, POP_VLAN, PUSH_MPLS, PUSH_VLAN, SET, VLAN_TCI
from lab.flow.key import W_DST, W_IP, W_MPLS, W_VLAN
from lab.memory.raw import apart, i64
from lab.memory.reasons import TOO_MANY_ACTIONS
from lab.translate.emit import put, read
from lab.translate.records import FLOW, KNOWN

EVERY, ZERO = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0)
THERE, THERE_1 = np.uint64(0x1000 << 32), np.uint64(0x1000)  # the bit that says there is a first, a second tag
OUTER, INNER = np.uint64(0xFFFFFFFF << 32), np.uint64(0xFFFFFFFF)
TCI_AT, TPID_AT, TYPE_AT, HALF = np.uint64(32), np.uint64(48), np.uint64(48), np.uint64(32)
TCI, TYPE = np.uint64(0xFFFF << 32), np.uint64(0xFFFF << 48)
BOTTOM, TTL_BITS, TC_BITS, LABEL_AT, TC_AT = np.uint64(1 << 8), np.uint64(0xFF), np.uint64(0xE00), 12, 9
IPV4, IPV6, MPLS, MPLS_MULTICAST = 0x0800, 0x86DD, 0x8847, 0x8848
DOT1Q = 0x8100
DEFAULT_TTL = 64
LABELS = 3


def tagged(t):
    """Whether the flow has a VLAN tag."""
    return read(t, W_VLAN, THERE) != ZERO


def set_vlan(t, w):
    """The word of the tags, wholly known from now on."""
    t.desk.flows[FLOW].w[W_VLAN] = w
    t.desk.flows[KNOWN].w[W_VLAN] = EVERY


@apart
def push_tag(t, tpid, tci):
    """A new outermost tag; one that was there becomes the second, a second one is no longer seen."""
    held = ZERO
    if tagged(t):
        held = read(t, W_VLAN, OUTER) >> HALF
    set_vlan(t, np.uint64(tpid) << TPID_AT | np.uint64(tci | 0x1000) << TCI_AT | held)
    act = put(t, PUSH_VLAN, 0, tpid)
    act.v0 = np.uint64(tci & 0xEFFF)
    t.desk.xlate[0].changes += 1


@apart
def pop_tag(t):
    """Take the outermost tag away, if there is one."""
    if tagged(t):
        set_vlan(t, read(t, W_VLAN, INNER) << HALF)
        put(t, POP_VLAN, 0, 0)
        t.desk.xlate[0].changes += 1


@apart
def set_tci(t, value, mask):
    """Write bits of the outermost tag (in place); the bit 0x1000 decides whether there is one afterwards."""
    there = tagged(t)
    old = t.desk.flows[FLOW].w[W_VLAN]
    stays = (value & THERE) != ZERO or (mask & THERE == ZERO and there)
    if not stays:
        if mask & THERE != ZERO:
            pop_tag(t)
        return
    if not there:
        if mask & THERE != ZERO:
            push_tag(t, DOT1Q, i64(value & mask & TCI) >> 32)
        return
    mask = mask & TCI & ~THERE
    value = value & mask
    if (old & mask) == value and mask & ~t.desk.flows[KNOWN].w[W_VLAN] == ZERO:
        return
    act = put(t, SET, VLAN_TCI, 0)
    act.v0 = value >> TCI_AT
    act.m0 = mask >> TCI_AT
    t.desk.flows[FLOW].w[W_VLAN] = (old & ~mask) | value
    t.desk.flows[KNOWN].w[W_VLAN] = t.desk.flows[KNOWN].w[W_VLAN] | mask
    t.desk.xlate[0].changes += 1


def set_in_tag(t, value, mask):
    """Write a VLAN number or priority (in place), into a tag that is added if there is none."""
    if tagged(t):
        set_tci(t, value, mask)
    else:
        push_tag(t, DOT1Q, i64(value >> TCI_AT))


# --- MPLS ----------------------------------------------------------------------------------------


def is_mpls(kind):
    """Whether an Ethernet type announces a label stack."""
    return kind == MPLS or kind == MPLS_MULTICAST


def kind_of(t):
    """The Ethernet type of the flow."""
    return i64(read(t, W_DST, TYPE) >> TYPE_AT)


def set_kind(t, kind):
    """Another Ethernet type."""
    flows = t.desk.flows
    flows[FLOW].w[W_DST] = (flows[FLOW].w[W_DST] & ~TYPE) | np.uint64(kind) << TYPE_AT
    flows[KNOWN].w[W_DST] = flows[KNOWN].w[W_DST] | TYPE


def entry(t, i):
    """A label stack entry of the flow, asked for."""
    half = HALF * np.uint64(1 - (i & 1))
    return read(t, W_MPLS + (i >> 1), np.uint64(0xFFFFFFFF) << half) >> half


def set_entry(t, i, value):
    """Write a label stack entry; it is known from now on."""
    half = HALF * np.uint64(1 - (i & 1))
    bits = np.uint64(0xFFFFFFFF) << half
    j = W_MPLS + (i >> 1)
    flows = t.desk.flows
    flows[FLOW].w[j] = (flows[FLOW].w[j] & ~bits) | value << half
    flows[KNOWN].w[j] = flows[KNOWN].w[j] | bits


def is_bottom(t, i):
    """Whether a label stack entry says that it is the last; that bit alone is asked for."""
    return read(t, W_MPLS + (i >> 1), BOTTOM << HALF * np.uint64(1 - (i & 1))) != ZERO


def depth_of(t):
    """How many labels the flow has, as far as the key sees; where the stack ends is asked for."""
    if not is_mpls(kind_of(t)):
        return 0
    for i in range(LABELS):
        if is_bottom(t, i):
            return i + 1
    return LABELS


def first_entry(t, kind):
    """The entry that is pushed onto a packet without labels: priority and TTL come from IP."""
    ttl, priority, label = np.uint64(DEFAULT_TTL), ZERO, 0
    if kind == IPV4 or kind == IPV6:
        ip = read(t, W_IP, np.uint64(0xFF << 16 | 0xFC << 8))
        if ip >> np.uint64(16) & TTL_BITS != ZERO:
            ttl = ip >> np.uint64(16) & TTL_BITS
        priority = ip >> np.uint64(10) & np.uint64(7)  # as OVS: the low bits of the DSCP
        if kind == IPV6:
            label = 2
    return np.uint64(label << LABEL_AT) | priority << np.uint64(TC_AT) | BOTTOM | ttl


@apart
def push_label(t, ethertype):
    """A new outermost label, with the priority and TTL of what it covers."""
    n = depth_of(t)
    if n == LABELS:
        t.desk.xlate[0].error = TOO_MANY_ACTIONS
        return
    if n > 0:
        new = entry(t, 0) & ~BOTTOM
        for i in range(n, 0, -1):
            set_entry(t, i, entry(t, i - 1))
    else:
        new = first_entry(t, kind_of(t))
        forget_above(t)
        set_entry(t, 1, ZERO)
        set_entry(t, 2, ZERO)
    set_entry(t, 0, new)
    set_kind(t, ethertype)
    act = put(t, PUSH_MPLS, 0, ethertype)
    act.v0 = new
    t.desk.xlate[0].changes += 1
    t.desk.xlate[0].unparsed = 0


def forget_above(t):
    """What lies behind a label stack is not there for the tables: all words of L3 and L4 are zero, and known to be."""
    flows = t.desk.flows
    for j in range(W_IP, W_MPLS):
        flows[FLOW].w[j] = ZERO
        flows[KNOWN].w[j] = EVERY


@apart
def pop_label(t, ethertype):
    """Take the outermost label away, if there is one."""
    n = depth_of(t)
    if n == 0:
        return
    deeper = not is_bottom(t, n - 1)  # labels that the key has no room for
    for i in range(1, n):
        set_entry(t, i - 1, entry(t, i))
    for i in range(n - 1, LABELS):
        set_entry(t, i, ZERO)
    set_kind(t, ethertype)
    put(t, POP_MPLS, 0, ethertype)
    x = t.desk.xlate[0]
    x.changes += 1
    if not is_mpls(ethertype) or n == 1 or deeper:
        x.unparsed = 1


@apart
def age_label(t):
    """One less in the TTL of the outermost label; 0 when it is over."""
    if not is_mpls(kind_of(t)):
        return 1
    ttl = read(t, W_MPLS, TTL_BITS << HALF)
    if ttl >> HALF <= np.uint64(1):
        return 0
    flows = t.desk.flows
    flows[FLOW].w[W_MPLS] = flows[FLOW].w[W_MPLS] - (np.uint64(1) << HALF)
    flows[KNOWN].w[W_MPLS] = flows[KNOWN].w[W_MPLS] | TTL_BITS << HALF
    act = put(t, SET, MPLS_LSE, 0)
    act.v0 = (ttl >> HALF) - np.uint64(1)
    act.m0 = TTL_BITS
    t.desk.xlate[0].changes += 1
    return 1

