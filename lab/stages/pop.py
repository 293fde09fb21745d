"""Take tunnel headers off packets that are for the switch itself."""

from lab.stages.stage import stage


@stage
def pop(bursts, mbufs, memory, pool, ports, lane, tunnels, tunnel_ports, addresses, neighbours, sight, outs, reasons, trace):
    """Take tunnel headers off packets that are for the switch itself."""
    if bursts[0].n < 0:
        lane[0].spare = 0
