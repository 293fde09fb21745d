"""What the actions of a packet may read and change, as one parameter of the stage."""

from lab.memory.record import View

doing_v = View(
    "doing", "bursts", "mbufs", "memory", "pool", "outs", "again", "ports", "lane", "config", "meters", "meter_state", "tunnels", "reasons",
    "trace",
)  # fmt: skip
