"""What the reader of one action is given, and what it gives back.

A `Context` is the text, the ports and the proof at one depth of a list; it also makes the errors that all readers
share. It remembers what it was asked about ports and the match: on that, and on the text alone, the outcome depends.
"""
from functools import cached_property
from typing import NamedTuple

from lab.openflow.acts.proof import PROTOCOLS, proof_of
from lab.openflow.matching import values
from lab.openflow.matching.fields import by_any_name
from lab.openflow.matching.places import read_place

# instructions, in the order that OpenFlow 1.1 gives them; a plain list of actions is one of them
METER, APPLY, CLEAR, WRITE, METADATA, GOTO = range(6)


class Act(NamedTuple):
    """One action that was read: its records, the pieces of its text, which instruction it is, whether an action set takes it."""

    records: tuple
    said: tuple
    stage: int = APPLY
    in_set: bool = True


class Asked:
    """What was asked while a text was read: names of ports, and whether the match mattered."""

    def __init__(self, ports, match):
        self.ports, self.match, self.names, self.proof = ports, match, {}, False

    def port(self, name):
        """The number of a port, or None."""
        number = self.ports.get(name)
        self.names[name] = number
        return number


class Context:
    """The surroundings of an action: `inside` is what encloses it, "rule", "bucket", "packet-out", "clone" or "write_actions"."""

    def __init__(self, text, asked, inside, depth=0):
        self.text, self.asked, self.inside, self.depth = text, asked, inside, depth

    @cached_property
    def _proof(self):
        return proof_of(self.asked.match)

    @property
    def proof(self):
        """What is proven so far, or None when nothing is to be checked."""
        self.asked.proof = True
        return self._proof

    def proves(self, **more):
        """From here on something else is proven."""
        self._proof = self._proof and self._proof._replace(**more)

    def covers(self, kind):
        """From here on another Ethernet type is on top."""
        self._proof = self._proof and self._proof.pushed(kind)

    def within(self, word, inside):
        """The context of the body of an action."""
        inner = Context(self.part(word), self.asked, inside, self.depth + 1)
        if "_proof" in self.__dict__:
            inner._proof = self._proof
        return inner

    def part(self, word, start=0, end=None):
        """A part of a word's value, as a text that knows its place."""
        end = len(word.value) if end is None else end
        return self.text.part(word.value_at + start, word.value_at + end)

    def in_brackets(self, word):
        """Whether a word's value stands in parentheses."""
        return self.text.text[word.value_at - 1] == "("

    # --- values ----------------------------------------------------------------------------

    def value(self, word, example=""):
        """The value of a word that needs one."""
        if not word.value:
            raise self.text.error(f"{word.name} needs a value" + (f": {example}" if example else " behind a colon"), word.name, word.at)
        return word.value

    def no_value(self, word):
        """Refuse the value of a word that takes none."""
        if word.value:
            raise self.text.error(f"{word.name} takes no value", word.value, word.value_at)

    def wrong(self, word, problem, **more):
        """The error for a word's value."""
        return self.text.error(f"{word.name}: {problem}", word.value, word.value_at, **more)

    def read(self, word, reader):
        """What a reader of values makes of a word's value."""
        text = self.value(word)
        try:
            return reader(text)
        except ValueError as error:
            raise self.wrong(word, error) from None

    def number(self, word, bits):
        """A word's value as a number that fits."""
        return self.read(word, lambda text: values.number(text, bits))

    def settings(self, word, known):
        """(the text inside a word's parentheses, its settings `name=value` by name)."""
        part = self.part(word)
        found = {}
        for setting in part.words():
            if setting.name not in known:
                raise part.error(f"{word.name} has no {setting.name!r}: it has {', '.join(known)}", setting.name, setting.at, known)
            if setting.name in found:
                raise part.error(f"{setting.name} stands there twice", setting.name, setting.at)
            found[setting.name] = setting
        return part, found

    def split(self, word):
        """(text before the last arrow, text behind it) of a word's value."""
        before, arrow, after = (word.value or "").rpartition("->")
        if not arrow:
            return None
        return self.part(word, 0, len(before)), self.part(word, len(before) + 2, len(before) + 2 + len(after))

    # --- places ----------------------------------------------------------------------------

    def row(self, name):
        """The row of a field; `tp_src` and `tp_dst` are those of the protocol that the match proves."""
        if name in ("tp_src", "tp_dst"):
            proto = self.proof.proto if self.proof else None
            return by_any_name(f"{PROTOCOLS.get(proto or 0, 'tcp')}_{name[3:]}")
        return by_any_name(name)

    def source(self, text, word):
        """The place in a text, which an action reads."""
        place = read_place(text, self.row)
        self.check_there(place.row, text, word)
        return place

    def target(self, text, word):
        """The place in a text, which an action writes."""
        place = read_place(text, self.row)
        self.check_writable(place.row, text)
        self.check_there(place.row, text, word)
        return place

    def check_writable(self, row, text):
        """Refuse a field that actions may not write."""
        if not row.writable:
            name = text.text.partition("[")[0]
            raise text.error(f"{name} cannot be set: it is read-only", name, 0)

    def check_there(self, row, text, word):
        """Refuse a field that the match does not prove to be there."""
        if not (row.needs or row.key == "vlan_tci") or not self.proof:
            return
        lacking = self.proof.lacking(row)
        if lacking:
            name = text.text.partition("[")[0].strip()
            raise text.error(f"{word.name} of {name} needs a match that proves it is there: add {lacking}", name, 0)
