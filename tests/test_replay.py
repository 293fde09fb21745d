"""The pcap port: a capture replayed once, in a loop or by the clock, whole and in its order; what leaves is written; nothing is lost."""
import time

import pytest
from port_frames import capture, numbered, out
from walks import step_all, wait_until

from lab.ports.capture import CaptureError, read


@pytest.fixture
def sw(made):
    return made("actions=output:vm2")


def test_a_capture_is_replayed_once_in_its_order_and_the_port_rests(sw, tmp_path):
    frames = numbered(70, 61) + [bytes(range(256)) * 20]
    port = sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", frames), offloads=["csum"])
    sw.ports["vm2"].mtu = 9000
    assert (port.waiting, sw.mempool.counts()["recorded, p"]) == (71, 70 + 3)
    assert repr(port) == "<port p: pcap, ofport 4, mtu 1500, csum, rx 0, tx 0, 71 waiting>"
    step_all(sw)
    assert list(sw.ports["vm2"].sent) == frames
    assert (port.waiting, port.rx_packets, port.rx_bytes, sw.step()) == (0, 71, sum(map(len, frames)), None)


def test_a_capture_that_loops_begins_anew_and_ends_only_with_the_port(sw, tmp_path):
    frames = numbered(5)
    port = sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", frames), loop=True)
    while len(sw.ports["vm2"].sent) < 64:
        assert sw.step() is not None
    assert list(sw.ports["vm2"].sent)[:64] == (frames * 13)[:64] and port.waiting == 5
    sw.remove_port("p")
    assert step_all(sw) is not None and sw.mempool.free == len(sw.mempool)


def test_pace_follows_the_clock_and_between_frames_nothing_moves(sw, tmp_path):
    port = sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", numbered(10)), pace=1000)
    vm2 = sw.ports["vm2"]
    assert sw.step() is None and len(sw.run().steps) == 0 and port.waiting == 10
    for warp, came in ((0.999, 0), (0.001, 1), (2.5, 3), (0.5, 4), (100, 10)):
        sw.clock.warp(warp)
        sw.run()
        assert len(vm2.sent) == came
        assert sw.step() is None, "what is not due yet is no step"
    assert list(vm2.sent) == numbered(10)


def test_the_recorded_pace_is_that_of_the_timestamps(sw, tmp_path):
    sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", numbered(5), step_ns=20_000_000), pace="recorded")  # 50 a second
    for came in (1, 2, 3, 4, 5, 5):
        sw.clock.warp(20)
        step_all(sw)
        assert len(sw.ports["vm2"].sent) == came


def test_a_frame_that_waits_its_turn_does_not_hold_up_another_port(sw, tmp_path):
    sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", numbered(3)), pace=1, ofport=9)
    assert out(sw, [bytes(60)]) == [bytes(60)]


def test_recorded_timestamps_travel_with_the_frames(sw, tmp_path):
    sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", numbered(3), step_ns=123_456_789))
    sw.step()
    burst, mbufs = sw.engine.array("bursts", 1)[0], sw.engine.array("mbufs")
    assert [int(mbufs["timestamp"][i]) for i in burst["pkt"][:3]] == [5_000_000_000 + n * 123_456_789 for n in range(3)]
    step_all(sw)


def test_what_leaves_is_written_at_once_with_the_engines_time(sw, tmp_path):
    sw.add_port("w", type="pcap", write=tmp_path / "w.pcap", mtu=9000)
    sw.ofctl("add-flow priority=50000,in_port=vm1,actions=output:w")
    sw.clock.warp(1500)
    frames = [bytes(60), bytes(range(250)) * 20]
    sw.ports["vm1"].inject(frames)
    sw.run()
    assert [(f.data, f.ns) for f in read(tmp_path / "w.pcap")] == [(frame, 1_500_000_000) for frame in frames]


