"""The datapath's own way of writing flows: `in_port(vm1),eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0),tcp(dst=80)`.

Mask and value words of a megaflow become that text, as `dpctl/dump-flows` prints it: what is not asked for is left out, or
with `full` written with an empty mask. OVS keeps the packet's own bits under a mask and asks of every flow whether there is
a tag; a megaflow here keeps only what it asks for, so a bit outside its mask is zero, and nothing said of a tag means any.
Which fields there are is known to `lab.flow.key`; the actions are written by `describe` of `lab.flow.actions`.
"""

from lab.flow.actions import address, show_port
from lab.flow.key import FIELDS, FRAG_LATER, VLAN_PRESENT, get
from lab.openflow.matching.values import show_flags, show_fragment

IPV4, IPV6, ARPS, LABELS = 0x0800, 0x86DD, (0x0806, 0x8035), (0x8847, 0x8848)
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
NEIGHBOURS = (135, 136)
DOT1Q = 0x8100
TRANSPORTS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}


def plain(value):
    """A number in decimal."""
    return str(value)


def hexadecimal(value):
    """A number as C's %#x writes it."""
    return f"{value:#x}" if value else "0"


def mac(value):
    """An Ethernet address."""
    return value.to_bytes(6, "big").hex(":")


def ip(value):
    """An IPv4 address."""
    return address(value, 32)


def ipv6(value):
    """An IPv6 address."""
    return address(value, 128)


# header: (name, field of the key, how the value is written, how its mask is)
ETH = (("src", "dl_src", mac, mac), ("dst", "dl_dst", mac, mac))
OF_IPV4 = (
    ("src", "nw_src", ip, ip), ("dst", "nw_dst", ip, ip), ("proto", "nw_proto", plain, hexadecimal),
    ("tos", "nw_tos", hexadecimal, hexadecimal), ("ttl", "nw_ttl", plain, hexadecimal), ("frag", "nw_frag", None, None),
)  # fmt: skip
OF_IPV6 = (
    ("src", "ipv6_src", ipv6, ipv6), ("dst", "ipv6_dst", ipv6, ipv6), ("label", "ipv6_label", hexadecimal, hexadecimal),
    ("proto", "nw_proto", plain, hexadecimal), ("tclass", "nw_tos", hexadecimal, hexadecimal), ("hlimit", "nw_ttl", plain, hexadecimal),
    ("frag", "nw_frag", None, None),
)  # fmt: skip
OF_ARP = (
    ("sip", "nw_src", ip, ip), ("tip", "nw_dst", ip, ip), ("op", "nw_proto", plain, hexadecimal),
    ("sha", "arp_sha", mac, mac), ("tha", "arp_tha", mac, mac),
)  # fmt: skip
OF_PORTS = (("src", "tp_src", plain, hexadecimal), ("dst", "tp_dst", plain, hexadecimal))
OF_ICMP = (("type", "tp_src", plain, hexadecimal), ("code", "tp_dst", plain, hexadecimal))
OF_ND = (("target", "nd_target", ipv6, ipv6), ("sll", "arp_sha", mac, mac), ("tll", "arp_tha", mac, mac))
OF_TUNNEL = (
    ("tun_id", "tun_id", hex, hex), ("src", "tun_src", ip, ip), ("dst", "tun_dst", ip, ip),
    ("ipv6_src", "tun_ipv6_src", ipv6, ipv6), ("ipv6_dst", "tun_ipv6_dst", ipv6, ipv6), ("tos", "tun_tos", hexadecimal, hexadecimal),
    ("ttl", "tun_ttl", plain, hexadecimal), ("tun_metadata0", "tun_metadata0", hex, hex), ("flags", "tun_flags", None, None),
)  # fmt: skip
TUNNEL_FLAGS = {"oam": 1, "df": 2, "csum": 4, "key": 8}
BEFORE, BEHIND = ("skb_priority", "skb_mark", "ct_state", "ct_zone", "ct_mark", "ct_label"), ("dp_hash",)  # recirc_id stands between
KEYS = {"skb_mark": "pkt_mark"}  # where the key has another name


