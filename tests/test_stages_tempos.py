"""The stages of the lookup in both tempos, as built for speed and as built checked: literal outcomes, all memory compared.

`Scene.both` also holds that a stage writes nothing outside the regions that its signature names.
"""
import numpy as np
import pytest
from parse_frames import WHOLE
from scenes import NEVER, udp

from lab.memory.reasons import (
    EMC_HIT,
    EMC_MISS,
    MEGAFLOW_CHANGED,
    MEGAFLOW_FLUSHED,
    MEGAFLOW_FOUND,
    MEGAFLOW_HIT,
    MEGAFLOW_INSTALLED,
    MEGAFLOW_MISS,
    MEGAFLOW_NARROWER,
    NO_RULE,
    NOT_INSTALLED,
    PARSED,
    REVALIDATED,
    SMC_HIT,
    SMC_MISS,
)
from lab.memory.record import NULL
from lab.stages.actions import actions
from lab.stages.burst import BURST
from lab.stages.emc import emc
from lab.stages.megaflow import megaflow
from lab.stages.parse import parse
from lab.stages.revalidate import revalidate
from lab.stages.smc import smc
from lab.stages.upcall import upcall

FLOWS = [udp(sport) for sport in range(1000, 1000 + BURST)]


# --- parse -----------------------------------------------------------------------------------------

def test_parse_gives_a_mixed_burst_keys_lengths_and_reasons(scene):
    names = list(WHOLE)[:BURST]
    scene.load([WHOLE[name] for name in names])
    scene.trace_on()
    scene.both(parse)
    assert scene.reason(PARSED) == len(names) == len(scene.traced())
    assert scene.mbufs[scene.packets[names.index("tcp with options")]].l4_len == 32


@pytest.mark.parametrize("n", [0, 1])
def test_parse_of_a_burst_of_none_or_one_touches_one_key_at_most(scene, n):
    scene.array("keys")["w"] = 7
    scene.load(FLOWS[:n])
    scene.both(parse)
    assert (scene.array("keys")["w"][n:] == 7).all()


# --- emc -------------------------------------------------------------------------------------------

def test_emc_resolves_what_it_knows_and_passes_the_places_of_the_rest(scene):
    scene.rule("output:vm2")
    scene.look_up(FLOWS[::2])
    flow = scene.mbufs[scene.packets[0]].flow
    scene.look_up(FLOWS, upto=emc)
    scene.trace_on()
    scene.both(emc)
    assert scene.misses() == list(range(1, BURST, 2))
    assert [scene.mbufs[i].flow for i in scene.packets] == [flow, NULL] * 16
    assert (scene.reason(EMC_HIT), len([e for e in scene.traced() if e[1] == EMC_MISS])) == (16, 16)


def test_emc_that_is_off_knows_nothing(scene):
    scene.rule("output:vm2")
    scene.look_up(FLOWS[:4])
    scene.config.emc_chance = np.uint64(NEVER)
    scene.look_up(FLOWS[:4], upto=emc)
    scene.both(emc)
    assert scene.misses() == [0, 1, 2, 3]


def test_emc_forgets_who_was_displaced_from_both_places(scene):
    scene.rule("output:vm2")
    for start in range(0, 4096, BURST):
        scene.load([udp(sport, dport) for dport in range(start, start + 2) for sport in range(16)])
        for stage in (parse, emc, megaflow, upcall):
            scene.step(stage)
    frames = [udp(sport, dport) for dport in (0, 1, 4064, 4065) for sport in range(8)]
    scene.look_up(frames, upto=megaflow)
    assert 0 < len(scene.misses()) < 32


# --- smc -------------------------------------------------------------------------------------------

def test_smc_resolves_what_the_emc_missed(scene):
    scene.config.smc_on, scene.config.emc_chance = 1, np.uint64(NEVER)
    scene.rule("output:vm2")
    scene.look_up(FLOWS[:8])
    scene.look_up(FLOWS[:16], upto=smc)
    scene.trace_on()
    scene.both(smc)
    assert scene.misses() == list(range(8, 16)) and (scene.reason(SMC_HIT), len(scene.traced())) == (8, 16)
    assert scene.reason(SMC_MISS) == 16  # eight when the signatures were entered, eight now


