"""From table to table in both tempos: resubmit and goto, their limits, metadata, action sets, clones, exit."""
import pytest
from both_tempos import B, C, Pair, labelled, udp

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


# --- resubmit and goto_table ---------------------------------------------------------------------------


@pytest.mark.parametrize(("rules", "ports"), [
    (["actions=resubmit(,1),2", "table=1,actions=3"], [2, 3]),
    (["actions=resubmit(,1),2", "table=1,in_port=7,actions=3"], [2]),
    (["actions=resubmit(7,1),2", "table=1,in_port=7,actions=3"], [2, 3]),
    (["actions=resubmit(2,1)", "table=1,in_port=2,actions=resubmit(,2)", "table=2,in_port=1,actions=3"], [3]),
    (["in_port=1,actions=resubmit:3", "in_port=3,actions=2"], [2]),
    (["actions=resubmit(3,1)", "table=1,actions=in_port"], [1]),
    (["actions=resubmit(,9),2"], [2]),
    (["actions=goto_table:1", "table=1,actions=2"], [2]),
    (["actions=3,goto_table:1", "table=1,actions=goto_table:200", "table=200,actions=2"], [2, 3]),
    (["actions=goto_table:1"], []),
    (["actions=write_metadata:5,goto_table:1", "table=1,metadata=5,actions=2"], [2]),
    (["actions=write_metadata:0xff/0xf,goto_table:1", "table=1,metadata=0xf,actions=2"], [2]),
    (["actions=load:0x70->metadata[],write_metadata:5/0xf,goto_table:1", "table=1,metadata=0x75,actions=2"], [2]),
    (["actions=load:3->in_port[],resubmit(,1)", "table=1,in_port=3,actions=1,3"], [1]),
])
def test_tables_follow_each_other(pair, rules, ports):
    pair.rules(*rules)
    assert sorted(pair.send(FRAME)) == ports


def test_what_a_table_wrote_stays_for_whoever_resubmitted(pair):
    pair.rules("actions=resubmit(,1),2", f"table=1,actions=mod_dl_dst:{C}")
    assert pair.send(FRAME) == {2: [udp(dl_dst=C)]}


def test_exit_ends_everything_but_what_was_done(pair):
    pair.rules("actions=2,resubmit(,1),4", "table=1,actions=3,exit,4")
    assert pair.send(FRAME) == {2: [FRAME], 3: [FRAME]}


def test_sixty_four_levels_are_deep_enough_and_one_more_drops_all(pair):
    def ladder(levels):
        """Each table calls one before it, so every call is a level deeper."""
        first = 200
        rules = [f"table=0,actions=resubmit(,{first})"]
        rules += [f"table={first - n},actions=resubmit(,{first - n - 1})" for n in range(levels)]
        return [*rules, f"table={first - levels},actions=2"]

    pair.rules(*ladder(63))
    assert pair.send(FRAME) == {2: [FRAME]}
    pair.rules(*ladder(65))
    assert pair.why(FRAME) == {"dropped: too deep": 1}


def test_later_tables_cost_no_depth(pair):
    pair.rules(*[f"table={n},actions=resubmit(,{n + 1})" for n in range(200)], "table=200,actions=2")
    assert pair.send(FRAME) == {2: [FRAME]}


def test_a_table_that_calls_itself_is_dropped_with_a_reason_whatever_it_sent(pair):
    pair.rules("actions=2,resubmit(,0)")
    assert pair.why(FRAME) == {"dropped: too deep": 1}


def test_four_thousand_and_ninety_six_resubmits_are_the_most(pair):
    def fan(n):
        """Three tables, each of which resubmits `n` times to the next: n + n^2 + n^3 resubmits."""
        return [f"table={table},actions={','.join([f'resubmit(,{table + 1})'] * n)}" for table in range(3)]

    pair.rules(*fan(15), "table=3,actions=load:1->reg0[]")
    assert pair.why(FRAME) == {"dropped: rule says so": 1}
    assert "n_packets=3375," in pair.ofctl("dump-flows table=3")  # more often than a megaflow has room for credits
    pair.rules(*fan(16), "table=3,actions=load:1->reg0[]")
    assert pair.why(FRAME) == {"dropped: too many resubmits": 1}


# --- action sets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("actions", "expected"), [
    ("write_actions(output:2)", {2: [FRAME]}),
    (f"write_actions(output:2,mod_dl_dst:{C})", {2: [udp(dl_dst=C)]}),
    ("write_actions(mod_dl_dst:02:00:00:00:00:0c)", {}),
    ("write_actions(output:2,output:3)", {3: [FRAME]}),
    ("write_actions(output:2),write_metadata:1,goto_table:1", {2: [FRAME]}),
    ("3,write_actions(output:2)", {2: [FRAME], 3: [FRAME]}),
    (f"mod_dl_dst:{C},write_actions(output:2)", {2: [udp(dl_dst=C)]}),
    ("clear_actions", {}),
    ("clear_actions,write_actions(output:2)", {2: [FRAME]}),
    ("write_actions(push_vlan:0x8100,output:2)", {2: [udp(tags=[(0, 0)])]}),
])
def test_an_action_set_is_run_at_the_end(pair, actions, expected):
    pair.rules(f"table=0,actions={actions}", "table=1,actions=note:00")
    assert pair.send(FRAME) == expected


