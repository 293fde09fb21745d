"""The fields a rule may match: for each its words, its bits in the flow key, how it is written, what it needs.

A row here is all it takes to add a field. `match.py` reads and prints matches by these rows; nothing else does.
"""
from typing import NamedTuple

from lab.flow.key import FIELDS, VLAN_PRESENT
from lab.openflow import values

SHORTHANDS = {  # (dl_type, nw_proto or None)
    "ip": (0x0800, None), "icmp": (0x0800, 1), "tcp": (0x0800, 6), "udp": (0x0800, 17), "sctp": (0x0800, 132),
    "ipv6": (0x86DD, None), "icmp6": (0x86DD, 58), "tcp6": (0x86DD, 6), "udp6": (0x86DD, 17), "sctp6": (0x86DD, 132),
    "arp": (0x0806, None), "rarp": (0x8035, None), "mpls": (0x8847, None), "mplsm": (0x8848, None),
}
ALSO = {"ipv4": "ip"}  # other words for shorthands
IP, ARP, MPLS, PORTS = ("ip", "ipv6"), ("arp", "rarp"), ("mpls", "mplsm"), ("tcp", "udp", "sctp", "tcp6", "udp6", "sctp6")
TCP, UDP, SCTP, ICMP = ("tcp", "tcp6"), ("udp", "udp6"), ("sctp", "sctp6"), ("icmp", "icmp6")
SOLICITATION, ADVERTISEMENT = 135, 136
NO_TAG = 0xFFFF


class Field(NamedTuple):
    """One field: `low` and `bits` say which part of the key's field `key` it is."""

    name: str
    key: str
    low: int
    bits: int
    read: object
    show: object = values.show_number
    needs: tuple = ()  # one of these shorthands
    kinds: tuple = ()  # and one of these ICMPv6 types
    also: tuple = ()   # other names
    only: tuple = ()   # print it under this name for these shorthands alone
    never: tuple = ()  # and not for these

    @property
    def full(self):
        """A mask of all its bits."""
        return (1 << self.bits) - 1


def exact(read):
    """A reader of fields that take no mask."""
    def reader(text, bits, ports):
        if "/" in text:
            raise ValueError("this field takes no mask")
        return read(text, bits), (1 << bits) - 1
    return reader


def maskable(read, read_mask=None):
    """A reader of fields that take any mask."""
    return lambda text, bits, ports: values.masked(text, bits, read, read_mask or read)


def port(text, bits, ports):
    """A port by number or name."""
    if text[:1].isdigit():
        return values.number(text, 16), (1 << bits) - 1
    name = text.strip('"')
    if name not in ports:
        raise LookupError(name)
    return ports[name], (1 << bits) - 1


def fragment(text, bits, ports):
    """Which fragments: a word, or a number with a mask."""
    if text in values.FRAGMENTS:
        return values.FRAGMENTS[text]
    if text[:1].isdigit():
        return values.masked(text, 2, values.number, values.number)
    raise ValueError(f"{text!r} is none of {', '.join(values.FRAGMENTS)}")


def tos(text, bits, ports):
    """The DSCP in its place in the TOS byte; the ECN bits are a field of their own."""
    value = values.number(text, 8)
    if value & 3:
        raise ValueError(f"{text} has ECN bits: the nearest TOS is {value & 0xFC}, and nw_ecn matches the rest")
    return value >> 2, 0x3F


def old_vlan(text, bits, ports):
    """A VLAN number of OpenFlow 1.0: a tag must be there, and 0xffff means none."""
    value = values.number(text, 16)
    if value == NO_TAG:
        return 0, 0xFFFF
    if value > 0xFFF:
        raise ValueError(f"{text} is more than 4095, and only 0xffff means no tag")
    return value | VLAN_PRESENT, 0x1FFF


def old_priority(text, bits, ports):
    """A VLAN priority: a tag must be there."""
    return values.number(text, 3) << 13 | VLAN_PRESENT, 0xF000


def vlan_vid(text, bits, ports):
    """A VLAN number of OpenFlow 1.2: the bit 0x1000 says that there is a tag."""
    value, mask = values.masked(text, 13, values.number, values.number)
    if mask & VLAN_PRESENT and value & 0xFFF and not value & VLAN_PRESENT:
        raise ValueError(f"{text} lacks the bit 0x1000 of a tag: write 0x{value | VLAN_PRESENT:x}, or dl_vlan={value}")
    return value, 0xFFFF if mask == 0x1FFF and value == 0 else mask


def show_tos(value, mask, full):
    """The DSCP as a TOS byte."""
    return str(value << 2)


def show_type(value, mask, full):
    """An Ethernet type."""
    return f"0x{value:04x}" if mask == full else f"0x{value:04x}/0x{mask:04x}"


