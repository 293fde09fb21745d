"""The datapath's way of writing flows, literally, and read by OVS itself; the keys of frames that nobody sends."""
import pytest
from parse_frames import WHOLE
from real_ovs import MISSING, REASON, RealSwitch

from lab import Switch
from lab.control.appctl.trace import flow_line, mask_of
from lab.control.reading.odp import flow_text, label_entry
from lab.control.reading.parsed import parse_frame
from lab.flow.key import WIDE, WORDS, get, put
from lab.openflow.matching.match import parse_match


@pytest.fixture(scope="module")
def engine():
    switch = Switch("br0", fail_mode="secure")
    yield switch.engine
    switch.close()


@pytest.fixture(scope="module")
def ovs(tmp_path_factory):
    if MISSING:
        pytest.skip(REASON)
    with RealSwitch(tmp_path_factory.mktemp("ovs")) as real:
        yield real


def wide(words):
    return (*words, *(0,) * (WIDE - WORDS))


# what OVS's text has no word for: frames without an Ethernet type, ports of ICMP in the wrong version of IP
UNSPEAKABLE = ("llc", "igmp", "snap of another", "snap with a length", "nothing", "icmpv6 in ipv4", "ipv6 with icmp of ipv4")


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in UNSPEAKABLE])
def test_ovs_reads_a_flow_as_it_was_meant(engine, ovs, name):
    words = wide(parse_frame(engine, WHOLE[name], in_port=1))
    mask = mask_of(words)
    put(mask, "vlan_tpid", 0xFFFF if get(words, "vlan_tci") else 0)
    text = flow_text(words, mask)
    said = ovs.run("ovs-appctl", "-t", f"{ovs.folder}/ovs-vswitchd.ctl", "ofproto/trace", "ovs-dummy", text, check=False)
    assert said.split("\n")[0] == f"Flow: {flow_line(words)}", text


MASKED = {
    "in_port=1,tcp,nw_src=10.0.0.0/8,tp_dst=0x10/0xfff0,tcp_flags=+syn-ack":
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(src=10.0.0.0/255.0.0.0,proto=6),tcp(dst=16/0xfff0),"
        "tcp_flags(+syn-ack)",
    "in_port=2,dl_vlan=7,dl_src=02:00:00:00:00:00/ff:00:00:00:00:00":
        "recirc_id(0),in_port(2),packet_type(ns=0,id=0),eth(src=02:00:00:00:00:00/ff:00:00:00:00:00),vlan(vid=7),encap()",
    "in_port=3,ip,nw_frag=later,nw_tos=32,nw_ttl=9":
        "recirc_id(0),in_port(3),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(tos=0x20/0xfc,ttl=9,frag=later)",
    "in_port=1,icmp6,icmpv6_type=136,nd_target=fe80::/64,nd_tll=02:00:00:00:00:07":
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x86dd),ipv6(proto=58),icmpv6(type=136),"
        "nd(target=fe80::/ffff:ffff:ffff:ffff::,tll=02:00:00:00:00:07)",
    "in_port=1,arp,arp_op=2,arp_spa=10.0.0.1":
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0806),arp(sip=10.0.0.1,op=2)",
    "in_port=1,mpls,mpls_label=5":
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x8847),mpls(label=5/0xfffff,tc=0/0,ttl=0/0x0,bos=0/0)",
    "in_port=1,pkt_mark=0x10/0xf0": "skb_mark(0x10/0xf0),recirc_id(0),in_port(1),packet_type(ns=0,id=0)",
}


@pytest.mark.parametrize("match", MASKED)
def test_bits_that_are_not_asked_for_are_left_out(match):
    read = parse_match(match)
    assert flow_text(read.value_words, read.mask_words) == MASKED[match]


def test_ports_have_names_where_they_have_one():
    read = parse_match("in_port=2")
    assert "in_port(vm-2)" not in flow_text(read.value_words, read.mask_words, {2: "vm-2"}.get)
    assert 'in_port("vm-2")' in flow_text(read.value_words, read.mask_words, {2: "vm-2"}.get)
    assert "in_port(2)" in flow_text(read.value_words, read.mask_words, {3: "vm3"}.get)


def test_a_label_entry_has_masks_only_where_bits_are_left_alone():
    assert label_entry(0x00005140, 0xFFFFFFFF) == "label=5,tc=0,ttl=64,bos=1"
    assert label_entry(0x00005000, 0xFFFFF000) == "label=5/0xfffff,tc=0/0,ttl=0/0x0,bos=0/0"


def test_asking_for_a_key_leaves_no_trace(engine):
    before = bytes(engine.arena.bytes)
    parse_frame(engine, WHOLE["qinq"], in_port=3)
    assert bytes(engine.arena.bytes) == before and engine.reason_counts().sum() == 0
