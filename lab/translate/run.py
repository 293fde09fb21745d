"""The interpreter of OpenFlow actions: a key goes in, datapath actions, credits and a mask come out.

One loop runs the frame on top, action by action, until none is left; then the action set; then the draft is
finished. Depth and resubmits have OVS's limits; beyond them the packet is dropped, whatever was decided before.
Called by the upcall, by revalidation and, for `ofproto/trace`, by control.
"""

import numpy as np

from lab.flow.actions import CHECK_LEN, CREDIT_BUCKET, CREDIT_RULE, CREDIT_TABLE, METER
from lab.flow.key import W_ACTSET, W_CT, W_DST, W_IP, W_L4, W_PORT, W_VLAN, WIDE, WORDS
from lab.memory.raw import apart, clear, i64
from lab.memory.reasons import (
    NO_ACTIONS,
    NO_RULE,
    NOT_RECEIVED,
    RULE_DROPS,
    TOO_DEEP,
    TOO_MANY_RESUBMITS,
)
from lab.memory.record import NULL
from lab.translate import ofact as o
from lab.translate.action_set import UNSET, clear_set, run_set, write_set
from lab.translate.changes import change, sees_below
from lab.translate.emit import NO_RECV, credit, put, read, say, want
from lab.translate.frames import (
    BRANCH,
    BUCKETS,
    CLONED,
    RULE,
    SET_LIST,
    begin_branch,
    end_branch,
    finish_draft,
    is_branch,
    pop_frame,
    push_frame,
    top,
)
from lab.translate.freeze import freeze, give_way, recirculate, thaw
from lab.translate.groups import enter_group, enter_hashed
from lab.translate.implied import leave_out_implied
from lab.translate.ledger import L_ACTION, L_ALWAYS, L_END, L_ERROR, L_FREEZE, L_TABLE
from lab.translate.outputs import output, output_by_value, to_controller
from lab.translate.places import is_ip, read_place, type_of, write_place
from lab.translate.records import ASKED, FLOW, KNOWN, TABLES
from lab.translate.rules import find_rule_asking

MOST_DEPTH, MOST_RESUBMITS = 64, 4096
EVERY, ZERO = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0)
TYPE = np.uint64(0xFFFF << 48)
HALF, SECOND_TAG = np.uint64(32), np.uint64(0xFFFFFFFF)
FRAGMENT = np.uint64(1 << 24)


@apart
def begin(t, w, now, learns):
    """Take a key to the desk: the flow is the packet's, nothing is asked for yet but what always is."""
    x = t.desk.xlate[0]
    x.edition = t.config[0].active_rules
    x.n_acts = 0
    x.n_credits = 0
    x.n_frames = 0
    x.n_saved = 0
    x.n_set = 0
    x.n_stack = 0
    x.depth = 0
    x.resubmits = 0
    x.changes = 0
    x.error = 0
    x.exit_ = 0
    x.frozen = 0
    x.unparsed = 0
    x.why = 0
    x.watches = 0
    x.learns = learns
    x.now = now
    x.table = 0
    x.rule = NULL
    x.in_port = i64(w[W_PORT] >> HALF)
    flow = t.desk.flows[FLOW]
    known = t.desk.flows[KNOWN]
    clear(known.w)
    clear(t.desk.flows[ASKED].w)
    for j in range(WORDS):
        flow.w[j] = w[j]
    for j in range(WORDS, WIDE):
        flow.w[j] = ZERO
        known.w[j] = EVERY
    for j in range(W_CT, W_CT + 3):
        known.w[j] = EVERY
    flow.w[W_ACTSET] = UNSET
    if t.config[0].vlan_limit == 1:
        known.w[W_VLAN] = SECOND_TAG
    say(t, L_ALWAYS, 0, 0, 0)
    want(t, W_PORT, EVERY)
    want(t, W_DST, TYPE)
    known.w[W_PORT] = EVERY


