"""Packets behind actions, and scapy as the oracle of what they must be: the packet built anew, its checksums computed.

`rewritten` parses a frame and runs the records of a short text on it, as plain Python, through the functions of the actions
stage: `mod_nw_src:10.0.0.1,push_vlan:0x8100,tci:7/0xfff`. A value may have a mask; without one the whole field is set.
"""
import functools
import ipaddress
import re

import numpy as np
from acting import act as record
from acting import setting
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from tempo import Tempo

from lab.flow import actions as act
from lab.flow.actions import act_t
from lab.stages.parse import parse
from lab.stages.performing.rewrite import rewrite

ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2", tos=0xB9), IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0xB9, fl=0xABCDE)
DATA = bytes(n * 7 & 255 for n in range(51))  # an odd length
PACKETS = {
    "tcp": ETH / V4 / TCP(sport=4000, dport=80, seq=7) / DATA,
    "tcp with options": ETH / V4 / TCP(sport=4000, dport=80, options=[("MSS", 1448), ("WScale", 7)]) / DATA,
    "ip options": ETH / IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_RR()]) / TCP(sport=1, dport=2) / DATA,
    "udp": ETH / V4 / UDP(sport=4000, dport=53) / DATA,
    "udp with padding": ETH / V4 / UDP(sport=4000, dport=53),
    "udp without checksum": ETH / V4 / UDP(sport=4000, dport=53, chksum=0) / DATA,
    "icmp": ETH / V4 / ICMP() / DATA,
    "sctp": ETH / V4 / SCTP(sport=7, dport=9, tag=3) / SCTPChunkData(data=DATA),
    "vlan": ETH / Dot1Q(vlan=5, prio=3) / V4 / TCP(sport=4000, dport=80) / DATA,
    "vlan 0": ETH / Dot1Q(vlan=0, prio=6) / V4 / UDP(sport=4000, dport=53) / DATA,
    "service tag": ETH / Dot1AD(vlan=5) / V6 / UDP(sport=4000, dport=53) / DATA,
    "tcp6": ETH / V6 / TCP(sport=4000, dport=80) / DATA,
    "udp6": ETH / V6 / UDP(sport=4000, dport=53) / DATA,
    "icmp6": ETH / V6 / ICMPv6EchoRequest(data=DATA),
    "solicitation": ETH / V6 / ICMPv6ND_NS(tgt="2001:db8::9") / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"),
    "sctp6": ETH / V6 / SCTP(sport=7, dport=9, tag=3) / SCTPChunkData(data=DATA),
    "extensions": ETH / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(sport=4000, dport=80) / DATA,
    "routed": ETH / V6 / IPv6ExtHdrRouting(addresses=["2001:db8::7"]) / UDP(sport=4000, dport=53) / DATA,
    "routed to its end": ETH / V6 / IPv6ExtHdrRouting(addresses=["2001:db8::7"], segleft=0) / UDP(sport=4000, dport=53) / DATA,
    "arp": ETH / ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2", hwsrc="02:00:00:00:00:01"),
}
PACKETS["udp with padding"] = Ether(bytes(PACKETS["udp with padding"]) + bytes(18))
FRAMES = {name: bytes(packet) for name, packet in PACKETS.items()}
tempo = functools.cache(Tempo)


def loaded(frame, *, cuts=(), vlan_limit=1):
    """A frame in hand, parsed: (its mbuf, its key)."""
    here = tempo()
    here.unload()
    here.load([frame], cuts=cuts)
    here.table("config")[0].vlan_limit = vlan_limit
    here.step(parse)
    return here.table("mbufs")[here.packets[0]], here.table("keys")[0]


WORDS = {
    "mod_dl_src": act.ETH_SRC, "mod_dl_dst": act.ETH_DST, "mod_nw_src": act.IP_SRC, "mod_nw_dst": act.IP_DST, "mod_nw_tos": act.IP_TOS,
    "mod_nw_ttl": act.IP_TTL, "mod_tp_src": act.TP_SRC, "mod_tp_dst": act.TP_DST, "ipv6_src": act.IPV6_SRC, "ipv6_dst": act.IPV6_DST,
    "ipv6_label": act.IPV6_LABEL, "tci": act.VLAN_TCI, "lse": act.MPLS_LSE, "arp_op": act.ARP_OP, "arp_spa": act.ARP_SPA,
    "arp_tpa": act.ARP_TPA, "arp_sha": act.ARP_SHA, "arp_tha": act.ARP_THA, "nd_target": act.ND_TARGET, "nd_sll": act.ND_SLL,
    "nd_tll": act.ND_TLL, "icmp_type": act.ICMP_TYPE, "icmp_code": act.ICMP_CODE, "pkt_mark": act.PKT_MARK}


def number_of(text):
    """A number, a MAC address or an IP address."""
    if text.count(":") == 5 and all(len(part) == 2 for part in text.split(":")):
        return int(text.replace(":", ""), 16)
    return int(ipaddress.ip_address(text)) if ":" in text or "." in text else int(text, 0)


def records_of(text):
    """The records of an actions text; a mod_nw_tos leaves ECN alone."""
    found = []
    for part in filter(None, text.split(",")):
        word, _, value = part.partition(":")
        if word in ("strip_vlan", "pop_vlan"):
            found.append(record(act.POP_VLAN))
        elif word == "push_vlan":
            tpid, _, tci = value.partition("/")
            found.append(record(act.PUSH_VLAN, int(tpid, 0), int(tci or "0", 0)))
        elif word == "push_mpls":
            kind, _, lse = value.partition("/")
            found.append(record(act.PUSH_MPLS, int(kind, 0), int(lse, 0)))
        elif word == "pop_mpls":
            found.append(record(act.POP_MPLS, int(value, 0)))
        else:
            value, _, mask = value.partition("/")
            mask = "0xfc" if word == "mod_nw_tos" and not mask else mask
            found.append(setting(WORDS[word], number_of(value), number_of(mask) if mask else None))
    return found


