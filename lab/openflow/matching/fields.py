"""The fields a rule may match and an action may write: for each its names, its bits in the flow key, how it is written, what it needs.

A row here is all it takes to add a field. `match.py` reads matches by these rows, `show.py` prints them, the
parser of actions finds its places here. Nothing in here is specific to one rule or switch.
"""
import re
import struct
from typing import NamedTuple

from lab.flow import actions as act
from lab.flow.key import ALIASES, FIELDS, WIDE
from lab.openflow.matching import kinds, values

SHORTHANDS = {  # (dl_type, nw_proto or None)
    "ip": (0x0800, None), "icmp": (0x0800, 1), "tcp": (0x0800, 6), "udp": (0x0800, 17), "sctp": (0x0800, 132),
    "ipv6": (0x86DD, None), "icmp6": (0x86DD, 58), "tcp6": (0x86DD, 6), "udp6": (0x86DD, 17), "sctp6": (0x86DD, 132),
    "arp": (0x0806, None), "rarp": (0x8035, None), "mpls": (0x8847, None), "mplsm": (0x8848, None),
    "eth": (None, None),  # asks for nothing: everything is Ethernet
}
ALSO = {"ipv4": "ip"}  # other words for shorthands
IP, ARP, MPLS, PORTS = ("ip", "ipv6"), ("arp", "rarp"), ("mpls", "mplsm"), ("tcp", "udp", "sctp", "tcp6", "udp6", "sctp6")
TCP, UDP, SCTP, ICMP = ("tcp", "tcp6"), ("udp", "udp6"), ("sctp", "sctp6"), ("icmp", "icmp6")
SOLICITATION, ADVERTISEMENT = 135, 136
ND = (SOLICITATION, ADVERTISEMENT)
PLACES = FIELDS | ALIASES
LOW_64 = (1 << 64) - 1
_PART = re.compile(r"([a-zA-Z]\w*)\[(?:(\d+)(?:\.\.(\d+))?)?\]", re.ASCII)


class Field(NamedTuple):
    """One field: `low` and `bits` say which part of the key's field `key` it is.

    >>> BY_NAME["nw_ecn"].place
    (5, 8, 2)
    """

    name: str
    key: str
    low: int
    bits: int
    read: object  # (text, bits, ports) -> (value, mask); None: only printed
    show: object = values.show_number
    needs: tuple = ()  # one of these shorthands
    kinds: tuple = ()  # and one of these ICMPv6 types
    also: tuple = ()   # other names
    only: tuple = ()   # print it under this name for these shorthands alone
    never: tuple = ()  # and not for these
    oxm: tuple = ()    # its NXM and OXM names
    code: int = 0      # what the datapath calls it when an action writes it (lab.flow.actions, ETH_DST and kin), 0: no header
    writable: bool = False  # whether actions may write it
    write_needs: tuple | None = None  # one of these shorthands when an action writes it; None: `needs`
    ones: int = -1     # those of its bits that mean something
    base: int | None = None  # where in `key` the lowest bit stands that `read` gives; None: at `low`

    @property
    def full(self):
        """A mask of all its bits that mean something."""
        return (1 << self.bits) - 1 & self.ones

    @property
    def maskable(self):
        """Whether a match may ask for some of its bits only."""
        return self.read not in _WHOLE

    @property
    def place(self):
        """(word, lowest bit, bits) in the wide key; wider than 64 bits goes on in the next word, the high half first."""
        word, low, _ = PLACES[self.key]
        return word, low + self.low, self.bits

    def spread(self, value):
        """Bits of the field, as `read` gives them, in the wide key as one int."""
        word, low, bits = PLACES[self.key]
        value <<= self.low if self.base is None else self.base
        if bits > 64:
            return value >> 64 << 64 * word | (value & LOW_64) << 64 * (word + 1)
        return value << 64 * word + low

    def gather(self, wide):
        """The field's value in a wide key that is one int."""
        word, low, bits = PLACES[self.key]
        if bits > 64:
            return ((wide >> 64 * word & LOW_64) << 64 | wide >> 64 * (word + 1) & LOW_64) >> self.low & (1 << self.bits) - 1
        return wide >> 64 * word + low + self.low & (1 << self.bits) - 1

    def part(self, first, last):
        """The field's bits from `first` to `last` as a field of their own, which is a number."""
        if not 0 <= first <= last < self.bits:
            raise ValueError(f"{self.name} has the bits 0 to {self.bits - 1}, of which {first}..{last} is no part")
        return self._replace(name=f"{self.name}[{first}..{last}]", low=self.low + first, bits=last - first + 1, read=_number,
                             show=values.show_number, ones=self.ones >> first, base=None)


