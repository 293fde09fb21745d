"""Actions: what `actions=` says, as records (op, field, arg, v0, v1) that compiled code runs.

Every action is one row of ACTIONS: how its value is read. An error points at the word and names the nearest right
one. Printing is `describe` of `lab.flow.actions`; whether a port exists when the packet comes is not asked here.
"""
from lab.flow import actions as act
from lab.openflow import values
from lab.openflow.errors import nearest
from lab.openflow.fields import BY_NAME
from lab.openflow.match import missing, unknown_port
from lab.openflow.text import as_text

format_actions = act.describe
LOW_64 = (1 << 64) - 1
MOST_PORT = 0xFF00  # OpenFlow 1.0's ports end below it
NUMBERED = {act.IN_PORT: "in_port", 0xFFFA: "normal", 0xFFFB: "flood", act.ALL: "all", 0xFFFD: "controller", 0xFFFE: "local"}
NOT_BUILT = {  # what ovs-ofctl knows and this switch does not yet: what to write instead, if anything
    "normal": "flood", "dec_ttl": "mod_nw_ttl", "load": "set_field", "enqueue": "output",
    **dict.fromkeys((
        "local", "controller", "resubmit", "goto_table", "group", "meter", "move", "push", "pop", "note", "clone", "ct", "learn",
        "set_queue", "pop_queue", "set_tunnel", "write_actions", "clear_actions", "write_metadata", "push_mpls", "pop_mpls",
        "multipath", "bundle", "check_pkt_larger", "dec_mpls_ttl", "set_mpls_ttl", "mod_nw_ecn"), ""),
}


def _number(bits):
    return lambda text: values.number(text, bits)


def _tos(text):
    value = values.number(text, 8)
    if value & 3:
        raise ValueError(f"{text} has ECN bits: the nearest TOS is {value & 0xFC}")
    return value


def _tag_type(text):
    value = values.number(text, 16)
    if value not in (0x8100, 0x88A8):
        raise ValueError(f"{text} is no tag's Ethernet type: 0x8100 or 0x88a8")
    return value


def _set(field, read):
    return lambda text: (act.SET, field, 0, read(text), 0)


# name: what makes a record of the value's text
ACTIONS = {
    "mod_dl_src": _set(act.ETH_SRC, values.mac), "mod_dl_dst": _set(act.ETH_DST, values.mac),
    "mod_nw_src": _set(act.IP_SRC, values.ipv4), "mod_nw_dst": _set(act.IP_DST, values.ipv4),
    "mod_nw_tos": _set(act.IP_TOS, _tos), "mod_nw_ttl": _set(act.IP_TTL, _number(8)),
    "mod_tp_src": _set(act.TP_SRC, _number(16)), "mod_tp_dst": _set(act.TP_DST, _number(16)),
    "mod_vlan_vid": lambda text: (act.SET_VID, 0, 0, values.number(text, 12), 0),
    "mod_vlan_pcp": lambda text: (act.SET_PCP, 0, 0, values.number(text, 3), 0),
    "push_vlan": lambda text: (act.PUSH_VLAN, 0, _tag_type(text), 0, 0),
}
ACTIONS |= {"set_vlan_vid": ACTIONS["mod_vlan_vid"], "set_vlan_pcp": ACTIONS["mod_vlan_pcp"]}
PLAIN = {"in_port": (act.OUTPUT, 0, act.IN_PORT, 0, 0), "flood": (act.FLOOD, 0, 0, 0, 0), "all": (act.FLOOD, 0, act.ALL, 0, 0),
         "strip_vlan": (act.POP_VLAN, 0, 0, 0, 0), "pop_vlan": (act.POP_VLAN, 0, 0, 0, 0)}
KNOWN = ("output", "drop", "set_field", *PLAIN, *ACTIONS)
SETTABLE = {
    "dl_src": act.ETH_SRC, "dl_dst": act.ETH_DST, "nw_src": act.IP_SRC, "nw_dst": act.IP_DST, "nw_tos": act.IP_TOS, "ip_dscp": act.IP_TOS,
    "nw_ttl": act.IP_TTL, "ipv6_src": act.IPV6_SRC, "ipv6_dst": act.IPV6_DST, "vlan_vid": None, "dl_vlan_pcp": None,
    **dict.fromkeys(("tp_src", "tcp_src", "udp_src", "sctp_src"), act.TP_SRC),
    **dict.fromkeys(("tp_dst", "tcp_dst", "udp_dst", "sctp_dst"), act.TP_DST),
}


