"""Where an offset becomes a value: loads, stores, copies, sums, wrapping arithmetic, fences.

A stage calls these functions in both tempos. Here is what each means in plain Python; its machine
form, one or two instructions, stands in `machine_bytes.py` and `machine_words.py`. Offsets and counts are ints, bits are uint64,
multi-byte header fields are in network order. In plain Python every access is checked; compiled,
it is checked when the stage was built so (as stages written in a cell are).
"""

import time

import numpy as np

ALL = (1 << 64) - 1
# The first page of the range: the last refused access (offset, length), then how many windows
# there are and the first offset and end of each. Checked machine code reads and writes it.
FAULT_AT, WINDOWS_AT = 32, 64


class MemoryFault(IndexError):
    """An access outside the windows that packets' bytes may lie in."""


class Memory:
    """The bytes of the packets, as plain Python sees them: one range, a few windows that are mapped."""

    def __init__(self, windows):
        self._windows = windows  # [(first offset, end, memoryview)], the arena's buffers first

    def at(self, at, n):
        """The mapped bytes that hold `n` bytes at offset `at`, and where in them they begin."""
        at, n = int(at), int(n)
        for low, high, data in self._windows:
            if low <= at and n >= 0 and at + n <= high:
                return data, at - low
        known = ", ".join(f"{low:#x} to {high:#x}" for low, high, _ in self._windows)
        raise MemoryFault(f"{n} bytes at offset {at:#x} lie outside the packets' memory ({known})")

    def bytes(self, at, n):
        """A copy of `n` bytes."""
        data, at = self.at(at, n)
        return bytes(data[at : at + int(n)])

    def write(self, at, value):
        """Store bytes."""
        data, at = self.at(at, len(value))
        data[at : at + len(value)] = value


def load8(memory, at):
    """One byte."""
    data, at = memory.at(at, 1)
    return data[at]


def load16(memory, at):
    """16 bits in network order."""
    data, at = memory.at(at, 2)
    return data[at] << 8 | data[at + 1]


def load32(memory, at):
    """32 bits in network order."""
    return int.from_bytes(memory.bytes(at, 4), "big")


def load64(memory, at):
    """64 bits in network order, as bits."""
    return np.uint64(int.from_bytes(memory.bytes(at, 8), "big"))


def store8(memory, at, value):
    """One byte; higher bits of the value are dropped."""
    memory.write(at, (int(value) & 0xFF).to_bytes(1, "big"))


def store16(memory, at, value):
    """16 bits in network order."""
    memory.write(at, (int(value) & 0xFFFF).to_bytes(2, "big"))


def store32(memory, at, value):
    """32 bits in network order."""
    memory.write(at, (int(value) & 0xFFFFFFFF).to_bytes(4, "big"))


def store64(memory, at, value):
    """64 bits in network order."""
    memory.write(at, (int(value) & ALL).to_bytes(8, "big"))


def copy(memory, to, at, n):
    """Move `n` bytes from offset `at` to offset `to`; the two may overlap."""
    memory.write(to, memory.bytes(at, n))


def copy_small(memory, to, at, n):
    """`copy` for headers and small frames, 1 to 128 bytes that do not overlap: no call, a few vector moves."""
    found = memory.bytes(at, n)
    memory.at(to, n)
    if n > 128:
        raise IndexError(f"copy_small of {n} bytes: it takes at most 128")
    memory.write(to, found)


def fill(memory, at, value, n):
    """Set `n` bytes to one value."""
    data, at = memory.at(at, n)
    data[at : at + int(n)] = bytes([int(value) & 0xFF]) * int(n)


