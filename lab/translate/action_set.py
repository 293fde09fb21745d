"""The action set: what write_actions collects, and the order in which it is run when the tables are done.

Only the last of each kind of action counts, sets run in the order they were written. With neither a group nor an
output in it, nor a resubmit, the set does nothing at all; with several of these, the first named here wins.
"""

import numpy as np

from lab.flow.key import W_ACTSET
from lab.memory.raw import apart, u64
from lab.memory.reasons import SET_FULL
from lab.translate.emit import say
from lab.translate.frames import SET_LIST, push_frame
from lab.translate.ledger import L_SET
from lab.translate.ofact import (
    O_CONTROLLER,
    O_DEC_MPLS_TTL,
    O_DEC_TTL,
    O_GROUP,
    O_MOVE,
    O_OUTPUT,
    O_OUTPUT_REG,
    O_POP_MPLS,
    O_POP_VLAN,
    O_PUSH_MPLS,
    O_PUSH_VLAN,
    O_RESUBMIT,
    O_SET,
    O_SET_PCP,
    O_SET_VID,
)
from lab.translate.records import FLOW, MOST_SET

UNSET = np.uint64(0xFFF7 << 32)  # actset_output while there is none
POP_TAG, POP_LABEL, PUSH_LABEL, PUSH_TAG, AGE, AGE_LABEL, SETS, GROUP, OUTPUT, RESUBMIT, NOWHERE = range(11)


def turn_of(op):
    """When an action of a set is run."""
    if op == O_POP_VLAN:
        return POP_TAG
    if op == O_POP_MPLS:
        return POP_LABEL
    if op == O_PUSH_MPLS:
        return PUSH_LABEL
    if op == O_PUSH_VLAN:
        return PUSH_TAG
    if op == O_DEC_TTL:
        return AGE
    if op == O_DEC_MPLS_TTL:
        return AGE_LABEL
    if op == O_SET or op == O_MOVE or op == O_SET_VID or op == O_SET_PCP:
        return SETS
    if op == O_GROUP:
        return GROUP
    if op == O_OUTPUT or op == O_OUTPUT_REG or op == O_CONTROLLER:
        return OUTPUT
    if op == O_RESUBMIT:
        return RESUBMIT
    return NOWHERE


@apart
def write_set(t, first, n):
    """Add actions to the set."""
    x = t.desk.xlate[0]
    for at in range(first, first + n):
        if x.n_set == MOST_SET:
            x.error = SET_FULL
            return
        x.action_set[x.n_set] = at
        x.n_set += 1
    tell_output(t)


def clear_set(t):
    """Forget the set."""
    t.desk.xlate[0].n_set = 0
    tell_output(t)


def tell_output(t):
    """Let tables match on where the set would send the packet: `actset_output`, unset with a group or without an output."""
    x = t.desk.xlate[0]
    told = UNSET
    grouped = 0
    for i in range(x.n_set):
        fact = t.ofacts[x.action_set[i]]
        if fact.op == O_OUTPUT:
            told = u64(fact.n << 32)
        elif fact.op == O_GROUP:
            grouped = 1
    if grouped != 0:
        told = UNSET
    t.desk.flows[FLOW].w[W_ACTSET] = told


@apart
def run_set(t):
    """Order the set and begin to run it; 1 when there is something to run."""
    x = t.desk.xlate[0]
    last = NOWHERE
    for i in range(x.n_set):
        turn = turn_of(t.ofacts[x.action_set[i]].op)
        if turn >= GROUP and turn < last:
            last = turn
    n = 0
    if last != NOWHERE:
        for turn in range(GROUP):
            n = take_turn(t, turn, n)
        n = take_turn(t, last, n)
    x.n_set = 0
    if n == 0:
        return 0
    say(t, L_SET, n, 0, 0)
    push_frame(t, SET_LIST, MOST_SET, MOST_SET + n)
    return 1


def take_turn(t, turn, n):
    """Put the actions of one kind behind those in order: all that set, else the last; how many are in order now."""
    x = t.desk.xlate[0]
    began = n
    for i in range(x.n_set):
        if turn_of(t.ofacts[x.action_set[i]].op) == turn:
            if turn != SETS:
                n = began
            x.action_set[MOST_SET + n] = x.action_set[i]
            n += 1
    return n