class _Writer:
    """One flow as text."""

    def __init__(self, values, masks, port_name, full, proto=None):
        self.values, self.masks, self.port_name, self.full, self.proto = values, masks, port_name, full, proto

    def pair(self, name):
        """Value and mask of a field."""
        return get(self.values, name), get(self.masks, name)

    def one(self, name):
        """A field that is an attribute by itself."""
        value, mask = self.pair(KEYS.get(name, name))
        if not mask and not self.full:
            return []
        ones = (1 << FIELDS[KEYS.get(name, name)][2]) - 1
        return [f"{name}({hexadecimal(value)}" + (f"/{hexadecimal(mask)}" if mask != ones else "") + ")"]

    def group(self, header, rows):
        """A header with its fields; nothing when none is asked for."""
        said = [text for row in rows if (text := self.field(row, rows))]
        return [f"{header}({','.join(said)})"] if said else []

    def field(self, row, rows):
        """One field of a header, or nothing."""
        name, field, show, show_mask = row
        value, mask = self.pair(field)
        if not mask and not self.full:
            return ""
        if field == "nw_frag":
            return f"{name}={show_fragment(value & 3, mask & 3, 3)}" if mask & 3 else f"{name}=any"
        if field == "tun_flags":
            return f"{name}({show_flags(value & 15, mask & 15, 15, TUNNEL_FLAGS)})"
        ones = 0xFF if rows is OF_ICMP else (1 << FIELDS[field][2]) - 1
        return f"{name}={show(value)}" + (f"/{show_mask(mask)}" if mask != ones else "")

    def text(self):
        """The whole flow."""
        said = [text for name in BEFORE[:1] for text in self.one(name)]
        if any(get(self.masks, field) for _, field, _, _ in OF_TUNNEL):
            said += self.group("tunnel", OF_TUNNEL)
        said += [text for name in BEFORE[1:] for text in self.one(name)]
        said.append(f"recirc_id({hexadecimal(get(self.values, 'recirc_id'))})")
        said += [text for name in BEHIND for text in self.one(name)]
        said.append(f"in_port({show_port(get(self.values, 'in_port'), self.port_name)})")
        said.append("packet_type(ns=0,id=0)")
        return ",".join([*said, *self.group("eth", ETH), *self.tags(self.network())])

    def tags(self, inner):
        """The tags around what lies behind them."""
        for n in ("1", ""):
            tci, mask = self.pair(f"vlan_tci{n}")
            if tci & mask & VLAN_PRESENT:
                inner = [*self.type_of(f"vlan_tpid{n}"), f"vlan({self.tag(tci, mask)})", f"encap({','.join(inner)})"]
        return inner

    def tag(self, tci, mask):
        """What a tag says."""
        parts = []
        for name, low, ones in (("vid", 0, 0xFFF), ("pcp", 13, 7)):
            asked = mask >> low & ones
            if asked or self.full:
                parts.append(f"{name}={tci >> low & ones}" + (f"/{asked:#x}" if asked != ones else ""))
        return ",".join(parts)

    def type_of(self, name):
        """An Ethernet type; one that is not asked for is left out."""
        value, mask = self.pair(name)
        if not mask and not self.full:
            return []
        return [f"eth_type(0x{value:04x}" + (f"/0x{mask:04x}" if mask != 0xFFFF else "") + ")"]

    def network(self):
        """The Ethernet type and what lies behind it."""
        kind = get(self.values, "dl_type")
        said = self.type_of("dl_type")
        if kind in ARPS:
            said += self.group("arp", OF_ARP)
        elif kind in LABELS:
            said += self.labels()
        elif kind in (IPV4, IPV6):
            said += self.group(*(("ipv4", OF_IPV4) if kind == IPV4 else ("ipv6", OF_IPV6)))
            if not get(self.values, "nw_frag") & FRAG_LATER:
                said += self.transport(get(self.values, "nw_proto") if get(self.masks, "nw_proto") == 0xFF else self.proto)
        return said

    def transport(self, proto):
        """The header behind IP, by its protocol; one that is not asked for has none."""
        if proto in TRANSPORTS:
            return self.group(TRANSPORTS[proto], OF_PORTS) + (self.flags() if proto == TCP else [])
        if (get(self.values, "dl_type"), proto) not in ((IPV4, ICMP), (IPV6, ICMPV6)):
            return []
        said = self.group("icmp" if proto == ICMP else "icmpv6", OF_ICMP)
        if proto == ICMPV6 and get(self.values, "tp_src") in NEIGHBOURS and not get(self.values, "tp_dst"):
            said += self.group("nd", OF_ND)
        return said

    def flags(self):
        """TCP's flags."""
        value, mask = self.pair("tcp_flags")
        if mask:
            return [f"tcp_flags({show_flags(value, mask, 0xFFF) or '0'})"]
        return ["tcp_flags(0/0)"] if self.full else []

    def labels(self):
        """MPLS entries down to the last that is asked for."""
        pairs = [self.pair(f"mpls_lse{n}") for n in range(3)]
        used = [n for n, (value, mask) in enumerate(pairs) if mask]
        if not used and not self.full:
            return []
        return [f"mpls({','.join(label_entry(*pair) for pair in pairs[: max(used, default=0) + 1])})"]


def label_entry(value, mask):
    """One MPLS entry, a mask behind each part unless all of the entry is asked for."""
    parts = []
    for name, low, ones, show in (("label", 12, 0xFFFFF, "{:#x}"), ("tc", 9, 7, "{:x}"), ("ttl", 0, 0xFF, "{:#x}"), ("bos", 8, 1, "{:x}")):
        asked = "" if mask == 0xFFFFFFFF else "/" + show.format(mask >> low & ones)
        parts.append(f"{name}={value >> low & ones}{asked}")
    return ",".join(parts)


def flow_text(values, masks, port_name=None, full=False, proto=None):
    """A flow of the datapath as text; `full` writes what is not asked for as well, with an empty mask.
    `proto` says whose the transport ports are when they are asked for and the protocol is not.

    >>> from lab.openflow.matching.match import parse_match
    >>> tcp = parse_match("in_port=1,tcp,nw_dst=10.0.0.0/8,tp_dst=80")
    >>> flow_text(tcp.value_words, tcp.mask_words)
    'recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,proto=6),tcp(dst=80)'
    """
    return _Writer(values, masks, port_name, full, proto).text()


def ufid_text(ufid):
    """A ufid as UUIDs are written."""
    return f"{ufid[:8]}-{ufid[8:12]}-{ufid[12:16]}-{ufid[16:20]}-{ufid[20:]}"
