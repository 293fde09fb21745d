"""Inside a stage line by line, a stage that fails while stepped, forks, traces, and how far the timeline reaches."""
import pytest
from scenes import udp
from walks import FRAMES, RULES, differences, memory, step_all

from lab.engine.steps.timeline import KEPT
from lab.memory.reasons import STAGE_FAILED
from lab.stages.stage import Stage

# --- into a stage ------------------------------------------------------------------------------------

def test_line_by_line_to_the_end_is_a_step(made):
    a, b = made(*RULES), made(*RULES)
    for sw in (a, b):
        sw.ports["vm1"].inject(FRAMES[:2])
    for _ in range(6):
        step = b.step()
        lines = 0
        while (inside := a.step(into=True)).line is not None:
            assert inside.stage == step.stage
            lines += 1
        assert lines > 3 and (inside.stage, inside.number, inside.sentence) == (step.stage, step.number, step.sentence)
        assert differences(memory(a), memory(b)) == []
        assert len(inside.change) == len(step.change)


@pytest.mark.parametrize("after", [1, 5, 12])
def test_a_step_from_inside_a_stage_finishes_it(made, after):
    a, b = made(*RULES), made(*RULES)
    for sw in (a, b):
        sw.ports["vm1"].inject(FRAMES[:2])
        sw.step()
    for _ in range(after):
        a.step(into=True)
    assert a.step().stage == b.step().stage == "parse"
    assert differences(memory(a), memory(b)) == []


def test_back_inside_a_stage_goes_to_the_line_before_and_then_out(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES[:2])
    sw.step()
    before = memory(sw)
    seen_lines = []
    for _ in range(14):
        step = sw.step(into=True)
        seen_lines.append((step.line["file"], step.line["at"], step.line["locals"], memory(sw)))
    for n in range(12, -1, -1):
        step = sw.back()
        assert (step.line["file"], step.line["at"], step.line["locals"], memory(sw)) == seen_lines[n]
    assert sw.back().stage == "receive" and differences(before, memory(sw)) == [] and len(sw.timeline) == 1
    assert sw.step(into=True).line["at"] == seen_lines[0][1]


def test_injecting_while_inside_a_stage_leaves_it_first(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES[:2])
    sw.step()
    before = memory(sw)
    for _ in range(9):
        sw.step(into=True)
    sw.ports["vm2"].inject(udp(77))
    assert sw.ports["vm2"].waiting == 1
    sw.step()
    sw.back()
    assert [p for p in differences(before, memory(sw)) if p[0] not in ("mbufs", "pool", "rings", "memory")] == []
    sw.run()
    sw.mempool.check()


def test_what_a_stage_in_the_middle_shows_is_what_it_has_done_so_far(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES[:2])
    sizes = []
    while (step := sw.step(into=True)).line is not None:
        sizes.append(len(step.change))
    assert sizes[0] == 0 and sizes == sorted(sizes) and 0 < sizes[-1] <= len(step.change)


# --- a stage that fails --------------------------------------------------------------------------------

def test_a_stage_that_raises_while_stepped_costs_its_burst_and_is_named(made):
    def clumsy(bursts, mbufs):
        """Touches a record that is not there."""
        bursts[0].misses = 1
        mbufs[1 << 40].flow = 0

    sw = made("actions=output:vm2")
    sw.stages["emc"].swap(Stage(clumsy, checked=True))
    sw.ports["vm1"].inject(FRAMES[:4])
    sw.step()
    sw.step()
    before = memory(sw)
    step = sw.step()
    assert "IndexError" in step.error and "clumsy" not in step.stage and step.after == 0
    assert sw.count(STAGE_FAILED) == 4
    sw.mempool.check()
    assert sw.back().stage == "parse" and differences(before, memory(sw)) == []
    sw.stages["emc"].swap(None)
    sw.run()
    assert list(sw.ports["vm2"].sent) == FRAMES[:4]


# --- fork, trace, timeline -------------------------------------------------------------------------------

def test_a_fork_is_the_same_and_from_then_on_independent(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES[:40])
    for _ in range(5):
        sw.step()
    fork = sw.fork()
    try:
        assert differences(memory(sw), memory(fork)) == []
        before = memory(sw)
        fork.run()
        fork.ofctl("del-flows")
        fork.ports["vm1"].inject(FRAMES[:9])
        fork.ports["vm2"].mtu = 99
        assert differences(before, memory(sw)) == [] and len(sw.rules) == 4
        assert sw.ports["vm2"].mtu == 1500 and not len(sw.ports["vm2"].sent)
        after = memory(fork)
        sw.run()
        sw.ofctl("add-flow priority=99,actions=drop")
        sw.ports["vm1"].up = False
        assert differences(after, memory(fork)) == [] and len(fork.rules) == 0 and fork.ports["vm1"].up
    finally:
        fork.close()


def test_a_fork_goes_on_as_its_origin_does(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES)
    for _ in range(9):
        sw.step()
    fork = sw.fork()
    step_all(sw)
    fork.run()
    assert differences(memory(sw), memory(fork)) == []
    assert [list(port.sent) for port in sw.ports.values()] == [list(port.sent) for port in fork.ports.values()]
    fork.close()


def test_a_trace_tells_the_story_and_changes_nothing(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES[:3])
    for _ in range(3):
        sw.step()
    before = bytes(sw.engine.arena.bytes)
    story = sw.trace(udp(2000, 54), in_port="vm3")
    assert bytes(sw.engine.arena.bytes) == before and len(sw.timeline) == 3 and "vm2" in story.text
    assert sw.step().stage == "megaflow"


def test_the_timeline_keeps_the_last_thousand_steps(made):
    sw = made("actions=output:vm2", ports=2)
    last = middle = 0
    while last <= KEPT + 60:
        sw.ports["vm1"].inject([udp(last % 60)] * 3)
        if last > KEPT and not middle:
            middle, before = last, memory(sw)
        last = sw.run().steps[-1].number
    assert [step.number for step in sw.timeline] == list(range(last - KEPT + 1, last + 1))
    assert sw.goto(middle).number == middle
    waits = {"rings", "mbufs", "pool", "memory"}  # the frames that were injected since wait
    assert {place[0] for place in differences(before, memory(sw))} <= waits and sw.ports["vm1"].waiting > 3


@pytest.mark.parametrize("what", ["step", "back", "run", "goto", "fork", "trace"])
def test_what_needs_a_switch_that_stands_says_so(made, what):
    sw = made(*RULES)
    sw.start()
    arguments = {"goto": (1,), "trace": (udp(),)}.get(what, ())
    with pytest.raises(RuntimeError, match=r"sw\.stop\(\)"):
        getattr(sw, what)(*arguments)
    sw.stop()
    assert sw.step() is None


def test_a_flood_that_is_stepped_for_long_does_not_run_dry(made):
    """What a core's pool gives for copies comes back to it, also while nothing but steps moves packets."""
    sw = made("actions=flood")
    for _ in range(60):
        sw.ports["vm1"].inject([udp()] * 32)
        assert sw.run().dropped == 0
    assert len(sw.ports["vm3"].sent) == 60 * 32
