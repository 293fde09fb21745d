"""The bridges of a session: which switch a command line means.

A tool of OVS names a bridge; here each bridge is a Switch. The namespace of the notebook holds them: `sw` first, and one
variable for each that `ovs-vsctl add-br` makes. What a command does is the switch's matter (`sw.command`), not decided here.
"""
import keyword
import re
import shlex

from lab.openflow.errors import CommandError, nearest
from lab.ui import words

_BARE_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_WITH_ARGUMENT = {"-O", "-F", "-t", "-T", "--db", "--timeout", "--target", "--protocols", "--flow-format"}
_OF_ONE_COMMAND = ("--may-exist", "--if-exists", "--id", "--columns", "--with-iface")
_ABOUT_A_BRIDGE = ("fdb/", "bridge/", "mdb/", "stp/", "rstp/", "ofproto/trace")
_VSCTL_ON_BRIDGE = {"add-port", "list-ports", "list-ifaces", "set-fail-mode", "get-fail-mode", "del-fail-mode", "set-controller",
                    "get-controller", "del-controller", "br-to-vlan", "br-to-parent", "br-set-external-id", "br-get-external-id"}


class Bridges:
    """The switches that lines of the OVS tools can mean."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.made = {}        # name -> Switch, of those that a line has made or taken

    def known(self):
        """name -> Switch: `sw`, the switches in the namespace, those made by lines."""
        from lab import Switch
        own = {name: value for name, value in self.namespace.items() if isinstance(value, Switch) and not name.startswith("_")}
        # Of two with one name the later counts, and `sw` before all.
        switches = [*self.made.values(), *own.values(), *filter(None, [own.get("sw")])]
        return {switch.name: switch for switch in switches if not getattr(switch, "closed", False)}

    def current(self):
        """The switch of lines that name none."""
        switch = self.namespace.get("sw")
        if switch is None:
            raise CommandError("there is no switch named sw: make one with sw = Switch('br0')")
        return switch

    def run(self, text):
        """Run the commands of one line; return what they print."""
        return "\n".join(filter(None, (self._one(command) for command in words.commands(text))))

    def _one(self, text):
        text = re.sub(r"^(?:\$\s+)?(?:sudo\s+)?", "", text)
        parts = words.split(text)
        tool = parts[0][0]
        if tool in words.INSTEAD:
            return f"{tool} is not here: {words.INSTEAD[tool]}"
        if f"ovs-{tool}" in words.TOOLS:
            return self._one(f"ovs-{text}")
        if tool not in words.TOOLS:
            raise CommandError(f"{tool!r} is none of {', '.join(words.TOOLS)}", text, tool, 0, nearest(tool, words.TOOLS))
        if tool == "ovs-vsctl":
            return self._vsctl(text, parts[1:])
        return str(self._named(text, tool, _arguments(parts[1:])).command(text) or "")

    def _named(self, text, tool, arguments):
        """The switch that an ovs-ofctl or ovs-appctl line means."""
        known = self.known()
        for word, _ in arguments[1:]:
            if word in known:
                return known[word]
        if len(arguments) > 1 and _means_a_bridge(tool, arguments[0][0], arguments[1][0], self.current()):
            self._unknown(text, *arguments[1])
        return self.current()

    def _unknown(self, text, name, place):
        known = self.known()
        there = ", ".join(known) or "none yet: ovs-vsctl add-br br0 makes one"
        raise CommandError(f"there is no bridge named {name!r}; there are: {there}", text, name, place, nearest(name, known))

    def _vsctl(self, text, parts):
        """Bridges are made and taken away here; all else goes to the switch it is about, in the order written."""
        out, options = [], [word for word, _ in _leading_options(parts) if not word.startswith(_OF_ONE_COMMAND)]
        for command in _clauses([part for part in parts if part[0] not in options]):
            flags = [word for word, _ in _leading_options(command)]
            arguments = _arguments(command)
            if not arguments:
                continue
            own = getattr(self, "_" + arguments[0][0].replace("-", "_"), None) if arguments[0][0] in _OWN else None
            if own:
                out.append(own(text, arguments[1:], flags))
            else:
                line = shlex.join(["ovs-vsctl", *options, *(word for word, _ in command)])
                out.append(str(self._about(text, arguments).command(line) or ""))
        return "\n".join(filter(None, out))

    def _about(self, text, arguments):
        """The switch that one ovs-vsctl command is about: by its bridge, or by its port."""
        known, (verb, *rest) = self.known(), [word for word, _ in arguments]
        places = [place for _, place in arguments]
        if verb in _VSCTL_ON_BRIDGE and rest and rest[0] not in known:
            self._unknown(text, rest[0], places[1])
        if rest and rest[0].lower() in ("bridge", "br") and len(rest) > 1 and rest[1] not in known:
            self._unknown(text, rest[1], places[2])
        named = next((known[word] for word in rest if word in known), None)
        return named or next((switch for switch in known.values() if any(word in switch.port_names() for word in rest)), self.current())

    def _add_br(self, text, arguments, flags):
        """Take the waiting `sw` if it has this name, else make a switch."""
        if not arguments:
            raise CommandError("add-br wants the name of a bridge", text, "add-br", text.find("add-br"))
        (name, place), known = arguments[0], self.known()
        waiting = self.namespace.get("sw")
        if name in known and (known[name] is not waiting or self.made.get(name) is waiting):
            if "--may-exist" in flags:
                return ""
            raise CommandError(f"a bridge named {name!r} is there already", text, name, place)
        if name in known:
            self.made[name] = known[name]
            return ""
        from lab import Switch
        self.made[name] = Switch(name)
        free = name.isidentifier() and not keyword.iskeyword(name) and name not in self.namespace
        if free:
            self.namespace[name] = self.made[name]
        return ""

    def _del_br(self, text, arguments, flags):
        """Forget a bridge; `sw` itself stays, since the notebook stands on it."""
        if not arguments:
            raise CommandError("del-br wants the name of a bridge", text, "del-br", text.find("del-br"))
        name, place = arguments[0]
        switch = self.known().get(name)
        if switch is None:
            if "--if-exists" in flags:
                return ""
            self._unknown(text, name, place)
        if switch is self.namespace.get("sw"):
            self.made.pop(name, None)
            return f"{name} is sw, which stays: sw = Switch({name!r}) gives a new one"
        self.made.pop(name, None)
        for variable in [key for key, value in self.namespace.items() if value is switch]:
            del self.namespace[variable]
        close = getattr(switch, "close", None)
        if close:
            close()
        return ""

    def _list_br(self, _text, _arguments, _flags):
        return "\n".join(sorted(self.known()))

    def _br_exists(self, text, arguments, _flags):
        if arguments and arguments[0][0] not in self.known():
            self._unknown(text, *arguments[0])
        return ""

    def _show(self, _text, _arguments, _flags):
        return "\n".join(filter(None, (str(switch.command("ovs-vsctl show") or "") for switch in self.known().values())))


_OWN = ("add-br", "del-br", "list-br", "br-exists", "show")


def _leading_options(parts):
    """The options before a command's own name."""
    at = 0
    while at < len(parts) and parts[at][0].startswith("-") and parts[at][0] != "--":
        at += 2 if parts[at][0] in _WITH_ARGUMENT else 1
    return parts[:at]


def _clauses(parts):
    """The commands of an ovs-vsctl line, which `--` parts."""
    out = [[]]
    for word, place in parts:
        if word == "--":
            out.append([])
        else:
            out[-1].append((word, place))
    return [clause for clause in out if clause]


def _arguments(parts):
    """Words that are no options: the command first."""
    out, skip = [], False
    for word, place in parts:
        if skip or (word.startswith("-") and len(word) > 1):
            skip = not skip and word in _WITH_ARGUMENT
            continue
        out.append((word, place))
    return out


def _means_a_bridge(tool, verb, word, switch):
    """Whether the word after a command can only be the name of a bridge: no match, no port, nothing with a sign in it."""
    if not _BARE_NAME.fullmatch(word) or word in switch.port_names():
        return False
    if tool == "ovs-appctl":
        return verb.startswith(_ABOUT_A_BRIDGE)
    from lab.openflow.matching.fields import KNOWN
    return word not in KNOWN and verb not in ("parse-flow", "parse-flows", "parse-group", "ofp-parse")
