"""External segments: frames that stay in a port's own memory, referred to by all tempos, and told of when they are free."""
import pytest
from walks import differences, memory

from lab import Switch
from lab.control.fork import fork
from lab.engine.wreck import give_up
from lab.memory.mbuf import EXTERNAL, INDIRECT
from lab.memory.mempool import give, take
from lab.memory.reasons import STAGE_FAILED
from lab.memory.record import NULL
from lab.ports.intake import OWN
from lab.ports.outside import OutsideFull

DATA = bytes(n * 11 & 255 for n in range(60_000))


def made(*rules, ports=3):
    sw = Switch(fail_mode="secure")
    for n in range(1, ports + 1):
        sw.add_port(f"vm{n}", mtu=65535)
    for rule in rules or ("actions=output:vm2",):
        sw.ofctl(f"add-flow {rule}")
    return sw


@pytest.fixture
def sw():
    made_here = made()
    yield made_here
    made_here.close()


def walk(sw):
    while sw.step() is not None:
        pass


def test_the_headers_are_the_switchs_own_and_the_rest_stays_outside(sw):
    vm1 = sw.ports["vm1"]
    assert vm1.inject(DATA, external=True) == 1
    mbufs = sw.engine.array("mbufs")
    assert vm1.outside.lent == {0: 1}
    (rest,) = [i for i in range(len(mbufs)) if mbufs["ol_flags"][i] & EXTERNAL]
    assert (int(mbufs["data_len"][rest]), int(mbufs["ext_owner"][rest]), int(mbufs["ext_cookie"][rest])) == (len(DATA) - OWN, 1, 0)
    assert sw.engine.arena.name_of(int(mbufs["buf"][rest])) is None, "it lies beside the arena"
    walk(sw)
    (packet,) = sw.ports["vm2"].sent
    assert packet.bytes() == DATA and [s.external for s in packet.segments] == [False, True]
    assert (vm1.outside.lent, vm1.outside.given_back) == ({}, [0])
    sw.mempool.check()


def test_a_frame_of_headers_alone_needs_no_memory_outside(sw):
    sw.ports["vm1"].inject(DATA[:OWN], external=True)
    assert sw.ports["vm1"].outside.lent == {}


def test_machine_code_reaches_the_same_bytes_and_leaves_the_same_memory(sw):
    other = made()
    for one in (sw, other):
        one.ports["vm1"].inject([DATA, DATA[:3000], DATA[:100]], external=True)
    walk(sw)
    other.run()
    assert differences(memory(sw), memory(other)) == []
    assert [p.bytes() for p in other.ports["vm2"].sent] == [DATA, DATA[:3000], DATA[:100]]
    assert other.ports["vm1"].outside.given_back == [0, 1]
    other.close()


def test_copies_for_several_ports_are_in_buffers_of_their_own():
    sw = made("in_port=1,actions=output:vm2,output:vm3", "in_port=2,actions=output(port=1,max_len=5000),output:vm3")
    sw.ports["vm1"].inject(DATA, external=True)
    sw.ports["vm2"].inject(DATA, external=True)
    walk(sw)
    copied, went = sw.ports["vm2"].sent[0], sw.ports["vm3"].sent[0]
    assert copied.bytes() == went.bytes() == DATA
    assert not any(s.external for s in copied.segments) and went.segments[-1].external
    (cut,) = sw.ports["vm1"].sent
    assert cut.bytes() == DATA[:5000] and not any(s.external for s in cut.segments)
    sw.mempool.check()
    sw.close()


def test_the_owner_is_told_when_the_last_that_refers_to_it_is_gone(sw):
    vm1 = sw.ports["vm1"]
    vm1.inject(DATA, external=True)
    pool, mbufs = (sw.engine.worlds[1].table(name) for name in ("pool", "mbufs"))
    lender = next(i for i in range(len(mbufs)) if int(mbufs[i].ol_flags & EXTERNAL))
    pieces = [take(pool, mbufs) for _ in range(3)]  # as GSO does
    for j in pieces:
        mbufs[lender].refcnt += 1
        mbufs[j].buf, mbufs[j].attached, mbufs[j].ol_flags, mbufs[j].next = mbufs[lender].buf, lender, INDIRECT, NULL
    vm1.empty()
    assert (vm1.outside.lent, vm1.outside.given_back) == ({0: 3}, [])
    for n, j in enumerate(pieces):
        assert vm1.outside.lent == {0: 3 - n} and vm1.outside.given_back == []
        give(pool, mbufs, j)
    assert (vm1.outside.lent, vm1.outside.given_back) == ({}, [0])
    sw.mempool.check()


