"""What was found wrong once in ports, captures, forks, traces and clicks, and must not come back."""
import gc
import os
import weakref

import pytest
from walks import FRAMES, RULES, differences, memory, wait_until

from lab.engine.code import cells
from lab.engine.code.objects import StageError, cache_folder
from lab.ports.capture import Writer, read
from lab.ports.intake import PoolEmpty
from lab.stages.stage import Stage

# --- clicks --------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore:.*shown no more frames:RuntimeWarning")
def test_a_watcher_that_raises_is_dropped_and_the_clicks_go_on(made):
    sw = made("actions=output:vm2")
    sw.ports["vm1"].inject(bytes(60))
    frames, told = [], []

    def bad(frame):
        told.append(frame)
        raise ZeroDivisionError

    sw.watch(frames.append)
    sw.watch(bad)
    sw.commands.put({"do": "step", "id": 1})
    sw.commands.put({"do": "step", "id": 2})
    assert wait_until(lambda: len(frames) == 2) and [frame["echo"] for frame in frames] == [1, 2]
    assert len(told) == 1 and len(sw.timeline) == 2


def test_a_watcher_that_raises_in_a_cell_is_named_in_a_warning(made):
    sw = made("actions=output:vm2")
    sw.ports["vm1"].inject(bytes(60))
    sw.watch(lambda frame: 1 / 0)
    with pytest.warns(RuntimeWarning, match=r"ZeroDivisionError.*sw\.watch"):
        assert sw.step().stage == "receive"


# --- the timeline --------------------------------------------------------------------------------------

def test_a_full_timeline_costs_a_step_no_walk_over_it(made, monkeypatch):
    """Whoever adds a step, or asks how many there are, looks at no other event."""
    from lab.engine.steps import timeline

    sw = made("actions=output:vm2", ports=2)
    sw.ports["vm1"].inject([bytes(60)] * 3)
    sw.run()
    asked = []

    class Watched(type):
        def __instancecheck__(cls, event):
            asked.append(event)
            return type(event).__name__ == "Step"

    events, step = list(sw.timeline.events), sw.timeline[-1]
    monkeypatch.setattr(timeline, "Step", Watched("Step", (), {}))
    assert len(sw.timeline) == sw.timeline.reached == 7 and sw.timeline[-1] is step and sw.timeline.last is step
    sw.timeline.add(timeline.Act("nothing", None))
    assert len(asked) <= 1
    monkeypatch.undo()
    assert list(sw.timeline) == [event for event in events if isinstance(event, timeline.Step)]


def test_steps_and_events_agree_forward_and_back(made):
    from lab.engine.steps.timeline import Step

    sw = made("actions=output:vm2", ports=2)

    def agree():
        steps = [event for event in sw.timeline.events if isinstance(event, Step)]
        assert list(sw.timeline) == steps and len(sw.timeline) == len(steps) and sw.timeline.last is (steps[-1] if steps else None)

    for _ in range(3):
        sw.ports["vm1"].inject(bytes(60))
        sw.step()
        sw.ports["vm1"].inject(bytes(61))
        sw.step()
        agree()
        sw.back()
        agree()
    sw.goto(1)
    agree()
    sw.goto(3)
    agree()
    assert sw.timeline[1:] == list(sw.timeline)[1:] and list(reversed(sw.timeline)) == list(sw.timeline)[::-1]


# --- compiled stages on the disk -----------------------------------------------------------------------

