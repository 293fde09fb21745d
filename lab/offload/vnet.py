"""virtio-net headers: what a guest says of a packet that it sends, and what a guest is told of one that it gets.

10, 12, 20 (hash) or 24 bytes (the offsets of a tunnel, virtio 1.4), little endian. What comes in is decoded from a private
copy, so the guest may change its own meanwhile, and believed only as far as the packet's bytes agree; `hdr_len` and
`num_buffers` are not believed at all. Called where packets enter and leave; nothing here computes a whole checksum.
"""

from collections import namedtuple

from lab.memory.mbuf import GSO, L4_CSUM_GOOD, L4_CSUM_PARTIAL, OUTER_L4_PARTIAL, TUNNEL
from lab.memory.raw import apart, load8, load16, store8, store16, store32, u64
from lab.memory.reasons import BAD_CSUM_START, BAD_GSO_HEADERS, BAD_GSO_SIZE, BAD_GSO_TYPE, BAD_VNET, TOO_MANY_SEGMENTS
from lab.offload.capabilities import GSO_ECN, GSO_KIND, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, MOST_TCP, MOST_UDP
from lab.offload.layers import link_layer, look
from lab.offload.seen import see
from lab.packet.checksum import pseudo_ipv4, pseudo_ipv6
from lab.packet.headers.ipv4 import TCP, UDP

# where the fields lie
FLAGS, TYPE, HDR_LEN, SIZE, START, OFFSET, BUFFERS, HASH, REPORT, OUTER_TH, INNER_NH = 0, 1, 2, 4, 6, 8, 10, 12, 16, 20, 22
SHORT, MERGED, HASHED, TUNNELLED = 10, 12, 20, 24  # its lengths
NEEDS_CSUM, DATA_VALID, RSC_INFO, TUNNEL_CSUM = 1, 2, 4, 8  # flags
IN_IPV4, IN_IPV6 = 0x20, 0x40  # gso_type: in a UDP tunnel over this version
IN_TUNNEL = IN_IPV4 | IN_IPV6
UDP_LENGTH = 8
TCP_SUM, UDP_SUM = 16, 6  # where the checksum stands in the transport header

Entrance = namedtuple("Entrance", "memory mbufs pool sight")


def entrance(memory, mbufs, pool, sight):
    """The regions that a packet enters and leaves with, as one argument."""
    return Entrance(memory, mbufs, pool, sight)


def le16(memory, at):
    """16 bits, the low ones first."""
    value = load16(memory, at)
    return (value & 0xFF) << 8 | value >> 8


def put_le16(memory, at, value):
    """16 bits, the low ones first."""
    store16(memory, at, (value & 0xFF) << 8 | value >> 8 & 0xFF)


def refuse(m, why, a, b):
    """Note the figures of a reason, and return it."""
    m.reason_a = a
    m.reason_b = b
    return why


@apart
def vnet_in(door, i, at, n):
    """Take over what the `n` bytes at `at`, a private copy of a header, say of packet `i`: 0, or the reason to drop it."""
    memory = door.memory
    m = door.mbufs[i]
    if n != SHORT and n != MERGED and n != HASHED and n != TUNNELLED:
        return refuse(m, BAD_VNET, n, 0)
    flags = load8(memory, at + FLAGS)
    if flags & NEEDS_CSUM != 0:
        start = le16(memory, at + START)
        offset = le16(memory, at + OFFSET)
        if flags & RSC_INFO != 0:  # the two fields would be something else
            return refuse(m, BAD_VNET, FLAGS, flags)
        if start + offset + 2 > m.pkt_len:
            return refuse(m, BAD_CSUM_START, start, m.pkt_len)
        m.csum_start = start
        m.csum_offset = offset
        m.ol_flags = m.ol_flags | L4_CSUM_PARTIAL
    elif flags & DATA_VALID != 0:
        m.ol_flags = m.ol_flags | L4_CSUM_GOOD
    if n >= HASHED and le16(memory, at + REPORT) != 0:
        m.hash = u64(le16(memory, at + HASH) | le16(memory, at + HASH + 2) << 16)
    kind = load8(memory, at + TYPE)
    if kind == 0:
        return 0
    if kind & IN_TUNNEL != 0:
        why = tunnel_in(door, i, at, n)
    else:
        why = find_headers(door, i)
    if why == 0:
        why = gso_in(door, m, kind, le16(memory, at + SIZE))
    if why != 0:
        m.ol_flags = m.ol_flags & ~(GSO | TUNNEL)
    return why


def find_headers(door, i):
    """Look at the headers of a large packet, brought together when they lie in several segments: 0, or what is wrong."""
    m = door.mbufs[i]
    s = door.sight[0]
    whole = see(door.memory, door.mbufs, door.pool, i, s)
    if s.v == 0 and link_layer(door.memory, m, s) == 0:
        return 0  # no IP, whatever type it says
    if s.v != 0 and s.proto != TCP and s.proto != UDP:
        return 0
    if whole == 0 or s.frag != 0:
        return refuse(m, BAD_GSO_HEADERS, m.data_len, m.pkt_len - m.data_len)
    return 0


