"""Actions that write a value to a field: set_field, load, and the older actions for one field each."""
from lab.openflow.acts.context import METADATA, Act
from lab.openflow.acts.ports import no_port
from lab.openflow.acts.value import Fact, Spelling
from lab.openflow.acts.writing import OLD, TAG, hexadecimal, load_words, record_of, set_field_words, spelling
from lab.openflow.matching import values
from lab.openflow.matching.fields import BY_NAME
from lab.openflow.matching.places import full, width
from lab.translate import ofact as of

HALF = 1 << 32
OLDER = {  # how they are printed, where OpenFlow 1.0 has no action for the field
    "nw_ttl": "mod_nw_ttl:{}", "nw_ecn": "mod_nw_ecn:{}", "mpls_label": "set_mpls_label({})", "mpls_tc": "set_mpls_tc({})",
    "mpls_ttl": "set_mpls_ttl({})", "tp_src": "mod_tp_src:{}", "tp_dst": "mod_tp_dst:{}",
}
MODS = {  # the older actions: the field, how its value is read
    "mod_dl_src": ("dl_src", values.mac), "mod_dl_dst": ("dl_dst", values.mac),
    "mod_nw_src": ("nw_src", values.ipv4), "mod_nw_dst": ("nw_dst", values.ipv4),
    "mod_tp_src": ("tp_src", None), "mod_tp_dst": ("tp_dst", None),
    "mod_nw_ecn": ("nw_ecn", None), "mod_nw_ttl": ("nw_ttl", None), "set_nw_ttl": ("nw_ttl", None),
    "set_mpls_label": ("mpls_label", None), "set_mpls_tc": ("mpls_tc", None), "set_mpls_ttl": ("mpls_ttl", None),
}


def set_field(word, context):
    """`set_field:VALUE->FIELD` and `set_field:VALUE/MASK->FIELD`."""
    parts = context.split(word)
    if parts is None:
        problem = "set_field is written set_field:VALUE->FIELD"
        raise context.text.error(problem, word.value or word.name, word.value_at if word.value else word.at)
    value_text, field_text = parts
    name = field_text.text
    row = context.row(name)
    if row is None and "[" in name and context.row(name.partition("[")[0]) is not None:
        raise field_text.error(f"set_field writes a field or, with a mask, a part of it: load:VALUE->{name} writes these bits", name, 0)
    if row is None:
        choices = [known for known, row in BY_NAME.items() if row.writable and (row.oxm or row.name in ("tp_src", "tp_dst"))]
        raise field_text.error(f"{name} is no field" if name else "a field is missing", name, 0, choices)
    if not row.writable or not row.oxm:
        raise field_text.error(f"{name} cannot be set", name, 0, suggestion="vlan_vid" if name == "dl_vlan" else "")
    context.check_there(row, field_text, word)
    value, mask = value_of(row, value_text, name, context)
    if mask == 0:  # nothing is written, and OVS keeps nothing of it
        return Act((), ())
    return Act((record_of(row, value, mask),), (spelling(row, value, mask),))


def value_of(row, text, name, context):
    """(value, mask) of the value of a set_field."""
    try:
        if row.name == "vlan_vid":
            return vlan_vid(text.text)
        if row.name == "dl_vlan_pcp":
            return values.number(text.text, 3), 7
        value, mask = row.read(text.text, row.bits, context.asked.ports)
        if row.name.startswith("in_port") and not text.text[:1].isdigit():
            context.asked.port(text.text.strip('"'))
    except LookupError:
        context.asked.port(text.text.strip('"'))
        raise no_port(text, context.asked.ports) from None
    except ValueError as error:
        raise text.error(f"{name}: {error}", text.text, 0) from None
    return value & mask & full(row), mask & full(row)


def vlan_vid(text):
    """A VLAN number of OpenFlow 1.2, which has the bit 0x1000 of a tag."""
    value, mask = values.masked(text, 13, values.number, values.number)
    if mask & TAG and not value & TAG:
        raise ValueError(f"{text} lacks the bit 0x1000 of a tag: write {value | TAG}, or mod_vlan_vid:{value}")
    return value & 0xFFF, mask & 0xFFF


