"""What all commands of `sw.ofctl(...)` share: the tool that they register into, and how it reads and shows ports.

The commands stand in `flows.py` (rules), `groups.py` (groups and meters) and `switch.py` (the switch and its
ports); `ofctl.py` gathers them.
"""

from lab.control.line import Tool

ofctl = Tool("ofctl", valued=("-O", "--protocols", "-F", "--flow-format", "-t", "--timeout"), flags=(
    "--strict", "--no-stats", "--stats", "--names", "--no-names", "--sort", "--rsort", "--bundle", "--readd",
    "--may-create", "-m", "--more"))

VERSIONS = {f"OpenFlow{version}": version for version in range(10, 16)}


def numbers(sw):
    """Port names to numbers, as the parsers take them."""
    return {name: port.ofport for name, port in sw.ports.items()}


def namer(call):
    """What turns a port's number into what is printed: its name, unless --no-names."""
    if "--no-names" in call.options:
        return None
    return {port.ofport: name for name, port in call.sw.ports.items()}.get


def version_of(call):
    """The OpenFlow version that a command speaks, 10 to 15: the latest that -O allows, 1.0 without it."""
    word = call.options.get("-O") or call.options.get("--protocols")
    if word is None:
        return VERSIONS["OpenFlow10"]
    named = word.text.split(",")
    for name in named:
        if name not in VERSIONS:
            raise word.error(f"there is no protocol {name!r}", name, word.text.index(name), VERSIONS)
    return max(VERSIONS[name] for name in named)
