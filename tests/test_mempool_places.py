"""Where every mbuf is: each named once, whatever stage has it, and a count of references that is untrue is found."""
import numpy as np
import pytest

from lab import Switch
from lab.memory.mbuf import INDIRECT
from lab.memory.mempool import give, take
from lab.memory.record import NULL
from lab.offload.records import EGRESS_SIDE
from lab.stages.regions import HANDS, LANES, RING


@pytest.fixture
def sw():
    made = Switch(cores=2)
    made.add_port("vm1")
    made.add_port("vm2")
    yield made
    made.close()


def tables(sw, lane=1):
    return sw.engine.worlds[lane].table("pool"), sw.engine.worlds[lane].table("mbufs")


def taken(sw, segments=1):
    """A packet of so many segments that nothing refers to yet."""
    pool, mbufs = tables(sw)
    first = i = take(pool, mbufs)
    for _ in range(segments - 1):
        mbufs[i].next = take(pool, mbufs)
        i = mbufs[i].next
    return first


def found(sw):
    """How many mbufs are at each place, free ones left out."""
    return {place: n for place, n in sw.mempool.counts().items() if not place.startswith(("free", "trading"))}


def test_a_new_switch_has_all_mbufs_free(sw):
    assert found(sw) == {} and sw.mempool.free == len(sw.mempool)
    sw.mempool.check()


def test_a_packet_that_nothing_refers_to_is_lost(sw):
    taken(sw, 2)
    assert found(sw) == {"nowhere": 2}
    with pytest.raises(AssertionError, match="2 mbufs are lost or double"):
        sw.mempool.check()


def test_a_packet_that_two_places_have_is_double(sw):
    i = taken(sw)
    burst = sw.engine.array("bursts", 1)
    burst["n"], burst["pkt"][0, 0] = 1, i
    sw.engine.array("gro", 1, "items")["first"][3] = i
    with pytest.raises(AssertionError, match="twice: in hand, core 1 and held by GRO, core 1"):
        sw.mempool.check()


def test_what_waits_and_what_is_on_its_way_is_named(sw):
    sw.ports["vm1"].inject([bytes(60), bytes(5000)])
    assert found(sw) == {"waiting at vm1": 4}
    sw.step()
    assert found(sw) == {"in hand, core 1": 4}
    sw.mempool.check()


def test_what_goes_from_core_to_core_is_on_its_way(sw):
    rings, slots = sw.engine.array("rings", None, "ring"), sw.engine.array("rings", None, "slots")
    number = HANDS + LANES * 1 + 2
    slots["index"][int(rings[number]["first"]) + (int(rings[number]["tail"]) & (RING - 1))] = taken(sw, 3)
    rings["tail"][number] += 1
    assert found(sw) == {"on its way to core 2": 3}
    sw.mempool.check()


def test_what_gro_holds_and_has_ready_is_named(sw):
    sw.engine.array("gro", 2, "items")["first"][[0, 511]] = taken(sw, 2), taken(sw)
    ready = sw.engine.array("gro", 1, "ready")
    ready["n"][EGRESS_SIDE], ready["pkt"][EGRESS_SIDE, 0] = 1, taken(sw, 4)
    assert found(sw) == {"held by GRO, core 2": 3, "ready behind GRO, core 1": 4}
    sw.mempool.check()


def test_what_gso_is_cutting_is_named_with_its_port(sw):
    cut = sw.engine.array("cuts", 1)
    cut["first"], cut["n"], cut["pkt"][0, 1] = 1, 2, taken(sw, 5)
    sw.engine.array("lane", 1)["out"] = 2
    assert found(sw) == {"being cut for vm2, core 1": 5}
    sw.mempool.check()


def test_bytes_of_a_port_are_said_to_be_its_own(sw):
    sw.ports["vm1"].inject(bytes(1000), external=True)
    assert found(sw) == {"waiting at vm1": 1, "waiting at vm1, bytes of vm1": 1}
    sw.mempool.check()


def borrow(sw, lender):
    pool, mbufs = tables(sw)
    j = take(pool, mbufs)
    mbufs[lender].refcnt += 1
    mbufs[j].buf, mbufs[j].attached, mbufs[j].ol_flags = mbufs[lender].buf, lender, INDIRECT
    return j


def test_a_buffer_that_only_others_refer_to_is_lent(sw):
    pool, mbufs = tables(sw)
    lender = taken(sw, 2)
    pieces = [borrow(sw, lender) for _ in range(2)]
    burst = sw.engine.array("bursts", 1)
    burst["n"], burst["pkt"][0, :2] = 2, pieces
    cut = sw.engine.array("cuts", 1)
    cut["n"], cut["pkt"][0, 0] = 1, lender
    assert found(sw) == {"in hand, core 1": 2, "being cut for the controller, core 1": 2}
    sw.mempool.check()
    cut["n"] = 0
    give(pool, mbufs, lender)
    assert found(sw) == {"in hand, core 1": 2, "lent to 2 segments": 1}
    sw.mempool.check()
    burst["n"] = 1
    give(pool, mbufs, pieces[1])
    assert found(sw) == {"in hand, core 1": 1, "lent to 1 segment": 1}
    sw.mempool.check()
    burst["n"] = 0
    give(pool, mbufs, pieces[0])
    assert found(sw) == {} and int(np.sum(sw.engine.array("mbufs")["refcnt"])) == 0
    sw.mempool.check()


def test_a_count_of_references_that_is_untrue_is_found(sw):
    lender = taken(sw)
    piece = borrow(sw, lender)
    burst = sw.engine.array("bursts", 1)
    burst["n"], burst["pkt"][0, :2] = 2, (lender, piece)
    sw.mempool.check()
    sw.engine.array("mbufs")["refcnt"][lender] = 3
    with pytest.raises(AssertionError, match=rf"refcnt is untrue of mbuf {lender} \(in hand, core 1\): 3, and 2 refer to it"):
        sw.mempool.check()


def test_a_chain_that_goes_round_ends(sw):
    i = taken(sw)
    tables(sw)[1][i].next = i
    burst = sw.engine.array("bursts", 1)
    burst["n"], burst["pkt"][0, 0] = 1, i
    with pytest.raises(AssertionError, match="lost or double"):
        sw.mempool.check()
    tables(sw)[1][i].next = NULL
