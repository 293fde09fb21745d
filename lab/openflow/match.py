"""Matches: which packets a rule is for, as a mask and a value over the words of the flow key.

Read from what `ovs-ofctl add-flow` takes and printed as it prints them. The parser is strict: every value fits its
field, every field has the protocol it needs, and an error points at the word. Which fields there are: `fields.py`.
"""
from functools import cached_property

from lab.flow.actions import show_port
from lab.flow.key import FIELDS, VLAN_PRESENT, WORDS, get, put
from lab.openflow import fields
from lab.openflow.errors import nearest
from lab.openflow.fields import BY_NAME, ONLY_READ, ROWS, SHORTHANDS
from lab.openflow.text import as_text

FULL_TYPE, FULL_PROTO = 0xFFFF, 0xFF


class Match:
    """What a packet's key must be: `key & mask_words == value_words`, word by word.

    >>> parse_match("tcp,tp_dst=80").text
    'tcp,tp_dst=80'
    """

    __slots__ = ("mask_words", "value_words", "__dict__")

    def __init__(self, mask_words=(0,) * WORDS, value_words=(0,) * WORDS):
        self.mask_words, self.value_words = tuple(mask_words), tuple(value_words)

    def __eq__(self, other):
        return isinstance(other, Match) and (self.mask_words, self.value_words) == (other.mask_words, other.value_words)

    def __hash__(self):
        return hash((self.mask_words, self.value_words))

    def __repr__(self):
        return f"<match {self.text or 'everything'}>"

    @cached_property
    def text(self):
        """The match in ovs-ofctl's words, ports by number."""
        return format_match(self.value_words, self.mask_words)

    def covers(self, other):
        """Whether every packet that the other match is for is one of this match's."""
        rows = zip(self.mask_words, self.value_words, other.mask_words, other.value_words, strict=True)
        return all(mask & ~narrow == 0 and (value ^ other_value) & mask == 0 for mask, value, narrow, other_value in rows)

    def takes(self, key_words):
        """Whether a packet with this key is one of the match's."""
        return all(int(word) & mask == value for word, mask, value in zip(key_words, self.mask_words, self.value_words, strict=True))


def parse_match(text, ports=None):
    """The Match of a text such as `tcp,nw_dst=10.0.0.0/24,tp_dst=80`; `ports` maps names to numbers."""
    text = as_text(text)
    return match_of(text.words(), text, ports or {})


def match_of(words, text, ports):
    """The Match of words that were already cut."""
    mask, value, asked = [0] * WORDS, [0] * WORDS, []
    for word in words:
        if (name := fields.ALSO.get(word.name, word.name)) in SHORTHANDS:
            if word.value is not None:
                raise text.error(f"{word.name} stands alone: it takes no value", word.value, word.value_at)
            kind, proto = SHORTHANDS[name]
            _ask(mask, value, (BY_NAME["dl_type"], kind, FULL_TYPE), (word, text))
            if proto is not None:
                _ask(mask, value, (BY_NAME["nw_proto"], proto, FULL_PROTO), (word, text))
        elif word.name in BY_NAME:
            row = BY_NAME[word.name]
            _ask(mask, value, (row, *_read(row, word, text, ports)), (word, text))
            asked.append((row, word))
        else:
            raise _unknown(word, text)
    for row, word in asked:
        _check_needs(row, word, text, mask, value)
    return Match(mask, value)


def _unknown(word, text):
    return text.error(f"unknown field {word.name!r}", word.name, word.at, fields.KNOWN)


def _read(row, word, text, ports):
    if not word.value:
        raise text.error(f"{word.name} needs a value, such as {word.name}={_example(row)}", word.name, word.at)
    try:
        return row.read(word.value, row.bits, ports)
    except LookupError:
        raise unknown_port(text, word.value, word.value_at, ports) from None
    except ValueError as error:
        raise text.error(f"{word.name}: {error}", word.value, word.value_at) from None


