"""A translation that stops in the middle and goes on when the packet has been parsed again.

What a frozen translation needs is kept under an id: its frames down to the branch it stands in, registers, stack,
action set, what was written of a tunnel. The same state has the same id, so packets share the megaflows behind it. No id
is given twice: a packet whose id is gone is dropped, never taken for another. A state lives while its rules do (its epoch)
and a megaflow names it.
"""

import numpy as np

from lab.flow.actions import RECIRC
from lab.flow.key import W_METADATA, W_PORT, W_TUN_ID, WIDE
from lab.memory.raw import add, apart, i64, mul, u64
from lab.memory.reasons import NO_RECIRC, RECIRC_GONE
from lab.memory.record import NULL
from lab.translate.emit import put, say
from lab.translate.frames import BRANCH, CLONED, RULE, SET_LIST, is_branch, push_frame, top
from lab.translate.ledger import L_FREEZE, L_THAW
from lab.translate.records import FLOW, FREEZABLE, KNOWN, MOST_SET, TUNNEL

MIX = np.uint64(0x9E3779B97F4A7C15)
ZERO, EVERY = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
IN_PORT = np.uint64(0xFFFFFFFF << 32)
PACKED = 4  # words of a packed frame


def blend(h, word):
    """A hash with one more word in it."""
    h = mul(add(h, word) ^ (h >> np.uint64(31)), MIX)
    return h ^ (h >> np.uint64(29))


def base_of(t):
    """The lowest frame that is frozen: above the branch the translation stands in."""
    for i in range(t.desk.xlate[0].n_frames - 1, -1, -1):
        if is_branch(t.desk.frames[i]):
            return i
    return 0


@apart
def freeze(t, group):
    """Keep the translation as it is now (`group`: a record whose bucket the hash is to choose, or NULL); its id, or 0."""
    x = t.desk.xlate[0]
    first = base_of(t)
    n = x.n_frames - first
    if n > FREEZABLE:
        x.error = NO_RECIRC
        return 0
    digest = digest_of(t, first, group)
    spare = NULL
    epoch = t.lane[0].epoch
    for i in range(len(t.desk.frozen)):
        state = t.desk.frozen[i]
        if state.alive != 0 and state.digest == digest and state.epoch == epoch:
            return state.number
        if state.alive == 0 and spare == NULL:
            spare = i
    if spare == NULL:
        x.error = NO_RECIRC
        return 0
    state = t.desk.frozen[spare]
    keep(t, state, first, group)
    state.digest = digest
    state.epoch = epoch
    x.next_id += 1
    state.number = x.next_id
    return x.next_id


def digest_of(t, first, group):
    """A hash of all that a frozen state is made of."""
    x = t.desk.xlate[0]
    flow = t.desk.flows[FLOW]
    h = blend(u64(x.n_frames - first), u64(group))
    for i in range(first, x.n_frames):
        frame = t.desk.frames[i]
        h = blend(blend(h, u64(frame.pc << 32 | frame.end)), u64(frame.rule << 32 | frame.table << 16 | plain(frame.kind)))
        h = blend(h, u64(frame.a << 32 | frame.b))
        if frame.kind == SET_LIST:
            for at in range(frame.pc, frame.end):
                h = blend(h, u64(x.action_set[at]))
    for j in range(W_METADATA, WIDE):
        h = blend(h, flow.w[j])
    for j in range(TUNNEL):
        written = t.desk.flows[KNOWN].w[W_TUN_ID + j]
        h = blend(blend(h, written), flow.w[W_TUN_ID + j] & written)
    h = blend(blend(h, flow.w[W_PORT] & IN_PORT), u64(x.depth << 16 | x.resubmits))
    for i in range(set_to_keep(t, first)):
        h = blend(h, u64(x.action_set[i]))
    for i in range(x.n_stack):
        h = blend(h, x.stack[i])
    return h


def plain(kind):
    """A branch that goes on elsewhere has nothing to put back."""
    if kind == BRANCH or kind == CLONED:
        return RULE
    return kind


def set_to_keep(t, first):
    """How many actions of the action set go on elsewhere: none of a bucket, whose packet is a copy; a clone has a set of its own."""
    if t.desk.frames[first].kind == BRANCH:
        return 0
    return t.desk.xlate[0].n_set


