"""Values of fields: how each kind is written, read strictly, and printed as ovs-ofctl prints it.

A reader takes the text of a value and the field's width and raises ValueError with a sentence when it is not one.
Where a value stands in the key is not known here: see `match.py`.
"""
import re
import socket

from lab.flow.actions import address

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0|[1-9][0-9]*")
_MAC = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}")
_FLAG = re.compile(r"([+-])(\[[0-9a-f]+\]|[a-z]+)")
_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]")
TCP_FLAGS = {name: 1 << bit for bit, name in enumerate(_FLAGS)}
CT_STATES = {name: 1 << bit for bit, name in enumerate(("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"))}
FRAGMENTS = {"no": (0, 1), "yes": (1, 1), "first": (1, 3), "later": (3, 3), "not_later": (0, 2)}  # (value, mask)


def number(text, bits):
    """A number, decimal or hexadecimal, that fits.

    >>> number("0x10", 8)
    16
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number" if text else "a number is missing")
    value = int(text, 0)
    if value >> bits:
        raise ValueError(f"{text} is more than {hex((1 << bits) - 1) if text[:2] in ('0x', '0X') else (1 << bits) - 1}")
    return value


def mac(text, bits=48):
    """A MAC address."""
    if not _MAC.fullmatch(text):
        raise ValueError(f"{text!r} is not a MAC address, six bytes such as 52:54:00:00:00:01")
    return int("".join(part.zfill(2) for part in text.split(":")), 16)


def ipv4(text, bits=32):
    """An IPv4 address, four numbers up to 255."""
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is not an IPv4 address, four numbers from 0 to 255") from None


def ipv6(text, bits=128):
    """An IPv6 address."""
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is not an IPv6 address") from None


def prefix(text, bits):
    """A mask of an address: the number of its leading ones, or written as an address."""
    if text.isdecimal() and text.isascii() and len(text) < 4:
        if int(text) > bits:
            raise ValueError(f"a prefix has at most {bits} bits, not {text}")
        return (1 << bits) - (1 << bits - int(text))
    return ipv4(text) if bits == 32 else ipv6(text)


def flags(text, bits=12, names=TCP_FLAGS, kind="TCP flag"):
    """Flags as (value, mask): `syn|ack` is exact, `+syn-ack` asks for two of them, numbers as everywhere."""
    if text[:1] in ("+", "-"):
        value = mask = at = 0
        while at < len(text):
            found = _FLAG.match(text, at)
            if not found or found[2] not in names:
                raise ValueError(f"{(found[2] if found else text[at:])!r} is no {kind}: they are {', '.join(names)}")
            mask |= names[found[2]]
            value = value & ~names[found[2]] | (names[found[2]] if found[1] == "+" else 0)
            at = found.end()
        return value, mask
    if text[:1].isdigit():
        return masked(text, bits, number, number)
    unknown = [name for name in text.split("|") if name not in names]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no {kind}: they are {', '.join(names)}")
    return sum({names[name] for name in text.split("|")}), (1 << bits) - 1


def masked(text, bits, read, read_mask):
    """A value with the mask behind a slash, or all ones: (value under its mask, mask)."""
    value, slash, mask = text.partition("/")
    value = read(value, bits)
    if not slash:
        return value, (1 << bits) - 1
    try:
        mask = read_mask(mask, bits)
    except ValueError as error:
        raise ValueError(f"as a mask, {error}") from None
    return value & mask, mask


def show_number(value, mask, full):
    """Decimal; hexadecimal when masked."""
    return f"{value}" if mask == full else f"0x{value:x}/0x{mask:x}"


def show_hex(value, mask, full):
    """Hexadecimal, but 0 as it is."""
    return f"{value:#x}" if mask == full and value else "0" if mask == full else f"{value:#x}/{mask:#x}" if value else f"0/{mask:#x}"


def show_mac(value, mask=0xFFFFFFFFFFFF, full=0xFFFFFFFFFFFF):
    """A MAC address, with its mask unless that is all ones."""
    said = ":".join(f"{value >> shift & 0xFF:02x}" for shift in range(40, -1, -8))
    return said if mask == full else f"{said}/{show_mac(mask)}"


def show_ip(value, mask, full):
    """An address, with its prefix length, or its mask when that is no prefix."""
    bits = full.bit_length()
    if mask == full:
        return address(value, bits)
    outside = full & ~mask
    return f"{address(value, bits)}/{bits - outside.bit_length() if outside & outside + 1 == 0 else address(mask, bits)}"


def show_flags(value, mask, full, names=TCP_FLAGS):
    """`syn|ack` when every flag is asked for, else `+syn-ack`."""
    if mask == full:
        return "|".join(name for name, bit in names.items() if value & bit) or "0"
    return "".join(("+" if value & bit else "-") + name for name, bit in names.items() if mask & bit)


def show_fragment(value, mask, full):
    """The word for a kind of fragment; a later fragment is a fragment, so some words stand for two masks."""
    also = {(0, 3): "no", (2, 2): "later"}
    return next((word for word, pair in FRAGMENTS.items() if pair == (value, mask)), also.get((value, mask), f"0x{value:x}/0x{mask:x}"))
