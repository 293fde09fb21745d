"""Cut large packets of an output batch into segments that the port takes.

Stands on the egress arc, and is called only for a batch with large packets in it. A batch that it fills is transmitted;
then it is called again for what is left in `cuts`, so packets keep their order and no batch grows beyond its places. What
a packet becomes is decided in `lab/offload/gso`; checksums that the port computes are left partial, the rest is
`egress.checksum`'s.
"""

from collections import namedtuple

from lab.memory.mbuf import GSO
from lab.memory.raw import u64
from lab.offload.gso.cut import FULL
from lab.offload.gso.large import large, put
from lab.stages.burst import ROOM
from lab.stages.stage import stage

Work = namedtuple("Work", "bursts cuts mbufs memory pool sight reasons trace")


@stage
def gso(bursts, cuts, mbufs, memory, pool, ports, lane, sight, reasons, trace):
    """Cut large packets of an output batch into segments that the port takes."""
    batch = bursts[0]
    cut = cuts[0]
    work = Work(bursts, cuts, mbufs, memory, pool, sight, reasons, trace)
    if cut.first >= cut.n:
        take_over(batch, cut, lane[0].at)
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


def take_over(batch, cut, at):
    """The packets of the batch are to be cut now; the batch is empty."""
    for k in range(batch.n):
        cut.pkt[k] = batch.pkt[k]
    cut.n = batch.n
    cut.first = 0
    cut.done = 0
    cut.made = 0
    cut.at = at
    batch.n = 0
