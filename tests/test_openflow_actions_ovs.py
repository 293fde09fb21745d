"""Actions beside ovs-ofctl: what it prints for the same text in OpenFlow 1.0, 1.3 and 1.5, and what it refuses."""
import shutil
import subprocess

import pytest

from lab.openflow.actions import parse_actions
from lab.openflow.acts.value import OPENFLOW_10, OPENFLOW_13, OPENFLOW_15
from lab.openflow.errors import CommandError
from lab.openflow.matching.match import parse_match

pytestmark = pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="ovs-ofctl is missing: install openvswitch-common")

EVERYWHERE = """\
|drop
|output:2
|output(2)
|1,2
|in_port,all,flood,local,normal,table
|output:controller
|controller:100
|controller:0
|controller(max_len=10)
|controller(id=5)
|controller(reason=no_match,max_len=100,id=5,userdata=0102)
|controller(reason=invalid_ttl)
|controller(userdata=01.02.03)
|output(port=1,max_len=100)
|output(max_len=14,port=in_port)
|output(port=local,max_len=100)
|output:NXM_NX_REG0[0..15]
|output:reg0
|output:reg0[3]
|output:xreg0[0..31]
|output:metadata[0..15]
|output:tun_id
|output:NXM_OF_IN_PORT[]
|enqueue:1:2
|enqueue(2,0x10)
|enqueue:in_port:2
|enqueue:local:2
|set_queue:0xff,output:1,pop_queue
ip|dec_ttl
ip|dec_ttl(1,2,3)
mpls|dec_mpls_ttl
|resubmit:1
|resubmit:LOCAL
|resubmit(1)
|resubmit(,1)
|resubmit(1, 2)
|resubmit(in_port,2)
|resubmit(1,255)
|group:5
|write_metadata:0x5/0x5
|write_metadata:5/0
|write_metadata:0xffffffffffffffff
|set_tunnel:5
|set_tunnel:0x100000000
|set_tunnel64:0x100000000
|note:
|note:01.02
|note:abcdef
|note:00.11.22.33.44.55.66
|check_pkt_larger(100)->reg0[0]
|check_pkt_larger:100->NXM_NX_REG0[7]
|exit
|exit,output:1
|move:reg0[0..15]->metadata[16..31]
|move:eth_src->eth_dst
|move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]
|move:NXM_NX_XXREG0[]->NXM_NX_XXREG1[]
|move:in_port->reg0[0..15]
|move:in_port_oxm->reg0
|move:reg0[0..15]->in_port
tcp|move:tcp_src->tcp_dst
ip|move:NXM_NX_IP_TTL[]->NXM_NX_REG0[0..7]
ip|move:nw_proto->NXM_NX_REG0[0..7]
ip|move:dl_type->NXM_NX_REG0[0..15]
ip|move:NXM_OF_IP_TOS[]->NXM_NX_REG0[0..7]
tcp|move:tcp_flags->NXM_NX_REG0[0..11]
|move:pkt_mark->reg0
|move:dp_hash->reg0
|move:recirc_id->reg0
|move:actset_output->reg0
mpls|move:mpls_label->reg0[0..19]
mpls|move:mpls_bos->reg0[0]
arp|move:arp_op->reg0[0..15]
|move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG0[0..11]
|push:reg0,push:NXM_NX_REG2[1..5],pop:NXM_NX_REG2[0..5],push:xxreg0,push:eth_src[]
|load:0x5->reg0[0..2]
|load:0x5->NXM_NX_REG0[]
|load:0->NXM_NX_REG0[3]
|load:0x1->xxreg0[0..63]
|load:0x1->xxreg0[60..70]
|load:5->NXM_OF_VLAN_TCI[0..11]
|load:5->NXM_OF_ETH_SRC[]
ip|load:5->NXM_OF_IP_SRC[0..7]
ip|set_field:5->nw_ttl
ip|mod_nw_tos:32
ip|set_field:32->nw_tos
ip|set_field:1->nw_ecn
ip|set_field:10.0.0.1->ip_src
ip|mod_nw_src:1.2.3.4,mod_nw_dst:5.6.7.8
ip|mod_dl_src:1:2:3:4:5:6,set_field:1:2:3:4:5:6->eth_dst
ipv6|set_field:fe80::1/::ffff->ipv6_src
ipv6|set_field:5->ipv6_label
arp|set_field:1.1.1.1->arp_spa
arp|set_field:2->arp_op
arp|set_field:1:2:3:4:5:6->arp_sha
icmp|set_field:5->icmp_type,set_field:6->icmp_code
icmp6|set_field:5->icmpv6_type
icmp6,icmp_type=135|set_field:1:2:3:4:5:6->nd_sll
tcp|set_field:5->tcp_dst,mod_tp_src:6
udp|set_field:5->udp_dst,mod_tp_src:6
sctp|set_field:5->sctp_dst
mpls|set_field:5->mpls_label,set_field:3->mpls_tc,set_field:9->mpls_ttl
mpls|set_mpls_label:5,set_mpls_tc:3,set_mpls_ttl(3)
mpls|pop_mpls:0x0800
ip|push_mpls:0x8847,output:1
|set_field:5->reg0,set_field:5->xreg1
|set_field:0x305/0xff->reg0
|set_field:5->metadata
|set_field:0x15/0xff->metadata
|set_field:0x15->tun_id
|set_field:1.1.1.1->tun_src
|set_field:5->pkt_mark
|set_field:5->in_port
|set_field:oam->tun_flags
|clone(output:1,resubmit(,3)),output:2
|clone(clone(output:1))
|clone()
"""
# OpenFlow 1.0 has no word for these, or (masks of older fields, VLANs) ovs-ofctl says something else with it
LATER = """\
ip|set_field:10.0.0.0/255.255.0.0->nw_src
tcp|set_field:5/0xff->tcp_dst
|push_vlan:0x8100,output:1
|push_vlan:33024,set_field:5->vlan_pcp
dl_vlan=5|set_field:0x1007->vlan_vid
dl_vlan=5|pop_vlan
|set_field:0x1005->vlan_tci
|goto_table:254
|write_actions(output:1,group:3)
|write_actions(set_field:1:2:3:4:5:6->eth_src,dec_ttl,controller(max_len=10))
|write_actions(drop),goto_table:3
|clear_actions,write_metadata:3
|output:1,clear_actions,write_actions(output:1),write_metadata:5,goto_table:3
ipv6|set_field:fe80::1->ipv6_src
|set_field:5->xxreg0
ip|set_field:5->ip_dscp
"""
MASKS = """\
|set_field:0x15/0x15->reg0
|set_field:0x5/0xf0f->xxreg1
|set_field:01:00:00:00:00:00/01:00:00:00:00:00->eth_dst
|load:5->NXM_OF_VLAN_TCI[0..11]
dl_vlan=5|set_field:0x1005/0x10ff->vlan_vid
ip|load:5->NXM_OF_IP_SRC[0..7]
ipv6|set_field:fe80::/64->ipv6_src
tcp|set_field:5/0xff->tcp_dst
"""


