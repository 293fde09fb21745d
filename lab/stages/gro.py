"""Hold and merge packets of the burst that follow each other in one flow; let go of what cannot grow."""

from lab.stages.stage import stage


@stage
def gro(bursts, gro, mbufs, memory, pool, ports, lane, config, sight, reasons, trace):
    """Hold and merge packets of the burst that follow each other in one flow; let go of what cannot grow."""
    if bursts[0].n < 0:
        lane[0].spare = 0
