"""Packets behind an actions text, and scapy as the oracle of what they must be: the packet built anew, its checksums computed.

`rewritten` parses a frame and runs the records of the text on it, as plain Python, through the functions of the actions stage.
"""
import functools

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

from lab.flow.actions import act_t
from lab.openflow.actions import parse_actions
from lab.stages.parse import parse
from lab.stages.rewrite import rewrite

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


def run(m, key, text):
    """Run an actions text on a packet."""
    for values in parse_actions(text):
        act = act_t.view(bytearray(act_t.size), 0)
        act.op, act.detail, act.arg, act.v0, act.v1 = values
        rewrite(tempo().arena.memory, m, key, act)


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


def expected(packet, action, value):
    """What scapy makes of the packet with one field set, where it has that field."""
    packet = packet.copy()
    ip = l3(packet)
    ports = next((packet[layer] for layer in (TCP, UDP, SCTP) if layer in packet), None)
    if action in ("mod_dl_src", "mod_dl_dst"):
        setattr(packet, action[-3:], value)
    elif action in ("mod_tp_src", "mod_tp_dst") and ports is not None:
        setattr(ports, {"src": "sport", "dst": "dport"}[action[-3:]], value)
    elif action in {IP: ("mod_nw_src", "mod_nw_dst"), IPv6: ("ipv6_src", "ipv6_dst")}.get(type(ip), ()):
        setattr(ip, action[-3:], value)
    elif action == "mod_nw_tos" and ip is not None:
        name = "tos" if isinstance(ip, IP) else "tc"
        setattr(ip, name, value | getattr(ip, name) & 3)
    elif action == "mod_nw_ttl" and ip is not None:
        setattr(ip, "ttl" if isinstance(ip, IP) else "hlim", value)
    return fresh(packet)


def text_of(action, value):
    return f"set_field:{value}->{action}" if action.startswith("ipv6") else f"{action}:{value}"


macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
ip4 = st.one_of(st.sampled_from(["0.0.0.0", "255.255.255.255", "10.0.0.1"]), st.ip_addresses(v=4).map(str))
ip6 = st.one_of(st.sampled_from(["::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]), st.ip_addresses(v=6).map(str))
numbers = st.one_of(st.sampled_from([0, 1, 0xFFFF]), st.integers(0, 0xFFFF))
VALUES = {
    "mod_dl_src": macs, "mod_dl_dst": macs, "mod_nw_src": ip4, "mod_nw_dst": ip4, "mod_nw_tos": st.integers(0, 63).map(lambda n: n * 4),
    "mod_nw_ttl": st.integers(0, 255), "mod_tp_src": numbers, "mod_tp_dst": numbers, "ipv6_src": ip6, "ipv6_dst": ip6}
settings_of_fields = st.sampled_from(sorted(VALUES)).flatmap(lambda action: st.tuples(st.just(action), VALUES[action]))
