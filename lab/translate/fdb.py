"""The MAC table: which port a MAC address of a VLAN was seen at.

Every lane writes entries of its own and reads those of all; the most recent one counts, so a station that moves to
a port of another core is found there. A place in the table is told by the hash of (VLAN, MAC): WAYS entries.

An entry is written so that other cores may read it at any moment: its key is cleared first and written last, and
whoever reads a port looks at the key once more behind it. Only then does `changes` move: whoever remembers `changes`
before translating notices what it missed.
"""

import numpy as np

from lab.memory.raw import acquire, apart, i64, mul, release, u64
from lab.memory.record import NULL, Group, Layout

WAYS = 8
BUCKETS = 2048
WAYS_IN_ALL = WAYS * BUCKETS
# key: 1 << 60 | vlan << 48 | mac, 0 for an empty one; port, `used` in microseconds, `fixed` for an entry that a person made
fdb_entry_t = Layout("fdb_entry", key="u8", used="i8", port="u4", fixed="u4")
fdb_head_t = Layout(
    "fdb_head",
    line=True,
    count="i8",
    changes="i8",  # what makes translations untrue: an address that is new, has moved or is gone
    learned="i8",
    moved="i8",
    expired="i8",
    evicted="i8",
    oldest="i8",  # no entry was used before this moment
    limit="i8",  # `limit` and `age` are config's, noted when the lane learned last: crediting has no config at hand
    age="i8",
    flushed="i8",  # the last request to forget that this lane has met
    flush="i8",  # of lane 0: how often control has asked the others to forget
    flush_port="i8",  # of lane 0: entries of this port only, 0: all
    flush_at="i8",  # of lane 0: when; packets from before do not bring back what was forgotten
)
fdb_g = Group("fdb", head=fdb_head_t, entries=fdb_entry_t)

ZERO, VALID = np.uint64(0), np.uint64(1 << 60)
VLAN_AT, VLAN_BITS, MAC_BITS = np.uint64(48), np.uint64(0xFFF), np.uint64(0xFFFFFFFFFFFF)
SPREAD, TOP = np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - 11)

assert BUCKETS == 1 << 11


def fdb_key(vlan, mac):
    """The key of an address (bits) in a VLAN (a count)."""
    return VALID | u64(vlan) << VLAN_AT | mac


def first_way(lane, key):
    """The first of the WAYS entries of a lane that may hold a key."""
    return lane * WAYS_IN_ALL + WAYS * i64(mul(key, SPREAD) >> TOP)


def own(fdb, lane, key):
    """A lane's entry of a key, or NULL."""
    first = first_way(lane, key)
    found = NULL
    for at in range(first, first + WAYS):
        if fdb.entries[at].key == key:
            found = at
    return found


@apart
def newest(fdb, key, now, age):
    """The entry of a key that counts, or NULL: one that a person made, else the one used last unless it is too old."""
    best = NULL
    used = -1
    for lane in range(len(fdb.head)):
        if fdb.head[lane].count != 0:
            at = own(fdb, lane, key)
            if at != NULL:
                entry = fdb.entries[at]
                if entry.fixed != 0:
                    return at
                if now - entry.used < age and entry.used > used:
                    best = at
                    used = entry.used
    return best


@apart
def look_up(fdb, key, now, age):
    """The port at which an address was seen last, or NULL."""
    at = newest(fdb, key, now, age)
    if at == NULL:
        return NULL
    acquire()
    port = fdb.entries[at].port
    acquire()
    if fdb.entries[at].key != key:
        return NULL  # another core has just given the place away
    return port


@apart
def learn(fdb, lane, key, port, now):
    """An address was seen at a port: 1 when that is news, so that translations may be untrue."""
    head = fdb.head[lane]
    at = newest(fdb, key, now, head.age)
    moved = 0
    if at != NULL:
        seen = fdb.entries[at]
        if seen.fixed != 0:
            return 0
        if seen.port != port:
            moved = 1
        if seen.used >= now:  # the clock may stand: who speaks last counts nevertheless
            now = seen.used + moved
    mine = own(fdb, lane, key)
    if mine == NULL:
        mine = make_room(fdb, lane, key)
        write_entry(fdb, mine, key, port, now)
        head.count += 1
    else:
        fdb.entries[mine].port = port
        release()
        fdb.entries[mine].used = now
    if now < head.oldest or head.count == 1:
        head.oldest = now
    if at != NULL and moved == 0:
        return 0
    release()
    if at == NULL:
        head.learned += 1
    else:
        head.moved += 1
    head.changes += 1
    return 1


