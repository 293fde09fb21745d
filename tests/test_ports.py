"""Ports: what is injected, sent, refused; offload metadata; every mistake answered with the object and the next step."""
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from port_frames import capture, numbered, out, waiting_in
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, Dot1Q, Ether
from walks import step_all

from lab import Switch
from lab.memory.mbuf import FILL, GSO, L4_CSUM_PARTIAL, MAX_SEGMENTS
from lab.memory.reasons import LINK_DOWN, RING_FULL, TOO_LARGE
from lab.packet.packet import Packet
from lab.stages.regions import PORTS, RING

ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
LARGEST = FILL * MAX_SEGMENTS


@pytest.fixture
def sw(made):
    return made("actions=output:vm2")


# --- what can be injected -------------------------------------------------------------------------

def test_bytes_packets_scapy_paths_and_lists_are_frames(sw, tmp_path):
    frame, path = bytes(range(60)), capture(tmp_path / "two.pcap", numbered(2))
    scapy = ETH / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"hello"
    vm1 = sw.ports["vm1"]
    assert [vm1.inject(one) for one in (frame, bytearray(frame), memoryview(frame), Packet(frame), scapy)] == [1] * 5
    assert (vm1.inject(path), vm1.inject(str(path)), vm1.inject([frame, [scapy, path], Packet(frame)]), vm1.inject([])) == (2, 2, 5, 0)
    two = numbered(2)
    assert out(sw, []) == [frame] * 4 + [bytes(scapy)] + two * 2 + [frame, bytes(scapy), *two, frame]


