"""What goes to the controller, packet-out, and the commands on the switch and its ports."""
import pytest

from lab.control.switch import Switch
from lab.openflow.errors import CommandError

FRAME = "ffffffffffff" "020000000009" "88b5" + 46 * "00"


@pytest.fixture(scope="module")
def kept():
    switch = Switch("br0")
    switch.vsctl("add-port vm1 -- add-port vm2")
    yield switch
    switch.close()


@pytest.fixture
def sw(kept):
    """A switch with two ports, no rule and nothing under way."""
    kept.rules.delete()
    go(kept)
    kept.controller.clear()
    for port in kept.ports.values():
        port.sent.clear()
    return kept


def wrong(sw, line):
    with pytest.raises(CommandError) as caught:
        sw.ofctl(line)
    return caught.value


def go(sw):
    while sw.step():
        pass


# --- the controller ----------------------------------------------------------------------------------


def test_a_packet_in_says_who_sent_it_and_why(sw):
    sw.ofctl("add-flow cookie=0x7,in_port=vm1,actions=controller:20,output:vm2")
    sw.ports["vm1"].inject(bytes(60))
    go(sw)
    (told,) = sw.controller
    assert (told.reason, told.table, told.cookie, told.in_port, told.max_len, told.total_len) == ("action", 0, 7, 1, 20, 60)
    assert told.packet.bytes() == bytes(20) and told.rule == "in_port=vm1 actions=CONTROLLER:20,output:vm2"
    assert repr(told) == "<packet-in: 20 of 60 B from vm1, action, by in_port=vm1 actions=CONTROLLER:20,output:vm2>"
    assert len(sw.ports["vm2"].sent) == 1


def test_going_back_takes_packet_ins_back_and_forward_brings_them_again(sw):
    sw.ofctl("add-flow in_port=vm1,actions=controller")
    sw.ports["vm1"].inject(bytes(60))
    go(sw)
    assert len(sw.controller) == 1
    for _ in range(3):
        sw.back()
    assert len(sw.controller) == 0
    go(sw)
    assert len(sw.controller) == 1


def test_a_run_does_not_count_packet_ins_among_what_left(sw):
    sw.ofctl("add-flow in_port=vm1,actions=controller")
    sw.ports["vm1"].inject(bytes(60))
    assert "0 out" in repr(sw.run()) and len(sw.controller.packet_ins) == 1


def test_a_rule_that_asked_for_it_is_told_of_when_it_goes(sw):
    sw.ofctl("add-flow send_flow_rem,tcp,actions=drop")
    sw.ofctl("add-flow udp,actions=drop")
    sw.ofctl("del-flows")
    (told,) = sw.controller.removed
    assert (told.rule, told.reason, told.packets, told.table) == ("tcp,send_flow_rem actions=drop", "delete", 0, 0)
    assert sw.controller.find(reason="delete") == [told] and sw.controller.packet_ins == []
    assert repr(sw.controller) == "<controller: 0 packet-ins, 1 removed rule>"


def test_the_controller_is_a_sequence_that_can_be_cleared(sw):
    assert repr(sw.controller) == "<controller: 0 packet-ins, 0 removed rules>" and "add-flow" in sw.controller.facts()["note"]
    sw.ofctl("add-flow actions=controller")
    sw.ports["vm1"].inject([bytes(60), bytes(70)])
    go(sw)
    assert [told.total_len for told in sw.controller[:]] == [60, 70] and sw.controller[-1].total_len == 70
    assert len(sw.controller.facts()["rows"]) == 2 and sw.controller[0].facts()["rows"]
    sw.controller.clear()
    assert len(sw.controller) == 0


# --- packet-out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [
    f"packet-out br0 in_port=vm1 packet={FRAME} actions=mod_dl_dst:02:00:00:00:00:02,output:2",
    f"packet-out br0 'in_port=1,packet={FRAME},actions=mod_dl_dst:02:00:00:00:00:02,output:vm2'",
    f"packet-out packet={FRAME} actions=mod_dl_dst:02:00:00:00:00:02,output:2",
    f"packet-out br0 none mod_dl_dst:02:00:00:00:00:02,output:2 {FRAME}",
    f"packet-out vm1 mod_dl_dst:02:00:00:00:00:02,output:2 {FRAME}",
])
def test_a_packet_out_runs_its_actions_instead_of_the_tables(line, sw):
    sw.ofctl("add-flow actions=drop")
    sw.ofctl(line)
    megaflows = len(sw.megaflows)
    go(sw)
    assert [packet.bytes().hex() for packet in sw.ports["vm2"].sent] == ["020000000002" + FRAME[12:]]
    assert len(sw.megaflows) == megaflows and sw.rules.find()[0].n_packets == 0