@apart
def translate(t, w, now, learns):
    """Translate a key; what comes out lies at the desk."""
    begin(t, w, now, learns)
    x = t.desk.xlate[0]
    number = i64(w[W_PORT] & np.uint64(0xFFFFFFFF))
    if 0 <= x.in_port < len(t.ports) and t.vlans[x.in_port].marks & NO_RECV != 0:
        x.why = NOT_RECEIVED
    elif number == 0:
        if enter_table(t, 0, x.in_port) == 0:
            x.why = NO_RULE
    else:
        group = thaw(t, number)
        if x.error == 0 and group != NULL:
            enter_hashed(t, group)
    run(t)
    leave_out_implied(t, w)


@apart
def run_program(t, w, now, first_and_n):
    """Run a list of actions that no rule has, as packet-out does."""
    first, n = first_and_n
    begin(t, w, now, 0)
    x = t.desk.xlate[0]
    if x.in_port == 0:
        x.in_port = o.OFPP_CONTROLLER  # a packet that comes through no port comes from whoever wrote the list
    t.desk.flows[FLOW].w[W_PORT] = np.uint64(x.in_port) << HALF
    push_frame(t, RULE, first, first + n)
    run(t)


@apart
def enter_table(t, table, in_port):
    """Look the flow up in a table and begin the rule that is found, as if it had come from `in_port`; 0 when none is."""
    x = t.desk.xlate[0]
    flow = t.desk.flows[FLOW]
    known = t.desk.flows[KNOWN]
    port = flow.w[W_PORT]
    transport = flow.w[W_L4]
    transport_known = known.w[W_L4]
    before = x.table
    x.table = table
    flow.w[W_PORT] = np.uint64(in_port) << HALF
    if is_ip(type_of(t)) and read(t, W_IP, FRAGMENT) != ZERO:  # as OpenFlow has it: of a fragment, even the first, no table sees ports
        flow.w[W_L4] = ZERO
        known.w[W_L4] = EVERY
    found = find_rule_asking(t.rules, table, t.desk, t.ledger)
    flow.w[W_PORT] = port
    flow.w[W_L4] = transport
    known.w[W_L4] = transport_known
    say(t, L_TABLE, found, 0, 0)
    if found == NULL:
        credit(t, CREDIT_TABLE, table)
        x.table = before
        return 0
    rule = t.rules.flows[found]
    credit(t, CREDIT_RULE, found).detail = table
    x.rule = found
    push_frame(t, RULE, rule.acts, rule.acts + rule.n_acts)
    return 1


def resubmit(t, fact):
    """Go through a table, and come back. A later table costs no depth."""
    x = t.desk.xlate[0]
    table = fact.n
    in_port = x.in_port
    if fact.op == o.O_RESUBMIT:
        table = i64(fact.v0)
        if table == o.SAME_TABLE:
            table = x.table
        if fact.n != o.OFPP_IN_PORT:
            in_port = fact.n
    if x.depth >= MOST_DEPTH:
        x.error = TOO_DEEP
    elif x.resubmits >= MOST_RESUBMITS:
        x.error = TOO_MANY_RESUBMITS
    elif table < TABLES:
        x.resubmits += 1
        deep = 0
        if table <= x.table:
            deep = 1
        leave_finished(t)
        if enter_table(t, table, in_port) != 0:
            top(t).deep = deep
            x.depth += deep


def leave_finished(t):
    """A frame that would only be come back to in order to leave it is left now, so that chains of tables need few frames."""
    frame = top(t)
    if frame.kind == RULE and frame.pc == frame.end and frame.deep == 0:
        t.desk.xlate[0].n_frames -= 1


@apart
def run(t):
    """Run frames until none is left, then the action set; finish the draft."""
    x = t.desk.xlate[0]
    working = 1
    while working != 0:
        while x.n_frames > 0 and x.error == 0:
            frame = top(t)
            if frame.kind == BUCKETS:
                next_bucket(t, frame)
            elif frame.pc == frame.end or x.exit_ != 0:
                leave(t, frame)
            else:
                frame.pc += 1
                at = frame.pc - 1
                if frame.kind == SET_LIST:
                    at = x.action_set[at]
                one(t, at, frame)
        working = 0
        if x.error == 0 and x.frozen == 0 and x.n_set > 0:
            x.exit_ = 0
            working = run_set(t)
    if x.error != 0:
        say(t, L_ERROR, x.error, 0, 0)
        x.n_acts = 0
    finish_draft(t)
    say(t, L_END, x.n_acts, 0, 0)


