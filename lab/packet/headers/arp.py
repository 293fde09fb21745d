"""ARP and RARP for Ethernet and IPv4 (RFC 826, RFC 903).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------------------------------+-------------------------------+
    |         hardware = 1          |       protocol = 0x0800       |
    +---------------+---------------+-------------------------------+
    |       6       |       4       |            arp_op             |
    +---------------+---------------+-------------------------------+
    |            arp_sha (48), arp_spa (32), arp_tha (48), arp_tpa (32)
    +---------------------------------------------------------------+
"""
import numpy as np

from lab.memory.raw import load16, load32, load64
from lab.packet import text
from lab.packet.text import memory_of

HARDWARE, PROTOCOL, OP, SHA, SPA, THA, TPA, LENGTH = 0, 2, 6, 8, 14, 18, 24, 28
_SHIFT_16 = np.uint64(16)
_ETHERNET_IPV4 = np.uint64(0x000108000604)  # hardware, protocol and their lengths


def check(memory, at, left):
    """The length of the message, 0 when it is not wholly there or not for Ethernet and IPv4."""
    if left < LENGTH or load64(memory, at) >> _SHIFT_16 != _ETHERNET_IPV4:
        return 0
    return LENGTH


def get_op(memory, at):
    """1 request, 2 reply; RARP goes on from 3."""
    return load16(memory, at + OP)


def get_sha(memory, at):
    """The sender's hardware address: 48 bits."""
    return load64(memory, at + SHA) >> _SHIFT_16


def get_spa(memory, at):
    """The sender's protocol address."""
    return load32(memory, at + SPA)


def get_tha(memory, at):
    """The target's hardware address: 48 bits."""
    return load64(memory, at + THA) >> _SHIFT_16


def get_tpa(memory, at):
    """The target's protocol address."""
    return load32(memory, at + TPA)


def show(data):
    """The fields of the message for people: (name, offset, length, text)."""
    memory = memory_of(data)
    if check(memory, 0, len(data)) == 0:
        return []
    return [
        ("hardware", HARDWARE, 2, "1"),
        ("protocol", PROTOCOL, 2, "0x0800"),
        ("arp_op", OP, 2, str(get_op(memory, 0))),
        ("arp_sha", SHA, 6, text.mac(get_sha(memory, 0))),
        ("arp_spa", SPA, 4, text.ip(get_spa(memory, 0))),
        ("arp_tha", THA, 6, text.mac(get_tha(memory, 0))),
        ("arp_tpa", TPA, 4, text.ip(get_tpa(memory, 0))),
    ]
