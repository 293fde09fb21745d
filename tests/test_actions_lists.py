"""Lists of actions in both tempos, all memory compared: outputs, copies, clones, truncation, meters, the controller, recirculation."""
import struct

import numpy as np
import pytest
from acting import Acting, act, clone, last, out, setting
from parse_frames import WHOLE, ether, ipv4
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from lab.flow.actions import (
    CHECK_LEN,
    CONTROLLER,
    HASH,
    IP_DST,
    METER,
    OUTPUT,
    POP_VLAN,
    PUSH_VLAN,
    RECIRC,
    TP_DST,
    TRUNC,
)
from lab.flow.key import W_HASH, W_PORT
from lab.memory.mbuf import FILL, HASHED, L4_CSUM_PARTIAL
from lab.memory.reasons import (
    METER_DROPS,
    NESTED_TOO_DEEP,
    NO_ACTIONS,
    NO_PORT,
    POOL_EMPTY,
    RECIRC_LIMIT,
    RECIRCULATED,
    RULE_DROPS,
    TO_CONTROLLER,
    TOO_MANY_OUTPUTS,
    TRUNCATED,
)
from lab.stages.actions import NESTS, actions
from lab.stages.burst import BURST
from lab.stages.parse import parse
from lab.stages.punt import punt
from lab.stages.regions import PORTS


def udp(sport=1000, dport=53, size=60):
    """A UDP frame of a flow told by its ports."""
    payload = bytes(n & 255 for n in range(max(0, size - 42)))
    return ether(0x0800, ipv4(17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload))


FRAME = udp()
FLOWS = [udp(sport) for sport in range(1000, 1000 + BURST)]
LONG = udp(size=5 * FILL + 1)
TAG = act(PUSH_VLAN, 0x8100, 7)


@pytest.fixture(params=["fast", "checked"])
def scene(request):
    return Acting(checked=request.param == "checked")


# --- outputs ---------------------------------------------------------------------------------------

def test_a_simple_output_takes_the_packet_itself(scene):
    assert scene.go(FLOWS, [last(2)], only=2) == {2: FLOWS}
    flow = scene.array("megaflows", "flows")[0]
    assert (flow["packets"], flow["bytes_"], scene.burst.first, int(scene.lane.pending)) == (32, 60 * 32, 32, 1 << 2)
    scene.check()


def test_outputs_see_the_packet_as_it_is_then_and_the_last_takes_it(scene):
    gone = scene.go([FRAME], [out(2), TAG, out(3), act(POP_VLAN), last(4)])
    assert gone == {2: [FRAME], 3: [FRAME[:12] + bytes.fromhex("81000007") + FRAME[12:]], 4: [FRAME]}
    assert scene.outs[4].pkt[0] == scene.packets[0]
    scene.check()


def test_a_packet_that_only_copies_left_of_is_returned(scene):
    scene.go([FRAME], [out(2), out(3)])
    assert scene.mbufs[scene.packets[0]].refcnt == 0
    scene.check()


def test_the_port_that_a_packet_came_from_gets_it_when_translation_says_so(scene):
    assert scene.go([FRAME], [last(1)]) == {1: [FRAME]}
    assert Acting(scene.checked).go([FRAME], [last(1)], only=1) == {1: [FRAME]}


@pytest.mark.parametrize(("parts", "reason", "why"), [
    ([], RULE_DROPS, RULE_DROPS), ([], 0, NO_ACTIONS), ([TAG], 0, NO_ACTIONS), ([out(9)], 0, NO_PORT), ([last(200)], 0, NO_PORT)])
def test_a_packet_without_an_output_is_dropped_with_the_reason(scene, parts, reason, why):
    assert scene.go([FRAME], parts, reason=reason) == {} and scene.dropped() == {0: why}
    scene.settle()
    scene.check()


