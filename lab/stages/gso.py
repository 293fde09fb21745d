"""Cut large packets of an output batch into segments that the port takes."""

from lab.stages.stage import stage


@stage
def gso(bursts, cuts, mbufs, memory, pool, ports, lane, sight, reasons, trace):
    """Cut large packets of an output batch into segments that the port takes."""
    if bursts[0].n < 0:
        lane[0].spare = 0
