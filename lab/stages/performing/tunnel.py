"""The fields of a tunnel that an action sets: no header has them yet, they wait in the packet's record in `tunnels`.

The record is that of the mbuf with the same number, in the words of the flow key, and counts only while the packet has
the flag TUN_META. What a tunnel port's own settings say goes before it; that is `push`'s to know.
"""

import numpy as np

from lab.flow.actions import TUN_DST, TUN_ID, TUN_IPV6_DST, TUN_IPV6_SRC, TUN_METADATA0, TUN_SRC, TUN_TOS, TUN_TTL
from lab.memory.mbuf import TUN_META
from lab.memory.raw import apart, clear
from lab.stages.performing.masked import blend

ID, IPV4, IPV6_SRC, IPV6_DST, REST = 0, 1, 2, 4, 6  # words of the record


@apart
def set_tunnel(out, i, act):
    """Set one field of the tunnel that a packet shall take; all others are zero unless it came through one."""
    m = out.mbufs[i]
    held = out.tunnels[i]
    if m.ol_flags & TUN_META == np.uint64(0):
        clear(held.w)
        held.opt0 = np.uint64(0)
        m.ol_flags = m.ol_flags | TUN_META
    field = act.detail
    if field == TUN_METADATA0:
        held.opt0 = blend(held.opt0, act.v0, act.m0)
    elif field == TUN_IPV6_SRC:
        set_address(held, IPV6_SRC, act)
    elif field == TUN_IPV6_DST:
        set_address(held, IPV6_DST, act)
    else:
        at = np.uint64(low_of(field))
        j = word_of(field)
        held.w[j] = blend(held.w[j], act.v0 << at, act.m0 << at)


def set_address(held, j, act):
    """Set an IPv6 address, or bits of it."""
    held.w[j] = blend(held.w[j], act.v0, act.m0)
    held.w[j + 1] = blend(held.w[j + 1], act.v1, act.m1)


def word_of(field):
    """The word of the record that a field of at most 64 bits lies in."""
    if field == TUN_ID:
        return ID
    if field == TUN_SRC or field == TUN_DST:
        return IPV4
    return REST


def low_of(field):
    """The lowest bit of a field in its word."""
    if field == TUN_SRC:
        return 32
    if field == TUN_TOS:
        return 16
    if field == TUN_TTL:
        return 24
    return 0
