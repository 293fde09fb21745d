"""The columns of ovs-vsctl that say how ports and the bridge take part in VLANs and in learning.

Tables of how a value is read, set and printed; the commands that use them are in `vsctl.py`. Bridge settings are
`sw.fdb`'s, port settings the port's.
"""

from lab.ports.vlans import check_vlan

PORT_COLUMNS = ("tag", "trunks", "vlan_mode", "protected")
BRIDGE_KEYS = {"mac-aging-time": "aging", "mac-table-size": "limit", "forward-bpdu": "forward_bpdu"}  # other_config: attribute of sw.fdb
UNSET = {"tag": None, "trunks": (), "vlan_mode": None, "protected": False, "flood_vlans": ()}
TRUTH = {"true": True, "false": False}


def numbers(text):
    """The numbers of `1,2`, `1 2` or `[1, 2]`."""
    parts = text.strip("[]").replace(",", " ").split()
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is no list of VLANs: numbers with commas between them")
    return tuple(check_vlan(int(part), "VLAN") for part in parts)


def truth(text):
    """true or false."""
    if text not in TRUTH:
        raise ValueError(f"{text!r} is neither true nor false")
    return TRUTH[text]


def value_of_column(column, text):
    """What a port column's text means."""
    if text in ("", "[]"):
        return UNSET[column]
    if column == "trunks":
        return numbers(text)
    if column == "tag":
        (tag, *more) = numbers(text)
        if more:
            raise ValueError(f"tag is one VLAN, not {text!r}")
        return tag
    return truth(text) if column == "protected" else text


def changed_set(held, text, add):
    """A set of VLANs with some more, or fewer."""
    return tuple(sorted(set(held) | set(numbers(text)) if add else set(held) - set(numbers(text))))


def set_bridge(sw, key, text):
    """Set one key of the bridge's other_config that is `sw.fdb`'s."""
    if key != "forward-bpdu" and not text.isdigit():
        raise ValueError(f"{key}={text!r} is no whole number")
    setattr(sw.fdb, BRIDGE_KEYS[key], truth(text) if key == "forward-bpdu" else int(text))


def port_values(port):
    """The VLAN columns of a port, as ovs-vsctl prints them: what is unset is an empty set."""
    values = {column: getattr(port, column) for column in PORT_COLUMNS}
    return {name: [] if value is None else list(value) if name == "trunks" else value for name, value in values.items()}
