"""The middle of the way: run the actions of each packet's megaflow; outputs gather in a batch per port.

Statistics of the megaflow are counted here, as its packets pass. A packet without any output is dropped, with the
reason its megaflow carries. When an output batch is full the stage stops and is called again behind it.
"""

from collections import namedtuple

import numpy as np

from lab.flow.actions import FLOOD, IN_PORT, LAST, OUTPUT
from lab.flow.key import W_IP
from lab.memory.mbuf import copy_fields, copy_segment
from lab.memory.mempool import give, take
from lab.memory.raw import i64
from lab.memory.reasons import EXECUTED, NO_PORT, NOWHERE, POOL_EMPTY, RULE_DROPS, TOO_MANY_OUTPUTS
from lab.memory.record import NULL
from lab.stages.burst import BURST, ROOM, drop, explain
from lab.stages.rewrite import rewrite
from lab.stages.stage import stage

PLACE_OF_FLAGS = np.uint64(32)
ONE = np.uint64(1)
GONE_ITSELF = 2  # the packet itself went out, so nothing of it is left here
Out = namedtuple("Out", "memory mbufs pool outs ports lane")  # what an output needs, as one argument


def send(out, port, i):
    """Put a packet into the batch of an output port; the batch's new length."""
    batch = out.outs[port]
    n = batch.n
    batch.pkt[n] = i
    batch.n = n + 1
    out.lane[0].pending = out.lane[0].pending | (ONE << np.uint64(port))
    return n + 1


def copy_packet(out, i):
    """A copy of a packet, segment by segment, or NULL when the pool runs empty."""
    mbufs = out.mbufs
    first = NULL
    last = NULL
    at = i
    while at != NULL:
        j = take(out.pool, mbufs)
        if j == NULL:
            give(out.pool, mbufs, first)
            return NULL
        copy_segment(out.memory, mbufs[j], mbufs[at])
        if first == NULL:
            first = j
            copy_fields(mbufs[j], mbufs[i])
            mbufs[j].pkt_len = mbufs[i].pkt_len
            mbufs[j].nb_segs = mbufs[i].nb_segs
        else:
            mbufs[last].next = j
        last = j
        at = mbufs[at].next
    return first


def target(ports, m, port):
    """Where an output goes: the port, or NULL when it is the packet's own, is gone, or is none."""
    if port == IN_PORT:
        return m.in_port
    if port == m.in_port or port >= len(ports) or ports[port].kind == 0:
        return NULL
    return port


def send_copy(out, port, i):
    """Send a copy through a port: 1, or a reason to stop as a negative number."""
    if out.outs[port].n == ROOM:
        return -TOO_MANY_OUTPUTS
    j = copy_packet(out, i)
    if j == NULL:
        return -POOL_EMPTY
    send(out, port, j)
    return 1


def flood(out, i):
    """Send a copy through every port but the packet's own; how many, or a reason to stop as a negative number."""
    m = out.mbufs[i]
    sent = 0
    for p in range(1, len(out.ports)):
        if target(out.ports, m, p) != NULL:
            did = send_copy(out, p, i)
            if did < 0:
                return did
            sent += 1
    return sent


def emit(out, act, i):
    """One output action: how many packets it sent (0 or 1), or a reason to stop as a negative number."""
    m = out.mbufs[i]
    port = target(out.ports, m, act.arg)
    if port == NULL:
        return 0
    if act.detail == LAST and out.outs[port].n < ROOM:
        send(out, port, i)
        return GONE_ITSELF
    return send_copy(out, port, i)


def perform(out, acts, flow, key, i):
    """Run all actions of one packet: NULL when it left itself, 0 when only copies did, else why nothing did."""
    m = out.mbufs[i]
    why = RULE_DROPS
    if flow.reason != 0:
        why = flow.reason
    sent = 0
    for a in range(flow.acts, flow.acts + flow.n_acts):
        act = acts[a]
        if act.op == OUTPUT:
            did = emit(out, act, i)
            if did == GONE_ITSELF:
                return NULL
            if did < 0:
                return -did
            if did == 0:
                why = NO_PORT
                if act.arg == m.in_port:
                    why = NOWHERE
            sent += did
        elif act.op == FLOOD:
            copies = flood(out, i)
            if copies < 0:
                return -copies
            if copies == 0:
                why = NOWHERE
            sent += copies
        else:
            rewrite(out.memory, m, key, act)
    if sent > 0:
        return 0
    return why


def fullest(out):
    """The length of the longest batch that waits to be sent."""
    longest = 0
    for p in range(len(out.outs)):
        if (out.lane[0].pending >> np.uint64(p)) & ONE != np.uint64(0) and out.outs[p].n > longest:
            longest = out.outs[p].n
    return longest


@stage
def actions(bursts, mbufs, memory, keys, megaflows, acts, outs, ports, lane, pool, reasons, trace):
    """Run the actions of each packet's megaflow and gather the outputs."""
    out = Out(memory, mbufs, pool, outs, ports, lane)
    burst = bursts[0]
    tracing = trace[0].on
    now = lane[0].now
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
        if flow.only != NULL and flow.only != m.in_port:
            full = send(out, flow.only, i)
            if tracing != 0:
                explain(trace, m, EXECUTED, 1, flow.only)
        else:
            why = perform(out, acts, flow, keys[k], i)
            if tracing != 0:
                explain(trace, m, EXECUTED, flow.n_acts, why)
            if why == 0:
                give(pool, mbufs, i)
            elif why != NULL:
                drop(burst, m, k, why, flow.rule, flow.n_acts)
            full = fullest(out)
        k += 1
    reasons[EXECUTED].count += k - burst.first
    burst.first = k
