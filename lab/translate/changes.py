"""OpenFlow actions that change the flow: which of the other files does what, TTLs that run out, the stack.

Called by the interpreter for everything that is neither an output nor a way to other actions.
"""

import numpy as np

from lab.flow.actions import IP_TTL, SET
from lab.flow.key import W_IP, W_TUN_ID
from lab.memory.raw import apart, i64
from lab.memory.reasons import STACK_EMPTY, STACK_FULL, TTL_OVER
from lab.translate import ofact as o
from lab.translate.emit import note_why, put, read, say
from lab.translate.ledger import L_VALUE
from lab.translate.outputs import BAD_TTL, to_controller
from lab.translate.places import is_ip, read_place, type_of, write_place, write_value, write_word
from lab.translate.records import MOST_STACK
from lab.translate.tags import age_label, pop_label, pop_tag, push_label, push_tag, set_in_tag

TTL, TTL_AT, HALF = np.uint64(0xFF << 16), np.uint64(16), np.uint64(32)
MOST_CONTROLLER = 0xFFFF


def below(word):
    """Whether a word of the flow is read from behind the link layer and the labels."""
    return W_IP <= word < W_TUN_ID


def sees_below(fact):
    """Whether an action may look at what lay below a label that was popped."""
    op = fact.op
    if op == o.O_SET or op == o.O_STACK_POP:
        return below(fact.word)
    if op == o.O_MOVE:
        return below(fact.word) or below(fact.src_word)
    if op == o.O_STACK_PUSH or op == o.O_OUTPUT_REG:
        return below(fact.src_word)
    if op == o.O_OUTPUT or op == o.O_CONTROLLER or op == o.O_NOTE or op == o.O_EXIT or op == o.O_METER:
        return False
    if op == o.O_PUSH_VLAN or op == o.O_POP_VLAN or op == o.O_SET_VID or op == o.O_SET_PCP:
        return False
    return op != o.O_WRITE_ACTIONS and op != o.O_CLEAR_ACTIONS


def change(t, fact, frame):
    """An action that changes the flow."""
    op = fact.op
    if op == o.O_SET:
        write_place(t, fact.header, fact.word, (fact.v0, fact.v1, fact.m0, fact.m1))
    elif op == o.O_MOVE:
        write_moved(t, fact, read_place(t, fact.src_word, fact.src_low, fact.bits))
    elif op == o.O_STACK_PUSH:
        push_value(t, read_place(t, fact.src_word, fact.src_low, fact.bits))
    elif op == o.O_STACK_POP:
        if t.desk.xlate[0].n_stack == 0:
            note_why(t, STACK_EMPTY)  # as in OVS, the rest goes on
        else:
            t.desk.xlate[0].n_stack -= 1
            write_moved(t, fact, t.desk.xlate[0].stack[t.desk.xlate[0].n_stack])
    elif op == o.O_SET_VID:
        set_in_tag(t, fact.v0 << HALF, np.uint64(0xFFF << 32))
    elif op == o.O_SET_PCP:
        set_in_tag(t, fact.v0 << np.uint64(45), np.uint64(0xE000 << 32))
    elif op == o.O_PUSH_VLAN:
        push_tag(t, fact.n, 0)
    elif op == o.O_POP_VLAN:
        pop_tag(t)
    elif op == o.O_PUSH_MPLS:
        push_label(t, fact.n)
    elif op == o.O_POP_MPLS:
        pop_label(t, fact.n)
    elif op == o.O_DEC_MPLS_TTL:
        if age_label(t) == 0:
            expire(t, frame)
    elif op == o.O_DEC_TTL and age(t) == 0:
        expire(t, frame)


def write_moved(t, fact, value):
    """Write a value that only the flow tells, and tell what it was."""
    write_value(t, fact, value)
    say(t, L_VALUE, i64(value), 0, 0)


def push_value(t, value):
    """Onto the stack."""
    x = t.desk.xlate[0]
    if x.n_stack == MOST_STACK:
        x.error = STACK_FULL
    else:
        x.stack[x.n_stack] = value
        x.n_stack += 1


@apart
def age(t):
    """One less in the TTL of an IP packet; 0 when it is over."""
    if not is_ip(type_of(t)):
        return 1
    ttl = read(t, W_IP, TTL)
    if ttl >> TTL_AT <= np.uint64(1):
        return 0
    act = put(t, SET, IP_TTL, 0)
    act.v0 = (ttl >> TTL_AT) - np.uint64(1)
    act.m0 = np.uint64(0xFF)
    write_word(t, W_IP, act.v0 << TTL_AT, TTL)
    t.desk.xlate[0].changes += 1
    return 1


def expire(t, frame):
    """A TTL is over: the controller is told, and the rest of this list is not run; whoever resubmitted goes on."""
    note_why(t, TTL_OVER)
    to_controller(t, MOST_CONTROLLER, BAD_TTL)
    frame.pc = frame.end
