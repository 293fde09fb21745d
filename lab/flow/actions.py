"""Actions, as compiled code runs them: a range of small records.

`op` says what to do, `detail` which header field a SET changes, `arg` a port or a tag's Ethernet type, `v0` and `v1`
the value. What a person reads is made of the same records by `describe`, in ovs-ofctl's words.
"""

import json
import re
import socket

from lab.memory.record import Layout

act_t = Layout("act", op="u2", detail="u2", arg="u4", v0="u8", v1="u8")

OUTPUT, FLOOD, SET, PUSH_VLAN, POP_VLAN, SET_VID, SET_PCP = range(1, 8)
# fields of SET
ETH_DST, ETH_SRC, IP_SRC, IP_DST, IP_TOS, IP_TTL, IPV6_SRC, IPV6_DST, TP_SRC, TP_DST = range(1, 11)
SET_NAMES = {
    ETH_DST: "mod_dl_dst",
    ETH_SRC: "mod_dl_src",
    IP_SRC: "mod_nw_src",
    IP_DST: "mod_nw_dst",
    IP_TOS: "mod_nw_tos",
    IP_TTL: "mod_nw_ttl",
    IPV6_SRC: "ipv6_src",
    IPV6_DST: "ipv6_dst",
    TP_SRC: "mod_tp_src",
    TP_DST: "mod_tp_dst",
}
LAST = 1 << 0  # in `detail` of OUTPUT: nothing follows, so the packet itself goes, not a copy
IN_PORT = 0xFFF8  # `arg` of OUTPUT: back through the port the packet came from (OFPP_IN_PORT)
ALL = 0xFFFC  # `arg` of FLOOD when a person wrote `all` (OFPP_ALL); no port is left out of floods, so both do the same


def show_port(number, port_name=None):
    """A port by its name, quoted unless it is letters and digits; by number when it has none."""
    name = port_name(number) if port_name else None
    if not name:
        return str(number)
    return name if re.fullmatch("[A-Za-z][A-Za-z0-9]*", name) else json.dumps(name)


def address(value, bits):
    """An IP address of 32 or 128 bits as the system's library writes it, and so every tool."""
    return socket.inet_ntop(socket.AF_INET if bits == 32 else socket.AF_INET6, value.to_bytes(bits // 8, "big"))


def describe(acts, port_name=None):
    """A list of actions in ovs-ofctl's words; `acts` are (op, field, arg, v0, v1), `port_name` turns a number into a name.

    >>> describe([(SET_VID, 0, 0, 7, 0), (OUTPUT, LAST, 2, 0, 0)])
    'mod_vlan_vid:7,output:2'
    """
    return ",".join(_say(*(int(part) for part in act), port_name) for act in acts) or "drop"


def _say(op, field, arg, v0, v1, port_name):
    if op == OUTPUT:
        return "IN_PORT" if arg == IN_PORT else f"output:{show_port(arg, port_name)}"
    if op == SET:
        return _say_set(field, v0, v1)
    said = {
        FLOOD: "ALL" if arg == ALL else "FLOOD",
        PUSH_VLAN: f"push_vlan:0x{arg:04x}",
        POP_VLAN: "strip_vlan",
        SET_VID: f"mod_vlan_vid:{v0}",
        SET_PCP: f"mod_vlan_pcp:{v0}",
    }
    return said.get(op, f"unknown:{op}")


def _say_set(field, v0, v1):
    name = SET_NAMES[field]
    if field in (IPV6_SRC, IPV6_DST):
        return f"set_field:{address(v0 << 64 | v1, 128)}->{name}"
    if field in (ETH_SRC, ETH_DST):
        return f"{name}:{v0.to_bytes(6, 'big').hex(':')}"
    if field in (IP_SRC, IP_DST):
        return f"{name}:{address(v0, 32)}"
    return f"{name}:{v0}"