def test_smc_does_not_believe_a_signature_whose_megaflow_is_another_or_gone(scene):
    scene.config.smc_on, scene.config.emc_chance = 1, np.uint64(NEVER)
    scene.rule("output:vm2", "udp,tp_src=1000")
    scene.rule("output:vm3", "udp,tp_src=1001")
    scene.look_up([udp(1000), udp(1001)])
    smc_table, flows = scene.array("smc"), scene.array("megaflows", "flows")
    known = [int(f) for f in np.unique(smc_table["flow"][smc_table["flow"] != 0xFFFF])]
    swap = {known[0]: known[1], known[1]: known[0]}
    smc_table["flow"] = np.vectorize(lambda f: swap.get(f, f))(smc_table["flow"])
    scene.look_up([udp(1000), udp(1001)], upto=smc)
    scene.both(smc)
    assert scene.misses() == [0, 1]
    smc_table["flow"] = np.vectorize(lambda f: swap.get(f, f))(smc_table["flow"])
    flows["alive"][known[0]] = 0
    scene.look_up([udp(1000), udp(1001)], upto=smc)
    scene.both(smc)
    assert len(scene.misses()) == 1


# --- megaflow --------------------------------------------------------------------------------------

def many_masks(scene, n):
    """Rules that give each UDP source port a megaflow, in `n` subtables of different masks."""
    for bit in range(n):
        scene.rule("output:vm2", f"udp,tp_src={1000 + bit},nw_dst=10.0.0.2/{16 + bit}", priority=100 - bit)
    scene.look_up([udp(1000 + bit) for bit in range(n)])


@pytest.mark.parametrize("n", [1, 32])
@pytest.mark.parametrize("smc_on", [0, 1])
def test_megaflow_finds_each_packet_in_its_subtable(scene, n, smc_on):
    scene.config.smc_on = smc_on
    many_masks(scene, 8)
    scene.config.emc_chance = np.uint64(NEVER)
    scene.look_up([udp(1000 + k % 12) for k in range(n)], upto=megaflow)
    if smc_on:
        scene.burst.misses = n
        for k in range(n):
            scene.burst.miss[k] = k
    before = scene.reason(MEGAFLOW_HIT)
    scene.trace_on()
    scene.both(megaflow)
    assert scene.misses() == [k for k in range(n) if k % 12 >= 8]
    assert scene.reason(MEGAFLOW_HIT) - before == n - len(scene.misses()) and scene.reason(MEGAFLOW_MISS) >= len(scene.misses())
    assert {(a, b) for _, why, a, b in scene.traced() if why == MEGAFLOW_HIT} <= {(r, 8) for r in range(1, 9)}