def test_behind_a_stage_that_failed_borrowed_bytes_are_let_go_of_and_their_owner_is_told(sw):
    vm1 = sw.ports["vm1"]
    vm1.inject([DATA, DATA[:5000]], external=True)
    sw.step()
    pool, mbufs = (sw.engine.worlds[1].table(name) for name in ("pool", "mbufs"))
    lender = next(i for i in range(len(mbufs)) if int(mbufs[i].ol_flags & EXTERNAL) and int(mbufs[i].ext_cookie) == 1)
    pieces = [take(pool, mbufs) for _ in range(3)]
    for j in pieces:
        mbufs[lender].refcnt += 1
        mbufs[j].buf, mbufs[j].attached, mbufs[j].ol_flags, mbufs[j].next = mbufs[lender].buf, lender, INDIRECT, NULL
    out = sw.engine.array("outs", 1)[2]
    out["n"], out["pkt"][0] = 1, pieces[0]  # that one lives on
    give_up(sw.engine.conductor(1)[2], 0, STAGE_FAILED, 2)
    assert (vm1.outside.lent, vm1.outside.given_back) == ({1: 1}, [0]), "the chain that it was in is lost, what lives on keeps it"
    sw.mempool.check()
    give(pool, mbufs, pieces[0])
    out["n"] = 0
    assert (vm1.outside.lent, vm1.outside.given_back) == ({}, [0, 1])
    sw.mempool.check()


def test_slots_are_lent_in_turn_and_more_than_there_are_is_an_error(sw):
    vm1 = sw.ports["vm1"]
    assert vm1.inject([DATA] * 16, external=True) == 16
    with pytest.raises(OutsideFull, match="1 slots wanted, 0 of 16 are free"):
        vm1.inject(DATA, external=True)
    assert vm1.waiting == 16 and vm1.rx_drops == 1
    walk(sw)
    assert vm1.outside.given_back == list(range(16)) and len(sw.ports["vm2"].sent) == 16
    vm1.inject([DATA[:1000]] * 2, external=True)
    assert list(vm1.outside.lent) == [0, 1]
    sw.mempool.check()


def test_what_is_lent_is_right_after_stepping_back(sw):
    vm1 = sw.ports["vm1"]
    vm1.inject(DATA, external=True)
    walk(sw)
    steps = len(sw.timeline)
    while sw.back() is not None:
        pass
    assert (vm1.outside.lent, vm1.outside.given_back) == ({0: 1}, [])
    walk(sw)
    assert (vm1.outside.lent, vm1.outside.given_back, len(sw.timeline)) == ({}, [0], steps)
    assert sw.ports["vm2"].sent[0].bytes() == DATA
    sw.mempool.check()


def test_a_fork_has_outside_memory_of_its_own(sw):
    sw.ports["vm1"].inject(DATA, external=True)
    copy = fork(sw, "copy")
    start = sw.ports["vm1"].outside.at(0)
    sw.engine.arena.memory.write(start, bytes(100))
    walk(copy)
    walk(sw)
    assert copy.ports["vm2"].sent[0].bytes() == DATA != sw.ports["vm2"].sent[0].bytes()
    assert (copy.ports["vm1"].outside.given_back, sw.ports["vm1"].outside.given_back) == ([0], [0])
    copy.close()


def test_a_port_without_memory_of_its_own_says_so(sw, tmp_path):
    vm9 = sw.add_port("vm9", type="pcap", write=str(tmp_path / "out.pcap"))
    with pytest.raises(ValueError, match="port vm9: a pcap port has no memory of its own"):
        vm9.inject(bytes(1000), external=True)


def test_a_port_of_the_same_number_has_the_same_place(sw):
    first = sw.ports["vm1"].outside.at(0)
    windows = len(sw.engine.arena.windows)
    sw.remove_port("vm1")
    again = sw.add_port("vm1", ofport=1)
    assert again.outside.at(0) == first and len(sw.engine.arena.windows) == windows


def test_a_port_that_takes_no_chains_gets_one_buffer_or_a_reason():
    sw = made()
    sw.ports["vm2"].offloads.discard("chains")
    sw.ports["vm1"].inject([DATA[:1500], DATA[:5000]], external=True)
    walk(sw)
    (packet,) = sw.ports["vm2"].sent
    assert packet.bytes() == DATA[:1500] and [(s.length, s.external) for s in packet.segments] == [(1500, False)]
    assert (sw.counters["linearised"], sw.counters["dropped: chain"]) == (1, 1)
    assert sw.ports["vm1"].outside.lent == {} and sw.mempool.free == len(sw.mempool)
    sw.mempool.check()
    sw.close()
