"""vRouter's way: one core cuts a guest's large packet into elements, another one writes the headers; and the bugs of that system."""
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from walks import differences, memory

from lab import Switch
from lab.memory.mbuf import ELEMENTS, INDIRECT
from lab.memory.record import NULL
from lab.offload.spread import spread_hash
from lab.packet.text import memory_of

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def data(n):
    return b"".join(struct.pack("!I", k) for k in range(n // 4 + 1))[:n]


def tcp(n, sport=1000):
    return Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2", id=5) / TCP(sport=sport, dport=80, flags="PA", seq=1) / data(n)


def pair(cores=2, **far):
    """Two switches with a guest at vm1 whose large packets are split, and a port vm2."""
    both = [Switch(cores=cores, fail_mode="secure") for _ in range(2)]
    for sw in both:
        sw.add_port("vm1", vrouter=True)
        sw.add_port("vm2", **far)
        sw.ofctl("add-flow in_port=vm1,actions=output:vm2")
    return both


def through(both, *frames, gso_size=1448):
    """Step one and run the other: what left vm2, as bytes, the same for both."""
    stepped, ran = both
    for sw in both:
        sw.ports["vm1"].inject(list(frames), gso_size=gso_size)
    while stepped.step() is not None:
        pass
    ran.run()
    assert differences(memory(stepped), memory(ran)) == []
    for sw in both:
        sw.mempool.check()
        assert sw.mempool.free == len(sw.mempool)
    left = [list(sw.ports["vm2"].sent) for sw in both]
    for sw in both:
        sw.ports["vm2"].sent.clear()
    assert left[0] == left[1]
    return left[1]


class First:
    """A first segment at offset 0."""

    buf, data_off, data_len = 0, 0, 1000


def core_of(sport):
    """The core that the hash of a flow chooses, of two."""
    return 1 + int(spread_hash(memory_of(bytes(tcp(1000, sport))), First)) % 2


def other_core(sw):
    """A source port whose flow the hash gives to the core that does not serve vm1."""
    return next(port for port in range(1000, 1100) if core_of(port) != sw.ports["vm1"].lane)


def whole(packets):
    """The payload of a row of segments, joined."""
    return b"".join(bytes(Ether(p.bytes())[TCP].payload) for p in packets)


@pytest.fixture(scope="module")
def cut_far():
    both = pair(offloads=())
    yield both
    for sw in both:
        sw.close()


@pytest.mark.parametrize("n", [20_000, 1449, 1448 * 4, 65_000])
def test_another_core_writes_the_headers_of_what_the_first_has_cut(cut_far, n):
    sport = other_core(cut_far[0])
    packets = through(cut_far, tcp(n, sport))
    assert len(packets) == -(-n // 1448) and whole(packets) == data(n)
    for k, packet in enumerate(packets):
        again = Ether(packet.bytes())
        del again[IP].chksum, again[TCP].chksum
        assert bytes(again) == packet.bytes(), "scapy computes other checksums"
        assert (again[IP].id, again[TCP].seq, str(again[TCP].flags)) == (5 + k, 1 + 1448 * k, "PA" if k == len(packets) - 1 else "A")


def test_the_timeline_shows_two_lanes_and_the_words_of_both(cut_far):
    through(cut_far, tcp(20_000, other_core(cut_far[0])))
    steps = list(cut_far[0].timeline)
    last = [step for step in steps if step.number > steps[-1].number - 14]
    at = {step.stage: step for step in last}
    assert at["split"].lane == at["handover"].lane != at["take_over"].lane == at["gso"].lane
    assert at["split"].sentence == "20054 bytes became a chain of 14 elements, without a copy"
    assert at["handover"].reason == "handed over" and at["take_over"].reason == "taken over"
    assert at["gso"].reason == "headers written"
    picture = cut_far[0].timeline._repr_mimebundle_()["text/html"]
    assert "core 1</b>" in picture and "core 2</b>" in picture


def test_payload_is_not_copied_when_it_is_cut():
    both = pair()
    sw = both[0]
    sw.ports["vm1"].inject(tcp(9000, other_core(sw)), gso_size=1000)
    while sw.step().stage != "split":
        pass
    mbufs, chain = sw.engine.array("mbufs"), int(sw.engine.array("bursts", 1)["pkt"][0][0])
    assert mbufs["ol_flags"][chain] & ELEMENTS
    i, copied, referred = int(mbufs["next"][chain]), 0, 0
    while i != NULL:
        indirect = bool(mbufs["ol_flags"][i] & INDIRECT)
        copied, referred = copied + int(mbufs["data_len"][i]) * (not indirect), referred + int(mbufs["data_len"][i]) * indirect
        i = int(mbufs["next"][i])
    assert (copied, referred) == (0, 9000)
    for one in both:
        one.close()


def test_a_flow_of_the_same_core_is_not_handed_over(cut_far):
    mine = cut_far[0].ports["vm1"].lane
    sport = next(port for port in range(1000, 1100) if core_of(port) == mine)
    before = dict(cut_far[1].counters).get("handed over", 0)
    assert whole(through(cut_far, tcp(3000, sport))) == data(3000)
    assert dict(cut_far[1].counters).get("handed over", 0) == before


# --- the bugs of that system ----------------------------------------------------------------------------------

def test_packets_that_gro_merged_are_not_segmented_again_before_a_vm_that_takes_them_whole():
    sw = Switch(cores=2, fail_mode="secure")
    sw.add_port("fabric", gro="linux")
    vm = sw.add_port("vm", vrouter=True)
    sw.ofctl("add-flow in_port=fabric,actions=output:vm")
    burst = []
    for k in range(10):
        packet = tcp(1448)
        packet[IP].id, packet[TCP].seq, packet[TCP].flags = k, 1 + 1448 * k, "A"
        burst.append(bytes(packet))
    sw.ports["fabric"].inject(burst)
    sw.run()
    assert [(len(p), p.gso_size) for p in vm.sent] == [(54 + 14480, 1448)]
    assert "segmented" not in sw.counters
    sw.close()


@pytest.mark.parametrize(("n", "gso_size"), [(1448, 1448), (100, 1448), (1, 65535)])
def test_what_is_one_segment_is_not_split(cut_far, n, gso_size):
    before = dict(cut_far[1].counters).get("split", 0)
    packets = through(cut_far, tcp(n), gso_size=gso_size)
    assert [len(p) for p in packets] == [54 + n]
    assert dict(cut_far[1].counters).get("split", 0) == before


def test_many_flows_return_every_mbuf_once(cut_far):
    for sports in (range(2000, 2008), range(3000, 3008)):
        packets = through(cut_far, *(tcp(4000, sport) for sport in sports), gso_size=1000)
        assert len(packets) == 4 * 8 and {Ether(p.bytes())[TCP].sport for p in packets} == set(sports)


def test_other_kinds_are_split_as_well(cut_far):
    six = Ether(src=A, dst=B) / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=7, dport=80) / data(5000)
    uso = Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=7, dport=80) / data(5000)
    assert [len(p) for p in through(cut_far, six, gso_size=1400)] == [74 + 1400] * 3 + [74 + 800]
    assert [len(p) for p in through(cut_far, uso, gso_size=1400)] == [42 + 1400] * 3 + [42 + 800]


def test_a_far_side_that_cuts_itself_gets_the_chain_whole():
    both = pair()
    (packet,) = through(both, tcp(20_000, other_core(both[0])))
    assert packet.gso_size == 1448 and len(packet) == 20_054
    for sw in both:
        sw.close()
