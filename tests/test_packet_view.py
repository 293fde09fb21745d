"""Packet, dissect and craft: what people see of a packet agrees with what parse takes, and stays when mbufs are reused."""
import ipaddress
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parse_frames import WHOLE, frames
from parse_twin import twin
from scapy.config import conf
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.layers.vxlan import VXLAN
from tempo import Tempo

from lab.memory.mbuf import EXTERNAL, GSO, IP_CSUM_GOOD, L4_CSUM_PARTIAL
from lab.packet.craft import craft
from lab.packet.dissect import dissect
from lab.packet.packet import Packet, Segment

TEMPO = Tempo()
PORT = {"mac": "02:00:00:00:00:01", "ip": "10.0.0.1", "mac_of": {"10.0.0.2": "02:00:00:00:00:02", "fe80::2": "02:00:00:00:00:02"}.get}
SYN = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=80) / b"abc"


# --- dissect --------------------------------------------------------------------------------------

def keys(data):
    return [layer.key for layer in dissect(data)]


def test_the_layers_of_every_kind_of_frame():
    wanted = {
        "tcp": "eth ip tcp", "qinq": "eth vlan vlan ip tcp", "three tags": "eth vlan vlan", "snap": "eth ip udp", "llc": "eth",
        "snap behind a tag": "eth vlan ip6 udp", "arp": "eth arp", "rarp": "eth arp", "arp of another": "eth", "mpls": "eth mpls mpls",
        "mpls without end": "eth mpls mpls mpls", "later fragment": "eth ip", "first fragment": "eth ip udp", "sctp": "eth ip sctp",
        "icmp": "eth ip icmp", "ipv6 with a chain": "eth ip6 udp",
        "ipv6 later fragment": "eth ip6", "solicitation": "eth ip6 icmp6", "nothing": ""}
    assert {name: " ".join(keys(WHOLE[name])) for name in wanted} == wanted


def test_heads_say_the_most_in_one_line():
    said = {layer.key: str(layer) for name in ("tcp", "vlan", "arp", "icmp", "solicitation", "mpls") for layer in dissect(WHOLE[name])}
    assert said == {
        "eth": "Ethernet 02:00:00:00:00:01 → 02:00:00:00:00:02", "vlan": "VLAN 5 pcp 3", "arp": "ARP who has 10.0.0.2? tell 10.0.0.1",
        "ip": "IPv4 10.0.0.1 → 10.0.0.2", "ip6": "IPv6 fe80::1 → fe80::2", "icmp": "ICMP echo request code 3", "tcp": "TCP 40000 → 80",
        "icmp6": "ICMPv6 neighbour solicitation fe80::9", "mpls": "MPLS 17"}


def number(text):
    """An address or a number as it is shown, as an int."""
    if text.count(":") == 5 and "::" not in text:
        return int(text.replace(":", ""), 16)
    return int(ipaddress.ip_address(text)) if ":" in text or "." in text else int(text, 0)


AS_SHOWN = {  # layer: the key's name of what it shows
    "eth": {"dl_dst": "dl_dst", "dl_src": "dl_src"},
    "arp": {"arp_spa": "nw_src", "arp_tpa": "nw_dst", "arp_sha": "arp_sha", "arp_tha": "arp_tha"},
    "ip": {"nw_src": "nw_src", "nw_dst": "nw_dst"}, "ip6": {"ipv6_src": "ipv6_src", "ipv6_dst": "ipv6_dst"},
    "tcp": {"tp_src": "tp_src", "tp_dst": "tp_dst"}, "udp": {"tp_src": "tp_src", "tp_dst": "tp_dst"},
    "sctp": {"tp_src": "tp_src", "tp_dst": "tp_dst"}, "icmp": {"icmp_type": "tp_src", "icmp_code": "tp_dst"},
    "icmp6": {"icmpv6_type": "tp_src", "icmpv6_code": "tp_dst", "nd_target": "nd_target", "nd_sll": "arp_sha", "nd_tll": "arp_tha"},
}
COMPARED = {"vlan_tci", "vlan_tci1", "mpls_lse0", "mpls_lse1", "mpls_lse2"}.union(*(names.values() for names in AS_SHOWN.values()))


