"""Cut large packets of a guest into chains of elements of one segment each, without copying."""

from lab.stages.stage import stage


@stage
def split(bursts, mbufs, memory, pool, ports, lane, sight, reasons, trace):
    """Cut large packets of a guest into chains of elements of one segment each, without copying."""
    if bursts[0].n < 0:
        lane[0].spare = 0
