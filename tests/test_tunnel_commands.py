"""Tunnels in the words of ovs-appctl, ovs-vsctl and ovs-ofctl: what the commands print, to the letter, and what they refuse."""

import pytest

from lab import CommandError, Switch

MAC = "02:00:00:00:00:99"


@pytest.fixture
def sw():
    made = Switch("br0")
    made.add_port("eth0")
    made.add_port("eth1")
    yield made
    made.close()


def refused(tool, line):
    """The sentence of the error that a command line gives."""
    with pytest.raises(CommandError) as error:
        tool(line)
    return error.value.problem


# --- routes ---------------------------------------------------------------------------------------


def test_routes_are_printed_as_ovs_prints_them(sw):
    assert sw.appctl("ovs/route/show") == "Route Table:"
    assert [sw.appctl(line) for line in (
        "ovs/route/add 1.1.2.92/24 eth0", "ovs/route/add 0.0.0.0/0 eth1 10.0.0.254", "ovs/route/add 2001:cafe::92/64 eth0")] == ["OK"] * 3
    sw.ports["eth1"].ip = "192.0.2.1/25"
    assert sw.appctl("ovs/route/show") == (
        "Route Table:\n"
        "User: 2001:cafe::/64 dev eth0 SRC fd00::1\n"
        "Cached: 192.0.2.0/25 dev eth1 SRC 192.0.2.1\n"
        "User: 1.1.2.0/24 dev eth0 SRC 10.0.0.1\n"
        "User: 0.0.0.0/0 dev eth1 GW 10.0.0.254 SRC 192.0.2.1"
    )
    assert sw.appctl("ovs/route/del 1.1.2.0/24") == "OK"
    assert len(sw.routes) == 3


def test_a_route_is_looked_up(sw):
    sw.appctl("ovs/route/add 10.0.0.0/24 eth0")
    sw.appctl("ovs/route/add 0.0.0.0/0 eth1 10.0.0.254")
    assert sw.appctl("ovs/route/lookup 10.0.0.9") == "src 10.0.0.1\ngateway ::\ndev eth0"
    assert sw.appctl("ovs/route/lookup 9.9.9.9") == "src 10.0.0.2\ngateway 10.0.0.254\ndev eth1"
    assert refused(sw.appctl, "ovs/route/lookup fd00::9") == "Not found: no route leads to fd00::9; ovs/route/add adds one"


@pytest.mark.parametrize("line, said", [
    ("ovs/route/add 10.0.0.0/24", "ovs/route/add needs a prefix and a port: ovs/route/add 10.0.0.0/24 eth0 [GATEWAY]"),
    ("ovs/route/add 10.0.0/24 eth0", "'10.0.0/24' is no prefix, such as 10.0.0.0/24 or fd00::/64; 0.0.0.0/0 is every IPv4 address"),
    ("ovs/route/add 10.0.0.0/24 eth0 gate", "gateway 'gate' is no IP address, such as 10.0.0.2 or fd00::2"),
    ("ovs/route/add 10.0.0.0/24 eth0 src=10.0.0.1",
     "src=10.0.0.1 is no gateway: a route's source is its port's address, and no mark chooses it"),
    ("ovs/route/del 10.0.0.0/24", "no route has the prefix 10.0.0.0/24: there are none"),
    ("ovs/route/lookup ten", "route to 'ten' is no IP address, such as 10.0.0.2 or fd00::2"),
])  # fmt: skip
def test_a_mistake_in_a_route_is_named(sw, line, said):
    assert refused(sw.appctl, line) == said


def test_a_port_that_is_not_there_is_told_with_the_nearest(sw):
    with pytest.raises(CommandError) as error:
        sw.appctl("ovs/route/add 10.0.0.0/24 eht0")
    assert error.value.suggestion == "eth0"


# --- next hops --------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["neigh", "arp"])
def test_next_hops_are_set_printed_and_flushed_under_both_of_their_names(sw, word):
    sw.appctl("ovs/route/add 1.1.2.0/24 eth0")
    sw.appctl("ovs/route/add 2001:cafe::/64 eth0")
    assert sw.appctl(f"tnl/{word}/set br0 1.1.2.92 f8:bc:12:44:34:b6") == "OK"
    assert sw.appctl(f"tnl/{word}/set br0 2001:cafe::92 f8:bc:12:44:34:b7") == "OK"
    head = ("IP                                            MAC                 Bridge\n"
            "==========================================================================")
    assert sw.appctl(f"tnl/{word}/show") == (
        f"{head}\n"
        "1.1.2.92                                      f8:bc:12:44:34:b6   br0\n"
        "2001:cafe::92                                 f8:bc:12:44:34:b7   br0"
    )
    assert sw.appctl(f"tnl/{word}/flush") == "OK"
    assert sw.appctl(f"tnl/{word}/show") == head


