"""How the value of each kind of field is read and printed: `fields.py` says which field is of which kind.

A reader takes (text, bits, ports) and gives (value, mask), as far as the field is wide; it raises ValueError with a
sentence, or LookupError when a port of that name is not there. A printer takes (value, mask, full) and gives the text
that `ovs-ofctl dump-flows` would print.
"""
from lab.flow.key import VLAN_PRESENT
from lab.openflow.matching import values

NO_TAG = 0xFFFF
RESERVED = {"UNSET": 0xFFF7, "IN_PORT": 0xFFF8, "TABLE": 0xFFF9, "NORMAL": 0xFFFA, "FLOOD": 0xFFFB, "ALL": 0xFFFC,
            "CONTROLLER": 0xFFFD, "LOCAL": 0xFFFE, "ANY": 0xFFFF}  # ports that are none, by OpenFlow 1.0's numbers
RESERVED_NAMES = {number: name for name, number in RESERVED.items()}
MOST_PORT, FIRST_RESERVED_32 = 0xFFFF, 0xFFFFFF00  # OpenFlow 1.1 writes the reserved ports with 32 bits
TUNNEL_FLAGS = {"oam": 1}


def exact(read):
    """A reader of fields that take no mask but that of all bits or of none."""
    def reader(text, bits, ports):
        value, slash, mask = text.partition("/")
        full = (1 << bits) - 1
        if slash:
            try:
                full = values.number(mask, bits)
            except ValueError:
                full = 1
            if full not in (0, (1 << bits) - 1):
                raise ValueError("this field takes no mask")
        return read(value, bits) & full, full
    return reader


def maskable(read, read_mask=None):
    """A reader of fields that take any mask."""
    return lambda text, bits, ports: values.masked(text, bits, read, read_mask or read)


def port(text, bits, ports):
    """A port by number, name or one of the reserved words."""
    full = (1 << bits) - 1
    if text[:1].isdigit():
        number = values.number(text, 32)
        if number >= FIRST_RESERVED_32:
            number &= 0xFFFF
        if number > MOST_PORT:
            raise ValueError(f"{text} is more than {MOST_PORT}")
        return number, full
    name = text.strip('"')
    if name in ports:
        return ports[name], full
    if (word := name.upper()) in RESERVED or word == "NONE":
        return RESERVED.get(word, RESERVED["ANY"]), full
    raise LookupError(name)


def fragment(text, bits, ports):
    """Which fragments: a word, as ovs-ofctl takes it."""
    if text in values.FRAGMENTS:
        return values.FRAGMENTS[text]
    raise ValueError(f"{text!r} is none of {', '.join(values.FRAGMENTS)}")


def tos(text, bits, ports):
    """The DSCP in its place in the TOS byte; the ECN bits are a field of their own."""
    value = values.number(text, 8)
    if value & 3:
        raise ValueError(f"{text} has ECN bits: the nearest TOS is {value & 0xFC}, and nw_ecn matches the rest")
    return value, 0xFC


def old_vlan(text, bits, ports):
    """A VLAN number of OpenFlow 1.0: a tag must be there, and 0xffff means none."""
    value = values.number(text, 16)
    if value == NO_TAG:
        return 0, 0xFFFF
    if value > 0xFFF:
        raise ValueError(f"{text} is more than 4095, and only 0xffff means no tag")
    return value | VLAN_PRESENT, 0x1FFF


def old_priority(text, bits, ports):
    """A VLAN priority: a tag must be there."""
    return values.number(text, 3) << 13 | VLAN_PRESENT, 0xF000


def vlan_vid(text, bits, ports):
    """A VLAN number of OpenFlow 1.2: the bit 0x1000 says that there is a tag."""
    value, mask = values.masked(text, 13, values.number, values.number)
    if mask & VLAN_PRESENT and value & 0xFFF and not value & VLAN_PRESENT:
        raise ValueError(f"{text} lacks the bit 0x1000 of a tag: write 0x{value | VLAN_PRESENT:x}, or dl_vlan={value}")
    return value, mask


def tcp_flags(text, bits, ports):
    """TCP flags by name or number."""
    return values.flags(text, bits)


def ct_state(text, bits, ports):
    """The state of a connection by the names of its bits, or a number."""
    return values.flags(text, bits, values.CT_STATES, "connection state")


def tunnel_flags(text, bits, ports):
    """The flags of a tunnel's header."""
    return values.flags(text, 1, TUNNEL_FLAGS, "tunnel flag")


def packet_type(text, bits, ports):
    """The type of a packet, as (namespace,type): Ethernet, which asks for nothing, since everything here is Ethernet."""
    parts = text.removeprefix("(").removesuffix(")").split(",")
    if len(parts) != 2:
        raise ValueError(f"{text!r} is not (NAMESPACE,TYPE), such as (0,0)")
    if (values.number(parts[0].strip(), 16), values.number(parts[1].strip(), 16)) != (0, 0):
        raise ValueError("only Ethernet is switched here: (0,0)")
    return 0, 0


def show_tos(value, mask, full):
    """The DSCP as a TOS byte."""
    return str(value)


def show_type(value, mask, full):
    """An Ethernet type."""
    return f"0x{value:04x}" if mask == full else f"0x{value:04x}/0x{mask:04x}"


def show_label(value, mask, full):
    """A flow label."""
    return f"0x{value:05x}" if mask == full else f"0x{value:05x}/0x{mask:05x}"


def show_ct_state(value, mask, full):
    """`est|trk` when every bit is asked for, else `+trk-est`."""
    return values.show_flags(value, mask, full, values.CT_STATES)


def show_tunnel_flags(value, mask, full):
    """`+oam` or `-oam`, never `oam` alone."""
    return values.show_flags(value, mask, -1, TUNNEL_FLAGS)
