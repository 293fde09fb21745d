"""VXLAN, Geneve and GRE headers, where the packet inside begins, and the layers that people see of it."""
import pytest
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from tempo import Tempo

from lab.offload import records
from lab.offload.layers import look
from lab.offload.tunnel.inside import inner_of, kind_of
from lab.packet.dissect import dissect
from lab.packet.headers import geneve, gre, vxlan
from lab.packet.text import memory_of

LITERAL = {
    vxlan: ("08000000 00006400", {"flags": (0, 1, "0x08"), "tun_id": (4, 3, "100")}),
    geneve: ("0280 6558 00000700 0102 80 01 01020304", {
        "version": (0, 1, "0"), "options length": (0, 1, "8"), "oam": (1, 1, "1"), "critical": (1, 1, "0"), "protocol": (2, 2, "0x6558"),
        "tun_id": (4, 3, "7"), "option": (8, 8, "class 0x0102 type 0x80: 01 02 03 04")}),
    gre: ("b000 0800 abcd0000 00000007 00000001", {
        "flags": (0, 2, "0xb000"), "protocol": (2, 2, "0x0800"), "checksum": (4, 2, "0xabcd"), "tun_id": (8, 4, "7"),
        "sequence": (12, 4, "1")}),
}
LINK = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
INSIDE = IP(src="1.1.1.1", dst="2.2.2.2") / UDP(sport=1, dport=2) / b"abc"
FRAME, TAGGED = Ether(**LINK) / INSIDE, Ether(**LINK) / Dot1Q(vlan=3) / Dot1Q(vlan=4) / INSIDE
OPTION = GeneveOptions(classid=1, type=3, data=b"abcd")
TUNNELS = {
    "vxlan": (records.VXLAN, UDP(dport=4789) / VXLAN(flags=8, vni=7) / FRAME, 30),
    "vxlan, tagged": (records.VXLAN, UDP(dport=4789) / VXLAN(flags=8, vni=7) / TAGGED, 38),
    "vxlan that names its protocol": (records.VXLAN, UDP(dport=4789) / VXLAN(flags=0x0C, NextProtocol=3, vni=7) / FRAME, 30),
    "geneve": (records.GENEVE, UDP(dport=6081) / GENEVE(vni=3, options=[OPTION]) / FRAME, 38),
    "gre": (records.GRE, GRE(proto=0x6558, key_present=1, key=3) / FRAME, 22),
    "gre, IP": (records.GRE, GRE() / INSIDE, 4),
    "gre, MPLS": (records.GRE, GRE(proto=0x8847) / MPLS(label=3, s=1) / INSIDE, 8),
    "mplsoudp": (records.MPLSOUDP, UDP(dport=6635) / MPLS(label=3, s=0) / MPLS(label=4, s=1) / INSIDE, 16),
}
NOT_SO = {
    "no VNI": UDP(dport=4789) / VXLAN(flags=0, vni=7) / FRAME,
    "another protocol than Ethernet": UDP(dport=4789) / VXLAN(flags=0x0C, NextProtocol=1, vni=7) / INSIDE,
    "another version": UDP(dport=6081) / GENEVE(version=1, vni=3) / FRAME,
    "options beyond the end": UDP(dport=6081) / (b"\x3f\0\x65\x58" + bytes(40)),
    "an option that lies": UDP(dport=6081) / (b"\x01\0\x65\x58" + bytes(4) + b"\0\1\2\7") / FRAME,
    "routing present": GRE(proto=0x6558, routing_present=1) / FRAME,
    "GRE version 1": GRE(proto=0x6558, version=1) / FRAME,
    "labels without an end": UDP(dport=6635) / bytes(400),
    "ARP inside": UDP(dport=4789) / VXLAN(flags=8, vni=7) / Ether(type=0x0806) / bytes(28),
    "a version that is not the type's": UDP(dport=4789) / VXLAN(flags=8, vni=7) / Ether(type=0x86DD) / INSIDE,
    "another port": UDP(dport=53) / VXLAN(flags=8, vni=7) / FRAME,
    "TCP": TCP(dport=4789) / VXLAN(flags=8, vni=7) / FRAME,
}
OUTER = {4: Ether(**LINK) / IP(src="10.0.0.1", dst="10.0.0.9"), 6: Ether(**LINK) / IPv6(src="fd00::1", dst="fd00::9")}
named = pytest.mark.parametrize("protocol", LITERAL, ids=lambda module: module.__name__.rsplit(".")[-1])


@named
def test_literal_bytes_show_their_fields(protocol):
    data, wanted = LITERAL[protocol]
    assert protocol.show(bytes.fromhex(data)) == [(name, *rest) for name, rest in wanted.items()]


