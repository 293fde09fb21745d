"""Actions in the words of `dpctl/dump-flows`: what each record is called, and that OVS reads and prints the same."""
import shutil
import subprocess
import time

import pytest
from acting import act, clone, flat, last, out, setting

from lab.flow.actions import (
    ARP_OP,
    ARP_SPA,
    CHECK_LEN,
    CONTROLLER,
    ETH_DST,
    ETH_SRC,
    HASH,
    ICMP_CODE,
    ICMP_TYPE,
    IP_DST,
    IP_SRC,
    IP_TOS,
    IP_TTL,
    IPV6_DST,
    IPV6_LABEL,
    IPV6_SRC,
    METER,
    MPLS_LSE,
    ND_SLL,
    ND_TARGET,
    PKT_MARK,
    POP_MPLS,
    POP_VLAN,
    PUSH_MPLS,
    PUSH_VLAN,
    RECIRC,
    SKB_PRIORITY,
    TP_DST,
    TP_SRC,
    TRUNC,
    TUN_DST,
    TUN_FLAGS,
    TUN_ID,
    TUN_TTL,
    VLAN_TCI,
    describe,
)

TCP, UDP6, ARP, ICMP, ND, SCTP = (0x0800, 6), (0x86DD, 17), (0x0806, 0), (0x0800, 1), (0x86DD, 58), (0x0800, 132)
HERE = [  # records, what the packets are, how they are called; OVS reads all of these
    ([], TCP, "drop"), ([last(2)], TCP, "2"), ([out(1), last(2)], TCP, "1,2"),
    ([act(PUSH_VLAN, 0x8100, 7), last(2)], TCP, "push_vlan(vid=7,pcp=0),2"),
    ([act(PUSH_VLAN, 0x88A8, 0x6007), last(2)], TCP, "push_vlan(tpid=0x88a8,vid=7,pcp=3),2"),
    ([act(POP_VLAN), last(1)], TCP, "pop_vlan,1"),
    ([act(TRUNC, 64), last(2)], TCP, "trunc(64),2"),
    ([clone(act(PUSH_VLAN, 0x8100, 7), last(2)), last(1)], TCP, "clone(push_vlan(vid=7,pcp=0),2),1"),
    ([clone(clone(last(2)), last(1)), last(1)], TCP, "clone(clone(2),1),1"),
    ([act(METER, 1), last(2)], TCP, "meter(1),2"),
    ([act(CONTROLLER, 128, 7, 1 << 32 | 5)], TCP,
     "userspace(pid=0,controller(reason=1,dont_send=0,continuation=0,recirc_id=0,rule_cookie=0x7,controller_id=0,max_len=128))"),
    ([act(CONTROLLER, 65535)], TCP,
     "userspace(pid=0,controller(reason=0,dont_send=0,continuation=0,recirc_id=0,rule_cookie=0,controller_id=0,max_len=65535))"),
    ([setting(IP_DST, 0x0A000009), last(2)], TCP, "set(ipv4(dst=10.0.0.9)),2"),
    ([setting(IP_TTL, 63), setting(IP_TOS, 4, 0xFC), setting(IP_SRC, 0x0A000000, 0xFF000000), last(2)], TCP,
     "set(ipv4(src=10.0.0.0/255.0.0.0,tos=0x4/0xfc,ttl=63)),2"),
    ([setting(IP_TTL, 63), setting(IP_TTL, 62)], TCP, "set(ipv4(ttl=63)),set(ipv4(ttl=62))"),
    ([setting(ETH_DST, 0x020000000002), setting(ETH_SRC, 0x020000000001)], TCP, "set(eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02))"),
    ([setting(ETH_DST, 0x020000000000, 0xFF0000000000)], TCP, "set(eth(dst=02:00:00:00:00:00/ff:00:00:00:00:00))"),
    ([setting(TP_SRC, 80), setting(TP_DST, 90)], TCP, "set(tcp(src=80,dst=90))"),
    ([setting(TP_DST, 16, 0xF0)], UDP6, "set(udp(dst=16/0xf0))"), ([setting(TP_DST, 16)], SCTP, "set(sctp(dst=16))"),
    ([setting(PKT_MARK, 7), setting(PKT_MARK, 0, 0xFF)], TCP, "set(skb_mark(0x7)),set(skb_mark(0/0xff))"),
    ([setting(SKB_PRIORITY, 7)], TCP, "set(skb_priority(0x7))"),
    ([setting(VLAN_TCI, 0x4007, 0xEFFF)], TCP, "set(vlan(vid=7,pcp=2))"), ([setting(VLAN_TCI, 0x4000, 0xE000)], TCP, "set(vlan(pcp=2))"),
    ([setting(TUN_TTL, 64), setting(TUN_ID, 7), setting(TUN_DST, 0x01020304), setting(TUN_FLAGS, 0b1010)], TCP,
     "set(tunnel(tun_id=0x7,dst=1.2.3.4,ttl=64,flags(df|key)))"),
    ([setting(MPLS_LSE, 0x7140 | 2 << 9)], (0x8847, 0), "set(mpls(label=7,tc=2,ttl=64,bos=1))"),
    ([setting(MPLS_LSE, 0x7000, 0xFFFFF000)], (0x8847, 0), "set(mpls(label=7/0xfffff,tc=0/0,ttl=0/0x0,bos=0/0))"),
    ([setting(ARP_OP, 2), setting(ARP_SPA, 0x01020304)], ARP, "set(arp(sip=1.2.3.4,op=2))"),
    ([setting(IPV6_SRC, 0xFE80 << 112 | 1), setting(IP_TTL, 3), setting(IPV6_LABEL, 7), setting(IP_TOS, 4, 0xFC)], UDP6,
     "set(ipv6(src=fe80::1,label=0x7,tclass=0x4/0xfc,hlimit=3))"),
    ([setting(IP_TTL, 3), setting(IPV6_DST, 0xFE80 << 112, 0xFFFF << 112)], UDP6, "set(ipv6(dst=fe80::/ffff::,hlimit=3))"),
    ([setting(ND_TARGET, 0xFE80 << 112 | 1), setting(ND_SLL, 0x020000000001)], ND, "set(nd(target=fe80::1,sll=02:00:00:00:00:01))"),
    ([setting(ICMP_TYPE, 136), setting(ICMP_CODE, 0)], ND, "set(icmpv6(type=136,code=0))"),
    ([setting(ICMP_CODE, 1)], ICMP, "set(icmp(code=1))"),
    ([setting(IP_DST, 1), setting(TP_DST, 1), setting(IP_SRC, 1)], TCP, "set(ipv4(dst=0.0.0.1)),set(tcp(dst=1)),set(ipv4(src=0.0.0.1))"),
]
PRINTED_ONLY = [  # what OVS prints so, and cannot read
    ([act(PUSH_MPLS, 0x8847, 0x2140), last(2)], TCP, "push_mpls(label=2,tc=0,ttl=64,bos=1,eth_type=0x8847),2"),
    ([act(POP_MPLS, 0x0800), last(2)], (0x8847, 0), "pop_mpls(eth_type=0x800),2"),
    ([act(HASH, 0), act(RECIRC, 0x1F)], TCP, "hash(l4(0)),recirc(0x1f)"),
    ([act(CHECK_LEN, 200, 2, 3)], TCP, "check_pkt_len(size=200,gt(recirc(0x2)),le(recirc(0x3)))"),
]


