"""`sw.vsctl(...)`: ports and settings in the words of ovs-vsctl.

There is no database behind it: Open_vSwitch, Bridge and Interface are the switch and its ports. A line may hold several
commands, `--` between them; if one fails, ports that the line added are taken away again. Bridges themselves are made and
removed above, in `lab.ui.bridges`, or by `Switch("name")`.
"""
import json
import re

from lab.control.line import Printed, Tool, split
from lab.control.vsctl_tunnels import set_tunnel, tunnel_options
from lab.control.vsctl_vlans import BRIDGE_KEYS, PORT_COLUMNS, UNSET, changed_set, numbers, port_values, set_bridge, value_of_column
from lab.openflow.errors import CommandError, nearest

TABLES = {"open_vswitch": "Open_vSwitch", "open": "Open_vSwitch", "o": "Open_vSwitch", "bridge": "Bridge", "br": "Bridge",
          "interface": "Interface", "iface": "Interface", "port": "Port"}
_ASSIGNMENT = re.compile(r"(?P<column>[\w-]+)(:(?P<key>[^=]+))?=(?P<value>.*)", re.S)
NUMBERS = {"mtu_request": "mtu", "ofport_request": "ofport"}  # columns of Interface that add_port takes as numbers
OPTIONS = {"vhost-server-path": "path", "pcap-path": "path"}  # options that have another name here


class Vsctl(Tool):
    """ovs-vsctl, whose line holds commands with `--` between them."""

    def __call__(self, sw, line):
        words = split(line)
        if words and words[0].text in (self.name, f"ovs-{self.name}"):
            words = words[1:]
        clauses = [[]]
        for word in words:
            if word.text == "--":
                clauses.append([])
            else:
                clauses[-1].append(word)
        clauses = [clause for clause in clauses if any(not word.text.startswith("-") for word in clause)]
        before = set(sw.ports)
        try:
            said = [self.run(sw, line, clause) for clause in self.gather(clauses)] if clauses else [self.run(sw, line, words)]
        except BaseException:
            for name in set(sw.ports) - before:
                sw.remove_port(name)
            raise
        return Printed("\n".join(filter(None, said)))

    def gather(self, clauses):
        """Put what is set on an interface that this line adds behind its add-port: it is made so, not changed after."""
        added, kept = {}, []
        for clause in clauses:
            operands, _ = self.sort(clause)
            texts = [word.text for word in operands]
            if texts[:1] == ["add-port"]:
                added.update(dict.fromkeys(texts[1:3], clause))
            if len(texts) > 3 and texts[0] == "set" and TABLES.get(texts[1].lower()) == "Interface" and texts[2] in added:
                added[texts[2]].extend(operands[3:])
            else:
                kept.append(clause)
        return kept


vsctl = Vsctl("vsctl", valued=("-t", "--timeout", "--db"), flags=("--may-exist", "--if-exists", "--no-wait", "--no-syslog", "--oneline"))


def doing(call, word, action):
    """Do something to the switch, and tell a refusal as an error of the word."""
    try:
        return action()
    except CommandError:
        raise
    except (ValueError, TypeError, LookupError) as error:
        raise call.error(str(error.args[0]) if error.args else str(error), word) from None


def assignment(call, word):
    """(column, key or "", value) of `column:key=value`."""
    found = _ASSIGNMENT.fullmatch(word.text)
    if not found:
        raise call.error(f"{word.text!r} is no setting: column=value, or column:key=value", word)
    value = found["value"]
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return found["column"], found["key"] or "", value[1:-1] if quoted else value


@vsctl.command("add-port", "[BRIDGE] NAME [tag=VLAN trunks=VLAN,... vlan_mode=MODE] [-- set Interface NAME type=sim mtu_request=1500 ...]")
def add_port(call):
    """Add a port."""
    words = [word for word in call.words if "=" not in word.text]
    if not words:
        raise call.error("add-port needs the name of a port")
    if len(words) > 1:
        raise call.error(f"there is no bridge named {words[0].text!r} here: this is {call.sw.name}", words[0], [call.sw.name])
    name = words[0]
    if name.text in call.sw.ports and "--may-exist" in call.options:
        return
    settings = {}
    for word in call.words:
        if "=" in word.text:
            settings.update(port_setting(call, word))
    doing(call, name, lambda: call.sw.add_port(name.text, **settings))


