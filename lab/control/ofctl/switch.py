"""`sw.ofctl(...)`: the commands on the switch and its ports, in ovs-ofctl's words.

They take what the tool takes and print what it prints, without the header of the reply. What a rule is, and what a group is, is not
known here.
"""
import re

from lab.control.line import joined
from lab.control.membership import changed
from lab.control.ofctl.tool import namer, numbers, ofctl, version_of
from lab.control.packet_out import NOBODY
from lab.flow.actions import show_port
from lab.openflow.actions import parse_actions
from lab.openflow.errors import CommandError, nearest
from lab.openflow.rules.dump import OF10, OF15
from lab.translate.emit import NO_FLOOD, NO_FWD, NO_RECV
from lab.translate.records import TABLES

FLAGS = {"flood": NO_FLOOD, "forward": NO_FWD, "receive": NO_RECV}  # of a port, by the word that takes them away
CONFIG = {NO_RECV: "NO_RECV", NO_FLOOD: "NO_FLOOD", NO_FWD: "NO_FWD"}  # as they are printed, in this order
STATES = ("up", "down", *FLAGS, *(f"no-{word}" for word in FLAGS))
NOT_HERE = {"stp": "there is no spanning tree here", "receive-stp": "there is no spanning tree here",
            "packet-in": "no packet goes to the controller unless a rule says so"}
ACTIONS_10 = ("output enqueue set_vlan_vid set_vlan_pcp strip_vlan mod_dl_src mod_dl_dst mod_nw_src mod_nw_dst mod_nw_tos mod_tp_src "
              "mod_tp_dst")
REFUSED = {
    "queue-stats": "there are no queues: nothing here shapes what leaves a port",
    "queue-get-config": "there are no queues: nothing here shapes what leaves a port",
    "snoop": "there is no connection to listen to: sw.controller keeps packet-ins and removed rules",
    "monitor": "it would never return: sw.controller keeps packet-ins and removed rules, and can be looked at any time",
    "ofp-parse": "there are no OpenFlow messages in files here: sw.ofctl('parse-flow ...') reads what is written in words",
}
ECHOES = 10
SHORTEST = 14  # bytes of a frame: its Ethernet header
FROM_NOBODY = ("controller", "none")
NO_PORTS = ("local", "in_port", "normal", "flood", "all", "table", "any")


def _ports(call):
    """The ports that are meant: the one that is named, or all."""
    call.at_most(1)
    return [call.port(call.words[0])] if call.words else list(call.sw.ports.values())


@ofctl.command("dump-ports", "[PORT]")
def dump_ports(call):
    """Print what went in and out at the ports."""
    name, lines = namer(call), []
    for port in _ports(call):
        lines.append(f"  port {show_port(port.ofport, name):>2}: rx pkts={port.rx_packets}, bytes={port.rx_bytes}, drop={port.rx_drops}, "
                     "errs=0, frame=0, over=0, crc=0")
        lines.append(f"           tx pkts={port.tx_packets}, bytes={port.tx_bytes}, drop={port.tx_drops}, errs=0, coll=0")
    return "\n".join(lines)


@ofctl.command("dump-ports-desc", "[PORT]")
def dump_ports_desc(call):
    """Print the ports."""
    return "\n".join(_describe(call, port) for port in _ports(call))


def _describe(call, port):
    flags = int(call.sw.engine.array("vlans")["marks"][port.ofport])
    config = ([] if port.up else ["PORT_DOWN"]) + [word for flag, word in CONFIG.items() if flags & flag]
    live = "0" if version_of(call) == OF10 else "LIVE"
    return (f" {port.ofport}({port.name}): addr:{port.mac}\n     config:     {' '.join(config) or '0'}\n"
            f"     state:      {live if port.up else 'LINK_DOWN'}\n     speed: 0 Mbps now, 0 Mbps max")


@ofctl.command("show")
def show(call):
    """Print what the switch is and its ports."""
    call.at_most(0)
    version = version_of(call)
    can = "FLOW_STATS TABLE_STATS PORT_STATS"
    can += "" if version == OF10 else " GROUP_STATS" + (" BUNDLES" if version >= OF15 else "")
    head = [f"n_tables:{TABLES}, n_buffers:0", f"capabilities: {can}"] + ([f"actions: {ACTIONS_10}"] if version == OF10 else [])
    return "\n".join([*head, *(_describe(call, port) for port in call.sw.ports.values()), "frags=normal miss_send_len=0"])


@ofctl.command("dump-desc")
def dump_desc(call):
    """Print who made the switch."""
    call.at_most(0)
    return f"Manufacturer: Glasswitch\nHardware: none\nSoftware: Glasswitch\nSerial Num: None\nDP Description: {call.sw.name}"


@ofctl.command("mod-port", "PORT up|down|no-flood|flood|no-forward|forward|no-receive|receive")
def mod_port(call):
    """Take a port up or down, or say what it takes part in."""
    call.at_most(2)
    if len(call.words) < 2:
        raise call.error(f"mod-port needs a port and what is to become of it: {', '.join(STATES)}")
    port, word = call.port(call.words[0]), call.words[1]
    if word.text.removeprefix("no-") in NOT_HERE:
        raise call.error(f"{word.text} has no meaning: {NOT_HERE[word.text.removeprefix('no-')]}", word)
    if word.text not in STATES:
        raise call.error(f"{word.text!r} is nothing that can be said of a port: there are {', '.join(STATES)}", word, STATES)
    flags = call.sw.engine.array("vlans")["marks"]
    if word.text in ("up", "down"):
        port.up = word.text == "up"
    elif word.text in FLAGS:
        flags[port.ofport] &= ~FLAGS[word.text] & 0xFFFFFFFF
    else:
        flags[port.ofport] |= FLAGS[word.text.removeprefix("no-")]
    changed(call.sw, f"mod-port {port.name} {word.text}")