def unknown_port(text, name, at, ports):
    """The error for a port that is not there: the nearest, or all that are."""
    have = f": the ports are {', '.join(ports)}" if ports else ": there is none yet"
    return text.error(f"unknown port {name}" + ("" if nearest(name, ports) else have), name, at, ports)


def _example(row):
    shown = {"nw_frag": "no", "tcp_flags": "+syn-ack", "dl_vlan": "7", "in_port": "1"}
    return shown.get(row.name) or row.show(1, row.full, row.full)


def _ask(mask, value, wanted, where):
    """Add bits to a match, unless they contradict what it asks already."""
    row, bits, bits_mask = wanted
    word, text = where
    low = row.low
    held, asked = get(mask, row.key), get(value, row.key)
    if (asked ^ bits << low) & held & bits_mask << low:
        raise text.error(f"{word.name} contradicts what stands before it: no packet is both", word.name, word.at)
    put(mask, row.key, held | bits_mask << low)
    put(value, row.key, asked | (bits & bits_mask) << low)


def shorthands(mask, value):
    """The shorthands that hold for every packet of a match."""
    if get(mask, "dl_type") != FULL_TYPE:
        return set()
    kind, proto = get(value, "dl_type"), get(value, "nw_proto") if get(mask, "nw_proto") == FULL_PROTO else None
    return {name for name, row in SHORTHANDS.items() if row[0] == kind and row[1] in (None, proto)}


def missing(row, mask, value):
    """What a field lacks in a match, in words; empty when nothing."""
    if row.needs and not shorthands(mask, value) & set(row.needs):
        *others, last = row.needs
        return f"one of {', '.join(others)} or {last}" if others else last
    if row.kinds and not (get(mask, "tp_src") & 0xFF == 0xFF and get(value, "tp_src") in row.kinds):
        return " or ".join(f"icmp_type={kind}" for kind in row.kinds)
    return ""


def _check_needs(row, word, text, mask, value):
    # a name for one protocol (udp_dst, icmpv6_type) needs that one
    lacking = missing(row, mask, value)
    if not lacking and word.name.startswith("icmpv6_") and "icmp6" not in shorthands(mask, value):
        lacking = "icmp6"
    if lacking:
        raise text.error(f"{word.name} says nothing without its protocol: add {lacking}", word.name, word.at)


def format_match(value_words, mask_words, port_name=None):
    """A match as ovs-ofctl prints it: the protocol first, then the fields in its order."""
    held = shorthands(mask_words, value_words)
    protocol = next((name for name in reversed(SHORTHANDS) if name in held and SHORTHANDS[name][1] is not None), "")
    protocol = protocol or next((name for name in held), "")
    said = [protocol] if protocol else []
    hidden = set(ONLY_READ)
    if protocol:
        hidden.add("dl_type")
        if SHORTHANDS[protocol][1] is not None:
            hidden.add("nw_proto")
    for row in ROWS:
        mask, value = (get(words, row.key) >> row.low & row.full for words in (mask_words, value_words))
        if not mask or row.name in hidden or (row.only and protocol not in row.only) or protocol in row.never:
            continue
        if row.key == "vlan_tci":
            said += _show_tag(value, mask)
        elif row.name == "in_port":
            said.append(f"in_port={show_port(value, port_name)}")
        else:
            said.append(f"{row.name}={row.show(value, mask, row.full)}")
    return ",".join(said)


def _show_tag(value, mask):
    """A tag in the words of OpenFlow 1.0 where they suffice."""
    vid, pcp = mask & 0xFFF, mask & 0xE000
    if mask & value & VLAN_PRESENT and vid in (0, 0xFFF) and pcp in (0, 0xE000) and (vid or pcp):
        return [f"dl_vlan={value & 0xFFF}"] * bool(vid) + [f"dl_vlan_pcp={value >> 13}"] * bool(pcp)
    return [f"vlan_tci=0x{value:04x}" + (f"/0x{mask:04x}" if mask != 0xFFFF else "")]


assert all(row.key in FIELDS for row in ROWS)
