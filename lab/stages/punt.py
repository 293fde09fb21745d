"""The end of the way to the controller: hand copies to the lane's ring of port 0, where control collects them.

Port 0 is no port: nothing is forwarded to it, and it has neither an MTU nor a link. `actions` puts the copies that are
meant for the controller into its output batch; `reason_a` holds the cookie of the rule that sent them, `reason_b`
why, and which rule.
"""

from lab.memory.raw import release
from lab.memory.reasons import RING_FULL
from lab.stages.burst import drop
from lab.stages.stage import stage


@stage
def punt(bursts, mbufs, rings, ports, port_stats, lane):
    """Put the copies for the controller into their ring; what does not fit is dropped with a reason."""
    burst = bursts[0]
    here = lane[0]
    ring = rings.ring[len(ports) * here.number]
    tail = ring.tail
    room = ring.room - (tail - ring.head)
    sent = 0
    for k in range(burst.n):
        i = burst.pkt[k]
        if sent == room:
            drop(burst, mbufs[i], k, RING_FULL, ring.room, 0)
            ring.overflow += 1
        else:
            rings.slots[ring.first + ((tail + sent) & (ring.room - 1))].index = i
            sent += 1
    release()
    ring.tail = tail + sent
    port_stats[0].tx_packets += sent
    port_stats[0].tx_drops += burst.n - sent
    burst.first = burst.n