@pytest.fixture
def no_home(monkeypatch, tmp_path):
    """A user whose own cache folder cannot be written; the folder in the temporary directory that stands in for it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLASSWITCH_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"glasswitch-{os.getuid()}"


def test_the_spare_cache_folder_is_made_for_this_user_alone(no_home):
    before = os.umask(0)
    try:
        assert cache_folder() == no_home == cache_folder() and no_home.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("trap", ["open", "link", "other"])
def test_a_spare_cache_folder_that_somebody_else_may_have_made_is_refused(no_home, trap, monkeypatch, tmp_path):
    if trap == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        no_home.symlink_to(tmp_path / "theirs")
    else:
        no_home.mkdir(mode=0o700)
        if trap == "open":
            no_home.chmod(0o777)
        else:
            theirs = os.getuid() + 1
            monkeypatch.setattr("os.getuid", lambda: theirs)
            no_home.rename(tmp_path / f"glasswitch-{theirs}")
    with pytest.raises(StageError, match="GLASSWITCH_CACHE"):
        cache_folder()


def test_a_cell_is_on_the_disk_whole_or_not_at_all(monkeypatch, tmp_path):
    def counts(bursts):
        """Counts nothing."""
        bursts[0].misses = 0

    whole = cells.write(Stage(counts, checked=True), tmp_path)
    text = whole.read_text()
    assert list(tmp_path.iterdir()) == [whole] and "def counts" in text
    whole.unlink()
    write_text, seen = type(whole).write_text, []
    monkeypatch.setattr(type(whole), "write_text", lambda path, text: (seen.append(path), write_text(path, text[:9]), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        cells.write(Stage(counts, checked=True), tmp_path)
    assert seen and not whole.exists()


def test_an_explanation_sorts_no_rules(made, monkeypatch):
    sw = made("priority=7,actions=output:vm2")
    index = sw.rules.find()[0].index
    monkeypatch.setattr(type(sw.rules), "find", lambda *_: 1 / 0)
    assert sw.rule_text(index) == "rule 'priority=7 actions=output:vm2'"
    assert sw.rule_text(index + 1) == "a rule that is gone"


def test_a_ufid_that_no_megaflow_has_is_named(made):
    sw = made("actions=output:vm2")
    sw.ports["vm1"].inject(bytes(60))
    sw.run()
    ufid = sw.megaflows[0].ufid
    assert sw.megaflows[ufid[:6]].ufid == ufid
    with pytest.raises(KeyError, match="begins with 'xyz'"):
        sw.megaflows["xyz"]


# --- captures --------------------------------------------------------------------------------------------

def capture(path, frames, step_ns=1_000_000):
    with Writer(path, "pcap") as out:
        for n, data in enumerate(frames):
            out.write(data, n * step_ns)
    return path


def same(n, size=60):
    return [bytes([k % 256]) * size for k in range(n)]


def test_a_capture_too_large_for_the_mempool_gives_back_what_was_loaded(made, tmp_path):
    sw = made("actions=output:vm2")
    with pytest.raises(PoolEmpty, match=r"port p: frame \d+ of .*a\.pcap: the mempool is empty"):
        sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", same(5000)))
    sw.mempool.check()
    assert sw.mempool.free == len(sw.mempool) and "p" not in sw.ports
    port = sw.add_port("p", type="pcap")
    port.record(same(3))
    with pytest.raises(PoolEmpty):
        port.record(same(5000))
    assert (port.templates, port.waiting, sw.mempool.free) == ([], 0, len(sw.mempool))
    assert port.inject(bytes(60)) == 1 and sw.run().sent == 1, "a port without frames takes what is injected"


def test_frames_recorded_anew_take_the_place_of_those_before(made):
    sw = made("actions=output:vm2")
    port = sw.add_port("p", type="pcap")
    port.record(same(3))
    port.record(same(2, 70))
    assert sw.mempool.counts()["recorded, p"] == 2
    sw.run()
    assert list(sw.ports["vm2"].sent) == same(2, 70)


def test_room_for_recorded_frames_comes_back_with_the_port(made, tmp_path):
    sw = made("actions=output:vm2")
    path = capture(tmp_path / "a.pcap", same(700))
    first = sw.add_port("p", type="pcap", path=path)
    other = sw.add_port("q", type="pcap", path=path)
    at = [int(port.row["replay_first"]) for port in (first, other)]
    fork = sw.fork()
    for n in range(100):
        sw.remove_port("p")
        assert int(sw.add_port("p", type="pcap", path=path).row["replay_first"]) == at[0], n
    with pytest.raises(PoolEmpty):
        sw.add_port("r", type="pcap", path=capture(tmp_path / "b.pcap", same(5000)))
    more = [int(switch.add_port("s", type="pcap", path=path).row["replay_first"]) for switch in (sw, fork)]
    assert more == [at[1] + 700] * 2, "what failed took no room, and a fork knows what is taken"
    fork.close()


def test_a_port_that_replays_refuses_other_frames_and_names_the_next_step(made, tmp_path):
    sw = made("actions=output:vm2")
    port = sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", same(2)))
    with pytest.raises(ValueError, match=r"port p replays .*a\.pcap .*sw\.add_port"):
        port.inject(bytes(60))
    assert sw.mempool.counts()["free"] == sw.mempool.free - 512 and sw.run().sent == 2


def test_a_paced_port_lets_the_switch_come_to_rest(made, tmp_path):
    sw = made("actions=output:vm2")
    port = sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", same(5)), pace=1000, ofport=9)
    sw.ports["vm1"].inject(bytes(60))
    assert len(sw.run(limit=50).steps) == 7 and sw.step() is None and (port.waiting, port.due) == (5, 0)
    sw.clock.warp(2)
    assert port.due == 2 and sw.run().sent == 2 and sw.step() is None and port.waiting == 3


def test_a_switch_at_rest_says_that_paced_frames_come_with_the_clock(made, tmp_path):
    sw = made("actions=output:vm2")
    sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", same(5)), pace=1000, ofport=5)
    assert sw.frame()["words"] == "5 frames wait at p: their time comes with the clock, sw.clock.warp(1000)."
    sw.add_port("vm9", ofport=9).inject(bytes(60))
    assert sw.frame()["words"] == "1 frame waits at vm9: STEP takes the first burst."


def test_a_fork_that_drops_a_replaying_port_leaves_the_originals_whole(made, tmp_path):
    sw = made()
    port = sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", same(5)), write=tmp_path / "w.pcap")
    sw.ofctl("add-flow in_port=vm1,actions=output:p")
    fork = sw.fork()
    fork.ports["vm1"].inject(bytes(61))
    fork.run()
    fork.remove_port("p")
    fork.close()
    assert len(port.templates) == 5
    sw.ports["vm1"].inject(bytes(60))
    sw.run()
    assert [frame.data for frame in read(tmp_path / "w.pcap")] == [bytes(60)], "only the original writes"
    sw.remove_port("p")
    assert sw.mempool.free == len(sw.mempool)


def test_a_port_that_cannot_be_made_is_no_ghost(made, tmp_path):
    sw = made("actions=flood", ports=2)
    rows = sw.engine.array("ports").tobytes()
    for options in ({"offloads": ["bogus"]}, {"mtu": 10}, {"mtu": 99999999}, {"mtu": -5}, {"mtu": "x"}, {"type": "pcap", "write": tmp_path},
                    {"type": "pcap", "path": capture(tmp_path / "a.pcap", same(5000))}):
        with pytest.raises((ValueError, OSError, MemoryError), match=r"port c: |directory"):
            sw.add_port("c", **options)
        assert sw.engine.array("ports").tobytes() == rows
    sw.ports["vm1"].inject([bytes(60)] * 10)
    assert sw.run().sent == 10 and sw.mempool.free == len(sw.mempool)


@pytest.mark.parametrize("header", [
    {"flags": 1, "gso_size": "x"}, {"gso_size": 65536}, {"flags": -1}, {"gso_type": 2, "gso_size": 9}, {"gso_type": 1}, [("flags", 1)],
    {"flags": 1, "csum_start": 50, "csum_offset": 9}, {"csum_start": None}])
def test_a_wrong_virtio_header_is_refused_before_anything_is_taken(made, header):
    sw = made("actions=output:vm2")
    before = bytes(sw.engine.arena.bytes)
    with pytest.raises(ValueError, match="vnet_hdr"):
        sw.ports["vm1"].inject([bytes(60), bytes(60)], vnet_hdr=header)
    assert bytes(sw.engine.arena.bytes) == before


# --- forks and stories -------------------------------------------------------------------------------------

@pytest.mark.parametrize("lines", [1, 8, 60])
def test_a_fork_from_inside_a_stage_begins_where_the_stage_does(made, lines):
    sw, twin = made(*RULES), made(*RULES)
    for switch in (sw, twin):
        switch.ports["vm1"].inject(FRAMES[:3])
        for _ in range(5):
            switch.step()
    for _ in range(lines):
        inside = sw.step(into=True)
    before, where = bytes(sw.engine.arena.bytes), inside.line
    fork = sw.fork()
    story = sw.trace(FRAMES[5], in_port="vm3")
    assert bytes(sw.engine.arena.bytes) == before and sw.walk.current() is inside and sw.step(into=True).line != where
    while (went := fork.step()) is not None:
        assert (went.stage, went.change.new.tobytes()) == ((step := twin.step()).stage, step.change.new.tobytes())
    assert twin.step() is None and fork.ports["vm2"].sent[:] == twin.ports["vm2"].sent[:]
    fork.mempool.check()
    sw.run()
    assert differences(memory(sw, without=["serial"]), memory(twin, without=["serial"])) == [] and story.steps
    fork.close()


@pytest.mark.parametrize("steps", [0, 1, 3, 6, 7])
def test_a_story_is_of_its_packet_alone(made, tmp_path, steps):
    sw = made("actions=output:vm2", ports=4)
    sw.add_port("p", type="pcap", path=capture(tmp_path / "a.pcap", same(40)))
    sw.ports["vm1"].inject(same(70))
    for _ in range(steps):
        sw.step()
    before = bytes(sw.engine.arena.bytes)
    for port in ("vm3", "p"):
        story = sw.trace(bytes(75), in_port=port)
        assert story.outputs == {"vm2": 1} and story.steps[0].stage == "receive" and f"{port} handed over a burst of 1" in story.text
        assert {step.before for step in story.steps[1:]} == {1}
    assert bytes(sw.engine.arena.bytes) == before


def test_forks_that_were_closed_let_their_memory_go(made):
    sw = made("actions=output:vm2")
    ranges, told = [], []
    gc.disable()  # as in a process that makes few objects: Python looks for cycles late
    try:
        for _ in range(12):
            told.append(sw.trace(bytes(60)).outputs)
            fork = sw.fork()
            kept = fork.engine.array("mbufs")
            ranges.append(weakref.ref(fork.engine.arena.range))
            fork.close()
        alive = sum(held() is not None for held in ranges)
    finally:
        gc.enable()
    assert alive <= 3 and told == [{"vm2": 1}] * 12
    del fork
    gc.collect()
    assert int(kept["refcnt"].max()) == 0 and ranges[-1]() is not None, "an array that somebody holds keeps its memory"
