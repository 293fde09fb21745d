"""IPv6 and its extension headers (RFC 8200, RFC 4302).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------+---------------+---------------------------------------+
    |version|    nw_tos     |              ipv6_label               |
    +-------+---------------+-------+---------------+---------------+
    |            length             |   nw_proto    |    nw_ttl     |
    +-------------------------------+---------------+---------------+
    |                   ipv6_src (128), ipv6_dst (128)
    +---------------------------------------------------------------+
    | extension headers: next, length, ... ; a fragment's: next, 0, offset and M (16), id (32)
"""
from lab.memory.raw import load8, load16, load32, load64, store8, store16, store32, store64
from lab.packet import text
from lab.packet.text import memory_of

FLOW, PAYLOAD, NEXT, TTL, SRC, DST, LENGTH = 0, 4, 6, 7, 8, 24, 40
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, ICMPV6, NONE, DESTINATION = 0, 43, 44, 51, 58, 59, 60
EXT_NEXT, EXT_LEN, EXT_FRAG, EXT_ID, EXT_LENGTH = 0, 1, 2, 4, 8
EXTENSIONS = {HOP_BY_HOP: "hop-by-hop", ROUTING: "routing", FRAGMENT: "frag", AUTHENTICATION: "authentication", DESTINATION: "destination"}
LABEL_MASK, OFFSET_MASK, MORE_FRAGMENTS = 0xFFFFF, 0xFFF8, 1
PADDING_MAX = 0xFFFF  # more bytes than that behind the packet, and OVS takes its length for a lie
FIRST, LATER = 1, 3   # nw_frag of a fragment that is the first, or is not


def check(memory, at, left):
    """The length of the fixed header, 0 when it is not wholly there or the payload's length lies."""
    if left < LENGTH:
        return 0
    rest = left - LENGTH - load16(memory, at + PAYLOAD)
    if rest < 0 or rest > PADDING_MAX:
        return 0
    return LENGTH


def check_chain(memory, at, left):
    """The length of all headers, the protocol behind them and nw_frag; length 0 when the chain is cut."""
    proto = load8(memory, at + NEXT)
    off = LENGTH
    frag = 0
    while is_extension(proto):
        if left - off < EXT_LENGTH:
            return 0, 0, 0
        following = load8(memory, at + off + EXT_NEXT)
        length = extension_length(memory, at + off, proto)
        if length > left - off:
            return 0, 0, 0
        if proto == FRAGMENT:
            place = load16(memory, at + off + EXT_FRAG)
            if place != 0:
                frag = FIRST
            if place & OFFSET_MASK != 0:
                return off + length, FRAGMENT, LATER
        off += length
        proto = following
    return off, proto, frag


def is_extension(proto):
    """Whether a protocol number stands for an extension header that is passed over."""
    return proto == HOP_BY_HOP or proto == ROUTING or proto == FRAGMENT or proto == AUTHENTICATION or proto == DESTINATION


def extension_length(memory, at, proto):
    """What an extension header says of its own length, in bytes."""
    if proto == FRAGMENT:
        return EXT_LENGTH
    if proto == AUTHENTICATION:
        return (load8(memory, at + EXT_LEN) + 2) * 4
    return (load8(memory, at + EXT_LEN) + 1) * 8


def get_tos(memory, at):
    """The traffic class: DSCP and ECN."""
    return (load16(memory, at + FLOW) >> 4) & 0xFF


def get_label(memory, at):
    """The flow label."""
    return load32(memory, at + FLOW) & LABEL_MASK


def get_payload(memory, at):
    """The length of what follows the fixed header."""
    return load16(memory, at + PAYLOAD)


def get_ttl(memory, at):
    """The hop limit."""
    return load8(memory, at + TTL)


def get_src(memory, at):
    """The source address: its high and its low 64 bits."""
    return load64(memory, at + SRC), load64(memory, at + SRC + 8)


def get_dst(memory, at):
    """The destination address: its high and its low 64 bits."""
    return load64(memory, at + DST), load64(memory, at + DST + 8)


def set_tos(memory, at, tos):
    """Write the traffic class."""
    store32(memory, at + FLOW, (load32(memory, at + FLOW) & ~0x0FF00000) | (tos & 0xFF) << 20)


def set_payload(memory, at, length):
    """Write the length of what follows the fixed header."""
    store16(memory, at + PAYLOAD, length)


def set_ttl(memory, at, ttl):
    """Write the hop limit."""
    store8(memory, at + TTL, ttl)


def set_src(memory, at, high, low):
    """Write the source address; the checksum behind is the caller's."""
    store64(memory, at + SRC, high)
    store64(memory, at + SRC + 8, low)


def set_dst(memory, at, high, low):
    """Write the destination address; the checksum behind is the caller's."""
    store64(memory, at + DST, high)
    store64(memory, at + DST + 8, low)


def show(data):
    """The fields of the headers for people: (name, offset, length, text). The data goes on to the end of the frame."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    tos = get_tos(memory, 0)
    fields = [
        ("version", FLOW, 1, str(load8(memory, FLOW) >> 4)),
        ("nw_tos", FLOW, 2, str(tos & 0xFC)),
        ("nw_ecn", FLOW + 1, 1, str(tos & 3)),
        ("ipv6_label", FLOW + 1, 3, f"0x{get_label(memory, 0):05x}"),
        ("length", PAYLOAD, 2, str(get_payload(memory, 0))),
        ("nw_proto", NEXT, 1, str(load8(memory, NEXT))),
        ("nw_ttl", TTL, 1, str(get_ttl(memory, 0))),
        ("ipv6_src", SRC, 16, text.ip6(*get_src(memory, 0))),
        ("ipv6_dst", DST, 16, text.ip6(*get_dst(memory, 0))),
    ]
    return fields + show_chain(memory, check_chain(memory, 0, LENGTH + get_payload(memory, 0))[0])


def show_chain(memory, end):
    """A field for each extension header up to where the chain ends."""
    fields, off, proto = [], LENGTH, load8(memory, NEXT)
    while off < end:
        length, following = extension_length(memory, off, proto), load8(memory, off + EXT_NEXT)
        said = f"nw_proto {following}"
        if proto == FRAGMENT:
            place = load16(memory, off + EXT_FRAG)
            said += f", at {place & OFFSET_MASK}{', more' if place & MORE_FRAGMENTS else ''}, id {load32(memory, off + EXT_ID)}"
        fields.append((EXTENSIONS[proto], off, length, said))
        off, proto = off + length, following
    return fields
