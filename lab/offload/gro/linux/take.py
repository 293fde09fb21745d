"""The profile `linux`: which packets the kernel's GRO would hold and merge, in the kernel's words.

The common case is decided in a few dozen cycles (`tcp.py`); whatever it does not know goes the general way.
"""

from lab.offload.gro.linux.general import general_take
from lab.offload.gro.linux.tcp import UNCOMMON, plain_take


def linux_take(to, i, m, place):
    """Hold a packet, merge it, or let it pass behind what was held of its flow."""
    taken = plain_take(to, i, m, place)
    if taken == UNCOMMON:
        return general_take(to, i, m, place)
    return taken