def sum16(memory, at, n):
    """The ones' complement sum of `n` bytes, folded to 16 bits, an odd last byte padded (RFC 1071)."""
    data = memory.bytes(at, n)
    if len(data) & 1:
        data += b"\0"
    total = int(np.frombuffer(data, ">u2").sum(dtype=np.int64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _crc_table():
    """CRC32c of each byte; bits are reflected, as SCTP and the processor's instruction have them."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


CRC32C = _crc_table()


def crc32c(memory, crc, at, n):
    """The register of a CRC32c after `n` more bytes; it begins as all ones, and its complement is the CRC."""
    for byte in memory.bytes(at, n):
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 255]
    return crc


def prefetch(memory, at):
    """Ask the processor for a cache line that will be read soon."""


def clear(words):
    """Set every word of a nested array to zero."""
    view = words.raw()
    view[:] = bytes(len(view))


def copy_words(to, words):
    """Copy a nested array over another of the same length."""
    to.raw()[:] = words.raw()


def copy_line(to, source):
    """Copy the first cache line of a record over that of another: many fields in one move."""
    at, back = to._at, source._at
    to._bytes[at : at + 64] = source._bytes[back : back + 64]


def count_refs(m, n):
    """Add to an mbuf's `refcnt`, which several lanes may do at once; what it is then."""
    m.refcnt += n
    return m.refcnt


def same_words(a, b):
    """Whether two nested arrays of 64-bit words are equal: one comparison, not one a word."""
    return a.raw() == b.raw()


# multipliers of `masked_sum`, one for each word: odd, and far from each other
SPREAD = tuple((0x9E3779B97F4A7C15 * (2 * j + 3) ^ 0xC2B2AE3D27D4EB4F * (j + 1) << 1) & ALL | 1 for j in range(64))


def _blocks_of(words, blocks):
    """A number of blocks that the words have, at least one; anything else is refused."""
    if not 1 <= blocks <= len(words) // 8:
        raise IndexError(f"{blocks} blocks of {len(words) // 8}")
    return blocks


def same_blocks(a, b, blocks):
    """Whether the first `blocks` times eight words of two nested arrays are equal."""
    blocks = _blocks_of(a, blocks)
    return a.raw()[: 64 * blocks] == b.raw()[: 64 * blocks]


def masked_sum(words, mask, blocks):
    """The wrapping sum of (word & mask) * a constant of its place, over the first `blocks` times eight words."""
    blocks = _blocks_of(words, blocks)
    return np.uint64(sum((int(words[j]) & int(mask[j])) * SPREAD[j] for j in range(8 * blocks)) & ALL)


def masked_same(words, key, mask, blocks):
    """Whether `words` are the words of a key under a mask, over the first `blocks` times eight."""
    blocks = _blocks_of(words, blocks)
    return all(int(words[j]) == int(key[j]) & int(mask[j]) for j in range(8 * blocks))


def _picked(words, picks):
    """The words of the first block and of those whose bit is set; blocks that there are not are refused."""
    if not 0 <= picks < 1 << len(words) // 8:
        raise IndexError(f"blocks {picks:#b} of {len(words) // 8}")
    return [j for j in range(len(words)) if j < 8 or picks >> j // 8 & 1]


def picked_sum(words, mask, picks):
    """`masked_sum` over the first block and those whose bit is set in `picks` (bit 1 for the second block)."""
    return np.uint64(sum((int(words[j]) & int(mask[j])) * SPREAD[j] for j in _picked(words, picks)) & ALL)


def picked_same(words, key, mask, picks):
    """`masked_same` over the first block and those whose bit is set in `picks`."""
    return all(int(words[j]) == int(key[j]) & int(mask[j]) for j in _picked(words, picks))


def picked_join(to, mask, known, picks):
    """Add the bits of a mask that are not known to another one, over the first block and those whose bit is set in `picks`."""
    for j in _picked(to, picks):
        to[j] = to[j] | (mask[j] & ~known[j])


def masked_copy(to, words, mask):
    """Write (word & mask) of a nested array to another of the same length."""
    for j in range(len(to)):
        to[j] = words[j] & mask[j]


def u64(value):
    """Any integer as 64 bits."""
    return np.uint64(int(value) & ALL)


def i64(value):
    """64 bits, or any integer, as a count."""
    value = int(value) & ALL
    return value - (1 << 64) if value >> 63 else value


def mul(a, b):
    """The low 64 bits of a product of bits."""
    return np.uint64((int(a) * int(b)) & ALL)


def add(a, b):
    """The low 64 bits of a sum of bits."""
    return np.uint64((int(a) + int(b)) & ALL)


def low_bit(bits):
    """The number of the lowest bit that is set; 64 for none."""
    bits = int(bits)
    return (bits & -bits).bit_length() - 1 if bits else 64


def high_bit(bits):
    """How many bits it takes to write the value; 0 for none."""
    return int(bits).bit_length()


def acquire():
    """What is read after this was not read before it."""


def release():
    """What was written before this is seen by whoever sees what is written after it."""


def fence():
    """Both, and writes before it are visible before reads after it."""


def cycles():
    """The processor's time stamp counter; nanoseconds in plain Python."""
    return time.perf_counter_ns()


def call(address, world):
    """Call a compiled stage by its address. The interpreted tempo calls functions, not addresses."""
    raise TypeError("call() runs machine code: only compiled code may use it")


def address_of(view):
    """The address that a view is in machine code: its world. The interpreted tempo has objects there."""
    raise TypeError("address_of() belongs to compiled code")


def system(number, a, b):
    """A system call of two arguments without the interpreter's knowledge; only compiled code may use it."""
    raise TypeError("system() belongs to compiled code: the interpreted tempo has Python's own calls")


def apart(function):
    """Have a function compiled once and called, where others become part of each caller: for large ones, called in many places."""
    function.apart = True
    return function
