"""Glasswitch: a virtual switch you can see through.

`from lab import Switch` is all a notebook needs. The names are looked up when they are first
asked for, so that `import lab` stays quick and the floors below never import this file.
"""
from importlib import import_module

__version__ = "0.1.0"

_NAMES = {
    "Switch": "lab.control.switch",
    "CommandError": "lab.control.errors",
    "stage": "lab.stages.stage",
    "Packet": "lab.packet.packet",
    "load_ipython_extension": "lab.ui.magics",
}
__all__ = list(_NAMES)


def __getattr__(name):
    """Import the module that has `name`, once."""
    if name not in _NAMES:
        raise AttributeError(f"lab has no {name!r}; it has {', '.join(_NAMES)}")
    value = getattr(import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_NAMES])