def test_a_next_hop_that_was_learned_long_ago_is_stale(sw):
    rows = sw.engine.array("neighbours")
    rows["mac"][64], rows["ip"][64], rows["state"][64], rows["port"][64], rows["v"][64] = 0x020000000099, (0, 0x0A000009), 2, 1, 4
    assert sw.appctl("tnl/neigh/show").splitlines()[2] == f"10.0.0.9                                      {MAC}   br0"
    sw.appctl("time/warp 900001")
    assert sw.appctl("tnl/neigh/show").splitlines()[2] == f"10.0.0.9                                      {MAC}   br0 STALE"


def test_a_mistake_in_a_next_hop_is_named(sw):
    assert refused(sw.appctl, "tnl/neigh/set br0 10.0.0.9") == (
        "tnl/neigh/set needs an address and a MAC: tnl/neigh/set 10.0.0.2 02:00:00:00:00:02")
    assert refused(sw.appctl, f"tnl/arp/set br0 10.0.0.9 {MAC}") == (
        "no route leads to 10.0.0.9: name the port, or add the route first: sw.routes.add('10.0.0.0/24', 'eth0')")


# --- tunnel ports -------------------------------------------------------------------------------------


def test_a_tunnel_port_is_added_with_its_options_printed_and_changed(sw):
    sw.vsctl("add-port br0 vx0 -- set interface vx0 type=vxlan ofport_request=7 "
             "options:remote_ip=10.0.0.9 options:key=100 options:csum=true")
    assert (sw.ports["vx0"].ofport, sw.ports["vx0"].key, sw.ports["vx0"].csum) == (7, 100, True)
    assert sw.vsctl("show").splitlines()[-4:] == [
        "    Port vx0", "        Interface vx0", "            type: vxlan",
        '            options: {csum="true", key="100", remote_ip="10.0.0.9"}']  # fmt: skip
    sw.vsctl("set interface vx0 options:key=flow options:df_default=false")
    assert sw.vsctl("get interface vx0 options") == '{csum="true", df_default="false", key=flow, remote_ip="10.0.0.9"}'
    assert sw.vsctl("get interface vx0 options:remote_ip") == '"10.0.0.9"'
    assert sw.vsctl("get interface eth0 options") == "{}"


@pytest.mark.parametrize("line, said", [
    ("add-port br0 t0 -- set interface t0 type=gre", "port t0: a gre port needs remote_ip, such as remote_ip='10.0.0.2', or 'flow'"),
    ("add-port br0 t0 -- set interface t0 type=vxlan options:remote_ip=host",
     "port t0: remote_ip='host' is no IP address or 'flow'"),
    ("add-port br0 t0 -- set interface t0 type=vxlan options:remote_ip=10.0.0.9 options:key=ten",
     "port t0: key='ten' is neither a number from 0 to 16777215 nor 'flow'"),
    ("set interface eth0 options:key=7", "eth0 is made already: only its mtu_request can be changed"),
])  # fmt: skip
def test_a_mistake_in_a_tunnel_port_is_named_and_none_is_left(sw, line, said):
    assert refused(sw.vsctl, line) == said
    assert list(sw.ports) == ["eth0", "eth1"]


