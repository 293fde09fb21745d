"""GRO, profile `linux`, TCP over IPv4: what is merged, what ends a merge and for which reason, what is never held; nothing is lost."""
import pytest
from gro_scene import EGRESS, Scene, cut, tcp
from scapy.layers.inet import IP, TCP, IPOption_NOP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

from lab.memory.mbuf import FIXED_ID, GSO, IP_CSUM_BAD, L4_CSUM_BAD, L4_CSUM_GOOD, L4_CSUM_PARTIAL

TIMES = (("NOP", None), ("NOP", None), ("Timestamp", (7, 9)))
TAG = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / Dot1Q(vlan=7)
QINQ = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / Dot1AD(vlan=5) / Dot1Q(vlan=7)


@pytest.fixture(scope="module")
def scene():
    return Scene()


@pytest.fixture(autouse=True)
def conserved(scene):
    scene.told.clear()
    scene.lane.now += 1
    yield
    scene.pause()


def run(n, size=100, **how):
    """Frames of one flow that follow each other."""
    return [tcp(1000 + k * size, bytes([65 + k]) * size, ident=50 + k, **how) for k in range(n)]


def changed(frame, at, value):
    """A frame with other bytes from an offset on."""
    return frame[:at] + value + frame[at + len(value):]


def both_sums(frame):
    """The same frame with the checksums that belong to it now."""
    packet = Ether(frame)
    del packet[IP].chksum
    if TCP in packet:
        del packet[TCP].chksum
    return bytes(packet)


@pytest.mark.parametrize("how", [{}, {"options": TIMES}, {"options": (("SAck", (5, 6)), ("NOP", None), ("NOP", None))},
                                 {"link": TAG}, {"link": QINQ}, {"tos": 3}, {"flags": "AE"}])
def test_segments_in_order_become_one_packet_that_is_cut_back_to_them(scene, how):
    frames = run(5, **how)
    assert scene.send(*frames) == []
    [large] = scene.pause()
    assert large.large and (large.size, large.count, large.kind, large.segments) == (100, 5, 1, 5)
    assert cut(large) == frames
    assert scene.codes() == ["held"] + 4 * ["merged"] + ["flushed: the traffic paused"]
    head = len(frames[0]) - 100
    assert sum(large.lengths) == head and large.start == head - large.lengths[2] and large.offset == 16
    packet = Ether(large.bytes)
    assert packet[IP].len == len(large.bytes) - (head - large.lengths[2] - 20) and large.flags & int(L4_CSUM_PARTIAL)
    assert bytes(both_sums(large.bytes))[head - large.lengths[2] - 10:][:2] == large.bytes[head - large.lengths[2] - 10:][:2]


def test_what_was_never_merged_leaves_as_it_came(scene):
    [frame] = run(1)
    scene.send(frame)
    [alone] = scene.pause()
    assert alone.bytes == frame and alone.flags == 0


@pytest.mark.parametrize("ids, fixed, merged", [((5, 6, 7), False, 3), ((5, 5, 5), True, 3), ((0xFFFF, 0, 1), False, 3),
                                                ((5, 6, 6), False, 2), ((5, 5, 6), True, 2), ((5, 7, 8), False, 1)])
@pytest.mark.parametrize("df", [0, 2])
@pytest.mark.parametrize("link", [None, TAG])
def test_ids_stay_or_count_and_the_second_packet_decides(scene, ids, fixed, merged, df, link):
    frames = [tcp(1000 + 10 * k, "x" * 10, ident=n, flags="A", link=link, src="10.0.0.3") for k, n in enumerate(ids)]
    frames = [both_sums(bytes(changed(f, f.index(b"\x45") + 6, bytes([df << 5])))) for f in frames]
    out = scene.send(*frames) + scene.pause()
    assert [frame for one in out for frame in cut(one)] == frames
    assert out[0].count == merged and bool(out[0].flags & int(FIXED_ID)) == fixed
    assert ("flushed: IPv4 id neither fixed nor counting" in scene.codes()) == (merged < 3)


BREAKS = {
    "flushed: window changed": lambda f: both_sums(changed(f, 48, b"\1\2")),
    "flushed: acknowledgement number changed": lambda f: both_sums(changed(f, 42, b"\0\0\0\2")),
    "flushed: TTL changed": lambda f: both_sums(changed(f, 22, b"\7")),
    "flushed: TOS changed": lambda f: both_sums(changed(f, 15, b"\4")),
    "flushed: do-not-fragment bit changed": lambda f: both_sums(changed(f, 20, b"\x40")),
    "flushed: TCP flags changed": lambda f: both_sums(changed(f, 47, b"\x50")),
    "flushed: congestion window reduced": lambda f: both_sums(changed(f, 47, b"\x90")),
    "flushed: sequence gap": lambda f: both_sums(changed(f, 38, b"\1")),
    "flushed: urgent pointer changed": lambda f: both_sums(changed(f, 52, b"\0\1")),
}


