"""The simulated port: frames are injected by a person and what left is kept for them. It needs no privilege."""

from lab.ports.port import Port


class SimPort(Port):
    """A port whose far side is a notebook."""

    kind = "sim"
    code = 1
