"""Meters: buckets of tokens, one for each band, as those of OVS's userspace datapath.

A band's bucket fills by its rate every millisecond up to its burst, and a packet takes out of every bucket what it
costs. A packet that finds too little in one is dropped, and counted for the band of the highest rate that it exceeded.
With several lanes each has buckets of its own, which fill with its share of the rate: tokens are counted in parts of a
lane, so that no share is rounded. What other bands than drop do (dscp_remark), OVS does not do here either.
"""

from lab.memory.raw import apart, i64, u64

TOKENS = 1000  # a packet costs a thousand, a bit one: a millisecond brings as many as the rate says


@apart
def within_rate(meter, state, m, now, lanes):
    """1 when a packet passes the meter, 0 when it is to be dropped."""
    if meter.alive == 0:
        return 1
    fill(meter, state, now // 1000, lanes)
    state.packets += 1
    state.bytes_ += m.pkt_len
    cost = TOKENS * lanes
    if meter.kbps != 0:
        cost = m.pkt_len * 8 * lanes
    exceeded = -1
    highest = -1
    for b in range(meter.n):
        level = i64(state.level[b])
        if level >= cost:
            state.level[b] = u64(level - cost)
        elif i64(meter.rate[b]) > highest:
            highest = i64(meter.rate[b])
            exceeded = b
    if exceeded < 0:
        return 1
    state.band_packets[exceeded] = u64(i64(state.band_packets[exceeded]) + 1)
    state.band_bytes[exceeded] = u64(i64(state.band_bytes[exceeded]) + m.pkt_len)
    return 0


def room_of(meter, b, lanes):
    """What a bucket holds when it is full; without a burst it holds a second's worth."""
    burst = i64(meter.burst[b])
    if burst == 0:
        burst = i64(meter.rate[b])
    return burst * TOKENS * lanes


def fill(meter, state, now, lanes):
    """Put into each bucket what the time since the last packet brings; all are full when the meter was set anew."""
    fresh = state.version != meter.version
    if fresh:
        state.version = meter.version
        state.packets = 0
        state.bytes_ = 0
        state.used = now
    passed = now - state.used
    if passed < 0:
        passed = 0
    for b in range(meter.n):
        room = room_of(meter, b, lanes)
        rate = i64(meter.rate[b])
        level = i64(state.level[b])
        if fresh or (rate > 0 and passed > room // rate):
            level = room
        else:
            level += passed * rate
        if level > room:
            level = room
        state.level[b] = u64(level)
        if fresh:
            state.band_packets[b] = u64(0)
            state.band_bytes[b] = u64(0)
    if passed > 0:
        state.used = now
