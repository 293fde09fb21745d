"""Copy chains into one buffer, at a port that takes no chains."""

from lab.stages.stage import stage


@stage
def linear(bursts, mbufs, memory, pool, ports, lane, reasons, trace):
    """Copy chains into one buffer, at a port that takes no chains."""
    if bursts[0].n < 0:
        lane[0].spare = 0