def parse_actions(text, ports=None, match=None):
    """The records of a text such as `mod_vlan_vid:7,output:vm2`; with a match, set_field has what it needs there."""
    text, ports = as_text(text), ports or {}
    words = text.words()
    if len(words) > 1 and (drop := next((word for word in words if word.name.lower() == "drop"), None)):
        raise text.error("drop stands alone: it does what no other action does", drop.name, drop.at)
    made = [record for word in words if (record := _read(word, text, ports, match)) is not None]
    if made and made[-1][0] == act.OUTPUT:
        made[-1] = (act.OUTPUT, act.LAST, *made[-1][2:])
    return made


def _read(word, text, ports, match):
    """The record of one word; None for drop."""
    name = word.name.lower()
    if name == "output":
        if not word.value:
            raise text.error("output needs a port: output:PORT", word.name, word.at)
        return _output(word.value, word.value_at, text, ports)
    if name == "drop" or name in PLAIN:
        if word.value is not None:
            raise text.error(f"{word.name} takes no value", word.value, word.value_at)
        return PLAIN.get(name)
    if name == "set_field":
        return _set_field(word, text, match)
    if name in ACTIONS:
        if not word.value:
            raise text.error(f"{word.name} needs a value behind a colon", word.name, word.at)
        try:
            return ACTIONS[name](word.value)
        except ValueError as error:
            raise text.error(f"{word.name}: {error}", word.value, word.value_at) from None
    if name in NOT_BUILT:
        raise _not_built(word.name, word.at, text)
    if word.value is None and (name[0].isdigit() or word.name.strip('"') in ports):
        return _output(word.name, word.at, text, ports)
    if word.name in BY_NAME and word.value is not None:
        raise text.error(f"{word.name} is a field to match: write it before actions=", word.name, word.at)
    choices = (*KNOWN, *NOT_BUILT, *ports)
    known = "" if nearest(word.name, choices) else f": there are {', '.join(KNOWN)} and the names of ports"
    raise text.error(f"unknown action {word.name!r}{known}", word.name, word.at, choices)


def _not_built(name, at, text):
    instead = NOT_BUILT[name.lower()]
    hint = " (flood sends to every other port)" if instead == "flood" else ""
    return text.error(f"{name} is not built yet{hint}", name, at, suggestion=instead)


def _output(name, at, text, ports):
    """An act.OUTPUT to a port by name or number."""
    plain = name.strip('"')
    if not name[0].isdigit():
        if plain in ports:
            return (act.OUTPUT, 0, ports[plain], 0, 0)
        word = name.lower()
    else:
        try:
            number = values.number(name, 16)
        except ValueError as error:
            raise text.error(f"output: {error}", name, at) from None
        if 0 < number < MOST_PORT:
            return (act.OUTPUT, 0, number, 0, 0)
        word = NUMBERED.get(number, "")
        if not word:
            raise text.error(f"output: {name} is no port: they are numbered from 1 to {MOST_PORT - 1}", name, at)
    if word in NOT_BUILT and word in NUMBERED.values():
        raise _not_built(word, at, text)
    if word in ("in_port", "flood", "all"):
        return PLAIN[word]
    raise unknown_port(text, name, at, {**ports, "in_port": 0, "flood": 0})


def _set_field(word, text, match):
    """The record of `set_field:VALUE->FIELD`."""
    value, arrow, name = (word.value or "").rpartition("->")
    if not arrow:
        raise text.error("set_field is written set_field:VALUE->FIELD", word.value or word.name, word.value_at if word.value else word.at)
    at = word.value_at + len(value) + 2
    row = BY_NAME.get(name)
    if row is None or row.name not in SETTABLE:
        what = "cannot be set" if row else "is no field"
        raise text.error(f"{name} {what}", name, at, [field for field, row in BY_NAME.items() if row.name in SETTABLE])
    if "/" in value:
        raise text.error("set_field with a mask is not built yet", value, word.value_at)
    if match is not None and (lacking := missing(row, match.mask_words, match.value_words)):
        raise text.error(f"set_field of {name} needs a match that proves it is there: add {lacking}", name, at)
    try:
        return _field_record(row, value)
    except ValueError as error:
        raise text.error(f"{name}: {error}", value, word.value_at) from None


def _field_record(row, text):
    if row.name == "vlan_vid":
        return (act.SET_VID, 0, 0, values.number(text, 13) & 0xFFF, 0)
    if row.name == "dl_vlan_pcp":
        return (act.SET_PCP, 0, 0, values.number(text, 3), 0)
    value, _ = row.read(text, row.bits, {})
    field = SETTABLE[row.name]
    if field in (act.IPV6_SRC, act.IPV6_DST):
        return (act.SET, field, 0, value >> 64, value & LOW_64)
    return (act.SET, field, 0, value << row.low, 0)
