"""Small stages for the tests of the compiled tempo: what a checked build must refuse, and one around each raw primitive.

Arguments come in `keys[0]`, results go to `keys[1]`. They are written as in a cell, so they are built checked by default.
"""
from lab.memory.raw import (
    add,
    clear,
    copy,
    copy_small,
    copy_words,
    fill,
    high_bit,
    i64,
    load8,
    load16,
    load32,
    load64,
    low_bit,
    masked_copy,
    masked_same,
    masked_sum,
    mul,
    same_blocks,
    same_words,
    store8,
    store16,
    store32,
    store64,
    sum16,
    u64,
)
from lab.stages.stage import stage

# --- what must be refused: each with an argument that is fine and arguments that are not --------------


@stage
def index(keys, mbufs):
    """A record by its number."""
    mbufs[i64(keys[0].w[0])].mark = 7


@stage
def nested(keys, bursts):
    """A word of a nested array, read."""
    keys[1].w[0] = u64(bursts[0].pkt[i64(keys[0].w[0])])


@stage
def nested_store(keys, bursts):
    """A word of a nested array, written."""
    bursts[0].pkt[i64(keys[0].w[0])] = 5


@stage
def part_of_group(keys, pool):
    """A record of one table of a group."""
    pool.free[i64(keys[0].w[0])].index = 9


@stage
def blocks(keys):
    """A number of blocks."""
    keys[1].w[0] = masked_sum(keys[0].w, keys[0].w, i64(keys[0].w[0]))


@stage
def blocks_same(keys):
    """A number of blocks to compare."""
    if same_blocks(keys[0].w, keys[2].w, i64(keys[0].w[0])) or masked_same(keys[0].w, keys[1].w, keys[2].w, i64(keys[0].w[0])):
        keys[1].w[0] = u64(1)


@stage
def read8(keys, memory):
    """One byte."""
    keys[1].w[0] = u64(load8(memory, i64(keys[0].w[0])))


@stage
def read16(keys, memory):
    """Two bytes."""
    keys[1].w[0] = u64(load16(memory, i64(keys[0].w[0])))


@stage
def read32(keys, memory):
    """Four bytes."""
    keys[1].w[0] = u64(load32(memory, i64(keys[0].w[0])))


@stage
def read64(keys, memory):
    """Eight bytes."""
    keys[1].w[0] = load64(memory, i64(keys[0].w[0]))


@stage
def write8(keys, memory):
    """One byte."""
    store8(memory, i64(keys[0].w[0]), i64(keys[0].w[1]))


@stage
def write16(keys, memory):
    """Two bytes."""
    store16(memory, i64(keys[0].w[0]), i64(keys[0].w[1]))


@stage
def write32(keys, memory):
    """Four bytes."""
    store32(memory, i64(keys[0].w[0]), i64(keys[0].w[1]))


@stage
def write64(keys, memory):
    """Eight bytes."""
    store64(memory, i64(keys[0].w[0]), keys[0].w[1])


@stage
def move(keys, memory):
    """Many bytes from one place to another."""
    copy(memory, i64(keys[0].w[1]), i64(keys[0].w[0]), i64(keys[0].w[2]))


@stage
def move_small(keys, memory):
    """Up to 128 bytes from one place to another."""
    copy_small(memory, i64(keys[0].w[1]), i64(keys[0].w[0]), i64(keys[0].w[2]))


@stage
def flood(keys, memory):
    """Many bytes of one value."""
    fill(memory, i64(keys[0].w[0]), i64(keys[0].w[1]), i64(keys[0].w[2]))


@stage
def checksum(keys, memory):
    """The sum of many bytes."""
    keys[1].w[0] = u64(sum16(memory, i64(keys[0].w[0]), i64(keys[0].w[2])))