@named
def test_a_header_that_is_not_wholly_there_is_not_there(protocol):
    data = bytes.fromhex(LITERAL[protocol][0])
    assert protocol.check(memory_of(data), 0, len(data)) == len(data)
    for n in range(len(data)):
        assert protocol.check(memory_of(data[:n]), 0, n) == 0
        assert protocol.show(data[:n]) == []


def test_what_is_set_is_got():
    memory = memory_of(bytearray(16))
    gre.set_flags(memory, 0, gre.HAS_CHECKSUM | gre.HAS_KEY | gre.HAS_SEQUENCE)
    gre.set_protocol(memory, 0, 0x6558)
    gre.set_checksum(memory, 0, 0x1234)
    gre.set_key(memory, 0, 0xFFFFFFFF)
    gre.set_sequence(memory, 0, 5)
    assert memory.bytes(0, 16).hex(" ", 4) == "b0006558 12340000 ffffffff 00000005"
    assert (gre.get_checksum(memory, 0), gre.get_key(memory, 0), gre.get_sequence(memory, 0)) == (0x1234, 0xFFFFFFFF, 5)
    geneve.set_first(memory, 0, 8, geneve.OAM)
    geneve.set_protocol(memory, 0, 0x0800)
    geneve.set_vni(memory, 0, 0xABCDEF)
    assert memory.bytes(0, 8).hex(" ", 4) == "02800800 abcdef00"
    vxlan.set_flags(memory, 0, vxlan.HAS_VNI)
    vxlan.set_vni(memory, 0, 0xABCDEF)
    assert memory.bytes(0, 8).hex(" ", 4) == "08000000 abcdef00"


def seen(tempo, frame, cuts=()):
    """The kind of tunnel and where the IP header inside begins, and what `need` says."""
    tempo.unload()
    m, s = tempo.table("mbufs")[tempo.load([frame], cuts=cuts)[0]], tempo.table("sight")[0]
    look(tempo.table("memory"), m, s)
    return kind_of(tempo.table("memory"), m, s), inner_of(tempo.table("memory"), m, s), s.need


@pytest.mark.parametrize("v", OUTER)
@pytest.mark.parametrize("name", TUNNELS)
def test_the_ip_header_inside_is_found_or_said_to_lie_further_on(name, v):
    kind, tunnel, off = TUNNELS[name]
    frame = bytes(OUTER[v] / tunnel)
    off += len(OUTER[v])
    tempo = Tempo()
    assert seen(tempo, frame) == (kind, off, 0)
    assert frame[off] == 0x45
    for n in range(1, len(frame)):
        _, found, need = seen(tempo, frame, [n])
        assert found == off or (found == 0 and need > n)
        assert seen(tempo, frame[:n])[1] == 0


@pytest.mark.parametrize("v", OUTER)
@pytest.mark.parametrize("name", NOT_SO)
def test_what_is_no_tunnel_or_carries_no_ip_has_nothing_inside(name, v):
    assert seen(Tempo(), bytes(OUTER[v] / NOT_SO[name]))[1] == 0


def test_a_fragment_has_nothing_inside():
    frame = Ether(**LINK) / IP(src="10.0.0.1", dst="10.0.0.9", flags="MF") / TUNNELS["vxlan"][1]
    assert seen(Tempo(), bytes(frame))[:2] == (0, 0)


@pytest.mark.parametrize("name, keys", [
    ("vxlan, tagged", "eth ip udp vxlan eth vlan vlan ip udp"), ("geneve", "eth ip udp geneve eth ip udp"),
    ("gre", "eth ip gre eth ip udp"), ("gre, IP", "eth ip gre ip udp"), ("gre, MPLS", "eth ip gre mpls ip udp"),
    ("mplsoudp", "eth ip udp mpls mpls ip udp"),
])  # fmt: skip
def test_the_layers_of_a_tunnel_are_seen_to_the_innermost(name, keys):
    frame = bytes(OUTER[4] / TUNNELS[name][1])
    layers = dissect(frame)
    assert [layer.key for layer in layers] == keys.split()
    assert layers[-1].off == len(frame) - len(b"abc") - 8
    for n in range(len(frame)):
        assert [layer.key for layer in dissect(frame[:n])] == keys.split()[: len(dissect(frame[:n]))]


def test_tunnels_within_tunnels_and_labels_without_an_end_come_to_an_end():
    frame = FRAME
    for _ in range(9):
        frame = OUTER[4] / UDP(dport=4789) / VXLAN(flags=8, vni=1) / frame
    assert [layer.key for layer in dissect(bytes(frame))].count("vxlan") == 4
    assert [layer.key for layer in dissect(bytes(OUTER[4] / NOT_SO["labels without an end"]))].count("mpls") == 16