def _row(name, read, show=values.show_number, *, key=None, part=None, **more):
    """A row; `part` is (lowest bit, bits) of a key's field that it is not the whole of."""
    low, bits = part or (0, PLACES[key or name][2])
    return Field(name, key or name, low, bits, read, show, **more)


def _set(code=0, **more):
    return {"writable": True, "code": code, **more}


_number, _numbers = kinds.exact(values.number), kinds.maskable(values.number)
_mac = kinds.maskable(values.mac)
_WHOLE = (_number, kinds.port, kinds.tos, kinds.old_vlan, kinds.old_priority)  # they ask for all bits of a field
_ip4, _ip6 = kinds.maskable(values.ipv4, values.prefix), kinds.maskable(values.ipv6, values.prefix)
_hex, _show_mac, _show_ip = values.show_hex, values.show_mac, values.show_ip

_OF_TABLES = (
    _row("pkt_mark", _numbers, _hex, oxm=("NXM_NX_PKT_MARK",), **_set(act.PKT_MARK)),
    _row("recirc_id", _number, _hex, oxm=("NXM_NX_RECIRC_ID",)),
    _row("dp_hash", _numbers, _hex, oxm=("NXM_NX_DP_HASH",)),
    _row("skb_priority", _number, _hex, code=act.SKB_PRIORITY),
    _row("actset_output", kinds.port, oxm=("ONFOXM_ET_ACTSET_OUTPUT", "OXM_OF_ACTSET_OUTPUT")),
    _row("ct_state", kinds.ct_state, kinds.show_ct_state, oxm=("NXM_NX_CT_STATE",)),
    _row("ct_zone", _number, oxm=("NXM_NX_CT_ZONE",)),
    _row("ct_mark", _numbers, _hex, oxm=("NXM_NX_CT_MARK",)),
    _row("ct_label", _numbers, _hex, oxm=("NXM_NX_CT_LABEL",)),
    *(_row(f"reg{n}", _numbers, _hex, oxm=(f"NXM_NX_REG{n}",), **_set()) for n in range(16)),
    *(_row(f"xreg{n}", _numbers, _hex, oxm=(f"OXM_OF_PKT_REG{n}",), **_set()) for n in range(8)),
    *(_row(f"xxreg{n}", _numbers, _hex, oxm=(f"NXM_NX_XXREG{n}",), **_set()) for n in range(4)),
    _row("tun_id", _numbers, _hex, also=("tunnel_id",), oxm=("NXM_NX_TUN_ID", "OXM_OF_TUNNEL_ID"), **_set(act.TUN_ID)),
    _row("tun_src", _ip4, _show_ip, oxm=("NXM_NX_TUN_IPV4_SRC",), **_set(act.TUN_SRC)),
    _row("tun_dst", _ip4, _show_ip, oxm=("NXM_NX_TUN_IPV4_DST",), **_set(act.TUN_DST)),
    _row("tun_ipv6_src", _ip6, _show_ip, oxm=("NXM_NX_TUN_IPV6_SRC",), **_set(act.TUN_IPV6_SRC)),
    _row("tun_ipv6_dst", _ip6, _show_ip, oxm=("NXM_NX_TUN_IPV6_DST",), **_set(act.TUN_IPV6_DST)),
    _row("tun_gbp_id", _numbers, oxm=("NXM_NX_TUN_GBP_ID",)),
    _row("tun_gbp_flags", _numbers, _hex, oxm=("NXM_NX_TUN_GBP_FLAGS",)),
    _row("tun_tos", _number, **_set(act.TUN_TOS)),
    _row("tun_ttl", _number, **_set(act.TUN_TTL)),
    _row("tun_flags", kinds.tunnel_flags, kinds.show_tunnel_flags, part=(0, 1), oxm=("NXM_NX_TUN_FLAGS",), **_set(act.TUN_FLAGS)),
    _row("tun_metadata0", _numbers, _hex, oxm=("NXM_NX_TUN_METADATA0",), **_set(act.TUN_METADATA0)),
    _row("metadata", _numbers, _hex, oxm=("OXM_OF_METADATA",), **_set()),
    _row("in_port", kinds.port, oxm=("NXM_OF_IN_PORT",), **_set()),
    _row("in_port_oxm", kinds.port, key="in_port", oxm=("OXM_OF_IN_PORT",), **_set()),
)

