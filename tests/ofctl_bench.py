"""A bridge that has just rules and ports, for the tests of ovs-ofctl's commands: no engine, no packets."""
from types import SimpleNamespace

from ruled import ruled

from lab.control.ofctl.commands import ofctl
from lab.openflow.errors import CommandError


class Bridge:
    """br0 with ports p1 to p4 (or others), and a clock that stands."""

    def __init__(self, arena=None, ports=("p1", "p2", "p3", "p4")):
        self.name, self.now = "br0", 0
        self.ports = {name: SimpleNamespace(ofport=number, name=name) for number, name in enumerate(ports, 1)}
        self.rules = ruled(arena, clock=lambda: self.now, port_name=dict(enumerate(ports, 1)).get)
        self.rules.around.ports = lambda: {name: port.ofport for name, port in self.ports.items()}

    def ofctl(self, line):
        """Run a command line."""
        return ofctl(self, line)

    def lines(self, line):
        """What a command prints, line by line."""
        return self.ofctl(line).splitlines()

    def refuses(self, line):
        """The error that a command line gives."""
        try:
            said = self.ofctl(line)
        except CommandError as error:
            return error
        raise AssertionError(f"{line!r} was not refused, it printed {said!r}")
