"""Inside a stage, line by line: run it as plain Python and stop when the n-th line is about to be executed.

Lines of the stage and of the functions it calls count; those of the tables' views and of the raw primitives do not.
"""

import linecache
import sys

from lab.memory import raw, record

_PRIMITIVE = {raw.__file__, record.__file__}
AROUND = 8  # lines shown above and below


class LineReached(BaseException):
    """The line was reached; `where` is what the interface shows of it."""

    def __init__(self, where):
        self.where = where


def run_to_line(function, arguments, line):
    """Call the stage and raise LineReached before its `line`-th line; returns if it has fewer."""
    seen = 0
    inside_of = {function.__code__.co_filename}

    def trace(frame, event, _):
        nonlocal seen
        if frame.f_code.co_filename in _PRIMITIVE:
            return None
        if not inside_of & {frame.f_code.co_filename} and not frame.f_globals.get("__name__", "").startswith("lab."):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                raise LineReached(_where(frame))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)


def _where(frame):
    name, at = frame.f_code.co_filename, frame.f_lineno
    lines = linecache.getlines(name)
    first = max(1, at - AROUND, frame.f_code.co_firstlineno)
    text = [text.rstrip("\n") for text in lines[first - 1 : at + AROUND]]
    return {
        "file": name.rsplit("/", 1)[-1],
        "function": frame.f_code.co_name,
        "at": at,
        "first": first,
        "text": text,
        "locals": {key: _short(value) for key, value in frame.f_locals.items() if not key.startswith("_")},
    }


def _short(value):
    """A value as a person reads it: numbers plain, the index of nothing by its name."""
    if isinstance(value, raw.Memory):
        return "the packets' bytes"
    text = "NULL" if isinstance(value, int) and value == record.NULL else repr(int(value) if hasattr(value, "dtype") else value)
    text = text.replace(f"={record.NULL}", "=NULL")
    return text if len(text) <= 80 else text[:77] + "..."
