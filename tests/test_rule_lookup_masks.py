"""How little the rule classifier asks for: each way of proving that a subtable has no rule, in literal rules and masks."""
import pytest
from rule_scene import Scene, words

from lab.memory.record import NULL
from lab.translate.ledger import L_SUBTABLE, L_TREE
from lab.translate.rules import IPV6_DST, L2, METADATA, NW_DST, NW_SRC, PORTS_TREE, WHOLE

MAC = (1 << 48) - 1
ADDRESS = 0xFFFFFFFF


@pytest.fixture
def scene():
    made = Scene()
    made.ledger[0].on = 1
    return made


def ask(scene, key, known=None):
    """The rule and the mask."""
    found = scene.look_up(key, known)
    assert found.plain == found.asking
    return found.plain, found.asked


def test_a_rule_that_is_found_asks_for_its_whole_mask(scene):
    mask = words(in_port=ADDRESS, dl_type=0xFFFF, nw_dst=0xFFFFFF00)
    scene.enter(5, mask, words(in_port=1, dl_type=0x0800, nw_dst=0x0A000100))
    assert ask(scene, words(in_port=1, dl_type=0x0800, nw_dst=0x0A000163)) == (5, mask)
    assert scene.look_up(words(in_port=1, dl_type=0x0800, nw_dst=0x0A000163)).story == [(L_SUBTABLE, 0, WHOLE, 0)]


def test_what_fails_on_metadata_asks_for_nothing_behind_it(scene):
    scene.enter(0, words(in_port=ADDRESS, dl_dst=MAC, nw_dst=ADDRESS, tp_dst=0xFFFF), words(in_port=1, dl_dst=2, nw_dst=3, tp_dst=4))
    key = words(in_port=2, dl_dst=2, nw_dst=3, tp_dst=4)
    assert ask(scene, key) == (NULL, words(in_port=ADDRESS))
    assert scene.look_up(key).story == [(L_SUBTABLE, 0, METADATA, 0)]


def test_what_fails_on_registers_asks_for_nothing_when_they_are_known(scene):
    scene.enter(0, words(reg3=ADDRESS, tp_dst=0xFFFF), words(reg3=7, tp_dst=80))
    assert ask(scene, words(tp_dst=81), known=words(reg3=ADDRESS)) == (NULL, words())


def test_an_ethernet_address_that_is_unknown_is_asked_for_alone(scene):
    mask = words(metadata=(1 << 64) - 1, dl_dst=MAC, nw_proto=0xFF)
    scene.enter(0, mask, words(metadata=1, dl_dst=0xAA, nw_proto=6))
    key = words(metadata=1, dl_dst=0xBB, nw_proto=6)
    assert ask(scene, key) == (NULL, words(dl_dst=MAC))
    assert scene.look_up(key).story == [(L_SUBTABLE, 0, L2, 0)]


def test_an_ethernet_address_that_others_have_is_asked_for_with_what_stands_before_it(scene):
    mask = words(tun_id=(1 << 64) - 1, dl_dst=MAC, nw_proto=0xFF)
    scene.enter(0, mask, words(tun_id=1, dl_dst=0xAA, nw_proto=6))
    scene.enter(1, mask, words(tun_id=2, dl_dst=0xBB, nw_proto=6))
    assert ask(scene, words(tun_id=1, dl_dst=0xBB, nw_proto=6)) == (NULL, words(tun_id=(1 << 64) - 1, dl_dst=MAC))


def test_a_protocol_that_no_rule_has_is_asked_for_alone(scene):
    scene.enter(0, words(dl_dst=MAC, nw_proto=0xFF), words(dl_dst=0xAA, nw_proto=6))
    assert ask(scene, words(dl_dst=0xAA, nw_proto=17)) == (NULL, words(nw_proto=0xFF))


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (0x0B000000, 0xFF000000),  # 10 and 11 differ in the last bit of the first byte
        (0x80000000, 0x80000000),
        (0x0A400000, 0xFFC00000),
        (0x0A000100, 0xFFFFFF00),
        (0x0A000001, 0xFFFFFFFF),
    ],
)
def test_a_destination_is_asked_for_down_to_the_bit_that_decides(scene, address, asked):
    scene.enter(0, words(dl_type=0xFFFF, nw_dst=ADDRESS), words(dl_type=0x0800, nw_dst=0x0A000000))
    assert ask(scene, words(dl_type=0x0800, nw_dst=address))[1] == words(nw_dst=asked)
    length = bin(asked).count("1")
    assert scene.look_up(words(dl_type=0x0800, nw_dst=address)).story == [(L_TREE, NW_DST, length, 0)]