def test_tunnel_ports_are_listed(sw):
    assert sw.appctl("tnl/ports/show") == "Listening ports:" and sw.appctl("ofproto/list-tunnels") == ""
    for name, settings in (("v0", "type=vxlan options:remote_ip=10.0.0.9 options:key=7 options:csum=true"),
                           ("v1", "type=vxlan options:remote_ip=flow options:key=flow"),
                           ("v2", "type=vxlan options:remote_ip=10.0.0.9 options:dst_port=8472 options:df_default=false"),
                           ("gn0", "type=geneve options:remote_ip=fd00::9 options:tos=inherit"),
                           ("gr0", "type=gre options:remote_ip=10.0.0.9 options:local_ip=10.0.0.1 options:ttl=inherit options:tos=16"),
                           ("m0", "type=mplsoudp options:remote_ip=10.0.0.9 options:key=1000")):  # fmt: skip
        sw.vsctl(f"add-port br0 {name} -- set interface {name} {settings}")
    assert sw.appctl("tnl/ports/show") == (
        "Listening ports:\n"
        "genev_sys_6081 (6) ref_cnt=1\n"
        "gre_sys (7) ref_cnt=1\n"
        "mplsoudp_sys_6635 (8) ref_cnt=1\n"
        "vxlan_sys_4789 (3) ref_cnt=2\n"
        "vxlan_sys_8472 (5) ref_cnt=1"
    )
    assert sw.appctl("ofproto/list-tunnels") == (
        "port 3: v0 (vxlan: ::->10.0.0.9, key=0x7, legacy_l2, dp port=3, ttl=64, csum=true)\n"
        "port 4: v1 (vxlan: ::->flow, key=flow, legacy_l2, dp port=4, ttl=64)\n"
        "port 5: v2 (vxlan: ::->10.0.0.9, key=0, legacy_l2, dp port=5, ttl=64, df=false)\n"
        "port 6: gn0 (geneve: ::->fd00::9, key=0, legacy_l2, dp port=6, ttl=64, tos=inherit)\n"
        "port 7: gr0 (gre: 10.0.0.1->10.0.0.9, key=0, legacy_l2, dp port=7, ttl=inherit, tos=0x10)\n"
        "port 8: m0 (mplsoudp: ::->10.0.0.9, key=0x3e8, legacy_l3, dp port=8, ttl=64)"
    )


# --- the map of Geneve options --------------------------------------------------------------------------

MAP = "{class=0x102,type=0x80,len=4}->tun_metadata0"


def test_a_geneve_option_is_mapped_for_ports_that_are_there_and_that_come(sw):
    first = sw.add_port("g0", type="geneve", remote_ip="10.0.0.9", key=1)
    sw.ofctl(f"add-tlv-map br0 {MAP}")
    second = sw.add_port("g1", type="geneve", remote_ip="10.0.0.9", key=2)
    second.key = 3
    rows = sw.engine.array("tunnel_ports")["options"]
    assert [int(rows[port.number][7]) for port in (first, second)] == [0x102_0080_0004] * 2
    assert sw.ofctl("dump-tlv-map br0") == (
        " max option space=8 max fields=1\n"
        " allocated option space=4\n"
        "\n"
        " mapping table:\n"
        "  class  type  length  match field\n"
        " ------  ----  ------  --------------\n"
        "  0x102  0x80       4  tun_metadata0"
    )
    sw.ofctl(f"del-tlv-map br0 {MAP}")
    assert not rows.any()


@pytest.mark.parametrize("line, said", [
    ("add-tlv-map br0 class=1", "'class=1' is no map: {class=0x102,type=0x80,len=4}->tun_metadata0 is one"),
    ("add-tlv-map br0 {class=1,type=2,len=4}->tun_metadata1",
     "there is no field tun_metadata1: the flow key has room for tun_metadata0 alone"),
    ("add-tlv-map br0 {class=1,type=2,len=12}->tun_metadata0", "len=12: tun_metadata0 holds an option of 4 or 8 bytes"),
    ("add-tlv-map br0 {class=0x10000,type=2,len=4}->tun_metadata0", "an option's class is at most 0xffff, its type at most 0xff"),
    (f"del-tlv-map br0 {MAP}", f"{MAP} is not mapped: dump-tlv-map shows what is"),
])  # fmt: skip
def test_a_mistake_in_a_map_is_named(sw, line, said):
    assert refused(sw.ofctl, line) == said


def test_a_second_map_is_refused_until_the_first_is_gone(sw):
    sw.ofctl(f"add-tlv-map br0 {MAP}")
    assert refused(sw.ofctl, "add-tlv-map br0 {class=1,type=2,len=8}->tun_metadata0") == (
        "tun_metadata0 is mapped to class 0x102, type 0x80 already: del-tlv-map first")
    sw.ofctl("del-tlv-map br0")
    sw.ofctl("add-tlv-map br0 {class=1,type=2,len=8}->tun_metadata0")
    assert sw.ofctl("dump-tlv-map").splitlines()[-1] == "    0x1   0x2       8  tun_metadata0"


def test_rules_read_and_print_tun_metadata0(sw):
    sw.ofctl("add-flow tun_metadata0=0xdeadbeef,actions=set_field:0x1234->tun_metadata0,output:eth1")
    assert "tun_metadata0=0xdeadbeef actions=" in sw.ofctl("dump-flows --no-stats")
