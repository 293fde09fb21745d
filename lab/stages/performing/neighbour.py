"""Fields of neighbour discovery, with ICMPv6's checksum, which covers them.

As in OVS, only the first option that holds a link-layer address counts: a packet is not to have two, and where it has,
the second is never written.
"""

from lab.flow.actions import ND_SLL, ND_TARGET
from lab.flow.key import W_DST
from lab.memory.mbuf import L4_CSUM_PARTIAL
from lab.memory.raw import apart, i64, load8, load16, load32, store16
from lab.packet.checksum import update16, update32
from lab.packet.headers.ethernet import IPV6
from lab.packet.headers.icmpv6 import (
    CHECKSUM,
    ND_OPTIONS,
    OPTION_ADDRESS,
    OPTION_LEN,
    OPTION_LENGTH,
    OPTION_TYPE,
    SOURCE_LINK,
    TARGET_LINK,
    check_target,
)
from lab.packet.headers.icmpv6 import ND_TARGET as TARGET_AT
from lab.packet.headers.ipv6 import ICMPV6
from lab.stages.performing.ip import set_address, write_address
from lab.stages.performing.masked import set48
from lab.stages.performing.transport import TYPE_AT, ZERO, has_transport, proto_of, transport_length


@apart
def set_neighbour(memory, m, key, act):
    """Set the target or a link-layer address of a solicitation or advertisement."""
    if i64(key.w[W_DST] >> TYPE_AT) != IPV6 or proto_of(key) != ICMPV6 or not has_transport(key, m, 8):
        return
    at = m.buf + m.data_off + m.l2_len + m.l3_len
    left = m.data_len - m.l2_len - m.l3_len
    length = transport_length(memory, m, key)
    if length < left:
        left = length
    if check_target(memory, at, left) == 0:
        return
    if act.detail == ND_TARGET:
        if m.ol_flags & L4_CSUM_PARTIAL != ZERO:
            write_address(memory, at + TARGET_AT, act)
        else:
            set_address(memory, m, key, at + TARGET_AT, act)
        return
    wanted = TARGET_LINK
    if act.detail == ND_SLL:
        wanted = SOURCE_LINK
    off = first_link(memory, at, left)
    if off != 0 and load8(memory, at + off + OPTION_TYPE) == wanted:
        set_link(memory, m, at, at + off + OPTION_ADDRESS, act)


def first_link(memory, at, left):
    """Where the first option with a link-layer address stands; 0 for nowhere."""
    off = ND_OPTIONS
    while left - off >= OPTION_LENGTH:
        length = load8(memory, at + off + OPTION_LEN) * 8
        kind = load8(memory, at + off + OPTION_TYPE)
        if length == 0:
            return 0
        if length == OPTION_LENGTH and (kind == SOURCE_LINK or kind == TARGET_LINK):
            return off
        off += length
    return 0


def set_link(memory, m, icmp, at, act):
    """Set the address of an option and account for it in the checksum."""
    high = load16(memory, at)
    low = load32(memory, at + 2)
    set48(memory, at, act)
    new_high = load16(memory, at)
    new_low = load32(memory, at + 2)
    if (high == new_high and low == new_low) or m.ol_flags & L4_CSUM_PARTIAL != ZERO:
        return
    checksum = update32(update16(load16(memory, icmp + CHECKSUM), high, new_high), low, new_low)
    store16(memory, icmp + CHECKSUM, checksum)
