"""VLAN tags and MPLS labels: pushed into the headroom, popped, written in place.

A label goes where OVS puts it: behind the tags, in front of what the last Ethernet type announced (`l2_len`). What lies
behind a label is not looked at again before the packet is parsed anew, so the lengths of its headers are forgotten.
A pushed tag or label that finds no headroom is not pushed.
"""

import numpy as np

from lab.memory.mbuf import L4_CSUM_PARTIAL, TUNNEL
from lab.memory.raw import apart, copy, load16, load32, load64, store16, store32, store64
from lab.packet.headers.ethernet import MPLS, MPLS_MULTICAST
from lab.stages.performing.masked import masked

DOT1Q, DOT1AD = 0x8100, 0x88A8
LENGTH = 4  # of a tag, and of a label
ETH_LENGTH, TYPE = 14, 12
NO_CFI = 0xEFFF  # of a TCI that is written: the key has the bit 0x1000 for "there is a tag", and OVS loses the packet's own


def tagged(memory, m, at):
    """1 when the frame carries a VLAN tag."""
    if m.data_len < ETH_LENGTH + LENGTH:
        return 0
    kind = load16(memory, at + TYPE)
    if kind == DOT1Q or kind == DOT1AD:
        return 1
    return 0


def shift_start(m, n):
    """The frame begins `n` bytes earlier now, or later when that is negative."""
    m.data_off -= n
    m.data_len += n
    m.pkt_len += n
    if m.ol_flags & L4_CSUM_PARTIAL != np.uint64(0):
        m.csum_start += n
    if m.ol_flags & TUNNEL != np.uint64(0):
        m.inner_off += n


@apart
def push_vlan(memory, m, tpid, tci):
    """Put a tag behind the addresses, out of the headroom."""
    if m.data_len < ETH_LENGTH or m.data_off < LENGTH:
        return
    at = m.buf + m.data_off - LENGTH
    dst = load64(memory, at + 4)
    rest = load32(memory, at + 12)
    store64(memory, at, dst)
    store32(memory, at + 8, rest)
    store16(memory, at + 12, tpid)
    store16(memory, at + 14, tci & NO_CFI)
    shift_start(m, LENGTH)
    if m.l2_len > 0:
        m.l2_len += LENGTH


@apart
def pop_vlan(memory, m):
    """Take the outermost tag away."""
    at = m.buf + m.data_off
    if tagged(memory, m, at) == 0:
        return
    dst = load64(memory, at)
    rest = load32(memory, at + 8)
    store64(memory, at + 4, dst)
    store32(memory, at + 12, rest)
    shift_start(m, -LENGTH)
    if m.l2_len > LENGTH:
        m.l2_len -= LENGTH


@apart
def set_tci(memory, m, act):
    """Write bits of the outermost tag; its type stays."""
    at = m.buf + m.data_off
    if tagged(memory, m, at) == 0:
        return
    old = load16(memory, at + ETH_LENGTH)
    new = masked(old, act) & NO_CFI
    if new != old & NO_CFI:
        store16(memory, at + ETH_LENGTH, new)


def labelled(memory, m):
    """1 when a label stack lies behind the link layer, its first entry wholly there."""
    if m.l2_len < ETH_LENGTH or m.data_len < m.l2_len + LENGTH:
        return 0
    kind = load16(memory, m.buf + m.data_off + m.l2_len - 2)
    if kind == MPLS or kind == MPLS_MULTICAST:
        return 1
    return 0


@apart
def push_mpls(memory, m, kind, lse):
    """Put a label in front of what lies behind the link layer."""
    if m.l2_len < ETH_LENGTH or m.data_off < LENGTH:
        return
    if kind != MPLS and kind != MPLS_MULTICAST:
        return
    at = m.buf + m.data_off
    copy(memory, at - LENGTH, at, m.l2_len)
    shift_start(m, LENGTH)
    at -= LENGTH
    store16(memory, at + m.l2_len - 2, kind)
    store32(memory, at + m.l2_len, lse)
    forget_above(m)


@apart
def pop_mpls(memory, m, kind):
    """Take the outermost label away; what lay behind it has this Ethernet type."""
    if labelled(memory, m) == 0:
        return
    at = m.buf + m.data_off
    store16(memory, at + m.l2_len - 2, kind)
    copy(memory, at + LENGTH, at, m.l2_len)
    shift_start(m, -LENGTH)
    forget_above(m)


def forget_above(m):
    """The headers behind the labels are found again by parse alone."""
    m.l3_len = 0
    m.l4_len = 0


@apart
def set_lse(memory, m, act):
    """Write bits of the outermost label stack entry."""
    if labelled(memory, m) == 0:
        return
    at = m.buf + m.data_off + m.l2_len
    store32(memory, at, masked(load32(memory, at), act))
