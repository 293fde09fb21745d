"""Outputs in all their forms, in both tempos: where frames go, and why they go nowhere."""
import pytest
from both_tempos import A, B, Pair, tcp, udp

FRAME = udp()


@pytest.fixture(scope="module")
def both():
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def pair(both):
    both.begin()
    return both


@pytest.mark.parametrize(("actions", "ports"), [
    ("output:2", [2]), ("2", [2]), ("vm3", [3]), ("output:vm2,vm3", [2, 3]), ("in_port", [1]), ("output:1", []), ("output:1,2", [2]),
    ("flood", [2, 3, 4]), ("all", [2, 3, 4]), ("normal", [2, 3, 4]), ("output:2,output:2", [2, 2]), ("drop", []), ("", []),
    ("local", []), ("output:44", []), ("output:44,3", [3]), ("controller,2", [2]), ("load:3->reg0[],output:reg0[]", [3]),
    ("load:0x30->reg1[],output:reg1[4..7]", [3]), ("load:1->reg0[],output:reg0[]", []), ("load:0xfff8->reg0[],output:reg0[0..15]", [1]),
    ("load:0xfffb->reg0[],output:reg0[0..15]", [2, 3, 4]), ("load:77->reg0[],output:reg0[]", []),
])
def test_a_frame_goes_where_the_output_says(pair, actions, ports):
    pair.rules(f"actions={actions}")
    sent = pair.send(FRAME)
    assert sorted(n for n, frames in sent.items() for _ in frames) == ports
    assert all(frame == FRAME for frames in sent.values() for frame in frames)


def test_the_port_of_a_packet_in_a_register_is_asked_for_when_it_comes_from_the_packet(pair):
    pair.rules(
               "tcp,actions=move:tcp_dst[]->reg0[0..15],output:reg0[0..15]")
    assert pair.send(tcp(dport=3)) == {3: [tcp(dport=3)]}
    assert "tp_dst=3" in pair.megaflow()[0]
    assert pair.send(tcp(dport=4)) == {4: [tcp(dport=4)]}


def test_a_truncated_output_is_cut_and_the_next_is_whole(pair):
    pair.rules("actions=output(port=2,max_len=40),output:3")
    assert pair.send(FRAME) == {2: [FRAME[:40]], 3: [FRAME]}


def test_an_output_is_never_cut_below_an_ethernet_header(pair):
    pair.rules("actions=output(port=2,max_len=14)")
    assert pair.send(FRAME) == {2: [FRAME[:14]]}


def test_a_frame_shorter_than_the_cut_stays_as_it_is(pair):
    pair.rules("actions=output(port=2,max_len=1500)")
    assert pair.send(FRAME) == {2: [FRAME]}


def test_a_truncated_output_to_a_port_that_is_not_there_does_not_cut_the_next(pair):
    pair.rules("actions=output(port=44,max_len=20),output:2")
    assert pair.send(FRAME) == {2: [FRAME]}


@pytest.mark.parametrize(("actions", "reason"), [
    ("drop", "dropped: rule says so"), ("output:1", "dropped: nowhere to go"), ("output:44", "dropped: no such port"),
    ("note:01.02", "dropped: rule says so"), ("mod_dl_src:02:00:00:00:00:0c", "dropped: rule says so"),
])
def test_a_frame_that_goes_nowhere_says_why(pair, actions, reason):
    pair.rules(f"actions={actions}")
    assert pair.why(FRAME, FRAME) == {reason: 2}


def test_without_a_rule_the_reason_says_so(pair):
    assert pair.why(FRAME) == {"dropped: no rule": 1}


def test_flood_leaves_out_ports_that_are_not_flooded_and_all_does_not(pair):
    pair.ofctl("mod-port vm3 no-flood")
    try:
        pair.rules("in_port=1,actions=flood", "in_port=2,actions=all", "in_port=4,actions=vm3")
        assert sorted(pair.send(FRAME)) == [2, 4]
        assert sorted(pair.send(FRAME, port=2)) == [1, 3, 4]
        assert sorted(pair.send(FRAME, port=4)) == [3]
    finally:
        pair.ofctl("mod-port vm3 flood")


def test_ports_that_forward_or_receive_nothing(pair):
    pair.rules("actions=flood")
    pair.ofctl("mod-port vm3 no-forward")
    pair.ofctl("mod-port vm2 no-receive")
    try:
        assert sorted(pair.send(FRAME)) == [2, 4]
        assert pair.why(FRAME, port=2) == {"dropped: port receives nothing": 1}
    finally:
        pair.ofctl("mod-port vm3 forward")
        pair.ofctl("mod-port vm2 receive")
    assert sorted(pair.send(FRAME, port=2)) == [1, 3, 4]


def test_normal_learns_and_forwards(pair):
    pair.rules("actions=normal")
    there, back = udp(), udp(dl_src=B, dl_dst=A)
    assert sorted(pair.send(there)) == [2, 3, 4]
    assert pair.send(back, port=3) == {1: [back]}
    assert pair.send(there) == {3: [there]}


def test_the_controller_gets_the_packet_as_it_is_then(pair):
    pair.rules("cookie=0x2a,ip,actions=dec_ttl,controller(max_len=20,reason=action),dec_ttl,output:2")
    assert pair.send(FRAME) == {2: [udp(ttl=62)]}
    for sw in pair.both:
        (told,) = sw.controller
        assert (told.cookie, told.table, told.packet.bytes()) == (0x2A, 0, udp(ttl=63)[:20])


def test_a_packet_out_runs_its_actions_once_and_leaves_no_megaflow(pair):
    pair.rules("in_port=2,actions=output:4")
    pair.ofctl(f"packet-out in_port=none,packet={FRAME.hex()},actions=mod_dl_src:{B},output:2,output:3")
    expected = udp(dl_src=B)
    assert pair.send() == {2: [expected], 3: [expected]}
    pair.ofctl(f"packet-out in_port=2,packet={FRAME.hex()},actions=resubmit(,0)")
    assert pair.send() == {4: [FRAME]}
    assert all(len(sw.megaflows) == 0 for sw in pair.both)


def test_a_write_behind_the_last_output_costs_no_action(pair):
    pair.rules(f"actions=output:2,mod_dl_src:{B}")
    pair.send(FRAME)
    assert pair.megaflow()[1] == "vm2"
