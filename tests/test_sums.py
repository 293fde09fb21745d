"""Sums and CRCs over bytes, the primitives: in both tempos, at any offset, of any length, and refused outside the packets' memory."""
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from summed import ones_sum
from tempo import Tempo

from lab.memory.raw import crc32c, sum16
from lab.packet.crc32c import BEGIN, four_zeros, in_header
from lab.packet.text import memory_of
from lab.stages.stage import stage

TEMPO = Tempo()
LENGTHS = [*range(70), 126, 127, 128, 191, 192, 255, 256, 257, 319, 320, 511, 1447, 1448, 1449, 2047, 9000, 65_535]


@stage(checked=False)
def sums(bursts, mbufs, memory):
    """For the tests: the sum and the CRC of the bytes that the first mbuf names."""
    m = mbufs[bursts[0].pkt[0]]
    m.reason_a = sum16(memory, m.buf + m.l2_len, m.room)
    m.reason_b = crc32c(memory, m.dp_hash, m.buf + m.l2_len, m.room)


@stage(checked=False)
def crc_alone(bursts, mbufs, memory):
    """For the tests: the CRC alone."""
    m = mbufs[bursts[0].pkt[0]]
    m.reason_b = crc32c(memory, m.dp_hash, m.buf + m.l2_len, m.room)


def put(data, off, length, crc=BEGIN):
    """Bytes from the first buffer on, and what the stages are to sum of them."""
    TEMPO.unload()
    m = TEMPO.table("mbufs")[TEMPO.load([b"x"])[0]]
    m.buf = TEMPO.arena.extent("memory")[0]
    TEMPO.arena.bytes[m.buf:m.buf + len(data)] = data
    m.l2_len, m.room, m.dp_hash = off, length, crc
    return m


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("off", [0, 1, 6, 63])
def test_every_length_is_summed_alike_in_both_tempos(off, checked):
    data = random.Random(off).randbytes(65_535 + off)
    for n in LENGTHS:
        m = put(data, off, n)
        TEMPO.both(sums, checked=checked)
        assert m.reason_a == ones_sum(data[off:off + n]), n


@given(st.binary(max_size=700), st.integers(0, 0xFFFFFFFF))
def test_any_bytes_after_any_register(data, crc):
    put(data, 0, len(data), crc)
    TEMPO.both(sums)


def test_the_largest_words_lose_no_carry():
    for n in (64, 255, 256, 65_534):
        m = put(b"\xff" * n, 0, n)
        TEMPO.both(sums)
        assert m.reason_a == ones_sum(b"\xff" * n)


def test_the_check_value_of_crc32c():
    m = put(b"123456789", 0, 9)
    TEMPO.both(sums)
    assert m.reason_b ^ BEGIN == 0xE3069283
    assert in_header(0xE3069283) == 0x839206E3


def test_a_crc_goes_on_where_it_was():
    data = bytes(range(100))
    memory = memory_of(data)
    whole = crc32c(memory, BEGIN, 0, 100)
    for cut in range(101):
        assert crc32c(memory, crc32c(memory, BEGIN, 0, cut), cut, 100 - cut) == whole
    assert four_zeros(whole) == crc32c(memory_of(bytes(4)), whole, 0, 4)


@pytest.mark.parametrize("one", [sums, crc_alone])
def test_a_checked_build_refuses_bytes_outside_the_packets_memory(one):
    end = TEMPO.arena.extent("memory")
    m = put(b"", 0, 0)
    for at, length in ((end[1] - 8, 9), (end[0] - 1, 1), (1 << 40, 64), (end[0], 1 << 30)):
        m.buf, m.room = at, length
        assert TEMPO.run(one, checked=True) == 1
        with pytest.raises(IndexError):
            TEMPO.step(one)
    m.buf, m.room = end[1] - 8, 8
    assert TEMPO.run(one, checked=True) == 0