def agrees(data):
    """What is shown is what the twin's key holds, no more and no less."""
    key, shown, tags, labels = twin(data, limit=2), {}, 0, 0
    for layer in dissect(data):
        for name, _, _, said in layer.fields:
            if name in AS_SHOWN.get(layer.key, ()):
                shown[AS_SHOWN[layer.key][name]] = number(said)
        if layer.key == "vlan":
            shown["vlan_tci" + "1" * tags] = number(layer.get("vlan_tci")) | 0x1000
            tags += 1
        if layer.key == "mpls":
            label, tc, bos, ttl = (int(said) for _, _, _, said in layer.fields)
            shown[f"mpls_lse{labels}"] = label << 12 | tc << 9 | bos << 8 | ttl
            labels += 1
    igmp = {"tp_src", "tp_dst"} if key.get("nw_proto") == 2 else set()  # in the key, but no layer of ours
    assert {n: v for n, v in shown.items() if v} == {n: v for n, v in key.items() if n in COMPARED - igmp}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_shown_of_a_cut_frame_is_what_parse_takes(name):
    for n in range(len(WHOLE[name]) + 1):
        agrees(WHOLE[name][:n])


@given(frames())
def test_what_is_shown_of_random_frames_is_what_parse_takes(data):
    agrees(data)


@given(st.binary(max_size=120))
def test_garbage_never_raises_and_layers_lie_inside_one_behind_the_other(data):
    end = 0
    for layer in dissect(data):
        assert layer.off >= end and layer.off + layer.len <= len(data)
        assert all(layer.off <= off and off + n <= layer.off + layer.len for _, off, n, _ in layer.fields)
        end = layer.off + layer.len


# --- Packet ---------------------------------------------------------------------------------------

def test_the_repr_is_one_truthful_line():
    frame = bytes(SYN) + bytes(3)
    assert repr(Packet(frame, serial=7)) == "<Packet 7: 60 B, Ethernet / IPv4 10.0.0.1 → 10.0.0.2 / TCP 40000 → 80>"
    assert repr(Packet(b"")) == "<Packet: 0 B, no header>"
    large = Packet(frame, gso_size=1448, gso_type=1, csum_state="partial")
    assert repr(large) == "<Packet: 60 B, gso_size 1448 tcpv4, checksum partial, Ethernet / IPv4 10.0.0.1 → 10.0.0.2 / TCP 40000 → 80>"


def test_a_packet_equals_its_bytes():
    packet = Packet(b"abc", gso_size=9)
    assert packet == b"abc" and packet == bytearray(b"abc") and packet == Packet(b"abc") and packet != b"abd" and packet != "abc"
    assert (packet.bytes(), bytes(packet), packet.len(), len(packet), len({packet, Packet(b"abc")})) == (b"abc", b"abc", 3, 3, 1)


def test_a_packet_of_a_chain_has_its_segments_and_stays_when_the_mbufs_are_reused():
    TEMPO.unload()
    frame = bytes(SYN) + bytes(range(256)) * 20
    i = TEMPO.load([frame], port=3, cuts=[100])[0]
    m = TEMPO.table("mbufs")[i]
    m.ol_flags, m.tso_segsz, m.gso_type, m.serial = GSO | L4_CSUM_PARTIAL | IP_CSUM_GOOD, 1448, 0x81, 42
    behind = TEMPO.table("mbufs")[m.next]
    behind.ol_flags = EXTERNAL
    packet = Packet.of_chain(TEMPO.arena, i)
    wanted = [Segment(i, m.buf + 128, 128, 100, 2176, 1, False), Segment(m.next, behind.buf + 128, 128, 2048, 2176, 1, True)]
    behind.ol_flags = 0
    TEMPO.unload()
    TEMPO.load([bytes(2000)] * 4)
    assert packet == frame and packet.segments[:2] == wanted and sum(s.length for s in packet.segments) == len(frame)
    assert (packet.gso_size, packet.gso_type, packet.csum_state, packet.ip_csum_state, packet.in_port, packet.serial) == (
        1448, 0x81, "partial", "good", 3, 42)
    assert repr(packet).startswith(f"<Packet 42: {len(frame)} B in 4 segments, gso_size 1448 tcpv4+ecn, checksum partial, Ethernet / IPv4")


def test_gso_fields_of_a_packet_that_is_not_large_are_not_shown():
    TEMPO.unload()
    i = TEMPO.load([bytes(SYN)])[0]
    TEMPO.table("mbufs")[i].tso_segsz, TEMPO.table("mbufs")[i].gso_type = 9, 1
    packet = Packet.of_chain(TEMPO.arena, i)
    assert (packet.gso_size, packet.gso_type, packet.csum_state) == (0, 0, "unknown")


def test_show_lists_every_field_with_its_offset():
    text = Packet(bytes(SYN)).show()
    assert "  30   4 B  nw_dst         10.0.0.2" in text and text.endswith("3 B behind the headers") and repr(text) == str(text)


def test_scapy_sees_the_same_packet():
    for frame in (SYN, Ether(bytes(Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / IPv6(src="::1", dst="::2") / UDP()))):
        assert bytes(Packet(bytes(frame)).scapy()) == bytes(frame)
    assert SCTP in Packet(WHOLE["sctp"]).scapy()


