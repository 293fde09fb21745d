"""What is counted for whom: a record that another rule, group or bucket had before counts for its new owner alone, also back in time."""
import pytest
from scenes import udp
from walks import wait_until

from lab import Switch

MANY = 4000


@pytest.fixture
def sw():
    made = Switch(fail_mode="secure")
    made.add_port("vm1"), made.add_port("vm2")
    yield made
    made.close()


def walk(sw):
    while sw.step() is not None:
        pass


def seen_going_back(sw, look):
    """What is seen at every step from the last to the first, and whether there was any."""
    seen = []
    while sw.back() is not None:
        seen.append(look())
    assert seen
    return set(seen)


def counts(sw):
    return tuple((rule.match, rule.n_packets) for rule in sw.rules)


@pytest.mark.parametrize("packets", [1, 3])
def test_a_new_rule_has_seen_nothing_wherever_somebody_goes_back_to(sw, packets):
    sw.ofctl("add-flow udp,actions=output:vm2")
    for n in range(packets):
        sw.ports["vm1"].inject(udp(n))
        walk(sw)
    record = sw.rules[1].entry.index
    sw.ofctl("del-flows")
    sw.ofctl("add-flow tcp,actions=output:vm2")
    assert next(iter(sw.rules)).entry.index == record, "it counts where the rule before it did"
    assert counts(sw) == (("tcp", 0),)
    assert seen_going_back(sw, lambda: counts(sw)) == {(("tcp", 0),)}


def test_going_back_and_on_again_counts_each_packet_once(sw):
    sw.ofctl("add-flow udp,actions=output:vm2")
    sw.ports["vm1"].inject(udp(1))
    walk(sw)
    sw.ofctl("del-flows")
    sw.ofctl("add-flow ip,actions=output:vm2")
    for _ in range(2):
        while sw.back() is not None:
            pass
        walk(sw)
        assert counts(sw) == (("ip", 1),)


def test_a_rule_that_takes_the_place_of_one_begins_at_zero_while_megaflows_live(sw):
    sw.ofctl("add-flow udp,actions=output:vm2")
    sw.ports["vm1"].inject(udp(1))
    walk(sw)
    sw.ofctl("add-flow udp,actions=output:vm2")
    assert counts(sw) == (("udp", 0),)
    sw.ports["vm1"].inject(udp(1))
    walk(sw)
    assert counts(sw) == (("udp", 1),)


def test_a_new_group_has_seen_nothing_wherever_somebody_goes_back_to(sw):
    def look():
        group = sw.groups[7]
        return group.packets, tuple(bucket.packets for bucket in group.buckets)

    sw.ofctl("add-group group_id=3,type=all,bucket=output:2")
    sw.ofctl("add-flow udp,actions=group:3")
    sw.ports["vm1"].inject([udp(1), udp(1)])
    walk(sw)
    record, bucket = sw.groups[3].entry.record, sw.groups._placed[3].first
    sw.ofctl("del-groups")
    sw.ofctl("add-group group_id=7,type=all,bucket=output:2")
    assert (sw.groups[7].entry.record, sw.groups._placed[7].first) == (record, bucket), "it counts where the group before it did"
    assert look() == (0, (0,)) and seen_going_back(sw, look) == {(0, (0,))}


def test_while_cores_run_a_rule_in_anothers_place_counts_its_own_packets_only(sw):
    """Many megaflows credit rule A, so that the core is still at holding them against the rules when the command might return."""
    rule_a = "add-flow udp,tp_src=0/0x8000,actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],output:vm2"  # a megaflow for each tp_src
    sw.ofctl(rule_a)
    sw.ofctl("add-flow priority=1,tcp,tp_src=1,actions=drop")
    frames = [udp(port) for port in range(1, MANY + 1)]
    settled, left = sw.rules.copies.settled, []
    sw.start()
    for turn in range(3):
        a = sw.rules.find("udp,tp_src=0/0x8000")[0]
        sw.ports["vm1"].inject(frames)
        assert wait_until(lambda a=a: a.n_packets == MANY), a.n_packets
        record = a.entry.index
        assert len(sw.rules.megaflows_of(record)) == MANY
        sw.rules.copies.settled = lambda record=record: (settled(), left.append(len(sw.rules.megaflows_of(record))))
        sw.ofctl("del-flows --strict udp,tp_src=0/0x8000")
        sw.rules.copies.settled = settled
        assert left == [0] * (turn + 1), "nobody credits a record any more when it is given back"
        sw.ofctl("add-flow tcp,tp_dst=9,actions=drop")
        b = sw.rules.find("tcp,tp_dst=9")[0]
        assert b.entry.index == record and b.n_packets == 0
        assert sum(rule.n_packets for rule in sw.rules) == 0, f"turn {turn}"
        sw.ofctl("del-flows --strict tcp,tp_dst=9")
        sw.ofctl(rule_a)
        again = sw.rules.find("udp,tp_src=0/0x8000")[0]
        assert again.n_packets == 0
        sw.ports["vm1"].inject(frames[:100])
        assert wait_until(lambda again=again: again.n_packets == 100), again.n_packets
        sw.ofctl(rule_a)