def port_setting(call, word):
    """One setting of an interface, as `Switch.add_port` takes it."""
    column, key, value = assignment(call, word)
    if column in PORT_COLUMNS and column != "protected":
        return {column: doing(call, word, lambda: value_of_column(column, value))}
    if column in NUMBERS:
        if not value.isdigit():
            raise call.error(f"{column} is a number, not {value!r}", word)
        return {NUMBERS[column]: int(value)}
    if column == "type":
        return {"type": value}
    if column == "options" and key:
        return {OPTIONS.get(key, key.replace("-", "_")): value}
    raise call.error(f"a port has no {column!r} to set here", word, ("type", "options", *NUMBERS, *PORT_COLUMNS))


@vsctl.command("del-port", "[BRIDGE] NAME")
def del_port(call):
    """Remove a port."""
    name = call.one("the name of a port")
    if "--if-exists" in call.options and name.text not in call.sw.ports:
        return
    call.sw.remove_port(call.port(name).name)


@vsctl.command("list-ports", "[BRIDGE]")
def list_ports(call):
    """Print the names of the ports."""
    call.at_most(0)
    return "\n".join(sorted(call.sw.ports))


vsctl.command("list-ifaces", "[BRIDGE]")(list_ports)


@vsctl.command("list-br")
def list_br(call):
    """Print the bridge's name."""
    return call.sw.name


@vsctl.command("port-to-br", "NAME")
def port_to_br(call):
    """Print the bridge that has a port."""
    call.port(call.one("the name of a port"))
    return call.sw.name


@vsctl.command("show")
def show(call):
    """Print the bridge and its ports."""
    lines = [f"Bridge {quoted(call.sw.name)}", "    datapath_type: netdev"]
    for name, port in call.sw.ports.items():
        lines += [f"    Port {quoted(name)}", f"        Interface {quoted(name)}", f"            type: {port.type}"]
        if said := tunnel_options(port):
            lines.append(f"            options: {quoted(said)}")
    return "\n".join(lines)


@vsctl.command("add-br", "NAME")
def add_br(call):
    """Not here: one switch is one bridge."""
    what = "Switch('NAME') makes another" if call.verb.text == "add-br" else "sw.close() ends it"
    raise call.error(f"one switch is one bridge, and this is {call.sw.name}: {what}", call.words[0] if call.words else None)


vsctl.command("del-br", "NAME")(add_br)


def target(call, least):
    """(table, the port or None) of `set TABLE RECORD ...`; operands shrink to what follows."""
    if len(call.words) < least:
        raise call.error(f"{call.verb.text} needs a table, a record and a column: {call.verb.text} Open_vSwitch . other_config:smc-enable")
    name, record = call.words[0], call.words[1]
    table = TABLES.get(name.text.lower())
    if table is None:
        raise call.error(f"there is no table {name.text!r}", name, ("Open_vSwitch", "Bridge", "Interface"))
    if table in ("Interface", "Port"):
        return table, call.port(record)
    if table == "Bridge" and record.text != call.sw.name:
        raise call.error(f"there is no bridge named {record.text!r}", record, [call.sw.name])
    return table, None


@vsctl.command("set", "TABLE RECORD COLUMN[:KEY]=VALUE...")
def set_(call):
    """Change a setting of the switch or of a port."""
    call_words = list(call.words)
    if len(call_words) > 2 and call_words[0].text.lower() in ("bridge", "br") and "=" in call_words[1].text:
        raise call.error("set Bridge needs the bridge's name before its settings", call_words[1])
    table, port = target(call, 3)
    for word in call_words[2:]:
        column, key, value = assignment(call, word)
        if table == "Port" and column in PORT_COLUMNS:
            doing(call, word, lambda column=column, value=value: setattr(port, column, value_of_column(column, value)))
        elif table == "Port":
            raise call.error(f"Port has no {column!r} to set here", word, PORT_COLUMNS)
        elif table == "Interface":
            set_port(call, word, port)
        elif table == "Bridge" and column == "other_config" and key in BRIDGE_KEYS:
            doing(call, word, lambda key=key, value=value: set_bridge(call.sw, key, value))
        elif table == "Bridge" and column == "flood_vlans":
            doing(call, word, lambda value=value: setattr(call.sw.fdb, "flood_vlans", numbers(value)))
        elif column == "other_config" and key:
            set_option(call, word, (key, value))
        elif (column, value) not in (("datapath_type", "netdev"), ("protocols", value)):
            raise call.error(f"{table} has no {column!r} to set here: other_config:KEY=VALUE is what there is", word)


def holder(call):
    """(the object, its columns that can be emptied) of `clear`, `add` and `remove`."""
    table, port = target(call, 3)
    held = {"Port": (port, PORT_COLUMNS), "Bridge": (call.sw.fdb, ("flood_vlans",))}.get(table)
    if held is None:
        raise call.error(f"{call.verb.text} is for columns of Port and Bridge here", call.words[0], ("Port", "Bridge"))
    return held


