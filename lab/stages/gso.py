"""Cut large packets of an output batch into segments that the port takes.

Stands on the egress arc, and is called only for a batch with large packets in it. A batch that it fills is transmitted;
then it is called again for what is left in `cuts`, so packets keep their order and no batch grows beyond its places. What
is decided on the first call holds to the end of a packet, whatever becomes of the port's offloads meanwhile. How a packet
is cut stands in `lab/offload/gso`; transport checksums are left partial, for the port or for `egress.checksum`.
"""

from collections import namedtuple

from lab.memory.mbuf import ELEMENTS, FIXED_ID, GSO, OUTER_FIXED_ID
from lab.memory.raw import apart, u64
from lab.memory.reasons import HEADED, NOT_CUT, ONE_SEGMENT, PARTLY_SEGMENTED, POOL_EMPTY, PULLED_UP, SEGMENTED, two
from lab.offload.gso.cut import DONE, DRY, FULL, cut_up
from lab.offload.gso.headed import head_up, shaped
from lab.offload.gso.heads import NO_SUM, heads_of
from lab.offload.gso.measure import measure
from lab.offload.gso.payload import Sizes, abandon, begin, end
from lab.offload.gso.plan import NO_TUNNEL_CSUM, NOTHING, lacking
from lab.packet.headers.ipv4 import UDP
from lab.stages.burst import ROOM, drop, explain, wants_of
from lab.stages.stage import stage

Work = namedtuple("Work", "bursts cuts mbufs memory pool sight reasons trace")


@stage
def gso(bursts, cuts, mbufs, memory, pool, ports, lane, sight, reasons, trace):
    """Cut large packets of an output batch into segments that the port takes."""
    batch = bursts[0]
    cut = cuts[0]
    work = Work(bursts, cuts, mbufs, memory, pool, sight, reasons, trace)
    if cut.first >= cut.n:
        take_over(batch, cut)
    offloads = ports[lane[0].out].offloads
    batch.wants = u64(0)
    while cut.first < cut.n and batch.n < ROOM:
        i = cut.pkt[cut.first]
        if mbufs[i].ol_flags & GSO == u64(0):
            put(work, i)
        elif large(work, i, offloads) == FULL:
            break
        cut.first += 1
        cut.done = 0
        cut.made = 0


def take_over(batch, cut):
    """The packets of the batch are to be cut now; the batch is empty."""
    for k in range(batch.n):
        cut.pkt[k] = batch.pkt[k]
    cut.n = batch.n
    cut.first = 0
    cut.done = 0
    cut.made = 0
    batch.n = 0


def put(work, i):
    """A packet into the batch as it is; its place."""
    batch = work.bursts[0]
    k = batch.n
    batch.pkt[k] = i
    batch.n = k + 1
    batch.wants = batch.wants | wants_of(work.mbufs[i])
    return k


@apart
def large(work, i, offloads):
    """Do with a large packet what the port's offloads ask for; FULL when the batch has no room for all of it."""
    cut = work.cuts[0]
    m = work.mbufs[i]
    lack = lacking(offloads, m)
    if cut.made == 0 and lack == NOTHING and m.tso_segsz != 0:
        note(work, m, NOT_CUT, m.pkt_len, m.tso_segsz)
        put(work, i)
        return DONE
    segments = m.nb_segs
    together = m.data_len
    why, a, b = measure(work, i)
    if m.data_len > together:
        note(work, m, PULLED_UP, segments, m.data_len)
    if why != 0:
        drop(work.bursts[0], m, put(work, i), why, a, b)
        return DONE
    s = work.sight[0]
    payload = s.end - s.payload
    if cut.made == 0 and payload <= m.tso_segsz:
        note(work, m, ONE_SEGMENT, payload, m.tso_segsz)
        m.ol_flags = m.ol_flags & ~(GSO | ELEMENTS | FIXED_ID | OUTER_FIXED_ID)
        m.tso_segsz = 0
        m.gso_type = 0
        put(work, i)
        return DONE
    return segments_of(work, i, lack)


@apart
def segments_of(work, i, lack):
    """Cut a packet that has been measured, or go on with it."""
    cut = work.cuts[0]
    m = work.mbufs[i]
    s = work.sight[0]
    size = m.tso_segsz
    payload = s.end - s.payload
    h = heads_of(work.memory, m, s)
    whole = 1
    if cut.made == 0 and lack == NO_TUNNEL_CSUM and s.outer_proto == UDP and h.l4_sum != NO_SUM and m.ol_flags & ELEMENTS == u64(0):
        whole = payload // size
    sizes = Sizes(payload, size, whole * size, whole)
    if cut.done == 0 and m.ol_flags & ELEMENTS != u64(0) and shaped(work.mbufs, i, h.n, sizes) != 0:
        tell(work, m, HEADED, lack, sizes)
        return head_up(work, i, h, sizes)
    if cut.done == 0:
        tell(work, m, SEGMENTED, lack, sizes)
        begin(work, i, h.n, sizes)
    outcome = cut_up(work, i, h, sizes)
    if outcome == DRY:
        abandon(work, i)
        drop(work.bursts[0], m, put(work, i), POOL_EMPTY, 0, 0)
        return DONE
    if outcome == DONE:
        end(work, i)
    return outcome


def tell(work, m, reason, lack, sizes):
    """Why a packet is cut, once: its bytes and what the port lacks, into how many of which size."""
    if work.cuts[0].made != 0:
        return
    if sizes.whole > 1:
        reason = PARTLY_SEGMENTED
    note(work, m, reason, two(m.pkt_len, lack), two((sizes.payload + sizes.step - 1) // sizes.step, sizes.segment))


def note(work, m, reason, a, b):
    """Count a reason, and explain it while tracing."""
    work.reasons[reason].count += 1
    explain(work.trace, m, reason, a, b)
