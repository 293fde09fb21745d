"""Stepping and rewinding: all three tempos leave the same memory, and back is exact to the byte."""
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scenes import udp
from walks import FRAMES, RULES, SERIAL, differences, memory, step_all, switch, wait_until

# --- the three tempos ------------------------------------------------------------------------------

@pytest.mark.parametrize("smc", [False, True])
def test_step_and_run_leave_the_same_memory(made, smc):
    a, b = made(*RULES), made(*RULES)
    for sw in (a, b):
        sw.set_option("smc-enable", smc)
        sw.ports["vm1"].inject(FRAMES)
        sw.ports["vm3"].inject(FRAMES[:5])
    stepped, ran = step_all(a), b.run()
    assert differences(memory(a), memory(b)) == []
    assert [step.stage for step in stepped] == [step.stage for step in ran]
    assert [(s.before, s.after, s.reason, s.sentence) for s in stepped] == [(s.before, s.after, s.reason, s.sentence) for s in ran]
    assert [list(port.sent) for port in a.ports.values()] == [list(port.sent) for port in b.ports.values()]


@given(st.lists(st.tuples(st.integers(1, 3), st.lists(st.sampled_from(FRAMES), min_size=1, max_size=40)), min_size=1, max_size=4),
       st.permutations(RULES))
@settings(max_examples=8)
def test_step_and_run_leave_the_same_memory_whatever_comes(bursts, rules):
    a, b = switch(*rules), switch(*rules)
    for sw in (a, b):
        for port, frames in bursts:
            sw.ports[port].inject(frames)
    step_all(a)
    b.run()
    assert differences(memory(a), memory(b)) == []
    a.close()
    b.close()


def seen(sw):
    """What a switch has done, apart from when."""
    flows = sorted((flow.match, flow.actions, flow.packets, flow.bytes, flow.tcp_flags) for flow in sw.megaflows)
    emc = sorted((place, h, flow.ufid) for _, place, h, flow in sw.emc.entries)
    ports = [(p.rx_packets, p.rx_bytes, p.tx_packets, p.tx_bytes, p.rx_drops, p.tx_drops) for p in sw.ports.values()]
    places = {p.name: (c.packets_in, c.packets_out, c.drops) for p in sw.stages.values() if p.name != "receive" and (c := p.counts())}
    return flows, emc, ports, places, sw.counters, [[p.bytes() for p in port.sent] for port in sw.ports.values()]


def test_start_does_what_step_does(made):
    a, b = made(*RULES), made(*RULES)
    for sw in (a, b):
        sw.ports["vm1"].inject(FRAMES)
    step_all(a)
    b.start()
    assert wait_until(lambda: not b.ports["vm1"].waiting and b.counters.get("executed") == len(FRAMES))
    b.stop()
    assert seen(a) == seen(b)


def test_a_switch_that_ran_can_be_stepped_on(made):
    sw = made(*RULES)
    sw.start()
    sw.ports["vm1"].inject(FRAMES)
    assert wait_until(lambda: not sw.ports["vm1"].waiting)
    sw.stop()
    assert len(sw.timeline) == 0
    sw.ports["vm1"].inject(FRAMES[0])
    before = memory(sw)
    assert [step.stage for step in step_all(sw)] == ["receive", "parse", "emc", "actions", "transmit"]
    while sw.back():
        pass
    assert differences(before, memory(sw)) == []


# --- back ------------------------------------------------------------------------------------------

def test_back_restores_every_byte_of_every_step(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES)
    history = []
    while True:
        before = memory(sw)
        if sw.step() is None:
            break
        history.append((before, memory(sw), [len(port.sent) for port in sw.ports.values()]))
    assert len(history) > 20
    for n, (before, _, _) in reversed(list(enumerate(history))):
        step = sw.back()
        assert differences(before, memory(sw)) == [], f"step {n + 1}"
        assert (step is None) == (n == 0) and len(sw.timeline) == n
        assert [len(port.sent) for port in sw.ports.values()] == ([0, 0, 0] if n == 0 else history[n - 1][2])
    assert sw.ports["vm1"].waiting == len(FRAMES)
    for n, (_, after, sent) in enumerate(history):
        assert sw.goto(n + 1).number == n + 1
        assert differences(after, memory(sw)) == [] and [len(port.sent) for port in sw.ports.values()] == sent