def lines(text):
    return [tuple(line.split("|", 1)) for line in text.splitlines()]


def printed(version, rules, tmp_path):
    """What ovs-ofctl prints for the actions of rules."""
    path = tmp_path / "rules"
    path.write_text("".join(f"{match}{',' * bool(match)}actions={actions}\n" for match, actions in rules))
    done = subprocess.run(["ovs-ofctl", "-O", version, "parse-flows", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.partition("actions=")[2] for line in done.stdout.splitlines() if "actions=" in line]


@pytest.mark.parametrize(("name", "version", "text"), [
    ("OpenFlow10", OPENFLOW_10, EVERYWHERE), ("OpenFlow13", OPENFLOW_13, EVERYWHERE + LATER), ("OpenFlow15", OPENFLOW_15, MASKS + LATER),
])
def test_ovs_prints_the_same(name, version, text, tmp_path):
    rules = lines(text)
    theirs = printed(name, rules, tmp_path)
    assert len(theirs) == len(rules)
    for (match, actions), said in zip(rules, theirs, strict=True):
        ours = parse_actions(actions, match=parse_match(match))
        assert ours.show(version=version) == said, (match, actions)
        assert parse_actions(said, match=parse_match(match)).records == ours.records, "and reads what OVS prints"


REFUSED = """\
|noraml
|output
|output:none
|output(port=1)
|output(port=1,max_len=13)
|output(port=flood,max_len=100)
|controller:65536
|controller(reason=foo)
|controller(userdata=1)
|enqueue:1
|enqueue:flood:2
|resubmit()
|resubmit(,255)
|resubmit(,256)
|resubmit:in_port
|goto_table:256
|group:all
|meter:0
|note:0
|note:01.0
|check_pkt_larger(100)->reg0
|check_pkt_larger(65536)->reg0[0]
|move:reg0[0..7]->reg1[0..8]
|move:reg0
|load:0x5->reg0[0..1]
|load:5->reg0[4..3]
|load:5->reg0[0..40]
|load:5->regx[]
|set_field:1->reg0[0..5]
|set_field:5
|set_field:5->
|set_field:reg0->reg1
|set_field:4294967296->reg0
|set_field:1->nw_proto
|set_field:5->dp_hash
|set_field:5->recirc_id
|set_field:5->actset_output
|set_field:5->skb_priority
|set_field:5->tun_ttl
ip|set_field:33->nw_tos
ip|set_field:5->nw_ecn
mpls|set_field:1->mpls_bos
tcp|set_field:5->tcp_flags
|mod_nw_tos:13
|mod_nw_ecn:4
|push_vlan:0x9100
|push_mpls:0x0800
|apply_actions(output:1)
|output:1,drop
|clone(output:1,drop)
|goto_table:3,output:1
|goto_table:3,goto_table:4
|output:1,meter:1
|meter:1,meter:2
|clear_actions,output:1
|clear_actions,clear_actions
|write_actions(output:1),clear_actions
|write_actions(output:1),write_actions(output:2)
|write_metadata:5,write_actions(output:1)
|write_metadata:5,write_metadata:6
|clone(goto_table:2)
|clone(meter:1)
|clone(write_metadata:1)
|clone(write_actions(output:1))
|write_actions(meter:1)
|write_actions(goto_table:3)
|write_actions(exit)
|write_actions(clone(output:1))
|write_actions(set_field:5->tcp_dst)
|set_field:5->vlan_vid
|set_field:5->vlan_pcp
dl_vlan=5|pop_vlan,set_field:0x1005->vlan_vid
ip|push_mpls:0x8847,set_field:1.2.3.4->nw_src
arp|set_field:1.1.1.1->nw_src
icmp6|set_field:5->icmp_type
tcp|set_field:5->udp_dst
tcp,nw_frag=later|set_field:5->tcp_dst
|push:NXM_OF_IP_SRC[]
|pop:dl_type
"""


@pytest.mark.parametrize(("match", "actions"), lines(REFUSED), ids=[actions for _, actions in lines(REFUSED)])
def test_ovs_refuses_the_same(match, actions):
    rule = f"{match}{',' * bool(match)}actions={actions}"
    done = subprocess.run(["ovs-ofctl", "-O", "OpenFlow13", "parse-flow", rule], capture_output=True, text=True, check=False)
    assert "FLOW_MOD" not in done.stdout or "***decode error" in done.stdout, done.stdout
    with pytest.raises(CommandError):
        parse_actions(actions, match=parse_match(match))
