"""`sw.ofctl(...)`: every command in ovs-ofctl's words, gathered.

A file of commands is listed here and nowhere else; what they share is in `tool.py`.
"""

from lab.control.ofctl import flows, groups, switch, tunnels
from lab.control.ofctl.tool import ofctl

COMMANDS = (flows, groups, switch, tunnels)  # importing a file registers what it holds


@ofctl.command("list-commands")
def list_commands(call):
    """Print what there is."""
    return ofctl.help()