def tunnel_in(door, i, at, n):
    """Believe where the packet in a UDP tunnel begins, if the headers around it and inside say so too: 0, or what is wrong."""
    memory = door.memory
    m = door.mbufs[i]
    s = door.sight[0]
    kind = load8(memory, at + TYPE)
    flags = load8(memory, at + FLAGS)
    if n < TUNNELLED or kind & IN_TUNNEL == IN_TUNNEL:
        return refuse(m, BAD_GSO_TYPE, kind, 0)
    if flags & NEEDS_CSUM == 0:
        return refuse(m, BAD_VNET, FLAGS, flags)
    m.inner_off = le16(memory, at + INNER_NH)
    m.ol_flags = m.ol_flags | TUNNEL
    why = find_headers(door, i)
    if why != 0:
        return why
    version = 4
    if kind & IN_IPV6 != 0:
        version = 6
    if s.outer_v != version or s.outer_proto != UDP:
        return refuse(m, BAD_GSO_TYPE, kind, 0)
    if s.outer_l4 != le16(memory, at + OUTER_TH):
        return refuse(m, BAD_VNET, OUTER_TH, s.outer_l4)
    if m.inner_off < s.outer_l4 + UDP_LENGTH:
        return refuse(m, BAD_VNET, INNER_NH, s.outer_l4)
    if flags & TUNNEL_CSUM != 0:
        m.ol_flags = m.ol_flags | OUTER_L4_PARTIAL
    return 0


def gso_in(door, m, kind, size):
    """Make a packet whose headers were found one that is to be cut: 0, or what is wrong with its type or size."""
    s = door.sight[0]
    what = kind & ~(GSO_ECN | IN_TUNNEL)
    field = TCP_SUM
    most = MOST_TCP
    fits = 0
    if s.v == 0:
        return refuse(m, BAD_GSO_TYPE, kind, 0)
    if s.proto == TCP and ((what == GSO_TCPV4 and s.v == 4) or (what == GSO_TCPV6 and s.v == 6)):
        fits = 1
    elif s.proto == UDP and what == GSO_UDP_L4 and kind & GSO_ECN == 0:
        field = UDP_SUM
        most = MOST_UDP
        fits = 1
    if fits == 0:
        return refuse(m, BAD_GSO_TYPE, kind, 0)
    payload = s.end - s.payload
    if payload <= 0:
        return refuse(m, BAD_GSO_HEADERS, s.payload, payload)
    if size == 0:
        return refuse(m, BAD_GSO_SIZE, size, payload)
    segments = (payload + size - 1) // size
    if segments > most:
        return refuse(m, TOO_MANY_SEGMENTS, segments, most)
    if m.ol_flags & L4_CSUM_PARTIAL != u64(0):
        if m.csum_start != s.l4 or m.csum_offset != field:
            return refuse(m, BAD_CSUM_START, m.csum_start, m.pkt_len)
    else:
        leave_partial(door.memory, m, s, field)
    if segments > 1:  # what is one segment already is no large packet, whatever is said of it
        m.ol_flags = m.ol_flags | GSO
        m.gso_type = kind & (GSO_ECN | GSO_KIND)
        m.tso_segsz = size
        m.gso_segs = segments
    return 0


def leave_partial(memory, m, s, field):
    """Have the transport checksum computed later: the field holds the pseudo-header's sum until then."""
    at = m.buf + m.data_off
    n = s.end - s.l4
    if s.v == 4:
        total = pseudo_ipv4(memory, at + s.ip, s.proto, n)
    else:
        total = pseudo_ipv6(memory, at + s.ip, s.proto, n)
    store16(memory, at + s.l4 + field, total)
    m.csum_start = s.l4
    m.csum_offset = field
    m.ol_flags = m.ol_flags & ~L4_CSUM_GOOD | L4_CSUM_PARTIAL


@apart
def vnet_out(door, i, at, n):
    """Write the `n` bytes that a guest is told of packet `i` to `at`: 1, or 0 when this form cannot say it.

    No hash is reported: the switch's own is none that a guest could compute.
    """
    memory = door.memory
    m = door.mbufs[i]
    s = door.sight[0]
    store32(memory, at, 0)
    store32(memory, at + 4, 0)
    store16(memory, at + OFFSET, 0)
    if n >= MERGED:
        put_le16(memory, at + BUFFERS, 1)
    if n >= HASHED:
        store32(memory, at + HASH, 0)
        store32(memory, at + REPORT, 0)
    if n >= TUNNELLED:
        store32(memory, at + OUTER_TH, 0)
    if m.ol_flags & L4_CSUM_PARTIAL != u64(0):
        store8(memory, at + FLAGS, NEEDS_CSUM)
        put_le16(memory, at + START, m.csum_start)
        put_le16(memory, at + OFFSET, m.csum_offset)
    elif m.ol_flags & L4_CSUM_GOOD != u64(0):
        store8(memory, at + FLAGS, DATA_VALID)
    if m.ol_flags & GSO == u64(0):
        if m.ol_flags & OUTER_L4_PARTIAL != u64(0):  # a tunnel is spoken of with a size to cut by alone
            return 0
        return 1
    if look(memory, m, s) == 0:
        return 0
    store8(memory, at + TYPE, m.gso_type)
    put_le16(memory, at + HDR_LEN, s.payload)
    put_le16(memory, at + SIZE, m.tso_segsz)
    if m.ol_flags & TUNNEL == u64(0):
        return 1
    return tunnel_out(memory, m, s, at, n)


def tunnel_out(memory, m, s, at, n):
    """The part of a header that speaks of the tunnel around a large packet: 1, or 0 when there is none for such a tunnel."""
    if n < TUNNELLED or s.outer_proto != UDP:
        return 0
    kind = IN_IPV4
    if s.outer_v == 6:
        kind = IN_IPV6
    store8(memory, at + TYPE, m.gso_type | kind)
    if m.ol_flags & OUTER_L4_PARTIAL != u64(0):
        store8(memory, at + FLAGS, NEEDS_CSUM | TUNNEL_CSUM)
    put_le16(memory, at + OUTER_TH, s.outer_l4)
    put_le16(memory, at + INNER_NH, m.inner_off)
    return 1
