"""Completion of the OVS tools' command lines: what may stand at the cursor.

The fields and actions are those the switch knows (`lab.openflow`), the ports those it has. Python is completed by IPython,
not here. An answer takes a millisecond or two.
"""
import re
from functools import cache

from lab.ui import words

VSCTL = (
    "--", "set", "Interface", "Bridge", "Port", "Open_vSwitch", "type=", "options:", "mtu_request=", "ofport_request=",
    "other_config:emc-insert-inv-prob=", "other_config:smc-enable=")
RULE = ("priority=", "table=", "cookie=", "idle_timeout=", "hard_timeout=", "actions=")
OUTPUTS = ("output:", "flood", "all", "in_port", "drop", "strip_vlan", "pop_vlan", "set_field:")
_PORT_HERE = re.compile(r"(?:output:|in_port=|enqueue:)[^\s,]*$")


@cache
def verbs(tool):
    """The commands that a tool knows."""
    from lab.control import vsctl
    from lab.control.appctl import commands as appctl
    from lab.control.ofctl import commands as ofctl
    registry = {"ovs-ofctl": ofctl.ofctl, "ovs-vsctl": vsctl.vsctl, "ovs-appctl": appctl.appctl}[tool]
    hidden = getattr(appctl, "NOT_BUILT", {}) if tool == "ovs-appctl" else {}
    return tuple(name for name in registry.commands if name not in hidden)


@cache
def fields():
    """All that may stand in a match."""
    from lab.openflow.matching.fields import KNOWN, SHORTHANDS
    return tuple(name if name in SHORTHANDS else f"{name}=" for name in KNOWN)


@cache
def actions():
    """All that may stand behind `actions=`."""
    from lab.openflow.actions import ACTIONS
    return (*OUTPUTS, *(f"{name}:" for name in ACTIONS))


def complete(code, cursor, switch, bridges=()):
    """(matches, start, end) when the cursor stands in a line of the OVS tools, else None."""
    line, begin = _line(code, cursor)
    stripped = line.lstrip()
    if stripped and not re.search(r"\s", stripped):
        tools = [tool for tool in words.TOOLS if tool.startswith(stripped)] if stripped.startswith("ov") else []
        return (tools, begin + len(line) - len(stripped), cursor) if tools else None
    found = words.head(line)
    tool = next((tool for tool in words.TOOLS if found and line.startswith(tool, found.start("body"))), None)
    if not found or not tool:
        return None
    rest = line[found.start("body") + len(tool):]
    word = re.search(r"[^\s,=\"':]*$", line).group()
    matches = [choice for choice in _choices(tool, rest, switch, bridges) if choice.startswith(word)]
    return matches, cursor - len(word), cursor


def _line(code, cursor):
    """The command's text up to the cursor, with the lines it continues, and where it begins."""
    begin = code.rfind("\n", 0, cursor) + 1
    while begin and code[:begin - 1].endswith("\\"):
        begin = code.rfind("\n", 0, begin - 1) + 1
    return code[begin:cursor].replace("\\\n", "  "), begin


def _choices(tool, rest, switch, bridges):
    """What may stand next, after what is there of a command."""
    typed = rest.split()[:None if rest[-1:].isspace() else -1]
    before = [part for part in typed if not part.startswith(("-", "OpenFlow"))]
    ports = switch.port_names() if switch is not None else []
    names = list(bridges) or ([switch.name] if switch is not None else [])
    if not before:
        return verbs(tool)
    if _PORT_HERE.search(rest):
        return ports
    if tool == "ovs-vsctl":
        return [*(verbs(tool) if before[-1] == "--" else ()), *names, *ports, *VSCTL]
    if tool == "ovs-appctl":
        return [*names, *fields()] if before[0].startswith("ofproto/") else names
    if "actions=" in rest:
        return [*actions(), *ports]
    if len(before) == 1 and "=" not in rest.split()[-1]:
        return [*names, *RULE, *fields()]
    return [*ports] if before[0] in ("dump-ports", "mod-port") else [*RULE, *fields()]
