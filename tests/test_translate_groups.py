"""Groups, meters and check_pkt_larger in both tempos."""
import pytest
from both_tempos import C, Pair, tcp, udp

FRAME = udp()
FLOWS = [udp(sport=1000 + n, src=f"10.0.{n % 7}.1", dst=f"10.1.{n % 5}.2") for n in range(48)]


@pytest.fixture(scope="module")
def both():
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def pair(both):
    both.begin()
    return both


def test_every_bucket_of_all_gets_the_packet_as_it_came(pair):
    pair.groups(f"group_id=1,type=all,bucket=mod_dl_dst:{C},output:2,bucket=output:3,bucket=push_vlan:0x8100,output:4")
    pair.rules("ip,actions=dec_ttl,group:1,in_port")
    aged = udp(ttl=63)
    assert pair.send(FRAME) == {2: [udp(ttl=63, dl_dst=C)], 3: [aged], 4: [udp(ttl=63, tags=[(0, 0)])], 1: [aged]}


def test_indirect_is_its_one_bucket(pair):
    pair.groups(f"group_id=1,type=indirect,bucket=mod_dl_dst:{C},output:2")
    pair.rules("actions=group:1,output:3")
    assert pair.send(FRAME) == {2: [udp(dl_dst=C)], 3: [FRAME]}


def test_a_group_without_buckets_drops(pair):
    pair.groups("group_id=1,type=all")
    pair.rules("actions=group:1")
    assert sum(pair.why(FRAME).values()) == 1


def test_fast_failover_takes_the_first_bucket_whose_port_is_up(pair):
    pair.groups("group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3")
    pair.rules("actions=group:1")
    assert pair.send(FRAME) == {2: [FRAME]}
    pair.ofctl("mod-port vm2 down")
    assert pair.send(FRAME) == {3: [FRAME]}
    pair.ofctl("mod-port vm3 down")
    assert pair.why(FRAME) == {"dropped: no live bucket": 1}
    pair.ofctl("mod-port vm2 up")
    assert pair.send(FRAME) == {2: [FRAME]}
    pair.ofctl("mod-port vm3 up")


def test_buckets_watch_groups(pair):
    pair.groups("group_id=1,type=ff,bucket=watch_port:2,actions=output:2",
                "group_id=2,type=ff,bucket=watch_group:1,actions=group:1,bucket=watch_port:3,actions=output:3")
    pair.rules("actions=group:2")
    assert pair.send(FRAME) == {2: [FRAME]}
    pair.ofctl("mod-port vm2 down")
    try:
        assert pair.send(FRAME) == {3: [FRAME]}
    finally:
        pair.ofctl("mod-port vm2 up")


def test_select_keeps_a_flow_on_its_bucket_and_spreads_flows(pair):
    pair.ofctl("add-group -O OpenFlow15 group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst),"
               "bucket=output:2,bucket=output:3,bucket=output:4")
    pair.rules("actions=group:1")
    sent = pair.send(*FLOWS)
    assert set(sent) == {2, 3, 4} and sum(map(len, sent.values())) == len(FLOWS)
    again = pair.send(*FLOWS)
    assert {n: sorted(frames) for n, frames in sent.items()} == {n: sorted(frames) for n, frames in again.items()}
    for match, _ in [(flow.match, 0) for flow in pair.both[1].megaflows]:
        assert "nw_src=" in match and "nw_dst=" in match and "tp_src" not in match


def test_select_by_the_datapath_s_hash_recirculates_and_asks_for_a_few_bits(pair):
    pair.ofctl("add-group -O OpenFlow15 group_id=1,type=select,selection_method=dp_hash,bucket=output:2,bucket=output:3")
    pair.rules("actions=group:1,in_port")
    sent = pair.send(*FLOWS)
    assert set(sent) == {1, 2, 3} and len(sent[2]) + len(sent[3]) == len(sent[1]) == len(FLOWS)
    flows = [flow.match for flow in pair.both[1].megaflows]
    assert 2 <= len(flows) <= 17 and sum("dp_hash" in match for match in flows) == len(flows) - 1


