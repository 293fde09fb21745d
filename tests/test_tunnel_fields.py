"""The fields of a tunnel on their way through a switch: set, matched behind recirculation, kept by copies, in both tempos."""

import numpy as np
import pytest
from both_tempos import Pair, udp
from tempo import Tempo

from lab.flow.key import W_TUN_OPT, get
from lab.memory.mbuf import TUN_META
from lab.stages.parse import parse

FRAME = udp()


@pytest.fixture(scope="module")
def pair():
    made = Pair()
    yield made
    made.close()


def parsed(frames, through):
    """Keys of frames, of which those at the places of `through` have a record with the words 1 to 7 and the option 8."""
    tempo = Tempo()
    packets = tempo.load(frames)
    tempo.array("tunnels")["w"] = 0xAAAA  # what earlier packets left in the records counts for nothing
    for k in through:
        tempo.table("mbufs")[packets[k]].ol_flags |= TUN_META
        tempo.array("tunnels")["w"][packets[k]] = np.arange(1, 8)
        tempo.array("tunnels")["opt0"][packets[k]] = 8
    tempo.both(parse)
    mbufs = tempo.table("mbufs")
    return [tempo.key(k) for k in range(len(frames))], [(int(mbufs[i].hash), mbufs[i].blocks) for i in packets]


def test_a_key_has_the_words_of_the_packets_record_and_only_while_the_flag_says_so():
    (plain, tunnelled), _ = parsed([FRAME, FRAME], [1])
    assert tunnelled[19:26] == [1, 2, 3, 4, 5, 6, 7] and tunnelled[W_TUN_OPT] == 8
    assert plain[19:26] == [0] * 7 and plain[W_TUN_OPT] == 0
    assert tunnelled[:19] == plain[:19]
    assert [get(tunnelled, name) for name in ("tun_id", "tun_dst", "tun_flags", "tun_metadata0")] == [1, 2, 7, 8]


def test_packets_that_differ_in_their_tunnel_alone_differ_in_their_hash_and_all_blocks_of_their_key_count():
    _, ((plain, one), (tunnelled, all_of_it)) = parsed([FRAME, FRAME], [1])
    assert plain != tunnelled and (one, all_of_it) == (1, 4)


@pytest.mark.parametrize("action, match", [
    ("set_field:5->tun_id", "tun_id=5"), ("load:0xab->NXM_NX_TUN_ID[8..15]", "tun_id=0xab00"),
    ("set_field:10.9.8.7->tun_dst", "tun_dst=10.9.8.7"), ("set_field:10.9.8.7->tun_src", "tun_src=10.9.8.7"),
    ("set_field:fd00::7->tun_ipv6_dst", "tun_ipv6_dst=fd00::7"), ("set_field:fd00::7->tun_ipv6_src", "tun_ipv6_src=fd00::7"),
    ("set_field:oam->tun_flags", "tun_flags=+oam"), ("set_field:0xdeadbeef->tun_metadata0", "tun_metadata0=0xdeadbeef"),
])  # fmt: skip
def test_what_was_set_of_a_tunnel_is_matched_behind_recirculation(pair, action, match):
    pair.begin()
    # dec_mpls_ttl asks for a label, so what follows a pushed and popped one is decided behind another parse
    pair.rules(f"in_port=1,actions={action},push_mpls:0x8847,pop_mpls:0x0800,resubmit(,1)",
               f"table=1,ip,{match},actions=output:2", "table=1,priority=0,actions=output:3")
    assert list(pair.send(FRAME)) == [2]


def test_what_was_set_in_a_clone_ends_with_it(pair):
    pair.begin()
    pair.rules("in_port=1,actions=clone(set_field:5->tun_id,push_mpls:0x8847,pop_mpls:0x0800,resubmit(,1)),resubmit(,1)",
               "table=1,ip,tun_id=5,actions=output:2", "table=1,ip,tun_id=0,actions=output:3")
    assert sorted(pair.send(FRAME)) == [2, 3]


def test_the_megaflow_of_a_set_says_so_in_the_words_of_dpctl(pair):
    pair.begin()
    pair.rules("in_port=1,actions=set_field:5->tun_id,set_field:10.0.0.9->tun_dst,output:2")
    pair.send(FRAME)
    assert pair.megaflow()[1] == "set(tunnel(tun_id=0x5,dst=10.0.0.9)),vm2"
