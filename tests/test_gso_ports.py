"""GSO and ports: the egress decision by offloads, partial GSO, batches that are full, borrowed payload, elements; and the reasons."""
import pytest
from scapy.all import Ether, Raw
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE
from scapy.layers.vxlan import VXLAN

from lab.memory.mbuf import ELEMENTS, EXTERNAL, FIRST_BUFFER, GSO, INDIRECT, L4_CSUM_PARTIAL, OUTER_L4_PARTIAL, ROOM
from lab.memory.mempool import take
from lab.memory.reasons import HEADED, NOT_CUT, PARTLY_SEGMENTED, REASONS, SEGMENTED
from lab.memory.record import NULL
from lab.offload.capabilities import NAMES
from lab.offload.gso.elements import make_elements
from lab.stages.split import split
from tests.gso_scene import ECN, TCPV4, all_back, both, cut, expected, finished, inner, load, look_at, metadata, run, scene, set_offloads

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4, V6 = ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=5), ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2")
TCP4, TCP6, UDP4 = V4 / TCP(flags="PAC", seq=9), V6 / TCP(flags="A"), V4 / UDP(sport=1, dport=2)
OUTER4 = ETHER / IP(src="192.0.2.1", dst="192.0.2.2", id=0x1000)
OUTER6 = ETHER / IPv6(src="2001:db8:1::1", dst="2001:db8:1::2")
PLAIN = OUTER4 / UDP(sport=9, dport=4789, chksum=0) / VXLAN(flags=8, vni=3) / TCP4
SUMMED = OUTER4 / UDP(sport=9, dport=4789) / VXLAN(flags=8, vni=3) / TCP4
PAYLOAD = bytes(range(251)) * 20
ALL = ("csum", "tso4", "tso6", "ecn", "uso", "tunnel", "tunnel-csum", "chains")


def count(reason):
    return int(scene().array("reasons")["count"][reason])


def events():
    """What was explained: (serial, code, a, b)."""
    trace = scene().table("trace")
    return [(trace[k].packet, REASONS[trace[k].reason].code, trace[k].a, trace[k].b) for k in range(1, trace[0].n + 1)]


@pytest.fixture
def tracing():
    trace = scene().table("trace")
    trace[0].on, trace[0].n = 1, 0
    yield trace
    trace[0].on, trace[0].n = 0, 0


@pytest.mark.parametrize(
    "packet, kind, offloads, lack",
    [
        (TCP4, None, (), "tso4"),
        (TCP4, None, ("csum",), "tso4"),
        (TCP4, None, ("tso4",), "csum"),
        (TCP4, None, ("csum", "tso6", "uso"), "tso4"),
        (TCP4, None, ("csum", "tso4", "chains"), None),
        (TCP4, None, ("csum", "tso4"), "chains"),
        (TCP4, TCPV4 | ECN, ("csum", "tso4"), "ecn"),
        (TCP4, TCPV4 | ECN, ("csum", "tso4", "ecn", "chains"), None),
        (TCP6, None, ("csum", "tso4"), "tso6"),
        (TCP6, None, ("csum", "tso6", "chains"), None),
        (UDP4, None, ("csum", "tso4"), "uso"),
        (UDP4, None, ("csum", "uso", "chains"), None),
        (PLAIN, None, ("csum", "tso4"), "tunnel"),
        (PLAIN, None, ("csum", "tso4", "tunnel", "chains"), None),
        (SUMMED, None, ("csum", "tso4", "tunnel-csum"), "tunnel"),
        (SUMMED, None, ALL, None),
        (SUMMED, None, ("csum", "tso4", "tunnel"), "chains"),
        (OUTER4 / GRE(proto=0x6558, chksum_present=1) / TCP4, None, ("csum", "tso4", "tunnel", "chains"), "tunnel-csum"),
    ],
)
def test_the_egress_decision(packet, kind, offloads, lack, tracing):
    packet = packet / Raw(PAYLOAD)
    left, dropped = cut(packet, 1000, offloads=offloads, checked=None, kind=kind, serial=5)
    assert dropped == []
    length = len(bytes(packet))
    if lack is None:
        assert [(p.gso_size, len(p.data)) for p in left] == [(1000, length)]
        assert events() == [(5, "passed whole", length, 1000)] and count(NOT_CUT) == 1
    else:
        assert [finished(p) for p in left] == expected(packet, 1000)
        assert events() == [(5, "segmented", length | NAMES.index(lack) << 32, 6 | 1000 << 32)] and count(SEGMENTED) == 1