def test_a_packet_out_may_ask_the_tables(sw):
    sw.ofctl("add-flow in_port=vm1,actions=output:vm2")
    sw.ofctl(f"packet-out in_port=vm1 packet={FRAME} actions=table")
    go(sw)
    assert len(sw.ports["vm2"].sent) == 1
    sw.ofctl(f"packet-out packet={FRAME} actions=table")
    go(sw)
    assert len(sw.ports["vm2"].sent) == 1


def test_a_packet_out_can_be_stepped_back_over(sw):
    sw.ofctl(f"packet-out packet={FRAME} actions=output:2")
    go(sw)
    steps = 0
    while len(sw.ports["vm2"].sent):
        sw.back()
        steps += 1
    go(sw)
    assert len(sw.ports["vm2"].sent) == 1 and steps > 0


def test_slots_are_used_in_turn_and_their_actions_are_let_go(sw):
    free = list(sw.groups.ofacts.free)
    for _ in range(70):
        sw.ofctl(f"packet-out packet={FRAME} actions=output:1,output:2")
        go(sw)
    assert len(sw.ports["vm2"].sent) == 70
    held = sum(len(program.rows) for program in sw.packet_outs._held if program)
    assert sum(n for _, n in free) - sum(n for _, n in sw.groups.ofacts.free) <= held <= 2 * 64


def test_more_packet_outs_than_there_are_slots_are_refused(sw):
    for _ in range(64):
        sw.ofctl(f"packet-out packet={FRAME} actions=output:2")
    assert wrong(sw, f"packet-out packet={FRAME} actions=output:2").problem == "64 packet-outs are on their way already: sw.run() first"
    go(sw)
    assert len(sw.ports["vm2"].sent) == 64


def test_going_back_over_many_packet_outs_loses_none(sw):
    first = len(sw.timeline)
    for _ in range(9):
        sw.ofctl(f"packet-out packet={FRAME} actions=output:2")
        go(sw)
    while len(sw.timeline) > first:
        sw.back()
    go(sw)
    assert len(sw.ports["vm2"].sent) == 9


def test_a_slot_that_is_in_use_is_passed_over(sw):
    sw.ofctl(f"packet-out packet={FRAME} actions=output:1")
    slot = sw.packet_outs._next - 1
    sw.packet_outs._next = slot
    sw.ofctl(f"packet-out packet={FRAME} actions=output:2")
    go(sw)
    assert len(sw.ports["vm1"].sent) == len(sw.ports["vm2"].sent) == 1


def test_a_frame_gone_back_to_runs_its_own_actions_though_its_slot_was_taken_since(sw):
    first = len(sw.timeline)
    sw.ofctl(f"packet-out packet={FRAME} actions=output:1")
    slot = sw.packet_outs._next - 1
    go(sw)
    sw.packet_outs._next = slot
    sw.ofctl(f"packet-out packet={FRAME} actions=output:2")
    while len(sw.timeline) > first + 1:
        sw.back()
    go(sw)
    assert len(sw.ports["vm1"].sent) == len(sw.ports["vm2"].sent) == 1


@pytest.mark.parametrize(("before", "action", "gone", "after"), [
    ("add-group group_id=1,type=all,bucket=output:vm2", "group:1,output:vm2", "del-groups",
     "add-group group_id=9,type=all,bucket=output:vm1"),
    ("add-meter meter=1,pktps,bands=type=drop,rate=100", "meter:1,output:vm2", "del-meters",
     "add-meter meter=9,pktps,bands=type=drop,rate=100"),
])
def test_a_waiting_packet_out_drops_when_its_group_or_meter_goes(before, action, gone, after, sw):
    sw.ofctl(before)
    sw.ofctl(f"packet-out packet={FRAME} actions={action}")
    sw.ofctl(gone)
    sw.ofctl(after)
    go(sw)
    sw.ofctl(gone)
    assert len(sw.ports["vm1"].sent) == len(sw.ports["vm2"].sent) == 0