def test_the_actions_of_a_set_have_an_order_of_their_own(pair):
    pair.rules("ip,actions=write_actions(output:2,set_field:9->nw_ttl,dec_ttl,push_mpls:0x8847)")
    # push, then dec_ttl, then what sets: the label is there when the TTL of IP is not, so only the push is left
    sent = pair.send(FRAME)
    assert sent == {2: [labelled(FRAME, (0, 0, 64))]}


def test_a_ttl_of_a_set_is_lowered_before_a_field_is_set(pair):
    pair.rules("ip,actions=write_actions(output:2,set_field:9->nw_ttl,dec_ttl)")
    assert pair.send(FRAME) == {2: [udp(ttl=9)]}


def test_a_set_grows_from_table_to_table_and_the_last_of_a_kind_counts(pair):
    pair.rules(f"table=0,actions=write_actions(output:2,set_field:{C}->eth_dst),goto_table:1",
               f"table=1,actions=write_actions(output:3,set_field:{B}->eth_src)")
    assert pair.send(FRAME) == {3: [udp(dl_src=B, dl_dst=C)]}


def test_a_set_is_emptied_by_clear_actions(pair):
    pair.rules("table=0,actions=write_actions(output:2),goto_table:1", "table=1,actions=clear_actions")
    assert pair.send(FRAME) == {}


def test_in_a_set_the_group_wins_over_the_output(pair):
    pair.groups("group_id=1,type=all,bucket=output:3,bucket=output:4")
    pair.rules("actions=write_actions(output:2,group:1)")
    assert pair.send(FRAME) == {3: [FRAME], 4: [FRAME]}


def test_a_resubmit_in_a_set_is_run_when_there_is_neither_group_nor_output(pair):
    pair.rules(f"table=0,actions=write_actions(resubmit(,1),set_field:{C}->eth_dst)", f"table=1,dl_dst={C},actions=2")
    assert pair.send(FRAME) == {2: [udp(dl_dst=C)]}
    pair.rules("table=0,actions=write_actions(resubmit(,1),output:3)", "table=1,actions=2")
    assert pair.send(FRAME) == {3: [FRAME]}


def test_a_set_is_run_once_however_many_tables_were_resubmitted_to(pair):
    pair.rules("table=0,actions=resubmit(,1),resubmit(,1)", "table=1,actions=write_actions(output:2)")
    assert pair.send(FRAME) == {2: [FRAME]}


# --- clone ---------------------------------------------------------------------------------------------


def test_what_a_clone_changes_nobody_else_sees(pair):
    pair.rules(f"ip,actions=clone(mod_dl_dst:{C},dec_ttl,2),3")
    assert pair.send(FRAME) == {2: [udp(dl_dst=C, ttl=63)], 3: [FRAME]}


def test_clones_nest(pair):
    pair.rules("ip,actions=clone(dec_ttl,clone(dec_ttl,clone(dec_ttl,2),3),4),in_port")
    assert pair.send(FRAME) == {2: [udp(ttl=61)], 3: [udp(ttl=62)], 4: [udp(ttl=63)], 1: [FRAME]}


def test_a_clone_that_changes_nothing_costs_no_copy_of_its_own(pair):
    pair.rules("actions=clone(2,3),4")
    assert pair.send(FRAME) == {2: [FRAME], 3: [FRAME], 4: [FRAME]}
    assert pair.megaflow()[1] == "vm2,vm3,vm4"


def test_registers_stack_and_tags_are_put_back_behind_a_clone(pair):
    pair.rules("table=0,actions=load:1->reg0[],push:reg0[],clone(load:2->reg0[],pop:reg1[],push_vlan:0x8100,2),pop:reg2[],resubmit(,1)",
               "table=1,reg0=1,reg2=1,dl_vlan=0xffff,actions=3")
    assert pair.send(FRAME) == {2: [udp(tags=[(0, 0)])], 3: [FRAME]}


def test_exit_in_a_clone_ends_what_stands_around_it_but_not_the_action_set(pair):
    pair.rules("table=0,actions=resubmit(,1),clone(2,exit,4),3", "table=1,actions=write_actions(in_port)")
    assert pair.send(FRAME) == {2: [FRAME], 1: [FRAME, FRAME]}


def test_a_clone_has_the_action_set_as_it_is_then_and_runs_it(pair):
    pair.rules("table=0,actions=resubmit(,1),clone(resubmit(,2),3)", "table=1,actions=write_actions(output:2)",
               "table=2,actions=write_actions(output:4)")
    sent = pair.send(FRAME)  # in the clone the later output counts, outside it the first, as in Open vSwitch
    assert sent == {2: [FRAME], 3: [FRAME], 4: [FRAME]}


def test_more_clones_in_each_other_than_the_datapath_copies_are_dropped_with_a_reason(pair):
    nested = "2"
    for _ in range(12):
        nested = f"clone(dec_ttl,{nested})"
    pair.rules(f"ip,actions={nested},3")
    assert pair.why(FRAME) == {"dropped: no copy": 1}


def test_a_note_does_nothing(pair):
    pair.rules("actions=note:00.01.02,2,note:03")
    assert pair.send(FRAME) == {2: [FRAME]}
