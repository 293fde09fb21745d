"""GRO, profile `dpdk`: what is merged, in front or behind, what is held beside it, what overtakes, in both modes and both tempos."""
import pytest
from gro_dpdk import CYCLES_PER_US, FIN, MACS, PSH, TIMES, Scene, gso_of, ip4, payload, pseudo, segment
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab.memory import reasons
from lab.memory.mbuf import GSO, L4_CSUM_BAD, L4_CSUM_PARTIAL


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def timed():
    return Scene(cycles=50 * CYCLES_PER_US)


# --- append, prepend, several items ------------------------------------------------------------------------


@pytest.mark.parametrize("cycles", [0, 50 * CYCLES_PER_US])
@pytest.mark.parametrize("options", [(), TIMES, [("NOP", None), ("WScale", 3)], [*TIMES, ("SAck", (1, 2, 3, 4))]])
def test_neighbours_become_one_packet_that_says_how_to_cut_it(cycles, options):
    scene = Scene(cycles)
    out = scene.merge([segment(1, options=options), segment(101, options=options), segment(201, 50, options=options)])
    if cycles:
        assert (out, [item.packets for item in scene.held()]) == ([], [3])
        scene.lane.now = 50
        out = scene.merge([])
    m, packet = scene.mbuf(out[0]), Ether(scene.bytes_of(out[0]))
    header = 40 + len(packet[TCP]) - 20 - 250
    assert (len(out), packet[Raw].load, packet[IP].len) == (1, payload(1, 250), header + 250)
    assert (m.pkt_len, m.nb_segs) == (14 + header + 250, 3)
    assert m.ol_flags & (GSO | L4_CSUM_PARTIAL) == GSO | L4_CSUM_PARTIAL
    assert gso_of(m) == (100, 3, 1, 34, 16)
    assert packet[TCP].chksum == pseudo(packet)
    del packet[IP].chksum
    assert Ether(bytes(packet))[IP].chksum == Ether(scene.bytes_of(out[0]))[IP].chksum
    assert scene.held() == []


def test_a_packet_before_what_is_held_is_put_in_front(scene):
    out = scene.merge([segment(201, window=3), segment(101, window=2), segment(1, 100, window=1), segment(301, window=4)])
    packet = Ether(scene.bytes_of(out[0]))
    assert (len(out), packet[Raw].load, packet[TCP].seq, packet[TCP].window) == (1, payload(1, 400), 1, 1)
    assert (scene.reason(reasons.GRO_PREPENDED), scene.reason(reasons.GRO_MERGED)) == (2, 1)
    assert gso_of(scene.mbuf(out[0])) == (100, 4, 1, 34, 16)


def test_packets_with_gaps_between_them_are_held_beside_each_other(timed):
    assert timed.merge([segment(1), segment(301), segment(101), segment(401), segment(601)]) == []
    assert [(item.packets, item.total) for item in timed.held()] == [(2, 200), (2, 200), (1, 100)]
    timed.merge([segment(201)])  # closes a gap: it goes behind the first, and items are never joined
    assert sorted(item.packets for item in timed.held()) == [1, 2, 3]


def test_sequence_numbers_go_on_beyond_the_last(scene):
    out = scene.frames([segment(0xFFFFFFFF - 49), segment(50), segment(0xFFFFFFFF - 149)])
    assert (len(out), len(Ether(out[0])[Raw].load), Ether(out[0])[TCP].seq) == (1, 300, 0xFFFFFFFF - 149)


def test_payloads_of_all_sizes_are_merged_and_the_largest_is_the_segment(scene):
    out = scene.merge([segment(1, 10), segment(11, 700), segment(711, 300)])
    assert (len(out), scene.mbuf(out[0]).tso_segsz, scene.mbuf(out[0]).gso_segs) == (1, 700, 3)


@pytest.mark.parametrize("other", [{"sport": 1001}, {"ack": 501}, {"tags": [5]}, {"options": TIMES}, {"ip": ip4(7)}])
def test_what_the_key_or_the_options_or_df_tell_apart_is_not_merged(scene, other):
    assert len(scene.frames([segment(1), segment(101, **other)])) == 2
    assert scene.reason(reasons.GRO_HELD) == 2


def test_other_macs_and_other_addresses_are_other_flows(scene):
    frames = [segment(1), segment(101)]
    for at in range(12):
        other = bytearray(frames[1])
        other[at] ^= 0x40
        assert scene.frames([frames[0], bytes(other)]) == [frames[0], bytes(other)]
    assert len(scene.frames([segment(1), segment(101, ip=IP(src="10.0.0.1", dst="10.0.0.3", id=7, flags="DF"))])) == 2