@ofctl.command("get-frags")
def get_frags(call):
    """Print how fragments are treated."""
    call.at_most(0)
    return "normal"


@ofctl.command("set-frags", "normal")
def set_frags(call):
    """Say how fragments are treated: as packets without ports, there is no other way here."""
    word = call.one("a mode: set-frags normal")
    if word.text != "normal":
        known = "is not built: fragments are looked up as they are" if word.text in ("drop", "reassemble", "nx-match") else "is no mode"
        raise call.error(f"{word.text} {known}: set-frags normal", word, ("normal",))


@ofctl.command("probe")
def probe(call):
    """See whether the switch is there."""
    call.at_most(0)


@ofctl.command("ping", "[BYTES]")
def ping(call):
    """See whether the switch answers; there is no way in between that could take time."""
    call.at_most(1)
    size = call.words[0] if call.words else None
    if size and not size.text.isdigit():
        raise call.error(f"{size.text} is no number of bytes", size)
    n = int(size.text) if size else 64
    return "\n".join(f"{n} bytes from {call.sw.name}: xid={number:08x} time=0.0 ms" for number in range(2, 2 + ECHOES))


def _refused(call):
    raise call.error(f"{call.verb.text}: {REFUSED[call.verb.text]}")


for _name in REFUSED:
    ofctl.command(_name)(_refused)


# --- packet-out ---------------------------------------------------------------------------------------


@ofctl.command("packet-out", "in_port=PORT packet=HEX actions=ACTIONS  or  PORT ACTIONS HEX...")
def packet_out(call):
    """Run actions on a frame, as if a controller had sent it."""
    words = call.words
    if not words:
        raise call.error("packet-out needs a frame and actions: packet-out in_port=1 packet=ffffffffffff0200000000010800 actions=output:2")
    in_words = any(re.match(r"(in_port|packet|actions?)=", word.text) for word in words)
    in_port, frames, actions = _in_words(call, joined(words)) if in_words else _in_a_row(call, words)
    for data in frames:
        try:
            call.sw.packet_outs.send(data, actions, in_port)
        except CommandError as error:
            raise call.pointed(error) from None


def _in_words(call, text):
    """`in_port=1 packet=... actions=...`: what follows actions= are actions."""
    found = re.search(r"(?:^|[\s,])(actions?=)", text.text)
    head = text.part(0, found.start() if found else len(text.text))
    in_port, data = NOBODY, None
    for word in head.words():
        part = head.part(word.value_at, word.value_at + len(word.value or ""))
        if word.name == "in_port":
            in_port = _in_port(call, part)
        elif word.name == "packet":
            data = _frame(part)
        else:
            raise head.error(f"packet-out has no {word.name!r}: it has in_port, packet and, last, actions", word.name, word.at,
                             ("in_port", "packet", "actions"))
    if data is None:
        hint = ", before actions=" if "packet=" in text.text else ""
        raise call.error(f"packet-out needs a frame: packet=HEX{hint}")
    behind = text.part(found.end() if found else len(text.text), len(text.text))
    return in_port, [data], parse_actions(behind, numbers(call.sw), where="packet-out")


def _in_a_row(call, words):
    """`PORT ACTIONS HEX...`, as it was written before OpenFlow 1.5."""
    if len(words) < 3:
        raise call.error("packet-out needs a port, actions and a frame: packet-out 1 output:2 ffffffffffff0200000000010800")
    actions = parse_actions(words[1], numbers(call.sw), where="packet-out")
    return _in_port(call, words[0]), [_frame(word) for word in words[2:]], actions


def _in_port(call, text):
    """The number of the port that the frame seems to come from."""
    name = text.text.strip('"')
    if name.lower() in FROM_NOBODY and name not in call.sw.ports:
        return NOBODY
    if name.lower() in NO_PORTS and name not in call.sw.ports:
        raise text.error(f"no frame comes from {name}: name a port, or {' or '.join(FROM_NOBODY)}", text.text, 0)
    found = next((port for port in call.sw.ports.values() if name in (port.name, str(port.ofport))), None)
    if found is None:
        choices = [*call.sw.ports, *FROM_NOBODY]
        known = "" if nearest(name, choices) else f": the ports are {', '.join(call.sw.ports) or 'none yet'}"
        raise text.error(f"unknown port {name}{known}", text.text, 0, choices)
    return found.ofport


def _frame(text):
    """The bytes of a frame, written in hexadecimal."""
    wrong = re.search("[^0-9a-fA-F]", text.text)
    if wrong:
        raise text.error(f"{wrong[0]!r} is no hexadecimal digit", wrong[0], wrong.start())
    if len(text.text) % 2:
        raise text.error("half a byte is left over: two hexadecimal digits make one", text.text, 0)
    if len(text.text) < 2 * SHORTEST:
        raise text.error(f"a frame has at least the {SHORTEST} bytes of an Ethernet header, not {len(text.text) // 2}", text.text, 0)
    return bytes.fromhex(text.text)
