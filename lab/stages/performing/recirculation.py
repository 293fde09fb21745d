"""The way back to parse: packets that wait for it, the hash they take along, and the length that chooses their id.

They wait in `again`, one batch for each number of times that a packet was recirculated, so that memory is bounded
however many copies of a packet go back. The conductor takes the deepest batch first (`lab.engine.route`).
"""

import numpy as np

from lab.flow.key import W_DST, W_IP, W_IPV4, W_IPV6_DST, W_IPV6_SRC, W_L4, W_SRC
from lab.memory.mbuf import HASHED
from lab.memory.raw import add, apart, i64, mul, u64
from lab.memory.reasons import RECIRC_LIMIT, RECIRCULATED, TOO_MANY_OUTPUTS
from lab.packet.headers.ethernet import IPV4
from lab.packet.headers.ipv4 import get_total
from lab.packet.headers.ipv6 import LENGTH as IPV6_LENGTH
from lab.packet.headers.ipv6 import get_payload
from lab.stages.burst import PASSES, ROOM, explain

MIX_0, MIX_1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
PROTO, LOW_32, TYPE_AT = np.uint64(0xFF), np.uint64(0xFFFFFFFF), np.uint64(48)
HALF = np.uint64(32)


@apart
def turn_back(out, i, number):
    """Put a packet among those that are parsed again, under an id: 0, or why it cannot be."""
    depth = out.bursts[0].depth + 1
    m = out.mbufs[i]
    if depth > out.config[0].recirc_limit or depth > PASSES:
        m.reason_a = depth - 1
        return RECIRC_LIMIT
    waiting = out.again[depth]
    n = waiting.n
    if n == ROOM:
        return TOO_MANY_OUTPUTS
    m.recirc_id = number
    waiting.pkt[n] = i
    waiting.n = n + 1
    out.lane[0].waits += 1
    out.reasons[RECIRCULATED].count += 1
    explain(out.trace, m, RECIRCULATED, number, depth)
    return 0


def stir(h, word):
    """A hash with one more word in it."""
    h = mul(add(h, word) ^ (h >> HALF), MIX_1)
    return h ^ (h >> np.uint64(29))


@apart
def hash_packet(m, key, basis):
    """Give a packet a hash of its addresses, ports and protocol, as they were when it was parsed; of its MAC addresses without IP."""
    w = key.w
    h = stir(mul(u64(basis + 1), MIX_0), w[W_IP] & PROTO)
    if m.l3_len == 0:
        h = stir(stir(h, w[W_DST]), w[W_SRC])
    h = stir(stir(h, w[W_IPV4]), w[W_L4])
    h = stir(stir(h, w[W_IPV6_SRC]), w[W_IPV6_SRC + 1])
    h = stir(stir(h, w[W_IPV6_DST]), w[W_IPV6_DST + 1])
    h = (h >> HALF) ^ (h & LOW_32)
    if h == np.uint64(0):
        h = np.uint64(1)
    m.dp_hash = i64(h)
    m.ol_flags = m.ol_flags | HASHED


@apart
def length_that_counts(memory, m, key, most):
    """A packet's length, cut to `most`, without the padding behind IP: what OVS compares."""
    length = m.pkt_len
    padding = 0
    if m.l3_len > 0:
        ip = m.buf + m.data_off + m.l2_len
        if i64(key.w[W_DST] >> TYPE_AT) == IPV4:
            padding = length - m.l2_len - get_total(memory, ip)
        else:
            padding = length - m.l2_len - IPV6_LENGTH - get_payload(memory, ip)
    if most < length:
        length = most
    return length - padding