def test_when_the_port_of_a_bucket_goes_down_the_others_take_its_flows(pair):
    pair.ofctl("add-group -O OpenFlow15 group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst),"
               "bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3,bucket=watch_port:4,actions=output:4")
    pair.rules("actions=group:1")
    before = pair.send(*FLOWS)
    pair.ofctl("mod-port vm3 down")
    try:
        after = pair.send(*FLOWS)
    finally:
        pair.ofctl("mod-port vm3 up")
    assert set(after) == {2, 4} and sum(map(len, after.values())) == len(FLOWS)
    assert set(before[2]) <= set(after[2]) and set(before[4]) <= set(after[4])


def test_a_bucket_of_weight_zero_gets_nothing(pair):
    pair.groups("group_id=1,type=select,bucket=weight:0,actions=output:2,bucket=weight:5,actions=output:3")
    pair.rules("actions=group:1")
    assert set(pair.send(*FLOWS)) == {3}


def test_groups_that_run_each_other_in_a_circle_are_refused_or_end(pair):
    pair.groups("group_id=1,type=all,bucket=output:2", "group_id=2,type=all,bucket=group:1")
    pair.rules("table=0,actions=group:2", "table=1,actions=group:2")
    assert pair.send(FRAME) == {2: [FRAME]}
    pair.ofctl("mod-group group_id=1,type=all,bucket=resubmit(,1),bucket=output:2")
    assert sum(pair.why(FRAME).values()) == 1


def test_what_a_bucket_resubmits_sees_its_changes(pair):
    pair.groups(f"group_id=1,type=all,bucket=mod_dl_dst:{C},resubmit(,1),bucket=resubmit(,1)")
    pair.rules("table=0,actions=group:1", f"table=1,priority=2,dl_dst={C},actions=2", "table=1,priority=1,actions=3")
    assert pair.send(FRAME) == {2: [udp(dl_dst=C)], 3: [FRAME]}


# --- meters and lengths --------------------------------------------------------------------------------


def test_a_meter_lets_a_burst_pass_and_then_its_rate(pair):
    pair.ofctl("add-meter -O OpenFlow13 meter=1,pktps,burst,bands=type=drop,rate=1000,burst_size=5")
    pair.rules("in_port=1,actions=meter:1,output:2")
    assert len(pair.send(*[FRAME] * 8)[2]) == 5
    pair.appctl("time/warp 3")
    assert len(pair.send(*[FRAME] * 8)[2]) == 3


def test_a_meter_counts_kilobits(pair):
    pair.ofctl("add-meter -O OpenFlow13 meter=1,kbps,burst,bands=type=drop,rate=480,burst_size=1")
    pair.rules("in_port=1,actions=meter:1,output:2")
    assert len(pair.send(*[FRAME] * 8)[2]) == 1000 // (8 * len(FRAME))


def test_check_pkt_larger_tells_long_packets_from_short_ones(pair):
    pair.rules("table=0,actions=check_pkt_larger(100)->reg0[3],resubmit(,1)", "table=1,priority=2,reg0=8/8,actions=2",
               "table=1,priority=1,actions=dec_ttl,3")
    short, exact, long_one = udp(payload=bytes(20)), udp(payload=bytes(58)), udp(payload=bytes(59))
    assert (len(exact), len(long_one)) == (100, 101)
    sent = pair.send(short, exact, long_one)
    assert sent == {2: [long_one], 3: [udp(payload=bytes(20), ttl=63), udp(payload=bytes(58), ttl=63)]}


def test_check_pkt_larger_in_the_middle_goes_on_with_what_follows(pair):
    pair.rules("ip,actions=dec_ttl,2,check_pkt_larger(60)->reg1[0],move:reg1[0..1]->nw_ecn[],3")
    assert pair.send(FRAME) == {2: [udp(ttl=63)], 3: [udp(ttl=63)]}
    bigger = tcp()
    assert len(bigger) > 60
    (left,) = pair.send(bigger)[3]
    assert left[15] == 1
