"""What stage parse makes of a frame, for whoever only asks: the same function, on tables of its own.

Nothing of the switch is read but its settings, and nothing is written: no mbuf is taken, no counter moves.
"""

import numpy as np

from lab.flow.key import W_DST, WORDS, key_t
from lab.memory.mbuf import FILL, mbuf_t
from lab.memory.raw import Memory
from lab.memory.reasons import LIMIT
from lab.memory.record import NULL, Table
from lab.packet.headers.ethernet import IPV4, IPV6
from lab.stages.burst import burst_t, reason_t, trace_t
from lab.stages.parse import parse
from lab.stages.performing.recirculation import hash_packet


def table(layout, n=1):
    """A table of zeroes."""
    return Table(bytearray(layout.size * n), 0, layout, n)


def parse_frame(engine, data, in_port=0, recirc_id=0, mark=0):
    """The 32 words of the key that a frame gets when it comes in through a port (by number).

    >>> from lab import Switch
    >>> from lab.flow.key import get
    >>> get(parse_frame(Switch().engine, bytes.fromhex("ffffffffffff 020000000001 0806"), in_port=2), "dl_type")
    2054
    """
    bursts, mbufs, keys = table(burst_t), table(mbuf_t), table(key_t)
    bursts[0].n = 1
    m = mbufs[0]
    m.in_port, m.recirc_id, m.mark = in_port, recirc_id, mark
    m.pkt_len, m.data_len, m.next = len(data), min(len(data), FILL), NULL
    # a first word behind the frame may be loaded before its length is looked at
    padded = bytearray(data[:FILL]) + bytearray(8)
    memory = Memory([(0, len(padded), memoryview(padded))])
    tables = {"bursts": bursts, "mbufs": mbufs, "keys": keys, "memory": memory, "config": engine.arena.table("config"),
              "reasons": table(reason_t, LIMIT), "trace": table(trace_t)}
    parse.function(*(tables.get(name) for name in parse.parameters))  # a packet of one segment and no tunnel asks for no more
    return tuple(int(keys[0].w[j]) for j in range(WORDS))


def hash_of_key(words, basis):
    """The dp_hash that the datapath gives a packet with this key."""
    m, key = table(mbuf_t)[0], table(key_t)[0]
    m.l3_len = int(int(words[W_DST]) >> 48 in (IPV4, IPV6))
    for j, word in enumerate(words[:WORDS]):
        key.w[j] = np.uint64(word)
    hash_packet(m, key, basis)
    return m.dp_hash
