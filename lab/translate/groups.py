"""Groups: which buckets of a group a packet takes.

`all` runs every bucket on a copy, `indirect` the only one, `fast_failover` the first that is live. `select` takes a
bucket by a hash: of fields that are then asked for, or the datapath's own, for which the packet is recirculated and
of which only as many bits are asked for as it takes to tell the buckets apart.
"""

import numpy as np

from lab.flow.actions import CREDIT_BUCKET, CREDIT_GROUP, HASH
from lab.flow.key import W_DST, W_HASH, W_IP, W_IPV4, W_IPV6_DST, W_IPV6_SRC, W_L4, W_SRC, W_VLAN
from lab.memory.raw import add, apart, i64, mul
from lab.memory.reasons import NO_BUCKET
from lab.memory.record import NULL
from lab.translate.emit import credit, note_why, put, read, say
from lab.translate.frames import BRANCH, BUCKETS, begin_branch, push_frame
from lab.translate.ledger import L_GROUP
from lab.translate.ofact import ALL, FAST_FAILOVER, SELECT
from lab.translate.records import WATCHES_NOTHING

BY_DATAPATH, BY_FIELDS = 0, 1
# what a hash over fields may take; 0 stands for addresses, protocol and ports
F_DL_SRC, F_DL_DST, F_VLAN, F_NW_SRC, F_NW_DST, F_PROTO, F_TP_SRC, F_TP_DST = (1 << n for n in range(8))
F_DEFAULT = 0xFF
MIX = np.uint64(0x9E3779B97F4A7C15)
MAC, HIGH, LOW = np.uint64(0xFFFFFFFFFFFF), np.uint64(0xFFFFFFFF << 32), np.uint64(0xFFFFFFFF)
SRC_PORT, DST_PORT, VID = np.uint64(0xFFFF << 48), np.uint64(0xFFFF << 32), np.uint64(0xFFF << 32)
EVERY = np.uint64(0xFFFFFFFFFFFFFFFF)
LEAST_HASH, MOST_HASH = 16, 256
HASH_BITS = np.uint64(0xFFFFFFFF)
IPV6_TYPE = 0x86DD


def port_lives(t, port):
    """Whether a port is there and up."""
    return 0 < port < len(t.ports) and t.ports[port].kind != 0 and t.ports[port].up != 0


def lives_alone(t, bucket):
    """Whether a bucket is live by the port it watches."""
    if bucket.watch_port == WATCHES_NOTHING:
        return bucket.watch_group == WATCHES_NOTHING
    return port_lives(t, bucket.watch_port)


@apart
def bucket_lives(t, b):
    """Whether a bucket is live: the port it watches is, or the group it watches has a live bucket."""
    bucket = t.rules.buckets[b]
    if lives_alone(t, bucket):
        return 1
    if bucket.watch_group != WATCHES_NOTHING and bucket.watch_group < len(t.rules.groups):
        group = t.rules.groups[bucket.watch_group]
        for other in range(group.first, group.first + group.n):
            if lives_alone(t, t.rules.buckets[other]):
                return 1
    return 0


@apart
def enter_group(t, g):
    """Begin the buckets of a group; 1 when the packet must be recirculated first, for its hash."""
    group = t.rules.groups[g]
    if group.alive == 0:
        note_why(t, NO_BUCKET)
        return 0
    credit(t, CREDIT_GROUP, g)
    if group.kind == ALL:
        frame = push_frame(t, BUCKETS, 0, 0)
        frame.a = group.first
        frame.b = group.first + group.n
        say(t, L_GROUP, g, NULL, 0)
        return 0
    if group.kind == SELECT and live_buckets(t, group) > 1:
        if group.method == BY_DATAPATH:
            put(t, HASH, 0, group.basis)
            return 1
        enter_bucket(t, g, choose(t, group, field_hash(t, group), MOST_HASH))
        return 0
    b = NULL
    for i in range(group.n - 1, -1, -1):
        one = group.first + i
        if (group.kind != FAST_FAILOVER and group.kind != SELECT) or takes_part(t, group, one) != 0:
            b = one
    enter_bucket(t, g, b)
    return 0


