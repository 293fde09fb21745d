"""Chains: headers pulled up, chains copied into one buffer, for any cuts; every mbuf returns, and lent buffers stay as they are."""
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tempo import Tempo

from lab.memory.mbuf import ELEMENTS, FILL, FIRST_BUFFER, HEADROOM, INDIRECT, ROOM, own_buffer
from lab.memory.mempool import give, take
from lab.memory.reasons import LINEARISED, NOT_LINEAR, POOL_EMPTY
from lab.memory.record import NULL
from lab.offload.chains import LEAST_HEADROOM, copy_out, linearise, pull_up
from lab.stages.linear import linear

TEMPO = Tempo()
DATA = bytes(n * 7 & 255 for n in range(FILL * 3))


def tables():
    return TEMPO.table("memory"), TEMPO.table("mbufs"), TEMPO.table("pool")


def chain(data, cuts=(), headroom=HEADROOM):
    """A packet of these bytes, cut into segments of these lengths, in a pool that is otherwise full."""
    TEMPO.unload()
    TEMPO.table("trace")[0].on = 0
    (i,) = TEMPO.load([data], cuts=cuts)
    _, mbufs, _ = tables()
    if headroom != HEADROOM:
        move(i, headroom)
    assert content(i) == data and mbufs[i].pkt_len == len(data)
    return i


def move(i, headroom):
    """Let the first segment of a packet begin elsewhere in its buffer."""
    memory, mbufs, _ = tables()
    m = mbufs[i]
    first = memory.bytes(m.buf + m.data_off, m.data_len)
    m.data_off = headroom
    memory.write(m.buf + headroom, first)


def content(i):
    memory, mbufs, _ = tables()
    parts = []
    while i != NULL:
        m = mbufs[i]
        parts.append(memory.bytes(m.buf + m.data_off, m.data_len))
        i = m.next
    return b"".join(parts)


def segments(i):
    _, mbufs, _ = tables()
    lengths = []
    while i != NULL:
        lengths.append(mbufs[i].data_len)
        i = mbufs[i].next
    return lengths


def in_use():
    _, mbufs, pool = tables()
    return len(mbufs) - pool.head[0].n


def lend(i):
    """An mbuf that refers to the first segment of a packet."""
    _, mbufs, pool = tables()
    j = take(pool, mbufs)
    m, to = mbufs[i], mbufs[j]
    m.refcnt += 1
    to.buf, to.data_off, to.data_len, to.pkt_len = m.buf + m.data_off, 0, m.data_len, m.data_len
    to.attached, to.ol_flags = i, INDIRECT
    return j


def test_mbuf_0_has_the_buffer_behind_the_first_page():
    _, mbufs, _ = tables()
    assert [mbufs[n].buf for n in (0, 1, 4095)] == [FIRST_BUFFER, FIRST_BUFFER + ROOM, FIRST_BUFFER + 4095 * ROOM]


def test_an_mbuf_that_borrowed_has_its_own_buffer_again_when_it_is_free():
    _, mbufs, pool = tables()
    i = chain(DATA[:100])
    j = lend(i)
    assert content(j) == DATA[:100] and mbufs[j].buf != own_buffer(j)
    give(pool, mbufs, j)
    assert (mbufs[j].buf, mbufs[j].attached, mbufs[i].refcnt, in_use()) == (own_buffer(j), NULL, 1, 1)


# --- pull_up -------------------------------------------------------------------------------------

def test_headers_that_lie_together_are_left_alone():
    i = chain(DATA[:300], (64, 100))
    assert pull_up(*tables(), i, 64) == 1
    assert segments(i) == [64, 100, 136]


def test_bytes_move_up_and_what_is_empty_returns():
    i = chain(DATA[:300], (10, 20, 30))
    assert pull_up(*tables(), i, 60) == 1
    _, mbufs, _ = tables()
    assert (segments(i), mbufs[i].nb_segs, mbufs[i].pkt_len, in_use(), content(i)) == ([60, 240], 2, 300, 2, DATA[:300])


