"""The profile `linux`: which packets the kernel's GRO would hold and merge, in the kernel's words."""

from lab.memory.raw import apart
from lab.offload.gro.table import PASSES


@apart
def linux_take(to, i, m, place):
    """Hold a packet, merge it, or let it pass behind what was held of its flow."""
    return PASSES
