"""Checksums on both arcs."""

from lab.stages.stage import stage


@stage
def verify(bursts, mbufs, memory, pool, lane, sight, reasons, trace):
    """Verify the checksums of packets that come in."""
    if bursts[0].n < 0:
        lane[0].spare = 0


@stage
def complete(bursts, mbufs, memory, pool, ports, lane, sight, reasons, trace):
    """Compute the checksums that packets still lack and the port does not compute."""
    if bursts[0].n < 0:
        lane[0].spare = 0
