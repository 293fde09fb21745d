"""Geneve options: those that a port always pushes, and the one that the flow key knows.

`tunnel_ports[p].options` holds `n_options` bytes as they go on the wire, the first byte the highest of the first word; its last
word says which option the key knows (`add-tlv-map`): class << 32 | type << 16 | length of its value, 0 for none. `tunnels[i].opt0`
is that option's value, a number of 4 or 8 bytes; 0 stands for a packet without it.
"""

import numpy as np

from lab.memory.raw import apart, i64, load8, load32, load64, store32, store64, u64
from lab.packet.headers import geneve
from lab.packet.headers.geneve import get_option as geneve_get_option
from lab.packet.headers.geneve import get_options as geneve_get_options
from lab.packet.headers.geneve import option_length as geneve_option_length

MAPPED = 7  # the word of `options` that says which option the key knows
MOST_OPTIONS = 56  # bytes that a port may always push
HALF = np.uint64(32)
ZERO = np.uint64(0)


def value_length(mapping):
    """How long the value of the option is that the key knows, as it goes on the wire; 0 for none."""
    n = i64(mapping) & 0xFF
    if n == 0:
        return 0
    if n <= 4:
        return 4
    return 8


def name_of(mapping):
    """Class and type of the option that the key knows, as `geneve_get_option` has them."""
    word = i64(mapping)
    return (word >> 32 & 0xFFFF) << 8 | (word >> 16 & 0xFF)


@apart
def read_options(memory, at, mapping):
    """Whether all critical options are understood, and the value of the one that the key knows."""
    value = ZERO
    off = geneve.OPTIONS
    end = off + geneve_get_options(memory, at)
    wanted = value_length(mapping)
    while off < end:
        length = geneve_option_length(memory, at + off) - geneve.OPTION_VALUE
        if wanted != 0 and length == wanted and geneve_get_option(memory, at + off) == name_of(mapping):
            if length == 4:
                value = u64(load32(memory, at + off + geneve.OPTION_VALUE))
            else:
                value = load64(memory, at + off + geneve.OPTION_VALUE)
        elif load8(memory, at + off + geneve.OPTION_TYPE) & geneve.OPTION_CRITICAL != 0:
            return 0, value
        off += length + geneve.OPTION_VALUE
    return 1, value


def options_length(t, value):
    """How many bytes of options a packet with this value gets."""
    if value == ZERO or t.options[MAPPED] == ZERO:
        return t.n_options
    return t.n_options + geneve.OPTION_VALUE + value_length(t.options[MAPPED])


@apart
def write_options(memory, at, t, value):
    """Write the options of a port, and behind them the one that the key knows; 1 when one of them is critical."""
    critical = 0
    off = 0
    while off < t.n_options:
        word = t.options[off >> 3]
        if off & 4 == 0:
            word = word >> HALF
        store32(memory, at + off, i64(word) & 0xFFFFFFFF)
        off += 4
    if value != ZERO and t.options[MAPPED] != ZERO:
        write_value(memory, at + off, t.options[MAPPED], value)
    end = options_length(t, value)
    off = 0
    while off < end:
        if load8(memory, at + off + geneve.OPTION_TYPE) & geneve.OPTION_CRITICAL != 0:
            critical = 1
        off += geneve_option_length(memory, at + off)
    return critical


def write_value(memory, at, mapping, value):
    """Write the option that the key knows."""
    n = value_length(mapping)
    store32(memory, at, name_of(mapping) << 8 | n >> 2)
    if n == 4:
        store32(memory, at + geneve.OPTION_VALUE, i64(value) & 0xFFFFFFFF)
    else:
        store64(memory, at + geneve.OPTION_VALUE, value)
