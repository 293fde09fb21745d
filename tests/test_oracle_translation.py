"""Random tables and random packets at a real Open vSwitch and at ours: the same frames leave through the same ports, byte for byte.

Where the two differ on purpose the generators do not go, or `peculiar` says so:
* a third tag: Open vSwitch keeps two and loses the innermost;
* a label pushed and popped again under another Ethernet type, which Open vSwitch makes nothing of;
* later fragments long enough for a transport header: Open vSwitch changes a checksum that is not there;
* in OpenFlow 1.0 a set_field with a mask, which Open vSwitch sends as if it had none.
"""
import random

import pytest
from ovs_peer import Peer
from real_ovs import MISSING, REASON
from twins import Twins

from bench.random_packets import random_packet
from bench.random_tables import random_table
from bench.width import BAR, cases

pytestmark = pytest.mark.skipif(MISSING is not None, reason=REASON)
TAGS = (b"\x81\x00", b"\x88\xa8")
TABLES, PACKETS = 10, 32


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    with Peer(tmp_path_factory.mktemp("ovs")) as peer:
        made = Twins(peer)
        yield made
        made.ours.close()


def peculiar(sent):
    """Whether a frame has three tags."""
    return any(all(frame[at:at + 2] in TAGS for at in (12, 16, 20)) for frames in sent.values() for frame in frames)


def step_all(switch):
    while switch.step() is not None:
        pass


@pytest.mark.parametrize("seed", range(TABLES))
def test_both_switches_send_the_same(twins, seed):
    dice = random.Random(seed)
    groups, rules = random_table(dice)
    packets = [random_packet(dice) for _ in range(PACKETS)]
    refused = twins.load(groups, rules)
    assert not any(why.startswith("ours") for why in refused.values()), refused
    assert [found for found in twins.differences(packets) if not peculiar(found[2])] == []


def test_both_switches_send_the_same_when_ours_is_stepped(twins):
    dice = random.Random(1000)
    twins.run, run = lambda: step_all(twins.ours), twins.run
    try:
        for _ in range(2):
            groups, rules = random_table(dice)
            twins.load(groups, rules)
            found = twins.differences([random_packet(dice) for _ in range(PACKETS)])
            assert [one for one in found if not peculiar(one[2])] == []
    finally:
        twins.run = run


def test_masks_are_as_wide_as_those_of_open_vswitch(twins):
    found = list(cases(twins, 6, 20, seed=5))
    as_wide = sum(case.as_wide for case in found)
    narrower = next((case for case in found if not case.as_wide), None)
    assert as_wide >= BAR * len(found), narrower
