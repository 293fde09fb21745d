"""`sw.ofctl(...)`: every command in ovs-ofctl's words, gathered.

A file of commands is listed here and nowhere else; what they share is in `ofctl_tool.py`.
"""

from lab.control import ofctl_flows, ofctl_groups, ofctl_switch
from lab.control.ofctl_tool import ofctl

COMMANDS = (ofctl_flows, ofctl_groups, ofctl_switch)  # importing a file registers what it holds


@ofctl.command("list-commands")
def list_commands(call):
    """Print what there is."""
    return ofctl.help()
