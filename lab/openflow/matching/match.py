"""Matches: which packets a rule is for, as a mask and a value over the bits of the flow key.

Read from what `ovs-ofctl add-flow` takes. The parser is strict: every value fits its field, every field has the
protocol it needs, and an error points at the word. Which fields there are: `fields.py`; printing: `show.py`.
"""
from typing import NamedTuple

from lab.flow.key import WIDE
from lab.openflow.errors import nearest
from lab.openflow.matching import fields
from lab.openflow.matching.fields import ALSO, KNOWN, NOT_BUILT, PACKET_TYPE, SHORTHANDS, by_any_name, field_of, wide_of, words_of
from lab.openflow.matching.kinds import RESERVED, packet_type, port
from lab.openflow.matching.needs import LATER, bits_of, missing, shorthands
from lab.openflow.matching.show import format_match
from lab.openflow.text import as_text

__all__ = ["Match", "format_match", "match_of", "missing", "parse_match", "quick_match", "shorthands", "unknown_port"]
MOST_SEEN, MOST_MASKS = 1 << 14, 1 << 12
_NOT_PLAIN = frozenset('()"')


class Match:
    """What a packet's key must be: `key & mask == value`, both as ints over the wide key, word j at their bits 64*j and up.

    >>> parse_match("tcp,tp_dst=80").text
    'tcp,tp_dst=80'
    """

    __slots__ = ("mask", "value")

    def __init__(self, mask=0, value=0):
        self.mask, self.value = mask, value

    @classmethod
    def of_words(cls, mask_words, value_words):
        """The match of two sequences of key words, 32 or 48 of them."""
        return cls(wide_of(mask_words), wide_of(value_words))

    def __eq__(self, other):
        return isinstance(other, Match) and self.mask == other.mask and self.value == other.value

    def __hash__(self):
        return hash((self.mask, self.value))

    def __repr__(self):
        return f"<match {self.text or 'everything'}>"

    @property
    def mask_words(self):
        """The mask as 48 words."""
        return words_of(self.mask)

    @property
    def value_words(self):
        """The value as 48 words."""
        return words_of(self.value)

    @property
    def bytes(self):
        """Mask and value as they stand in records: 48 words each."""
        return self.mask.to_bytes(8 * WIDE, "little"), self.value.to_bytes(8 * WIDE, "little")

    @property
    def text(self):
        """The match in ovs-ofctl's words, ports by number."""
        return format_match(self.value, self.mask)

    def covers(self, other):
        """Whether every packet that the other match is for is one of this match's."""
        return self.mask & ~other.mask == 0 and (self.value ^ other.value) & self.mask == 0

    def takes(self, key_words):
        """Whether a packet with this key is one of the match's."""
        return wide_of(key_words) & self.mask == self.value


class Asked(NamedTuple):
    """What one word of a match asks for."""

    mask: int
    value: int
    needs: frozenset | None  # the row's, when it has any
    row: fields.Field | None  # None for a shorthand


_seen: dict[str, Asked] = {}  # a memo of words such as `tp_dst=80`
_masks: dict[int, int] = {}  # one int for all matches with one mask


def parse_match(text, ports=None):
    """The Match of a text such as `tcp,nw_dst=10.0.0.0/24,tp_dst=80`; `ports` maps names to numbers."""
    if isinstance(text, str) and _NOT_PLAIN.isdisjoint(text):
        found = quick_match(text.replace(",", " ").split(), ports or {})
        if found is not None:
            return found
    text = as_text(text)
    return match_of(text.words(), text, ports or {})


def quick_match(words, ports):
    """The Match of plain words such as `tcp` and `tp_dst=80`, or None when anything is wrong or unusual: `match_of` says what."""
    mask = value = 0
    wanted = []
    for word in words:
        asked = _seen.get(word) or _learn(word, ports)
        if asked is None:
            return None
        bits, bits_value, needs, row = asked
        if mask & bits and (value ^ bits_value) & mask & bits:
            return None
        mask |= bits
        value |= bits_value
        if needs is not None:
            wanted.append((needs, row))
    if wanted:
        held, odd = shorthands(mask, value), value & LATER
        for needs, row in wanted:
            if needs.isdisjoint(held) or ((odd or row.kinds) and missing(row, mask, value)):
                return None
    return Match(_one(mask), value)


