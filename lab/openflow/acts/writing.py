"""What is written to a field, as a record and as text: shared by set_field, load and the older actions for one field.

The record takes the whole field and a mask in place, so two spellings of the same write are the same record.
"""
from lab.openflow.acts.value import Fact, Spelling
from lab.openflow.matching import values
from lab.openflow.matching.fields import BY_NAME
from lab.openflow.matching.places import Place, full, width
from lab.translate.ofact import O_SET

LOW_64 = (1 << 64) - 1
TAG = 0x1000
SPELLED = {"nw_src": "ip_src", "nw_dst": "ip_dst", "dl_src": "eth_src", "dl_dst": "eth_dst", "dl_vlan_pcp": "vlan_pcp"}
OLD = {  # what OpenFlow 1.0 has for a whole field
    "dl_src": lambda value: f"mod_dl_src:{values.show_mac(value)}", "dl_dst": lambda value: f"mod_dl_dst:{values.show_mac(value)}",
    "nw_src": lambda value: f"mod_nw_src:{values.show_ip(value, FULL_IP, FULL_IP)}",
    "nw_dst": lambda value: f"mod_nw_dst:{values.show_ip(value, FULL_IP, FULL_IP)}",
    "nw_tos": lambda value: f"mod_nw_tos:{value}", "ip_dscp": lambda value: f"mod_nw_tos:{value << 2}",
    **dict.fromkeys(("tcp_src", "udp_src"), lambda value: f"mod_tp_src:{value}"),
    **dict.fromkeys(("tcp_dst", "udp_dst"), lambda value: f"mod_tp_dst:{value}"),
}
FULL_IP = 0xFFFFFFFF


def record_of(row, value, mask):
    """The record that writes the bits of `mask` of a field."""
    if row.name == "ip_dscp":
        row, value, mask = BY_NAME["nw_tos"], value << 2, mask << 2
    word, low, bits = row.place
    value &= mask
    if bits > 64:
        return Fact(O_SET, row.code, 0, word, 0, bits, v0=value >> 64, v1=value & LOW_64, m0=mask >> 64, m1=mask & LOW_64)
    return Fact(O_SET, row.code, 0, word, low, bits, v0=value << low, m0=mask << low)


def hexadecimal(value):
    """A number as loads are printed."""
    return f"{value:#x}" if value else "0"


def set_field_words(row, value, mask):
    """A write as `set_field`."""
    name = SPELLED.get(row.name, row.name)
    if row.name == "vlan_vid":
        return f"set_field:{value | TAG}->{name}" if mask == 0xFFF else f"set_field:{value | TAG}/{mask | TAG:#x}->{name}"
    if row.name == "vlan_tci":
        return f"set_field:{value:#x}" + (f"/{mask:#x}" if mask != full(row) else "") + f"->{name}"
    if row.name == "dl_vlan_pcp" or row.show is values.show_number:
        return f"set_field:{value}->{name}" if mask == full(row) else f"set_field:{value}/{mask:#x}->{name}"
    if row.name == "tun_flags":
        return f"set_field:{'oam' if value else 0}->{name}"
    if row.name == "ipv6_label" and mask == full(row):
        return f"set_field:{value:#x}->{name}"
    return f"set_field:{row.show(value, mask, full(row))}->{name}"


def place_of(row, mask):
    """The place that a mask without holes takes; None when it has holes or is none of 64 bits at most."""
    first = (mask & -mask).bit_length() - 1
    bits = mask.bit_length() - first
    if mask == 0 or bits > 64 or mask >> first != (1 << bits) - 1:
        return None
    return Place(row, 0, width(row)) if mask == full(row) else Place(row, first, bits)


def load_words(place, value):
    """A write as `load`; `value` is that of the place."""
    return f"load:{hexadecimal(value)}->{place}"


def spelling(row, value, mask):
    """How a `set_field` is printed: by OpenFlow 1.0's action, as a load, or as itself, whichever the version has."""
    new = set_field_words(row, value, mask)
    if row.name in ("vlan_vid", "dl_vlan_pcp") and mask == full(row):
        return new
    place = place_of(row, mask)
    if place is None:
        return new
    loaded = load_words(place, value >> place.first)
    if mask != full(row):
        return Spelling(loaded, loaded, new)
    return Spelling(OLD[row.name](value) if row.name in OLD else loaded, new, new)