def show_label(value, mask, full):
    """A flow label."""
    return f"0x{value:05x}" if mask == full else f"0x{value:05x}/0x{mask:05x}"


def _whole(name, read, show=values.show_number, *, key=None, **more):
    key = key or name
    return Field(name, key, 0, FIELDS[key][2], read, show, **more)


_number, _numbers, _mac = exact(values.number), maskable(values.number), maskable(values.mac)
_ip4, _ip6 = maskable(values.ipv4, values.prefix), maskable(values.ipv6, values.prefix)

# in the order in which ovs-ofctl prints them
ROWS = (
    _whole("in_port", port),
    _whole("vlan_tci", _numbers),
    _whole("dl_vlan", old_vlan, key="vlan_tci"),
    _whole("dl_vlan_pcp", old_priority, key="vlan_tci", also=("vlan_pcp",)),
    _whole("vlan_vid", vlan_vid, key="vlan_tci"),
    _whole("dl_src", _mac, values.show_mac, also=("eth_src",)),
    _whole("dl_dst", _mac, values.show_mac, also=("eth_dst",)),
    _whole("dl_type", _number, show_type, also=("eth_type",)),
    _whole("ipv6_src", _ip6, values.show_ip, needs=("ipv6",)),
    _whole("ipv6_dst", _ip6, values.show_ip, needs=("ipv6",)),
    _whole("ipv6_label", _numbers, show_label, needs=("ipv6",)),
    _whole("arp_spa", _ip4, values.show_ip, key="nw_src", needs=ARP, only=ARP),
    _whole("arp_tpa", _ip4, values.show_ip, key="nw_dst", needs=ARP, only=ARP),
    _whole("nw_src", _ip4, values.show_ip, needs=("ip", *ARP), also=("ip_src",), never=ARP),
    _whole("nw_dst", _ip4, values.show_ip, needs=("ip", *ARP), also=("ip_dst",), never=ARP),
    _whole("arp_op", _number, key="nw_proto", needs=ARP, only=ARP),
    _whole("nw_proto", _number, needs=(*IP, *ARP), also=("ip_proto",), never=ARP),
    _whole("arp_sha", _mac, values.show_mac, needs=ARP, never=ICMP),
    _whole("arp_tha", _mac, values.show_mac, needs=ARP, never=ICMP),
    Field("nw_tos", "nw_tos", 2, 6, tos, show_tos, IP),
    Field("ip_dscp", "nw_tos", 2, 6, _number, needs=IP),
    Field("nw_ecn", "nw_tos", 0, 2, _number, needs=IP, also=("ip_ecn",)),
    _whole("nw_ttl", _number, needs=IP),
    Field("mpls_label", "mpls_lse0", 12, 20, _number, needs=MPLS),
    Field("mpls_tc", "mpls_lse0", 9, 3, _number, needs=MPLS),
    Field("mpls_ttl", "mpls_lse0", 0, 8, _number, needs=MPLS),
    Field("mpls_bos", "mpls_lse0", 8, 1, _number, needs=MPLS),
    Field("nw_frag", "nw_frag", 0, 2, fragment, values.show_fragment, IP, also=("ip_frag",)),
    Field("icmp_type", "tp_src", 0, 8, _number, needs=ICMP, only=ICMP, also=("icmpv6_type",)),
    Field("icmp_code", "tp_dst", 0, 8, _number, needs=ICMP, only=ICMP, also=("icmpv6_code",)),
    _whole("nd_target", _ip6, values.show_ip, needs=("icmp6",), kinds=(SOLICITATION, ADVERTISEMENT), only=("icmp6",)),
    _whole("nd_sll", _mac, values.show_mac, key="arp_sha", needs=("icmp6",), kinds=(SOLICITATION,), only=("icmp6",)),
    _whole("nd_tll", _mac, values.show_mac, key="arp_tha", needs=("icmp6",), kinds=(ADVERTISEMENT,), only=("icmp6",)),
    _whole("tp_src", _numbers, needs=PORTS, never=ICMP),
    _whole("tp_dst", _numbers, needs=PORTS, never=ICMP),
    *(_whole(f"{proto}_{side}", _numbers, key=f"tp_{side}", needs=needs)
      for proto, needs in (("tcp", TCP), ("udp", UDP), ("sctp", SCTP)) for side in ("src", "dst")),
    _whole("tcp_flags", lambda text, bits, ports: values.flags(text, bits), values.show_flags, needs=TCP),
)
BY_NAME = {name: row for row in ROWS for name in (row.name, *row.also)}
KNOWN = (*BY_NAME, *SHORTHANDS, *ALSO)  # all that may stand in a match
ONLY_READ = {"dl_vlan", "dl_vlan_pcp", "vlan_vid", "ip_dscp", "tcp_src", "tcp_dst", "udp_src", "udp_dst", "sctp_src", "sctp_dst"}
