"""The headers of a packet that is cut, taken apart once, so that each segment's are a copy and a few stores.

`heads_of` keeps the sums without what changes from segment to segment; `write` puts a segment's headers into an mbuf. A
checksum of IPv4 is changed by what its header changed, so one that was wrong stays wrong. Transport checksums, and those
of tunnels, get the sum of their pseudo-header and are left partial. `work` is whatever has the regions by name.
"""

from collections import namedtuple

from lab.memory.mbuf import FIXED_ID, L4_CSUM_PARTIAL, OUTER_FIXED_ID, OUTER_L4_PARTIAL
from lab.memory.raw import apart, copy, copy_small, load8, load16, load32, store16, store32, sum16, u64
from lab.offload.checksums_outer import pseudo
from lab.packet.checksum import finish, fold
from lab.packet.headers import ipv4, ipv6, tcp, udp
from lab.packet.headers.gre import HAS_CHECKSUM, HAS_SEQUENCE, get_flags, get_sequence, set_checksum, set_sequence
from lab.packet.headers.ipv6 import extension_length, is_extension

FIRST, LAST = 1, 2
AE = 0x100  # with it, CWR is a part of AccECN's counter and stands on all
SMALL = 128
NO_SUM = -1
NO_TUNNEL, BY_UDP, BY_GRE = range(3)
# where: offsets of headers; *_sum: sums without lengths and ids; *_step: what an id grows by from segment to segment
Heads = namedtuple(
    "Heads",
    "memory at n v ip ip_sum ip_id ip_step l4 is_udp l4_sum seq word on_later"
    " outer_v outer outer_sum outer_id outer_step around carrier around_sum gre_flags gre_seq",
)


@apart
def heads_of(memory, m, s):
    """The headers of a packet as `look` found them, taken apart."""
    at = m.buf + m.data_off
    n = s.end - s.l4
    is_udp = 0
    seq = 0
    word = 0
    on_later = ~tcp.CWR
    if s.proto == ipv4.UDP:
        is_udp = 1
        field = load16(memory, at + s.l4 + udp.CHECKSUM)
    else:
        field = load16(memory, at + s.l4 + tcp.CHECKSUM)
        seq = load32(memory, at + s.l4 + tcp.SEQ)
        word = load16(memory, at + s.l4 + tcp.OFFSET)
        if word & AE != 0:
            on_later = ~0
    partial = m.ol_flags & L4_CSUM_PARTIAL != u64(0)
    l4_sum = pseudo(memory, at + s.ip, s.v, s.proto, 0)
    if is_udp != 0 and field == 0 and not partial:
        l4_sum = NO_SUM
    elif partial and s.v == 6 and routed(memory, at + s.ip) != 0:
        l4_sum = fold(field + (~n & 0xFFFF))  # of another destination, which whoever wrote the sum knew
    ip_step = 1
    outer_step = 1
    if m.ol_flags & FIXED_ID != u64(0):
        ip_step = 0
    if m.ol_flags & OUTER_FIXED_ID != u64(0):
        outer_step = 0
    carrier = NO_TUNNEL
    outer = 0
    around = 0
    around_sum = NO_SUM
    gre_flags = 0
    gre_seq = 0
    if s.outer_v != 0:
        outer = s.outer_ip
        around = s.outer_l4
        carrier = BY_GRE
        if s.outer_proto == ipv4.UDP:
            carrier = BY_UDP
            if m.ol_flags & OUTER_L4_PARTIAL != u64(0) or load16(memory, at + around + udp.CHECKSUM) != 0:
                around_sum = pseudo(memory, at + outer, s.outer_v, ipv4.UDP, 0)
        else:
            gre_flags = get_flags(memory, at + around)
            if gre_flags & HAS_SEQUENCE != 0:
                gre_seq = get_sequence(memory, at + around)
    return Heads(
        memory, at, s.payload, s.v, s.ip, ip_sum(memory, at + s.ip, s.v), load16(memory, at + s.ip + ipv4.ID), ip_step,
        s.l4, is_udp, l4_sum, seq, word, on_later,
        s.outer_v, outer, ip_sum(memory, at + outer, s.outer_v), load16(memory, at + outer + ipv4.ID), outer_step,
        around, carrier, around_sum, gre_flags, gre_seq,
    )  # fmt: skip


def routed(memory, at):
    """Whether an IPv6 packet, whose extension headers are whole, has a routing header."""
    proto = load8(memory, at + ipv6.NEXT)
    off = ipv6.LENGTH
    while is_extension(proto):
        if proto == ipv6.ROUTING:
            return 1
        following = load8(memory, at + off + ipv6.EXT_NEXT)
        off += extension_length(memory, at + off, proto)
        proto = following
    return 0