def test_back_with_nothing_to_take_back_changes_nothing(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES[:3])
    sw.clock.warp(500)
    before = memory(sw)
    assert sw.back() is None and differences(before, memory(sw)) == [] and sw.clock.ms == 500
    sw.step()
    assert sw.back() is None and differences(before, memory(sw)) == []


def test_back_after_the_switch_came_to_rest_is_exact(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(FRAMES[:3])
    before = []
    for _ in range(6):
        before.append(memory(sw))
        sw.step()
    step_all(sw)
    had = len(sw.megaflows)
    sw.clock.warp(60_000)  # every megaflow is idle now
    assert sw.step() is None
    sw.ports["vm1"].inject(bytes(60))
    assert sw.step().stage == "receive" and had > 0 and len(sw.megaflows) == 0
    while len(sw.timeline) > 5:
        sw.back()
    assert sw.clock.ms == 60_000 and len(sw.megaflows) > 0 and sw.ports["vm1"].waiting == 1
    # the frame that waits, and the time
    assert {place[0] for place in differences(before[5], memory(sw))} == {"mbufs", "pool", "rings", "lane"}


def test_back_across_an_injection_keeps_the_frame_waiting(made):
    sw = made(*RULES)
    vm1 = sw.ports["vm1"]
    vm1.inject(udp(1))
    sw.step()
    sw.step()
    vm1.inject([udp(2), udp(3)])
    assert vm1.waiting == 2
    assert sw.back().number == 1 and vm1.waiting == 2
    assert sw.back() is None and vm1.waiting == 3
    sw.run()
    assert list(sw.ports["vm2"].sent) == [udp(1), udp(2), udp(3)]


def test_back_across_a_rule_keeps_the_rule_and_forgets_what_it_made_untrue(made):
    sw = made("actions=output:vm2")
    sw.ports["vm1"].inject(udp())
    while sw.step().stage != "upcall":
        pass
    sw.ofctl("add-flow priority=65000,udp,actions=output:vm3")
    assert sw.back().stage == "megaflow" and len(sw.rules) == 2 and len(sw.megaflows) == 0
    sw.run()
    assert (len(sw.ports["vm2"].sent), len(sw.ports["vm3"].sent)) == (0, 1)


@pytest.mark.parametrize("stage", ["parse", "emc", "upcall", "actions"])
@pytest.mark.parametrize("new", ["drop", "output:vm3,output:vm3", "mod_nw_ttl:3,mod_tp_src:9,mod_tp_dst:8,output:vm3"])
def test_a_rule_that_changes_under_a_packet_in_hand_is_followed_wholly_or_not_at_all(made, stage, new):
    sw = made("udp,actions=mod_vlan_vid:7,output:vm2")
    sw.ports["vm1"].inject([udp(), udp(2)])
    while sw.step().stage != stage:
        pass
    sw.ofctl("del-flows")
    sw.ofctl(f"add-flow udp,actions={new}")
    sw.run()
    went = {name: [p.bytes() for p in port.sent] for name, port in sw.ports.items() if len(port.sent)}
    tagged = [frame[:12] + bytes.fromhex("81000007") + frame[12:] for frame in (udp(), udp(2))]
    if "vm2" in went:
        assert went == {"vm2": tagged}
    elif new == "drop":
        assert went == {}
    else:
        copies = new.count("vm3")
        assert list(went) == ["vm3"] and len(went["vm3"]) == 2 * copies
        assert copies == 2 or all(frame[22] == 3 and frame[34:38] == bytes([0, 9, 0, 8]) for frame in went["vm3"])
    sw.mempool.check()


def test_sent_shrinks_when_a_transmission_is_taken_back(made):
    sw = made("actions=flood")
    sw.ports["vm1"].inject(FRAMES[:3])
    step_all(sw)
    assert [len(sw.ports[p].sent) for p in ("vm2", "vm3")] == [3, 3]
    sw.back()
    assert [len(sw.ports[p].sent) for p in ("vm2", "vm3")] == [3, 0] and sw.ports["vm3"].sent.total == 0
    sw.back()
    assert [len(sw.ports[p].sent) for p in ("vm2", "vm3")] == [0, 0]
    step_all(sw)
    assert list(sw.ports["vm3"].sent) == FRAMES[:3]


def test_going_forward_again_is_not_offered_once_something_else_was_done(made):
    sw = made("actions=flood")
    sw.ports["vm1"].inject(FRAMES[:3])
    step_all(sw)
    while sw.back():
        pass
    sw.ports["vm1"].inject(FRAMES[3:6])
    before = memory(sw)
    assert sw.goto(5) is None and differences(before, memory(sw)) == []
    sw.run()
    assert list(sw.ports["vm2"].sent) == FRAMES[:6]


def test_looking_at_rules_does_not_take_the_way_forward(made):
    sw = made("actions=flood")
    sw.ports["vm1"].inject(FRAMES[:3])
    steps = [sw.step() for _ in range(8)]
    after = memory(sw)
    sw.back()
    sw.back()
    sw.ofctl("dump-flows")
    assert sw.goto(len(steps)).number == len(steps) and differences(after, memory(sw)) == []


ORDERS = st.lists(st.one_of(
    st.tuples(st.just("inject"), st.integers(1, 3), st.lists(st.sampled_from(FRAMES), min_size=1, max_size=6)),
    st.tuples(st.just("step"), st.integers(1, 9)), st.tuples(st.just("back"), st.integers(1, 9)), st.tuples(st.just("run")),
    st.tuples(st.just("rule"), st.sampled_from(RULES)), st.tuples(st.just("forget"), st.just("")),
    st.tuples(st.just("warp"), st.sampled_from([100, 1500, 20_000]))), max_size=12)


def obey(sw, order):
    """Do what an order says; for steps, see that each can be taken back exactly."""
    if order[0] == "inject":
        sw.ports[order[1]].inject(order[2])
    elif order[0] == "step":
        for _ in range(order[1]):
            before = memory(sw)
            if sw.step() is None:
                break
            after = memory(sw)
            sw.back()
            assert differences(before, memory(sw)) == []
            sw.goto(len(sw.timeline) + 1)
            assert differences(after, memory(sw)) == []
    elif order[0] == "back":
        for _ in range(order[1]):
            sw.back()
    elif order[0] == "run":
        sw.run()
    elif order[0] == "rule":
        sw.ofctl(f"add-flow {order[1]}")
    elif order[0] == "forget":
        sw.ofctl("del-flows")
    else:
        sw.clock.warp(order[1])
    sw.mempool.check()


@given(ORDERS)
@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_going_all_the_way_back_leaves_what_people_did_and_nothing_else(orders):
    sw, twin = switch(), switch()
    for order in orders:
        obey(sw, order)
    while sw.timeline.last is not None:
        sw.back()
    for order in orders:
        if order[0] in ("inject", "rule", "forget"):
            obey(twin, order)
    a, b = (memory(s, without=(SERIAL, "now")) for s in (sw, twin))
    assert [place for place in differences(a, b) if place[0] not in ("lane", "rule_stats")] == []
    lanes = [[int(s.engine.array("lane", n)[f][0]) for n in (1,) for f in ("phase", "pending", "epoch")] for s in (sw, twin)]
    assert lanes[0] == lanes[1]
    for s in (sw, twin):
        s.run()
    assert [sorted(bytes(p) for p in port.sent) for port in sw.ports.values()] == [
        sorted(bytes(p) for p in port.sent) for port in twin.ports.values()]
    sw.close()
    twin.close()