def run(m, key, text):
    """Run an actions text on a packet."""
    for values in records_of(text):
        one = act_t.view(bytearray(act_t.size), 0)
        one.op, one.detail, one.arg = values[:3]
        one.v0, one.v1, one.m0, one.m1 = map(np.uint64, values[3:])
        rewrite(tempo().arena.memory, m, key, one)


def content(m):
    """The packet's bytes, its segments joined."""
    data, mbufs, left = b"", tempo().table("mbufs"), m.nb_segs
    while left:
        data += tempo().arena.memory.bytes(m.buf + m.data_off, m.data_len)
        left -= 1
        m = mbufs[m.next] if left else m
    return data


def rewritten(frame, text, **how):
    """A frame behind an actions text."""
    m, key = loaded(frame, **how)
    run(m, key, text)
    data = content(m)
    assert m.pkt_len == len(data)
    return data


# --- the oracle: the packet built anew ---------------------------------------------------------------

def fresh(packet):
    """The packet with every length and checksum left to scapy, except a checksum that was said to be absent."""
    packet = packet.copy()
    layer = packet
    while layer.name not in ("NoPayload", "Raw", "Padding"):
        absent = isinstance(layer, UDP) and layer.fields.get("chksum") == 0
        for name in () if absent else ("chksum", "cksum"):
            if name in layer.fields:
                layer.delfieldval(name)
        layer = layer.payload
    return bytes(packet)


def l3(packet):
    return packet.getlayer(IP) or packet.getlayer(IPv6)


def place_of(packet, action):
    """Where scapy keeps the field of an action, (layer, name), if the packet has it."""
    ip = l3(packet)
    ports = next((packet[layer] for layer in (TCP, UDP, SCTP) if layer in packet), None)
    nd = packet.getlayer(ICMPv6ND_NS)
    both = {"mod_nw_tos": ("tos", "tc"), "mod_nw_ttl": ("ttl", "hlim")}
    if action in ("mod_dl_src", "mod_dl_dst"):
        return packet, action[-3:]
    if action in ("mod_tp_src", "mod_tp_dst"):
        return ports and (ports, {"src": "sport", "dst": "dport"}[action[-3:]])
    if action in both:
        return ip and (ip, both[action][isinstance(ip, IPv6)])
    if action in ("mod_nw_src", "mod_nw_dst"):
        return (ip, action[-3:]) if isinstance(ip, IP) else None
    if action.startswith("ipv6"):
        return (ip, {"ipv6_label": "fl"}.get(action, action[-3:])) if isinstance(ip, IPv6) else None
    if action.startswith("icmp"):
        icmp = next((packet[layer] for layer in (ICMP, ICMPv6EchoRequest, ICMPv6ND_NS) if layer in packet), None)
        return icmp and (icmp, action[5:])
    if action.startswith("arp"):
        names = {"spa": "psrc", "tpa": "pdst", "sha": "hwsrc", "tha": "hwdst", "op": "op"}
        return (packet[ARP], names[action[4:]]) if ARP in packet else None
    if action == "nd_target":
        return nd and (nd, "tgt")
    return (packet[ICMPv6NDOptSrcLLAddr], "lladdr") if action == "nd_sll" and ICMPv6NDOptSrcLLAddr in packet else None


def expected(packet, action, value, mask=None):
    """What scapy makes of the packet with one field set, where it has that field."""
    packet = packet.copy()
    place = place_of(packet, action)
    if place:
        layer, name = place
        mask = 0xFC if action == "mod_nw_tos" and mask is None else mask
        if mask is not None:
            old, new = getattr(layer, name), number_of(str(value))
            new = (number_of(str(old)) & ~mask) | (new & mask)
            value = new if isinstance(old, int) else written(new, old)
        setattr(layer, name, value)
    return fresh(packet)


def written(number, like):
    """A number as the address that it stands for: of the kind of another."""
    if re.fullmatch("(..:){5}..", like):
        return number.to_bytes(6, "big").hex(":")
    return str(ipaddress.IPv6Address(number) if ":" in like else ipaddress.IPv4Address(number))


def text_of(action, value):
    return f"{action}:{value}"


macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
ip4 = st.one_of(st.sampled_from(["0.0.0.0", "255.255.255.255", "10.0.0.1"]), st.ip_addresses(v=4).map(str))
ip6 = st.one_of(st.sampled_from(["::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]), st.ip_addresses(v=6).map(str))
numbers = st.one_of(st.sampled_from([0, 1, 0xFFFF]), st.integers(0, 0xFFFF))
octets = st.integers(0, 255)
VALUES = {
    "mod_dl_src": macs, "mod_dl_dst": macs, "mod_nw_src": ip4, "mod_nw_dst": ip4, "mod_nw_tos": st.integers(0, 63).map(lambda n: n * 4),
    "mod_nw_ttl": octets, "mod_tp_src": numbers, "mod_tp_dst": numbers, "ipv6_src": ip6, "ipv6_dst": ip6,
    "ipv6_label": st.integers(0, 0xFFFFF), "icmp_code": octets, "arp_op": octets, "arp_spa": ip4, "arp_tpa": ip4, "arp_sha": macs,
    "arp_tha": macs, "nd_target": ip6, "nd_sll": macs}
settings_of_fields = st.sampled_from(sorted(VALUES)).flatmap(lambda action: st.tuples(st.just(action), VALUES[action]))
