"""Actions that write fields, in both tempos: literal frames in and out, checksums computed by scapy."""
import pytest
from both_tempos import A, B, C, Pair, labelled, tcp, udp, udp6
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

V4, V6 = udp(), udp6()
ARP_FRAME = bytes(Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A, psrc="10.0.0.1", hwdst="00:00:00:00:00:00", pdst="10.0.0.2"))
PING = bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2", id=1) / ICMP(type=8, code=0, id=1, seq=1) / b"0123456789")


def arp(**fields):
    """The ARP frame with other fields."""
    told = {"op": 1, "hwsrc": A, "psrc": "10.0.0.1", "hwdst": "00:00:00:00:00:00", "pdst": "10.0.0.2", **fields}
    return bytes(Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(**told))


def ping(kind, code):
    """The ping with another type and code."""
    return bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2", id=1) / ICMP(type=kind, code=code, id=1, seq=1) / b"0123456789")


def solicitation(target="2001:db8::2", link=A):
    """A neighbour solicitation."""
    return bytes(Ether(src=A, dst=B) / IPv6(src="fe80::1", dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt=target)
                 / ICMPv6NDOptSrcLLAddr(lladdr=link))


@pytest.fixture(scope="module")
def both():
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def pair(both):
    both.begin()
    return both


@pytest.mark.parametrize(("rule", "frame", "expected"), [
    (f"actions=mod_dl_src:{C},2", V4, udp(dl_src=C)),
    (f"actions=mod_dl_dst:{C},2", V4, udp(dl_dst=C)),
    ("ip,actions=mod_nw_src:10.9.8.7,2", V4, udp(src="10.9.8.7")),
    ("ip,actions=mod_nw_dst:10.9.8.7,2", V4, udp(dst="10.9.8.7")),
    ("ip,actions=mod_nw_tos:40,2", udp(tos=3), udp(tos=43)),
    ("ip,actions=mod_nw_ecn:2,2", udp(tos=40), udp(tos=42)),
    ("ip,actions=mod_nw_ttl:9,2", V4, udp(ttl=9)),
    ("udp,actions=mod_tp_src:7,2", V4, udp(sport=7)),
    ("udp,actions=mod_tp_dst:7,2", V4, udp(dport=7)),
    ("tcp,actions=mod_tp_dst:7,mod_tp_src:8,2", tcp(), tcp(sport=8, dport=7)),
    ("ip,actions=dec_ttl,2", V4, udp(ttl=63)),
    ("ip,actions=dec_ttl,dec_ttl,dec_ttl,2", V4, udp(ttl=61)),
    ("ipv6,actions=dec_ttl,2", V6, udp6(ttl=63)),
    (f"actions=set_field:{C}->eth_src,2", V4, udp(dl_src=C)),
    ("actions=set_field:00:00:00:00:ff:00/00:00:00:00:ff:00->eth_dst,2", V4, udp(dl_dst="02:00:00:00:ff:0b")),
    ("ip,actions=set_field:0.0.0.9/0.0.0.255->ip_src,2", V4, udp(src="10.0.0.9")),
    ("ip,actions=set_field:10->ip_dscp,2", udp(tos=3), udp(tos=43)),
    ("udp,actions=set_field:0x100/0xf00->udp_dst,2", V4, udp(dport=0x135)),
    ("ipv6,actions=set_field:2001:db8::9->ipv6_dst,2", V6, udp6(dst="2001:db8::9")),
    ("ipv6,actions=set_field:::9/::ff->ipv6_src,2", V6, udp6(src="2001:db8::9")),
    ("ipv6,actions=set_field:5->ipv6_label,2", udp6(label=9), udp6(label=5)),
    ("ipv6,actions=mod_nw_tos:40,mod_nw_ttl:7,2", V6, udp6(tos=40, ttl=7)),
    ("ip,actions=load:9->nw_dst[0..7],2", V4, udp(dst="10.0.0.9")),
    ("actions=load:0xf->eth_src[44..47],2", V4, udp(dl_src="f2:00:00:00:00:0a")),
    ("ip,actions=move:nw_src[]->nw_dst[],2", V4, udp(dst="10.0.0.1")),
    ("actions=move:eth_src[]->eth_dst[],2", V4, udp(dl_dst=A)),
    ("actions=move:eth_src[0..7]->eth_dst[40..47],2", V4, udp(dl_dst="0a:00:00:00:00:0b")),
    ("udp,actions=move:udp_src[]->udp_dst[],2", V4, udp(dport=1000)),
    ("ip,actions=push:nw_src[],push:nw_dst[],pop:nw_src[],pop:nw_dst[],2", V4, udp(src="10.0.0.2", dst="10.0.0.1")),
    ("ip,actions=push:nw_src[0..7],pop:reg0[0..7],load:0xa00->reg0[8..23],move:reg0[]->nw_dst[],2", V4, udp(dst="0.10.0.1")),
    ("ipv6,actions=move:ipv6_src[]->ipv6_dst[],2", V6, udp6(dst="2001:db8::1")),
    ("ipv6,actions=move:ipv6_src[0..63]->ipv6_dst[0..63],2", V6, udp6(dst="2001:db8::1")),
    ("ipv6,actions=move:ipv6_src[0..63]->ipv6_dst[64..127],2", V6, udp6(dst="::1:0:0:0:2")),
    ("ipv6,actions=push:ipv6_src[64..127],pop:ipv6_dst[0..63],2", V6, udp6(dst="2001:db8::2001:db8:0:0")),
    ("ipv6,actions=load:7->ipv6_dst[60..67],2", V6, udp6(dst="2001:db8::7000:0:0:2")),
    ("arp,actions=set_field:2->arp_op,set_field:10.0.0.7->arp_spa,set_field:02:00:00:00:00:0c->arp_sha,2", ARP_FRAME,
     arp(op=2, psrc="10.0.0.7", hwsrc=C)),
    ("arp,actions=move:arp_spa[]->arp_tpa[],move:arp_sha[]->arp_tha[],2", ARP_FRAME, arp(pdst="10.0.0.1", hwdst=A)),
    ("icmp,actions=set_field:0->icmp_type,set_field:3->icmp_code,2", PING, ping(0, 3)),
    ("icmp6,icmp_type=135,icmp_code=0,actions=set_field:2001:db8::9->nd_target,set_field:02:00:00:00:00:0c->nd_sll,2",
     solicitation(), solicitation("2001:db8::9", C)),
])
def test_a_field_is_written(pair, rule, frame, expected):
    pair.rules(rule)
    assert pair.send(frame) == {2: [expected]}