@pytest.mark.parametrize(("records", "layers", "text"), HERE + PRINTED_ONLY, ids=[text for _, _, text in HERE + PRINTED_ONLY])
def test_actions_are_called_so(records, layers, text):
    assert describe(flat(records), layers=layers) == text


def test_ports_are_called_by_name_where_they_have_one():
    assert describe(flat([clone(out(1)), out(9), last(2)]), {1: "vm1", 2: "vm-2"}.get) == "clone(vm1),9,vm-2"


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """A private OVS whose dummy datapath prints the actions that it has read."""
    missing = [tool for tool in ("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-appctl", "ovs-vsctl") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{missing[0]} is missing: install openvswitch-switch")
    folder = tmp_path_factory.mktemp("ovs")
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **{f"OVS_{name}DIR": str(folder) for name in ("RUN", "DB", "LOG", "SYSCONF")}}

    def run(*command, check=True):
        return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=check).stdout

    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    run("ovsdb-tool", "create", "conf.db", schema)
    daemons = [subprocess.Popen([*command, "-vconsole:off"], env=env, cwd=folder, stderr=subprocess.DEVNULL) for command in (
        ["ovsdb-server", "conf.db", "--remote=punix:db.sock", "--unixctl=db.ctl"],
        ["ovs-vswitchd", "unix:db.sock", "--enable-dummy=override", "--disable-system", "--unixctl=vs.ctl"])]
    try:
        for _ in range(100):
            if (folder / "db.sock").exists() and (folder / "vs.ctl").exists():
                break
            time.sleep(0.1)
        vsctl = ["ovs-vsctl", "--timeout=10", "--db=unix:db.sock"]
        run(*vsctl, "--no-wait", "init")
        run(*vsctl, "add-br", "br0", "--", "set", "bridge", "br0", "datapath-type=dummy", "fail-mode=secure")
        for port in ("p1", "p2"):
            run(*vsctl, "add-port", "br0", port, "--", "set", "interface", port, "type=dummy")
        control = ["ovs-appctl", "-t", str(folder / "vs.ctl")]

        def printed(flow, actions):
            for _ in range(20):  # OVS's revalidator may sweep a flow away, which it did not install, before it is read
                run(*control, "dpctl/del-flows")
                run(*control, "dpctl/add-flow", flow, actions)
                said = run(*control, "dpctl/dump-flows")
                if "actions:" in said:
                    break
            return said.rsplit("actions:", 1)[-1].strip()

        yield printed
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(10)


def test_ovs_prints_actions_as_we_do(oracle):
    flow = "in_port(1),eth(),eth_type(0x0800),ipv4(proto=6,frag=no),tcp()"
    for _, _, text in HERE:
        assert oracle(flow, text) == text