def test_megaflow_enters_the_emc_one_time_in_a_hundred_and_by_the_same_dice_in_both_tempos(scene):
    scene.rule("output:vm2")
    scene.config.emc_chance = np.uint64(NEVER)
    scene.look_up(FLOWS)
    scene.config.emc_chance = np.uint64((1 << 32) // 100)
    for _ in range(40):
        scene.look_up(FLOWS, upto=megaflow)
        if scene.burst.misses:
            scene.both(megaflow)
    used = int((scene.array("emc")["flow"] != NULL).sum())
    assert 1 <= used <= 32


def test_megaflow_of_an_empty_table_or_an_empty_burst_resolves_nothing(scene):
    scene.look_up(FLOWS[:3], upto=megaflow)
    scene.both(megaflow)
    assert scene.misses() == [0, 1, 2]
    scene.burst.misses = 0
    scene.both(megaflow)
    assert scene.misses() == []


# --- upcall ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("turns", [1, 2])
def test_upcall_installs_one_megaflow_for_the_packets_that_one_covers(scene, turns):
    for priority in range(turns):
        scene.rule("output:vm2", priority=priority + 1)  # each change turns the readers to the other copy
    scene.look_up(FLOWS, upto=upcall)
    scene.trace_on()
    scene.both(upcall)
    assert len({scene.mbufs[i].flow for i in scene.packets}) == 1 and scene.misses() == []
    assert (scene.reason(MEGAFLOW_INSTALLED), scene.reason(MEGAFLOW_FOUND), len(scene.traced())) == (1, 31, 32)


def test_upcall_installs_a_megaflow_each_where_rules_tell_packets_apart(scene):
    scene.rule("output:vm2", "udp,tp_src=1000", priority=2)
    scene.rule("output:vm3", "udp", priority=1)
    scene.look_up(FLOWS, upto=upcall)
    scene.both(upcall)
    # as many leading bits of the port as tell it from 1000: 1000 itself, 1001, 1002-1003, 1004-1007, 1008-1023, 1024-1031
    assert scene.reason(MEGAFLOW_INSTALLED) == 6
    assert [sum(scene.mbufs[i].flow == f for i in scene.packets) for f in range(6)] == [1, 1, 2, 4, 16, 8]


def test_upcall_without_a_rule_installs_a_megaflow_that_drops(scene):
    scene.look_up([udp()], upto=upcall)
    scene.both(upcall)
    flow = scene.array("megaflows", "flows")[scene.mbufs[scene.packets[0]].flow]
    assert (flow["reason"], flow["n_acts"], flow["rule"], flow["alive"]) == (NO_RULE, 0, NULL, 1)


def test_upcall_answers_also_when_the_table_of_megaflows_is_full(scene):
    scene.rule("output:vm2", "udp,tp_src=0/1", priority=2)
    scene.rule("output:vm3", "udp,tp_src=1/1", priority=2)
    scene.rule("output:vm4", "udp,tp_src=7", priority=9)
    head = scene.table("megaflows").head[0]
    head.free = NULL
    scene.look_up(FLOWS, upto=upcall)
    scene.trace_on()
    scene.both(upcall)
    assert [scene.mbufs[i].flow - head.limit for i in scene.packets] == list(range(32))
    assert (scene.reason(NOT_INSTALLED), head.count, int((scene.array("emc")["flow"] != NULL).sum())) == (32, 0, 0)
    scene.both(actions)
    assert {p: len(batch) for p, batch in scene.gone_to().items()} == {2: 16, 3: 16}


def test_upcall_answers_also_when_no_further_mask_has_room(scene):
    scene.rule("output:vm2", "udp,tp_src=1000", priority=2)
    table = scene.table("megaflows")
    head, ranks = table.head[0], scene.array("megaflows", "subtables")
    ranks["rank"], ranks["blocks"] = np.arange(len(ranks)), 4
    ranks["mask"][:, 31] = np.arange(1, len(ranks) + 1)
    head.subtables, free = len(ranks), head.free
    scene.look_up([udp()], upto=megaflow)
    scene.burst.misses = 1
    scene.both(upcall)
    assert scene.mbufs[scene.packets[0]].flow == head.limit and head.free == free


def test_upcall_fills_both_caches(scene):
    scene.config.smc_on = 1
    scene.rule("output:vm2")
    scene.look_up(FLOWS)
    assert int((scene.array("emc")["flow"] != NULL).sum()) == 32 == int((scene.array("smc")["flow"] != 0xFFFF).sum())


# --- revalidate ------------------------------------------------------------------------------------

def three_megaflows(scene, smc_on):
    """Five packets: two that the first rule decides on, and three of the second, whose ports differ from the first's in other bits."""
    scene.config.smc_on = smc_on
    scene.rule("output:vm2", "udp,tp_src=1000/0xfffe", priority=30)
    scene.rule("output:vm3", "udp")
    assert {port: len(batch) for port, batch in scene.forward(FLOWS[:5]).items()} == {2: 2, 3: 3}
    scene.send_out()
    return scene.table("megaflows").head[0]


@pytest.mark.parametrize("smc_on", [0, 1])
def test_under_a_new_epoch_megaflows_that_the_rules_still_say_stay(scene, smc_on):
    head = three_megaflows(scene, smc_on)
    scene.config.epoch += 1
    scene.both(revalidate)
    assert (head.count, head.subtables, scene.lane.epoch, scene.reason(REVALIDATED)) == (3, 2, scene.config.epoch, 3)
    assert int((scene.array("emc")["flow"] != NULL).sum()) == 5
    scene.both(revalidate)
    assert scene.reason(REVALIDATED) == 3, "nothing has changed since"


@pytest.mark.parametrize("smc_on", [0, 1])
def test_a_megaflow_that_is_too_wide_for_new_rules_goes_and_its_rule_gets_its_counts(scene, smc_on):
    head = three_megaflows(scene, smc_on)
    scene.rule("output:vm4", "udp,tp_src=1001", priority=40)
    scene.config.epoch += 1
    scene.both(revalidate)
    assert (head.count, scene.reason(MEGAFLOW_NARROWER), scene.reason(REVALIDATED)) == (2, 1, 2)
    assert int((scene.array("emc")["flow"] != NULL).sum()) == 3
    assert sorted(scene.array("rule_stats")["packets"].tolist())[-2:] == [2, 3]
    assert {port: len(batch) for port, batch in scene.forward(FLOWS[:5]).items()} == {2: 1, 3: 3, 4: 1}


@pytest.mark.parametrize("smc_on", [0, 1])
def test_a_megaflow_whose_rule_says_otherwise_gets_its_new_actions(scene, smc_on):
    head = three_megaflows(scene, smc_on)
    scene.rule("output:vm4", "udp")
    scene.config.epoch += 1
    scene.both(revalidate)
    assert (head.count, scene.reason(MEGAFLOW_CHANGED), scene.reason(REVALIDATED)) == (3, 2, 1)
    asked = scene.reason(MEGAFLOW_INSTALLED)
    assert {port: len(batch) for port, batch in scene.forward(FLOWS[:5]).items()} == {2: 2, 4: 3}
    assert scene.reason(MEGAFLOW_INSTALLED) == asked


@pytest.mark.parametrize("smc_on", [0, 1])
def test_a_flush_forgets_megaflows_and_caches_and_credits_the_rules(scene, smc_on):
    head = three_megaflows(scene, smc_on)
    scene.config.flushes += 1
    scene.both(revalidate)
    assert (head.count, head.subtables, scene.reason(MEGAFLOW_FLUSHED)) == (0, 0, 3)
    assert int((scene.array("emc")["flow"] != NULL).sum()) == 0
    assert sorted(scene.array("rule_stats")["packets"].tolist())[-2:] == [2, 3]
    free, f = 0, head.free
    while f != NULL:
        free, f = free + 1, scene.table("megaflows").flows[f].next
    assert free == head.limit
    scene.both(revalidate)


def test_what_nobody_asked_for_is_forgotten_after_its_time(scene):
    many_masks(scene, 6)
    scene.both(actions)
    scene.lane.now = 6_000_000
    scene.look_up([udp(1002)])
    scene.both(actions)
    scene.lane.now, scene.lane.ranked_at = 10_000_001, 0
    scene.both(revalidate)
    table = scene.table("megaflows")
    assert (table.head[0].count, table.head[0].subtables, scene.lane.ranked_at) == (1, 1, 10_000_001)
    assert int((scene.array("emc")["flow"] != NULL).sum()) == 1
    scene.look_up([udp(1000), udp(1002)], upto=megaflow)
    assert scene.misses() == [0]


def test_before_a_second_has_passed_nothing_is_ranked(scene):
    many_masks(scene, 3)
    scene.lane.now, scene.lane.ranked_at = 1_500_000, 600_000
    scene.both(revalidate)  # holds them against the rules once
    before = scene.bytes.copy()
    scene.both(revalidate)
    assert np.array_equal(before, scene.bytes)


def test_the_subtable_that_was_hit_most_is_probed_first(scene):
    many_masks(scene, 5)
    scene.config.emc_chance = np.uint64(NEVER)
    scene.look_up([udp(1003)] * 20 + [udp(1001)] * 10)
    scene.lane.now = 1_000_000
    scene.both(revalidate)
    scene.look_up([udp(1003), udp(1001)], upto=megaflow)
    scene.trace_on()
    scene.both(megaflow)
    assert [a for _, why, a, _ in scene.traced() if why == MEGAFLOW_HIT] == [1, 2]
