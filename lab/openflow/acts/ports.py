"""Ports as actions name them: by number, by name, or by a word of OpenFlow such as `in_port`.

The numbers are OpenFlow 1.0's; those of later versions, of 32 bits, are taken too. Whether a port of that number
exists when the packet comes is not asked here.
"""
from lab.openflow.errors import nearest
from lab.openflow.matching import values
from lab.translate import ofact as of

WORDS = {
    "in_port": of.OFPP_IN_PORT, "table": of.OFPP_TABLE, "normal": of.OFPP_NORMAL, "flood": of.OFPP_FLOOD, "all": of.OFPP_ALL,
    "controller": of.OFPP_CONTROLLER, "local": of.OFPP_LOCAL,
}
NAMES = {number: word.upper() for word, number in WORDS.items()}
FIRST_WIDE = 0xFFFFFF00  # OpenFlow 1.1 numbers the words from here on


def said(number):
    """The piece of text for a port: a word, or the number, which may be printed as a name."""
    return NAMES.get(number, number)


def port_of(text, asked):
    """The number of the port in a text; None when there is no such port. ValueError when it is a number that no port has."""
    name = text.text.strip()
    if name[:1].isdigit():
        return number_of(name)
    if name.lower() in WORDS:
        return WORDS[name.lower()]
    return asked.port(name.strip('"'))


def number_of(name):
    """The port of a number."""
    number = values.number(name, 32)
    if number >= FIRST_WIDE:
        number &= 0xFFFF
    if number > 0xFFFF:
        raise ValueError(f"{name} is more than 65535")
    if number in NAMES or 0 < number < of.OFPP_MAX:
        return number
    raise ValueError(f"{name} is no port: they are numbered from 1 to {of.OFPP_MAX - 1}")


def read_port(context, text, what, choices=tuple(WORDS)):
    """The number of the port that a part of an action names."""
    try:
        number = port_of(text, context.asked)
    except ValueError as error:
        raise text.error(f"{what}: {error}", text.text, 0) from None
    if number is None:
        raise no_port(text, context.asked.ports, choices)
    return number


def no_port(text, ports, choices=tuple(WORDS)):
    """The error for a port that is not there; a word of OpenFlow is named when it is the nearest."""
    suggestion = nearest(text.text, (*ports, *choices))
    have = f": the ports are {', '.join(ports)}" if ports else ": there is none yet"
    return text.error(f"unknown port {text.text}" + ("" if suggestion else have), text.text, 0, suggestion=suggestion)
