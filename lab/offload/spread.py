"""Which core a packet is spread to: a hash of addresses and ports as they lie in its first segment.

It is asked before `parse` has seen the packet, so it reads headers itself, and only as far as it needs: packets of one
flow give one hash, whatever else differs; fragments, of which only the first has ports, one by their addresses. What is no IP is
spread by its MAC addresses.
"""

import numpy as np

from lab.memory.raw import add, i64, load8, load16, load32, load64, mul, u64

ETH_LENGTH, TAG = 14, 4
IPV4, IPV6, DOT1Q, DOT1AD = 0x0800, 0x86DD, 0x8100, 0x88A8
TCP, UDP, SCTP = 6, 17, 132
FRAGMENT = 0x3FFF  # more of them, or an offset
MIX_0, MIX_1, HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(32)


def stir(h, word):
    """A hash with one more word in it."""
    h = mul(add(h, word) ^ (h >> HALF), MIX_1)
    return h ^ (h >> np.uint64(29))


def spread_hash(memory, m):
    """The hash of a packet's flow, 31 bits."""
    at = m.buf + m.data_off
    left = m.data_len
    h = MIX_0
    if left < ETH_LENGTH:
        return u64(0)
    off = 12
    kind = load16(memory, at + off)
    while (kind == DOT1Q or kind == DOT1AD) and left >= off + 2 * TAG:
        off += TAG
        kind = load16(memory, at + off)
    off += 2
    ports = 0
    if kind == IPV4 and left >= off + 20:
        h = stir(h, load64(memory, at + off + 12))
        if load16(memory, at + off + 6) & FRAGMENT == 0:
            ports = off + (load8(memory, at + off) & 15) * 4
        kind = load8(memory, at + off + 9)
    elif kind == IPV6 and left >= off + 40:
        for word in range(4):
            h = stir(h, load64(memory, at + off + 8 + 8 * word))
        ports = off + 40
        kind = load8(memory, at + off + 6)
    else:
        h = stir(stir(h, load64(memory, at)), u64(load32(memory, at + 8)))
    if ports != 0 and (kind == TCP or kind == UDP or kind == SCTP) and left >= ports + 4:
        h = stir(h, u64(load32(memory, at + ports)))
    return u64(i64(h >> np.uint64(33)))
