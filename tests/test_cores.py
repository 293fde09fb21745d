"""Cores at work: they start and stop, keep order, lose nothing, outlive every stage, and see changes at once and whole."""
import itertools
import threading
import time
from collections import Counter

import pytest
import wild_stages as wild
from scenes import udp
from walks import wait_until

from lab import Switch
from lab.engine.code.objects import StageError
from lab.memory.reasons import BY_STAGE, PORT_REMOVED, STAGE_FAILED, STAGE_FAULTED, STAGE_LOOPED
from lab.ports.capture import Writer
from lab.stages.burst import drop
from lab.stages.emc import emc
from lab.stages.stage import Stage

SPORT = slice(34, 36)


@pytest.fixture
def sw(request):
    """A switch with two cores and ports vm1 to vm4: vm1 and vm3 are served by core 1, vm2 and vm4 by core 2."""
    made = Switch(cores=2, fail_mode="secure")
    for n in range(1, 5):
        made.add_port(f"vm{n}")
    made.set_option("emc-insert-inv-prob", 1)
    made.ofctl("add-flow in_port=1,actions=output:vm3")
    made.ofctl("add-flow in_port=2,actions=output:vm4")
    yield made
    made.close()


def numbered(count, sport=None):
    """Frames of 8 flows (or one), each with its number in its last bytes."""
    return [udp(sport or 2000 + n % 8)[:-4] + n.to_bytes(4, "big") for n in range(count)]


def number_of(frame):
    return int.from_bytes(bytes(frame)[-4:], "big")


def feed(port, frames, most=500):
    """Inject frames as fast as the port takes them and control collects what was sent."""
    for at in range(0, len(frames), most):
        assert wait_until(lambda: not port.waiting)
        assert all(len(other.sent) >= 0 for other in port.switch.ports.values())
        assert port.inject(frames[at:at + most]) == len(frames[at:at + most])


# --- starting and stopping -------------------------------------------------------------------------

def test_every_port_has_a_core_and_the_cores_run_until_stopped(sw):
    assert [pmd.ports for pmd in sw.pmds] == [[1, 3], [2, 4]] and not any(pmd.running for pmd in sw.pmds)
    sw.start()
    assert all(pmd.running for pmd in sw.pmds) and sw.start() is sw
    sw.stop()
    assert not any(pmd.running for pmd in sw.pmds) and sw.stop() is sw


def test_starting_and_stopping_many_times_leaves_nothing_behind(sw):
    threads = threading.active_count()
    for n in range(15):
        sw.start()
        sw.ports["vm1"].inject(udp(n))
        if n % 2:
            assert wait_until(lambda n=n: len(sw.ports["vm3"].sent) > n)
        sw.stop()
    sw.run()
    assert threading.active_count() == threads and len(sw.ports["vm3"].sent) == 15
    sw.mempool.check()


def test_both_cores_forward_at_once(sw):
    sw.start()
    feed(sw.ports["vm1"], numbered(3000))
    feed(sw.ports["vm2"], numbered(3000))
    assert wait_until(lambda: len(sw.ports["vm3"].sent) == len(sw.ports["vm4"].sent) == 3000)
    sw.stop()


def test_the_order_within_a_flow_is_kept(sw):
    sw.ofctl("add-flow priority=40000,udp,tp_src=2003,actions=mod_vlan_vid:3,output:vm3,output:vm4")
    sw.start()
    feed(sw.ports["vm1"], numbered(6000))
    assert wait_until(lambda: len(sw.ports["vm3"].sent) == 6000)
    sw.stop()
    for port, flows in (("vm3", 8), ("vm4", 1)):
        came = {}
        for frame in sw.ports[port].sent:
            data = frame.bytes()
            sport = data[38:40] if data[12:14] == b"\x81\x00" else data[SPORT]
            came.setdefault(sport, []).append(number_of(data))
        assert len(came) == flows and all(numbers == sorted(numbers) and len(numbers) == 750 for numbers in came.values())


def test_a_stopped_switch_goes_on_where_it_was(sw):
    sent = 0
    for _ in range(10):
        sw.start()
        sw.ports["vm1"].inject(numbered(300))
        sw.stop()
        sent += 300
    while sw.step() is not None:
        pass
    assert len(sw.ports["vm3"].sent) == sent and sw.ports["vm1"].rx_packets == sent


def test_the_clock_follows_real_time_while_started_and_stands_otherwise(sw):
    sw.start()
    began = sw.clock.ms
    time.sleep(0.05)
    assert wait_until(lambda: sw.clock.ms > began + 30)
    sw.stop()
    stands = sw.clock.ms
    time.sleep(0.01)
    assert sw.clock.ms == stands