_OF_FRAMES = (
    _row("vlan_tci", _numbers, oxm=("NXM_OF_VLAN_TCI",), **_set(act.VLAN_TCI)),
    _row("dl_vlan", kinds.old_vlan, key="vlan_tci", part=(0, 12), **_set(act.VLAN_TCI)),
    _row("dl_vlan_pcp", kinds.old_priority, key="vlan_tci", part=(13, 3), base=0, also=("vlan_pcp",), oxm=("OXM_OF_VLAN_PCP",),
         **_set(act.VLAN_TCI)),
    _row("vlan_vid", kinds.vlan_vid, key="vlan_tci", part=(0, 12), oxm=("OXM_OF_VLAN_VID",), **_set(act.VLAN_TCI)),
    _row("vlan_tpid", None, kinds.show_type),
    _row("vlan_tci1", None, kinds.show_type),
    _row("vlan_tpid1", None, kinds.show_type),
    _row("dl_src", _mac, _show_mac, also=("eth_src",), oxm=("NXM_OF_ETH_SRC", "OXM_OF_ETH_SRC"), **_set(act.ETH_SRC)),
    _row("dl_dst", _mac, _show_mac, also=("eth_dst",), oxm=("NXM_OF_ETH_DST", "OXM_OF_ETH_DST"), **_set(act.ETH_DST)),
    _row("dl_type", _number, kinds.show_type, also=("eth_type",), oxm=("NXM_OF_ETH_TYPE", "OXM_OF_ETH_TYPE")),
)

_OF_NETWORK = (
    _row("ipv6_src", _ip6, _show_ip, needs=("ipv6",), oxm=("NXM_NX_IPV6_SRC", "OXM_OF_IPV6_SRC"), **_set(act.IPV6_SRC)),
    _row("ipv6_dst", _ip6, _show_ip, needs=("ipv6",), oxm=("NXM_NX_IPV6_DST", "OXM_OF_IPV6_DST"), **_set(act.IPV6_DST)),
    _row("ipv6_label", _numbers, kinds.show_label, needs=("ipv6",), oxm=("NXM_NX_IPV6_LABEL", "OXM_OF_IPV6_FLABEL"),
         **_set(act.IPV6_LABEL)),
    _row("arp_spa", _ip4, _show_ip, key="nw_src", needs=ARP, only=ARP, oxm=("NXM_OF_ARP_SPA", "OXM_OF_ARP_SPA"), **_set(act.ARP_SPA)),
    _row("arp_tpa", _ip4, _show_ip, key="nw_dst", needs=ARP, only=ARP, oxm=("NXM_OF_ARP_TPA", "OXM_OF_ARP_TPA"), **_set(act.ARP_TPA)),
    _row("nw_src", _ip4, _show_ip, needs=("ip", *ARP), never=ARP, also=("ip_src",), oxm=("NXM_OF_IP_SRC", "OXM_OF_IPV4_SRC"),
         **_set(act.IP_SRC, write_needs=("ip",))),
    _row("nw_dst", _ip4, _show_ip, needs=("ip", *ARP), never=ARP, also=("ip_dst",), oxm=("NXM_OF_IP_DST", "OXM_OF_IPV4_DST"),
         **_set(act.IP_DST, write_needs=("ip",))),
    _row("arp_op", _number, key="nw_proto", needs=ARP, only=ARP, oxm=("NXM_OF_ARP_OP", "OXM_OF_ARP_OP"), **_set(act.ARP_OP)),
    _row("nw_proto", _number, needs=(*IP, *ARP), never=ARP, also=("ip_proto",), oxm=("NXM_OF_IP_PROTO", "OXM_OF_IP_PROTO")),
    _row("arp_sha", _mac, _show_mac, needs=ARP, never=ICMP, oxm=("NXM_NX_ARP_SHA", "OXM_OF_ARP_SHA"), **_set(act.ARP_SHA)),
    _row("arp_tha", _mac, _show_mac, needs=ARP, never=ICMP, oxm=("NXM_NX_ARP_THA", "OXM_OF_ARP_THA"), **_set(act.ARP_THA)),
    _row("nw_tos", kinds.tos, kinds.show_tos, needs=IP, ones=0xFC, oxm=("NXM_OF_IP_TOS",), **_set(act.IP_TOS)),
    _row("ip_dscp", _number, key="nw_tos", part=(2, 6), needs=IP, oxm=("OXM_OF_IP_DSCP",), **_set(act.IP_TOS)),
    _row("nw_ecn", _number, key="nw_tos", part=(0, 2), needs=IP, also=("ip_ecn",), oxm=("NXM_NX_IP_ECN", "OXM_OF_IP_ECN"),
         **_set(act.IP_TOS)),
    _row("nw_ttl", _number, needs=IP, oxm=("NXM_NX_IP_TTL",), **_set(act.IP_TTL)),
    _row("mpls_label", _number, key="mpls_lse0", part=(12, 20), needs=MPLS, oxm=("OXM_OF_MPLS_LABEL",), **_set(act.MPLS_LSE)),
    _row("mpls_tc", _number, key="mpls_lse0", part=(9, 3), needs=MPLS, oxm=("OXM_OF_MPLS_TC",), **_set(act.MPLS_LSE)),
    _row("mpls_ttl", _number, key="mpls_lse0", part=(0, 8), needs=MPLS, oxm=("NXM_NX_MPLS_TTL",), **_set(act.MPLS_LSE)),
    _row("mpls_bos", _number, key="mpls_lse0", part=(8, 1), needs=MPLS, oxm=("OXM_OF_MPLS_BOS",)),
    _row("mpls_lse1", None),
    _row("mpls_lse2", None),
    _row("nw_frag", kinds.fragment, values.show_fragment, part=(0, 2), needs=IP, also=("ip_frag",), oxm=("NXM_NX_IP_FRAG",)),
)