def test_each_subtable_has_a_tree_of_its_own_so_longer_prefixes_elsewhere_do_not_narrow_it(scene):
    scene.enter(0, words(nw_dst=0xFFFF0000), words(nw_dst=0x0A010000), 2)
    scene.enter(1, words(nw_dst=ADDRESS), words(nw_dst=0x0B000001), 1)
    rule, asked = ask(scene, words(nw_dst=0x0B000001))
    assert rule == 1 and asked == words(nw_dst=ADDRESS)
    assert scene.look_up(words(nw_dst=0x0B000001)).story[0] == (L_TREE, NW_DST, 8, 0)


def test_of_two_addresses_that_both_decide_the_shorter_prefix_is_asked_for(scene):
    scene.enter(0, words(nw_src=ADDRESS, nw_dst=ADDRESS), words(nw_src=0x0A000001, nw_dst=0x0A000002))
    assert ask(scene, words(nw_src=0xC0000000, nw_dst=0x0A000003)) == (NULL, words(nw_src=0x80000000))
    assert ask(scene, words(nw_src=0x0A000000, nw_dst=0xC0000003)) == (NULL, words(nw_dst=0x80000000))
    assert ask(scene, words(nw_src=0xC0000000, nw_dst=0xC0000003)) == (NULL, words(nw_dst=0x80000000))
    assert scene.look_up(words(nw_src=0xC0000000, nw_dst=0x0A000003)).story == [(L_TREE, NW_SRC, 1, 0)]


def test_ipv6_destinations_are_asked_for_by_prefix_too(scene):
    ones = (1 << 128) - 1
    scene.enter(0, words(dl_type=0xFFFF, ipv6_dst=ones), words(dl_type=0x86DD, ipv6_dst=0x20010DB8 << 96 | 1))
    key = words(dl_type=0x86DD, ipv6_dst=0x20010DB9 << 96 | 1)
    assert ask(scene, key) == (NULL, words(ipv6_dst=0xFFFFFFFF << 96))
    assert scene.look_up(key).story == [(L_TREE, IPV6_DST, 32, 0)]


def test_ports_that_no_rule_has_are_asked_for_by_prefix_and_nothing_else_is(scene):
    mask = words(dl_dst=MAC, nw_proto=0xFF, tp_dst=0xFFFF)
    for index, port in enumerate((22, 80, 443)):
        scene.enter(index, mask, words(dl_dst=0xAA, nw_proto=6, tp_dst=port))
    key = words(dl_dst=0xAA, nw_proto=6, tp_dst=0x8000)
    assert ask(scene, key) == (NULL, words(tp_dst=0x8000))
    assert scene.look_up(key).story == [(L_TREE, PORTS_TREE, 17, 0)]
    assert ask(scene, words(dl_dst=0xAA, nw_proto=6, tp_dst=81)) == (NULL, words(tp_dst=0xFFFF))


def test_a_port_that_rules_have_with_other_addresses_asks_for_everything(scene):
    mask = words(dl_dst=MAC, tp_dst=0xFFFF)
    scene.enter(0, mask, words(dl_dst=0xAA, tp_dst=80))
    scene.enter(1, mask, words(dl_dst=0xBB, tp_dst=22))
    key = words(dl_dst=0xBB, tp_dst=80)
    assert ask(scene, key) == (NULL, mask)
    assert scene.look_up(key).story == [(L_SUBTABLE, 0, WHOLE, 0)]


def test_masks_of_addresses_that_are_no_prefixes_ask_only_for_bits_of_the_mask(scene):
    scene.enter(0, words(nw_dst=0x00FF00FF), words(nw_dst=0x00010001))
    assert ask(scene, words(nw_dst=0xFF01FF03)) == (NULL, words(nw_dst=0x00FF00FE))
    assert ask(scene, words(nw_dst=0xFF80FF01)) == (NULL, words(nw_dst=0x00800000))


def test_subtables_that_cannot_have_a_better_rule_are_not_asked(scene):
    scene.enter(0, words(in_port=ADDRESS), words(in_port=1), 10)
    scene.enter(1, words(dl_dst=MAC), words(dl_dst=0xAA), 10)
    scene.enter(2, words(nw_src=ADDRESS), words(nw_src=1), 5)
    assert ask(scene, words(in_port=1, dl_dst=0xAA, nw_src=1)) == (0, words(in_port=ADDRESS))


def test_a_rule_for_all_packets_asks_for_nothing(scene):
    scene.enter(3, words(), words())
    assert ask(scene, words(in_port=9, tp_dst=80)) == (3, words())


def test_what_is_known_is_compared_and_not_asked_for(scene):
    mask = words(reg0=ADDRESS, dl_dst=MAC)
    scene.enter(0, mask, words(reg0=1, dl_dst=0xAA))
    assert ask(scene, words(reg0=1, dl_dst=0xAA), known=words(reg0=ADDRESS, dl_dst=0xFF)) == (0, words(dl_dst=MAC & ~0xFF))
