"""Records: the shape of every table in the arena, and how plain Python reads one.

A `Layout` names the fields of a record; the compiled tempo reads the same layout in `machine.py`.
Here stand the views of the interpreted tempo, typed as compiled code types them:
a field of eight unsigned bytes holds *bits* and is a `numpy.uint64`; every other field holds a
*count* and is a Python int. NumPy's own record arrays are not used in stages: their scalars wrap
where compiled integers widen, and `r[-1]` would quietly take the last record.
"""

import struct
from collections import namedtuple

import numpy as np

CACHE_LINE = 64
NULL = 0xFFFFFFFF  # the index of nothing: out of every table's range, and unsigned
_CODES = {"u1": "B", "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i", "u8": "Q", "i8": "q"}


class Layout:
    """The fields of one kind of record, in order, and its NumPy dtype.

    >>> Layout("pair", a="u4", w=("u8", 2)).dtype.itemsize
    24
    """

    def __init__(self, name, *, line=False, **fields):
        self.name = name
        self.fields = {key: (code, 1) if isinstance(code, str) else code for key, code in fields.items()}
        plain = np.dtype([(key, code) if n == 1 else (key, code, n) for key, (code, n) in self.fields.items()], align=True)
        size = -(-plain.itemsize // CACHE_LINE) * CACHE_LINE if line else plain.itemsize
        offsets = [plain.fields[key][1] for key in self.fields]
        formats = [plain.fields[key][0] for key in self.fields]
        self.dtype = np.dtype({"names": list(self.fields), "formats": formats, "offsets": offsets, "itemsize": size})
        self.offsets = dict(zip(self.fields, offsets, strict=True))
        self.size = size
        self._view = None

    def __repr__(self):
        return f"<Layout {self.name}: {len(self.fields)} fields, {self.size} bytes>"

    @property
    def view(self):
        """The class whose instances stand for one record, for the interpreted tempo."""
        if self._view is None:
            self._view = _view_class(self)
        return self._view


class Group:
    """Tables that belong together and travel as one parameter: `pool.head`, `pool.free`.

    >>> Group("pair", left=Layout("a", x="u4"), right=Layout("b", y="u4"))
    <Group pair: left, right>
    """

    def __init__(self, name, **layouts):
        self.name, self.layouts = name, layouts
        self.bundle = namedtuple(name, layouts)

    def __repr__(self):
        return f"<Group {self.name}: {', '.join(self.layouts)}>"


class View:
    """Regions that travel as one parameter and are reached by name: `mind.desk.xlate`.

    `copies` says of which name there are two, and which field of which record names the one that is meant:
    {"rules": ("rules_b", ("desk", "xlate", "edition"))}.
    """

    def __init__(self, name, *regions, copies=None):
        self.name, self.regions, self.copies = name, regions, copies or {}
        self.bundle = namedtuple(name, regions)

    def __repr__(self):
        return f"<View {self.name}: {', '.join(self.regions)}>"


def _coder(code):
    """How to read a value, write one, and fold any integer into its range."""
    form = struct.Struct("<" + _CODES[code])
    bits, signed = form.size * 8, code[0] == "i"
    mask, top = (1 << bits) - 1, 1 << (bits - 1)

    def fold(value):
        value = int(value) & mask
        return value - mask - 1 if signed and value & top else value

    return form.unpack_from, form.pack_into, fold, form.size


def _field(code, offset):
    get, put, fold, _ = _coder(code)
    if code == "u8":

        def read(self):
            return np.uint64(get(self._bytes, self._at + offset)[0])
    else:

        def read(self):
            return get(self._bytes, self._at + offset)[0]

    def write(self, value):
        put(self._bytes, self._at + offset, fold(value))

    return property(read, write)


class Words:
    """A nested array of one record: indexed, never sliced, never negative."""

    __slots__ = ("_bytes", "_at", "_n", "_get", "_put", "_fold", "_size", "_wide")

    def __init__(self, data, at, n, code):
        self._bytes, self._at, self._n, self._wide = data, at, n, code == "u8"
        self._get, self._put, self._fold, self._size = _coder(code)

    def __len__(self):
        return self._n

    def __getitem__(self, i):
        value = self._get(self._bytes, self._place(i))[0]
        return np.uint64(value) if self._wide else value

    def __setitem__(self, i, value):
        self._put(self._bytes, self._place(i), self._fold(value))

    def _place(self, i):
        if not 0 <= i < self._n:
            raise IndexError(f"word {i} of {self._n}")
        return self._at + int(i) * self._size

    def raw(self):
        """The bytes of the whole array, for primitives that take it at once."""
        return memoryview(self._bytes)[self._at : self._at + self._n * self._size]

    def __repr__(self):
        return f"<Words {[int(self[i]) for i in range(self._n)]}>"


def _view_class(layout):
    body = {"__slots__": ("_bytes", "_at"), "__doc__": f"One {layout.name} record."}

    def init(self, data, at):
        self._bytes, self._at = data, at

    def show(self):
        shown = ", ".join(f"{key}={getattr(self, key)!r}" for key, (_, n) in layout.fields.items() if n == 1)
        return f"<{layout.name} {shown}>"

    body["__init__"], body["__repr__"] = init, show
    for key, (code, n) in layout.fields.items():
        offset = layout.offsets[key]
        if n == 1:
            body[key] = _field(code, offset)
        else:
            body[key] = property(lambda self, o=offset, n=n, c=code: Words(self._bytes, self._at + o, n, c))
    return type(layout.name, (), body)


class Table:
    """The records of one region, as plain Python sees them: `table[i].field`."""

    __slots__ = ("_bytes", "_at", "_n", "_size", "_view", "layout")

    def __init__(self, data, at, layout, n):
        self._bytes, self._at, self._n, self.layout = data, at, n, layout
        self._size, self._view = layout.size, layout.view

    def __len__(self):
        return self._n

    def __getitem__(self, i):
        if not 0 <= i < self._n:
            raise IndexError(f"{self.layout.name} {i} of {self._n}")
        return self._view(self._bytes, self._at + int(i) * self._size)

    def __repr__(self):
        return f"<Table of {self._n} {self.layout.name}>"