def test_options_are_compared_to_their_last_byte(scene):
    times = [("NOP", None), ("NOP", None), ("Timestamp", (7, 10))]
    assert len(scene.frames([segment(1, options=TIMES), segment(101, options=times)])) == 2
    sacks = [[*TIMES, ("SAck", (1, 2, 3, last))] for last in (4, 5)]
    assert len(scene.frames([segment(1, options=sacks[0]), segment(101, options=sacks[1])])) == 2


def test_ttl_tos_window_and_checksum_are_not_looked_at(scene):
    other = bytearray(segment(101, ip=IP(src="10.0.0.1", dst="10.0.0.2", flags="DF", ttl=3, tos=8), window=9))
    other[50:52] = b"\x12\x34"
    out = scene.frames([segment(1), bytes(other)])
    assert (len(out), Ether(out[0])[IP].ttl, Ether(out[0])[IP].tos, Ether(out[0])[TCP].window) == (1, 64, 0, 400)


@pytest.mark.parametrize("ids, left", [((7, 8, 9), 1), ((7, 9, 10), 2), ((0xFFFF, 0, 1), 1), ((7, 7, 7), 3)])
def test_without_df_ids_must_be_neighbours(scene, ids, left):
    assert len(scene.frames([segment(1 + 100 * k, ip=ip4(ids[k])) for k in range(3)])) == left
    scene = Scene()
    assert len(scene.frames([segment(1 + 100 * k, ip=ip4(ids[k])) for k in (2, 1, 0)])) == left


def test_with_df_ids_say_nothing(scene):
    assert len(scene.frames([segment(1 + 100 * k, ip=ip4(number, flags="DF")) for k, number in enumerate((9, 3, 3, 77))])) == 1


# --- candidates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [PSH, FIN])
def test_a_new_item_needs_exactly_ack(scene, flags):
    assert scene.frames([segment(1, flags=flags), segment(101)]) == [segment(1, flags=flags), segment(101)]
    assert scene.reason(reasons.PASS_CANDIDATE) == 1


@pytest.mark.parametrize("flags, why", [("SA", "PASS_FLAGS"), ("RA", "PASS_FLAGS"), ("UA", "PASS_FLAGS"), ("EA", "PASS_CANDIDATE"),
                                        ("CA", "PASS_CANDIDATE"), ("", "PASS_CANDIDATE"), ("NA", "PASS_CANDIDATE")])
def test_other_flags_pass_and_overtake_what_is_held(scene, flags, why):
    frames = [segment(1), segment(101), segment(201, flags=flags)]
    out = scene.frames(frames)
    assert (len(out), out[0]) == (2, frames[2])
    assert scene.reason(getattr(reasons, why)) == 1


def test_what_passes_overtakes_with_a_timeout_too(timed):
    frames = [segment(1), segment(101), segment(301, flags=PSH)]
    assert timed.frames(frames) == [frames[2]]
    assert [item.packets for item in timed.held()] == [2]


def test_pure_acknowledgements_and_other_protocols_pass(scene):
    udp = bytes(Ether(**MACS) / ip4(1) / UDP(sport=1, dport=2) / Raw(b"x" * 60))
    frames = [segment(1, 0) + bytes(6), segment(1, 0, options=TIMES), udp, bytes(60), bytes(13), segment(1)[:40]]
    assert scene.frames(frames) == frames
    assert (scene.reason(reasons.PASS_ACK), scene.reason(reasons.PASS_PROTOCOL) + scene.reason(reasons.PASS_CUT)) == (2, 4)


def test_a_checksum_known_to_be_bad_and_what_is_large_already_keep_out(scene):
    for flag, why in ((L4_CSUM_BAD, reasons.PASS_CSUM), (GSO, reasons.PASS_GSO)):
        assert len(scene.frames([segment(1), segment(101)], flags=flag)) == 2
        assert scene.reason(why) == 2


def test_padding_is_no_payload(scene):
    frames = [segment(1, 20), segment(21, 4) + bytes(2), segment(25, 20)]
    out = scene.frames(frames)
    assert [Ether(data)[Raw].load for data in out] == [payload(1, 44)]
    scene = Scene()
    assert scene.frames([segment(21, 4) + bytes(2), segment(25, 20)]) == [segment(21, 4) + bytes(2), segment(25, 20)]
    assert scene.reason(reasons.PASS_PADDED) == 1
    scene = Scene()
    assert [Ether(data)[Raw].load for data in scene.frames([segment(25, 20), segment(21, 4) + bytes(2)])] == [payload(21, 24)]


# --- PSH and FIN ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [PSH, FIN, "FPA"])
def test_psh_and_fin_of_any_packet_stand_in_the_first_header(scene, flags):
    out = scene.frames([segment(1), segment(101, flags=flags)])
    assert (len(out), Ether(out[0])[TCP].flags, Ether(out[0])[Raw].load) == (1, flags, payload(1, 200))


