"""Clicks: one queue, one thread that obeys, and a frame for whoever watches, whatever becomes of the order."""
import queue
import time

import pytest

from lab import Switch


@pytest.fixture
def switch():
    switch = Switch("br0")
    switch.add_port("vm1")
    switch.add_port("vm2")
    switch.ofctl("add-flow actions=output:vm2")
    switch.ports["vm1"].inject(bytes(60))
    yield switch
    switch.close()


@pytest.fixture
def told(switch):
    """The frames that a watcher gets."""
    frames = queue.SimpleQueue()
    switch.watch(frames.put)
    return lambda: frames.get(timeout=20)


def test_each_order_is_answered_by_one_frame_with_its_number(switch, told):
    switch.engine.pipeline.load()
    for number, (what, stage) in enumerate([("step", "receive"), ("step", "parse"), ("back", "receive"), ("run", "transmit")], 1):
        switch.commands.put({"do": what, "id": number})
        frame = told()
        assert (frame["echo"], frame["stage"], frame["note"]) == (number, stage, "")
    switch.commands.put({"do": "goto", "to": 2, "id": 9})
    assert told()["stage"] == "parse"


def test_what_goes_wrong_is_told_in_the_frame_and_the_next_order_is_obeyed(switch, told):
    switch.commands.put({"do": "jump", "id": 1})
    frame = told()
    assert frame["note"] == "no order is called 'jump': there are step, back, into, run, goto" and frame["echo"] == 1
    switch.commands.put({"do": "step", "id": 2})
    assert told()["stage"] == "receive"


def test_what_a_cell_does_is_shown_once_with_no_number(switch, told):
    switch.step()
    frame = told()
    assert frame["stage"] == "receive" and "echo" not in frame


def test_the_newest_watcher_is_told_first_and_one_that_has_left_not_at_all(switch):
    heard = []
    left = switch.watch(lambda frame: heard.append("left"))
    switch.watch(lambda frame: heard.append("older"))
    switch.watch(lambda frame: heard.append("newer"))
    left()
    switch.step()
    assert heard == ["newer", "older"]


def test_a_run_that_must_be_compiled_first_says_so_meanwhile(switch, told, monkeypatch):
    load = switch.engine.pipeline.load

    def slow(progress=None):
        if not switch.engine.pipeline.loaded:
            time.sleep(1.2)
            progress(1, 13, "emc")
        load(progress)

    monkeypatch.setattr(switch.engine.pipeline, "load", slow)
    switch.commands.put({"do": "run", "id": 1})
    notes = [told()["note"], told()["note"]]
    assert notes == ["compiling the stages, once", "compiling the stages, once: 1 of 13, emc"]
    while (frame := told()).get("echo") != 1:
        assert frame["note"].startswith("compiling")
    assert frame["stage"] == "transmit" and frame["note"] == ""
