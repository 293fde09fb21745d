"""Inputs that broke other switches, each by its name: stepped, run and run checked, with its reason, and every mbuf back in the pool.

The index of them all; the tests of each stage go into more detail. Port vm1 verifies and merges what a guest sends, with a
virtio-net header where there is one, vm2 takes no offload, vm3 takes all.
"""
import struct

import pytest
from linux_taps import header
from there_and_back import ACK, UDP, Flow, Tunnel, frame, ip_header, ones, put_sum

from lab import Switch
from lab.engine.code import objects
from lab.ports.intake import OWN
from lab.stages import actions, checksum, gro, gso, linear, parse, pop
from lab.stages.stage import Stage

NEEDS_CSUM, TCPV4, UDP_4, TCPV6, UDP_L4 = 1, 1, 3, 4, 5
PLACES = {
    "ingress.checksum": checksum.verify, "ingress.gro": gro.gro, "gso": gso.gso, "egress.checksum": checksum.complete,
    "linear": linear.linear, "parse": parse.parse, "actions": actions.actions, "pop": pop.pop,
}  # fmt: skip
V4, V6, U4 = Flow(), Flow(v=6), Flow(proto=UDP)
TCP_AT, SIX_AT = 34, 54
DATA = bytes(n * 7 & 255 for n in range(3000))


class World:
    """A switch and how it goes on."""

    def __init__(self, tempo):
        self.tempo, self.sw = tempo, Switch(fail_mode="secure")
        self.vm1 = self.sw.add_port("vm1", gro="linux", verify=True, mtu=9000)
        self.vm2, self.vm3 = self.sw.add_port("vm2", offloads=()), self.sw.add_port("vm3", mtu=9000)
        self.sw.ports["vm1"].ip6 = "fd00::1"
        self.sw.add_port("t0", type="mplsoudp", remote_ip="10.0.0.9")
        if tempo == "checked":
            stages = {place: Stage(stage.function, checked=True) for place, stage in PLACES.items()}
            found = objects.compile_all(list(stages.values()))
            for name, stage in stages.items():  # the package's own stages still, so a pause is told to GRO
                place = self.sw.stages[name]
                self.sw.engine.pipeline.publish(place.number, place.stage, found[stage].address)

    def begin(self, rule="in_port=vm1,actions=output:vm2,output:vm3"):
        """One rule, and nothing left of the test before."""
        self.sw.ofctl("del-flows")
        self.sw.appctl("dpctl/del-flows")
        self.sw.ofctl(f"add-flow {rule}")
        for port in (self.vm1, self.vm2, self.vm3):
            port.sent.clear()
        self.before = dict(self.sw.counters)

    def go(self):
        """Until nothing moves; then every mbuf is free."""
        while self.tempo == "stepped" and self.sw.step() is not None:
            pass
        self.sw.run()
        self.sw.mempool.check()
        assert self.sw.mempool.free == len(self.sw.mempool)

    def dropped(self):
        """{reason: how often} of what was dropped since `begin`."""
        return {code: n - self.before.get(code, 0) for code, n in self.sw.counters.items()
                if code.startswith("dropped") and n != self.before.get(code, 0)}  # fmt: skip

    def left(self):
        """What vm2 and vm3 were sent, as bytes."""
        return [packet.bytes() for packet in self.vm2.sent], [packet.bytes() for packet in self.vm3.sent]


@pytest.fixture(scope="module", params=["stepped", "run", "checked"])
def module_world(request):
    world = World(request.param)
    yield world
    world.sw.close()


@pytest.fixture
def world(module_world):
    module_world.begin()
    return module_world


def large(flow, n=3000, **fields):
    """A large packet as a guest hands it over, its checksum partial."""
    return frame(flow, DATA[:n], partial=True, **fields)


def says(kind, size, start, offset=16, flags=NEEDS_CSUM):
    return header(flags, kind, size, start, offset)