@pytest.mark.parametrize(("line", "word", "right"), [
    (f"packet-out in_port=vm3 packet={FRAME} actions=output:2", "vm3", "vm2"),
    (f"packet-out in_port=77 packet={FRAME} actions=output:2", "77", ""),
    (f"packet-out in_port=normal packet={FRAME} actions=output:2", "normal", ""),
    ("packet-out in_port=1 packet=ffffff actions=output:2", "ffffff", ""),
    ("packet-out in_port=1 packet=ffffffx actions=output:2", "x", ""),
    (f"packet-out in_port=1 packet={FRAME}0 actions=output:2", f"{FRAME}0", ""),
    ("packet-out in_port=1 actions=output:2", "packet-out", ""),
    (f"packet-out in_prot=1 packet={FRAME} actions=output:2", "in_prot", "in_port"),
    (f"packet-out in_port=1 packet={FRAME} actions=ouput:2", "ouput", "output"),
    (f"packet-out in_port=1 packet={FRAME} actions=goto_table:2", "goto_table", ""),
    (f"packet-out in_port=1 packet={FRAME} actions=group:9", "9", ""),
    (f"packet-out 1 {FRAME}", "packet-out", ""),
    ("packet-out", "packet-out", ""),
])
def test_a_packet_out_with_a_mistake_is_not_sent(line, word, right, sw):
    error = wrong(sw, line)
    assert (error.word, error.suggestion) == (word, right) and line[error.position:error.position + len(word)] == word
    assert sw.step() is None


# --- the switch and its ports ---------------------------------------------------------------------------


def test_ports_are_described_as_ovs_describes_them(sw):
    assert sw.ofctl("dump-ports-desc vm2").splitlines() == [
        " 2(vm2): addr:02:00:00:00:00:02", "     config:     0", "     state:      0", "     speed: 0 Mbps now, 0 Mbps max"]
    assert sw.ofctl("-O OpenFlow13 dump-ports-desc vm2").splitlines()[2] == "     state:      LIVE"
    shown = sw.ofctl("show br0").splitlines()
    assert shown[0] == "n_tables:255, n_buffers:0" and shown[3] == " 1(vm1): addr:02:00:00:00:00:01"
    assert shown[-1] == "frags=normal miss_send_len=0"
    assert "GROUP_STATS" in sw.ofctl("-O OpenFlow13 show") and "actions:" not in sw.ofctl("-O OpenFlow13 show")


def test_a_port_is_changed_and_says_so(sw):
    for word in ("no-flood", "no-forward", "no-receive", "down"):
        sw.ofctl(f"mod-port vm2 {word}")
    lines = sw.ofctl("dump-ports-desc vm2").splitlines()
    assert lines[1:3] == ["     config:     PORT_DOWN NO_RECV NO_FLOOD NO_FWD", "     state:      LINK_DOWN"]
    for word in ("flood", "forward", "receive", "up"):
        sw.ofctl(f"mod-port 2 {word}")
    assert sw.ofctl("dump-ports-desc vm2").splitlines()[1] == "     config:     0" and sw.ports["vm2"].up


def test_a_port_that_forwards_nothing_gets_nothing(sw):
    sw.ofctl("add-flow in_port=vm1,actions=output:2")
    for word, sent in (("no-forward", 0), ("forward", 1), ("no-flood", 2)):
        sw.ofctl(f"mod-port vm2 {word}")
        sw.ports["vm1"].inject(bytes(60))
        go(sw)
        assert len(sw.ports["vm2"].sent) == sent
    sw.ofctl("mod-flows actions=flood")
    sw.ports["vm1"].inject(bytes(60))
    go(sw)
    assert len(sw.ports["vm2"].sent) == 2
    sw.ofctl("mod-port vm2 flood")


@pytest.mark.parametrize(("line", "word", "right"), [
    ("mod-port vm2 no-fwd", "no-fwd", "no-forward"),
    ("mod-port vm3 up", "vm3", "vm2"),
    ("mod-port vm2", "mod-port", ""),
    ("mod-port vm2 no-stp", "no-stp", ""),
    ("mod-port vm2 no-packet-in", "no-packet-in", ""),
    ("set-frags drop", "drop", ""),
    ("set-frags normla", "normla", "normal"),
    ("queue-stats", "queue-stats", ""),
    ("ping ten", "ten", ""),
])
def test_what_cannot_be_done_is_said(line, word, right, sw):
    error = wrong(sw, line)
    assert (error.word, error.suggestion) == (word, right)


def test_snoop_and_monitor_lead_to_the_controller(sw):
    assert "sw.controller" in wrong(sw, "snoop").problem and "sw.controller" in wrong(sw, "monitor br0 65534").problem


def test_small_questions_are_answered(sw):
    assert sw.ofctl("get-frags") == "normal" and sw.ofctl("set-frags normal") == "" and sw.ofctl("probe") == ""
    assert sw.ofctl("ping br0 100").splitlines()[0] == "100 bytes from br0: xid=00000002 time=0.0 ms"
    assert len(sw.ofctl("ping").splitlines()) == 10
    assert "Glasswitch" in sw.ofctl("dump-desc")
