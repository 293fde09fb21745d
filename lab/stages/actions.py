"""The middle of the way: run the actions of each packet's megaflow; outputs gather in a batch per port.

Statistics of the megaflow are counted here, as its packets pass. A packet without any output is dropped, with the
reason its megaflow carries. When an output batch, or what waits to be parsed again, is full the stage stops and is called
again behind it. What each action does to a packet stands in `performing`; a clone is a copy in a nest, no recursion.
"""

import numpy as np

from lab.flow.actions import CHECK_LEN, CLONE, CONTROLLER, HASH, LAST, METER, OUTPUT, RECIRC, SET, TRUNC, TUN_ID, TUN_METADATA0
from lab.flow.key import W_IP
from lab.memory.mbuf import HASHED
from lab.memory.mempool import give
from lab.memory.raw import apart, i64, u64
from lab.memory.reasons import (
    EXECUTED,
    METER_DROPS,
    METERED,
    NESTED_TOO_DEEP,
    NO_ACTIONS,
    NO_PORT,
    POOL_EMPTY,
    RECIRC_LIMIT,
    TO_CONTROLLER,
    TOO_MANY_OUTPUTS,
    TRUNCATED,
)
from lab.memory.record import NULL
from lab.stages.burst import BURST, ROOM, drop, explain, wants_of
from lab.stages.performing.copies import WHOLE, copy_packet, cut
from lab.stages.performing.meters import within_rate
from lab.stages.performing.recirculation import hash_packet, length_that_counts, turn_back
from lab.stages.performing.rewrite import rewrite
from lab.stages.performing.tunnel import set_tunnel
from lab.stages.stage import stage

PLACE_OF_FLAGS = np.uint64(32)
ONE = np.uint64(1)
NESTS = 8  # clones within each other
COPIED, GONE = -1, -2  # what became of a packet: a copy went on, it went on itself
SHORTEST = 14  # bytes that truncation leaves at least, as OVS


def send(outs, lane, port, i):
    """Put a packet into the batch of an output port; the batch's new length."""
    batch = outs[port]
    n = batch.n
    batch.pkt[n] = i
    batch.n = n + 1
    lane[0].pending = lane[0].pending | (ONE << np.uint64(port))
    return n + 1


def send_alone(outs, lane, port, i, m):
    """Put a packet that another stage made or passes on into the batch of an output port, with what it wants."""
    outs[port].wants = outs[port].wants | wants_of(m)
    return send(outs, lane, port, i)


@apart
def emit(out, act, i, most):
    """One output: COPIED or GONE (with LAST the packet itself goes), or why it cannot be."""
    port = act.arg
    if port >= len(out.ports) or out.ports[port].kind == 0:
        return NO_PORT
    if out.outs[port].n == ROOM:
        return TOO_MANY_OUTPUTS
    m = out.mbufs[i]
    if most < m.pkt_len:
        out.reasons[TRUNCATED].count += 1
        explain(out.trace, m, TRUNCATED, most, m.pkt_len)
    if act.detail == LAST:
        cut(out, i, most)
        m.ol_flags = m.ol_flags & ~HASHED
        send(out.outs, out.lane, port, i)
        return GONE
    j = copy_packet(out, i, most)
    if j == NULL:
        return POOL_EMPTY
    out.mbufs[j].ol_flags = out.mbufs[j].ol_flags & ~HASHED
    send(out.outs, out.lane, port, j)
    return COPIED


@apart
def punt_copy(out, act, i, most):
    """A copy for the controller, through the batch of port 0: COPIED, or why it cannot be."""
    if out.outs[0].n == ROOM:
        return TOO_MANY_OUTPUTS
    if act.arg < most:
        most = act.arg
    j = copy_packet(out, i, most)
    if j == NULL:
        return POOL_EMPTY
    m = out.mbufs[j]
    m.reason_a = i64(act.v0)
    m.reason_b = i64(act.v1)
    m.ext_cookie = u64(out.mbufs[i].pkt_len << 32 | act.arg)  # how long it was, and how much of it was wanted
    send(out.outs, out.lane, 0, j)
    out.reasons[TO_CONTROLLER].count += 1
    explain(out.trace, m, TO_CONTROLLER, act.arg, 0)
    return COPIED


@apart
def passes(out, act, i):
    """0 when a packet passes the meter, else why not."""
    m = out.mbufs[i]
    meter = out.meters[act.arg]
    lanes = out.config[0].lanes
    if lanes < 1:
        lanes = 1
    if within_rate(meter, out.meter_state[act.arg], m, out.lane[0].now, lanes) == 0:
        m.reason_a = meter.number
        return METER_DROPS
    out.reasons[METERED].count += 1
    explain(out.trace, m, METERED, meter.number, 0)
    return 0


@apart
def go_back(out, act, key, i, most):
    """Send a packet back to parse, under the id of the action or the one that its length chooses: GONE, or why it cannot be."""
    number = act.arg
    if act.op == CHECK_LEN:
        number = i64(act.v1)
        if length_that_counts(out.memory, out.mbufs[i], key, most) > act.arg:
            number = i64(act.v0)
    why = turn_back(out, i, number)
    if why != 0:
        return why
    return GONE