# --- stages that go wrong ----------------------------------------------------------------------------

WAYS = {wild.loops: "never ended", wild.faults: "not mapped", wild.writes_far: "not mapped", wild.raises: "raised",
        wild.raises_checked: "raised", wild.loops_checked: "raised", wild.out_of_range: "raised"}


@pytest.mark.parametrize("stage", WAYS, ids=lambda stage: stage.name)
def test_a_stage_that_goes_wrong_is_named_and_costs_its_burst_alone(sw, stage):
    sw.stages["emc"].swap(stage)
    sw.ports["vm1"].inject([udp(wild.POISON)] * 3)
    sw.start()
    feed(sw.ports["vm2"], numbered(200))
    assert wait_until(lambda: sw.cores.failures, 10)
    failure = sw.cores.failures[-1]
    assert (failure.core, failure.stage) == (1, stage.name) and WAYS[stage] in failure.why and failure.lost == 3, str(failure)
    feed(sw.ports["vm2"], numbered(200))
    feed(sw.ports["vm1"], numbered(200))
    assert wait_until(lambda: len(sw.ports["vm4"].sent) == 400 and len(sw.ports["vm3"].sent) == 200)
    assert all(pmd.running for pmd in sw.pmds)
    sw.stop()
    assert sum(sw.count(reason) for reason in (STAGE_FAILED, STAGE_FAULTED, STAGE_LOOPED)) == 3
    sw.mempool.check()


def test_a_stage_that_recurses_never_reaches_a_core(sw):
    sw.start()
    with pytest.raises(StageError, match=r"recurses.*calls itself"):
        sw.stages["emc"].swap(wild.recurses)
    feed(sw.ports["vm1"], numbered(100))
    assert wait_until(lambda: len(sw.ports["vm3"].sent) == 100) and "swapped" not in repr(sw.stages["emc"])


def test_both_cores_outlive_a_stage_that_takes_both(sw):
    for stage in (wild.loops, wild.faults):
        sw.stages["emc"].swap(stage)
        known = len(sw.cores.failures)
        sw.ports["vm1"].inject([udp(wild.POISON)] * 2)
        sw.ports["vm2"].inject([udp(wild.POISON)] * 2)
        sw.start()
        assert wait_until(lambda known=known: len(sw.cores.failures) == known + 2, 15)
        assert {(f.core, f.stage) for f in sw.cores.failures[known:]} == {(1, stage.name), (2, stage.name)}
        sent = len(sw.ports["vm3"].sent), len(sw.ports["vm4"].sent)
        feed(sw.ports["vm1"], numbered(50))
        feed(sw.ports["vm2"], numbered(50))
        assert wait_until(lambda sent=sent: (len(sw.ports["vm3"].sent), len(sw.ports["vm4"].sent)) == (sent[0] + 50, sent[1] + 50))
        sw.stop()
        sw.mempool.check()