@vsctl.command("clear", "TABLE RECORD COLUMN...")
def clear(call):
    """Unset columns of a port or of the bridge."""
    thing, columns = holder(call)
    for word in call.words[2:]:
        if word.text not in columns:
            raise call.error(f"{word.text} is no column that can be cleared here: there are {', '.join(columns)}", word, columns)
        setattr(thing, word.text, UNSET[word.text])


@vsctl.command("add", "TABLE RECORD COLUMN VALUE...")
def add(call):
    """Add VLANs to `trunks` or `flood_vlans`."""
    change_set(call, True)


@vsctl.command("remove", "TABLE RECORD COLUMN VALUE...")
def remove(call):
    """Take VLANs out of `trunks` or `flood_vlans`."""
    change_set(call, False)


def change_set(call, more):
    """Change a column that is a set of VLANs."""
    thing, columns = holder(call)
    column, *values = call.words[2:]
    if column.text not in columns or not isinstance(UNSET[column.text], tuple):
        raise call.error(f"{column.text} is no set of VLANs: trunks of a Port and flood_vlans of a Bridge are", column, columns)
    if not values:
        raise call.error(f"{call.verb.text} needs the VLANs behind {column.text}", column)
    for word in values:
        doing(call, word, lambda word=word: setattr(thing, column.text, changed_set(getattr(thing, column.text), word.text, more)))


def set_port(call, word, port):
    """Change a port that is there."""
    settings = port_setting(call, word)
    if "mtu" in settings:
        doing(call, word, lambda: setattr(port, "mtu", settings["mtu"]))
    elif tunnel_options(port) and "options" in word.text:
        doing(call, word, lambda: set_tunnel(port, settings))
    elif settings not in ({"type": port.type}, {"ofport": port.ofport}):
        raise call.error(f"{port.name} is made already: only its mtu_request can be changed", word)


def set_option(call, word, setting):
    """Change an option of the switch."""
    name, value = setting
    if name == "hw-offload":
        if value == "false":
            return
        raise call.error("hw-offload comes with the simulated NIC: there is none yet to offload to", word)
    known = getattr(call.sw.options, "NAMES", ())
    if name not in known:
        at = word.text.find(name)
        near = "" if nearest(name, known) else f": there are {', '.join(known)}"
        raise word.error(f"there is no option {name!r}{near}", name, at, known)
    doing(call, word, lambda: call.sw.set_option(name, value))


@vsctl.command("get", "TABLE RECORD COLUMN[:KEY]...")
def get(call):
    """Print settings of the switch or of a port."""
    table, port = target(call, 3)
    return "\n".join(value_of(call, word, table, port) for word in call.words[2:])


def value_of(call, word, table, port):
    """One value, as ovs-vsctl prints it."""
    column, _, key = word.text.partition(":")
    if port is not None:
        values = {"name": port.name, "type": port.type, "ofport": port.ofport, "mtu": port.mtu, "mac_in_use": port.mac,
                  "statistics": {name: getattr(port, name) for name in (
                      "rx_bytes", "rx_packets", "rx_dropped", "tx_bytes", "tx_packets", "tx_dropped") if hasattr(port, name)}
                  | {"rx_dropped": port.rx_drops, "tx_dropped": port.tx_drops}, **port_values(port)}
        values["options"] = tunnel_options(port)
    else:
        names = getattr(call.sw.options, "NAMES", ())
        config = {name: call.sw.get_option(name) for name in names if not key or name == key}
        values = {"name": call.sw.name, "datapath_type": "netdev", "other_config": {k: str(v).lower() for k, v in config.items()}}
        values["ports"] = list(call.sw.ports)
        if table == "Bridge":
            values["flood_vlans"] = list(call.sw.fdb.flood_vlans)
            values["other_config"] |= {name: str(getattr(call.sw.fdb, attribute)).lower() for name, attribute in BRIDGE_KEYS.items()}
    if column not in values:
        raise call.error(f"{table} has no column {column!r} here", word, values)
    value = values[column]
    if key:
        if not isinstance(value, dict) or key not in value:
            raise word.error(f"{column} has no key {key!r}", key, len(column) + 1, value if isinstance(value, dict) else ())
        value = value[key]
    return quoted(value)


def quoted(value):
    """A value as the database's tools print it: text in quotes unless it is a plain word."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}={quoted(held)}" for key, held in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(quoted(held) for held in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", value) and value not in ("true", "false")
    return value if plain else json.dumps(value)

