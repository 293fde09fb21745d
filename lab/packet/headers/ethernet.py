"""Ethernet II and IEEE 802.3 with LLC and SNAP (RFC 894, RFC 1042).

     0                   1
     0 1 2 3 4 5 6 7 8 9 0 1 2 3
    +-----------+-----------+---+
    |  dl_dst   |  dl_src   | T |   T: the type of what follows, or below 0x600 the length of an LLC frame
    +-----------+-----------+---+
"""
import numpy as np

from lab.memory.raw import i64, load16, load64, store16, store32
from lab.packet import text
from lab.packet.text import memory_of

DST, SRC, TYPE, LENGTH = 0, 6, 12, 14
SNAP_LENGTH = 8        # LLC and SNAP, behind the length field
TYPE_MIN = 0x600       # below it the field is a length
IPV4, ARP, RARP, IPV6, MPLS, MPLS_MULTICAST, VLAN, VLAN_SERVICE = 0x0800, 0x0806, 0x8035, 0x86DD, 0x8847, 0x8848, 0x8100, 0x88A8
_SHIFT_16 = np.uint64(16)
_SNAP = np.uint64(0xAAAA030000000000)
_ORGANISATION = np.uint64(0xFFFFFFFFFFFF0000)


def check(memory, at, left):
    """The length of the header, 0 when it is not wholly there."""
    if left < LENGTH:
        return 0
    return LENGTH


def snap_type(memory, at, left):
    """The type that a SNAP header behind a length field names, 0 when there is none."""
    if left < SNAP_LENGTH or load64(memory, at) & _ORGANISATION != _SNAP:
        return 0
    kind = load16(memory, at + 6)
    if kind < TYPE_MIN:
        return 0
    return kind


def get_dst(memory, at):
    """The destination address: 48 bits."""
    return load64(memory, at + DST) >> _SHIFT_16


def get_src(memory, at):
    """The source address: 48 bits."""
    return load64(memory, at + SRC) >> _SHIFT_16


def get_type(memory, at):
    """The type of what follows, or the length."""
    return load16(memory, at + TYPE)


def set_dst(memory, at, address):
    """Write the destination address: 48 bits."""
    store32(memory, at + DST, i64(address >> _SHIFT_16))
    store16(memory, at + DST + 4, i64(address))


def set_src(memory, at, address):
    """Write the source address: 48 bits."""
    store32(memory, at + SRC, i64(address >> _SHIFT_16))
    store16(memory, at + SRC + 4, i64(address))


def set_type(memory, at, kind):
    """Write the type of what follows."""
    store16(memory, at + TYPE, kind)


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    fields = [
        ("dl_dst", DST, 6, text.mac(get_dst(memory, 0))),
        ("dl_src", SRC, 6, text.mac(get_src(memory, 0))),
    ]
    kind = get_type(memory, 0)
    if kind >= TYPE_MIN:
        return [*fields, ("dl_type", TYPE, 2, f"0x{kind:04x}")]
    fields.append(("length", TYPE, 2, str(kind)))
    named = snap_type(memory, LENGTH, len(data) - LENGTH)
    if named != 0:
        fields.append(("dl_type", LENGTH + 6, 2, f"0x{named:04x}"))
    return fields
