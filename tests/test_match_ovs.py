"""Matches against ovs-ofctl: what it prints for each, bit by bit what it means, and where it is known to be lax.

Its `-F nxm -mmm` prints every field with value and mask, so the bits of a match are compared, not only its text.
"""
import re
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from match_rows import matches

from lab.openflow.errors import CommandError
from lab.openflow.matching.fields import BY_OXM
from lab.openflow.matching.match import Match, parse_match

pytestmark = pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="ovs-ofctl is missing: install openvswitch-common")

# one match in a line; LOST names those that OpenFlow 1.3 cannot say
CORPUS = """
tcp,nw_dst=10.1.2.3,tp_dst=80
eth
eth()
eth,ip
packet_type=(0,0),ip
ipv4,nw_src=1.2.3.4
in_port=1
in_port=LOCAL
in_port=local
in_port=CONTROLLER
in_port=NONE
in_port=65279
in_port=65534
in_port=4294967294
in_port_oxm=3
actset_output=3
actset_output=unset
NXM_OF_ETH_TYPE[]=0x800
NXM_NX_REG0[0..7]=5
OXM_OF_PKT_REG0[]=7
reg0[0..7]=5,reg0[8..15]=6
reg0[3]=1
dl_dst[40]=1
ip,nw_src[0..7]=4
xreg0[]=5
xxreg0[64..71]=5
vlan_tci[0..11]=5
vlan_vid[0..3]=6
ip,nw_tos[]=8
ip,nw_proto[]=6
ip,ip_frag[0]=1
ct_state[0..3]=1
tcp,tcp_flags[]=1
in_port[]=1
reg0=0x10/0xf
reg0=0
reg0=5/0xffffffff
reg1=7
reg15=0xffffffff
xreg0=5
xreg7=0x500000006/0xff000000ff
xxreg0=5
xxreg3=0x50000000600000007/0xff000000ff
metadata=0
metadata=5/7
metadata=0x1234567890abcdef
pkt_mark=0
pkt_mark=5/7
pkt_mark=0xffffffff
dp_hash=3
dp_hash=3/3
recirc_id=3
recirc_id=0
ct_state=+trk-est
ct_state=trk|est
ct_state=0
ct_state=0/1
ct_state=+snat+dnat+inv+rpl+trk
ct_state=0x21/0x21
ct_state=0xff/0xff
ct_zone=5
ct_mark=5/7
ct_label=5
ct_label=0
ct_label=0x123456789012345678901234567890ab/0xffffffff000000000000000000000000
tun_id=5
tunnel_id=5/7
tun_id=0
tun_src=1.2.3.4
tun_dst=1.2.3.4/8
tun_ipv6_src=::1
tun_ipv6_dst=fe80::/10
tun_flags=oam
tun_flags=-oam
tun_flags=0
tun_flags=1/1
tun_gbp_id=5
tun_gbp_id=5/7
tun_gbp_flags=5
tunnel_id=0x10/0xf0,reg3=7,in_port=1,metadata=1,dl_src=1:2:3:4:5:6,tcp,pkt_mark=1,ct_state=+trk
in_port=2,tcp,dl_src=00:00:00:00:00:01,dl_vlan=3,nw_src=1.2.3.4,tp_src=1
dl_vlan=0xffff
dl_vlan=0
dl_vlan=5
dl_vlan=0,dl_vlan_pcp=0
dl_vlan_pcp=3
vlan_pcp=3
vlan_vid=0
vlan_vid=0x1005
vlan_vid=0x1005/0x1fff
vlan_vid=0x1005,vlan_pcp=3
vlan_vid=0/0x1000
vlan_vid=0x1000/0x1000
vlan_vid=0x1001/0x1001
vlan_vid=1/1
vlan_vid=0/0
vlan_tci=0
vlan_tci=0x1005
vlan_tci=0xb123
vlan_tci=0/0x1000
vlan_tci=0x1000/0x1000
vlan_tci=0x1123/0x1fff
vlan_tci=0x5/0xf
vlan_tci=0x1005/0x100f
vlan_tci=0xe000/0xe000
vlan_tci=0xf000/0xf000
dl_src=1:2:3:4:5:6/01:00:00:00:00:00
dl_src=00:00:00:00:00:01/00:00:00:00:00:00
eth_src=1:2:3:4:5:6,eth_dst=7:8:9:a:b:c
dl_dst=01:00:00:00:00:00/01:00:00:00:00:00
dl_type=0x1234
dl_type=0x05ff
dl_type=5
dl_type=0/0
dl_type=0x0800/0xffff
eth_type=0x8847
eth_type=0x8848,mpls_bos=0
mpls,mpls_label=5,mpls_tc=3,mpls_bos=1,mpls_ttl=9
arp,nw_proto=2
arp,arp_op=255
arp,nw_src=1.2.3.4
arp,arp_spa=1.2.3.4/8,arp_tpa=5.6.7.8,arp_sha=00:00:00:00:00:01,arp_tha=00:00:00:00:00:02/00:00:00:00:00:ff,arp_op=1
rarp,arp_spa=1.2.3.4
rarp,nw_src=1.2.3.4
rarp,nw_proto=3
ip,nw_src=10.0.0.1/255.0.255.0
ip,nw_src=10.0.0.5/24
ip,nw_src=1.2.3.4/0
ip,nw_dst=224.0.0.0/4
ip,nw_proto=2
ip,nw_proto=0
ip,nw_proto=0/0
ip,nw_proto=6/0xff
ip,ip_proto=17,udp_dst=7
ip,nw_proto=132
ip,nw_proto=58
ipv6,nw_proto=58
ipv6,nw_proto=1
ipv6,nw_proto=0
ip,nw_ttl=64,nw_tos=8,nw_ecn=1,nw_proto=9
ip,nw_ttl=5/255
ip,nw_tos=8
ip,ip_dscp=3
ip,nw_ecn=2
ip,nw_frag=no
ip,nw_frag=yes
ip,nw_frag=first
ip,nw_frag=not_later
ipv6,ip_frag=later
ipv6,ipv6_src=::ffff:1.2.3.4
ipv6,ipv6_src=::1:2
ipv6,ipv6_src=fe80::1/ffff::ffff
ipv6,ipv6_src=1::/ffff:ffff::
ipv6,ipv6_src=::/0
ipv6,ipv6_src=1:0:0:2:0:0:0:3
ipv6,ipv6_label=18
ipv6,ipv6_label=0x12/0xff,ipv6_dst=::1/128
ipv6,ipv6_label=0x12/0xfffff
icmp,icmp_type=8,icmp_code=0
icmp6,icmpv6_type=135,nd_target=fe80::1
icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1/10
icmp6,icmp_type=135,nd_sll=1:2:3:4:5:6/ff:00:00:00:00:00
icmp6,icmpv6_type=136,icmpv6_code=0,nd_tll=00:00:00:00:00:01,nd_target=fe80::/10
dl_type=0x86dd,nw_proto=58,icmp_type=135,nd_sll=00:00:00:00:00:01
tcp,tp_src=80/0
tcp,tp_src=0x50/0xfff0
tcp,tp_src=80/65535
tcp6,ipv6_dst=::1,tcp_dst=8/0xf
udp,udp_src=5/0xfff0
udp6,tp_dst=0xffff
sctp,tp_src=5
sctp6,sctp_dst=5/0xf
tcp,tcp_flags=+syn
tcp,tcp_flags=syn
tcp,tcp_flags=syn|ack
tcp,tcp_flags=0x812/0xfff
tcp,tcp_flags=0x2/0x12
tcp,tcp_flags=0/0
tcp,tcp_flags=0
tcp,tcp_flags=+[200]
tcp,tcp_flags=0xfff
tcp,tcp_flags=+syn+ack-fin-rst
nw_proto=6, ip
ip,tcp
""".strip().splitlines()
LOST = {"dl_vlan=0xffff", "vlan_tci=0", "vlan_tci=0xe000/0xe000"}  # OpenFlow 1.3 cannot ask for a priority without its tag
SAME_PACKETS = {"ip,nw_frag=no"}  # we ask for fewer bits: no packet is a later fragment and no fragment
LAX = ["tp_dst=80", "nw_src=10.0.0.1", "udp,tcp_dst=80", "ip,ipv6", "ip,nw_tos=13", "vlan_vid=5", "tcp,tp_dst=80,tp_dst=81",
       "dl_vlan=0xffff,dl_vlan_pcp=1", "tcp=1", "tcp,tp_dst", "tcp,tp_dst=", "dl_vlan=4096", "ip,nw_src=10.0.0.256",
       "arp,arp_op=256", "metadata=-1", "icmp6,icmp_type=135,icmp_code=1,nd_target=::1", "icmp6,icmp_type=136,nd_sll=0:0:0:0:0:1"]


