"""The hash of a packet, from its key, and how much of a key is in use.

Called by `parse` for each packet. The hash is what the EMC, the SMC and groups go by; packets of one flow have one, whatever else
differs. It is not RSS's Toeplitz.
"""

import numpy as np

from lab.flow.key import BLOCK, W_DST, W_IP, W_IPV4, W_IPV6_DST, W_IPV6_SRC, W_L4, W_SRC, WORDS
from lab.memory.raw import add, i64, mul, u64
from lab.packet.headers.ethernet import IPV6

ZERO, SHIFT_48, BYTE_0 = np.uint64(0), np.uint64(48), np.uint64(0xFF)
MIX_0, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0xD6E8FEB86659FD93)


def mix(x, y):
    """A hash of 128 bits: every bit of it depends on every bit of both."""
    h = add(mul(x, MIX_0), mul(y, MIX_1))
    h = mul(h ^ (h >> np.uint64(32)), MIX_2)
    return h ^ (h >> np.uint64(29))


def hash_key(m, w):
    """The packet's hash: addresses, ports and protocol, or what there is without IP; a recirculated packet gets another."""
    again = u64(m.recirc_id << 8)
    if m.l3_len == 0:
        return mix(w[W_DST], w[W_SRC] ^ again)
    addresses = w[W_IPV4]
    if i64(w[W_DST] >> SHIFT_48) == IPV6:
        addresses = mix(mix(w[W_IPV6_SRC], w[W_IPV6_SRC + 1]), mix(w[W_IPV6_DST], w[W_IPV6_DST + 1]))
    return mix(addresses, w[W_L4] ^ again ^ (w[W_IP] & BYTE_0))


def blocks_in_use(w):
    """How many blocks of a key there are up to its last word that is not zero."""
    last = 0
    for j in range(WORDS):
        if w[j] != ZERO:
            last = j
    return last // BLOCK + 1


def words_in_use(w):
    """How many words of a key are not zero."""
    n = 0
    for j in range(WORDS):
        if w[j] != ZERO:
            n += 1
    return n