@pytest.mark.parametrize("actions", [
    "mod_nw_src:1.2.3.4", "mod_nw_tos:40", "mod_nw_ttl:4", "mod_tp_src:9", "mod_tp_dst:9", "set_field:5->tun_id", "set_tunnel:7",
    "set_field:5->pkt_mark", "load:7->metadata[]", "note:01", "pop:reg0[]",
])
def test_a_frame_without_the_field_stays_as_it_is(pair, actions):
    pair.rules(f"actions={actions},2")
    assert pair.send(ARP_FRAME) == {2: [ARP_FRAME]}


def test_a_tunnel_number_changes_no_header(pair):
    pair.rules("actions=set_field:5->tun_id,2")
    assert pair.send(PING) == {2: [PING]}


def test_ports_of_a_later_fragment_stay(pair):
    pair.rules("udp,actions=mod_tp_dst:9,2")
    fragment = bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2", id=1, proto=17, frag=1) / bytes(24))
    assert pair.send(fragment) == {2: [fragment]}


def test_tables_see_no_ports_in_fragments_not_even_in_the_first(pair):
    pair.rules("priority=2,udp,tp_dst=53,actions=2", "priority=1,udp,tp_dst=0,actions=3")
    first = bytearray(udp())
    first[20] = 0x20  # more fragments
    first[24:26] = (int.from_bytes(first[24:26]) - 0x2000).to_bytes(2)
    assert pair.send(bytes(first)) == {3: [bytes(first)]}
    assert pair.send(udp()) == {2: [udp()]}


def test_a_ttl_that_runs_out_goes_to_the_controller_and_ends_the_list_of_its_rule_alone(pair):
    pair.rules("table=0,ip,actions=resubmit(,1),output:3", "table=1,ip,actions=output:2,dec_ttl,output:4")
    last = udp(ttl=1)
    assert pair.send(last) == {2: [last], 3: [last]}
    assert pair.send(udp(ttl=2)) == {2: [udp(ttl=2)], 4: [udp(ttl=1)], 3: [udp(ttl=1)]}
    for sw in pair.both:
        (told,) = sw.controller
        assert (told.reason, told.packet.bytes()) == ("invalid_ttl", last)


def test_a_ttl_that_runs_out_alone_says_so(pair):
    pair.rules("ip,actions=dec_ttl,output:2")
    assert pair.why(udp(ttl=0)) in ({}, {"dropped: time to live is over": 1})
    assert pair.send(udp(ttl=255)) == {2: [udp(ttl=254)]}


def test_registers_carry_values_between_tables(pair):
    pair.rules("table=0,ip,actions=move:nw_ttl[]->reg1[8..15],load:5->reg1[0..7],resubmit(,1)",
               "table=1,priority=2,reg1=0x4005,actions=output:2", "table=1,priority=1,actions=output:3")
    assert pair.send(udp()) == {2: [udp()]}
    assert pair.send(udp(ttl=63)) == {3: [udp(ttl=63)]}


def test_wide_registers_are_the_narrow_ones(pair):
    pair.rules("table=0,actions=set_field:0x1122334455667788->xreg1,load:0x99->xxreg1[0..7],resubmit(,1)",
               "table=1,reg2=0x11223344,reg3=0x55667788,reg7=0x99,actions=output:2")
    assert pair.send(V4) == {2: [V4]}


def test_a_mark_is_matched_behind_where_it_was_set(pair):
    pair.rules("table=0,actions=set_field:5->pkt_mark,resubmit(,1)", "table=1,pkt_mark=5,actions=output:2")
    assert pair.send(V4) == {2: [V4]}


def test_what_was_set_is_matched_and_not_asked_of_the_packet(pair):
    pair.rules("table=0,actions=mod_dl_dst:02:00:00:00:00:0c,resubmit(,1)", "table=1,dl_dst=02:00:00:00:00:0c,actions=output:2")
    assert pair.send(V4) == {2: [udp(dl_dst=C)]}
    assert "dl_dst" not in pair.megaflow()[0] and "eth(" not in pair.megaflow()[0]
    assert pair.send(udp(dl_dst=A)) == {2: [udp(dl_dst=C)]}
    assert len(pair.both[1].megaflows) == 1


def test_an_empty_stack_gives_nothing_and_the_rest_goes_on(pair):
    pair.rules("ip,actions=pop:nw_dst[],output:2")
    assert pair.send(V4) == {2: [V4]}


def test_a_full_stack_drops_the_frame(pair):
    pair.rules("actions=" + ",".join(["push:reg0[]"] * 65) + ",output:2")
    assert pair.why(V4) == {"dropped: stack full": 1}


def test_ip_fields_behind_a_label_stay(pair):
    frame = labelled(V4, (16, 0, 64))
    pair.rules("actions=mod_nw_src:1.2.3.4,mod_tp_dst:9,output:2")
    assert pair.send(frame) == {2: [frame]}