@pytest.mark.parametrize("why", BREAKS)
@pytest.mark.parametrize("tag", [False, True])
def test_what_differs_lets_go_of_what_is_held_and_is_held_itself(scene, why, tag):
    frames = run(3)
    frames[2] = BREAKS[why](frames[2])
    if tag:
        frames = [f[:12] + b"\x81\0\0\7" + f[12:] for f in frames]
    [large] = scene.send(*frames)
    assert cut(large) == frames[:2]
    assert scene.codes()[-2:] == [why, "held"] and scene.told[-2] == (why, scene.serial - 3, 2, scene.told[-2][3])
    assert [one.bytes for one in scene.pause()] == frames[2:]


@pytest.mark.parametrize("link", [None, TAG])
@pytest.mark.parametrize("options", [(("NOP", None), ("NOP", None), ("Timestamp", (8, 9))), ()])
def test_options_must_be_equal_to_the_byte(scene, options, link):
    frames = [*run(2, options=TIMES, link=link), tcp(1200, "c", ident=52, options=options, link=link)]
    [large] = scene.send(*frames)
    assert cut(large) == frames[:2] and scene.codes()[-2] == "flushed: TCP options changed"


@pytest.mark.parametrize("link", [None, TAG])
@pytest.mark.parametrize("flags, size, why", [("A", 60, "shorter payload"), ("PA", 100, "PSH"), ("FA", 100, "FIN"), ("PA", 60, "PSH"),
                                              ("FPA", 1, "FIN")])
def test_the_last_segment_of_a_train_is_merged_and_ends_it(scene, link, flags, size, why):
    frames = [*run(2, link=link), tcp(1200, b"z" * size, flags=flags, ident=52, link=link)]
    [large] = scene.send(*frames)
    assert cut(large) == frames and scene.codes()[-2:] == ["merged", f"flushed: {why} ends it"]
    assert scene.lane.held == 0


@pytest.mark.parametrize("link", [None, TAG])
def test_a_longer_payload_begins_anew(scene, link):
    frames = [*run(2, link=link), tcp(1200, b"z" * 101, ident=52, link=link)]
    assert [cut(one) for one in scene.send(*frames)] == [frames[:2]] and scene.codes()[-2] == "flushed: payload longer than the first"


def options_in(frame):
    packet = Ether(frame)
    packet[IP].options = [IPOption_NOP()] * 4
    del packet[IP].ihl, packet[IP].len
    return both_sums(bytes(packet))


PASSES = {
    "passed by GRO: SYN, RST or URG": lambda f: both_sums(changed(f, 47, b"\x12")),
    "passed by GRO: no payload": lambda f: both_sums(bytes(changed(f[:54], 16, b"\0\x28"))),
    "passed by GRO: IPv4 options": options_in,
    "passed by GRO: an IP fragment": lambda f: both_sums(changed(f, 20, b"\0\7")),
    "passed by GRO: its checksum is bad": lambda f: changed(f, 80, b"!!"),
    "passed by GRO: padding behind IP": lambda f: f + bytes(3),
    "passed by GRO: GSO could not give back its bytes": None,
    "passed by GRO: a header is cut or lies": None,
}


def refused(why, frame):
    """A frame that GRO passes for a reason."""
    if why.endswith("bytes"):  # a sum of zero, which nobody writes as 0xFFFF
        packet = Ether(frame)
        packet[TCP].chksum = 0
        packet[TCP].payload.load = b"\0\0" + packet[TCP].payload.load[2:]
        del packet[TCP].chksum
        need = int.from_bytes(bytes(packet)[50:52], "big")
        frame = changed(bytes(packet), 54, need.to_bytes(2, "big"))
        return changed(frame, 50, b"\xff\xff")
    if why.endswith("lies"):
        return both_sums(changed(frame, 46, b"\x40"))
    return PASSES[why](frame)


@pytest.mark.parametrize("why", PASSES)
def test_what_is_never_held_passes_unchanged_behind_what_was_held_of_its_flow(scene, why):
    frames = run(4)
    frames[2] = refused(why, frames[2])
    out = scene.send(*frames)
    assert cut(out[0]) == frames[:2] and out[1].bytes == frames[2] and len(out) == 2
    assert why in scene.codes() and not out[1].flags & int(GSO)
    assert bool(out[1].flags & int(L4_CSUM_BAD)) == ("checksum" in why)
    assert [one.bytes for one in scene.pause()] == [frames[3]]


def test_a_wrong_header_checksum_is_noted_and_kept(scene):
    frames = run(2)
    frames[1] = changed(frames[1], 24, b"\x12\x34")
    held, bad = scene.send(*frames)
    assert held.bytes == frames[0] and bad.bytes == frames[1] and bad.flags == int(IP_CSUM_BAD)