def _ports_of(proto, needs, *, nxm):
    """The rows of a transport protocol's two ports, under its own name."""
    return [
        _row(f"{proto}_{side}", _numbers, key=f"tp_{side}", needs=needs, **_set(act.TP_SRC if side == "src" else act.TP_DST),
             oxm=(*([f"NXM_OF_{proto}_{side}".upper()] if nxm else []), f"OXM_OF_{proto}_{side}".upper()))
        for side in ("src", "dst")
    ]


_OF_TRANSPORT = (
    _row("icmp_type", _number, key="tp_src", part=(0, 8), needs=ICMP, only=ICMP, oxm=("NXM_OF_ICMP_TYPE", "OXM_OF_ICMPV4_TYPE"),
         **_set(act.ICMP_TYPE, write_needs=("icmp",))),
    _row("icmp_code", _number, key="tp_dst", part=(0, 8), needs=ICMP, only=ICMP, oxm=("NXM_OF_ICMP_CODE", "OXM_OF_ICMPV4_CODE"),
         **_set(act.ICMP_CODE, write_needs=("icmp",))),
    _row("icmpv6_type", _number, key="tp_src", part=(0, 8), needs=("icmp6",), oxm=("NXM_NX_ICMPV6_TYPE", "OXM_OF_ICMPV6_TYPE"),
         **_set(act.ICMP_TYPE)),
    _row("icmpv6_code", _number, key="tp_dst", part=(0, 8), needs=("icmp6",), oxm=("NXM_NX_ICMPV6_CODE", "OXM_OF_ICMPV6_CODE"),
         **_set(act.ICMP_CODE)),
    _row("nd_target", _ip6, _show_ip, needs=("icmp6",), kinds=ND, only=("icmp6",), oxm=("NXM_NX_ND_TARGET", "OXM_OF_IPV6_ND_TARGET"),
         **_set(act.ND_TARGET)),
    _row("nd_sll", _mac, _show_mac, key="arp_sha", needs=("icmp6",), kinds=(SOLICITATION,), only=("icmp6",),
         oxm=("NXM_NX_ND_SLL", "OXM_OF_IPV6_ND_SLL"), **_set(act.ND_SLL)),
    _row("nd_tll", _mac, _show_mac, key="arp_tha", needs=("icmp6",), kinds=(ADVERTISEMENT,), only=("icmp6",),
         oxm=("NXM_NX_ND_TLL", "OXM_OF_IPV6_ND_TLL"), **_set(act.ND_TLL)),
    _row("tp_src", _numbers, needs=PORTS, never=ICMP, **_set(act.TP_SRC)),
    _row("tp_dst", _numbers, needs=PORTS, never=ICMP, **_set(act.TP_DST)),
    *_ports_of("tcp", TCP, nxm=True), *_ports_of("udp", UDP, nxm=True), *_ports_of("sctp", SCTP, nxm=False),
    _row("tcp_flags", kinds.tcp_flags, values.show_flags, needs=TCP, code=act.TCP_FLAGS,
         oxm=("NXM_NX_TCP_FLAGS", "ONFOXM_ET_TCP_FLAGS", "OXM_OF_TCP_FLAGS")),
)