def test_twenty_rounds_of_looping_and_faulting_are_each_named_within_a_second_and_lose_nothing(sw):
    times = []
    for n in range(20):
        stage = (wild.loops, wild.faults)[n % 2]
        sw.stages["emc"].swap(stage)
        known = len(sw.cores.failures)
        sw.ports["vm1"].inject([udp(wild.POISON)] * (1 + n) + [udp(size=5000)])
        sw.start()
        began = time.monotonic()
        assert wait_until(lambda known=known: len(sw.cores.failures) > known, 15)
        times.append(time.monotonic() - began)
        assert sw.cores.failures[-1].stage == stage.name and sw.cores.failures[-1].lost == n + 2
        sw.ports["vm2"].inject(numbered(5))
        assert wait_until(lambda n=n: len(sw.ports["vm4"].sent) == 5 * (n + 1))
        sw.stop()
        sw.mempool.check()
    assert sorted(times)[len(times) // 4] < 1.0  # not all of them: other programs may have the processor


def test_stop_returns_while_a_stage_never_ends(sw):
    sw.stages["emc"].swap(wild.loops)
    for _ in range(3):
        sw.ports["vm1"].inject([udp(wild.POISON)] * 2)
        sw.ports["vm2"].inject([udp(wild.POISON)] * 2)
        sw.start()
        assert wait_until(lambda: not sw.ports["vm1"].waiting and not sw.ports["vm2"].waiting)
        sw.stages["emc"].swap(wild.loops)  # a watcher that was quicker put the original back
        sw.stop()
        sw.mempool.check()
    assert not any(pmd.running for pmd in sw.pmds) and sw.count(STAGE_LOOPED) == 12


@pytest.mark.parametrize("side", ["ingress", "egress"])
def test_a_stage_on_an_arc_that_fails_is_taken_off_and_its_packets_are_returned(sw, side):
    def clumsy(bursts, mbufs):
        """Fails at the third packet of a burst."""
        for k in range(bursts[0].n):
            mbufs[bursts[0].pkt[k]].mark = 5
            if k == 2:
                mbufs[len(mbufs)].mark = 1

    port = sw.ports["vm1" if side == "ingress" else "vm3"]
    getattr(port, side).append(Stage(clumsy, checked=True))
    sw.ofctl("add-flow priority=40000,udp,tp_src=7,actions=output:vm3,output:vm3,output:vm3,output:vm2")
    sw.start()
    sw.ports["vm1"].inject([udp(7, size=3000)] * 20)
    assert wait_until(lambda: sw.count(STAGE_FAILED) > 0 and not sw.ports["vm1"].waiting)
    sw.stop()
    while sw.step() is not None:
        pass
    sw.mempool.check()
    assert sw.cores.failures[-1].stage == "clumsy" and not len(sw.ports["vm3"].sent)


def test_a_stage_on_the_egress_arc_may_drop_in_every_batch(sw):
    def every_other(bursts, mbufs):
        """Drops the packets at odd places."""
        burst = bursts[0]
        for k in range(1, burst.n, 2):
            drop(burst, mbufs[burst.pkt[k]], k, BY_STAGE, 0, 0)

    sw.ports["vm3"].egress.append(every_other)
    for go in (sw.run, lambda: (sw.start(), wait_until(lambda: not sw.ports["vm1"].waiting), sw.stop())):
        sw.ports["vm3"].sent.clear()
        sw.ports["vm1"].inject(numbered(64))
        go()
        assert [number_of(frame) for frame in sw.ports["vm3"].sent] == list(range(0, 64, 2))
        sw.mempool.check()


# --- swapping on live traffic -----------------------------------------------------------------------

def test_swapping_stages_on_live_traffic_loses_not_one_packet(sw, tmp_path):
    path = tmp_path / "frames.pcap"
    with Writer(path) as out:
        for frame in numbered(64):
            out.write(frame)
    sw.add_port("in", type="pcap", path=path, loop=True)
    sw.add_port("out", type="pcap", sink=True)
    sw.ofctl("add-flow priority=40000,in_port=in,actions=output:out")
    sw.start()
    others = {"emc": [wild.quiet, Stage(emc.function, checked=True), None]}
    for n in range(60):
        sw.stages["emc"].swap(others["emc"][n % 3])
        time.sleep(0.003)
    assert wait_until(lambda: sw.ports["out"].tx_packets > 20_000)
    sw.stop()
    while sw.ports["in"].rx_packets != sw.ports["out"].tx_packets and sw.step() is not None:
        pass
    assert sw.ports["in"].rx_packets == sw.ports["out"].tx_packets and sw.cores.failures == []
    assert not [code for code in sw.counters if code.startswith("dropped")]


# --- ports that come and go -----------------------------------------------------------------------------

def balance(sw):
    """Frames that were taken in and what became of them."""
    return sum(port.rx_packets for port in sw.ports.values())


def test_a_port_removed_while_frames_run_to_it_and_from_it_loses_no_mbuf(sw):
    sw.start()
    for n in range(12):
        sw.add_port("guest", ofport=9)
        sw.ofctl("add-flow priority=50000,udp,in_port=1,actions=output:guest,output:vm3")
        sw.ofctl("add-flow priority=50000,in_port=9,actions=output:vm3,output:vm4")
        for _ in range(4):
            sw.ports["vm1"].inject([udp(2000 + n, size=60 + 800 * (n % 4))] * 60)
            sw.ports["guest"].inject([udp(3000)] * 200)
        sw.remove_port("guest")
    assert wait_until(lambda: not sw.ports["vm1"].waiting)
    sw.stop()
    while sw.step() is not None:
        pass
    sw.mempool.check()
    assert "guest" not in sw.ports and sw.cores.failures == []
    assert len(sw.ports["vm3"].sent) >= 12 * 240


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_port_removed_under_packets_in_hand_drops_them_with_a_reason(sw, steps):
    sw.ports["vm1"].inject(numbered(3))
    sw.ports["vm3"].inject(numbered(2))
    for _ in range(steps):
        sw.step()
    left = len(sw.ports["vm3"].sent)
    waited = sw.remove_port("vm3")
    sw.add_port("new", ofport=3)
    sw.run()
    sw.mempool.check()
    assert waited == (2 if steps < 8 else 0)
    to_new = len(sw.ports["new"].sent)
    assert (left, to_new) == ((0, 3) if steps < 6 else (0, 0) if steps == 6 else (3, 0))
    assert sw.count(PORT_REMOVED) == waited + (3 if steps == 6 else 0)
    assert left + to_new + sum(n for code, n in sw.counters.items() if code.startswith("dropped")) == 5


def test_ports_added_while_running_are_served(sw):
    sw.start()
    for n in range(8):
        port = sw.add_port(f"late{n}")
        sw.ofctl(f"add-flow priority=50000,in_port={port.ofport},actions=output:vm3")
        port.inject(numbered(10))
    assert wait_until(lambda: len(sw.ports["vm3"].sent) == 80)
    assert {port.lane for port in sw.ports.values()} == {1, 2}


# --- rules that change ---------------------------------------------------------------------------------------

def test_a_rule_counts_from_the_moment_its_command_returns(sw):
    sw.start()
    late = []
    for n in range(40):
        tag = n % 4000 + 1
        sw.ofctl(f"add-flow in_port=1,actions=mod_vlan_vid:{tag},output:vm3")
        began = time.monotonic()
        sw.ports["vm1"].inject(udp(2000 + n % 3))
        assert wait_until(lambda n=n: len(sw.ports["vm3"].sent) == n + 1)
        late.append(time.monotonic() - began)
        assert sw.ports["vm3"].sent[n].bytes()[14:16] == tag.to_bytes(2, "big")
    assert sorted(late)[len(late) // 2] < 0.1


def test_a_change_of_rules_is_never_seen_half(sw):
    """Two rules change together, over and over, while packets of both run: no packet has one's tag and the other's port."""
    pairs = {"1": "mod_vlan_vid:1,mod_nw_ttl:11,output:vm3", "2": "mod_vlan_vid:2,mod_nw_ttl:22,output:vm4"}
    ends = threading.Event()
    feeder = threading.Thread(target=lambda: [feed(sw.ports["vm1"], numbered(64), 64) for _ in iter(ends.is_set, True)])
    sw.ofctl(f"add-flow in_port=1,actions={pairs['2']}")
    sw.start()
    feeder.start()
    try:
        for n in itertools.count():
            if n % 5 == 0:
                sw.ofctl("del-flows in_port=1")
            sw.ofctl(f"add-flow in_port=1,actions={pairs[str(1 + n % 2)]}")
            if n > 60 and all(len(sw.ports[name].sent) for name in ("vm3", "vm4")):
                break
    finally:
        ends.set()
        feeder.join()
    assert wait_until(lambda: not sw.ports["vm1"].waiting)
    sw.stop()
    for name, tag, ttl in (("vm3", 1, 11), ("vm4", 2, 22)):
        seen = Counter((p.bytes()[14:16], p.bytes()[26]) for p in sw.ports[name].sent)
        assert set(seen) == {(tag.to_bytes(2, "big"), ttl)}, seen
    sw.mempool.check()


# --- a pool that runs empty ------------------------------------------------------------------------------------

def test_a_pool_that_runs_empty_is_counted_and_recovers(sw):
    for n in range(5, 30):
        sw.add_port(f"vm{n}")
    sw.ofctl("add-flow priority=50000,in_port=1,actions=flood")
    sw.ports["vm1"].inject([udp(1, size=9000)] * 300)
    for port in sw.ports.values():
        port.mtu = 9000
    sw.start()
    assert wait_until(lambda: not sw.ports["vm1"].waiting)
    sw.stop()
    while sw.step() is not None:
        pass
    empty = sw.counters.get("dropped: mempool empty", 0)
    assert empty > 0
    sw.mempool.check()
    sw.ofctl("del-flows in_port=1")
    sw.ofctl("add-flow in_port=1,actions=output:vm3")
    sw.ports["vm3"].sent.clear()
    sw.start()
    feed(sw.ports["vm1"], numbered(2000))
    assert wait_until(lambda: len(sw.ports["vm3"].sent) == 2000)
    assert sw.counters["dropped: mempool empty"] == empty


def test_injecting_into_an_empty_pool_says_so_and_is_possible_again_later(sw):
    port = sw.ports["vm1"]
    with pytest.raises(MemoryError, match=r"mempool is empty.*size='large'"):
        for _ in itertools.repeat(None):
            port.inject([bytes(60000)] * 30)
    assert port.rx_drops >= 1 and sw.counters["dropped: mempool empty"] >= 1
    port.mtu = 1500
    sw.run()
    sw.mempool.check()
    assert port.inject([bytes(60)] * 100) == 100