@stage
def divide(keys):
    """A quotient of counts."""
    keys[1].w[0] = u64(100 // i64(keys[0].w[0]))


@stage
def remainder(keys):
    """A remainder of counts."""
    keys[1].w[0] = u64(100 % i64(keys[0].w[0]))


@stage
def divide_bits(keys):
    """A quotient of bits."""
    keys[1].w[0] = keys[0].w[1] // keys[0].w[0]


@stage
def complain(keys):
    """An exception of one's own."""
    if i64(keys[0].w[0]) != 0:
        raise ValueError("no")
    keys[1].w[0] = u64(1)


def spin(keys):
    """A loop in a helper."""
    n = 0
    while i64(keys[0].w[0]) != 0:
        n += 1
    return n


@stage
def loop_in_helper(keys):
    """A loop that ends when its argument is zero, in a helper."""
    keys[1].w[0] = u64(spin(keys))


@stage
def loop(keys):
    """A loop that ends when its argument is zero."""
    n = 0
    while i64(keys[0].w[0]) != 0:
        n += 1
    keys[1].w[0] = u64(n)


# --- what must not compile ---------------------------------------------------------------------------


def ping(n):
    """One half of a circle of calls."""
    return pong(n)


def pong(n):
    """The other half."""
    return ping(n)


@stage
def circle(bursts):
    """Calls what calls what called it."""
    bursts[0].misses = ping(1)


@stage
def unknown_region(bursts, mbuffs):
    """Asks for a region that is not there."""
    bursts[0].misses = len(mbuffs)


@stage
def unknown_field(bursts):
    """Writes a field that is not there."""
    bursts[0].packet = 1


@stage
def unequal_arrays(keys, bursts):
    """Copies between nested arrays of different lengths."""
    copy_words(keys[0].w, bursts[0].miss)


@stage
def makes_a_list(bursts):
    """Wants memory of the interpreter."""
    bursts[0].misses = len([bursts[k] for k in range(bursts[0].n)])


# --- the primitives ------------------------------------------------------------------------------------


@stage(checked=False)
def words(keys):
    """Every function of one or two words."""
    a, b = keys[0].w[0], keys[0].w[1]
    out = keys[1].w
    out[0] = u64(i64(a))
    out[1] = u64(i64(a) >> 3)
    out[2] = mul(a, b)
    out[3] = add(a, b)
    out[4] = u64(low_bit(a))
    out[5] = u64(high_bit(a))
    out[6] = u64(i64(a) < i64(b))
    out[7] = u64(a < b)
    out[8] = u64(-i64(b) * 3)


@stage(checked=False)
def arrays(keys, masks):
    """Every function of nested arrays."""
    n = i64(keys[0].w[0]) % 4 + 1
    out = keys[4].w
    out[0] = u64(same_words(keys[1].w, keys[2].w))
    out[1] = u64(same_blocks(keys[1].w, keys[2].w, n))
    out[2] = masked_sum(keys[1].w, keys[3].w, n)
    out[3] = u64(masked_same(keys[1].w, keys[2].w, keys[3].w, n))
    masked_copy(keys[5].w, keys[1].w, keys[3].w)
    copy_words(keys[6].w, keys[1].w)
    clear(masks[0].w)


@stage(checked=False)
def octets(keys, memory):
    """Loads and stores of every width, copies and a sum."""
    at, to, n = i64(keys[0].w[0]), i64(keys[0].w[1]), i64(keys[0].w[2])
    out = keys[1].w
    out[0] = u64(load8(memory, at))
    out[1] = u64(load16(memory, at))
    out[2] = u64(load32(memory, at))
    out[3] = load64(memory, at)
    out[4] = u64(sum16(memory, at, n))
    store8(memory, to, i64(keys[0].w[3]))
    store16(memory, to + 8, i64(keys[0].w[3]))
    store32(memory, to + 16, i64(keys[0].w[3]))
    store64(memory, to + 24, keys[0].w[3])
    copy(memory, to + 40, at, n)
    fill(memory, to + 3000, i64(keys[0].w[3]), n)


REFUSED = (
    index, nested, nested_store, part_of_group, blocks, blocks_same, read8, read16, read32, read64, write8, write16, write32, write64, move,
    move_small, flood, checksum, divide, remainder, divide_bits, complain, loop, loop_in_helper)
PRIMITIVE = (words, arrays, octets, move_small, move, checksum)
