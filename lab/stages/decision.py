"""From the desk to a megaflow: actions and credits find their place, a changed decision takes the place of the old.

Used by the upcall, which makes megaflows, and by revalidation, which holds them against the rules.
"""

from lab.flow.actions import LAST, OUTPUT
from lab.flow.acts import give_acts, take_acts
from lab.flow.key import WORDS
from lab.memory.raw import apart
from lab.memory.reasons import TOO_MANY_ACTIONS
from lab.memory.record import NULL
from lab.translate.emit import HALF
from lab.translate.frames import copy_act
from lab.translate.records import ASKED
from lab.translate.run import why_nothing


def copy_mask(t, mask):
    """The bits that the translation asked for, as far as packets bring them."""
    for j in range(WORDS):
        mask.w[j] = t.desk.flows[ASKED].w[j]


def let_go(acts, flow):
    """Give back where a megaflow's actions lie."""
    if flow.n_acts + flow.n_credits > 0:
        give_acts(acts, flow.acts, flow.n_acts + flow.n_credits)
        flow.n_acts = 0
        flow.n_credits = 0


@apart
def write_decision(t, acts, flow):
    """Write what the desk holds into a megaflow that has no actions; when there is no room for them it drops."""
    x = t.desk.xlate[0]
    flow.rule = x.rule  # the one that decided last
    flow.reason = why_nothing(t)
    flow.watches = x.watches
    flow.only = NULL
    flow.acts = 0
    n = x.n_acts + x.n_credits
    if n == 0:
        return
    first = take_acts(acts, n)
    if first == NULL:
        flow.reason = TOO_MANY_ACTIONS
        return
    flow.acts = first
    flow.n_acts = x.n_acts
    flow.n_credits = x.n_credits
    for i in range(x.n_acts):
        copy_act(acts.list[first + i], t.desk.draft[i])
    for i in range(x.n_credits):
        copy_act(acts.list[first + x.n_acts + i], t.desk.draft[HALF + i])
    act = acts.list[first]
    if x.n_acts == 1 and act.op == OUTPUT and act.detail == LAST:
        flow.only = act.arg


@apart
def same_decision(t, acts, flow):
    """1 when the desk holds what a megaflow does already."""
    x = t.desk.xlate[0]
    if flow.n_acts != x.n_acts or flow.n_credits != x.n_credits or flow.reason != why_nothing(t):
        return 0
    for i in range(x.n_acts):
        if same_act(acts.list[flow.acts + i], t.desk.draft[i]) == 0:
            return 0
    for i in range(x.n_credits):
        if same_act(acts.list[flow.acts + x.n_acts + i], t.desk.draft[HALF + i]) == 0:
            return 0
    return 1


def same_act(a, b):
    """1 when two action records are equal."""
    if a.op == b.op and a.detail == b.detail and a.arg == b.arg and a.v0 == b.v0 and a.v1 == b.v1 and a.m0 == b.m0 and a.m1 == b.m1:
        return 1
    return 0
