"""VLAN tags and MPLS labels in both tempos; and frames of VLAN 0, priority-tagged, which hung another switch."""
import pytest
from both_tempos import Pair, labelled, udp, udp6
from scapy.layers.l2 import Dot1Q, Ether

PLAIN, TAGGED, PRIORITY = udp(), udp(tags=[(5, 3)]), udp(tags=[(0, 6)])


@pytest.fixture(scope="module")
def both():
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def pair(both):
    both.begin()
    return both


@pytest.mark.parametrize(("rule", "frame", "expected"), [
    ("actions=push_vlan:0x8100,2", PLAIN, udp(tags=[(0, 0)])),
    ("actions=push_vlan:0x8100,set_field:4103->vlan_vid,2", PLAIN, udp(tags=[(7, 0)])),
    ("actions=push_vlan:0x8100,set_field:4103->vlan_vid,set_field:5->vlan_pcp,2", PLAIN, udp(tags=[(7, 5)])),
    ("actions=push_vlan:0x88a8,2", TAGGED, TAGGED[:12] + bytes.fromhex("88a80000") + TAGGED[12:]),
    ("actions=pop_vlan,2", TAGGED, PLAIN),
    ("actions=strip_vlan,2", TAGGED, PLAIN),
    ("actions=strip_vlan,2", PLAIN, PLAIN),
    ("actions=strip_vlan,2", udp(tags=[(5, 3), (6, 1)]), udp(tags=[(6, 1)])),
    ("actions=mod_vlan_vid:9,2", PLAIN, udp(tags=[(9, 0)])),
    ("actions=mod_vlan_vid:9,2", TAGGED, udp(tags=[(9, 3)])),
    ("actions=mod_vlan_pcp:4,2", PLAIN, udp(tags=[(0, 4)])),
    ("actions=mod_vlan_pcp:4,2", TAGGED, udp(tags=[(5, 4)])),
    ("actions=mod_vlan_vid:9,mod_vlan_pcp:1,2", PLAIN, udp(tags=[(9, 1)])),
    ("actions=strip_vlan,mod_vlan_vid:9,2", TAGGED, udp(tags=[(9, 0)])),
    ("dl_vlan=5,actions=set_field:4105->vlan_vid,2", TAGGED, udp(tags=[(9, 3)])),
    ("dl_vlan=5,actions=set_field:2->vlan_pcp,2", TAGGED, udp(tags=[(5, 2)])),
    ("dl_vlan=5,actions=move:vlan_vid[0..11]->reg0[0..11],push_vlan:0x8100,move:reg0[0..11]->vlan_vid[0..11],2", TAGGED,
     udp(tags=[(5, 0), (5, 3)])),
    ("dl_vlan=5,actions=pop_vlan,3,push_vlan:0x8100,set_field:4097->vlan_vid,2", TAGGED, udp(tags=[(1, 0)])),
])
def test_a_tag_is_changed(pair, rule, frame, expected):
    pair.rules(rule)
    assert pair.send(frame)[2] == [expected]


@pytest.mark.parametrize(("match", "takes"), [
    ("dl_vlan=0", ["priority"]), ("dl_vlan=0xffff", ["plain"]), ("vlan_tci=0", ["plain"]), ("vlan_tci=0x1000/0x1fff", ["priority"]),
    ("vlan_tci=0x1000/0x1000", ["priority", "tagged"]), ("dl_vlan=0,dl_vlan_pcp=6", ["priority"]), ("dl_vlan_pcp=6", ["priority"]),
    ("dl_vlan_pcp=3", ["tagged"]), ("vlan_tci=0xd000", ["priority"]), ("vlan_tci=0x0000/0x0fff", ["plain", "priority"]),
    ("vlan_vid=0x1000", ["priority"]), ("vlan_vid=0", ["plain"]), ("vlan_vid=0x1000/0x1000", ["priority", "tagged"]),
    ("dl_vlan=5", ["tagged"]),
])
def test_priority_tagged_frames_are_matched(pair, match, takes):
    pair.rules(f"priority=2,{match},actions=2", "priority=1,actions=3")
    for name, frame in (("plain", PLAIN), ("priority", PRIORITY), ("tagged", TAGGED)):
        assert pair.send(frame) == {2 if name in takes else 3: [frame]}, name


@pytest.mark.parametrize(("actions", "expected"), [
    ("mod_vlan_vid:9", udp(tags=[(9, 6)])), ("mod_vlan_pcp:1", udp(tags=[(0, 1)])), ("strip_vlan", PLAIN), ("pop_vlan", PLAIN),
    ("push_vlan:0x8100", udp(tags=[(0, 0), (0, 6)])), ("mod_vlan_vid:0", PRIORITY), ("strip_vlan,mod_vlan_vid:0", udp(tags=[(0, 0)])),
    ("mod_nw_ttl:9", udp(tags=[(0, 6)], ttl=9)), ("strip_vlan,strip_vlan", PLAIN),
])
def test_priority_tagged_frames_are_changed(pair, actions, expected):
    pair.rules(f"actions={actions},2")
    assert pair.send(PRIORITY) == {2: [expected]}


