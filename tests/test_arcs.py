"""Arcs of a port: stages that are appended, inserted, removed; what they drop; what becomes of one that fails."""
import pytest
from port_frames import numbered, out
from walks import wait_until

from lab.memory.raw import load8, store8
from lab.memory.reasons import BY_STAGE
from lab.stages.burst import drop
from lab.stages.regions import ARC
from lab.stages.stage import stage


@pytest.fixture
def sw(made):
    return made("actions=output:vm2")


def first(bursts, mbufs, memory):
    """Write 1 into the first byte of every packet."""
    for k in range(bursts[0].n):
        m = mbufs[bursts[0].pkt[k]]
        store8(memory, m.buf + m.data_off, load8(memory, m.buf + m.data_off) * 10 + 1)


def second(bursts, mbufs, memory):
    """Append 2 to the number in the first byte of every packet."""
    for k in range(bursts[0].n):
        m = mbufs[bursts[0].pkt[k]]
        store8(memory, m.buf + m.data_off, load8(memory, m.buf + m.data_off) * 10 + 2)


def lose_odd(bursts, mbufs):
    """Drop every packet of odd length."""
    for k in range(bursts[0].n):
        m = mbufs[bursts[0].pkt[k]]
        if m.pkt_len & 1 != 0:
            drop(bursts[0], m, k, BY_STAGE, 0, 0)


def lose_even(bursts, mbufs):
    """Drop every packet of even length."""
    for k in range(bursts[0].n):
        m = mbufs[bursts[0].pkt[k]]
        if m.pkt_len & 1 == 0:
            drop(bursts[0], m, k, BY_STAGE, 0, 0)


def stumble(bursts, mbufs):
    """Look for a packet where there is none."""
    bursts[0].n = mbufs[len(mbufs) + bursts[0].n].pkt_len


@stage(checked=False)
def crash(bursts, memory):
    """Read where nothing is mapped."""
    bursts[0].n = load8(memory, 1 << 45)


def first_bytes(sw, frames):
    sw.ports["vm2"].sent.clear()
    sw.ports["vm1"].inject(frames)
    sw.run()
    return [packet.bytes()[0] for packet in sw.ports["vm2"].sent]


def test_an_arc_runs_its_stages_in_order_on_its_own_side_of_its_own_port(sw):
    vm1, vm2, vm3 = sw.ports.values()
    assert repr(vm1.ingress) == "<ingress arc of vm1: empty>"
    place = vm1.ingress.append(first)
    assert place.name == "vm1.ingress.first" and sw.stages["first"] is place and len(vm1.ingress) == 1
    assert first_bytes(sw, numbered(2)) == [1, 1]
    vm1.ingress.append(second)
    assert first_bytes(sw, numbered(2)) == [12, 12] and repr(vm1.ingress) == "<ingress arc of vm1: vm1.ingress.first → vm1.ingress.second>"
    vm1.ingress.remove("first")
    vm1.ingress.insert(1, first)
    assert first_bytes(sw, numbered(1)) == [21]
    vm1.ingress.clear()
    vm2.egress.append(first)
    vm2.ingress.append(second), vm3.egress.append(second), vm1.egress.append(second)
    before = sw.stages["vm2.egress.first"].counts().packets_in  # a number given again goes on counting
    assert first_bytes(sw, numbered(1)) == [1] and [p.name for p in vm2.egress] == ["vm2.egress.first"]
    assert (sw.stages["vm2.egress.first"].counts().packets_in, sw.stages["vm1.egress.second"].counts().packets_in) == (before + 1, 0)


def test_what_an_arc_drops_is_counted_with_its_reason_and_the_rest_goes_on(sw):
    places = [sw.ports["vm1"].ingress.append(lose_odd), sw.ports["vm2"].egress.append(lose_even)]
    assert out(sw, [bytes(n) for n in (60, 61, 62, 63, 65, 66)]) == []
    assert [(p.counts().packets_in, p.counts().drops) for p in places] == [(6, 3), (3, 3)] and sw.count(BY_STAGE) == 6
    sw.ports["vm2"].egress.remove(lose_even.__name__)
    assert out(sw, [bytes(n) for n in (60, 61, 62)]) == [bytes(60), bytes(62)]


def test_mistakes_with_an_arc_are_named_and_leave_it_as_it_was(sw):
    arc = sw.ports["vm1"].ingress

    def stranger(bursts, nowhere):
        """Ask for a region that is not there."""
    with pytest.raises(ValueError, match="stage stranger: parameter 'nowhere' names no region"):
        arc.append(stranger)
    with pytest.raises(ValueError, match="'first' is not on the ingress arc of vm1: there are"):
        arc.remove("first")
    for _ in range(ARC):
        arc.append(first)
    with pytest.raises(ValueError, match=f"the ingress arc of vm1 has {ARC} stages, which is all it holds: remove one"):
        arc.append(second)
    assert len(arc) == ARC and first_bytes(sw, [bytes(60)]) == [int("1" * ARC) & 255]
    arc.clear()
    assert len(arc) == 0 and first_bytes(sw, [bytes(60)]) == [0]


def test_numbers_of_stages_that_left_their_arc_are_given_again(sw):
    arc = sw.ports["vm1"].ingress
    for _ in range(100):
        arc.remove(arc.append(first))
    assert len(sw.engine.pipeline.places) < 30 and first_bytes(sw, [bytes(60)]) == [0]


@pytest.mark.parametrize(("port", "side"), [("vm1", "ingress"), ("vm2", "egress")])
def test_a_stage_that_fails_costs_its_burst_when_stepped_and_is_named(sw, port, side):
    getattr(sw.ports[port], side).append(stumble)
    assert out(sw, numbered(2)) == []
    failed = next(step for step in sw.timeline if step.stage == f"{port}.{side}.stumble")
    assert failed.reason == "dropped: stage failed" and failed.lost == 2 and "stumble" in failed.sentence
    sw.stages["stumble"].swap(None)
    assert len(getattr(sw.ports[port], side)) == 0 and out(sw, numbered(2)) == numbered(2)


@pytest.mark.parametrize(("port", "side"), [("vm1", "ingress"), ("vm2", "egress")])
def test_a_stage_that_faults_on_a_core_is_taken_off_its_arc_and_the_core_goes_on(sw, port, side):
    arc = getattr(sw.ports[port], side)
    arc.append(crash)
    arc.append(first)
    sw.ports["vm1"].inject(numbered(2))  # before the core runs, so that they are one burst
    sw.start()
    assert wait_until(lambda: len(arc) == 1)
    sw.ports["vm1"].inject(numbered(3))
    assert wait_until(lambda: len(sw.ports["vm2"].sent) == 3)
    sw.stop()
    assert [p.stage.name for p in arc] == ["first"] and [p.bytes()[0] for p in sw.ports["vm2"].sent] == [1, 1, 1]
    assert sw.counters["dropped: stage faulted"] == 2 and "crash" in str(sw.cores.failures[0])