def _one(mask):
    """The int that stands for all equal masks, so that a hundred thousand rules share a few."""
    if len(_masks) >= MOST_MASKS:
        _masks.clear()
    return _masks.setdefault(mask, mask)


def _learn(word, ports):
    """What a plain word asks for, remembered; None when it is wrong."""
    name, sign, value = word.partition("=")
    try:
        row = _field(name)
        asked = _ask(row, name, value if sign else None, ports)
    except (ValueError, LookupError):
        return None
    if asked is not None and (row is None or row.read is not port or value.isdigit()):  # names of ports are a switch's own
        if len(_seen) >= MOST_SEEN:
            _seen.clear()
        _seen[word] = asked
    return asked


def _field(name):
    """The field of a name, or the part of one that takes masks."""
    row = field_of(name)
    if row is not None and name[-1] == "]":
        whole = by_any_name(name.partition("[")[0])
        if not whole.maskable:
            if row.bits < whole.bits or row.key == "vlan_tci":
                raise ValueError(f"{whole.name} is asked for as a whole: it takes no mask")
            return whole
    return row


def _ask(row, name, value, ports):
    """What a name and its value ask for; None when such a name or value cannot stand there at all."""
    if row is None:
        if name == PACKET_TYPE and value:
            packet_type(value, 32, ports)
            return Asked(0, 0, None, None)
        short = ALSO.get(name, name)
        if short not in SHORTHANDS or (value is not None and (value or short != "eth")):
            return None
        mask, bits = bits_of(short)
        return Asked(mask, bits, None, None)
    if not value:
        return None
    read, mask = row.read(value, row.bits, ports)
    mask = row.spread(mask & row.ones)
    return Asked(mask, row.spread(read) & mask, frozenset(row.needs) if row.needs else None, row)


def match_of(words, text, ports):
    """The Match of words that were already cut, or the error that names the one that is wrong."""
    mask = value = 0
    wanted = []
    for word in words:
        asked = _read(word, text, ports)
        if (value ^ asked.value) & mask & asked.mask:
            raise text.error(f"{word.name} contradicts what stands before it: no packet is both", word.name, word.at)
        mask |= asked.mask
        value |= asked.value
        if asked.row is not None:
            wanted.append((asked.row, word))
    for row, word in wanted:
        if lacking := missing(row, mask, value):
            raise text.error(f"{word.name} says nothing without its protocol: add {lacking}", word.name, word.at)
    return Match(_one(mask), value)


def _read(word, text, ports):
    """What one word asks for."""
    try:
        row = _field(word.name)
    except ValueError as error:
        raise text.error(str(error), word.name, word.at) from None
    try:
        asked = _ask(row, word.name, word.value, ports)
    except LookupError:
        raise unknown_port(text, word.value, word.value_at, ports) from None
    except ValueError as error:
        raise text.error(f"{word.name}: {error}", word.value, word.value_at) from None
    return asked or _complain(row, word, text)


def _complain(row, word, text):
    """The error of a word that asks for nothing."""
    if row is not None or word.name == PACKET_TYPE:
        raise text.error(f"{word.name} needs a value, such as {word.name}={_example(row)}", word.name, word.at)
    if ALSO.get(word.name, word.name) in SHORTHANDS:
        what, at = (word.value, word.value_at) if word.value else (word.name, word.at)
        raise text.error(f"{word.name} stands alone: it takes no value", what, at)
    if word.name in NOT_BUILT:
        raise text.error(f"{word.name} is not built yet", word.name, word.at)
    raise text.error(f"unknown field {word.name!r}", word.name, word.at, KNOWN)


def _example(row):
    if row is None:
        return "(0,0)"
    shown = {"nw_frag": "no", "tcp_flags": "+syn-ack", "dl_vlan": "7", "in_port": "1", "nw_tos": "4", "vlan_vid": "0x1007",
             "ct_state": "+trk-est"}
    return shown.get(row.name) or row.show(1, row.full, row.full)


def unknown_port(text, name, at, ports):
    """The error for a port that is not there: the nearest, or all that are."""
    have = f": the ports are {', '.join(ports)}" if ports else ": there is none yet"
    known = (*ports, *RESERVED)
    return text.error(f"unknown port {name}" + ("" if nearest(name, known) else have), name, at, known)
