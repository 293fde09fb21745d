"""The simulated port: frames are injected by a person and what left is kept for them. It needs no privilege."""

from lab.ports.outside import Outside
from lab.ports.port import Port


class SimPort(Port):
    """A port whose far side is a notebook."""

    kind = "sim"
    code = 1
    _outside = None

    @property
    def outside(self):
        """The port's own memory beside the arena: what of it the switch refers to, and what it has given back.

        >>> from lab import Switch
        >>> vm1 = Switch().add_port("vm1")
        >>> vm1.inject(bytes(1000), external=True), vm1.outside
        (1, <memory of vm1: 1 of 16 slots lent, 0 given back>)
        """
        if self._outside is None or self._outside.port is not self:
            self._outside = Outside(self)
        return self._outside