@pytest.mark.parametrize("copies", [32, 33, 64, 65, 100])
def test_more_outputs_to_one_port_than_a_batch_holds_never_leave_the_batch(scene, copies):
    scene.ready(FLOWS[:8], [out(2)] * copies)
    for _ in range(8):
        scene.both(actions)
        assert scene.outs[2].n <= 64
        drops = scene.dropped()
        scene.settle()
        assert set(drops.values()) <= {TOO_MANY_OUTPUTS} and (drops == {}) == (copies <= 64)
        scene.check()
        scene.send_out()


# --- clones ----------------------------------------------------------------------------------------

def test_what_a_clone_changes_is_not_changed_behind_it(scene):
    gone = scene.go([FRAME], [clone(TAG, out(2)), last(3)])
    assert gone == {2: [FRAME[:12] + bytes.fromhex("81000007") + FRAME[12:]], 3: [FRAME]}
    scene.check()


def test_clones_within_clones_each_have_a_copy_of_what_surrounds_them(scene):
    inner = clone(TAG, last(4))
    gone = scene.go([FRAME], [clone(TAG, inner, last(2)), out(3), last(5)])
    one, two = (FRAME[:12] + bytes.fromhex("81000007") * n + FRAME[12:] for n in (1, 2))
    assert gone == {4: [two], 2: [one], 3: [FRAME], 5: [FRAME]}
    scene.check()


def nested(n):
    body = [last(2)]
    for _ in range(n):
        body = [*clone(*body), out(3)]
    return body


def test_eight_clones_within_each_other_run_and_a_ninth_drops_the_packet(scene):
    assert len(scene.go([FRAME], nested(NESTS))[3]) == NESTS
    scene.check()
    other = Acting(scene.checked)
    assert other.go([FRAME], nested(NESTS + 1)) == {} and other.dropped() == {0: NESTED_TOO_DEEP}
    other.settle()
    other.check()


@pytest.mark.parametrize("free", range(8))
def test_a_pool_that_is_empty_in_the_middle_of_a_nest_loses_nothing(scene, free):
    parts = [clone(TAG, clone(out(2), TAG), out(3)), act(CONTROLLER, 65535), out(4), last(5)]
    scene.ready([FRAME], parts)
    scene.leave_free(free)
    scene.both(actions)
    scene.settle()
    assert scene.reason(POOL_EMPTY) == (free < 4)
    scene.check()


