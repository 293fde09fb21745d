"""What NORMAL does to literal frames: tags in and out for each mode of port, learning, flooding, and what it asks for."""
import random

import numpy as np
import pytest
from bridge_desk import ALL, EVERY, A, B, Bridge, C, frame, perform, tags_of

from lab.flow.key import W_DST, W_PORT, W_SRC, W_VLAN
from lab.memory.reasons import NO_PORT, NOWHERE, RESERVED, VLAN_DROPS
from lab.translate.emit import NO_FLOOD, NO_FWD, PROTECTED
from lab.translate.fdb import fdb_key, look_up
from lab.translate.normal import (
    ACCESS,
    BRIDGE,
    N_FLOODS,
    N_FORWARDS,
    N_LEARNED,
    N_NO_INPUT,
    N_NOT_ALLOWED,
    N_PARTIAL_TAG,
    N_PROTECTED,
    N_RESERVED,
    N_SAME_PORT,
    NATIVE_TAGGED,
    NATIVE_UNTAGGED,
    TRUNK,
    normal_words,
)
from lab.translate.ofact import OFPP_CONTROLLER

MAC = 0xFFFFFFFFFFFF
OUTER_VID, PCP = 0x1FFF << 32, 0xE000 << 32


def tags(sent):
    """The tags with which frames left, as TCIs."""
    return {port: [tci for _, tci in tags_of(data)] for port, data in sent.items()}


def station(bridge, mac, port, vlan=0):
    """A frame from `mac` makes its place known."""
    bridge.switch(port, frame(*([vlan] if vlan else []), src=mac, dst=ALL))


# (mode, tag, trunks) of the input port, the frame's tags, and the tags that a trunk for all VLANs sends; None: not let in
COMES_IN = [
    ((ACCESS, 10, ()), (), [0x000A]),
    ((ACCESS, 10, ()), (0xA000,), [0xA00A]),
    ((ACCESS, 10, ()), (0x000A,), None),
    ((ACCESS, 0, ()), (), []),
    ((TRUNK, 0, ()), (), []),
    ((TRUNK, 0, ()), (0x600A,), [0x600A]),
    ((TRUNK, 0, ()), (0xA000,), [0xA000]),
    ((TRUNK, 0, ()), (0x0000,), []),
    ((TRUNK, 0, (10,)), (0x000A,), [0x000A]),
    ((TRUNK, 0, (10,)), (0x000B,), None),
    ((TRUNK, 0, (10,)), (), None),
    ((NATIVE_TAGGED, 10, (10, 20)), (), [0x000A]),
    ((NATIVE_TAGGED, 10, (10, 20)), (0xE000,), [0xE00A]),
    ((NATIVE_TAGGED, 10, (10, 20)), (0x0014,), [0x0014]),
    ((NATIVE_TAGGED, 10, (10, 20)), (0x001E,), None),
    ((NATIVE_UNTAGGED, 10, (10, 20)), (), [0x000A]),
    ((NATIVE_UNTAGGED, 10, (10, 20)), (0x000A,), [0x000A]),
]


@pytest.mark.parametrize(("setting", "came", "left"), COMES_IN)
def test_what_comes_in_is_in_the_vlan_of_its_port(setting, came, left):
    bridge = Bridge(2)
    bridge.port(1, *setting)
    sent = tags(bridge.switch(1, frame(*came)))
    assert sent == ({} if left is None else {2: left})
    if left is None:
        assert (bridge.why, bridge.story) == (VLAN_DROPS, [N_NOT_ALLOWED])


# (mode, tag, trunks) of the output port, and what leaves of a frame that a trunk brings
GOES_OUT = [
    ((ACCESS, 10, ()), (0xA00A,), []),
    ((ACCESS, 10, ()), (0x000B,), None),
    ((ACCESS, 10, ()), (), None),
    ((ACCESS, 0, ()), (), []),
    ((TRUNK, 0, ()), (0xA00A,), [0xA00A]),
    ((TRUNK, 0, (10,)), (0xA00A,), [0xA00A]),
    ((TRUNK, 0, (11,)), (0xA00A,), None),
    ((NATIVE_TAGGED, 10, (10, 20)), (0xA00A,), [0xA00A]),
    ((NATIVE_UNTAGGED, 10, (10, 20)), (0xA00A,), []),
    ((NATIVE_UNTAGGED, 10, (10, 20)), (0xA014,), [0xA014]),
    ((NATIVE_UNTAGGED, 10, (10, 20)), (0xA01E,), None),
]


