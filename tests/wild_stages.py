"""Stages that go wrong, as somebody might write them in a cell: each stands in for the EMC and fails when a port-9999 packet comes."""
from lab.flow.key import W_L4
from lab.memory.raw import i64, load8
from lab.stages.stage import stage

POISON = 9999  # the UDP source port that sets a stage off
SHIFT = 48


def poisoned(bursts, keys):
    """Whether a packet of the burst has the source port that sets the stage off."""
    found = False
    for k in range(bursts[0].n):
        if i64(keys[k].w[W_L4]) >> SHIFT & 0xFFFF == POISON:
            found = True
    return found


def know_nobody(bursts):
    """Every packet is a miss."""
    burst = bursts[0]
    for k in range(burst.n):
        burst.miss[k] = k
    burst.misses = burst.n


@stage(checked=False)
def loops(bursts, keys):
    """Never ends."""
    know_nobody(bursts)
    if poisoned(bursts, keys):
        n = 0
        while bursts[0].n > 0:
            n += 1
        bursts[0].misses = n


@stage(checked=False)
def faults(bursts, keys, memory):
    """Reads where nothing is mapped."""
    know_nobody(bursts)
    if poisoned(bursts, keys):
        bursts[0].misses = load8(memory, 1 << 45)


@stage(checked=False)
def writes_far(bursts, keys, mbufs):
    """Writes to a record that is far outside."""
    know_nobody(bursts)
    if poisoned(bursts, keys):
        mbufs[1 << 36].flow = 0


@stage(checked=False)
def raises(bursts, keys):
    """Raises, and nobody checks."""
    know_nobody(bursts)
    if poisoned(bursts, keys):
        raise ValueError("poison")


@stage
def raises_checked(bursts, keys):
    """Raises in a checked build."""
    know_nobody(bursts)
    if poisoned(bursts, keys):
        raise ValueError("poison")


@stage
def loops_checked(bursts, keys):
    """Never ends by itself, but a checked build has a budget."""
    know_nobody(bursts)
    n = 0
    while poisoned(bursts, keys):
        n += 1
    bursts[0].misses = bursts[0].n


@stage
def out_of_range(bursts, keys, mbufs):
    """A checked build refuses the index."""
    know_nobody(bursts)
    if poisoned(bursts, keys):
        mbufs[len(mbufs)].flow = 0


def ever_deeper(bursts, n):
    """Calls itself."""
    return ever_deeper(bursts, n + bursts[0].n)


@stage
def recurses(bursts):
    """Calls what calls itself."""
    bursts[0].misses = ever_deeper(bursts, 1)


@stage(checked=False)
def quiet(bursts):
    """Does what an EMC that is off does."""
    know_nobody(bursts)
