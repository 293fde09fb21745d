"""GRO in a whole switch: merged on either arc, whole at a port that takes it, cut back to the same bytes at one that does not."""
import pytest
from gro_scene import tcp
from walks import wait_until

from lab import Switch

FRAMES = [tcp(1000 + 100 * k, bytes([65 + k]) * 100, ident=5 + k) for k in range(10)]
MANY = [tcp(1000, b"x" * 10, sport=sport) for sport in range(100, 200)]


@pytest.fixture(params=["ingress", "egress"])
def sw(request):
    switch = Switch(fail_mode="secure")
    here, there = {"gro": "linux", "gro_arc": request.param}, {}
    if request.param == "egress":
        here, there = there, here
    switch.add_port("vm1", **here)
    switch.add_port("vm2", **there)
    switch.ofctl("add-flow actions=output:2")
    yield switch
    switch.close()


def left(sw):
    """What vm2 was sent, in order."""
    frames = [packet.bytes() for packet in sw.ports["vm2"].sent]
    sw.ports["vm2"].sent.clear()
    return frames


@pytest.mark.parametrize("stepped", [True, False])
def test_a_train_is_one_packet_for_a_port_that_takes_it_and_itself_again_for_one_that_does_not(sw, stepped):
    vm1, vm2 = sw.ports.values()
    for offloads, sizes in ((set(vm2.offloads), [1054]), ((), [154] * 10)):
        for name in set(vm2.offloads) - set(offloads):
            vm2.offloads.remove(name)
        vm1.inject(FRAMES)
        while stepped and sw.step() is not None:
            pass
        sw.run()
        found = left(sw)
        assert list(map(len, found)) == sizes
    assert found == FRAMES
    assert sw.mempool.free == len(sw.mempool)


def test_more_flows_than_a_burst_all_leave_at_a_pause(sw):
    sw.ports["vm1"].inject(MANY)
    sw.run()
    assert sorted(left(sw)) == sorted(MANY) and sw.mempool.free == len(sw.mempool)


def test_on_a_running_core_the_timeout_lets_go(sw):
    sw.start()
    sw.ports["vm1"].inject(MANY)
    assert wait_until(lambda: len(sw.ports["vm2"].sent) == len(MANY))
    sw.stop()
    assert sorted(left(sw)) == sorted(MANY) and "flushed: held" in sw.counters and sw.mempool.free == len(sw.mempool)