@apart
def refresh_mac(fdb, lane, key, port, now):
    """A megaflow's packets came from a port, the last one at `now`: 1 when that is news. Who has spoken since then counts more."""
    if now < fdb.head[0].flush_at:
        return 0
    at = newest(fdb, key, now, fdb.head[lane].age)
    if at != NULL and fdb.entries[at].used >= now:
        return 0
    return learn(fdb, lane, key, port, now)


def write_entry(fdb, at, key, port, used):
    """Fill a place; no reader sees a key with what belonged to another."""
    entry = fdb.entries[at]
    entry.key = ZERO
    release()
    entry.port = port
    entry.fixed = 0
    entry.used = used
    release()
    entry.key = key


@apart
def make_room(fdb, lane, key):
    """A place for a new key. Entries make room for it when the lane has as many as it may, or the places of its hash are full."""
    head = fdb.head[lane]
    first = first_way(lane, key)
    while head.count >= head.limit and head.count > 0:
        at = oldest_from(fdb, lane, first)
        if at == NULL:
            head.count = 0
        else:
            evict(fdb, lane, at)
    for at in range(first, first + WAYS):
        if fdb.entries[at].key == ZERO:
            return at
    at = oldest_of(fdb, first)
    evict(fdb, lane, at)
    return at


def oldest_of(fdb, first):
    """Of WAYS entries the one that was used least recently, or NULL."""
    found = NULL
    for at in range(first, first + WAYS):
        if fdb.entries[at].key != ZERO and (found == NULL or fdb.entries[at].used < fdb.entries[found].used):
            found = at
    return found


def oldest_from(fdb, lane, first):
    """The least recently used entry of the first places, from `first` on, that hold any; NULL when all are empty."""
    base = lane * WAYS_IN_ALL
    found = oldest_of(fdb, first)
    passed = WAYS
    while found == NULL and passed < WAYS_IN_ALL:
        found = oldest_of(fdb, base + (first - base + passed) % WAYS_IN_ALL)
        passed += WAYS
    return found


def evict(fdb, lane, at):
    """Take an entry out because another needs room."""
    head = fdb.head[lane]
    fdb.entries[at].key = ZERO
    head.count -= 1
    head.evicted += 1
    release()
    head.changes += 1


@apart
def expire(fdb, lane, now, age):
    """Take out what a lane has not seen for so long; how many. Costs nothing while nothing can be that old."""
    head = fdb.head[lane]
    if head.count == 0 or now - head.oldest < age:
        return 0
    gone = 0
    seen = 0
    oldest = now
    at = lane * WAYS_IN_ALL
    while seen < head.count and at < (lane + 1) * WAYS_IN_ALL:
        entry = fdb.entries[at]
        at += 1
        if entry.key != ZERO:
            seen += 1
            if now - entry.used >= age:
                entry.key = ZERO
                gone += 1
            elif entry.used < oldest:
                oldest = entry.used
    head.oldest = oldest
    head.count = seen - gone
    head.expired += gone
    release()
    head.changes += gone
    return gone


@apart
def flush_lane(fdb, lane, port):
    """Forget what a lane has learned at a port (0: at any); how many."""
    head = fdb.head[lane]
    gone = 0
    seen = 0
    at = lane * WAYS_IN_ALL
    while seen < head.count and at < (lane + 1) * WAYS_IN_ALL:
        entry = fdb.entries[at]
        at += 1
        if entry.key != ZERO:
            seen += 1
            if port == 0 or entry.port == port:
                entry.key = ZERO
                gone += 1
    head.count = seen - gone
    release()
    head.changes += gone
    return gone


def flush_when_told(fdb, lane):
    """Forget, if control has asked for it since the lane was here last; how many."""
    asked = fdb.head[0].flush
    head = fdb.head[lane]
    if head.flushed == asked:
        return 0
    acquire()
    port = fdb.head[0].flush_port
    if asked - head.flushed > 1:
        port = 0
    head.flushed = asked
    return flush_lane(fdb, lane, port)


def changes_of(fdb):
    """How often anything has made translations untrue, over all lanes. Remember it before translating."""
    n = 0
    for lane in range(len(fdb.head)):
        n += fdb.head[lane].changes
    acquire()
    return n
