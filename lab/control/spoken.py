"""What a switch says in OVS's words: the commands of its tools, its options, its counters.

A part of `Switch` that stands by itself; the commands stand in `ofctl/`, `vsctl.py` and `appctl/`.
It knows neither packets nor steps.
"""

from contextlib import AbstractContextManager

from lab.control import vsctl
from lab.control.appctl import commands as appctl
from lab.control.appctl import counts, dpctl, fdb, pmd, trace, tunnels
from lab.control.ofctl import commands as ofctl
from lab.control.options import Options
from lab.engine.core import Engine
from lab.openflow.groups import Groups
from lab.openflow.meters import Meters
from lab.openflow.table import RuleTable

COMMANDS = (counts, dpctl, fdb, pmd, trace, tunnels)  # importing a file registers what it holds


class Spoken:
    """A switch as ovs-ofctl, ovs-vsctl and ovs-appctl see it.

    >>> from lab import Switch
    >>> Switch().ofctl("dump-flows --no-stats").strip()
    'priority=0 actions=NORMAL'
    """

    lock: AbstractContextManager
    engine: Engine
    options: Options
    rules: RuleTable
    groups: Groups
    meters: Meters

    def ofctl(self, line):
        """Run an `ovs-ofctl` command line; what it prints."""
        with self.lock:
            return ofctl.ofctl(self, line)

    def vsctl(self, line):
        """Run an `ovs-vsctl` command line; what it prints."""
        with self.lock:
            return vsctl.vsctl(self, line)

    def appctl(self, line):
        """Run an `ovs-appctl` command line; what it prints."""
        with self.lock:
            return appctl.appctl(self, line)

    def command(self, line):
        """Run a command line that begins with the tool's name."""
        tool, _, rest = line.strip().partition(" ")
        tools = {"ovs-ofctl": self.ofctl, "ovs-vsctl": self.vsctl, "ovs-appctl": self.appctl}
        if tool not in tools:
            raise ValueError(f"{tool!r} is no command of a switch: there are {', '.join(tools)}")
        return tools[tool](rest)

    @property
    def clock(self):
        """The engine's clock."""
        return self.options.clock

    def set_option(self, name, value):
        """Set an option by OVS's name: `emc-insert-inv-prob`, `smc-enable`, `vlan-limit`, ..."""
        with self.lock:
            self.options.set(name, value)

    def get_option(self, name):
        """The value of an option."""
        return self.options.get(name)

    @property
    def counters(self):
        """How often each reason was given: {code: count}."""
        return self.options.counters()

    def count(self, reason):
        """How often one reason was given."""
        return int(self.engine.reason_counts()[reason])