def keep(t, state, first, group):
    """Write a frozen state."""
    x = t.desk.xlate[0]
    state.alive = 1
    state.group = group
    state.n_frames = x.n_frames - first
    state.table = x.table
    state.rule = x.rule
    state.depth = x.depth
    state.resubmits = x.resubmits
    for j in range(WIDE):
        state.w[j] = t.desk.flows[FLOW].w[j]
    for j in range(TUNNEL):
        state.tunnel[j] = t.desk.flows[KNOWN].w[W_TUN_ID + j]
    for i in range(state.n_frames):
        frame = t.desk.frames[first + i]
        state.frames[PACKED * i] = u64(frame.pc << 32 | frame.end)
        state.frames[PACKED * i + 1] = u64(frame.rule << 32 | frame.table << 16 | plain(frame.kind))
        state.frames[PACKED * i + 2] = u64(frame.a << 32 | frame.b)
        state.frames[PACKED * i + 3] = u64(frame.deep)
    state.n_set = set_to_keep(t, first)
    for i in range(2 * MOST_SET):
        state.action_set[i] = x.action_set[i]
    state.n_stack = x.n_stack
    for i in range(x.n_stack):
        state.stack[i] = x.stack[i]


def give_way(t):
    """The rest of the translation happens elsewhere: drop the frames that were frozen; a branch goes on to its end."""
    x = t.desk.xlate[0]
    first = base_of(t)
    x.changes += 1  # the packet is gone from here, so a branch needs its copy
    while x.n_frames > first + 1:
        x.depth -= top(t).deep
        x.n_frames -= 1
    if x.n_frames > 0 and is_branch(top(t)):
        top(t).pc = top(t).end
        if top(t).kind == CLONED:
            x.n_set = 0  # it is run elsewhere
        return
    x.n_frames = 0
    x.frozen = 1


@apart
def recirculate(t, group):
    """Freeze, and send the packet back to parse."""
    number = freeze(t, group)
    if number != 0:
        say(t, L_FREEZE, number, 0, 0)
        put(t, RECIRC, 0, number)
    give_way(t)


@apart
def thaw(t, number):
    """Go on where the translation of this id stopped; the record of a group whose bucket is to be chosen, or NULL."""
    x = t.desk.xlate[0]
    place = place_of(t.desk, number)
    if place == NULL:
        x.error = RECIRC_GONE
        return NULL
    state = t.desk.frozen[place]
    say(t, L_THAW, number, 0, 0)
    flow = t.desk.flows[FLOW]
    for j in range(W_METADATA, WIDE):
        flow.w[j] = state.w[j]
    for j in range(W_TUN_ID, W_TUN_ID + TUNNEL):
        written = state.tunnel[j - W_TUN_ID]
        flow.w[j] = (flow.w[j] & ~written) | (state.w[j] & written)
        t.desk.flows[KNOWN].w[j] = written
    flow.w[W_PORT] = (flow.w[W_PORT] & ~IN_PORT) | (state.w[W_PORT] & IN_PORT)
    t.desk.flows[KNOWN].w[W_PORT] = EVERY
    x.in_port = i64(state.w[W_PORT] >> np.uint64(32))
    for i in range(state.n_frames):
        where = state.frames[PACKED * i + 1]
        pair = state.frames[PACKED * i]
        frame = push_frame(t, i64(where & np.uint64(0xFFFF)), i64(pair >> np.uint64(32)), i64(pair & np.uint64(0xFFFFFFFF)))
        frame.rule = i64(where >> np.uint64(32))
        frame.table = i64(where >> np.uint64(16) & np.uint64(0xFFFF))
        figures = state.frames[PACKED * i + 2]
        frame.a = i64(figures >> np.uint64(32))
        frame.b = i64(figures & np.uint64(0xFFFFFFFF))
        frame.deep = i64(state.frames[PACKED * i + 3])
    x.table = state.table
    x.rule = state.rule
    x.depth = state.depth
    x.resubmits = state.resubmits
    x.n_set = state.n_set
    for i in range(2 * MOST_SET):
        x.action_set[i] = state.action_set[i]
    x.n_stack = state.n_stack
    for i in range(x.n_stack):
        x.stack[i] = state.stack[i]
    return state.group


def place_of(desk, number):
    """Where the state of an id is kept, or NULL."""
    found = NULL
    for i in range(len(desk.frozen)):
        if desk.frozen[i].alive != 0 and desk.frozen[i].number == number:
            found = i
    return found


def forget_frozen(desk, epoch):
    """The rules of other epochs are gone, and every megaflow has been held against those of this one: forget what waits under others."""
    for i in range(len(desk.frozen)):
        if desk.frozen[i].epoch != epoch:
            desk.frozen[i].alive = 0


def name_none(desk):
    """Begin to look which states megaflows name."""
    for i in range(len(desk.frozen)):
        desk.frozen[i].named = 0


def name_frozen(desk, number):
    """A megaflow names this id."""
    if number != 0:
        place = place_of(desk, number)
        if place != NULL:
            desk.frozen[place].named = 1


def sweep_frozen(desk):
    """Forget the states that no megaflow names."""
    for i in range(len(desk.frozen)):
        if desk.frozen[i].named == 0:
            desk.frozen[i].alive = 0
