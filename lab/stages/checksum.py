"""Checksums on both arcs: judged where a packet comes in, computed where it leaves and its port does not.

What is done to one packet stands in `lab/offload/checksums.py` and `checksums_due.py`. A wrong checksum is told, and the
packet goes on as it is; only one that is partial and whose place lies outside the packet costs it its life.
"""

import numpy as np

from lab.memory.reasons import BAD_CSUM_START, CSUM_COMPUTED, CSUM_GOOD, CSUM_LEFT, CSUM_WRONG, PULLED_UP
from lab.offload.checksums import verify_packet
from lab.offload.checksums_due import OUTSIDE, Summing, complete_packet, due_of
from lab.offload.checksums_outer import BAD, GOOD
from lab.stages.burst import drop, explain
from lab.stages.stage import stage

ZERO = np.uint64(0)
REASON_OF = (CSUM_LEFT, CSUM_GOOD, CSUM_WRONG)  # by state


@stage
def verify(bursts, mbufs, memory, pool, lane, sight, reasons, trace):
    """Verify the checksums of packets that come in."""
    burst = bursts[0]
    tracing = trace[0].on
    s = sight[0]
    good = 0
    wrong = 0
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        together = m.data_len
        segments = m.nb_segs
        state, found, should, summed = verify_packet(memory, mbufs, pool, i, s)
        if m.data_len != together:
            tell_pulled(reasons, trace, m, segments)
        if state == GOOD:
            good += 1
            found, should = summed, 0
        elif state == BAD:
            wrong += 1
        else:
            found = m.pkt_len
        if tracing != 0:
            explain(trace, m, REASON_OF[state], found, should)
    reasons[CSUM_GOOD].count += good
    reasons[CSUM_WRONG].count += wrong
    reasons[CSUM_LEFT].count += burst.n - good - wrong


def tell_pulled(reasons, trace, m, segments):
    """Headers lay in several segments and lie together now."""
    reasons[PULLED_UP].count += 1
    explain(trace, m, PULLED_UP, segments, m.data_len)


@stage
def complete(bursts, mbufs, memory, pool, ports, lane, sight, reasons, trace):
    """Compute the checksums that packets still lack and the port does not compute."""
    burst = bursts[0]
    tracing = trace[0].on
    work = Summing(memory, mbufs, pool, sight[0])
    can = ports[lane[0].out].offloads
    done = 0
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        due = due_of(m, can)
        if due == ZERO:
            continue
        together = m.data_len
        segments = m.nb_segs
        summed, checksum = complete_packet(work, i, due)
        if m.data_len != together:
            tell_pulled(reasons, trace, m, segments)
        if summed == OUTSIDE:
            drop(burst, m, k, BAD_CSUM_START, m.csum_start, m.pkt_len)
            continue
        done += 1
        if tracing != 0:
            explain(trace, m, CSUM_COMPUTED, summed, checksum)
    reasons[CSUM_COMPUTED].count += done
