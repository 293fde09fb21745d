"""What every live object shows: one truthful line of text, and in a notebook a picture beside it.

Objects below `lab.ui` know nothing of notebooks: they inherit `Live` and write a `__repr__`. The pictures
are drawn by whatever `lab.ui` has registered for the class; without it the text stands alone.
"""

import html
from importlib import import_module

_pictures = {}
DRAWINGS = "lab.ui.html"  # imported only when somebody looks


def pictures(kind):
    """Register the function that draws the HTML of a class: `@pictures(Port)`."""

    def register(draw):
        _pictures[kind] = draw
        return draw

    return register


def picture(thing):
    """The HTML of a live object."""
    for kind in type(thing).__mro__:
        if kind in _pictures:
            return _pictures[kind](thing)
    return f"<pre>{html.escape(repr(thing))}</pre>"


def many(n, word):
    """A number with its word.

    >>> many(1, "packet"), many(2, "packet")
    ('1 packet', '2 packets')
    """
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


class Live:
    """An object that can be looked at."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        import_module(DRAWINGS)
        return {"text/plain": repr(self), "text/html": picture(self)}