def extended(lengths, n=3000):
    """A large TCP packet over IPv6 behind headers of destination options of these lengths."""
    data = large(V6, n)
    options = b"".join(bytes([60 if k < len(lengths) - 1 else 6, length // 8 - 1]) + bytes([1, length - 4]) + bytes(length - 4)
                       if length < 256 else bytes([60 if k < len(lengths) - 1 else 6, length // 8 - 1]) + padding(length - 2)
                       for k, length in enumerate(lengths))  # fmt: skip
    payload = len(data) - 54 + len(options)
    return put_sum(data[:20] + b"\x3c" + data[21:54], 18, payload) + options + data[54:], 54 + len(options)


def padding(n):
    """Options that are padding alone."""
    found = b""
    while n > 0:
        take_now = min(n, 200) if n - min(n, 200) != 1 else 100
        found += bytes([1, take_now - 2]) + bytes(take_now - 2)
        n -= take_now
    return found


# --- GSO ----------------------------------------------------------------------------------------------------------

def test_headers_longer_than_the_first_segment(world):
    """They are brought together, out of the guest's own memory too."""
    data, start = extended([400])
    world.vm1.inject(data, vnet_hdr=says(TCPV6, 1000, start), external=True)
    world.go()
    cut, whole = world.left()
    assert [len(one) for one in cut] == [start + 20 + 1000] * 3 and whole == [data]
    assert b"".join(one[start + 20:] for one in cut) == DATA and world.dropped() == {}


def test_headers_longer_than_a_header_buffer(world):
    data, start = extended([1000, 1000, 400])
    world.vm1.inject(data, vnet_hdr=says(TCPV6, 1000, start))
    world.go()
    cut, whole = world.left()
    assert cut == [] and whole == [data] and world.dropped() == {"dropped: GSO headers": 1}


def test_headers_longer_than_gso_size(world):
    """The size counts payload alone, so nothing underflows."""
    world.vm1.inject(large(V4, 100), vnet_hdr=says(TCPV4, 20, TCP_AT))
    world.go()
    cut, whole = world.left()
    assert [len(one) for one in cut] == [74] * 5 and [len(one) for one in whole] == [154]


@pytest.mark.parametrize("size", [0, 1, 0xFFFF])
def test_gso_sizes_at_the_ends(world, size):
    world.vm1.inject([large(V4, 1000), large(V4, 1025)], vnet_hdr=says(TCPV4, size, TCP_AT))
    world.go()
    cut, whole = world.left()
    expected = {0: ([], [], {"dropped: GSO size": 2}), 0xFFFF: ([1054, 1079], [1054, 1079], {}),
                1: ([55] * 1000, [1054], {"dropped: too many segments": 1})}[size]  # fmt: skip
    assert ([len(one) for one in cut], [len(one) for one in whole], world.dropped()) == expected


@pytest.mark.parametrize("flow, kind, start, offset", [
    (U4, TCPV4, TCP_AT, 6), (V6, TCPV4, SIX_AT, 16), (V4, TCPV6, TCP_AT, 16), (V4, UDP_L4, TCP_AT, 16), (U4, UDP_4, TCP_AT, 6),
    (U4, 0x80 | UDP_L4, TCP_AT, 6), (V4, 2, TCP_AT, 16), (V4, 0x60 | TCPV4, TCP_AT, 16),
], ids=["tcpv4 of udp", "tcpv4 of ipv6", "tcpv6 of ipv4", "uso of tcp", "ufo", "ecn of udp", "no type", "two tunnels"])  # fmt: skip
def test_a_gso_type_that_is_not_the_packets(world, flow, kind, start, offset):
    world.vm1.inject(large(flow), vnet_hdr=says(kind, 1000, start, offset))
    world.go()
    assert world.left() == ([], []) and world.dropped() == {"dropped: GSO type": 1}


@pytest.mark.parametrize("start, offset", [(3053, 16), (60000, 16), (0xFFFF, 0xFFFF), (TCP_AT, 3019), (TCP_AT - 1, 16), (TCP_AT, 6)])
@pytest.mark.parametrize("kind", [0, TCPV4])
def test_csum_start_beyond_the_packet_or_elsewhere(world, start, offset, kind):
    """What is elsewhere in the packet is the guest's own affair, as long as nothing is cut."""
    inside = start + offset + 2 <= 3054
    world.vm1.inject(large(V4), vnet_hdr=says(kind, 1000 * (kind != 0), start, offset))
    world.go()
    assert world.dropped() == {"dropped: chain" if inside and kind == 0 else "dropped: checksum outside": 1}
    assert [len(one) for one in world.left()[1]] == ([3054] if inside and kind == 0 else [])


def test_a_virtio_net_header_that_changes_between_two_reads(world):
    """There is one read: what the guest writes afterwards nobody sees."""
    said = bytearray(says(TCPV4, 1000, TCP_AT))
    world.vm1.inject(large(V4), vnet_hdr=memoryview(said))
    said[:] = says(TCPV6, 1, 60000, 60000)
    world.go()
    assert [len(one) for one in world.left()[0]] == [1054] * 3 and world.dropped() == {}


@pytest.mark.parametrize("length, reason", [(8, "checksum outside"), (16, "GSO headers"), (248, "GSO headers"), (2048, "GSO headers")])
def test_headers_in_a_guests_memory_that_change_behind_csum_start(world, length, reason):
    """TCP was where csum_start says when the packet came in, behind headers that the guest still holds; later it is not."""
    data, start = extended([240, 160])
    world.vm1.inject(data, vnet_hdr=says(TCPV6, 1000, start), external=True)
    outside, memory = world.vm1.outside, world.sw.engine.arena.memory
    (slot,) = outside.lent
    second = outside.at(slot) + 54 + 240 - OWN
    memory.write(second + 1, bytes([length // 8 - 1]))
    memory.write(second + 8 + 12, b"\x50")  # behind 8 bytes of it something looks like TCP
    world.go()
    assert world.left()[0] == [] and len(world.left()[1]) == 1
    assert world.dropped() == {f"dropped: {reason}": 1} and outside.lent == {}


@pytest.mark.parametrize("flow, start", [(V4, TCP_AT), (V6, SIX_AT)], ids=["ipv4", "ipv6"])
def test_gso_without_needs_csum(world, flow, start):
    """The checksum that the guest has left to nobody is computed for each segment."""
    data = frame(flow, DATA)
    world.vm1.inject(data, vnet_hdr=header(0, TCPV4 if flow is V4 else TCPV6, 1000, 0, 0))
    world.go()
    assert world.left()[0] == [frame(flow, DATA[k:k + 1000], seq=1 + k, ident=1 + k // 1000) for k in (0, 1000, 2000)]


@pytest.mark.parametrize("total", [0, 10, 19, 20, 39, 60000])
@pytest.mark.parametrize("kind", [0, TCPV4])
def test_an_ip_total_length_that_is_shorter_than_the_headers_or_lies(world, total, kind):
    data = put_sum(large(V4), 16, total)
    world.vm1.inject([data, data], vnet_hdr=says(kind, 1000, TCP_AT) if kind else None)
    world.go()
    if kind:
        assert world.left() == ([], []) and list(world.dropped().values()) == [2]
    else:
        assert world.left()[1] == [data] * 2 and world.dropped() in ({}, {"dropped: chain": 2})


# --- GRO ----------------------------------------------------------------------------------------------------------

def test_gro_of_udp_without_payload(world):
    frames = [frame(U4, DATA[:100]), frame(U4, b"", ident=2), frame(U4, b"", ident=3), frame(U4, DATA[:100], ident=4)]
    world.vm1.inject(frames)
    world.go()
    assert world.left() == (frames, frames)


def test_an_element_of_a_chain_altered_after_the_merge(world):
    """Headers are the switch's own; what the guest writes into payload that was merged changes no length and no header."""
    frames = [frame(V4, DATA[k:k + 1000], seq=1 + k, ident=1 + k // 1000, flags=ACK) for k in (0, 1000, 2000)]
    world.vm1.inject(frames, external=True)
    outside = world.vm1.outside
    slots = sorted(outside.lent)
    while (step := world.sw.step()) is not None and "gro" not in step.stage:
        pass
    evil = frame(Flow(v=6), b"evil" * 200, flags=0xFF)[:754]
    for slot in slots:
        world.sw.engine.arena.memory.write(outside.at(slot), evil)
    world.go()
    cut, (whole,) = world.left()
    assert len(whole) == 3054 and [len(one) for one in cut] == [1054] * 3 and world.dropped() == {}
    for k, one in enumerate(cut):
        payload = DATA[1000 * k:1000 * k + OWN - 54] + evil[:1000 - (OWN - 54)]
        payload += DATA[1000 * k + OWN - 54 + len(evil):1000 * k + 1000]
        assert one == frame(V4, payload, seq=1 + 1000 * k, ident=1 + k, flags=ACK)
    assert outside.lent == {}


@pytest.mark.parametrize("pad", [b"\0" * 6, b"\xff" * 6, b"\x45" * 18])
def test_padding_behind_a_short_ip_packet(world, pad):
    """It is no payload: nothing is merged with it, and it comes out where it was."""
    frames = [frame(V4, b"abc") + pad, frame(V4, b"def", seq=4, ident=2) + pad, frame(V4, b"", seq=7) + pad]
    world.vm1.inject(frames)
    world.go()
    assert world.left() == (frames, frames)


def test_padding_does_not_widen_a_megaflow(world):
    """What lies behind IP's end is not looked at: one mask for all, and no port that padding would spell."""
    world.begin("priority=9,in_port=vm1,tcp,tp_dst=80,actions=output:vm2")
    world.sw.ofctl("add-flow priority=1,in_port=vm1,actions=output:vm3")
    bare = frame(V4, b"")
    short = put_sum(put_sum(bare[:34], 16, 20), 24, 0)  # an IP packet of its header alone
    for pad in (b"", bare[34:], bytes(20), b"\xff" * 20):
        world.vm1.inject(short + pad)
        world.go()
        flows = [(flow.match, flow.actions) for flow in world.sw.megaflows]
        assert len(flows) == 1, flows
    assert [len(sent) for sent in world.left()] == [0, 4]


# --- parsing ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flow", [V4, V6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("kind", [0, 1])
def test_ip_protocol_0(world, flow, kind):
    at = 23 if flow is V4 else 20
    data = large(flow)
    data = data[:at] + b"\0" + data[at + 1:]
    start = TCP_AT if flow is V4 else SIX_AT
    gso_type = (TCPV4 if flow is V4 else TCPV6) * kind
    world.vm1.inject([data, data], vnet_hdr=says(gso_type, 1000, start) if kind else None)
    world.go()
    if kind:
        assert world.left() == ([], []) and sum(world.dropped().values()) == 2
    else:
        assert world.left()[1] == [data, data] and world.dropped() == {"dropped: chain": 2}


ENDLESS = struct.pack("!I", 5 << 12 | 64)  # a label that is not the last


@pytest.mark.parametrize("labels", [1, 3, 16, 17, 360])
def test_mpls_stacks_without_an_end(world, labels):
    data = frame(V4, b"")[:12] + b"\x88\x47" + ENDLESS * labels
    world.vm1.inject([data, data])
    world.go()
    assert world.left() == ([data, data], [data, data])
    world.begin("in_port=vm1,mpls,actions=pop_mpls:0x0800,output:vm2")
    world.vm1.inject(data)
    world.go()
    assert sum(world.dropped().values()) + len(world.vm2.sent) == 1


@pytest.mark.parametrize("labels", [1, 3, 16, 17, 340])
@pytest.mark.parametrize("host", [1, 9])
def test_mpls_stacks_without_an_end_in_a_tunnel(world, labels, host):
    """GRO and the verification let it pass; what ends in the tunnel port is dropped when its header makes no sense."""
    inside = frame(Flow(tunnel=Tunnel("mpls"), host=host), b"")
    data = put_sum(inside[:42] + ENDLESS * labels, 16, 28 + 4 * labels)
    data = put_sum(put_sum(data, 38, 8 + 4 * labels), 24, 0)
    world.vm1.inject([data, data])
    world.go()
    assert world.left() == ([data, data], [data, data])


def nd(kind, body, length=None):
    """A message of neighbour discovery."""
    data = bytes([kind, 0, 0, 0]) + body
    head, pseudo = ip_header(6, (7, 1), 58, len(data), ttl=255)
    data = put_sum(data, 2, ~ones(struct.pack("!H", pseudo) + data) & 0xFFFF)
    head = put_sum(head, 4, len(data) if length is None else length)
    return bytes.fromhex("02000000000b02000000000a86dd") + head + data


TARGET = bytes(4) + bytes.fromhex("fd00" + "00" * 13 + "01")
SHORT_ND = {
    "type alone": b"", "no target": bytes(4), "half a target": TARGET[:12], "one byte less": TARGET[:19],
    "an option of length 0": TARGET + b"\1\0" + bytes(6), "an option cut": TARGET + b"\1\1\2", "an option of one byte": TARGET + b"\1",
    "an option longer than all": TARGET + b"\1\xff" + bytes(6), "two options, the second empty": TARGET + b"\1\1" + bytes(6) + b"\2\0",
}  # fmt: skip


@pytest.mark.parametrize("name", SHORT_ND)
@pytest.mark.parametrize("kind", [135, 136])
def test_truncated_neighbour_discovery(world, name, kind):
    """Nobody learns from it or answers, no rule reads a target that is not there, and it goes on as it came."""
    world.begin("priority=9,in_port=vm1,icmp6,icmp_type=135,icmp_code=0,nd_sll=00:00:00:00:00:01,actions=drop")
    world.sw.ofctl("add-flow priority=1,in_port=vm1,actions=output:vm2,output:vm3")
    frames = [nd(kind, SHORT_ND[name])]
    frames += [frames[0][:n] for n in range(54, len(frames[0]))]
    frames += [nd(kind, SHORT_ND[name], length) for length in (0, 1, 4, 23)]
    known = len(list(world.sw.neighbours))
    world.vm1.inject(frames)
    world.go()
    assert world.left() == (frames, frames) and len(list(world.sw.neighbours)) == known
    assert len(world.vm1.sent) == 0


