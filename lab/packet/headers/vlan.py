"""VLAN tags: IEEE 802.1Q and 802.1ad. A tag begins behind the type that announces it (RFC 7042).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-----+-+-----------------------+-------------------------------+
    | PCP |D|          VID          |     type of what follows      |
    +-----+-+-----------------------+-------------------------------+
"""
from lab.memory.raw import load16, store16
from lab.packet.text import memory_of

TCI, TYPE, LENGTH = 0, 2, 4
VID_MASK, PCP_SHIFT = 0x0FFF, 13


def check(memory, at, left):
    """The length of the tag, 0 when it is not wholly there."""
    if left < LENGTH:
        return 0
    return LENGTH


def get_tci(memory, at):
    """Priority, drop eligibility and VLAN number as they lie."""
    return load16(memory, at + TCI)


def get_type(memory, at):
    """The type of what follows."""
    return load16(memory, at + TYPE)


def set_tci(memory, at, tci):
    """Write priority, drop eligibility and VLAN number."""
    store16(memory, at + TCI, tci)


def set_type(memory, at, kind):
    """Write the type of what follows."""
    store16(memory, at + TYPE, kind)


def show(data):
    """The fields of the tag for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    tci = get_tci(memory, 0)
    return [
        ("vlan_tci", TCI, 2, f"0x{tci:04x}"),
        ("vlan_pcp", TCI, 1, str(tci >> PCP_SHIFT)),
        ("vlan_vid", TCI, 2, str(tci & VID_MASK)),
        ("dl_type", TYPE, 2, f"0x{get_type(memory, 0):04x}"),
    ]