def test_a_port_without_chains_takes_what_one_buffer_holds():
    packet = TCP4 / Raw(PAYLOAD[:1900])
    left, _ = cut(packet, 1000, offloads=("csum", "tso4"), checked=None)
    assert [(p.gso_size, len(p.data)) for p in left] == [(1000, len(bytes(packet)))]


def hardware(packet, size):
    """What a port makes of a large packet that repeats the headers in front of the inner packet, outer checksum and all, as they are."""
    whole, n = Ether(packet.data), packet.csum_start
    l4 = packet.data[n:]
    header = 20 if len(inner(whole)[0]) else 0
    payload = l4[header:]
    made = []
    for k in range(-(-len(payload) // size)):
        chunk = payload[k * size:(k + 1) * size]
        q = Ether(packet.data[:n + header] + chunk)
        ips, tcp = inner(q)
        for ip in ips:
            if isinstance(ip, IP):
                ip.id += k
                del ip.chksum
        tcp.seq += k * size
        flags = int(tcp.flags)
        tcp.flags = flags & ~(0x80 if k else 0) & ~(0 if (k + 1) * size >= len(payload) else 9)
        del tcp.chksum
        made.append(bytes(q))
    return made


@pytest.mark.parametrize("n", [5000, 5020, 2000, 4999])
@pytest.mark.parametrize(
    "packet",
    [SUMMED, OUTER6 / UDP(sport=9, dport=4789) / VXLAN(flags=8) / TCP6, OUTER4 / UDP(sport=9, dport=6081) / GENEVE(proto=0x6558) / TCP4],
    ids=["VXLAN", "VXLAN over IPv6", "Geneve"],
)
def test_partial_gso_leaves_two_packets_that_hardware_can_cut(packet, n, tracing):
    packet = packet / Raw((PAYLOAD * 2)[:n])
    left, dropped = cut(packet, 1000, offloads=("csum", "tso4", "tso6", "tunnel", "chains"), serial=6)
    assert dropped == []
    assert len(left) == (1 if n % 1000 == 0 else 2)
    assert [p.gso_size for p in left] == [1000, 0][: len(left)]
    assert left[0].flags & int(OUTER_L4_PARTIAL) == 0 and left[0].flags & int(GSO | L4_CSUM_PARTIAL) == int(GSO | L4_CSUM_PARTIAL)
    wire = hardware(left[0], 1000) + [finished(p) for p in left[1:]]
    assert wire == expected(packet, 1000)
    assert count(PARTLY_SEGMENTED) == 1 and count(SEGMENTED) == 0
    assert events() == [(6, "partly segmented", len(bytes(packet)) | 7 << 32, len(left) | 1000 << 32)]


def test_partial_gso_of_less_than_two_sizes_is_two_ordinary_segments():
    packet = SUMMED / Raw(PAYLOAD[:1500])
    left, _ = cut(packet, 1000, offloads=("csum", "tso4", "tunnel", "chains"))
    assert [finished(p) for p in left] == expected(packet, 1000)
    assert [p.gso_size for p in left] == [0, 0]


def test_a_batch_in_order_with_more_segments_than_places(tracing):
    """200 segments of one packet, 70 of another, small packets between: four batches and more, order kept, each told once."""
    tempo = scene()
    small = [bytes(V4 / UDP(sport=k, dport=1) / b"small") for k in range(3)]
    long, short = TCP4 / Raw(bytes(range(200)) * 100), UDP4 / Raw(bytes(range(70)) * 100)
    frames = [small[0], bytes(long), small[1], bytes(short), small[2]]
    fields = [{}, metadata(long, frames[1], 100), {}, metadata(short, frames[3], 100), {}]
    load(tempo, frames, fields)
    set_offloads(tempo, ())
    left, dropped = run(tempo)
    assert dropped == []
    assert [finished(p) for p in left] == [small[0], *expected(long, 100), small[1], *expected(short, 100), small[2]]
    assert [(serial, code) for serial, code, *_ in events()] == [(1, "segmented"), (3, "segmented")]
    assert count(SEGMENTED) == 2
    all_back(tempo)


def test_a_port_that_learns_tso_in_the_middle_of_a_cut_gets_the_rest_as_segments():
    tempo = scene()
    packet = TCP4 / Raw(bytes(range(250)) * 40)
    load(tempo, [bytes(packet)], [metadata(packet, bytes(packet), 100)])
    set_offloads(tempo, ())
    both(tempo, checked=False)
    tempo.table("bursts")[0].n, kept = 0, list(tempo.table("bursts")[0].pkt)
    assert tempo.table("cuts")[0].made == 64
    set_offloads(tempo, ALL)
    left, _ = run(tempo)
    assert [finished(p) for p in left] == expected(packet, 100)[64:]
    from lab.memory.mempool import give

    for i in kept:
        give(tempo.table("pool"), tempo.table("mbufs"), i)
    all_back(tempo)


def test_payload_that_was_borrowed_before_is_lent_by_its_root():
    """Segments of segments: the packet's own payload is in indirect mbufs, of which each goes back when it is cut."""
    tempo = scene()
    packet = TCP4 / Raw(PAYLOAD)
    data = bytes(packet)
    load(tempo, [data], [metadata(packet, data, 700)], cuts=(54,))
    mbufs, pool = tempo.table("mbufs"), tempo.table("pool")
    root = mbufs[tempo.packets[0]].next
    roots, last = [], tempo.packets[0]
    while root != NULL:
        after, i = mbufs[root].next, take(pool, mbufs)
        m = mbufs[i]
        m.buf, m.data_off, m.data_len, m.ol_flags, m.attached = mbufs[root].buf, mbufs[root].data_off, mbufs[root].data_len, INDIRECT, root
        mbufs[root].next = NULL
        mbufs[last].next, last = i, i
        roots.append(root)
        root = after
    set_offloads(tempo, ())
    left, _ = run(tempo)
    assert [finished(p) for p in left] == expected(packet, 700)
    assert {owner for p in left for _, owner, _ in p.segments[1:]} == set(roots)
    all_back(tempo)


@pytest.mark.parametrize("shared", [False, True])
def test_external_payload_goes_back_to_its_owner_once(shared):
    tempo = scene()
    packet = TCP4 / Raw(PAYLOAD)
    data = bytes(packet)
    load(tempo, [data], [metadata(packet, data, 700)], cuts=(54,))
    mbufs, pool = tempo.table("mbufs"), tempo.table("pool")
    heard, i, n = pool.head[0].ext_freed, mbufs[tempo.packets[0]].next, 0
    others = []
    while i != NULL:
        mbufs[i].ol_flags, mbufs[i].ext_owner, mbufs[i].ext_cookie = EXTERNAL, 3, 100 + n
        if shared:  # another packet refers to it as well
            other = take(pool, mbufs)
            mbufs[other].ol_flags, mbufs[other].attached, mbufs[i].refcnt = INDIRECT, i, 2
            others.append(other)
        i, n = mbufs[i].next, n + 1
    set_offloads(tempo, ())
    left, _ = run(tempo)
    assert [finished(p) for p in left] == expected(packet, 700)
    from lab.memory.mempool import give

    assert pool.head[0].ext_freed - heard == (0 if shared else n)
    for other in others:
        give(pool, mbufs, other)
    told = [pool.told[(heard + k) % len(pool.told)].cookie for k in range(n)]
    assert pool.head[0].ext_freed - heard == n and sorted(told) == list(range(100, 100 + n))
    all_back(tempo)


class Bag:
    """Regions by name, as elements.py wants them."""

    def __init__(self, tempo):
        self.mbufs, self.memory, self.pool = tempo.table("mbufs"), tempo.table("memory"), tempo.table("pool")


@pytest.mark.parametrize("size, payload", [(1448, 60000), (300, 30000), (1000, 5020), (2048, 2048 * 20), (5000, 12000)])
@pytest.mark.parametrize("packet", [TCP4, V6 / UDP(sport=1, dport=2)], ids=["TCP", "USO"])
def test_elements_get_headers_without_a_new_mbuf(packet, size, payload, tracing):
    tempo = scene()
    packet = packet / Raw((PAYLOAD * 12)[:payload])
    data = bytes(packet)
    load(tempo, [data], [metadata(packet, data, size) | {"serial": 9}])
    chain = make_elements(Bag(tempo), tempo.packets[0], len(data) - payload)
    tempo.table("bursts")[0].pkt[0] = chain
    assert tempo.table("mbufs")[chain].ol_flags & ELEMENTS
    set_offloads(tempo, ("csum",))
    taken = tempo.table("pool").head[0].taken
    left, dropped = run(tempo)
    assert dropped == []
    assert [finished(p) for p in left] == expected(packet, size)
    assert tempo.table("pool").head[0].taken == taken
    n = -(-payload // size)
    assert count(HEADED) == 1
    assert [e[:2] + e[3:] for e in events()] == [(9, "headers written", n | size << 32)]
    all_back(tempo)


def test_elements_of_one_segment_of_64_kb_refer_to_its_last_byte():
    """Bytes behind the 65 535th, which a guest's memory may have in one piece."""
    tempo = scene()
    data = bytes(TCP4 / Raw((PAYLOAD * 14)[:65495]))
    load(tempo, [data[:54]], [metadata(TCP4 / Raw(b"x"), data, 600)])
    mbufs = tempo.table("mbufs")
    m = mbufs[tempo.packets[0]]
    m.buf, m.data_len, m.pkt_len, m.ol_flags = FIRST_BUFFER + 1000 * ROOM, len(data), len(data), m.ol_flags | EXTERNAL
    tempo.arena.bytes[m.buf + m.data_off:m.buf + m.data_off + len(data)] = data
    chain = make_elements(Bag(tempo), tempo.packets[0], 54)
    assert look_at(tempo, chain).data == data
    tempo.unload()


def test_what_would_be_a_chain_too_long_is_not_split_and_no_drop_is_counted(tracing):
    tempo = scene()
    packet = TCP4 / Raw(PAYLOAD * 6)
    for size, chain in ((1448, True), (100, False)):
        load(tempo, [bytes(packet)], [metadata(packet, bytes(packet), size)])
        tempo.both(split)
        assert (tempo.table("bursts")[0].pkt[0] != tempo.packets[0]) == chain
        assert {REASONS[r].code for r in tempo.array("reasons")["count"].nonzero()[0]} == ({"split"} if chain else set())
    tempo.unload()


def test_elements_pass_whole_where_the_port_cuts():
    tempo = scene()
    packet = TCP4 / Raw(PAYLOAD)
    data = bytes(packet)
    load(tempo, [data], [metadata(packet, data, 1000)])
    tempo.table("bursts")[0].pkt[0] = make_elements(Bag(tempo), tempo.packets[0], 54)
    set_offloads(tempo, ALL)
    left, _ = run(tempo)
    assert [(p.gso_size, p.data) for p in left] == [(1000, data)]
    assert count(NOT_CUT) == 1
    all_back(tempo)


def test_a_chain_that_only_says_that_it_is_of_elements_is_cut_as_any_other():
    packet = TCP4 / Raw(PAYLOAD)
    left, _ = cut(packet, 1000, ol_flags=GSO | L4_CSUM_PARTIAL | ELEMENTS)
    assert [finished(p) for p in left] == expected(packet, 1000)
    assert count(HEADED) == 0 and count(SEGMENTED) == 1