@pytest.mark.parametrize(("setting", "came", "left"), GOES_OUT)
def test_what_goes_out_has_the_tags_of_its_port(setting, came, left):
    bridge = Bridge(2)
    bridge.port(2, *setting)
    assert tags(bridge.switch(1, frame(*came))) == ({} if left is None else {2: left})


def test_a_flood_gives_each_port_its_own_tags_and_the_packet_is_as_it_was():
    bridge = Bridge(6)
    bridge.port(2, ACCESS, 10)
    bridge.port(4, ACCESS, 10)
    bridge.port(5, NATIVE_UNTAGGED, 10, (10,))
    bridge.port(6, ACCESS, 11)
    data = frame((0x88A8, 0xA00A))
    assert {port: tags_of(out) for port, out in bridge.switch(1, data).items()} == {
        2: [], 3: [(0x88A8, 0xA00A)], 4: [], 5: []}
    assert bridge.mind.desk.xlate[0].changes == 4, "off for 2, on for 3, off for 4 and 5, on again in the end"


def test_a_tag_that_stays_is_not_taken_off():
    bridge = Bridge(2)
    bridge.port(1, NATIVE_TAGGED, 10, (10,))
    assert tags(bridge.switch(1, frame(0xA000))) == {2: [0xA00A]}
    assert bridge.acts()[0][4] == 0xFFF, "only the VLAN's bits are written"
    assert bridge.asked[W_VLAN] == OUTER_VID, "so nobody asks for the priority"


def test_addresses_are_learned_in_their_vlan_and_packets_go_there_alone():
    bridge = Bridge(3)
    bridge.port(1, ACCESS, 10)
    bridge.port(2, ACCESS, 10)
    assert list(bridge.switch(1, frame(src=A, dst=B))) == [2, 3]
    assert bridge.story == [N_LEARNED, N_FLOODS]
    assert list(bridge.switch(2, frame(src=B, dst=A))) == [1]
    assert bridge.story == [N_LEARNED, N_FORWARDS]
    assert tags(bridge.switch(3, frame(0x200A, src=C, dst=A))) == {1: []}
    assert list(bridge.switch(3, frame(0x000B, src=C, dst=A))) == [], "in VLAN 11 nobody knows it, and no other port is there"


def test_nothing_goes_back_where_it_came_from():
    bridge = Bridge(3)
    station(bridge, B, 1)
    assert bridge.switch(1, frame(dst=B)) == {}
    assert (bridge.why, bridge.story) == (NOWHERE, [N_LEARNED, N_SAME_PORT])


def test_a_station_that_moves_is_found_at_its_new_port():
    bridge = Bridge(3)
    station(bridge, B, 2)
    station(bridge, B, 3)
    assert list(bridge.switch(1, frame(dst=B))) == [3]
    assert bridge.mind.fdb.head[1].moved == 1


def test_looking_alone_teaches_nothing():
    bridge = Bridge(3)
    bridge.switch(2, frame(src=B, dst=ALL), learns=0)
    assert list(bridge.switch(1, frame(dst=B))) == [2, 3]
    assert bridge.story == [N_LEARNED, N_FLOODS]


def test_the_megaflow_is_to_keep_its_source_fresh():
    bridge = Bridge(2)
    bridge.port(1, ACCESS, 10)
    bridge.switch(1, frame(src=A), learns=0)
    assert bridge.credits == [(1 << 60 | 10 << 48 | 0x02000000000A, 1)]


def test_groups_are_no_stations():
    bridge = Bridge(3)
    bridge.switch(1, frame(src="01:00:00:00:00:01", dst=B))
    assert (bridge.story, bridge.credits) == ([N_FLOODS], [])
    assert list(bridge.switch(1, frame(dst="01:00:5e:00:00:01"))) == [2, 3]


def test_reserved_addresses_are_not_forwarded():
    bridge = Bridge(2)
    assert bridge.switch(1, frame(dst="01:80:c2:00:00:0e")) == {}
    assert (bridge.why, bridge.story, bridge.credits) == (RESERVED, [N_RESERVED], [])


def test_flood_vlans_learn_nothing():
    bridge = Bridge(3)
    bridge.mind.vlans[BRIDGE].trunks[0] = 1 << 10
    station(bridge, B, 2, vlan=10)
    station(bridge, B, 2, vlan=11)
    assert list(bridge.switch(1, frame(10, dst=B))) == [2, 3]
    assert list(bridge.switch(1, frame(11, dst=B))) == [2]


def test_flags_of_ports_are_minded():
    bridge = Bridge(5)
    bridge.port(1, TRUNK, flags=PROTECTED)
    bridge.port(2, TRUNK, flags=PROTECTED)
    bridge.port(3, TRUNK, flags=NO_FLOOD)
    bridge.port(4, TRUNK, flags=NO_FWD)
    assert list(bridge.switch(1, frame())) == [5]
    station(bridge, B, 2)
    assert bridge.switch(1, frame(dst=B)) == {}
    assert bridge.story[-1] == N_PROTECTED
    station(bridge, C, 3)
    assert list(bridge.switch(1, frame(dst=C))) == [3]


