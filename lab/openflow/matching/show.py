"""A match as text: what `ovs-ofctl dump-flows` prints, in its order and with its names.

The rows of `fields.py` say how each field is printed; here stands what is not a field's own affair: the protocol that
stands for two fields, the two styles of VLAN, the names of ports.
"""
from lab.flow.actions import show_port
from lab.flow.key import VLAN_PRESENT
from lab.openflow.matching.fields import ONLY_READ, ROWS, SHORTHANDS, wide_of
from lab.openflow.matching.kinds import RESERVED_NAMES
from lab.openflow.matching.needs import shorthands

_FIRST_BEHIND = next(i for i, row in enumerate(ROWS) if row.name == "reg0")  # the protocol stands before the registers
_FIRST_OF_FRAMES = next(i for i, row in enumerate(ROWS) if row.name == "vlan_tci")
_PORTS = ("in_port", "actset_output")
_MOST = 4096
_asked: dict[int, list] = {}  # a memo: many rules have one mask


def format_match(value_words, mask_words, port_name=None):
    """A match as ovs-ofctl prints it; the words are 32 or 48 or one int, `port_name` tells names of ports."""
    value, mask = wide_of(value_words), wide_of(mask_words)
    held = shorthands(mask, value)
    protocol = next((name for name in held if SHORTHANDS[name][1] is not None), "") or next(iter(held), "")
    hidden = {"dl_type"} if protocol else set()
    if protocol and SHORTHANDS[protocol][1] is not None:
        hidden.add("nw_proto")
    before, behind, said = [], [], [protocol] if protocol else []
    rows = _rows_of(mask)
    if rows and rows[-1][0] >= _FIRST_OF_FRAMES and any(row.name == "recirc_id" for _, row, _ in rows):
        said.insert(0, "eth")  # so begin the frames' fields of a megaflow
    for place, row, bits in rows:
        if row.name in hidden or (row.only and protocol not in row.only) or protocol in row.never:
            continue
        (behind if place >= _FIRST_BEHIND else before).append(_say(row, row.gather(value) & bits, bits, port_name))
    return ",".join([*before, *said, *behind])


def _rows_of(mask):
    """(place, row, bits) of the rows that a mask asks for."""
    found = _asked.get(mask)
    if found is None:
        found = [(place, row, bits) for place, row in enumerate(ROWS)
                 if row.name not in ONLY_READ and (bits := row.gather(mask) & row.full)]
        if len(_asked) >= _MOST:
            _asked.clear()
        _asked[mask] = found
    return found


def _say(row, value, mask, port_name):
    if row.name == "vlan_tci":
        return _say_tag(value, mask)
    if row.name in _PORTS and mask == row.full:
        return f"{row.name}={RESERVED_NAMES.get(value) or show_port(value, port_name)}"
    return f"{row.name}={row.show(value, mask, row.full)}"


def _say_tag(value, mask):
    """A tag in the words of OpenFlow 1.0 where they suffice."""
    vid, pcp = mask & 0xFFF, mask & 0xE000
    if mask & value & VLAN_PRESENT and vid in (0, 0xFFF) and pcp in (0, 0xE000) and (vid or pcp):
        return ",".join([f"dl_vlan={value & 0xFFF}"] * bool(vid) + [f"dl_vlan_pcp={value >> 13}"] * bool(pcp))
    return f"vlan_tci=0x{value:04x}" + (f"/0x{mask:04x}" if mask != 0xFFFF else "")