def test_a_capture_replayed_by_a_core_arrives_whole(sw, tmp_path):
    frames = numbered(300)
    port = sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", frames))
    sw.start()
    assert wait_until(lambda: len(sw.ports["vm2"].sent) == 300)
    sw.stop()
    assert list(sw.ports["vm2"].sent) == frames and port.rx_packets == 300


def test_an_empty_capture_brings_nothing(sw, tmp_path):
    ports = [sw.add_port(f"p{loop}", type="pcap", path=capture(tmp_path / "e.pcap", []), loop=loop) for loop in (False, True)]
    assert sw.step() is None
    sw.start()
    time.sleep(0.02)
    sw.stop()
    assert [(p.rx_packets, p.waiting) for p in ports] == [(0, 0)] * 2
    assert ports[0].inject(bytes(60)) == 1 and len(step_all(sw)) > 0


def test_a_fork_takes_its_copy_of_a_replay_along_and_away(sw, tmp_path):
    sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", numbered(40)), write=tmp_path / "w.pcap")
    sw.step()
    fork = sw.fork()
    step_all(fork)
    assert list(fork.ports["vm2"].sent) == numbered(40) and len(sw.ports["vm2"].sent) == 0
    fork.remove_port("p")
    for switch in (fork, sw):
        switch.mempool.check()
    assert fork.mempool.free == len(fork.mempool)
    step_all(sw)
    assert list(sw.ports["vm2"].sent) == numbered(40)
    assert not sw.ports["p"].writer._file.closed
    fork.close()


def test_ports_that_come_and_go_give_back_their_place_for_recorded_frames(sw, tmp_path):
    path = capture(tmp_path / "a.pcap", numbered(1000))
    for _ in range(70):  # 70 000 frames in all, and a switch holds 65 536 at a time
        sw.add_port("p", type="pcap", path=path)
        sw.remove_port("p")
    sw.add_port("p", type="pcap", path=path)
    sw.add_port("q", type="pcap", path=capture(tmp_path / "b.pcap", [b"q" * 60]))
    step_all(sw)
    assert list(sw.ports["vm2"].sent) == numbered(1000) + [b"q" * 60]


def test_a_sink_counts_and_keeps_nothing(sw):
    port = sw.add_port("s", type="pcap", sink=True)
    sw.ofctl("add-flow priority=50000,actions=output:s")
    assert out(sw, numbered(40)) == [] and (port.tx_packets, port.tx_bytes, len(port.sent)) == (40, 2400, 0)


def test_a_capture_for_which_there_are_no_mbufs_leaves_no_trace(sw, tmp_path):
    sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", numbered(3000)))
    free = sw.mempool.free
    with pytest.raises(MemoryError, match=r"port q: frame \d+ of .*b.pcap: the mempool is empty"):
        sw.add_port("q", type="pcap", path=capture(tmp_path / "b.pcap", numbered(1000)))
    assert sw.mempool.free == free and "q" not in sw.ports
    with pytest.raises(ValueError, match="port q: 16385 frames are more than the 16384 that a port replays: cut the capture"):
        sw.add_port("q", type="pcap", path=capture(tmp_path / "c.pcap", [b"x"] * 16385))


@pytest.mark.parametrize("into", ["add_port", "inject"])
def test_a_capture_that_is_cut_says_where_and_leaves_no_trace(sw, tmp_path, into):
    whole = capture(tmp_path / "whole.pcap", numbered(3)).read_bytes()
    path = tmp_path / "cut.pcap"
    path.write_bytes(whole[:-5])
    with pytest.raises(CaptureError, match=r"cut.pcap: cut in the middle: 55 of 60 bytes .* after 2 whole frames"):
        sw.ports["vm1"].inject(path) if into == "inject" else sw.add_port("p", type="pcap", path=path)
    assert (list(sw.ports), sw.ports["vm1"].waiting, sw.mempool.free) == (["vm1", "vm2", "vm3"], 0, len(sw.mempool))
