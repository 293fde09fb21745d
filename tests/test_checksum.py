"""Checksums against RFC 1071's own words, against scapy, against recomputation, in both tempos."""
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.utils import checksum as scapy_checksum
from tempo import Tempo

from lab.memory.raw import store16, u64
from lab.packet.checksum import checksum_of, finish, fold, pseudo_ipv4, pseudo_ipv6, sum_chain, update16, update32
from lab.packet.text import memory_of
from lab.stages.stage import stage

TEMPO = Tempo()
words = st.integers(0, 0xFFFF)


@stage
def sum_all(bursts, mbufs, memory):
    """For the tests: leave in each packet's mbuf what the functions say of its bytes."""
    burst = bursts[0]
    for k in range(burst.n):
        m = mbufs[burst.pkt[k]]
        m.reason_a = sum_chain(memory, mbufs, burst.pkt[k], m.l2_len, m.pkt_len - m.l2_len)
        m.reason_b = update32(m.reason_a, m.tso_segsz << 16 | 7, m.l2_len << 16 | m.l3_len)
        if m.data_len >= 40:
            at = m.buf + m.data_off
            m.timestamp = pseudo_ipv4(memory, at, 17, m.pkt_len) << 16 | pseudo_ipv6(memory, at, 6, m.pkt_len)
            m.ext_cookie = u64(checksum_of(memory, at, 20, 10))


def slow_sum(data):
    """RFC 1071, word for word."""
    data += b"\0" * (len(data) & 1)
    total = 0
    for i in range(0, len(data), 2):
        total += data[i] << 8 | data[i + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_the_example_of_rfc_1071():
    assert fold(0x0001 + 0xF203 + 0xF4F5 + 0xF6F7) == 0xDDF2
    assert finish(0x2DDF0) == 0x220D


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=12), st.integers(0, 60))
def test_a_chain_sums_as_its_bytes_do_in_both_tempos(data, cuts, off):
    off = min(off, len(data))
    TEMPO.unload()
    m = TEMPO.table("mbufs")[TEMPO.load([data], cuts=cuts)[0]]
    m.l2_len, m.l3_len, m.tso_segsz = off, 3, 9
    TEMPO.both(sum_all)
    assert m.reason_a == slow_sum(data[off:])
    assert m.reason_b == update32(m.reason_a, 9 << 16 | 7, off << 16 | 3)


def test_a_chain_that_ends_early_sums_what_there_is():
    TEMPO.unload()
    i = TEMPO.load([b"\1\2\3\4\5"], cuts=[1, 1])[0]
    assert sum_chain(TEMPO.table("memory"), TEMPO.table("mbufs"), i, 1, 100) == slow_sum(b"\2\3\4\5")
    assert sum_chain(TEMPO.table("memory"), TEMPO.table("mbufs"), i, 5, 100) == 0
    assert sum_chain(TEMPO.table("memory"), TEMPO.table("mbufs"), i, 1, 2) == slow_sum(b"\2\3")


@given(st.binary(max_size=80))
def test_tcp_udp_and_icmp_over_ipv4_sum_as_scapy_says(payload):
    for proto, layer in ((6, TCP(seq=5)), (17, UDP(sport=1, dport=2))):
        packet = IP(src="10.0.0.1", dst="10.0.0.2", proto=proto) / layer / payload
        head, body = bytes(packet)[:20], bytes(packet)[20:]
        memory = memory_of(head)
        assert finish(slow_sum(body) + pseudo_ipv4(memory, 0, proto, len(body))) in (0, 0xFFFF)
        alone = finish(pseudo_ipv4(memory, 0, proto, len(payload)) + slow_sum(payload))
        assert alone == in4_chksum(proto, IP(src="10.0.0.1", dst="10.0.0.2"), payload)
        assert checksum_of(memory, 0, 20, 10) == IP(head).chksum
    assert finish(slow_sum(bytes(ICMP() / payload))) in (0, 0xFFFF)


@given(st.binary(min_size=1, max_size=80))
def test_pseudo_headers_of_ipv6_sum_as_scapy_says(payload):
    head = IPv6(src="fe80::1", dst="2001:db8::2", nh=17)
    memory = memory_of(bytes(head))
    assert finish(pseudo_ipv6(memory, 0, 17, len(payload)) + slow_sum(payload)) == in6_chksum(17, head, payload)
    assert finish(slow_sum(payload)) == scapy_checksum(payload)


@given(st.binary(min_size=20, max_size=60), words)
def test_the_checksum_of_a_header_does_not_depend_on_what_its_field_holds(data, field):
    data = bytearray(data)
    data[0] = 0x45
    before = checksum_of(memory_of(bytes(data)), 0, len(data), 10)
    store16(memory_of(memoryview(data)), 10, field)
    assert checksum_of(memory_of(bytes(data)), 0, len(data), 10) == before
    store16(memory_of(memoryview(data)), 10, before)
    assert slow_sum(bytes(data)) == 0xFFFF


@given(st.lists(words, min_size=2, max_size=30), st.integers(0, 28), words, words)
def test_an_update_equals_a_recomputation(data, k, new, other):
    """Only for words that are all zero, which no header is, the two ways to write zero would be told apart."""
    k %= len(data) - 1
    checksum = finish(sum(data))
    after = [*data[:k], new, *data[k + 1:]]
    assume(any(data) and any(after))
    assert update16(checksum, data[k], new) == finish(sum(after))
    both = [*data[:k], new, other, *data[k + 2:]]
    assume(any(both))
    assert update32(checksum, data[k] << 16 | data[k + 1], new << 16 | other) == finish(sum(both))


@given(words, words, words, words)
def test_an_update_leaves_a_wrong_checksum_as_wrong_as_it_was(checksum, wrong_by, old, new):
    assume(wrong_by not in (0, 0xFFFF))
    right, wrong = update16(checksum, old, new), update16(fold(checksum + wrong_by), old, new)
    assert fold((~wrong & 0xFFFF) + wrong_by) in (fold(~right & 0xFFFF), 0, 0xFFFF)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), words)
def test_an_update_by_sums_is_an_update_by_every_word(old, new, checksum):
    one_by_one = checksum
    for i in range(0, 16, 2):
        one_by_one = update16(one_by_one, int.from_bytes(old[i:i + 2], "big"), int.from_bytes(new[i:i + 2], "big"))
    assert (update16(checksum, slow_sum(old), slow_sum(new)) - one_by_one) % 0xFFFF == 0


def test_rfc_1624s_own_example_and_the_carry_that_carries_again():
    assert update16(0xDD2F, 0x5555, 0x3285) == 0x0000
    assert update16(0x0000, 0x0000, 0x0001) == 0xFFFE
