"""What all commands of `sw.ofctl(...)` share: the tool that they register into, and how it reads and shows ports.

The commands stand in `ofctl_flows.py` (rules), `ofctl_groups.py` (groups and meters) and `ofctl_switch.py` (the switch and its
ports); `ofctl.py` gathers them.
"""

from lab.control.line import Tool

ofctl = Tool("ofctl", valued=("-O", "--protocols", "-F", "--flow-format", "-t", "--timeout"), flags=(
    "--strict", "--no-stats", "--stats", "--names", "--no-names", "--sort", "--rsort", "--bundle", "--readd", "-m", "--more"))


def numbers(sw):
    """Port names to numbers, as the parsers take them."""
    return {name: port.ofport for name, port in sw.ports.items()}


def namer(call):
    """What turns a port's number into what is printed: its name, unless --no-names."""
    if "--no-names" in call.options:
        return None
    return {port.ofport: name for name, port in call.sw.ports.items()}.get
