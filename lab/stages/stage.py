"""A stage: one plain function over a burst, written once, run in two tempos.

Its parameters name the regions of the arena that it touches; they are the whole truth about what it may
read and change. Called, a stage runs as plain Python on the arena; the engine has it compiled from the
same source, elsewhere, and calls the machine code on the same memory.
"""

import inspect

from lab.stages.regions import VIEWS


class Stage:
    """A function over a burst, and the regions it touches."""

    def __init__(self, function, *, checked=False, traced=True):
        if not inspect.isfunction(function):
            raise TypeError(f"a stage is a function whose parameters name regions, not {function!r}")
        self.function = function
        self.traced = traced  # False compiles `explain` away: only to measure what it costs
        self.name = function.__name__
        self.checked = checked
        self.parameters = tuple(inspect.signature(function).parameters)
        self.touches = tuple(dict.fromkeys(name for p in self.parameters for name in (VIEWS[p].regions if p in VIEWS else (p,))))
        self.__doc__ = function.__doc__

    def __call__(self, *regions):
        return self.function(*regions)

    def __repr__(self):
        return f"<stage {self.name}({', '.join(self.touches)}){' checked' if self.checked else ''}>"

    @property
    def source(self):
        """The text of the function, as the interface shows it."""
        return inspect.getsource(self.function)


def stage(function=None, *, checked=None):
    """Declare a stage. One written in a notebook cell is built checked unless `checked=False` is asked for."""
    if function is None:
        return lambda f: stage(f, checked=checked)
    if checked is None:
        checked = not function.__module__.startswith("lab.")
    return Stage(function, checked=checked)
