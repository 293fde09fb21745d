"""No packet under a megaflow's mask may get other actions than the rules give it: random tables, random packets, random flips of bits.

A packet's key is translated; then bits of the frame are flipped, and every frame whose key still agrees under the mask must be
translated to the same actions. Keys are those that `parse` makes: others do not exist. Whole ways, with recirculation, are held
against a switch that has forgotten every megaflow. Tables with NORMAL have tests of their own, for it learns.
"""
import random
from functools import cache

import pytest
from both_tempos import labelled, udp
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.random_packets import random_packet
from bench.random_tables import random_table
from lab import Switch
from lab.control.reading.parsed import parse_frame
from lab.flow.actions import CHECK_LEN, RECIRC
from lab.flow.key import WORDS

PORTS = 4
HEADERS = 8 * 96  # bits of a frame that are flipped
flips = st.lists(st.sets(st.integers(0, HEADERS - 1), min_size=1, max_size=3), min_size=10, max_size=40)


@pytest.fixture(scope="module")
def sw():
    made = switch()
    yield made
    made.close()


def switch():
    """A switch with four ports and no rules."""
    made = Switch(fail_mode="secure")
    for n in range(1, PORTS + 1):
        made.add_port(f"p{n}", mtu=9000)
    return made


def load(sw, groups, rules):
    """Have just these rules and groups."""
    sw.ofctl("del-flows")
    sw.ofctl("del-groups -O OpenFlow15")
    for group in groups:
        sw.ofctl(f"add-group -O OpenFlow15 {group}")
    for rule in rules:
        sw.ofctl(f"add-flow {rule}")


def some_table(dice):
    """A random table, small, without NORMAL; a select group among its groups."""
    groups, rules = random_table(dice)
    groups[0] = "group_id=1,type=select,selection_method=hash,fields(ip_src,tcp_dst),bucket=output:2,bucket=output:3,bucket=output:4"
    return [g for g in groups if "normal" not in g] + missing(groups), [rule for rule in rules if "normal" not in rule][:14]


def missing(groups):
    """Groups in place of those that are left out."""
    return [f"{g.partition(',')[0]},type=all,bucket=output:1,bucket=mod_dl_src:02:00:00:00:00:77,output:2" for g in groups if "normal" in g]


def flipped(frame, bits):
    """A frame with some bits turned over."""
    data = bytearray(frame)
    for bit in bits:
        if bit >> 3 < len(data):
            data[bit >> 3] ^= 1 << (bit & 7)
    return bytes(data)


def under(key, mask, other):
    """Whether two keys agree under a mask."""
    return all((a ^ b) & m == 0 for a, b, m in zip(key, other, mask[:WORDS], strict=True))


@cache
def key_of(sw, frame, port):
    """The key of a frame, which no rule changes."""
    return parse_frame(sw.engine, frame, port)


def assert_sound(sw, packet, others, most=1000):
    """Every other frame that the megaflow of a packet takes, at most so many of them, has the same actions; how many there were."""
    port, frame = packet
    key = key_of(sw, frame, port)
    told = sw.oracle.consult(key)
    taken = [other for other in others if (theirs := key_of(sw, other, port)) != key and under(key, told.mask, theirs)]
    for other in random.Random(1).sample(taken, min(most, len(taken))):
        theirs = key_of(sw, other, port)
        assert sw.oracle.consult(theirs).action_list == told.action_list, (port, frame.hex(), other.hex(), told.match)
    return len(taken)


@given(seed=st.integers(0, 10**6), flips=flips)
@settings(max_examples=15)
def test_frames_under_a_mask_have_the_same_actions(sw, seed, flips):
    dice = random.Random(seed)
    load(sw, *some_table(dice))
    for _ in range(3):
        port, frame = random_packet(dice)
        assert_sound(sw, (port, frame), [flipped(frame, bits) for bits in flips])