def test_the_package_does_not_import_scapy_until_asked():
    code = "import sys, lab.packet.packet, lab.packet.craft; sys.exit('scapy' in ' '.join(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- craft ----------------------------------------------------------------------------------------

@pytest.fixture
def deaf(monkeypatch):
    """A host that answers none of scapy's questions."""
    def asked(*args, **kwargs):
        raise AssertionError(f"scapy asked the host: {args}")
    for owner, name in ((conf.route, "route"), (conf.route6, "route"), (conf.neighbor, "resolve")):
        monkeypatch.setattr(owner, name, asked)
    questions = {"getmacbyip", "getmacbyip6", "get_if_addr", "get_if_hwaddr", "get_if_raw_addr"}
    for module in [module for name, module in sys.modules.items() if name.startswith("scapy")]:
        for name in questions & vars(module).keys():
            monkeypatch.setattr(module, name, asked)


def seen(frame):
    return Ether(craft(frame, **PORT))


def test_open_fields_come_from_the_port_and_the_host_is_not_asked(deaf):
    with pytest.raises(AssertionError, match="asked the host"):
        bytes(Ether() / IP(dst="10.0.0.2") / UDP())
    frame = seen(Ether() / IP(dst="10.0.0.2") / UDP())
    assert (frame.src, frame.dst, frame[IP].src) == ("02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1")
    assert frame[UDP].chksum == seen(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP())[UDP].chksum


def test_an_address_nobody_has_is_sent_to_everybody(deaf):
    assert seen(Ether() / IP(dst="10.0.0.77") / UDP()).dst == "ff:ff:ff:ff:ff:ff"
    assert seen(Ether() / b"abc").dst == "ff:ff:ff:ff:ff:ff"
    assert seen(Ether() / IP() / ICMP()).dst == "ff:ff:ff:ff:ff:ff"


def test_ipv6_and_tags_and_arp(deaf):
    frame = seen(Ether() / Dot1Q(vlan=5) / IPv6(dst="fe80::2") / ICMPv6EchoRequest())
    assert (frame.dst, frame[IPv6].src) == ("02:00:00:00:00:02", "fe80::ff:fe00:1")
    assert seen(Ether() / IPv6(dst="fe80::2") / ICMPv6ND_NS(tgt="fe80::2")).dst == "02:00:00:00:00:02"
    who = seen(Ether() / ARP(pdst="10.0.0.2"))
    assert (who.dst, who[ARP].hwsrc, who[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01", "10.0.0.1")
    assert seen(Ether() / ARP(op=2, pdst="10.0.0.2")).dst == "02:00:00:00:00:02"
    assert seen(Ether() / ARP(op=2, hwdst="02:00:00:00:00:09", pdst="10.0.0.2")).dst == "02:00:00:00:00:09"


def test_a_packet_without_ethernet_gets_one(deaf):
    frame = seen(IP(dst="10.0.0.2") / TCP())
    assert (frame.type, frame.dst, frame[IP].src) == (0x0800, "02:00:00:00:00:02", "10.0.0.1")
    assert seen(IPv6(dst="fe80::2") / TCP()).type == 0x86DD
    assert seen(ARP(pdst="10.0.0.2")).type == 0x0806


def test_inner_headers_are_filled_too(deaf):
    frame = Ether() / IP(dst="10.0.0.2") / UDP(dport=4789) / VXLAN(vni=1) / Ether() / IP(dst="10.0.0.2") / TCP()
    inner = seen(frame)[VXLAN].payload
    assert (inner.src, inner.dst, inner[IP].src) == ("02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1")
    error = seen(Ether() / IP(dst="10.0.0.2") / ICMP(type=3, code=1) / IP(dst="10.0.0.2") / UDP())
    assert error[ICMP].payload.src == "10.0.0.1"


def test_what_the_author_set_stays_and_the_authors_packet_too(deaf):
    frame = Ether(src="02:00:00:00:00:07", dst="02:00:00:00:00:08") / IP(src="1.2.3.4", dst="5.6.7.8") / UDP(chksum=7)
    assert craft(frame, **PORT) == bytes(frame)
    open_one = Ether() / IP(dst="10.0.0.2")
    craft(open_one, **PORT)
    assert "src" not in open_one.fields and "src" not in open_one[IP].fields


def test_bytes_and_packets_go_through_and_all_else_is_refused():
    assert craft(b"abc", **PORT) == craft(bytearray(b"abc"), **PORT) == craft(Packet(b"abc"), **PORT) == b"abc"
    with pytest.raises(TypeError, match="not str"):
        craft("abc", **PORT)
