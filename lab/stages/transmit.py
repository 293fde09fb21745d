"""The end of the way: hand an output batch to a simulated port's ring, where control collects what was sent."""

from lab.memory.raw import release
from lab.memory.reasons import LINK_DOWN, PORT_REMOVED, RING_FULL, SENT, TOO_LARGE
from lab.stages.burst import drop, explain
from lab.stages.stage import stage

FRAME_EXTRA = 14 + 8  # Ethernet and two VLAN tags stand outside the MTU


def refused(port, m):
    """Why a port does not take a packet, or 0."""
    if port.kind == 0:
        return PORT_REMOVED
    if port.up == 0:
        return LINK_DOWN
    if m.tso_segsz == 0 and m.pkt_len > port.mtu + FRAME_EXTRA:
        return TOO_LARGE
    return 0


@stage
def transmit(bursts, mbufs, rings, ports, port_stats, lane, reasons, trace):
    """Put the packets of an output batch into the port's ring; what does not fit is dropped with a reason."""
    burst = bursts[0]
    tracing = trace[0].on
    here = lane[0]
    port = ports[here.out]
    ring = rings.ring[len(ports) * here.number + here.out]
    tail = ring.tail
    room = ring.room - (tail - ring.head)
    sent = 0
    total = 0
    for k in range(burst.n):
        i = burst.pkt[k]
        m = mbufs[i]
        why = refused(port, m)
        if why != 0:
            drop(burst, m, k, why, m.pkt_len, port.mtu)
        elif sent == room:
            drop(burst, m, k, RING_FULL, ring.room, 0)
            ring.overflow += 1
        else:
            rings.slots[ring.first + ((tail + sent) & (ring.room - 1))].index = i
            sent += 1
            total += m.pkt_len
            if tracing != 0:
                explain(trace, m, SENT, burst.n, m.pkt_len)
    release()
    ring.tail = tail + sent
    port_stats[here.out].tx_packets += sent
    port_stats[here.out].tx_bytes += total
    port_stats[here.out].tx_drops += burst.n - sent
    reasons[SENT].count += sent
    burst.first = burst.n
    burst.first = burst.n