SCENES = {
    "a register": ["table=0,actions=move:eth_src[0..7]->reg0[0..7],resubmit(,1)", "table=1,priority=2,reg0=0xa,actions=2",
                   "table=1,actions=3"],
    "a field that is set": ["table=0,ip,nw_ttl=64,actions=mod_nw_dst:10.0.0.9,resubmit(,1)", "table=0,priority=1,actions=resubmit(,1)",
                            "table=1,priority=9,ip,nw_dst=10.0.0.9,actions=2", "table=1,priority=1,actions=3"],
    "a part that is set": ["table=0,ip,actions=set_field:0.0.0.9/0.0.0.255->ip_dst,resubmit(,1)",
                           "table=1,priority=9,ip,nw_dst=10.0.0.9,actions=2", "table=1,priority=1,actions=3"],
    "a tag that is pushed": ["table=0,actions=push_vlan:0x8100,resubmit(,1)", "table=1,priority=2,dl_vlan=0,actions=pop_vlan,resubmit(,2)",
                             "table=2,priority=2,dl_vlan=0xffff,actions=2", "table=2,priority=1,actions=3"],
    "a tag that is changed": ["table=0,priority=2,dl_vlan=5,actions=mod_vlan_vid:6,resubmit(,1)", "table=0,priority=1,actions=resubmit(,1)",
                              "table=1,priority=2,vlan_tci=0x1006/0x1fff,actions=2", "table=1,priority=1,actions=3"],
    "labels": ["table=0,priority=2,mpls,mpls_bos=1,actions=pop_mpls:0x0800,2",
               "table=0,priority=1,ip,actions=push_mpls:0x8847,resubmit(,1)", "table=1,mpls,mpls_ttl=64,actions=3"],
    "the stack": ["table=0,ip,actions=push:nw_src[0..7],pop:reg1[0..7],resubmit(,1)", "table=1,priority=2,reg1=1,actions=2",
                  "table=1,actions=3"],
    "fragments": ["priority=3,udp,tp_dst=53,actions=2", "priority=2,udp,tp_dst=0,actions=3", "priority=1,actions=4"],
    "an output to a register": ["ip,actions=move:nw_ttl[]->reg0[0..7],output:reg0[0..15]"],
    "a TTL that may run out": ["ip,actions=dec_ttl,2,dec_ttl,3"],
    "an action set": ["table=0,ip,actions=write_actions(dec_ttl,output:2),goto_table:1",
                      "table=1,priority=2,udp,tp_dst=53,actions=clear_actions", "table=1,priority=1,actions=write_actions(output:3)"],
    "a clone": ["actions=clone(mod_dl_src:02:00:00:00:00:0c,resubmit(,1)),resubmit(,1)",
                "table=1,priority=2,dl_src=02:00:00:00:00:0c,actions=2", "table=1,priority=1,dl_src=02:00:00:00:00:0a,actions=3"],
}
FRAMES = [udp(), udp(ttl=1), udp(ttl=2), udp(ttl=3, tags=[(5, 2)]), udp(tags=[(0, 6)]), udp(dport=80), labelled(udp(), (16, 1, 64)),
          labelled(udp(), (16, 1, 64), (17, 1, 9))]


@pytest.mark.parametrize("scene", SCENES)
def test_every_bit_that_decides_is_in_the_mask(sw, scene):
    load(sw, [], SCENES[scene])
    taken = sum(assert_sound(sw, (1, frame), [flipped(frame, [bit]) for bit in range(8 * 46)]) for frame in FRAMES)
    assert taken > 50


def left(sw):
    """What left, {port: frames}."""
    found = {port.ofport: [packet.bytes() for packet in port.sent] for port in sw.ports.values() if len(port.sent)}
    for port in sw.ports.values():
        port.sent.clear()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_megaflows_answer_as_the_tables_would(sw, seed):
    dice = random.Random(seed)
    load(sw, *some_table(dice))
    port, frame = random_packet(dice, broken=0)
    frames = [flipped(frame, {dice.randrange(HEADERS) for _ in range(2)}) for _ in range(24)]
    sw.ports[port].inject([frame])
    sw.run()
    sw.ports[port].inject(frames)
    sw.run()
    cached = left(sw)
    for one in (frame, *frames):
        sw.appctl("dpctl/del-flows")
        sw.ports[port].inject([one])
        sw.run()
    fresh = left(sw)
    assert {n: sorted(sent) for n, sent in cached.items()} == {n: sorted(sent) for n, sent in fresh.items()}


def without_ids(acts):
    """Actions, whatever the ids of recirculation are called."""
    return [(act[0], act[1]) if act[0] in (RECIRC, CHECK_LEN) else tuple(act) for act in acts]


@pytest.mark.parametrize("seed", range(4))
def test_megaflows_that_outlive_a_change_of_rules_are_true(sw, seed):
    dice = random.Random(100 + seed)
    groups, rules = some_table(dice)
    load(sw, groups, rules[:8])
    for port, frame in (random_packet(dice) for _ in range(40)):
        sw.ports[port].inject(frame)
    sw.run()
    left(sw)
    for rule in dice.sample(rules[:8], 2):
        sw.ofctl(f"del-flows --strict {rule.partition(',actions')[0].removeprefix('cookie=10,')}")
    for rule in rules[8:11]:
        sw.ofctl(f"add-flow {rule}")
    while sw.step() is not None:
        pass
    flows = list(sw.megaflows)
    for flow in flows:
        told = flow.ledger  # asks the tables again, with the key of the packet that made it
        assert without_ids(told.action_list) == without_ids(flow.action_list), flow.match
        assert all(asked & ~mask == 0 for asked, mask in zip(told.mask[:WORDS], flow.mask_words, strict=True)), flow.match
    assert flows