def load(word, context):
    """`load:VALUE->FIELD[FIRST..LAST]`."""
    parts = context.split(word)
    if parts is None:
        raise context.text.error("load is written load:VALUE->FIELD[FIRST..LAST]", word.value or word.name,
                                 word.value_at if word.value else word.at)
    value_text, place_text = parts
    place = context.target(place_text, word)
    try:
        value = values.number(value_text.text, 128)
    except ValueError as error:
        raise value_text.error(f"load: {error}", value_text.text, 0) from None
    if value >> place.bits:
        problem = f"{value_text.text} does not fit into {place.bits} bit{'s' * (place.bits > 1)}"
        raise value_text.error(problem, value_text.text, 0)
    row, in_field = place.row, value << place.first
    if place.bits > 64:
        return Act((record_of(row, in_field, place.mask),), (set_field_words(row, in_field & place.mask, place.mask),))
    loaded = load_words(place, value)
    later = set_field_words(row, in_field & place.mask, place.mask)
    return Act((record_of(row, in_field, place.mask),), (Spelling(loaded, loaded, later),))


def modify(word, context):
    """An older action for one field: it asks nothing of the match, a packet without the field stays as it is."""
    name, reader = MODS[word.name.lower()]
    row = context.row(name)
    value = context.read(word, reader) if reader else context.number(word, width(row))
    return older(row, value, OLDER[name].format(value) if name in OLDER else OLD[name](value), context)


def tos(word, context):
    """`mod_nw_tos:TOS`: the DSCP in its place in the byte."""
    value = context.number(word, 8)
    if value & 3:
        raise context.wrong(word, f"{word.value} has ECN bits: the nearest TOS is {value & 0xFC}")
    return older(BY_NAME["ip_dscp"], value >> 2, f"mod_nw_tos:{value}", context)


def older(row, value, old, context):
    """The act of an older action: later versions print it as a set_field, if the match proves what that needs."""
    said = old
    if not old.startswith(("mod_nw_ttl", "set_mpls_ttl")) and not (context.proof and context.proof.lacking(row)):
        later = set_field_words(row, value, full(row))
        said = Spelling(old, later, later)
    return Act((record_of(row, value, full(row)),), (said,))


def set_tunnel(word, context):
    """`set_tunnel:ID` and `set_tunnel64:ID`."""
    value = context.number(word, 64)
    name = "set_tunnel64" if word.name.lower() == "set_tunnel64" or value >= HALF else "set_tunnel"
    row = BY_NAME["tun_id"]
    later = f"set_field:{hexadecimal(value)}->tun_id"
    return Act((record_of(row, value, row.full),), (Spelling(f"{name}:{hexadecimal(value)}", later, later),))


def write_metadata(word, context):
    """`write_metadata:VALUE/MASK`, an instruction."""
    row = BY_NAME["metadata"]
    text = context.value(word)
    value, mask = context.read(word, lambda text: values.masked(text, 64, values.number, values.number))
    raw = values.number(text.partition("/")[0], 64)  # dumps print the bits outside the mask too
    said = f"write_metadata:{hexadecimal(raw)}" + (f"/{hexadecimal(mask)}" if mask != row.full else "")
    return Act((record_of(row, value, mask),), (said,), METADATA)


def vlan_number(word, context):
    """`mod_vlan_vid:VID`: into the tag, or into one that is added."""
    value = context.number(word, 12)
    context.proves(tag=True)
    return Act((Fact(of.O_SET_VID, v0=value),), (f"mod_vlan_vid:{value}",))


def vlan_priority(word, context):
    """`mod_vlan_pcp:PCP`: into the tag, or into one that is added."""
    value = context.number(word, 3)
    context.proves(tag=True)
    return Act((Fact(of.O_SET_PCP, v0=value),), (f"mod_vlan_pcp:{value}",))


ACTIONS = {
    "set_field": set_field, "load": load, **dict.fromkeys(MODS, modify), "mod_nw_tos": tos,
    "mod_vlan_vid": vlan_number, "set_vlan_vid": vlan_number, "mod_vlan_pcp": vlan_priority, "set_vlan_pcp": vlan_priority,
    "set_tunnel": set_tunnel, "set_tunnel64": set_tunnel, "write_metadata": write_metadata,
}
