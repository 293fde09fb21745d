"""Put tunnel headers on an output batch, and pass it on to the port that the route leads to."""

from lab.stages.stage import stage


@stage
def push(
    bursts, mbufs, memory, pool, ports, lane, tunnels, tunnel_ports, addresses, routes, neighbours, sight, outs, port_stats, reasons, trace,
):  # fmt: skip
    """Put tunnel headers on an output batch, and pass it on to the port that the route leads to."""
    if bursts[0].n < 0:
        lane[0].spare = 0
