"""`sw.ofctl(...)`: files of rules: read whole, and only then done, so that one bad line changes nothing.

A file has a rule a line, as dump-flows prints it or as add-flow takes it, maybe with `add`, `modify` or `delete` before it.
"""
import gc
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from lab.openflow.errors import CommandError, placed
from lab.openflow.rules.line import parse_line
from lab.openflow.rules.orders import ADD, said_of

OFTEN = 2000  # lines between two looks at the clock
SILENT = 0.5  # seconds after which somebody wants to know how far it is


def read_orders(call, word, ports, progress):
    """(line number, line, Order) of each line of a file that says something."""
    if word.text == "-":
        raise call.error("there is no standard input here: write the rules into a file, or give them one by one", word)
    try:
        lines = Path(word.text).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise call.error(f"{word.text} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}", word) from None
    found = []
    for n, line in enumerate(lines, 1):
        if n % OFTEN == 0:
            progress(n, len(lines))
        with Named(word, n, line):
            order = parse_line(line, ports)
        if order is not None:
            found.append((n, line, order))
    return found


@contextmanager
def uncollected():
    """Python's collector of cycles stands still: it would go through all that a large file makes, again and again, and find nothing."""
    working = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if working:
            gc.enable()


class Named:
    """Errors inside name the file and the line."""

    __slots__ = ("_where",)

    def __init__(self, *where):
        self._where = where

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, CommandError):
            word, n, line = self._where
            error = placed(error, line) or error
            where = f"{word.text} line {n}: {error.problem}"
            raise CommandError(where, error.command or line, error.word, error.position, error.suggestion) from None


def rules_of(call, word, ports, progress):
    """The rules of a file that only adds, by their place: {(table, priority, mask, value): (line number, line, Order)}."""
    found = {}
    for n, line, order in read_orders(call, word, ports, progress):
        with Named(word, n, line):
            if order.kind != ADD:
                raise CommandError("these lines are rules: only what adds has a meaning here", line, line.split()[0], 0)
        priority, match, _, _, table = said_of(order, 0)[:5]
        found[table, priority, match.mask, match.value] = n, line, order
    return found


def differs(entry, order):
    """Whether a rule is not what an order that adds would make of it."""
    said = order.cookie or 0, order.idle_timeout, order.hard_timeout, order.importance, order.actions
    return said != (entry.cookie, entry.idle_timeout, entry.hard_timeout, entry.importance, entry.actions)


@contextmanager
def line_of_progress(what):
    """A function `progress(done, total)` that draws one line in a terminal, and nothing elsewhere."""
    began, drawn, out = time.monotonic(), [], sys.stderr

    def progress(done, total):
        if out.isatty() and time.monotonic() - began > SILENT:
            drawn.append(True)
            print(f"\r{what}: {done} of {total}", end="", file=out, flush=True)
    try:
        yield progress
    finally:
        if drawn:
            print("\r" + " " * 60 + "\r", end="", file=out, flush=True)
