"""How people write what headers hold: addresses, flags, numbers; and bytes as a memory that getters can read.

Everything here is plain Python for the `show` functions and for `dissect`; no stage calls it.
"""
import ipaddress

from lab.memory.raw import Memory


class Text(str):
    """Text that a prompt or a notebook shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self):
        return str(self)


def memory_of(data):
    """Bytes as the packets' memory, from offset 0, so that `check` and the getters read them."""
    return Memory([(0, len(data), data)])


def mac(bits):
    """48 bits as an Ethernet address.

    >>> mac(0x020000000001)
    '02:00:00:00:00:01'
    """
    return ":".join(f"{byte:02x}" for byte in int(bits).to_bytes(6, "big"))


def ip(number):
    """32 bits as an IPv4 address.

    >>> ip(0x0A000001)
    '10.0.0.1'
    """
    return str(ipaddress.IPv4Address(int(number)))


def ip6(high, low):
    """Two halves as an IPv6 address.

    >>> ip6(0xFE80 << 48, 1)
    'fe80::1'
    """
    return str(ipaddress.IPv6Address(int(high) << 64 | int(low)))


def flags(bits, names):
    """The names of the bits that are set, lowest first, as OVS joins them; 0 for none.

    >>> flags(0x12, ("fin", "syn", "rst", "psh", "ack"))
    'syn|ack'
    """
    return "|".join(name for i, name in enumerate(names) if bits >> i & 1) or "0"