def test_a_checksum_known_to_be_good_is_not_summed_again_and_one_to_be_computed_counts_as_good(scene):
    frames = [changed(f, 60, b"??") for f in run(2)]
    scene.send(*frames, flags=int(L4_CSUM_GOOD))
    [large] = scene.pause()
    assert large.count == 2 and not large.flags & int(L4_CSUM_GOOD)
    scene.put(*frames, flags=int(L4_CSUM_PARTIAL))
    for i in scene.packets[-2:]:
        m = scene.table("mbufs")[i]
        m.csum_start, m.csum_offset = 34, 16
    assert scene.take_out(scene.call()) == []
    [large] = scene.pause()
    assert large.count == 2 and large.flags & int(L4_CSUM_PARTIAL)


def test_a_large_packet_passes_behind_what_is_held_of_its_flow(scene):
    frames = run(2)
    scene.send(frames[0])
    held, large = scene.send(frames[1], flags=int(GSO | L4_CSUM_PARTIAL))
    assert held.bytes == frames[0] and large.bytes == frames[1] and "passed by GRO: it is large already" in scene.codes()


@pytest.mark.parametrize("flags, why", [("PA", "PSH"), ("FA", "FIN")])
def test_nothing_follows_a_first_segment_with_psh_or_fin(scene, flags, why):
    [frame] = run(1, flags=flags)
    assert [one.bytes for one in scene.send(frame)] == [frame] and scene.told == [(f"flushed: {why} ends it", scene.serial - 1, 1, 0)]


def test_flows_apart_are_merged_apart(scene):
    a, b = run(3), [tcp(9000 + 100 * k, "y" * 100, ident=90 + k, sport=1001) for k in range(3)]
    assert scene.send(*[f for pair in zip(a, b, strict=True) for f in pair]) == []
    assert sorted(cut(one) for one in scene.pause()) == sorted([a, b])
    other = run(2, link=Ether(src="02:00:00:00:00:0c", dst="02:00:00:00:00:0b"))
    scene.send(a[0], other[1], a[1])
    assert sorted(len(cut(one)) for one in scene.pause()) == [1, 2]


@pytest.mark.parametrize("link", [None, TAG])
def test_a_merged_packet_has_at_most_64_mbufs(scene, link):
    frames = run(70, 10, sport=5, link=link)
    out = scene.send(*frames[:30]) + scene.send(*frames[30:60]) + scene.send(*frames[60:])
    assert [one.segments for one in out] == [64] and "flushed: its chain is full" in scene.codes()
    assert [f for one in out + scene.pause() for f in cut(one)] == frames


@pytest.mark.parametrize("link", [None, TAG])
def test_a_merged_packet_has_at_most_65535_bytes(scene, link):
    frames = run(48, 1400, sport=6, link=link)
    out = scene.send(*frames[:24]) + scene.send(*frames[24:])
    assert [one.count for one in out] == [46] and len(out[0].bytes) == len(frames[0]) + 45 * 1400
    assert "flushed: it reached 64 KB" in scene.codes()
    assert [f for one in out + scene.pause() for f in cut(one)] == frames


def test_a_port_may_want_fewer_segments(scene):
    scene.rows[1].gro_most = 3
    frames = run(7)
    out = scene.send(*frames)
    assert [one.count for one in out] == [3, 3] and scene.codes().count("flushed: it has as many segments as may be") == 2
    scene.rows[1].gro_most = 1
    assert len(scene.send(*run(2))) == 3 and scene.lane.held == 0
    scene.rows[1].gro_most = 0


@pytest.mark.parametrize("cuts", [(10, 20, 4), (30,), (54,), (60, 30), (53, 1)])
def test_chains_are_merged_and_headers_in_pieces_brought_together(scene, cuts):
    frames = run(3)
    scene.put(frames[0])
    out = scene.take_out(scene.call())
    out += scene.send(frames[1], cuts=cuts)
    out += scene.send(frames[2]) + scene.pause()
    assert [one.count for one in out] == [3] and cut(out[0]) == frames


def test_on_egress_the_setting_of_the_output_port_counts_and_the_batch_learns_what_it_wants():
    scene = Scene(side=EGRESS, port=2)
    scene.rows[1].gro = 0
    frames = run(3, flags="PA")
    first = run(2)
    out = scene.send(*first, frames[2], port=1)
    assert [cut(one) for one in out] == [[*first, frames[2]]]
    assert int(scene.table("bursts")[0].wants) & int(GSO) and scene.conserved()


@pytest.mark.parametrize("frame", [b"", bytes(10), bytes(14), bytes(60), run(1)[0][:40], changed(run(1)[0], 23, b"\0"),
                                   changed(run(1)[0], 16, b"\0\x13"), changed(run(1)[0], 16, b"\xff\xff"), changed(run(1)[0], 14, b"\x4f"),
                                   changed(run(1)[0], 46, b"\xf0")])
def test_whatever_lies_passes(scene, frame):
    assert [one.bytes for one in scene.send(frame)] == [frame]