def test_ports_that_are_not_there_give_and_take_nothing():
    bridge = Bridge(2)
    assert bridge.switch(7, frame()) == {}
    assert (bridge.why, bridge.story) == (NO_PORT, [N_NO_INPUT])
    assert list(bridge.switch(OFPP_CONTROLLER, frame(0x000A))) == [1, 2]
    assert (bridge.story, bridge.credits) == ([N_FLOODS], [])


def test_half_a_tag_is_dropped():
    bridge = Bridge(2)
    bridge.put_on_desk([1 << 32, 0, 0x8100 << 48 | 0x02000000000B, 0x02000000000A, *[0] * 44], 1, 1)
    assert (bridge.translate(), bridge.story) == ([], [N_PARTIAL_TAG])


def test_a_packet_that_may_not_come_in_is_asked_for_its_vlan_alone():
    bridge = Bridge(2)
    bridge.port(1, ACCESS, 10)
    bridge.switch(1, frame(0x000B))
    assert bridge.asked[W_VLAN] == OUTER_VID
    assert (bridge.asked[W_SRC], bridge.asked[W_DST] & MAC) == (0, 0)


def test_a_usual_packet_is_asked_for_addresses_and_vlan_and_nothing_more():
    bridge = Bridge(3)
    bridge.switch(1, frame(0xA00A))
    others = [word for j, word in enumerate(bridge.asked) if j not in (W_DST, W_SRC, W_VLAN, W_PORT)]
    assert (bridge.asked[W_SRC], bridge.asked[W_DST] & MAC, bridge.asked[W_VLAN], sum(others)) == (MAC, MAC, OUTER_VID, 0)


def test_what_actions_have_set_is_not_asked_of_the_packet():
    bridge = Bridge(2)
    bridge.port(2, ACCESS, 10)
    bridge.begin(1, frame(0x000B))
    desk = bridge.mind.desk
    desk.flows[0].w[W_VLAN] = 0x8100B00A << 32
    desk.flows[1].w[W_VLAN] = EVERY
    sent, left = perform(bridge.translate(), frame(0xA00A))
    assert (tags_of(sent[2]), left, bridge.asked[W_VLAN]) == ([], frame(0xA00A), 0)


def test_what_is_learned_is_found_by_its_key():
    bridge = Bridge(2)
    bridge.port(1, ACCESS, 4095)
    bridge.switch(1, frame(src=C))
    key = fdb_key(4095, np.uint64(0x02000000000C))
    assert look_up(bridge.mind.fdb, key, bridge.now, 1) == 1
    assert normal_words(N_LEARNED, int(key), 1, {1: "vm1"}.get) == "learned that 02:00:00:00:00:0c is on port vm1 in VLAN 4095"


# --- soundness: whoever looks the same under the mask is treated the same ------------------------------

OUTER_TAGS = [(tpid, vlan | priority) for tpid in (0x8100, 0x88A8) for vlan in (0, 10, 20) for priority in (0, 0xA000)]
INNER_TAGS = [(0x8100, 10), (0x8100, 0xA000), (0x88A8, 0x000A)]
FRAMES = [[], *([tag] for tag in OUTER_TAGS), *([tag, within] for tag in OUTER_TAGS for within in INNER_TAGS)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("vlan_limit", [1, 2])
def test_packets_that_agree_under_the_mask_are_sent_alike(vlan_limit, seed):
    dice = random.Random(seed)
    bridge = Bridge(4, vlan_limit)
    for number in range(1, 5):
        mode = dice.choice([TRUNK, ACCESS, NATIVE_TAGGED, NATIVE_UNTAGGED])
        bridge.port(number, mode, dice.choice([0, 10, 10, 20]), dice.choice([(), (10,), (10, 20)]))
    if dice.random() < 0.5:
        station(bridge, B, dice.randint(2, 4), 10)
    seen = []
    for tagging in FRAMES:
        bridge.begin(1, frame(*tagging), learns=0)
        words = [int(word) for word in bridge.flow]
        seen.append((words, bridge.translate(), bridge.asked))
    for words, acts, mask in seen:
        for others, their_acts, their_mask in seen:
            if all(a & m == b & m for a, b, m in zip(words, others, mask, strict=True)):
                assert (their_acts, their_mask) == (acts, mask), (hex(words[W_VLAN]), hex(others[W_VLAN]))
