"""Action sets: what is run of a bucket, and in which order."""
from hypothesis import given
from hypothesis import strategies as st

from lab.openflow.action_set import FIRST, LAST, SETS, in_set_order
from lab.openflow.actions import parse_actions
from lab.openflow.acts.value import Fact
from lab.translate import ofact as of


def order(text):
    """The names of what a bucket of these actions runs."""
    names = {getattr(of, name): name for name in dir(of) if name.startswith("O_")}
    return [f"{names[r.op]}:{r.n}" if r.op in LAST else names[r.op] for r in in_set_order(parse_actions(text, where="bucket").records)]


def test_the_order_is_pops_pushes_ttl_sets_and_then_the_output():
    text = "output:1,set_field:1->reg0,dec_ttl,push_vlan:0x8100,push_mpls:0x8847,pop_mpls:0x0800,strip_vlan"
    assert order(text) == ["O_POP_VLAN", "O_POP_MPLS", "O_PUSH_MPLS", "O_PUSH_VLAN", "O_DEC_TTL", "O_SET", "O_OUTPUT:1"]


def test_of_each_kind_the_last_counts_and_all_sets_in_their_order():
    records = in_set_order(parse_actions("mod_nw_ttl:1,output:1,mod_nw_ttl:2,push_vlan:0x8100,push_vlan:0x88a8,output:2",
                                         where="bucket").records)
    assert [(r.op, r.n) for r in records if r.op in (of.O_PUSH_VLAN, of.O_OUTPUT)] == [(of.O_PUSH_VLAN, 0x88A8), (of.O_OUTPUT, 2)]
    assert [r.v0 >> r.low for r in records if r.op == of.O_SET] == [1, 2]


def test_a_group_wins_over_an_output_and_an_output_over_a_resubmit():
    assert order("group:7,output:1") == ["O_GROUP:7"]
    assert order("output:3,resubmit(,7)") == ["O_OUTPUT:3"]
    assert order("resubmit(,7)")[0].startswith("O_RESUBMIT")
    assert order("output:1,controller") == ["O_CONTROLLER:65535"]


def test_what_sends_the_packet_nowhere_does_nothing_at_all():
    assert in_set_order(parse_actions("mod_nw_ttl:1,dec_ttl", where="bucket").records) == []


def test_what_has_no_place_in_a_set_is_left_out_with_its_body():
    assert order("note:01.02,clone(output:1),output:2") == ["O_OUTPUT:2"]
    assert order("clone(output:1)") == []
    assert order("output:reg0[]") == []


@given(st.lists(st.sampled_from([*FIRST, *SETS, *LAST, of.O_NOTE, of.O_EXIT]), max_size=30))
def test_ordering_twice_is_ordering_once_and_nothing_is_made_up(ops):
    records = [Fact(op, n=at) for at, op in enumerate(ops)]
    once = in_set_order(records)
    assert in_set_order(once) == once
    assert all(record in records for record in once)
    assert bool(once) == any(op in LAST for op in ops)
    assert [r for r in once if r.op in SETS] == ([r for r in records if r.op in SETS] if once else [])