# --- truncation --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("most", "left"), [(64, 64), (14, 14), (3, 14), (FILL, FILL), (FILL + 1, FILL + 1), (60000, len(LONG))])
@pytest.mark.parametrize("how", [out, last])
def test_truncation_cuts_the_next_output_and_no_other(scene, most, left, how):
    gone = scene.go([LONG], [act(TRUNC, most), TAG, act(POP_VLAN), out(2), how(3)])
    assert gone == {2: [LONG[:left]], 3: [LONG]}
    assert len(scene.chain(scene.outs[2].pkt[0])) == -(-left // FILL)
    assert scene.reason(TRUNCATED) == (left < len(LONG))
    scene.check()


def test_the_packet_itself_is_cut_when_it_goes(scene):
    assert scene.go([LONG], [act(TRUNC, 100), last(2)]) == {2: [LONG[:100]]}
    assert scene.chain(scene.packets[0]) == [scene.packets[0]]
    scene.check()


def test_a_partial_checksum_goes_with_its_field(scene):
    for most, stays in ((41, 0), (42, 1)):
        scene.ready([FRAME], [act(TRUNC, most), last(2)])
        m = scene.mbufs[scene.packets[0]]
        m.ol_flags, m.csum_start, m.csum_offset = L4_CSUM_PARTIAL, 34, 6
        scene.both(actions)
        assert (int(m.ol_flags) & int(L4_CSUM_PARTIAL) != 0) == stays
        scene.send_out()


# --- the controller ------------------------------------------------------------------------------------

def test_the_controller_gets_a_copy_with_who_sent_it_and_the_packet_goes_on(scene):
    gone = scene.go([LONG], [act(CONTROLLER, 128, 0xFEEDFACECAFEBEEF, 1 << 32 | 5 << 24 | 9), last(2)])
    assert gone == {0: [LONG[:128]], 2: [LONG]} and scene.reason(TO_CONTROLLER) == 1
    m = scene.mbufs[scene.outs[0].pkt[0]]
    assert (m.reason_a & (1 << 64) - 1, m.reason_b, m.in_port) == (0xFEEDFACECAFEBEEF, 1 << 32 | 5 << 24 | 9, 1)
    scene.check()


def test_copies_for_the_controller_land_in_the_lane_s_ring_of_port_0(scene):
    scene.load(FLOWS[:3])
    scene.lane.out = 0
    scene.both(punt)
    ring, slots = scene.table("rings").ring[PORTS], scene.table("rings").slots
    assert [slots[ring.first + k].index for k in range(3)] == scene.packets and (ring.head, ring.tail) == (0, 3)
    ring.tail = ring.room - 1
    scene.load(FLOWS[:2])
    scene.both(punt)
    assert (list(scene.dropped()), ring.tail, ring.overflow) == ([1], ring.room, 1)


# --- meters -------------------------------------------------------------------------------------------

def metered(scene, *, kbps=0, bands=((10, 4),), lanes=1):
    """A meter with bands of (rate, burst), set anew."""
    meter = scene.table("meters")[3]
    meter.number, meter.alive, meter.kbps, meter.n = 33, 1, kbps, len(bands)
    meter.version += 1
    for b, (rate, burst) in enumerate(bands):
        meter.rate[b], meter.burst[b] = np.uint64(rate), np.uint64(burst)
    scene.config.lanes = lanes
    return scene.table("meter_state")[3]


def passed(scene, frames, now):
    scene.lane.now = now
    scene.ready(frames, [act(METER, 3), last(2)])
    scene.both(actions)
    n = scene.outs[2].n
    assert set(scene.dropped().values()) <= {METER_DROPS} and len(scene.dropped()) == len(frames) - n
    scene.settle()
    scene.check()
    scene.send_out()
    return n


@pytest.mark.parametrize(("bands", "passes"), [
    (((10, 4),), [4, 0, 1, 4]),  # full at first; 10 packets a second: one in 100 ms; never more than the burst
    (((10, 0),), [10, 0, 1, 10]),  # without a burst, a second's worth
    (((10, 4), (5, 2)), [2, 0, 0, 2])])  # the smaller bucket decides
def test_a_meter_of_packets_lets_pass_what_its_bucket_holds(scene, bands, passes):
    metered(scene, bands=bands)
    assert [passed(scene, FLOWS[:20], now) for now in (5_000_000, 5_000_999, 5_100_000, 9_000_000)] == passes


def test_a_meter_of_bits_counts_whole_frames(scene):
    state = metered(scene, kbps=1, bands=((100, 1),))
    assert passed(scene, FLOWS[:5], 1_000_000) == 2  # 1000 bits, 480 a frame
    assert passed(scene, FLOWS[:5], 1_004_000) == 0  # 400 and 40 left
    assert passed(scene, [udp(size=54)], 1_004_999) == 1  # 440 are 432 and 8
    assert (state.packets, state.bytes_, list(map(int, state.band_packets))[:1]) == (11, 10 * 60 + 54, [8])


def test_a_packet_is_counted_for_the_band_of_the_highest_rate_that_it_exceeds(scene):
    state = metered(scene, bands=((5, 2), (10, 2)))
    assert passed(scene, FLOWS[:3], 1_000_000) == 2
    assert [int(n) for n in state.band_packets] == [0, 1, 0, 0] and int(state.band_bytes[1]) == 60


def test_lanes_share_the_rate_of_a_meter(scene):
    metered(scene, bands=((10, 4),), lanes=4)
    assert [passed(scene, FLOWS[:20], now) for now in (1_000_000, 1_100_000, 1_400_000)] == [4, 0, 1]


def test_a_meter_that_is_set_anew_is_full_and_its_statistics_begin_again(scene):
    state = metered(scene)
    assert [passed(scene, FLOWS[:9], now) for now in (1_000_000, 1_000_000)] == [4, 0]
    metered(scene)
    assert passed(scene, FLOWS[:9], 1_000_000) == 4 and state.packets == 9


def test_a_meter_that_is_not_there_lets_everything_pass(scene):
    scene.table("meters")[3].alive = 0
    assert passed(scene, FLOWS[:9], 1) == 9


def test_a_meter_in_a_clone_drops_the_copy_alone(scene):
    metered(scene, bands=((10, 1),))
    assert scene.go(FLOWS[:3], [clone(act(METER, 3), TAG, out(2)), last(3)])[3] == FLOWS[:3]
    assert (scene.outs[2].n, scene.reason(METER_DROPS), scene.dropped()) == (1, 2, {})
    scene.check()


# --- recirculation --------------------------------------------------------------------------------------

def test_a_packet_goes_back_to_parse_under_its_id_and_the_key_says_so(scene):
    scene.go([FRAME], [TAG, act(RECIRC, 0x1F)])
    tagged = FRAME[:12] + bytes.fromhex("81000007") + FRAME[12:]
    assert scene.waiting() == {1: [(0x1F, tagged)]} and scene.reason(RECIRCULATED) == 1
    assert scene.again[1].pkt[0] == scene.packets[0]
    first = scene.mbufs[scene.packets[0]].hash
    assert scene.back([last(2)]) == (1, 1)
    assert scene.key(0)[W_PORT] == 1 << 32 | 0x1F and scene.mbufs[scene.packets[0]].hash != first
    assert scene.key(0)[W_HASH] == 0
    scene.both(actions)
    assert scene.gone() == {2: [tagged]}
    scene.check()


def test_a_hash_travels_back_in_the_key_and_does_not_leave_with_the_packet(scene):
    scene.go(FLOWS[:8] + FLOWS[:8], [act(HASH, 5), act(RECIRC, 1)])
    hashes = [scene.mbufs[i].dp_hash for i in scene.packets]
    assert hashes[:8] == hashes[8:] and len(set(hashes)) == 8 and 0 not in hashes
    scene.megaflow([last(2)], only=2)
    assert scene.back([last(2)]) == (16, 1)
    scene.burst.misses = 0
    scene.both(parse)
    assert [scene.key(k)[W_HASH] for k in range(16)] == hashes
    assert {scene.mbufs[i].blocks for i in scene.packets} == {4}
    scene.both(actions)
    assert scene.outs[2].n == 16 and not any(int(scene.mbufs[i].ol_flags) & int(HASHED) for i in scene.packets)
    basis = Acting(scene.checked)
    basis.go(FLOWS[:8], [act(HASH, 6), act(RECIRC, 1)])
    assert hashes[:8] != [basis.mbufs[i].dp_hash for i in basis.packets]


@pytest.mark.parametrize("name", ["arp", "ipv6", "mpls"])
def test_every_packet_has_a_hash(scene, name):
    scene.go([WHOLE[name]], [act(HASH), act(RECIRC, 1)])
    assert 0 < scene.mbufs[scene.packets[0]].dp_hash < 1 << 32


def test_copies_go_back_from_clones_and_the_packet_goes_on(scene):
    scene.go([FRAME], [clone(act(RECIRC, 1)), clone(TAG, act(RECIRC, 2)), last(3)])
    assert [number for number, _ in scene.waiting()[1]] == [1, 2] and scene.gone() == {3: [FRAME]}
    scene.check()


def test_a_packet_is_recirculated_eight_times_and_no_more(scene):
    scene.go([FRAME], [act(RECIRC, 1)])
    for depth in range(1, 9):
        scene.check()
        assert scene.back([act(RECIRC, depth + 1)]) == (1, depth) and scene.dropped() == {}
        scene.both(actions)
    m = scene.mbufs[scene.packets[0]]
    assert scene.dropped() == {0: RECIRC_LIMIT} and (m.reason_a, scene.reason(RECIRCULATED)) == (8, 8)
    scene.settle()
    scene.check()


def test_when_much_waits_the_stage_stops_and_the_rest_of_the_burst_waits_in_its_turn(scene):
    """32 packets with three copies each that go back: never more than 64 in one batch, and every copy comes in order."""
    scene.ready(FLOWS, [clone(act(RECIRC, 1)), clone(act(RECIRC, 1)), act(RECIRC, 1)])
    order, rounds = [], 0
    while scene.burst.n or scene.lane.waits:
        scene.both(actions)
        scene.check()
        assert all(scene.again[d].n <= 64 for d in range(9))
        for k in range(scene.outs[2].n):
            order.append(scene.content(scene.outs[2].pkt[k]))
        scene.send_out()
        if scene.burst.first == scene.burst.n:
            scene.burst.n = 0
        if scene.lane.waits and (scene.burst.n == 0 or scene.again[scene.burst.depth + 1].n >= BURST):
            depth = max(d for d in range(9) if scene.again[d].n)
            scene.back([last(2)] if depth else [clone(act(RECIRC, 1)), clone(act(RECIRC, 1)), act(RECIRC, 1)], number=depth)
        rounds += 1
        assert rounds < 100
    assert order == [frame for frame in FLOWS for _ in range(3)]


def test_more_copies_than_a_batch_holds_are_too_many(scene):
    scene.go([FRAME], [clone(act(RECIRC, 1))] * 65 + [last(2)])
    assert scene.dropped() == {0: TOO_MANY_OUTPUTS} and scene.again[1].n == 64
    scene.settle()
    scene.check()


# --- check_pkt_len: the whole frame, without the padding behind IP ------------------------------------------

ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


@pytest.mark.parametrize(("frame", "length"), [
    (udp(size=61), 61), (udp(size=60) + bytes(9), 60), (LONG, len(LONG)), (WHOLE["arp"], len(WHOLE["arp"])),
    (bytes(ETH / IPv6(src="::1", dst="::2") / UDP() / b"abc") + bytes(7), 65), (WHOLE["vlan"], len(WHOLE["vlan"]))])
def test_a_packet_goes_the_way_that_its_length_chooses(scene, frame, length):
    for size, number in ((length - 1, 0x2A), (length, 0x2B), (length + 1, 0x2B)):
        scene.go([frame], [act(CHECK_LEN, size, 0x2A, 0x2B)])
        assert [n for n, _ in scene.waiting()[1]] == [number]
        scene.back([last(2)])
        scene.both(actions)
        scene.check()
        scene.send_out()
        scene.burst.n = scene.burst.first = 0


# --- statistics, and what a trace tells ----------------------------------------------------------------------

def test_actions_remembers_tcp_flags_and_the_time(scene):
    scene.lane.now = 77
    scene.go([WHOLE["tcp"], WHOLE["tcp"][:47] + b"\x01" + WHOLE["tcp"][48:]], [last(2)])
    flow = scene.array("megaflows", "flows")[0]
    assert (flow["tcp_flags"], flow["used"], flow["packets"]) == (0x13, 77, 2)


def test_sets_and_outputs_add_up(scene):
    packet = ETH / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=53) / b"abc"
    gone = scene.go([bytes(packet)], [setting(IP_DST, 0x0A000009), out(2), setting(TP_DST, 9), act(OUTPUT, 3)])
    packet[IP].dst = "10.0.0.9"
    other = packet.copy()
    other[UDP].dport = 9
    assert gone == {2: [bytes(packet)], 3: [bytes(other)]}