def test_a_part_of_a_segment_may_stay_behind():
    i = chain(DATA[:300], (10, 20, 30))
    assert pull_up(*tables(), i, 31) == 1
    assert (segments(i), content(i)) == ([31, 29, 240], DATA[:300])


def test_bytes_move_down_into_the_headroom_when_the_end_of_the_buffer_is_near():
    i = chain(DATA[:2000], (1000,), headroom=1176)
    assert pull_up(*tables(), i, 1100) == 1
    _, mbufs, _ = tables()
    assert (mbufs[i].data_off, segments(i), content(i)) == (ROOM - 1100, [1100, 900], DATA[:2000])


def test_sixty_four_bytes_of_headroom_stay():
    for n, done in ((ROOM - LEAST_HEADROOM, 1), (ROOM - LEAST_HEADROOM + 1, 0)):
        i = chain(DATA[:4000], (2000,))
        before = segments(i)
        assert pull_up(*tables(), i, n) == done
        assert content(i) == DATA[:4000] and (done or segments(i) == before)


@pytest.mark.parametrize("n", [301, 1 << 16])
def test_more_than_the_packet_has_is_refused(n):
    i = chain(DATA[:300], (100,))
    assert pull_up(*tables(), i, n) == 0
    assert segments(i) == [100, 200]


def test_a_length_that_lies_reads_no_mbuf_that_is_not_there():
    i = chain(DATA[:300], (100,))
    tables()[1][i].pkt_len = 5000
    assert pull_up(*tables(), i, 400) == 0
    assert segments(i) == [100, 200]


def test_a_buffer_that_is_lent_to_others_is_not_written_to():
    i = chain(DATA[:300], (100,))
    j = lend(i)
    assert pull_up(*tables(), i, 150) == 0
    assert (segments(i), content(j)) == ([100, 200], DATA[:100])


def test_a_buffer_of_another_is_not_written_to():
    i = chain(DATA[:300], (100,))
    j = lend(i)
    _, mbufs, _ = tables()
    mbufs[j].next, mbufs[j].pkt_len, mbufs[j].nb_segs = mbufs[i].next, 300, 2
    mbufs[i].next = NULL
    assert pull_up(*tables(), j, 150) == 0
    assert (segments(j), content(j)) == ([100, 200], DATA[:300])


def test_elements_that_are_still_to_get_headers_stay_as_they_are():
    i = chain(DATA[:300], (100,))
    tables()[1][i].ol_flags = ELEMENTS
    assert pull_up(*tables(), i, 150) == 0


cuts = st.lists(st.integers(0, 300), max_size=12)


@given(st.integers(1, 3000), cuts, st.integers(0, 3100), st.integers(LEAST_HEADROOM, ROOM - 301))
@example(1, [0, 0, 1], 1, HEADROOM)
@example(600, [300, 300], 600, ROOM - 301)
def test_whatever_the_cuts_a_pull_up_keeps_bytes_lengths_and_mbufs(size, lengths, n, headroom):
    if sum(lengths) < size - FILL or not lengths:
        lengths = [*lengths, 0]
        size = min(size, sum(lengths) + FILL)
    i = chain(DATA[:size], lengths, headroom)
    _, mbufs, _ = tables()
    before = segments(i)
    done = pull_up(*tables(), i, n)
    m, after = mbufs[i], segments(i)
    assert content(i) == DATA[:size] and m.pkt_len == size and m.nb_segs == len(after) == in_use()
    assert done == (n <= min(size, ROOM - LEAST_HEADROOM) or n <= before[0])
    assert (after[0] >= n) if done else (after == before)
    assert m.data_off + m.data_len <= ROOM and m.data_off >= min(headroom, LEAST_HEADROOM)


# --- linearise -----------------------------------------------------------------------------------

