"""A what-if copy of a switch: its memory byte for byte, its ports, rules and stages, in a range of its own."""

import gc
import weakref

import numpy as np

from lab.engine.clearing import take_out
from lab.engine.core import Engine
from lab.ports.intake import give_back

UNCOLLECTED = 2  # closed forks, of some megabytes each, that may wait for Python to find them
_forks = weakref.WeakSet()


def fork(switch, name):
    """An independent copy of a stopped switch."""
    if sum(other.closed for other in _forks) >= UNCOLLECTED:
        gc.collect()  # a switch and its parts name each other, so nothing less lets their memory go
    copy = object.__new__(type(switch))
    copy.name, copy.closed = name, False
    copy.engine = Engine(switch.engine.size, switch.engine.cores)
    _copy_arena(switch.engine.arena, copy.engine.arena)
    copy._compose(like=switch)
    copy._serial = switch._serial
    copy._recorded.free = list(switch._recorded.free)
    copy.engine.pipeline.take_over(switch.engine.pipeline)
    for port in switch.ports.values():
        copy.ports.adopt(port.twin(copy))
    copy.options._emc = switch.options._emc
    copy.walk.sync()
    _forks.add(copy)
    return copy


def empty(switch):
    """Give back every packet that waits at a port or is in hand: what comes in next is alone."""
    for port in switch.ports.values():
        port.empty()
    for lane in switch.engine.lanes:
        for i in take_out(switch.engine, lane):
            give_back(switch.engine, i)
    switch.walk.sync()


def _copy_arena(source, target):
    """Copy what is not zero: the rest need not become memory."""
    for low, high, data in source.windows[1:]:  # memory of ports
        target.open_window(low, high, memoryview(target.range.map(low, high - low)).cast("B"))
        target.windows[-1][2][:] = data
    block = 1 << 16
    a, b = np.frombuffer(source.bytes, np.uint8), np.frombuffer(target.bytes, np.uint8)
    for at in range(4096, source.size, block):
        piece = a[at : at + block]
        if piece.any() or b[at : at + block].any():
            b[at : at + block] = piece
