"""Command lines: cut as a shell cuts them, and handed to the function of their command.

The three tools (`ofctl.py`, `vsctl.py`, `appctl.py`) are tables of such functions. Each word keeps its places in what was
typed, so that an error points at it even behind quotes. Nothing here knows what a command does.
"""
from dataclasses import dataclass, field
from typing import Any

from lab.openflow.errors import CommandError, nearest, placed
from lab.openflow.text import Text


class Printed(str):
    """What a command prints: a string that a notebook shows as text, and not at all when it is empty."""

    __slots__ = ()

    def __repr__(self):
        return str(self)

    def _ipython_display_(self):
        if self:
            print(self)


def split(line):
    """The words of a command line, quotes and backslashes taken away, each a Text with its places."""
    words, letters, spots, quote, at = [], [], [], "", 0
    started = None
    while at < len(line):
        c = line[at]
        if not quote and c.isspace():
            if started is not None:
                words.append(Text("".join(letters), line, [*spots, at]))
                letters, spots, started = [], [], None
            at += 1
            continue
        started = at if started is None else started
        if c == "\\" and quote != "'" and at + 1 < len(line):
            at += 1
            if line[at] != "\n":
                letters.append(line[at])
                spots.append(at)
        elif c == quote:
            quote = ""
        elif not quote and c in "'\"":
            quote, opened = c, at
        else:
            letters.append(c)
            spots.append(at)
        at += 1
    if quote:
        raise CommandError("this quote is never closed", line, quote, opened)
    if started is not None:
        words.append(Text("".join(letters), line, [*spots, at]))
    return words


def joined(words):
    """Several words as one Text, a space between them: `priority=1 actions=drop` needs no quotes."""
    text, spots = [], []
    for word in words:
        text.append(word.text)
        spots += word.spots
    return Text(" ".join(text), words[0].command, spots)


@dataclass
class Call:
    """One command with what was given to it."""

    sw: Any
    line: str
    verb: Text
    words: list = field(default_factory=list)    # the operands, without the bridge's name
    options: dict = field(default_factory=dict)  # name: Text of its value, or None

    def error(self, problem, word=None, choices=()):
        """The error of one of the words, or of the command's name."""
        word = word or self.verb
        return word.error(problem, word.text, 0, choices)

    def pointed(self, error):
        """An error that came from further in, at its word in this command, else at the command's name."""
        if error.command:
            return error
        return placed(error, self.verb.command) or self.error(error.problem)

    def one(self, what):
        """The only operand."""
        self.at_most(1)
        if not self.words:
            raise self.error(f"{self.verb.text} needs {what}")
        return self.words[0]

    def at_most(self, n):
        """Refuse more than `n` operands."""
        if len(self.words) > n:
            raise self.error(f"{self.verb.text} takes no {self.words[n].text!r}", self.words[n])

    def port(self, word):
        """The port that a word names, by name or number."""
        ports = self.sw.ports
        if word.text in ports:
            return ports[word.text]
        found = next((port for port in ports.values() if str(port.ofport) == word.text), None)
        if found is None:
            names = list(ports)
            known = "" if nearest(word.text, names) else f": the ports are {', '.join(names) or 'none yet'}"
            raise self.error(f"unknown port {word.text}{known}", word, names)
        return found


class Tool:
    """One of the command-line tools: its commands, and the options that all of them take."""

    def __init__(self, name, flags=(), valued=()):
        self.name, self.flags, self.valued = name, flags, valued  # `valued` options take the next word when there is no `=`
        self.commands = {}  # name: (function, usage)

    def command(self, name, usage=""):
        """Register the function of a command."""
        def register(function):
            self.commands[name] = function, usage
            return function
        return register

    def __call__(self, sw, line):
        """Run one command line, with or without the tool's name and the bridge's."""
        words = split(line)
        if words and words[0].text in (self.name, f"ovs-{self.name}"):
            words = words[1:]
        return Printed(self.run(sw, line, words))

    def run(self, sw, line, words):
        """Run a command whose words are cut already."""
        operands, options = self.sort(words)
        if not operands:
            raise CommandError(f"a command of {self.name} is missing: there are {', '.join(self.commands)}", line)
        verb, *operands = operands
        if verb.text not in self.commands:
            near = nearest(verb.text, self.commands)
            known = "" if near else f": there are {', '.join(self.commands)}"
            raise verb.error(f"{self.name} has no command {verb.text!r}{known}", verb.text, 0, self.commands)
        if operands and operands[0].text == sw.name:
            operands = operands[1:]
        return self.commands[verb.text][0](Call(sw, line, verb, operands, options)) or ""

    def sort(self, words):
        """Operands and options apart."""
        operands, options, at = [], {}, 0
        while at < len(words):
            word = words[at]
            at += 1
            if not word.text.startswith("-") or word.text == "-":
                operands.append(word)
                continue
            name, equals, _ = word.text.partition("=")
            if name[:2] in self.valued and len(name) > 2 and name[1] != "-":
                name, equals = name[:2], "-"  # -OOpenFlow13
                value = word.part(2, len(word.text))
            else:
                value = word.part(len(name) + 1, len(word.text)) if equals else None
            if name not in self.flags and name not in self.valued:
                raise word.error(f"{self.name} has no option {name}", name, 0, (*self.flags, *self.valued))
            if name in self.valued and not equals:
                if at == len(words):
                    raise word.error(f"{name} needs a value", name, 0)
                value = words[at]
                at += 1
            options[name] = value
        return operands, options

    def help(self):
        """What there is, a command a line."""
        return "\n".join(f"{name} {usage}".rstrip() for name, (_, usage) in sorted(self.commands.items()))