def of_ovs(texts, tmp_path, *options):
    """What ovs-ofctl makes of each match, which it must take."""
    file = tmp_path / "flows"
    file.write_text("".join(f"{text} actions=drop\n" for text in texts))
    done = subprocess.run(["ovs-ofctl", *options, "parse-flows", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.partition(" ADD ")[2].removesuffix("actions=drop").strip() for line in done.stdout.splitlines() if " ADD " in line]


def bits(nxm):
    """The match that a line of NXM fields stands for, such as `NXM_OF_ETH_TYPE(0800), NXM_NX_REG0_W(00000005/00000007)`."""
    mask = value = 0
    for name, held in re.findall(r"(\w+)\(([0-9a-f/]+)\)", nxm):
        if name == "OXM_OF_PACKET_TYPE":
            continue
        row = BY_OXM[name.removesuffix("_W")]
        wanted, _, asked = held.removeprefix("ffff" if row.name == "actset_output" else "").partition("/")
        asked = (int(asked, 16) if asked else row.full) & row.full
        mask, value = mask | row.spread(asked), value | row.spread(int(wanted, 16) & asked)
    return Match(mask, value)


def test_ovs_prints_every_match_as_we_do(tmp_path):
    assert [parse_match(text).text for text in CORPUS] == of_ovs(CORPUS, tmp_path, "-F", "nxm")


def test_ovs_prints_every_match_as_we_do_over_openflow_13_too(tmp_path):
    texts = [text for text in CORPUS if text not in LOST]
    assert [parse_match(text).text for text in texts] == of_ovs(texts, tmp_path, "-O", "OpenFlow13")


def test_every_match_asks_for_the_bits_that_ovs_asks_for(tmp_path):
    texts = [text for text in CORPUS if text not in SAME_PACKETS]
    theirs = of_ovs(texts, tmp_path, "-F", "nxm", "-mmm")
    assert [(text, parse_match(text)) for text in texts] == [(text, bits(nxm)) for text, nxm in zip(texts, theirs, strict=True)]


def test_ovs_takes_what_we_refuse_only_where_it_is_known_to_be_lax(tmp_path):
    assert len(of_ovs(LAX, tmp_path)) == len(LAX)
    for text in LAX:
        with pytest.raises(CommandError):
            parse_match(text)


@settings(max_examples=20, phases=[Phase.generate], deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(matches(), min_size=20, max_size=20))
def test_ovs_prints_random_matches_as_we_do_and_means_the_same_bits(tmp_path, rows):
    assert [parse_match(text).text for text in rows] == of_ovs(rows, tmp_path, "-F", "nxm")
    plain = [text for text in rows if "nw_frag=no" not in text.split(",")]
    assert [parse_match(text) for text in plain] == [bits(nxm) for nxm in of_ovs(plain, tmp_path, "-F", "nxm", "-mmm")]
