"""Values under a mask, as a SET action writes them; fields of 48 bits. Checksums are the caller's."""

import numpy as np

from lab.memory.raw import i64, load16, load32, store16, store32, u64

LOW_32 = np.uint64(0xFFFFFFFF)
SHIFT_32 = np.uint64(32)


def blend(old, value, mask):
    """Bits of a value where the mask is set, the old ones elsewhere."""
    return (old & ~mask) | (value & mask)


def masked(old, act):
    """What a field of up to 63 bits becomes."""
    return i64(blend(u64(old), act.v0, act.m0))


def load48(memory, at):
    """48 bits, without a look at what follows them."""
    return u64(load16(memory, at)) << SHIFT_32 | u64(load32(memory, at + 2))


def set48(memory, at, act):
    """Set 48 bits."""
    new = blend(load48(memory, at), act.v0, act.m0)
    store16(memory, at, i64(new >> SHIFT_32))
    store32(memory, at + 2, i64(new & LOW_32))