def takes_part(t, group, b):
    """1 when a bucket may be chosen."""
    if group.kind == SELECT and t.rules.buckets[b].weight == 0:
        return 0
    return bucket_lives(t, b)


def live_buckets(t, group):
    """How many buckets may be chosen."""
    n = 0
    for b in range(group.first, group.first + group.n):
        n += takes_part(t, group, b)
    return n


@apart
def enter_hashed(t, g):
    """After recirculation: the bucket that the datapath's hash chooses."""
    group = t.rules.groups[g]
    slots = slots_of(t, group)
    value = i64(read(t, W_HASH, np.uint64(slots - 1)))
    enter_bucket(t, g, choose(t, group, np.uint64(value), slots))


def slots_of(t, group):
    """Among how many values of the hash the buckets share: enough to tell their weights apart."""
    total = 0
    least = 0
    for b in range(group.first, group.first + group.n):
        weight = t.rules.buckets[b].weight
        total += weight
        if weight > 0 and (least == 0 or weight < least):
            least = weight
    slots = LEAST_HASH
    if least > 0:
        while slots < MOST_HASH and slots * least < total:
            slots = slots * 2
    return slots


def choose(t, group, value, slots):
    """The bucket of a hash value: of all that are live the one with the highest lot times weight, so few move when one goes."""
    best = NULL
    most = np.uint64(0)
    slot = value & np.uint64(slots - 1)
    for b in range(group.first, group.first + group.n):
        if takes_part(t, group, b) != 0:
            bucket = t.rules.buckets[b]
            lot = mix(add(mul(slot, MIX), np.uint64(bucket.number))) >> np.uint64(40)
            score = mul(lot + np.uint64(1), np.uint64(bucket.weight))
            if best == NULL or score > most:
                best = b
                most = score
    return best


def mix(h):
    """Spread every bit over all."""
    h = mul(h ^ (h >> np.uint64(32)), MIX)
    return h ^ (h >> np.uint64(29))


@apart
def field_hash(t, group):
    """A hash of the fields that a group names, asked for."""
    fields = group.fields
    if fields == 0:
        fields = F_DEFAULT
    h = np.uint64(group.basis)
    if fields & F_DL_SRC != 0:
        h = mix(add(h, read(t, W_SRC, MAC)))
    if fields & F_DL_DST != 0:
        h = mix(add(h, read(t, W_DST, MAC)))
    if fields & F_VLAN != 0:
        h = mix(add(h, read(t, W_VLAN, VID)))
    if fields & F_PROTO != 0:
        h = mix(add(h, read(t, W_IP, np.uint64(0xFF))))
    if fields & F_NW_SRC != 0:
        h = mix(add(h, address_hash(t, HIGH, W_IPV6_SRC)))
    if fields & F_NW_DST != 0:
        h = mix(add(h, address_hash(t, LOW, W_IPV6_DST)))
    if fields & F_TP_SRC != 0:
        h = mix(add(h, read(t, W_L4, SRC_PORT)))
    if fields & F_TP_DST != 0:
        h = mix(add(h, read(t, W_L4, DST_PORT)))
    return h


def address_hash(t, half, word):
    """An address of either version of IP."""
    if i64(read(t, W_DST, np.uint64(0xFFFF << 48)) >> np.uint64(48)) == IPV6_TYPE:
        return mix(add(read(t, word, EVERY), mul(read(t, word + 1, EVERY), MIX)))
    return read(t, W_IPV4, half)


def enter_bucket(t, g, b):
    """Run one bucket on the packet as it is now."""
    say(t, L_GROUP, g, b, 0)
    if b == NULL:
        note_why(t, NO_BUCKET)
        return
    bucket = t.rules.buckets[b]
    credit(t, CREDIT_BUCKET, b)
    begin_branch(t, BRANCH, bucket.acts, bucket.acts + bucket.n_acts)
