"""Text with places: what a person typed, cut into words that know where they stand.

The parsers of matches and actions read a `Text` and, when a word is wrong, ask it for the error. What a word means
is not known here.
"""
import re
from typing import NamedTuple

from lab.openflow.errors import CommandError, nearest

_SPACE = re.compile(r"[\s,]+")
_PLAIN_VALUE = re.compile(r'[^\s,()"]*(?=[\s,]|$)')
_NAME = re.compile(r'"[^"]*"|[^\s,:=("]+')


class Word(NamedTuple):
    """One setting of a rule: a name, and the value behind it if there is one."""

    name: str
    at: int
    value: str | None
    value_at: int


class Text:
    """A part of a command, and for each of its letters the place in the command."""

    def __init__(self, text, command=None, spots=None):
        self.text = text
        self.command = text if command is None else command
        self.spots = range(len(text) + 1) if spots is None else spots

    def part(self, start, end):
        """The letters from `start` to `end`."""
        return Text(self.text[start:end], self.command, self.spots[start:end + 1])

    def error(self, problem, word, at, choices=(), suggestion=""):
        """The error for a word of this text; of `choices` the nearest is named."""
        place = self.spots[min(at, len(self.spots) - 1)] if len(self.spots) else 0
        return CommandError(problem, self.command, word, place, suggestion or nearest(word, choices))

    def words(self):
        """The settings in this text, which commas or spaces separate: `name`, `name=value`, `name:value`, `name(value)`."""
        at, found = _SPACE.match(self.text).end() if _SPACE.match(self.text) else 0, []
        while at < len(self.text):
            name = _NAME.match(self.text, at)
            if name is None:
                raise self.error(f"a name is missing before {self.text[at]!r}", self.text[at], at)
            word, at = self._with_value(name)
            found.append(word)
            gap = _SPACE.match(self.text, at)
            if gap is None and at < len(self.text):
                raise self.error(f"a comma is missing before {self.text[at]!r}", self.text[at], at)
            at = gap.end() if gap else at
        return found

    def _with_value(self, name):
        at = name.end()
        sign = self.text[at:at + 1]
        if sign == "(":
            end = self._end_of_value(at)
            if self.text.startswith("->", end):  # check_pkt_larger(100)->reg0[0]: the value is all of it
                end = self._end_of_value(end)
                return Word(name[0], name.start(), self.text[at:end], at), end
            return Word(name[0], name.start(), self.text[at + 1:end - 1], at + 1), end
        if sign and sign in ":=":
            end = self._end_of_value(at + 1)
            return Word(name[0], name.start(), self.text[at + 1:end], at + 1), end
        return Word(name[0], name.start(), None, at), at

    def _end_of_value(self, start):
        """Where a value ends: at a comma or a space that no parenthesis or quote encloses."""
        if plain := _PLAIN_VALUE.match(self.text, start):
            return plain.end()
        opened: list[int] = []
        quote: int | None = None
        for at in range(start, len(self.text)):
            letter = self.text[at]
            if quote is not None:
                quote = None if letter == '"' else quote
            elif letter == '"':
                quote = at
            elif letter == "(":
                opened.append(at)
            elif letter == ")":
                if not opened:
                    raise self.error("this parenthesis was never opened", ")", at)
                opened.pop()
            elif not opened and (letter == "," or letter.isspace()):
                return at
            if not opened and quote is None and letter == ")" and self.text[start] == "(":
                return at + 1
        if opened or quote is not None:
            at = opened[0] if opened else quote or 0
            raise self.error(f"this {self.text[at]} is never closed", self.text[at], at)
        return len(self.text)


def as_text(text):
    """A Text of a string, or the Text itself."""
    return text if isinstance(text, Text) else Text(text)