def ip_sum(memory, at, v):
    """The sum that an IPv4 header's checksum was made of, without length and id; 0 for IPv6."""
    if v != 4:
        return 0
    total = (~load16(memory, at + ipv4.CHECKSUM) & 0xFFFF) + (~load16(memory, at + ipv4.TOTAL) & 0xFFFF)
    return fold(total + (~load16(memory, at + ipv4.ID) & 0xFFFF))


def folded(total):
    """A sum of a few 16-bit words folded, without a loop."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def write(h, to, behind, size, ends):
    """The headers of a segment of `size` bytes at an offset; `behind` are the segments and the bytes that went before it."""
    made, done = behind
    if to != h.at:
        if h.n <= SMALL:
            copy_small(h.memory, to, h.at, h.n)
        else:
            copy(h.memory, to, h.at, h.n)
    if h.carrier != NO_TUNNEL:
        write_tunnel(h, to, made, size)
    write_ip(h.memory, to + h.ip, h.n - h.ip + size, h.v, (h.ip_sum, h.ip_id + made * h.ip_step))
    l4 = to + h.l4
    n = h.n - h.l4 + size
    if h.is_udp != 0:
        total = 0
        if h.l4_sum != NO_SUM:
            total = folded(h.l4_sum + n)
        store32(h.memory, l4 + udp.TOTAL, n << 16 | total)
        return
    word = h.word
    if ends & LAST == 0:
        word = word & ~(tcp.FIN | tcp.PSH)
    if ends & FIRST == 0:
        word = word & h.on_later
    store32(h.memory, l4 + tcp.SEQ, h.seq + done)
    store16(h.memory, l4 + tcp.OFFSET, word)
    store16(h.memory, l4 + tcp.CHECKSUM, folded(h.l4_sum + n))


def write_ip(memory, at, n, v, kept):
    """Length, id and checksum of an IP header with all that follows it; `kept` are sum and id."""
    if v == 6:
        store16(memory, at + ipv6.PAYLOAD, n - ipv6.LENGTH)
        return
    number = kept[1] & 0xFFFF
    store32(memory, at + ipv4.TOTAL, n << 16 | number)
    store16(memory, at + ipv4.CHECKSUM, ~folded(kept[0] + n + number))


@apart
def write_tunnel(h, to, made, size):
    """The headers around the packet: lengths, ids, sequence; checksums that are not zero are left partial."""
    write_ip(h.memory, to + h.outer, h.n - h.outer + size, h.outer_v, (h.outer_sum, h.outer_id + made * h.outer_step))
    at = to + h.around
    if h.carrier == BY_UDP:
        n = h.n - h.around + size
        total = 0
        if h.around_sum != NO_SUM:
            total = folded(h.around_sum + n)
        store32(h.memory, at + udp.TOTAL, n << 16 | total)
        return
    if h.gre_flags & HAS_CHECKSUM != 0:
        set_checksum(h.memory, at, 0)
    if h.gre_flags & HAS_SEQUENCE != 0:
        set_sequence(h.memory, at, h.gre_seq + made)


def leaves_partial(h):
    """The checksums that `write` leaves partial, as flags."""
    flags = u64(0)
    if h.l4_sum != NO_SUM:
        flags = flags | L4_CSUM_PARTIAL
    if h.around_sum != NO_SUM or h.gre_flags & HAS_CHECKSUM != 0:
        flags = flags | OUTER_L4_PARTIAL
    return flags


@apart
def finish_outer(h, to, size):
    """The outer UDP checksum of a segment that `write` has written, from its headers alone.

    An inner IPv4 header and a transport segment that are right add up to nothing but their own pseudo-header's complement,
    so the sum is the same for every segment of that length.
    """
    at = to + h.around
    n = h.n - h.around + size
    total = h.around_sum + n + load16(h.memory, at + udp.SRC) + load16(h.memory, at + udp.DST) + n
    total += sum16(h.memory, at + udp.LENGTH, h.ip - h.around - udp.LENGTH)
    if h.v == 6:
        total += sum16(h.memory, to + h.ip, h.l4 - h.ip)
    total += ~folded(h.l4_sum + h.n - h.l4 + size) & 0xFFFF
    checksum = finish(total)
    if checksum == 0:
        checksum = 0xFFFF
    store16(h.memory, at + udp.CHECKSUM, checksum)
