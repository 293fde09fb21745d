"""Meters as ovs-ofctl writes them: `meter=1 kbps burst bands=type=drop rate=1000 burst_size=200`.

A line becomes a `MeterOrder`, which knows where each of its words stood. How a meter drops packets is in `lab.stages`;
which meters there are, in `meters.py`.
"""
from dataclasses import dataclass, field

from lab.openflow.acts.tables import MOST_METER
from lab.openflow.matching import values
from lab.openflow.text import Text, as_text
from lab.translate.records import MOST_BANDS

ADD, MODIFY, DELETE, FIND = "add", "modify", "delete", "find"
UNITS = ("kbps", "pktps")
FLAGS = ("kbps", "pktps", "burst", "stats")
OF_A_BAND = ("type", "rate", "burst_size", "prec_level")
VIRTUAL = ("controller", "slowpath")  # meters of OVS that no rule names


@dataclass(frozen=True)
class Band:
    """A band that drops what is more than `rate`; `burst` is None without a burst_size."""

    rate: int
    burst: int | None


@dataclass
class MeterOrder:
    """What a line says of a meter: `number` is None for all of them."""

    what: str
    text: Text
    number: int | None = None
    flags: tuple = ()
    bands: list = field(default_factory=list)
    said: dict = field(default_factory=dict)

    def error(self, name, problem, choices=()):
        """The error for a word of this line, or for the whole when it has no such word."""
        word = self.said.get(name)
        if word is None:
            return self.text.error(problem, self.text.text, 0, choices)
        return self.text.error(problem, word.value or word.name, word.value_at if word.value else word.at, choices)


def parse_meter(text, what=ADD):
    """The order that a line gives.

    >>> parse_meter("meter=1,pktps,bands=type=drop,rate=5").bands
    [Band(rate=5, burst=None)]
    """
    text = as_text(text)
    words, order = text.words(), MeterOrder(what, text)
    begin = next((at for at, word in enumerate(words) if word.name in ("bands", "band")), len(words))
    for word in words[:begin]:
        _setting(order, word)
    if "meter" not in order.said and what in (ADD, MODIFY):
        raise order.error("", "it needs a meter=NUMBER")
    if what not in (ADD, MODIFY):
        if begin < len(words):
            raise text.error("no bands are needed here", words[begin].name, words[begin].at)
        return order
    if sum(unit in order.flags for unit in UNITS) != 1:
        both = order.said.get("pktps") if "kbps" in order.flags else None
        raise order.error("pktps" if both else "", "a meter counts either kbps or pktps" + (", not both" if both else ": say one of them"),
                          () if both else UNITS)
    if begin == len(words):
        raise order.error("", "it needs bands, such as bands=type=drop,rate=1000")
    _bands(order, words[begin], words[begin + 1:])
    return order


def _setting(order, word):
    text = order.text
    if word.name in order.said:
        raise text.error(f"{word.name} stands there twice", word.name, word.at)
    order.said[word.name] = word
    if word.name == "meter":
        order.number = _meter_number(order, word)
    elif word.name in FLAGS and order.what in (ADD, MODIFY):
        if word.value is not None:
            raise text.error(f"{word.name} takes no value", word.value or word.name, word.value_at if word.value else word.at)
        order.flags += (word.name,)
    else:
        known = ("meter", *FLAGS, "bands") if order.what in (ADD, MODIFY) else ("meter",)
        raise text.error(f"a meter has no {word.name!r}: there are {', '.join(known)}", word.name, word.at, known)


def _meter_number(order, word):
    text = order.text
    if not word.value:
        raise text.error("meter needs a number: meter=1", word.name, word.at)
    if word.value == "all":
        if order.what in (DELETE, FIND):
            return None
        raise text.error("one meter is meant here, not all", word.value, word.value_at)
    if word.value in VIRTUAL:
        raise text.error(f"the meter {word.value} is not built: nothing limits what goes to sw.controller; give a number", word.value,
                         word.value_at)
    number = _number(order, word)
    if not 0 < number <= MOST_METER:
        raise text.error(f"meters are numbered from 1 to {MOST_METER}", word.value, word.value_at)
    return number


def _number(order, word):
    try:
        return values.number(word.value or "", 32)
    except ValueError as error:
        raise order.text.error(f"{word.name}: {error}", word.value or word.name, word.value_at if word.value else word.at) from None


def _bands(order, head, words):
    """The bands: each begins with its type."""
    text = order.text
    inside = text.part(head.value_at, head.value_at + len(head.value or "")).words()
    found = []
    for word in (*(word._replace(at=word.at + head.value_at, value_at=word.value_at + head.value_at) for word in inside), *words):
        if word.name not in OF_A_BAND:
            raise text.error(f"a band has no {word.name!r}: it has {', '.join(OF_A_BAND[:3])}", word.name, word.at, OF_A_BAND)
        if word.name == "type":
            _check_type(order, word)
            found.append({"type": word})
            continue
        if not found:
            raise text.error("a band begins with its type: bands=type=drop,rate=1000", word.name, word.at)
        if word.name == "prec_level":
            raise text.error("prec_level goes with dscp_remark, not with drop", word.name, word.at)
        if word.name in found[-1]:
            raise text.error(f"{word.name} stands there twice in one band", word.name, word.at)
        found[-1][word.name] = word
    if not found:
        raise text.error("a meter has at least one band: bands=type=drop,rate=1000", head.name, head.at)
    if len(found) > MOST_BANDS:
        raise text.error(f"a meter has at most {MOST_BANDS} bands here, not {len(found)}", "type", found[MOST_BANDS]["type"].at)
    order.bands = [_band(order, band) for band in found]


def _check_type(order, word):
    if word.value == "dscp_remark":
        raise order.text.error("dscp_remark is no band here, as in OVS's userspace datapath: type=drop is", word.value, word.value_at)
    if word.value != "drop":
        raise order.text.error(f"{word.value!r} is no type of band: there is drop", word.value or word.name,
                               word.value_at if word.value else word.at, ("drop",))


def _band(order, band):
    head, rate, burst = band["type"], band.get("rate"), band.get("burst_size")
    if rate is None or _number(order, rate) == 0:
        word = rate or head
        raise order.text.error("a band needs a rate above 0", word.value, word.value_at)
    if "burst" in order.flags and burst is None:
        raise order.text.error("with burst each band needs a burst_size", head.value, head.value_at)
    return Band(_number(order, rate), None if burst is None else _number(order, burst))


def show_meter(entry):
    """A meter as dump-meters prints it: a line, then a line for each band."""
    lines = [f"meter={entry.number} {' '.join(flag for flag in FLAGS if flag in entry.flags)} bands="]
    for band in entry.bands:
        lines.append(f"type=drop rate={band.rate}" + (f" burst_size={band.burst or 0}" if "burst" in entry.flags else ""))
    return "\n".join(lines)
