"""VXLAN: an Ethernet frame behind UDP port 4789 (RFC 7348), also where VXLAN-GPE says that it is one.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-----------------------------------------------+
    |R|R|R|R|I|P|R|R|           reserved            |   protocol    |  with P
    +-+-+-+-+-+-+-+-+-------------------------------+---------------+
    |                      VNI                      |   reserved    |
    +-----------------------------------------------+---------------+
"""
from lab.memory.raw import load8, load32, store32
from lab.packet.text import memory_of

FLAGS, PROTOCOL, VNI, LENGTH = 0, 3, 4, 8
PORT = 4789
HAS_VNI, HAS_PROTOCOL = 0x08, 0x04
ETHERNET = 3  # the protocol of an Ethernet frame
VNI_SHIFT = 8


def check(memory, at, left):
    """The length of the header, 0 when it is not wholly there, has no VNI or may carry another thing than Ethernet."""
    if left < LENGTH:
        return 0
    flags = load8(memory, at + FLAGS)
    if flags & HAS_VNI == 0 or (flags & HAS_PROTOCOL != 0 and load8(memory, at + PROTOCOL) != ETHERNET):
        return 0
    return LENGTH


def get_flags(memory, at):
    """The flags."""
    return load8(memory, at + FLAGS)


def get_vni(memory, at):
    """The network's identifier: 24 bits."""
    return load32(memory, at + VNI) >> VNI_SHIFT


def set_flags(memory, at, flags):
    """Write the flags, and zeros into the reserved bits behind them."""
    store32(memory, at + FLAGS, flags << 24)


def set_vni(memory, at, vni):
    """Write the network's identifier, and zeros into the reserved bits behind it."""
    store32(memory, at + VNI, vni << VNI_SHIFT)


def show(data):
    """The fields of the header for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    return [
        ("flags", FLAGS, 1, f"0x{get_flags(memory, 0):02x}"),
        ("tun_id", VNI, 3, str(get_vni(memory, 0))),
    ]
