"""The Linux kernel cuts a large packet in a VXLAN or Geneve tunnel into the bytes that we do.

From 6.17 on it takes such a packet from a TAP, with the header of 24 bytes that says where the packet inside begins. An older
kernel is given what is inside alone, and its segments are compared with what our segments carry.
"""
import struct

import pytest
from both_tempos import Pair
from linux_taps import Taps, header, knows_tunnels, why_not
from there_and_back import ACK, FIN, PSH, UDP, Flow, Tunnel, frame, large_fields, linked

PROBLEM = why_not()
pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM or "-")
NEEDS_CSUM, TUNNEL_CSUM, IN_IPV4, IN_IPV6 = 1, 8, 0x20, 0x40
DATA = bytes(n * 7 & 255 for n in range(20_000))
FLOWS = {
    "vxlan": Flow(tunnel=Tunnel()), "vxlan with a checksum": Flow(tunnel=Tunnel(summed=True)),
    "vxlan over ipv6": Flow(tunnel=Tunnel(v=6, summed=True)), "ipv6 in vxlan": Flow(v=6, tunnel=Tunnel(tos=0xB8)),
    "geneve": Flow(tunnel=Tunnel("geneve", bridged=True, options=bytes.fromhex("0102800100000007"))),
    "geneve over ipv6, ipv6 inside": Flow(v=6, tunnel=Tunnel("geneve", v=6, summed=True)),
    "udp in vxlan": Flow(proto=UDP, tunnel=Tunnel()),
}  # fmt: skip


@pytest.fixture(scope="module")
def pair():
    """A port that takes nothing but chains, and two switches that send to it."""
    pair = Pair(ports=2)
    for sw in pair.both:
        sw.ports["vm2"].offloads.clear()
    pair.rules("actions=output:2")
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def known():
    return knows_tunnels()


@pytest.fixture(scope="module")
def cutter(known):
    with Taps(merge=False, size=24 if known else 10) as taps:
        yield taps


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(("n", "size"), [(3000, 1000), (20_000, 1208), (1001, 1000)])
def test_linux_cuts_a_packet_in_a_tunnel_into_the_same_segments(pair, cutter, known, name, n, size):
    flow = FLOWS[name]
    flags = ACK if flow.proto == UDP else ACK | PSH | FIN
    data = frame(flow, DATA[:n], partial=True, flags=flags, ident=65_530, outer_ident=300)
    said = large_fields(flow, data, DATA[:n], size)
    kind, start, inner = said["gso_type"], said["csum_start"], said["inner_off"]
    outer = 14 + (20 if flow.tunnel.v == 4 else 40)
    around = IN_IPV4 if flow.tunnel.v == 4 else IN_IPV6
    needs = NEEDS_CSUM | TUNNEL_CSUM * flow.tunnel.summed
    full = header(needs, kind | around, size, start, said["csum_offset"]) + struct.pack("<H8xHH", 0, outer, inner)
    for sw in pair.both:
        sw.ports["vm1"].inject(data, vnet_hdr=full)
    while pair.both[0].step() is not None:
        pass
    pair.both[1].run()
    ours = [[packet.bytes() for packet in sw.ports["vm2"].sent] for sw in pair.both]
    for sw in pair.both:
        sw.ports["vm2"].sent.clear()
        sw.mempool.check()
    assert ours[0] == ours[1] and len(ours[0]) == -(-n // size)
    if known:
        assert [segment for _, segment in cutter.through([(full, data)])] == ours[0]
        return
    bare = linked((), flow.v, data[inner:])
    alone = header(NEEDS_CSUM, kind, size, start - inner + 14, said["csum_offset"])
    assert [segment[14:] for _, segment in cutter.through([(alone, bare)])] == [one[inner:] for one in ours[0]]