def test_psh_does_not_end_a_burst_but_fin_does(scene):
    assert len(scene.frames([segment(1), segment(101, flags=PSH), segment(201)])) == 1
    scene = Scene()
    assert len(scene.frames([segment(1), segment(101, flags=FIN), segment(201)])) == 2


def test_fin_is_never_put_in_front_of_payload(scene):
    assert len(scene.frames([segment(101), segment(1, flags=FIN)])) == 2


def test_with_a_timeout_psh_and_fin_let_it_leave_at_once(timed):
    for flags, why in ((PSH, reasons.F_PUSH), (FIN, reasons.F_FIN)):
        out = timed.frames([segment(1), segment(101, flags=flags)])
        assert (len(out), timed.held(), timed.reason(why)) == (1, [], 1)


# --- limits and time -----------------------------------------------------------------------------------------


def test_twenty_segments_are_the_most_and_the_port_may_say_otherwise(scene):
    out = scene.merge([segment(1 + 100 * k) for k in range(32)])
    assert [scene.mbuf(i).nb_segs for i in out] == [20, 12]
    assert scene.reason(reasons.F_CHAIN) == 1
    scene = Scene()
    scene.table("ports")[1].gro_most = 5
    out = scene.merge([segment(1 + 100 * k) for k in range(12)])
    assert ([scene.mbuf(i).nb_segs for i in out], scene.reason(reasons.F_MOST)) == ([5, 5, 2], 2)


def test_65535_bytes_are_the_most(scene):
    scene.table("ports")[1].gro_most = 60
    sizes = [8000] * 8 + [1495, 1]
    seqs = [1 + sum(sizes[:k]) for k in range(len(sizes))]
    out = scene.frames([segment(seq, n) for seq, n in zip(seqs, sizes, strict=True)])
    assert [Ether(data)[IP].len for data in out] == [65535, 41]
    assert scene.reason(reasons.F_FULL) == 1


def test_with_a_timeout_a_full_item_leaves_at_once(timed):
    out = timed.merge([segment(1 + 100 * k) for k in range(21)])
    assert ([timed.mbuf(i).nb_segs for i in out], [item.packets for item in timed.held()]) == ([20], [1])


def test_items_are_held_over_bursts_until_their_time(timed):
    assert timed.merge([segment(1)]) == []
    timed.lane.now = 30
    assert timed.merge([segment(101), segment(1, sport=9)]) == []
    timed.lane.now = 49
    assert timed.merge([]) == []
    timed.lane.now = 50
    assert [len(Ether(data)[Raw].load) for data in timed.frames([])] == [200]
    assert (timed.reason(reasons.F_TIMEOUT), len(timed.held())) == (1, 1)
    timed.lane.paused = 1
    assert (len(timed.frames([])), timed.held(), timed.reason(reasons.F_PAUSE)) == (1, [], 1)


def test_in_burst_mode_nothing_is_held_behind_the_burst(scene):
    assert scene.frames([segment(1), segment(1, sport=5)]) == [segment(1), segment(1, sport=5)]
    assert (scene.held(), scene.reason(reasons.F_END_OF_BURST), scene.lane.held) == ([], 2, 0)


def test_a_flow_has_eight_places_and_then_packets_pass(timed):
    frames = [segment(1 + 200 * k) for k in range(9)]
    assert timed.frames(frames) == [frames[8]]
    assert timed.reason(reasons.PASS_ROOM) == 1


def test_more_flows_than_a_burst_has_packets_leave_as_they_came(scene):
    frames = [segment(1, sport=1000 + k) for k in range(32)]
    assert scene.frames(frames) == frames


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from(["A", "PA"]), st.integers(0, 3)), min_size=1, max_size=32), st.randoms())
def test_every_byte_leaves_once_in_its_place_however_the_burst_came(parts, random):
    frames, seqs = [], [1] * 4
    for n, flags, flow in parts:
        frames.append(segment(seqs[flow], n, flags=flags, sport=1000 + flow))
        seqs[flow] += n
    random.shuffle(frames)
    for gro_cycles in (0, CYCLES_PER_US):
        scene = Scene(gro_cycles)
        out = scene.frames(frames)
        scene.lane.now = 1
        out += scene.frames([]) if gro_cycles else []
        found = {}
        for data in out:
            packet = Ether(data)
            for k, byte in enumerate(packet[Raw].load):
                assert found.setdefault((packet[TCP].sport, packet[TCP].seq + k), byte) == (packet[TCP].seq + k) * 7 & 0xFF
        assert len(found) == sum(len(Ether(data)[Raw].load) for data in out) == sum(n for n, _, _ in parts)