def leave(t, frame):
    """The frame on top is done; a clone has its action set run first."""
    x = t.desk.xlate[0]
    if frame.kind == CLONED and x.n_set > 0:
        if x.exit_ != 0:
            t.desk.saved[x.n_saved - 1].exit_ = 1
        x.exit_ = 0
        frame.pc = frame.end
        run_set(t)
    elif is_branch(frame):
        end_branch(t)
    else:
        pop_frame(t)


def next_bucket(t, frame):
    """The next bucket of a group that runs all of them."""
    x = t.desk.xlate[0]
    if frame.a == frame.b:
        pop_frame(t)
        return
    b = frame.a
    frame.a = b + 1
    bucket = t.rules.buckets[b]
    credit(t, CREDIT_BUCKET, b)
    if x.depth >= MOST_DEPTH:
        x.error = TOO_DEEP
    else:
        begin_branch(t, BRANCH, bucket.acts, bucket.acts + bucket.n_acts)


@apart
def one(t, at, frame):
    """Run one action."""
    x = t.desk.xlate[0]
    fact = t.ofacts[at]
    op = fact.op
    if x.unparsed != 0 and sees_below(fact):
        frame.pc -= 1
        recirculate(t, NULL)
        return
    say(t, L_ACTION, at, x.rule, 0)
    if op == o.O_OUTPUT:
        output(t, fact.n, i64(fact.m0))
    elif op == o.O_OUTPUT_REG:
        output_by_value(t, read_place(t, fact.src_word, fact.src_low, fact.bits), i64(fact.m0))
    elif op == o.O_CONTROLLER:
        to_controller(t, fact.n, fact.reason)
    elif op == o.O_RESUBMIT or op == o.O_GOTO:
        resubmit(t, fact)
    elif op == o.O_WRITE_ACTIONS:
        write_set(t, frame.pc, fact.n)
        frame.pc += fact.n
    elif op == o.O_CLEAR_ACTIONS:
        clear_set(t)
    elif op == o.O_CLONE:
        frame.pc += fact.n
        begin_branch(t, CLONED, at + 1, at + 1 + fact.n)
    elif op == o.O_GROUP:
        if x.depth >= MOST_DEPTH:
            x.error = TOO_DEEP
        elif enter_group(t, fact.n) != 0:
            recirculate(t, fact.n)
    elif op == o.O_METER:
        put(t, METER, 0, fact.n)
    elif op == o.O_EXIT:
        x.exit_ = 1
    elif op == o.O_CHECK_LARGER:
        check_length(t, fact)
    else:
        change(t, fact, frame)


@apart
def check_length(t, fact):
    """Whether the packet is longer than that is known to the datapath alone: both answers go on under an id of their own."""
    x = t.desk.xlate[0]
    at = np.uint64(fact.low)
    bit = np.uint64(1) << at
    write_place(t, fact.header, fact.word, (bit, ZERO, bit, ZERO))
    longer = freeze(t, NULL)
    write_place(t, fact.header, fact.word, (ZERO, ZERO, bit, ZERO))
    other = freeze(t, NULL)
    if x.error == 0:
        say(t, L_FREEZE, longer, other, 0)
        act = put(t, CHECK_LEN, 0, fact.n)
        act.v0 = np.uint64(longer)
        act.v1 = np.uint64(other)
        give_way(t)


def why_nothing(t):
    """The reason of a megaflow that sends nothing, 0 when it does."""
    x = t.desk.xlate[0]
    if x.error != 0:
        return x.error
    if x.n_acts > 0:
        return 0
    if x.why != 0:
        return x.why
    if x.rule == NULL:
        return NO_ACTIONS
    return RULE_DROPS
