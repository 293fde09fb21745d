"""Whether two packets have the same bytes, for both profiles of GRO: headers are compared as they lie in memory."""

from lab.memory.raw import load8, load64


def same_bytes(memory, a, b, n):
    """1 when two ranges hold the same bytes."""
    k = 0
    while k + 8 <= n:
        if load64(memory, a + k) != load64(memory, b + k):
            return 0
        k += 8
    while k < n:
        if load8(memory, a + k) != load8(memory, b + k):
            return 0
        k += 1
    return 1
