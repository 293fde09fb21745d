"""Each protocol's file: literal bytes in, fields out; what is cut or lies is not there; all files are alike."""
import importlib
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.packet.headers import arp, ethernet, icmp, icmpv6, ipv4, ipv6, mpls, sctp, tcp, udp, vlan
from lab.packet.text import memory_of

PROTOCOLS = ("ethernet", "vlan", "arp", "mpls", "ipv4", "ipv6", "icmp", "icmpv6", "tcp", "udp", "sctp")
LITERAL = {
    ethernet: ("020000000002 020000000001 0800", {
        "dl_dst": (0, 6, "02:00:00:00:00:02"), "dl_src": (6, 6, "02:00:00:00:00:01"), "dl_type": (12, 2, "0x0800")}),
    vlan: ("6005 86dd", {"vlan_tci": (0, 2, "0x6005"), "vlan_pcp": (0, 1, "3"), "vlan_vid": (0, 2, "5"), "dl_type": (2, 2, "0x86dd")}),
    arp: ("0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002", {
        "hardware": (0, 2, "1"), "protocol": (2, 2, "0x0800"), "arp_op": (6, 2, "2"), "arp_sha": (8, 6, "02:00:00:00:00:01"),
        "arp_spa": (14, 4, "10.0.0.1"), "arp_tha": (18, 6, "02:00:00:00:00:02"), "arp_tpa": (24, 4, "10.0.0.2")}),
    mpls: ("000107 40", {"mpls_label": (0, 3, "16"), "mpls_tc": (2, 1, "3"), "mpls_bos": (2, 1, "1"), "mpls_ttl": (3, 1, "64")}),
    ipv4: ("46b9001c 00076005 4011beef 0a000001 0a000002 01010100 61626364", {
        "version": (0, 1, "4"), "header length": (0, 1, "24"), "nw_tos": (1, 1, "184"), "nw_ecn": (1, 1, "1"), "length": (2, 2, "28"),
        "id": (4, 2, "7"), "frag": (6, 2, "at 40, df, more"), "nw_ttl": (8, 1, "64"), "nw_proto": (9, 1, "17"),
        "checksum": (10, 2, "0xbeef"), "nw_src": (12, 4, "10.0.0.1"), "nw_dst": (16, 4, "10.0.0.2"), "options": (20, 4, "01 01 01 00")}),
    ipv6: ("6b9abcde 0018 2c 40" + "fe80000000000000 0000000000000001" + "20010db800000000 0000000000000002"
           + "3c 00 0009 0000004d" + "11 00 0000 00000000" + "0035 14e9 0008 0000", {
        "version": (0, 1, "6"), "nw_tos": (0, 2, "184"), "nw_ecn": (1, 1, "1"), "ipv6_label": (1, 3, "0xabcde"), "length": (4, 2, "24"),
        "nw_proto": (6, 1, "44"), "nw_ttl": (7, 1, "64"), "ipv6_src": (8, 16, "fe80::1"), "ipv6_dst": (24, 16, "2001:db8::2"),
        "frag": (40, 8, "nw_proto 60, at 8, more, id 77")}),
    icmp: ("08000102 0003 0004", {
        "icmp_type": (0, 1, "8"), "icmp_code": (1, 1, "0"), "checksum": (2, 2, "0x0102"), "id": (4, 2, "3"), "seq": (6, 2, "4")}),
    icmpv6: ("87000102 00000000 fe800000000000000000000000000009 0101020000000001 0e01010203040506", {
        "icmpv6_type": (0, 1, "135"), "icmpv6_code": (1, 1, "0"), "checksum": (2, 2, "0x0102"), "nd_reserved": (4, 4, "00 00 00 00"),
        "nd_target": (8, 16, "fe80::9"), "nd_sll": (24, 8, "02:00:00:00:00:01"), "option 14": (32, 8, "01 02 03 04 05 06")}),
    tcp: ("9c400050 00000001 00000002 9012ffff abcd0007 020405b4 01 030307 0402 00 00 00000000", {
        "tp_src": (0, 2, "40000"), "tp_dst": (2, 2, "80"), "seq": (4, 4, "1"), "ack": (8, 4, "2"), "offset": (12, 1, "36"),
        "tcp_flags": (12, 2, "syn|ack"), "window": (14, 2, "65535"), "checksum": (16, 2, "0xabcd"), "urgent": (18, 2, "7"),
        "mss": (20, 4, "1460"), "nop": (24, 1, ""), "wscale": (25, 3, "7"), "sack ok": (28, 2, ""), "end": (30, 6, "")}),
    udp: ("003514e9 0008abcd", {"tp_src": (0, 2, "53"), "tp_dst": (2, 2, "5353"), "length": (4, 2, "8"), "checksum": (6, 2, "0xabcd")}),
    sctp: ("00070009 00000001 deadbeef", {
        "tp_src": (0, 2, "7"), "tp_dst": (2, 2, "9"), "tag": (4, 4, "0x00000001"), "checksum": (8, 4, "0xdeadbeef")}),
}
named = pytest.mark.parametrize("protocol", LITERAL, ids=lambda module: module.__name__.rsplit(".")[-1])


@named
def test_literal_bytes_show_their_fields(protocol):
    data, wanted = LITERAL[protocol]
    assert protocol.show(bytes.fromhex(data)) == [(name, *rest) for name, rest in wanted.items()]


