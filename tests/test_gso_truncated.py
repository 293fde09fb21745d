"""Copies that are cut short: they leave, as one frame, whatever was left to be done of the packet they are copies of."""
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

from lab import Switch
from lab.memory.reasons import REASONS
from lab.packet.packet import Packet

LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
LARGE = LINK / IP(src="10.0.0.1", dst="10.0.0.2", id=5) / TCP(sport=1, dport=2, flags="A") / bytes(4000)


def tunnelled(k):
    """A segment of a flow in a VXLAN tunnel with an outer checksum."""
    inner = LINK / IP(src="10.0.0.1", dst="10.0.0.2", id=k, flags="DF") / TCP(sport=1, dport=2, flags="A", seq=1 + 100 * k) / bytes(100)
    return bytes(LINK / IP(src="10.9.0.1", dst="10.9.0.2", id=k) / UDP(sport=9, dport=4789) / VXLAN(flags=8, vni=1) / inner)


def short_copies(packets, most, *, actions="output(port=2,max_len={most})", gro="off", **how):
    """What leaves of packets that are cut to `most` bytes, at a port that does nothing itself."""
    sw = Switch(fail_mode="secure")
    vm1, vm2 = sw.add_port("vm1", gro=gro), sw.add_port("vm2", offloads=())
    sw.ofctl("add-flow actions=" + actions.format(most=most))
    sw.walk.tell = lambda step: None  # no picture is asked for here
    vm1.inject(packets, **how)
    while sw.step():
        pass
    sw.mempool.check()
    assert {code: n for code, n in counts(sw).items() if code.startswith("dropped")} == {}
    return [packet.bytes() for packet in vm2.sent]


def counts(sw):
    """How often each reason was given."""
    return {REASONS[r].code: int(n) for r, n in enumerate(sw.engine.reason_counts()) if n}


@pytest.mark.parametrize("most", [40, 64, 120, 170])
def test_of_what_gro_merged_in_a_tunnel(most):
    frames = [tunnelled(k) for k in range(4)]
    (left,) = short_copies(frames, most, gro="linux")
    assert len(left) == most and left[:14] == frames[0][:14]


@pytest.mark.parametrize("most", [20, 40, 60, 1000])
def test_of_a_large_packet(most):
    (left,) = short_copies(bytes(LARGE), most, gso_size=1000)
    assert len(left) == most and left[:50] == bytes(LARGE)[:min(most, 50)]


@pytest.mark.parametrize("both", [False, True])
def test_whose_ip_checksum_was_still_to_be_computed_have_it(both):
    data = bytearray(bytes(LARGE)[:600])
    data[24:26] = b"\xab\xcd"
    packet = Packet(bytes(data))
    packet.ip_csum_state = "partial"
    left = short_copies([packet], 64, actions="output(port=2,max_len={most})" + (",output:2" if both else ""))
    assert len(left) == 1 + both and len(left[0]) == 64
    again = Ether(left[0])
    del again[IP].chksum
    assert bytes(again)[:34] == left[0][:34]


def test_that_end_before_their_ip_header_does():
    packet = Packet(bytes(LARGE)[:600])
    packet.ip_csum_state = "partial"
    assert short_copies([packet], 30) == [bytes(LARGE)[:30]]
