"""Whether a packet may be merged at all: its checksums hold, and GSO could compute each of them again, bit for bit.

Asked of packets with payload that profile `linux` might hold, and of acknowledgements that it might join. A bad checksum is
noted in the packet's flags and never repaired: such a packet leaves as it came.
"""

import numpy as np

from lab.memory.mbuf import (
    IP_CSUM_BAD,
    IP_CSUM_PARTIAL,
    L4_CSUM_BAD,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_IP_BAD,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
)
from lab.memory.raw import apart, load16, sum16
from lab.memory.reasons import PASS_CSUM, PASS_SHAPE
from lab.offload.gro.finish import GRE_CHECKSUM, GRE_HAS_CHECKSUM, IPV4, pseudo
from lab.packet.checksum import ONES, fold, sum_chain
from lab.packet.headers.gre import HAS_SEQUENCE
from lab.packet.headers.ipv4 import CHECKSUM as IPV4_CHECKSUM
from lab.packet.headers.ipv4 import UDP
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.tcp import CHECKSUM as TCP_CHECKSUM
from lab.packet.headers.udp import CHECKSUM as UDP_CHECKSUM

ZERO = np.uint64(0)


@apart
def why_unfit(to, i, m, s):
    """0 when all checksums of a packet whose headers were found are right and in their usual form, else why it passes."""
    memory = to.memory
    at = m.buf + m.data_off
    if s.outer_v == 4:
        why = ip_unfit(memory, at + s.outer_ip)
        if why == PASS_CSUM:
            m.ol_flags = m.ol_flags | OUTER_IP_BAD
        if why != 0:
            return why
    if s.v == 4 and m.ol_flags & IP_CSUM_PARTIAL == ZERO:
        why = ip_unfit(memory, at + s.ip)
        if why == PASS_CSUM:
            m.ol_flags = m.ol_flags | IP_CSUM_BAD
        if why != 0:
            return why
    why = l4_unfit(to, i, m, s)
    if why == 0 and s.outer_v != 0:
        why = outer_unfit(to, i, m, s)
    return why


def ip_unfit(memory, ip):
    """The same of an IPv4 header of 20 bytes."""
    if sum16(memory, ip, IPV4) != ONES:
        return PASS_CSUM
    if load16(memory, ip + IPV4_CHECKSUM) == ONES:
        return PASS_SHAPE
    return 0


def l4_unfit(to, i, m, s):
    """The same of TCP or UDP."""
    at = m.buf + m.data_off
    field = TCP_CHECKSUM
    if s.proto == UDP:
        field = UDP_CHECKSUM
    if m.ol_flags & L4_CSUM_PARTIAL != ZERO:
        if m.csum_start != s.l4 or m.csum_offset != field:
            return PASS_SHAPE
        return 0
    if m.ol_flags & L4_CSUM_GOOD == ZERO:
        n = s.end - s.l4
        total = sum_chain(to.memory, to.mbufs, i, s.l4, n) + pseudo(to.memory, at + s.ip, s.v, s.proto, n)
        if fold(total) != ONES:
            if s.v == 6 and s.ip_len != IPV6_LENGTH:  # a routing header changes the address that counts
                return PASS_SHAPE
            m.ol_flags = m.ol_flags | L4_CSUM_BAD
            return PASS_CSUM
    if s.proto != UDP and load16(to.memory, at + s.l4 + field) == ONES:
        return PASS_SHAPE
    return 0


def outer_unfit(to, i, m, s):
    """The same of a tunnel's own checksum, which covers all that it carries."""
    l4 = m.buf + m.data_off + s.outer_l4
    n = m.pkt_len - s.outer_l4
    total = 0
    if s.outer_proto == UDP:
        if load16(to.memory, l4 + UDP_CHECKSUM) == 0:
            return 0
        total = pseudo(to.memory, m.buf + m.data_off + s.outer_ip, s.outer_v, UDP, n)
    else:
        flags = load16(to.memory, l4)
        if flags & HAS_SEQUENCE != 0:
            return PASS_SHAPE
        if flags & GRE_HAS_CHECKSUM == 0:
            return 0
        if load16(to.memory, l4 + GRE_CHECKSUM) == ONES:
            return PASS_SHAPE
    if m.ol_flags & (OUTER_L4_GOOD | OUTER_L4_PARTIAL) != ZERO:
        return 0
    if m.ol_flags & L4_CSUM_PARTIAL != ZERO:  # what it covers is not written yet
        return PASS_SHAPE
    if fold(sum_chain(to.memory, to.mbufs, i, s.outer_l4, n) + total) != ONES:
        m.ol_flags = m.ol_flags | OUTER_L4_BAD
        return PASS_CSUM
    return 0
