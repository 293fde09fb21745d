"""What was found wrong once in ports, captures, forks, traces and clicks, and must not come back."""
import os

import pytest
from walks import wait_until

from lab.engine import cells
from lab.engine.objects import StageError, cache_folder
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
    from lab.engine import timeline

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
    from lab.engine.timeline import Step

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
