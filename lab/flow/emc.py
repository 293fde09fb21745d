"""The exact-match cache: 8192 entries, two places for a key, the whole key compared (blocks of it that are zero need no comparison)."""

import numpy as np

from lab.flow.key import WORDS
from lab.memory.raw import copy_words, i64, same_blocks
from lab.memory.record import NULL, Layout

ENTRIES = 8192
SECOND = np.uint64(13)  # the second place is told by the next 13 bits of the hash

emc_t = Layout("emc", line=True, w=("u8", WORDS), hash="u8", flow="u4", blocks="u4")


def emc_find(emc, key, h, blocks):
    """1 or 2 when the key (whose words end in its first `blocks` blocks) stands at that place of its hash, else 0."""
    if _holds(emc[i64(h) & (ENTRIES - 1)], key, h, blocks):
        return 1
    if _holds(emc[i64(h >> SECOND) & (ENTRIES - 1)], key, h, blocks):
        return 2
    return 0


def _holds(entry, key, h, blocks):
    return entry.hash == h and entry.flow != NULL and entry.blocks == blocks and same_blocks(entry.w, key.w, blocks)


def emc_put(emc, key, m):
    """Remember a packet's megaflow: in its own entry, an empty place, else over the second place; what it displaced, or NULL."""
    h = m.hash
    entry = emc[i64(h) & (ENTRIES - 1)]
    if entry.flow != NULL and not _holds(entry, key, h, m.blocks):
        entry = emc[i64(h >> SECOND) & (ENTRIES - 1)]
    old = entry.flow
    if entry.hash == h:
        old = NULL
    entry.hash = h
    entry.flow = m.flow
    entry.blocks = m.blocks
    copy_words(entry.w, key.w)
    return old


def emc_forget(emc, flows):
    """Clear the entries of megaflows that are gone."""
    for i in range(ENTRIES):
        if emc[i].flow != NULL and flows[emc[i].flow].alive == 0:
            emc[i].flow = NULL


def emc_clear(emc):
    """Forget everything."""
    for i in range(ENTRIES):
        emc[i].flow = NULL
