"""The hash that spreads packets over cores: one for all packets of a flow, and for all fragments of one packet."""
import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Dot1Q, Ether

from lab.offload.spread import spread_hash
from lab.packet.text import memory_of

LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")


def hash_of(packet):
    """The hash of a frame that lies in one segment."""
    data = bytes(packet)

    class First:
        buf, data_off, data_len = 0, 0, len(data)

    return int(spread_hash(memory_of(data), First))


@pytest.mark.parametrize("tag", [None, 5])
def test_all_fragments_of_a_packet_hash_alike(tag):
    link = LINK / Dot1Q(vlan=tag) if tag else LINK
    for payload in (UDP(sport=1000, dport=2000), TCP(sport=1000, dport=2000)):
        pieces = [link / piece for piece in fragment(V4 / payload / bytes(range(200)), 64)]
        assert len(pieces) > 3 and len({hash_of(piece) for piece in pieces}) == 1
    pieces = [link / piece for piece in fragment6(V6 / IPv6ExtHdrFragment() / UDP(sport=1000, dport=2000) / bytes(3000), 1280)]
    assert len(pieces) > 2 and len({hash_of(piece) for piece in pieces}) == 1


def test_whole_packets_of_two_flows_do_not():
    assert len({hash_of(LINK / V4 / UDP(sport=port, dport=1) / b"x") for port in range(1000, 1050)}) == 50
    assert hash_of(LINK / IP(src="10.0.0.1", dst="10.0.0.2", flags="DF") / UDP(sport=1000, dport=1)) == hash_of(
        LINK / V4 / UDP(sport=1000, dport=1) / b"of any length")