def test_priority_tagged_frames_are_forwarded_by_normal(pair):
    pair.rules("actions=normal")
    assert pair.send(PRIORITY) == {2: [PRIORITY], 3: [PRIORITY], 4: [PRIORITY]}
    back = bytes(Ether(dst="02:00:00:00:00:0a", src="02:00:00:00:00:0b") / Dot1Q(vlan=0, prio=6) / Ether(PRIORITY)[Dot1Q].payload)
    assert pair.send(back, port=2) == {1: [back]}
    assert pair.send(PLAIN) == {2: [PLAIN]}  # VLAN 0 is no VLAN: the same station
    assert pair.send(udp(tags=[(0, 0)])) == {2: [PLAIN]}  # which says nothing at all


def test_a_priority_tag_on_an_access_port_is_of_its_vlan(pair):
    pair.rules("actions=normal")
    for sw in pair.both:
        sw.vsctl("set port vm1 tag=10 -- set port vm2 tag=10 -- set port vm3 tag=20")
    try:
        assert pair.send(PRIORITY) == {2: [PLAIN], 4: [udp(tags=[(10, 6)])]}
    finally:
        for sw in pair.both:
            sw.vsctl("clear port vm1 tag -- clear port vm2 tag -- clear port vm3 tag")


# --- MPLS --------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("rule", "frame", "expected"), [
    ("ip,actions=push_mpls:0x8847,2", PLAIN, labelled(PLAIN, (0, 0, 64))),
    ("ip,actions=push_mpls:0x8847,2", udp(tos=0x28, ttl=9), labelled(udp(tos=0x28, ttl=9), (0, 2, 9))),
    ("ip,actions=push_mpls:0x8847,2", udp(ttl=0), labelled(udp(ttl=0), (0, 0, 64))),
    ("ipv6,actions=push_mpls:0x8847,2", udp6(), labelled(udp6(), (2, 0, 64))),
    ("arp,actions=push_mpls:0x8847,2", PLAIN[:12] + bytes.fromhex("0806") + bytes(46),
     labelled(PLAIN[:12] + bytes.fromhex("0806") + bytes(46), (0, 0, 64))),
    ("ip,actions=push_mpls:0x8848,set_field:77->mpls_label,set_field:3->mpls_tc,set_mpls_ttl(9),2", PLAIN,
     labelled(PLAIN, (77, 3, 9), kind=0x8848)),
    ("mpls,actions=push_mpls:0x8847,2", labelled(PLAIN, (16, 1, 8)), labelled(PLAIN, (16, 1, 8), (16, 1, 8))),
    ("mpls,actions=pop_mpls:0x0800,2", labelled(PLAIN, (16, 1, 8)), PLAIN),
    ("mpls,actions=pop_mpls:0x8847,2", labelled(PLAIN, (16, 1, 8), (17, 0, 9)), labelled(PLAIN, (17, 0, 9))),
    ("mpls,actions=dec_mpls_ttl,2", labelled(PLAIN, (16, 1, 8)), labelled(PLAIN, (16, 1, 7))),
    ("mpls,actions=set_mpls_label(5),set_mpls_tc(2),set_mpls_ttl(3),2", labelled(PLAIN, (16, 1, 8)), labelled(PLAIN, (5, 2, 3))),
    ("mpls,actions=pop_mpls:0x8847,set_mpls_label(5),2", labelled(PLAIN, (16, 1, 8), (17, 0, 9)), labelled(PLAIN, (5, 0, 9))),
    ("ip,actions=push_mpls:0x8847,push_mpls:0x8847,set_mpls_label(3),2", PLAIN, labelled(PLAIN, (3, 0, 64), (0, 0, 64))),
    ("dl_vlan=5,ip,actions=push_mpls:0x8847,2", TAGGED, TAGGED[:16] + bytes.fromhex("8847") + bytes.fromhex("00000140") + TAGGED[18:]),
])
def test_a_label_is_changed(pair, rule, frame, expected):
    pair.rules(rule)
    assert pair.send(frame)[2] == [expected]


def test_what_lay_below_a_label_is_matched_and_changed_after_recirculation(pair):
    pair.rules("table=0,mpls,mpls_label=16,actions=pop_mpls:0x0800,resubmit(,1),output:4",
               "table=1,priority=2,udp,tp_dst=53,actions=dec_ttl,mod_tp_dst:99,output:2", "table=1,priority=1,ip,actions=output:3")
    sent = pair.send(labelled(PLAIN, (16, 0, 5)))
    changed = udp(ttl=63, dport=99)
    assert sent == {2: [changed], 4: [changed]}
    other = udp(dport=80)
    assert pair.send(labelled(other, (16, 0, 5))) == {3: [other], 4: [other]}


def test_a_popped_label_costs_no_recirculation_when_nobody_looks_below(pair):
    pair.rules("mpls,actions=pop_mpls:0x0800,output:2")
    pair.send(labelled(PLAIN, (16, 0, 5)))
    assert pair.megaflow()[1] == "pop_mpls(eth_type=0x800),vm2"


def test_recirculation_within_a_clone_leaves_the_packet_alone(pair):
    pair.rules("table=0,mpls,actions=clone(pop_mpls:0x0800,resubmit(,1)),output:3", "table=1,udp,tp_dst=53,actions=output:2")
    frame = labelled(PLAIN, (16, 0, 5))
    assert pair.send(frame) == {2: [PLAIN], 3: [frame]}


def test_a_label_whose_ttl_runs_out_goes_to_the_controller(pair):
    pair.rules("mpls,actions=dec_mpls_ttl,output:2")
    pair.send(labelled(PLAIN, (16, 0, 1)))
    for sw in pair.both:
        (told,) = sw.controller
        assert told.reason == "invalid_ttl"
