"""The beginning of the way, for a port that replays: copies of its recorded frames, as fast as asked for.

The recorded frames stand in mbufs that control owns; each copy is a fresh mbuf of this lane, as a frame from
a wire would be. A port paces by a number of frames a second, or not at all, and ends after `option` frames unless 0.
"""

from lab.memory.mbuf import copy_offload, copy_segment, reset
from lab.memory.mempool import give, take, take_many
from lab.memory.raw import copy, copy_line, copy_small
from lab.memory.reasons import RECEIVED
from lab.memory.record import NULL
from lab.stages.burst import BURST, explain
from lab.stages.receive import EVERYTHING
from lab.stages.stage import stage


def due(port, stats, now):
    """How many frames may come now."""
    n = BURST
    if port.pace > 0:
        n = (now - port.paced_at) * port.pace // 1_000_000 - stats.replayed
        if n < 0:
            n = 0
        if n > BURST:
            n = BURST
    if port.option > 0 and stats.replayed + n > port.option:
        n = port.option - stats.replayed
    return n


def be_like(m, old, lane):
    """Make a fresh mbuf of its own buffer with all that a recorded one says of itself: one move for most of it."""
    buf = m.buf
    copy_line(m, old)
    m.buf = buf
    m.owner = lane


def copy_bytes(memory, m, old):
    """The bytes of a recorded segment."""
    if old.data_len <= 128:
        copy_small(memory, m.buf + old.data_off, old.buf + old.data_off, old.data_len)
    else:
        copy(memory, m.buf + old.data_off, old.buf + old.data_off, old.data_len)


def copy_rest(memory, pool, mbufs, template, i):
    """The further segments and the offload fields of a recorded frame; 0 when the pool ran empty."""
    copy_offload(mbufs[i], mbufs[template])
    last = i
    at = mbufs[template].next
    mbufs[i].next = NULL
    while at != NULL:
        j = take(pool, mbufs)
        if j == NULL:
            return 0
        copy_segment(memory, mbufs[j], mbufs[at])
        mbufs[last].next = j
        last = j
        at = mbufs[at].next
    return 1


def give_rest(pool, mbufs, burst, k, n):
    """Return the mbufs from place `k` on, of which only that one is a packet yet: the pool ran empty in the middle of a chain."""
    for q in range(k, n):
        if q > k:
            reset(mbufs[burst.pkt[q]])
        give(pool, mbufs, burst.pkt[q])


@stage
def replay(bursts, mbufs, memory, pool, rings, ports, port_stats, lane, reasons, trace):
    """Copy the next recorded frames of the port whose turn it is into fresh mbufs."""
    burst = bursts[0]
    tracing = trace[0].on
    here = lane[0]
    port = ports[here.port]
    stats = port_stats[here.port]
    burst.misses = 0
    burst.first = 0
    burst.port = here.port
    burst.wants = EVERYTHING
    n = take_many(pool, burst.pkt, due(port, stats, here.now))
    total = 0
    at = stats.position
    numbered = tracing + port.option  # of a capture that goes round and round, nobody asks for one packet by its number
    for k in range(n):
        template = rings.slots[port.replay_first + at].index
        at += 1
        if at >= port.replay_n:
            at = 0
        i = burst.pkt[k]
        m = mbufs[i]
        old = mbufs[template]
        be_like(m, old, here.number)
        copy_bytes(memory, m, old)
        if (old.next != NULL or old.tso_segsz != 0) and copy_rest(memory, pool, mbufs, template, i) == 0:
            give_rest(pool, mbufs, burst, k, n)
            n = k
            break
        if port.stamped != 0:
            m.timestamp = old.timestamp
        if numbered != 0:
            m.serial = here.serial + k + 1
        total += m.pkt_len
    if tracing != 0:
        for k in range(n):
            explain(trace, mbufs[burst.pkt[k]], RECEIVED, n, mbufs[burst.pkt[k]].pkt_len)
    burst.n = n
    stats.position = at
    here.serial += n
    stats.replayed += n
    stats.rx_packets += n
    stats.rx_bytes += total
    reasons[RECEIVED].count += n
