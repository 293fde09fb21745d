"""The arena: one reserved range of addresses, everything a packet can change carved from its beginning.

Offsets count from the start of the range. The first page says where packets' bytes may lie (the windows), for checked
machine code. Behind it every region begins on a page of its own, so that a difference by pages is one by regions;
`places` is the directory: which table lies where. Memory of guests and of AF_XDP frames is mapped into the same
range, later on.
"""

import ctypes
import mmap
import os
import weakref

import numpy as np

from lab.memory.raw import FAULT_AT, WINDOWS_AT, Memory
from lab.memory.record import Group, Table

PAGE = 4096
RESERVE = 1 << 38  # 256 GB of addresses, so that a process has room for hundreds; less where the system grants less
_PROT_NONE, _READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE
_NORESERVE, _FIXED = 0x4000, 0x10
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_FAILED = ctypes.c_void_p(-1).value


class Range:
    """A reserved range of addresses; its memory goes when nothing refers to it any more."""

    def __init__(self):
        size = RESERVE
        while (base := _libc.mmap(None, size, _PROT_NONE, _NORESERVE | mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)) == _FAILED:
            size >>= 1
            if size < 1 << 30:
                raise MemoryError("not even 1 GB of address space can be reserved: raise the limit with `ulimit -v unlimited`")
        self.base, self.size = base, size
        # not at exit: cores may run until then, and the memory goes with the process anyway
        weakref.finalize(self, _libc.munmap, base, size).atexit = False

    def map(self, at, size, descriptor=None):
        """Put memory, anonymous or of a file, at an offset and return its bytes."""
        how = _FIXED | (mmap.MAP_SHARED if descriptor is not None else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
        got = _libc.mmap(self.base + at, size, _READ_WRITE, how, -1 if descriptor is None else descriptor, 0)
        if got != self.base + at:
            raise MemoryError(f"{size} bytes cannot be mapped: {os.strerror(ctypes.get_errno())}")
        data = (ctypes.c_ubyte * size).from_address(got)
        data.owner = self  # who holds a view of these bytes holds the range
        return data


class Arena:
    """The regions of one switch in one range.

    `layout` maps a name to (shape, counts, lanes): shape a Layout, a Group, or None for plain bytes.
    """

    def __init__(self, layout, *, huge=False, memfd=False):
        self.range = Range()
        self.base = self.range.base
        self.places = {}  # (name, lane, part) -> (offset, layout, count)
        at = PAGE
        for name, (shape, counts, lanes) in layout.items():
            for lane in lanes:
                for part, kind, count in _parts(shape, counts):
                    size = count * (kind.size if kind else 1)
                    self.places[name, lane, part] = (at, kind, count)
                    at += -(-size // PAGE) * PAGE
        self.size = at
        self.shadow_at = 1 << (at - 1).bit_length()  # where in the range a copy for comparing may lie
        self.descriptor = _memfd(at) if memfd else None
        self._data = self.range.map(0, at, self.descriptor)
        self.bytes = memoryview(self._data).cast("B")
        if huge:
            _libc.madvise(self.base, at, 14)  # MADV_HUGEPAGE: taken where the system grants it
        self._bundles = {name: shape for name, (shape, _, _) in layout.items() if isinstance(shape, Group)}
        self.windows = []
        first, _, count = self.places["memory", None, ""]
        self.open_window(first, first + count, self.bytes[first : first + count])

    def open_window(self, low, high, data):
        """Let packets' bytes lie between two offsets."""
        self.windows.append((low, high, data))
        directory = np.frombuffer(self._data, np.int64, PAGE // 8, 0)
        directory[WINDOWS_AT // 8] = len(self.windows)
        at = WINDOWS_AT // 8 + 2 * len(self.windows) - 1
        directory[at : at + 2] = low, high

    def forget_fault(self):
        """Before machine code is called: no access has been refused."""
        np.frombuffer(self._data, np.int64, 2, FAULT_AT)[:] = 0

    def fault(self):
        """(offset, length) of the last access that checked machine code refused, or None."""
        at, n = np.frombuffer(self._data, np.int64, 2, FAULT_AT).tolist()
        return (at & (1 << 64) - 1, n) if n else None

    @property
    def memory(self):
        """The packets' bytes, for the interpreted tempo."""
        return Memory(self.windows)

    def table(self, name, lane=None, part=""):
        """One region (or one table of a group) for the interpreted tempo."""
        if name in self._bundles and not part:
            shape = self._bundles[name]
            return shape.bundle(*(self.table(name, lane, key) for key in shape.layouts))
        at, kind, count = self.places[name, lane, part]
        return self.memory if kind is None else Table(self.bytes, at, kind, count)

    def array(self, name, lane=None, part=""):
        """One region as a NumPy structured array, for looking at and for control."""
        at, kind, count = self.places[name, lane, part]
        return np.frombuffer(self._data, kind.dtype if kind else np.uint8, count, at)

    def extent(self, name, lane=None):
        """The first offset and the end of a region with all its tables."""
        spans = [
            (at, at + count * (kind.size if kind else 1))
            for (n, which, _), (at, kind, count) in self.places.items()
            if (n, which) == (name, lane)
        ]
        return min(low for low, _ in spans), -(-max(high for _, high in spans) // PAGE) * PAGE

    def name_of(self, at):
        """Which region an offset lies in: (name, lane, part, record number, byte in the record)."""
        for (name, lane, part), (low, kind, count) in self.places.items():
            size = kind.size if kind else 1
            if low <= at < low + count * size:
                return name, lane, part, (at - low) // size, (at - low) % size
        return None


def _parts(shape, counts):
    if isinstance(shape, Group):
        return [(part, kind, counts[part]) for part, kind in shape.layouts.items()]
    return [("", shape, counts)]


def _memfd(size):
    descriptor = os.memfd_create("glasswitch")
    os.ftruncate(descriptor, size)
    return descriptor