@named
def test_a_header_that_is_not_wholly_there_is_not_there(protocol):
    data = bytes.fromhex(LITERAL[protocol][0])
    length = protocol.check(memory_of(data), 0, len(data))
    assert length >= protocol.LENGTH
    for n in range(protocol.LENGTH):
        assert protocol.check(memory_of(data[:n]), 0, n) == 0
        assert protocol.show(data[:n]) == []


@named
def test_setters_write_what_getters_read(protocol):
    data = bytes.fromhex(LITERAL[protocol][0])
    for name, put in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("set_"):
            blank = bytearray(len(data))
            got = getattr(protocol, "get_" + name[4:])(memory_of(data), 0)
            put(memory_of(memoryview(blank)), 0, *(got if isinstance(got, tuple) else (got,)))
            assert getattr(protocol, "get_" + name[4:])(memory_of(bytes(blank)), 0) == got, name
            assert all(b & ~a == 0 for a, b in zip(data, blank, strict=True)), name


@named
def test_setters_leave_the_bits_beside_their_field_alone(protocol):
    data = bytes.fromhex(LITERAL[protocol][0])
    for name, put in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("set_"):
            same = bytearray(data)
            got = getattr(protocol, "get_" + name[4:])(memory_of(data), 0)
            put(memory_of(memoryview(same)), 0, *(got if isinstance(got, tuple) else (got,)))
            assert same == data, name


@pytest.mark.parametrize(("put", "before", "value", "after"), [
    (mpls.set_lse, "ffffffff", 0x00010740, "00010740"),
    (vlan.set_tci, "ffff 86dd", 0x6005, "6005 86dd"),
    (tcp.set_seq, "9c400050 ffffffff 00000002", 0x01020304, "9c400050 01020304 00000002"),
    (tcp.set_flags, "9c400050 00000001 00000002 9fff ffff", 0x012, "9c400050 00000001 00000002 9012 ffff"),
    (ipv6.set_payload, "6b9abcde ffff 2c40", 24, "6b9abcde 0018 2c40"),
])
def test_a_setter_writes_its_field_in_the_order_of_the_wire(put, before, value, after):
    data = bytearray.fromhex(before)
    put(memory_of(memoryview(data)), 0, value)
    assert data == bytes.fromhex(after)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_files_are_all_alike(name):
    module = importlib.import_module(f"lab.packet.headers.{name}")
    first, _, rest = module.__doc__.partition("\n")
    assert "RFC" in first and "+--" in rest
    defined = [key for key, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module.__name__]
    order = [next((k for k, prefix in enumerate(("get_", "set_", "show", "describe")) if key.startswith(prefix)), -1) for key in defined]
    assert defined[0] == "check" and "show" in defined
    assert [min(o, 2) for o in order] == sorted(min(o, 2) for o in order), defined
    assert all(inspect.getdoc(getattr(module, key)) for key in defined)


def test_lengths_of_ipv4_that_lie():
    head = bytes.fromhex(LITERAL[ipv4][0])
    for change in (b"\x44", b"\x4f", b"\x46\0\0\x17", b"\x46\0\0\x1d"):
        assert ipv4.show(change + head[len(change):]) == []


def test_a_chain_of_ipv6_that_is_cut_shows_the_fixed_header_alone():
    data = bytearray(bytes.fromhex(LITERAL[ipv6][0]))
    data[6], data[41] = 60, 9
    assert [name for name, *_ in ipv6.show(bytes(data))][-1] == "ipv6_dst"
    assert ipv6.check_chain(memory_of(bytes(data)), 0, len(data)) == (0, 0, 0)


def test_an_extension_header_behind_another_is_shown():
    data = bytearray(bytes.fromhex(LITERAL[ipv6][0]))
    data[42:44] = b"\0\1"
    shown = {name: (off, length, said) for name, off, length, said in ipv6.show(bytes(data))}
    assert shown["frag"] == (40, 8, "nw_proto 60, at 0, more, id 77")
    assert shown["destination"] == (48, 8, "nw_proto 17")


def test_tcp_options_that_lie_take_the_rest():
    for options, said in (("02ff05b4", "cut: 02 ff 05 b4"), ("01010108", "cut: 08"), ("05010000", "cut: 05 01 00 00")):
        data = bytes.fromhex("9c400050 00000001 00000002 6012ffff abcd0007" + options)
        assert tcp.show(data)[-1][0] == "options" and tcp.show(data)[-1][3] == said


def test_tcp_options_with_many_numbers():
    data = bytes.fromhex("9c400050 00000001 00000002 b0100000 00000000" + "0101080a 00000007 00000009" + "0101050a 00000001 00000005")
    assert [(name, said) for name, _, _, said in tcp.show(data)[-2:]] == [("nop", ""), ("sack", "1 to 5")]
    assert ("timestamps", 22, 10, "7 9") in tcp.show(data)


def test_snap_names_a_type():
    data = bytes.fromhex("020000000002 020000000001 0020 aaaa03000000 0806") + bytes(24)
    assert ethernet.show(data)[2:] == [("length", 12, 2, "32"), ("dl_type", 20, 2, "0x0806")]
    assert ethernet.show(data[:21])[2:] == [("length", 12, 2, "32")]


@given(st.binary(max_size=90))
def test_show_never_raises_and_stays_inside(data):
    for protocol in LITERAL:
        for name, off, length, said in protocol.show(data):
            assert name and isinstance(said, str) and off >= 0 and length > 0 and off + length <= len(data)
