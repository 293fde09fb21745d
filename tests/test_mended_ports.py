"""What was found wrong once in ports, captures, forks, traces and clicks, and must not come back."""
import pytest
from walks import wait_until

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
