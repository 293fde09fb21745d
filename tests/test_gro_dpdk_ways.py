"""GRO, profile `dpdk`: the short way of burst mode decides as the long way does, whatever lies in the table; lengths never wrap."""
import numpy as np
import pytest
from gro_dpdk import CYCLES_PER_US, MACS, Scene, ip4, payload, segment
from scapy.layers.inet import IP, IPOption
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab.memory.record import NULL
from lab.offload.gro.table import bucket_of, hash_of, place_of
from lab.stages.gro import gro

ADDRESSES, SPOT = 0x0A0000010A000002, place_of(1, 1, 0, 1) << 32


def both_ways(frames):
    """What leaves: traced, which takes the long way, and not, which takes the short one."""
    found = []
    for on in (1, 0):
        scene = Scene()
        scene.table("trace")[0].on = on
        found.append(scene.frames(frames))
    return found


@pytest.mark.parametrize("starts", [(201, 1, 101), (1, 201, 101), (301, 101, 1, 201), (101, 1, 301, 201)])
def test_the_first_neighbour_is_taken_traced_or_not(starts):
    traced, quick = both_ways([segment(seq) for seq in starts])
    assert traced == quick and sum(len(frame) - 54 for frame in quick) == 100 * len(starts)


def fragment(number, offset, n, more=1):
    return bytes(Ether(**MACS) / ip4(number, proto=17, frag=offset // 8, flags="MF" if more else 0) / Raw(payload(offset, n)))


def numbers_in_one_bucket():
    """An IPv4 id and a TCP port whose items lie in one bucket."""
    number = 9
    bucket = bucket_of(hash_of(np.uint64(ADDRESSES ^ (SPOT | 64)), np.uint64(number)))
    for sport in range(1000, 3000):
        if bucket_of(hash_of(np.uint64(ADDRESSES ^ (SPOT | 20 << 8 | 3)), np.uint64(sport << 48 | 80 << 32 | 500))) == bucket:
            return number, sport
    raise AssertionError("no port of 2000")


def test_an_item_behind_one_that_fragments_have_left_is_found_traced_or_not():
    number, sport = numbers_in_one_bucket()
    first, second, third = (fragment(number, at, 80) for at in (0, 80, 160))
    frames = [first, third, segment(1, sport=sport), second, segment(101, sport=sport)]
    traced, quick = both_ways(frames)
    assert traced == quick and [len(frame) for frame in quick] == [34 + 240, 54 + 200]


def test_an_item_that_was_emptied_by_others_is_not_taken_for_one_that_is_held():
    scene = Scene(50 * CYCLES_PER_US)
    scene.frames([segment(1)])
    [item] = scene.held()
    first, item.first = item.first, NULL
    scene.lane.held, scene.table("gro").head[0].held, scene.config.gro_cycles = 0, 0, 0
    scene.load([segment(101)])
    scene.both(gro)
    burst = scene.table("bursts")[0]
    assert [scene.bytes_of(burst.pkt[k]) for k in range(burst.n)] == [segment(101)]
    assert scene.bytes_of(first) == segment(1)


def test_a_timeout_in_cycles_ends_no_microsecond_too_early():
    scene = Scene(CYCLES_PER_US * 3 // 2)
    assert scene.frames([segment(1)]) == []
    scene.lane.now = 1
    assert scene.frames([]) == []
    scene.lane.now = 2
    assert scene.frames([]) == [segment(1)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("length, joined", [(65472, 1), (65480, 2)])
def test_options_of_the_header_that_stays_count_when_fragments_would_be_too_long(order, length, joined):
    scene = Scene()
    scene.table("ports")[1].gro_most = 64
    data = payload(0, length)
    options = [IPOption(b"\x01" * 40)]
    frames = [bytes(Ether(**MACS) / IP(src="10.0.0.1", dst="10.0.0.2", id=9, proto=17, flags="MF", options=options) / Raw(data[:32000]))]
    frames.append(bytes(Ether(**MACS) / IP(src="10.0.0.1", dst="10.0.0.2", id=9, proto=17, frag=4000, flags=0) / Raw(data[32000:])))
    out = scene.frames([frames[k] for k in order])
    assert len(out) == joined
    assert all(int.from_bytes(frame[16:18], "big") + 14 == len(frame) for frame in out)
