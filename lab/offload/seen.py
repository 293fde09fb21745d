"""`look`, wherever a packet's headers lie: those that are spread over segments are brought together first.

For stages that may change the packet's segments; who may not, or only wants to read, asks `layers.look`.
"""

from lab.memory.raw import apart
from lab.offload.chains import pull_up
from lab.offload.layers import look


@apart
def see(memory, mbufs, pool, i, s):
    """Find the headers of a packet: 1 when IP and a transport that offloads know are there, whole, in the first segment now."""
    m = mbufs[i]
    known = look(memory, m, s)
    while known == 0 and s.need > m.data_len and pull_up(memory, mbufs, pool, i, s.need) != 0:
        known = look(memory, m, s)
    return known
