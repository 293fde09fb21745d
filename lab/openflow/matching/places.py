"""Places: which bits of which field an action reads or writes, as `NXM_NX_REG0[0..15]`, `tcp_dst` or `xxreg1[64..79]`.

Read from text here and told as bits of words of the wide key, which is what compiled code sees. Whether the packet has
the field, and whether an action may write it, is asked by the actions themselves (`acts`).
"""
import re
from itertools import groupby
from typing import NamedTuple

from lab.openflow.matching.fields import BY_NAME, BY_OXM, NOT_BUILT, Field, by_any_name
from lab.openflow.text import as_text

_PLACE = re.compile(r"\s*([A-Za-z_]\w*)\s*(\[[^\]]*\])?\s*")
_BITS = re.compile(r"\[\s*(?:(\d+)(?:\s*\.\.\s*(\d+))?)?\s*\]")
_WIDTHS = {"in_port": 16, "arp_op": 16}  # in OpenFlow; the key has 32 bits for a port and 8 for an operation


def width(row):
    """How many bits a field has for an action."""
    return _WIDTHS.get(row.name, row.bits)


def full(row):
    """A mask of all bits of a field that an action can read and write; others read as zero."""
    return row.full & (1 << width(row)) - 1


def spot(row, bit):
    """(word, bit of the word) of a bit of a field."""
    word, low, bits = row.place
    return (word + (bit < 64), bit % 64) if bits > 64 else (word, low + bit)


class Place(NamedTuple):
    """`bits` bits of a field from its bit `first` on: where they lie, and what the datapath calls the field.

    >>> read_place("reg0[4..7]").word, read_place("reg0[4..7]").low
    (33, 36)
    """

    row: Field
    first: int
    bits: int

    @property
    def word(self):
        """The word of the key where its lowest bit lies."""
        return spot(self.row, self.first)[0]

    @property
    def low(self):
        """Its lowest bit in that word."""
        return spot(self.row, self.first)[1]

    @property
    def code(self):
        """The datapath's code of the field, 0 when it is no header."""
        return self.row.code

    @property
    def mask(self):
        """Its bits in the field, without those that mean nothing."""
        return (1 << self.bits) - 1 << self.first & full(self.row)

    @property
    def whole(self):
        """Whether it is the whole field."""
        return self.first == 0 and self.bits == width(self.row)

    def parts(self):
        """The parts of it that lie within one word, the lowest first: (word, lowest bit, bits)."""
        inside = range(self.first, max(self.first + 1, min(self.first + self.bits, self.row.bits)))
        runs = (list(run) for _, run in groupby(inside, lambda bit: spot(self.row, bit)[0]))
        return [(*spot(self.row, bits[0]), len(bits)) for bits in runs]

    def __str__(self):
        name = self.row.oxm[0]
        if self.whole:
            return f"{name}[]"
        return f"{name}[{self.first}]" if self.bits == 1 else f"{name}[{self.first}..{self.first + self.bits - 1}]"


def read_place(text, row_of=by_any_name):
    """The Place of a text such as `reg0[0..15]`; `row_of` finds the row of a field's name.

    >>> str(read_place("nw_src"))
    'NXM_OF_IP_SRC[]'
    """
    text = as_text(text)
    found = _PLACE.match(text.text)
    if found is None or found.end() < len(text.text):
        at = found.end() if found else 0
        raise text.error("a place is written FIELD[FIRST..LAST], FIELD[BIT] or FIELD[]", text.text[at:] or text.text, at)
    row, bits = named_row(text.part(*found.span(1)), row_of), width_of(text, found)
    if bits is None:
        return Place(row, 0, width(row))
    first, last = bits
    if first > last:
        raise text.error(f"the first bit, {first}, comes after the last, {last}", found[2], found.start(2))
    if last >= width(row):
        raise text.error(f"{found[1]} has {width(row)} bits, the last is {width(row) - 1}", found[2], found.start(2))
    return Place(row, first, last - first + 1)


def width_of(text, found):
    """(first, last) of the bits that stand in brackets; None for all of them."""
    if found[2] is None:
        return None
    bits = _BITS.fullmatch(found[2])
    if bits is None:
        raise text.error("bits are written [FIRST..LAST], [BIT] or []", found[2], found.start(2))
    return None if bits[1] is None else (int(bits[1]), int(bits[2] or bits[1]))


def named_row(text, row_of=by_any_name):
    """The row of the field that a text names; one that has no name in OpenFlow has no place."""
    row = row_of(text.text)
    if text.text in NOT_BUILT:
        raise text.error(f"{text.text} is not built yet", text.text, 0)
    if row is None:
        raise text.error(f"{text.text} is no field", text.text, 0, (*BY_NAME, *BY_OXM))
    if not row.oxm:
        instead = {"dl_vlan": "vlan_vid"}.get(row.name, "")
        raise text.error(f"{text.text} cannot be set or read by actions", text.text, 0, suggestion=instead)
    return row