@given(st.integers(1, FILL), cuts)
@example(FILL, [0, 0, 300])
@example(300, [100, 200, 0, 0])
def test_whatever_the_cuts_a_chain_that_fits_is_one_buffer_afterwards(size, lengths):
    i = chain(DATA[:size], lengths)
    j = linearise(*tables(), i)
    _, mbufs, _ = tables()
    assert (content(j), segments(j), mbufs[j].nb_segs, mbufs[j].pkt_len, in_use()) == (DATA[:size], [size], 1, size, 1)
    assert mbufs[j].data_off >= min(HEADROOM, ROOM - size)


def test_a_chain_larger_than_a_buffer_stays_a_chain():
    i = chain(DATA[:FILL + 1], (10,))
    assert linearise(*tables(), i) == NULL
    assert segments(i) == [10, FILL - 9]


def test_a_chain_that_lends_its_first_buffer_is_copied_with_its_fields():
    i = chain(DATA[:300], (100,))
    _, mbufs, pool = tables()
    mbufs[i].serial, mbufs[i].hash, mbufs[i].csum_start, mbufs[i].in_port = 77, 5, 34, 3
    j = lend(i)
    k = linearise(*tables(), i)
    assert k != i and (content(k), segments(k), content(j)) == (DATA[:300], [300], DATA[:100])
    assert (mbufs[k].serial, int(mbufs[k].hash), mbufs[k].csum_start, mbufs[k].in_port) == (77, 5, 34, 3)
    assert in_use() == 3  # the copy, what was lent, and its lender
    give(pool, mbufs, j)
    assert in_use() == 1


def test_with_no_mbuf_left_a_copy_cannot_be():
    i = chain(DATA[:300], (100,))
    lend(i)
    tables()[2].head[0].n = 0
    assert linearise(*tables(), i) == NULL
    assert content(i) == DATA[:300]


@given(st.integers(1, 2000), cuts, st.integers(0, 2100), st.integers(0, 2100))
def test_any_bytes_of_a_chain_can_be_copied_out(size, lengths, off, n):
    i = chain(DATA[:size], lengths)
    memory, mbufs, _ = tables()
    at = own_buffer(4000)
    done = copy_out(memory, mbufs, i, off, min(n, ROOM), at)
    assert memory.bytes(at, done) == DATA[:size][off:off + min(n, ROOM)]


# --- the stage -----------------------------------------------------------------------------------

def test_linear_copies_chains_and_drops_what_fits_no_buffer_in_both_tempos():
    TEMPO.unload()
    TEMPO.load([DATA[:100], DATA[:FILL + 1], DATA[:1500], DATA[:FILL]], cuts=(60, 0, 30))
    _, mbufs, _ = tables()
    reasons = TEMPO.table("reasons")
    before = reasons[LINEARISED].count
    TEMPO.both(linear)
    burst = TEMPO.table("bursts")[0]
    assert int(burst.dropped) == 0b0010 and (mbufs[burst.pkt[1]].reason, mbufs[burst.pkt[1]].reason_a) == (NOT_LINEAR, FILL + 1)
    assert [segments(burst.pkt[k]) for k in (0, 2, 3)] == [[100], [1500], [FILL]]
    assert [content(burst.pkt[k]) for k in (0, 2, 3)] == [DATA[:100], DATA[:1500], DATA[:FILL]]
    assert reasons[LINEARISED].count == before + 3


def test_linear_leaves_single_segments_and_counts_an_empty_pool():
    TEMPO.unload()
    first, second = TEMPO.load([DATA[:300], DATA[:40]], cuts=(100,))
    lend(first)
    tables()[2].head[0].n = 0
    TEMPO.both(linear)
    _, mbufs, _ = tables()
    assert int(TEMPO.table("bursts")[0].dropped) == 0b01 and mbufs[first].reason == POOL_EMPTY
    assert content(second) == DATA[:40]


def test_linear_says_how_many_segments_lay_there():
    TEMPO.unload()
    TEMPO.load([DATA[:90]], cuts=(30, 30))
    trace = TEMPO.table("trace")
    trace[0].on, trace[0].n = 1, 0
    TEMPO.both(linear)
    trace[0].on = 0
    assert (trace[1].reason, trace[1].a, trace[1].b) == (LINEARISED, 3, 90)