ROWS = _OF_TABLES + _OF_FRAMES + _OF_NETWORK + _OF_TRANSPORT  # in the order in which ovs-ofctl prints them
READABLE = tuple(row for row in ROWS if row.read)
BY_NAME = {name: row for row in READABLE for name in (row.name, *row.also)}
BY_OXM = {name: row for row in READABLE for name in row.oxm}
PACKET_TYPE = "packet_type"  # a word of matches that asks for no bit
KNOWN = (*BY_NAME, *SHORTHANDS, *ALSO, PACKET_TYPE)  # all that may stand in a match
ONLY_READ = {  # printed under another name
    *(f"xreg{n}" for n in range(8)), *(f"xxreg{n}" for n in range(4)), "in_port_oxm", "dl_vlan", "dl_vlan_pcp", "vlan_vid", "ip_dscp",
    "icmpv6_type", "icmpv6_code", "tcp_src", "tcp_dst", "udp_src", "udp_dst", "sctp_src", "sctp_dst"}
NOT_BUILT = {  # what OVS has and this switch does not yet
    "conj_id", "nd_reserved", "nd_options_type", "ct_nw_src", "ct_nw_dst", "ct_ipv6_src", "ct_ipv6_dst", "ct_nw_proto", "ct_tp_src",
    "ct_tp_dst", "tun_erspan_ver", "tun_erspan_idx", "tun_erspan_dir", "tun_erspan_hwid", "tun_gtpu_flags", "tun_gtpu_msgtype",
    *(f"tun_metadata{n}" for n in range(1, 64)), "nsh", *(f"nsh_{part}" for part in (
        "flags", "ttl", "mdtype", "np", "spi", "si", "c1", "c2", "c3", "c4"))}


def by_any_name(name):
    """The row of a field by its own name, another of its names, or an NXM or OXM name in any case; None if there is none.

    >>> by_any_name("oxm_of_ipv4_src").name
    'nw_src'
    """
    return BY_NAME.get(name) or BY_OXM.get(name.upper())


def field_of(name):
    """The row of a name, or the part of a row that `reg0[0..7]`, `reg0[3]` or `reg0[]` names; None if there is none.

    >>> field_of("reg0[8..15]").place
    (33, 40, 8)
    """
    row = by_any_name(name)
    if row is not None or name[-1:] != "]":
        return row
    found = _PART.fullmatch(name)
    row = by_any_name(found[1]) if found else None
    if row is None or found is None:
        return None
    first, last = found[2], found[3] or found[2]
    return row.part(int(first or 0), row.bits - 1 if last is None else int(last))


def is_known(name):
    """Whether a word may stand in a match; of `reg0[0..7]` only the field is asked."""
    return name in SHORTHANDS or name in ALSO or name == PACKET_TYPE or by_any_name(name.partition("[")[0]) is not None


def wide_of(words):
    """Key words, 32 or 48 of them, as one int: word j at its bits 64*j and up."""
    return words if isinstance(words, int) else int.from_bytes(struct.pack(f"<{len(words)}Q", *map(int, words)), "little")


def words_of(wide):
    """The 48 words of a wide key that is one int."""
    return struct.unpack(f"<{WIDE}Q", wide.to_bytes(8 * WIDE, "little"))
