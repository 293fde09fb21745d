"""What the offload stages may read and change beside their bursts, as one parameter each (see View)."""

from lab.memory.record import View

merging_v = View(
    "merging", "gro", "mbufs", "memory", "pool", "ports", "lane", "config", "sight", "tunnels", "tunnel_ports", "reasons", "trace",
)  # fmt: skip
cutting_v = View("cutting", "cuts", "mbufs", "memory", "pool", "ports", "lane", "sight", "reasons", "trace")
carrying_v = View(
    "carrying", "mbufs", "memory", "pool", "ports", "lane", "sight", "tunnels", "tunnel_ports", "addresses", "routes", "neighbours", "outs",
    "reasons", "trace",
)  # fmt: skip
