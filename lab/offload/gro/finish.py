"""The end of an item: what GRO merged becomes one large packet that says how to cut it again, and leaves the table.

Lengths, the IPv4 header's checksum, the pseudo-header's sum and the offload fields are written once, here; while a packet
is held only its chain grows. What was never merged leaves exactly as it came, flags too.
"""

from lab.memory.raw import apart
from lab.offload.gro.table import DPDK_FRAGMENTS, release


@apart
def let_go(to, n, why, figure):
    """Finish what an item holds and put it behind what is ready, for a reason whose first figure is the number of packets."""
    item = to.gro.items[n]
    if item.packets > 1 and item.kind != DPDK_FRAGMENTS:
        finish(to, item)
    release(to, n, why, figure)


def finish(to, item):
    """Write what is true of the whole."""
