"""GSO in a whole switch: a large packet through rules to ports that take it, or do not; stepped and run leave the same memory."""
import pytest
from scapy.all import Dot1Q, Ether, Raw
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from walks import differences, memory

from lab import Switch
from tests.gso_scene import expected

ETHER = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
V4, V6 = ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=7), ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2")
TCP4 = V4 / TCP(sport=1, dport=2, seq=5, flags="PA", window=500, options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))])
PAYLOAD = bytes(range(253)) * 256


@pytest.fixture(scope="module")
def switches():
    """Two alike: vm2 takes nothing, vm3 segments TCP over IPv4 itself, vm4 takes chains and computes checksums."""
    both = [Switch(fail_mode="secure") for _ in range(2)]
    for sw in both:
        sw.add_port("vm1")
        sw.add_port("vm2", offloads=())
        sw.add_port("vm3", offloads=("csum", "tso4", "chains"))
        sw.add_port("vm4", offloads=("csum", "chains"))
    return both


def send(switches, packet, size, actions):
    """What left, by port, after stepping the one and running the other; both are left the same."""
    for sw in switches:
        sw.ofctl("del-flows")
        sw.ofctl(f"add-flow actions={actions}")
        for port in sw.ports.values():
            port.sent.clear()
        sw.ports["vm1"].inject(packet, gso_size=size)
    while switches[0].step():
        pass
    switches[1].run()
    assert differences(*(memory(sw) for sw in switches)) == []
    sent = [{name: list(port.sent) for name, port in sw.ports.items() if len(port.sent)} for sw in switches]
    stepped, ran = ({name: [p.bytes() for p in packets] for name, packets in one.items()} for one in sent)
    assert stepped == ran
    return sent[1]


@pytest.mark.parametrize(
    "packet, size, n",
    [
        (TCP4, 1448, 63000),
        (TCP4, 1448, 1449),
        (TCP4, 500, 60000),
        (V6 / TCP(flags="PA"), 1440, 64000),
        (V4 / UDP(sport=1, dport=2), 1400, 60000),
        (ETHER / Dot1Q(vlan=5) / TCP4[IP], 1448, 20000),
    ],
)
def test_a_port_without_offloads_gets_the_frames_that_scapy_builds(switches, packet, size, n):
    packet = packet / Raw(PAYLOAD[:n])
    sent = send(switches, packet, size, "output:2")
    assert [p.bytes() for p in sent["vm2"]] == expected(packet, size)
    assert all(len(p.segments) == 1 and p.gso_size == 0 for p in sent["vm2"])


def test_each_port_gets_the_packet_as_it_takes_it(switches):
    packet = TCP4 / Raw(PAYLOAD[:30000])
    sent = send(switches, packet, 1448, "output:2,output:3,output:4")
    assert [p.bytes() for p in sent["vm2"]] == expected(packet, 1448)
    assert [(p.gso_size, len(p.bytes())) for p in sent["vm3"]] == [(1448, len(bytes(packet)))]
    assert len(sent["vm4"]) == 21 and all(len(p.segments) > 1 for p in sent["vm4"])


def test_the_reason_names_what_the_port_lacks():
    sw = Switch(fail_mode="secure")
    vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2", offloads=("csum",))
    sw.ofctl("add-flow actions=output:vm2")
    vm1.inject(TCP4 / Raw(bytes(45 * 1448)), gso_size=1448)
    said = {}
    while step := sw.step():
        said[step.stage] = (step.sentence, step.cure)
    assert said["gso"] == ("GSO: port vm2 lacks tso4, 65226 bytes into 45 of 1448", "sw.ports['vm2'].offloads.add('tso4')")
    assert len(vm2.sent) == 45


def test_a_stage_without_a_word_on_segments_of_one_packet_says_nothing():
    sw = Switch(fail_mode="secure")
    vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2", offloads=("csum", "chains"))
    sw.ofctl("add-flow actions=output:vm2")
    vm1.inject(TCP4 / Raw(bytes(3 * 1448)), gso_size=1448)
    said = {step.stage: step.sentence for step in sw.run()}
    assert said["egress.checksum"] == "" and len(vm2.sent) == 3
