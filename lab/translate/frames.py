"""Frames: the lists of OpenFlow actions that a translation stands in, one above the other, instead of recursion.

A frame names its next record and its end. A *branch* (a clone, a bucket of a group) works on the packet as it was
when it began: what it changed is put back when it ends, and in the draft a CLONE encloses what it did, if it
changed the packet at all. A clone has a stack and an action set of its own, too, copies of those around it; its
set is run at its end, as in OVS.
"""

import numpy as np

from lab.flow.actions import CHECK_LEN, CLONE, CONTROLLER, LAST, METER, OUTPUT, RECIRC
from lab.flow.key import W_PORT
from lab.memory.raw import apart, copy_words, i64
from lab.memory.reasons import NESTED_TOO_DEEP, TOO_DEEP
from lab.translate.emit import put
from lab.translate.records import FLOW, KNOWN, MOST_FRAMES, MOST_SAVED

RULE, BRANCH, BUCKETS, SET_LIST, CLONED = range(5)
MOST_BRANCHES = 8  # as many copies of a packet as the datapath holds at once
ZERO = np.uint64(0)


def top(t):
    """The frame on top."""
    return t.desk.frames[t.desk.xlate[0].n_frames - 1]


def push_frame(t, kind, first, end):
    """A new frame on top; the last one again, and an error, when there are too many."""
    x = t.desk.xlate[0]
    if x.n_frames == MOST_FRAMES:
        x.error = TOO_DEEP
        x.n_frames -= 1
    frame = t.desk.frames[x.n_frames]
    x.n_frames += 1
    frame.pc = first
    frame.end = end
    frame.kind = kind
    frame.table = x.table
    frame.rule = x.rule
    frame.deep = 0
    frame.mark = 0
    frame.a = 0
    frame.b = 0
    return frame


def is_branch(frame):
    """Whether a frame puts the packet back when it ends."""
    return frame.kind == BRANCH or frame.kind == CLONED


@apart
def begin_branch(t, kind, first, end):
    """Run a list on the packet as it is now, and put it back afterwards."""
    x = t.desk.xlate[0]
    if x.n_saved >= MOST_BRANCHES or x.n_saved >= MOST_SAVED:
        x.error = NESTED_TOO_DEEP
        return
    saved = t.desk.saved[x.n_saved]
    copy_words(saved.w, t.desk.flows[FLOW].w)
    copy_words(saved.known, t.desk.flows[KNOWN].w)
    if kind == CLONED:
        keep_sides(x, saved)
    frame = push_frame(t, kind, first, end)
    frame.mark = x.n_acts
    frame.a = x.changes
    frame.b = x.unparsed
    frame.deep = 1
    x.n_saved += 1
    x.depth += 1
    put(t, CLONE, 0, 0)


def keep_sides(x, saved):
    """Keep the stack and the action set, of which a clone has copies."""
    saved.n_set = x.n_set
    saved.n_stack = x.n_stack
    saved.exit_ = 0
    for i in range(x.n_set):
        saved.action_set[i] = x.action_set[i]
    for i in range(x.n_stack):
        saved.stack[i] = x.stack[i]


def put_sides_back(x, saved):
    """The stack and the action set as they were before the clone."""
    x.n_set = saved.n_set
    x.n_stack = saved.n_stack
    if saved.exit_ != 0:
        x.exit_ = 1
    for i in range(saved.n_set):
        x.action_set[i] = saved.action_set[i]
    for i in range(saved.n_stack):
        x.stack[i] = saved.stack[i]


@apart
def end_branch(t):
    """Close the branch on top: its CLONE gets its length, or goes when nothing was changed in it."""
    x = t.desk.xlate[0]
    frame = top(t)
    x.n_saved -= 1
    saved = t.desk.saved[x.n_saved]
    copy_words(t.desk.flows[FLOW].w, saved.w)
    copy_words(t.desk.flows[KNOWN].w, saved.known)
    if frame.kind == CLONED:
        put_sides_back(x, saved)
    else:
        x.exit_ = 0  # it ended the bucket alone; in a clone it ends what stands around it, too
    x.in_port = in_port_of(t)
    x.unparsed = frame.b
    trim(t, frame.mark + 1)
    body = x.n_acts - frame.mark - 1
    if body > 0 and x.changes != frame.a:
        t.desk.draft[frame.mark].arg = body
        mark_last(t, frame.mark + 1)
        x.changes = frame.a
    else:
        unwrap(t, frame.mark)
    pop_frame(t)


def in_port_of(t):
    """The ingress port of the flow, which an action may have changed."""
    return i64(t.desk.flows[FLOW].w[W_PORT] >> np.uint64(32))


def pop_frame(t):
    """Leave the frame on top; table and rule are those of the one below."""
    x = t.desk.xlate[0]
    x.depth -= top(t).deep
    x.n_frames -= 1
    if x.n_frames > 0:
        x.table = top(t).table
        x.rule = top(t).rule


# --- the draft -------------------------------------------------------------------------------------


def counts(op):
    """Whether an action is more than a change of the packet."""
    return op == OUTPUT or op == CLONE or op == CONTROLLER or op == RECIRC or op == CHECK_LEN or op == METER


def trim(t, first):
    """Cut what stands at the end of a list and has no effect: changes behind which nothing is sent."""
    x = t.desk.xlate[0]
    end = first
    at = first
    while at < x.n_acts:
        act = t.desk.draft[at]
        at += 1
        if act.op == CLONE:
            at += act.arg
        if counts(act.op):
            end = at
    x.n_acts = end


def mark_last(t, first):
    """If a list ends with an output, the packet itself goes there."""
    x = t.desk.xlate[0]
    at = first
    last = first
    while at < x.n_acts:
        last = at
        if t.desk.draft[at].op == CLONE:
            at += t.desk.draft[at].arg
        at += 1
    if last < x.n_acts and t.desk.draft[last].op == OUTPUT:
        t.desk.draft[last].detail = LAST


def unwrap(t, mark):
    """Take the CLONE at a place of the draft away; what it enclosed moves up."""
    x = t.desk.xlate[0]
    for at in range(mark, x.n_acts - 1):
        copy_act(t.desk.draft[at], t.desk.draft[at + 1])
    x.n_acts -= 1


def copy_act(to, act):
    """Copy one action record."""
    to.op = act.op
    to.detail = act.detail
    to.arg = act.arg
    to.v0 = act.v0
    to.v1 = act.v1
    to.m0 = act.m0
    to.m1 = act.m1


@apart
def finish_draft(t):
    """The whole list is there: cut its idle end, run a clone that nothing follows on the packet itself, mark the last output."""
    x = t.desk.xlate[0]
    trim(t, 0)
    at = 0
    while at < x.n_acts:
        act = t.desk.draft[at]
        if act.op == CLONE and at + 1 + act.arg == x.n_acts:
            unwrap(t, at)
        else:
            if act.op == CLONE:
                at += act.arg
            at += 1
    mark_last(t, 0)