@apart
def carry_out(out, act, key, i, most):
    """One action that is no matter of the list: 0 or what became of the packet (COPIED, GONE), or why it cannot be."""
    if act.op == OUTPUT:
        return emit(out, act, i, most)
    if act.op == CONTROLLER:
        return punt_copy(out, act, i, most)
    if act.op == METER:
        return passes(out, act, i)
    if act.op == RECIRC or act.op == CHECK_LEN:
        return go_back(out, act, key, i, most)
    if act.op == HASH:
        hash_packet(out.mbufs[i], key, act.arg)
    elif act.op == SET and TUN_ID <= act.detail <= TUN_METADATA0:
        set_tunnel(out, i, act)
    else:
        rewrite(out.memory, out.mbufs[i], key, act)
    return 0


@apart
def enter_nest(out, deep, end, i):
    """Begin a clone: keep where the list around it ends and its packet; the copy, or NULL when the pool is empty."""
    here = out.lane[0]
    here.nest_end[deep] = end
    here.nest_pkt[deep] = i
    return copy_packet(out, i, WHOLE)


@apart
def abandon(out, deep, i):
    """Give back the copies of all nests: something went wrong, and the packet itself is dropped."""
    while deep > 0:
        if i != NULL:
            give(out.pool, out.mbufs, i)
        deep -= 1
        i = out.lane[0].nest_pkt[deep]


def lose_copy(out, i, why):
    """A copy in a nest is dropped, for a reason of its own."""
    m = out.mbufs[i]
    out.reasons[why].count += 1
    explain(out.trace, m, why, m.reason_a, 0)
    give(out.pool, out.mbufs, i)


def ends_list(why):
    """Whether a reason ends only the list that it happens in; what else goes wrong ends all that is done with a packet."""
    return why == METER_DROPS or why == RECIRC_LIMIT


@apart
def perform(out, acts, flow, key, i):
    """Run all actions of one packet: NULL when it went on itself, 0 when only copies did, else why nothing did."""
    here = out.lane[0]
    why = NO_ACTIONS
    if flow.reason != 0:
        why = flow.reason
    most = WHOLE
    sent = 0
    deep = 0
    at = flow.acts
    end = at + flow.n_acts
    while at < end or deep > 0:
        if at >= end:  # of a clone
            if i != NULL:
                give(out.pool, out.mbufs, i)
            deep -= 1
            i = here.nest_pkt[deep]
            at = end
            end = here.nest_end[deep]
            most = WHOLE
            continue
        act = acts.list[at]
        at += 1
        did = 0
        if act.op == TRUNC:
            most = act.arg
            if most < SHORTEST:
                most = SHORTEST
        elif act.op != CLONE:
            did = carry_out(out, act, key, i, most)
            if act.op == OUTPUT or act.op == CONTROLLER:
                most = WHOLE
        elif at + act.arg < end:  # a clone that nothing follows runs on the packet itself
            if deep == NESTS:
                abandon(out, deep, i)
                return NESTED_TOO_DEEP
            j = enter_nest(out, deep, end, i)
            if j == NULL:
                abandon(out, deep, i)
                return POOL_EMPTY
            deep += 1
            i = j
            end = at + act.arg
        if did < 0:
            sent += 1
            if did == GONE:
                i = NULL
                at = end
        elif did == NO_PORT:
            why = NO_PORT
        elif did != 0:
            if deep == 0 or not ends_list(did):
                abandon(out, deep, i)
                return did
            lose_copy(out, i, did)
            sent += 1
            i = NULL
            at = end
    if i == NULL:
        return NULL
    if sent > 0:
        return 0
    return why


def fullest(out):
    """The length of the longest batch that waits to be sent, or to be parsed again."""
    longest = 0
    if out.lane[0].waits != 0:
        longest = out.again[out.bursts[0].depth + 1].n
    for p in range(len(out.outs)):
        if (out.lane[0].pending >> np.uint64(p)) & ONE != np.uint64(0) and out.outs[p].n > longest:
            longest = out.outs[p].n
    return longest


@apart
def tell_batches(out, wants):
    """Let every batch that waits to be sent know what packets of the burst in hand want of the offload stages."""
    for p in range(len(out.outs)):
        if (out.lane[0].pending >> np.uint64(p)) & ONE != np.uint64(0):
            out.outs[p].wants = out.outs[p].wants | wants


@stage
def actions(bursts, mbufs, keys, megaflows, acts, outs, lane, pool, reasons, trace, doing):
    """Run the actions of each packet's megaflow and gather the outputs."""
    burst = bursts[0]
    tracing = trace[0].on
    now = lane[0].now
    first_pass = burst.depth == 0
    n = burst.n
    k = burst.first
    full = 0
    while k < n and full < BURST:
        i = burst.pkt[k]
        m = mbufs[i]
        flow = megaflows.flows[m.flow]
        flow.packets += 1
        flow.bytes_ += m.pkt_len
        flow.used = now
        flow.tcp_flags = flow.tcp_flags | (i64(keys[k].w[W_IP] >> PLACE_OF_FLAGS) & 0xFFF)
        if flow.only != NULL and first_pass:
            full = send(outs, lane, flow.only, i)
            if tracing != 0:
                explain(trace, m, EXECUTED, 1, flow.only)
        else:
            why = perform(doing, acts, flow, keys[k], i)
            if tracing != 0:
                explain(trace, m, EXECUTED, flow.n_acts, why)
            if why == 0:
                give(pool, mbufs, i)
            elif why == METER_DROPS or why == RECIRC_LIMIT:
                drop(burst, m, k, why, m.reason_a, 0)
            elif why != NULL:
                drop(burst, m, k, why, flow.rule, flow.n_acts)
            full = fullest(doing)
        k += 1
    if burst.wants != np.uint64(0):
        tell_batches(doing, burst.wants)
    reasons[EXECUTED].count += k - burst.first
    burst.first = k