def test_what_scapy_leaves_open_comes_from_the_ports_and_nobody_is_asked(sw, monkeypatch):
    from scapy.config import conf
    monkeypatch.setattr(conf, "route", None)
    frames = [Ether() / IP(dst="10.0.0.2") / UDP(), IP(dst="10.9.9.9") / UDP(), ARP(pdst="10.0.0.2")]
    found, other, arp = (p.scapy() for p in out(sw, frames))
    assert (found.src, found.dst, found[IP].src) == ("02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1")
    assert (other.src, other.dst, other[IP].src) == ("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "10.0.0.1")
    assert (arp.dst, arp[ARP].hwsrc, arp[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01", "10.0.0.1")


lengths = st.one_of(st.integers(1, 70), st.sampled_from([FILL - 1, FILL, FILL + 1, 3 * FILL, 3 * FILL + 1]))


@settings(max_examples=15)
@given(sizes=st.lists(lengths, min_size=1, max_size=6))
def test_a_frame_of_any_length_waits_whole_in_as_few_mbufs_as_hold_it(sizes):
    sw = Switch()
    vm1 = sw.add_port("vm1")
    frames = [bytes((n + k) % 256 for k in range(size)) for n, size in enumerate(sizes)]
    assert vm1.inject(frames) == len(frames) == vm1.waiting
    chains = waiting_in(vm1)
    assert [(int(m["pkt_len"]), int(m["nb_segs"]), int(m["in_port"])) for m in chains] == [(n, -(-n // FILL), 1) for n in sizes]
    sw.mempool.check()
    assert sw.remove_port("vm1") == len(frames) and sw.mempool.free == len(sw.mempool)
    sw.close()


# --- offloads of what is injected -----------------------------------------------------------------

PAYLOAD = bytes(n % 256 for n in range(5000))
LARGE = {
    "tcpv4": (ETH / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2), 1, TCP, 16),
    "tcpv4 tagged": (ETH / Dot1Q(vlan=5) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(options=[("MSS", 1448)]), 1, TCP, 16),
    "tcpv6": (ETH / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=1, dport=2), 4, TCP, 16),
    "tcpv6 behind options": (ETH / IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrDestOpt() / TCP(sport=1, dport=2), 4, TCP, 16),
    "udp": (ETH / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2), 5, UDP, 6),
    "udp over ipv6": (ETH / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2), 5, UDP, 6),
}


def folded(data):
    total = sum(struct.unpack(f"!{len(data + bytes(len(data) & 1)) // 2}H", data + bytes(len(data) & 1)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("kind", LARGE)
def test_gso_size_alone_implies_the_type_needs_csum_and_the_pseudo_sum(sw, kind):
    packet, gso_type, layer, offset = LARGE[kind]
    packet = packet / PAYLOAD
    whole = bytes(packet)
    assert sw.ports["vm1"].inject(packet, gso_size=1448) == 1
    m, = waiting_in(sw.ports["vm1"])
    start = len(whole) - len(Ether(whole)[layer])
    assert (int(m["tso_segsz"]), int(m["gso_type"]), int(m["csum_start"]), int(m["csum_offset"])) == (1448, gso_type, start, offset)
    assert int(m["ol_flags"]) == int(GSO | L4_CSUM_PARTIAL)
    sent, = out(sw, [])
    assert (sent.gso_size, sent.gso_type, sent.csum_state) == (1448, gso_type, "partial")
    data, at = sent.bytes(), start + offset
    assert data[:at] + data[at + 2:] == whole[:at] + whole[at + 2:]
    completed = folded(data[start:]) ^ 0xFFFF or (0xFFFF if layer is UDP else 0)
    assert completed == int.from_bytes(whole[at:at + 2], "big"), "summing the rest onto the pseudo-header's sum gives scapy's checksum"


@pytest.mark.parametrize(("frame", "gso_size", "words"), [
    (bytes(60), 1448, "wants a TCP or UDP packet over IP"), (ETH / ARP(), 1448, "this one is eth / arp"),
    (ETH / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(), 65536, "gso_size=65536 is no number between 1 and 65535"),
    (ETH / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(), -1, "gso_size=-1"), (bytes(60), "1448", "gso_size='1448' is no number")])
def test_a_gso_size_that_makes_no_sense_is_refused_and_nothing_is_queued(sw, frame, gso_size, words):
    with pytest.raises(ValueError, match=words):
        sw.ports["vm1"].inject([frame], gso_size=gso_size)
    assert sw.ports["vm1"].waiting == 0


def test_a_whole_virtio_header_is_taken_as_it_is(sw):
    header = {"flags": 1, "gso_type": 0x81, "hdr_len": 54, "gso_size": 1000, "csum_start": 34, "csum_offset": 16, "num_buffers": 1}
    frame = bytes(ETH / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / bytes(1200))
    sent, = out(sw, frame, vnet_hdr=header)
    assert (sent.bytes(), sent.gso_size, sent.gso_type, sent.csum_state) == (frame, 1000, 0x81, "partial")
    sw.ports["vm2"].sent.clear()
    sent, = out(sw, frame, vnet_hdr={})
    assert (sent.gso_size, sent.csum_state) == (0, "unknown")
    sw.ports["vm1"].inject(frame, vnet_hdr={"flags": 1, "csum_start": 14, "csum_offset": 2})
    m, = waiting_in(sw.ports["vm1"])
    assert (int(m["ol_flags"]), int(m["csum_start"]), int(m["csum_offset"])) == (int(L4_CSUM_PARTIAL), 14, 2)


@pytest.mark.parametrize(("header", "words"), [
    ({"gso_segs": 3}, "no field 'gso_segs'; it has flags, gso_type"), ({"flags": 256}, "flags=256"), ({"csum_start": -1}, "csum_start=-1"),
    ({"gso_size": 65536}, "gso_size=65536 is no number between 0 and 65535"), ({"csum_offset": "6"}, "csum_offset='6'"),
    ([1], "no dict"), ({"gso_type": 1, "gso_size": 1000}, "gso_type 1 is not what the headers say")])
def test_a_virtio_header_that_is_none_is_refused(sw, header, words):
    with pytest.raises(ValueError, match=words):
        sw.ports["vm1"].inject(bytes(60), vnet_hdr=header)
    assert sw.ports["vm1"].waiting == 0


# --- what does not fit ------------------------------------------------------------------------------

def test_what_the_ring_has_no_room_for_is_counted_with_its_reason(sw):
    vm1 = sw.ports["vm1"]
    assert vm1.inject(numbered(RING + 6)) == RING
    assert (vm1.waiting, vm1.rx_drops, sw.count(RING_FULL)) == (RING, 6, 6)
    assert "6 dropped" in repr(vm1) and sw.counters == {"dropped: ring full": 6}
    assert vm1.inject(bytes(60)) == 0
    sw.run()
    assert list(sw.ports["vm2"].sent) == numbered(RING) and vm1.inject(bytes(60)) == 1


def test_sent_that_is_cleared_begins_anew_and_remembers_the_total(sw):
    vm2 = sw.ports["vm2"]
    assert out(sw, numbered(3)) == numbered(3)
    vm2.sent.clear()
    assert (len(vm2.sent), list(vm2.sent), vm2.tx_packets) == (0, [], 3)
    assert out(sw, numbered(2)) == numbered(2) == vm2.sent[:] and vm2.sent[-1] == numbered(2)[1]
    assert repr(vm2.sent) == "<2 packets sent by vm2, 5 in all>"
    sw.back()
    assert vm2.sent[:] == [] and vm2.sent.total == 3


@pytest.mark.parametrize(("size", "passes"), [(1522, True), (1523, False), (9000, False)])
def test_a_packet_larger_than_the_mtu_is_dropped_with_the_figures_and_the_cure(sw, size, passes):
    vm2 = sw.ports["vm2"]
    sw.ports["vm1"].inject(bytes(size))
    last = step_all(sw)[-1]
    assert (len(vm2.sent), vm2.tx_drops, sw.count(TOO_LARGE)) == ((1, 0, 0) if passes else (0, 1, 1))
    if not passes:
        assert last.reason == "dropped: too large" and last.sentence == f"{size} B do not fit port vm2 (mtu 1500)"
        exec(last.cure, {"sw": sw})
        assert out(sw, bytes(size)) == [bytes(size)], f"{last.cure} cures it"


def test_a_port_whose_link_is_down_takes_nothing_until_it_is_up_again(sw):
    vm2 = sw.ports["vm2"]
    vm2.up = False
    assert out(sw, numbered(2)) == [] and (vm2.up, vm2.tx_drops, sw.count(LINK_DOWN)) == (False, 2, 2)
    assert sw.timeline.last.reason == "dropped: link down"
    vm2.up = True
    assert out(sw, numbered(1)) == numbered(1)


@pytest.mark.parametrize("bad", [b"", bytes(LARGEST + 1)], ids=["empty", "too large"])
def test_a_frame_that_cannot_be_is_refused_before_any_of_its_list_is_queued(sw, bad):
    words = "an empty frame" if not bad else f"inject at most {LARGEST}"
    free = sw.mempool.free
    with pytest.raises(ValueError, match=words):
        sw.ports["vm1"].inject([bytes(60), bad, bytes(60)])
    assert (sw.ports["vm1"].waiting, sw.mempool.free, sw.step()) == (0, free, None)
    assert sw.ports["vm1"].inject(bytes(LARGEST)) == 1 and int(waiting_in(sw.ports["vm1"])[0]["nb_segs"]) == MAX_SEGMENTS


def test_an_empty_pool_takes_a_frame_wholly_or_not_at_all_and_loses_nothing(sw):
    vm1, large = sw.ports["vm1"], bytes(range(256)) * 400  # 50 mbufs each
    whole = 0
    with pytest.raises(MemoryError, match=r"mempool is empty: 50 mbufs wanted, \d+ free; run what waits, or use Switch\(size='large'\)"):
        while True:
            whole += vm1.inject(large)
    assert vm1.waiting == whole and {int(m["nb_segs"]) for m in waiting_in(vm1)} == {50}
    sw.mempool.check()
    with pytest.raises(MemoryError):
        vm1.inject([large, large])
    free = sw.mempool.counts()["free"]
    assert vm1.inject([bytes(60)] * free) == free, "what is left still serves small frames"
    with pytest.raises(MemoryError, match="1 mbufs wanted, 0 free"):
        vm1.inject(bytes(60))
    sw.ports["vm2"].mtu = 65535
    sw.ports["vm2"].sent.clear()
    for _ in range(400):
        sw.step()
    sw.mempool.check()
    sw.remove_port("vm1")
    sw.mempool.check()


def test_a_new_port_counts_from_nothing_though_its_number_was_anothers(sw):
    out(sw, numbered(3))
    sw.remove_port("vm2")
    assert sw.add_port("vm9").number == 2
    assert (sw.ports["vm9"].tx_packets, sw.ports["vm9"].tx_bytes, sw.ports["vm1"].rx_packets) == (0, 0, 3)


# --- mistakes ---------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "how", "words"), [
    ("vm1", {}, r"'vm1' is there already: sw.remove_port\('vm1'\)"), ("", {}, "no name for a port"), ("a b", {}, "'a b' is no name"),
    ("p", {"type": "tap"}, "port p: no type is called 'tap'; there are sim, pcap"), ("p", {"type": "pcpa"}, "did you mean 'pcap'"),
    ("p", {"offloads": ["csum", "tso9"]}, "port p: no offload is called 'tso9'; there are csum, tso4, tso6"),
    ("p", {"offloads": "csum"}, r"port p: offloads='csum' is one word: give a list, offloads=\['csum'\]"),
    ("p", {"mtu": 67}, "port p: mtu 67 is not between 68 and 65535"), ("p", {"mtu": 65536}, "mtu 65536"),
    ("p", {"mtu": "big"}, "mtu 'big'"), ("p", {"gro": "linx"}, "gro='linx' is none of 'off', 'linux', 'dpdk': did you mean 'linux'"),
    ("p", {"gro_arc": "middle"}, "gro_arc='middle' is none of 'ingress', 'egress'"),
    ("p", {"speed": 10}, "port p: a sim port has no option 'speed'; it has mtu, offloads, gro, gro_arc, gro_acks"),
    ("p", {"path": "a.pcap"}, "a sim port has no option 'path'"),
    ("p", {"type": "pcap", "rate": 10}, "port p: a pcap port has no option 'rate'; it has path, write, pace, loop, sink, mtu"),
    ("p", {"type": "pcap", "pace": "fast"}, "port p: pace='fast' is neither frames a second"),
    ("p", {"type": "pcap", "pace": 0.5}, "pace=0.5"), ("p", {"type": "pcap", "pace": -1}, "pace=-1"),
    ("p", {"ofport": 2}, "ofport 2 is taken by vm2: leave ofport= out"), ("p", {"ofport": 0}, "ofport 0"),
    ("p", {"ofport": PORTS}, "between 1 and 63"),
    ("p", {"ofport": "3"}, "ofport '3' is not between"),
    ("p", {"type": "pcap", "path": "/no/such/file"}, "/no/such/file"),
    ("p", {"type": "pcap", "write": "/no/such/file"}, "/no/such/file"),
])
def test_a_port_that_cannot_be_says_why_and_leaves_no_trace(sw, name, how, words):
    ports = sw.engine.array("ports").copy()
    with pytest.raises((ValueError, OSError), match=words):
        sw.add_port(name, **how)
    assert list(sw.ports) == ["vm1", "vm2", "vm3"] and sw.engine.array("ports")["kind"].tolist() == ports["kind"].tolist()
    sw.ofctl("add-flow priority=50000,actions=flood")
    assert out(sw, bytes(60)) == [bytes(60)] == list(sw.ports["vm3"].sent)
    assert sw.mempool.free == len(sw.mempool), "a flood reaches only ports that are there"


def test_a_switch_has_63_ports(made):
    sw = made(ports=PORTS - 1)
    with pytest.raises(ValueError, match="a switch has at most 63 ports: remove one first"):
        sw.add_port("more")
    sw.remove_port("vm7")
    assert sw.add_port("more").number == 7


def test_settings_that_cannot_be_are_refused_and_nothing_changes(sw):
    vm1 = sw.ports["vm1"]
    before = repr(vm1)
    for wrong, words in ((67, "port vm1: mtu 67"), ("x", "port vm1: mtu 'x'")):
        with pytest.raises(ValueError, match=words):
            vm1.mtu = wrong
    for change in (vm1.offloads.add, vm1.offloads.discard):
        with pytest.raises(ValueError, match="port vm1: no offload is called 'tos4'; there are csum"):
            change("tos4")
    with pytest.raises(KeyError, match=r"no port is called 'vm4': did you mean 'vm[123]'\? There are: vm1, vm2, vm3"):
        sw.ports["vm4"]
    with pytest.raises(KeyError, match=r"no port is called 'nonsense'\. There are: vm1"):
        sw.remove_port("nonsense")
    with pytest.raises(TypeError, match="a frame is bytes, a Packet or a scapy packet, not int"):
        vm1.inject(7)
    with pytest.raises(FileNotFoundError, match=r"nowhere.pcap"):
        vm1.inject("nowhere.pcap")
    assert repr(vm1) == before


def test_offloads_are_a_live_set(sw):
    vm1 = sw.ports["vm1"]
    vm1.offloads.clear()
    assert (set(vm1.offloads), int(vm1.row["offloads"]), repr(vm1.offloads)) == (set(), 0, "{}")
    vm1.offloads |= {"tso4", "csum"}
    assert vm1.offloads == {"csum", "tso4"} and "csum tso4" in repr(vm1) and int(vm1.row["offloads"]) == 0b11
    vm1.offloads.discard("csum")
    assert vm1.offloads & {"tso4", "uso"} == {"tso4"} and "nonsense" not in vm1.offloads
