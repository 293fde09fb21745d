"""Tunnel ports, routes and next hops as live objects: what people say, what stands in the records, what is refused."""

from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import Switch
from lab.offload.records import GENEVE, GRE, MPLSOUDP, STATIC, VXLAN

MAC = "02:00:00:00:00:99"


@pytest.fixture
def sw():
    made = Switch("br0")
    made.add_port("eth0")
    made.add_port("eth1")
    yield made
    made.close()


def record(port):
    """The port's record in `tunnel_ports`, as {field: value}."""
    row = port.engine.array("tunnel_ports")[port.number]
    return {name: row[name].tolist() for name in row.dtype.names}


# --- ports ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, code, udp", [
    ("vxlan", VXLAN, 4789), ("geneve", GENEVE, 6081), ("gre", GRE, 0), ("mplsoudp", MPLSOUDP, 6635),
])  # fmt: skip
def test_a_tunnel_port_begins_with_the_defaults_of_ovs(sw, kind, code, udp):
    port = sw.add_port("t0", type=kind, remote_ip="10.0.0.9")
    assert record(port) == {
        "kind": code, "marks": 2 | (1024 if kind == "mplsoudp" else 0), "dst_port": udp,
        "tos": 0, "ttl": 64, "key": 0, "remote": [0, 0x0A000009], "local": [0, 0],
        "n_options": 0, "sequence": 0, "options": [0] * 8,
    }  # fmt: skip
    assert (port.mtu, port.ip, port.tos, port.ttl, port.df, port.csum) == (65000, "0.0.0.0", 0, 64, True, False)


def test_every_setting_stands_in_the_record(sw):
    port = sw.add_port("t0", type="gre", remote_ip="fd00::9", local_ip="fd00::1", key=0xFFFFFFFF, csum=True, tos="inherit", ttl="inherit",
                       df=False, pmtud=True, seq=True)  # fmt: skip
    found = record(port)
    assert found["marks"] == 1 | 16 | 32 | 64 | 128 | 256 | 512
    assert (found["remote"], found["local"], found["key"]) == ([0xFD00 << 48, 9], [0xFD00 << 48, 1], 0xFFFFFFFF)


def test_what_the_flow_says_is_marked_so(sw):
    assert record(sw.add_port("t0", type="vxlan", remote_ip="flow", key="flow"))["marks"] == 2 | 4 | 8 | 64


def test_gre_carries_frames_or_ip_packets_and_others_what_they_always_do(sw):
    port = sw.add_port("t0", type="gre", remote_ip="10.0.0.9")
    assert (port.packet_type, record(port)["marks"], port.settings.said("gre")) == ("legacy_l2", 2, {"remote_ip": "10.0.0.9"})
    port.packet_type = "legacy_l3"
    assert (record(port)["marks"], port.settings.said("gre")["packet_type"]) == (2 | 1024, "legacy_l3")
    mpls = sw.add_port("t1", type="mplsoudp", remote_ip="10.0.0.9")
    assert (mpls.packet_type, mpls.settings.said("mplsoudp")) == ("legacy_l3", {"remote_ip": "10.0.0.9"})


def test_options_are_kept_as_they_are_sent(sw):
    port = sw.add_port("t0", type="geneve", remote_ip="10.0.0.9", options=[(0x102, 0x80, b"\1\2\3\4"), (0xFFFF, 1, b"")])
    assert record(port)["n_options"] == 12
    assert record(port)["options"] == [0x0102_8001_01020304, 0xFFFF_0100_00000000, 0, 0, 0, 0, 0, 0]


def test_the_words_of_ovs_vsctl_are_taken_as_text(sw):
    words = {"in_key": "0x10", "out_key": "0x10", "dst_port": "8472", "csum": "true", "df_default": "false"}
    port = sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9", **words)
    assert (port.key, port.dst_port, port.csum, port.df) == (16, 8472, True, False)


@pytest.mark.parametrize("kind, given_settings, said", [
    ("vxlan", {}, "a vxlan port needs remote_ip, such as remote_ip='10.0.0.2', or 'flow'"),
    ("vxlan", {"remote_ip": "10.0.0"}, "remote_ip='10.0.0' is no IP address or 'flow'"),
    ("vxlan", {"remote_ip": "224.0.0.1"}, "remote_ip='224.0.0.1' is no address that one host has"),
    ("vxlan", {"remote_ip": "10.0.0.9", "local_ip": "fd00::1"}, "are of different versions of IP"),
    ("vxlan", {"remote_ip": "10.0.0.9", "key": 1 << 24}, "key=16777216 is neither a number from 0 to 16777215 nor 'flow'"),
    ("mplsoudp", {"remote_ip": "10.0.0.9", "key": 1 << 20}, "neither a number from 0 to 1048575 nor 'flow'"),
    ("vxlan", {"remote_ip": "10.0.0.9", "in_key": 1, "out_key": 2}, "one key serves both directions, not 1 and 2"),
    ("gre", {"remote_ip": "10.0.0.9", "dst_port": 5}, "gre has no ports"),
    ("vxlan", {"remote_ip": "10.0.0.9", "dst_port": 0}, "dst_port=0 is not a number from 1 to 65535"),
    ("vxlan", {"remote_ip": "10.0.0.9", "seq": True}, "for gre ports"),
    ("vxlan", {"remote_ip": "10.0.0.9", "packet_type": "legacy_l3"}, "no type that a vxlan tunnel carries: 'legacy_l2'"),
    ("gre", {"remote_ip": "10.0.0.9", "packet_type": "ptap"}, "no type that a gre tunnel carries: 'legacy_l2' or 'legacy_l3'"),
    ("vxlan", {"remote_ip": "10.0.0.9", "csum": "maybe"}, "csum='maybe' is neither true nor false"),
    ("vxlan", {"remote_ip": "10.0.0.9", "ttl": 0}, "neither a number from 1 to 255 nor 'inherit'"),
    ("vxlan", {"remote_ip": "10.0.0.9", "options": [(1, 2, bytes(4))]}, "for geneve ports"),
    ("geneve", {"remote_ip": "10.0.0.9", "options": [(1, 2, bytes(3))]}, "3 bytes are no multiple of 4"),
    ("geneve", {"remote_ip": "10.0.0.9", "options": [(1, 256, bytes(4))]}, "its type is no number from 0 to 255"),
    ("geneve", {"remote_ip": "10.0.0.9", "options": [(1, 2, bytes(56))]}, "60 bytes with their headers, and 56 is all"),
    ("vxlan", {"remote_ip": "10.0.0.9", "kye": 1}, "a vxlan port has no option 'kye'"),
])  # fmt: skip
def test_a_mistake_is_named_and_leaves_no_port(sw, kind, given_settings, said):
    with pytest.raises(ValueError, match="port t0") as error:
        sw.add_port("t0", type=kind, **given_settings)
    assert said in str(error.value)
    assert "t0" not in sw.ports and not sw.engine.array("tunnel_ports")["kind"].any()


def test_settings_change_while_the_port_is_there_and_a_mistake_changes_none(sw):
    port = sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9", key=1)
    port.key = 2
    with pytest.raises(ValueError, match="ttl=999"):
        port.configure(key=3, ttl=999)
    assert (port.key, port.ttl, record(port)["key"], record(port)["kind"]) == (2, 64, 2, VXLAN)


def test_two_tunnels_whose_packets_cannot_be_told_apart_are_refused(sw):
    sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9", key=1)
    with pytest.raises(ValueError, match="t0 has the same remote_ip, local_ip, key and dst_port"):
        sw.add_port("t1", type="vxlan", remote_ip="10.0.0.9", key=1)
    t1 = sw.add_port("t1", type="vxlan", remote_ip="10.0.0.9", key=2)
    with pytest.raises(ValueError, match="choose another key"):
        t1.key = 1
    assert t1.key == 2


def test_while_there_are_tunnels_other_ports_take_their_headers_off(sw):
    eth0 = sw.ports["eth0"]
    assert [place.name for place in eth0.ingress] == []
    sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9")
    later = sw.add_port("eth2")
    assert [place.name for place in eth0.ingress] == [place.name for place in later.ingress] == ["pop"]
    sw.remove_port("t0")
    assert [place.name for place in eth0.ingress] == []


def test_a_port_that_is_gone_is_no_tunnel_and_the_next_of_its_number_neither(sw):
    number = sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9").number
    sw.remove_port("t0")
    assert not sw.engine.array("tunnel_ports")["kind"].any() and sw.engine.array("addresses")["ip"][number] == 0
    assert sw.add_port("vm1").ip == f"10.0.0.{number}"


def test_nothing_is_injected_at_a_tunnel(sw):
    with pytest.raises(ValueError, match="inject what is in the tunnel at another port"):
        sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9").inject(bytes(60))


def test_a_step_back_leaves_the_settings_of_tunnels(sw):
    port = sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9", key=1)
    sw.ofctl("add-flow actions=drop")
    sw.ports["eth0"].inject(bytes(60))
    sw.step()
    port.key = 2
    sw.neighbours.add("10.0.0.9", MAC, "eth0")
    sw.routes.add("10.0.0.0/24", "eth0")
    sw.step()
    sw.back()
    sw.back()
    assert record(port)["key"] == 2 and sw.neighbours["10.0.0.9"].mac == MAC and len(sw.routes) == 1


# --- addresses and routes ---------------------------------------------------------------------------


def test_a_port_has_addresses_of_its_number_until_it_is_given_others(sw):
    eth0, rows = sw.ports["eth0"], sw.engine.array("addresses")
    assert (eth0.ip, eth0.ip6, int(rows["ip"][1]), rows["ip6"][1].tolist()) == ("10.0.0.1", "fd00::1", 0x0A000001, [0xFD00 << 48, 1])
    eth0.ip = "192.0.2.1"
    eth0.ip6 = "2001:db8::7"
    assert (eth0.ip, eth0.ip6, int(rows["ip"][1]), len(sw.routes)) == ("192.0.2.1", "2001:db8::7", 0xC0000201, 0)
    with pytest.raises(ValueError, match=r"port eth0: ip 'fd00::1' is no IPv4 address, such as 192\.0\.2\.1/24"):
        eth0.ip = "fd00::1"


def test_an_address_with_a_length_brings_its_route_and_takes_the_one_before_away(sw):
    eth0 = sw.ports["eth0"]
    eth0.ip, eth0.ip6 = "192.0.2.1/24", "2001:db8::1/64"
    assert [str(route) for route in sw.routes] == ["2001:db8::/64 eth0", "192.0.2.0/24 eth0"]
    eth0.ip = "198.51.100.1/25"
    assert [str(route) for route in sw.routes] == ["2001:db8::/64 eth0", "198.51.100.0/25 eth0"]
    eth0.ip = "198.51.100.1"
    assert [str(route) for route in sw.routes] == ["2001:db8::/64 eth0"]


def test_the_longest_prefix_is_found_first_in_any_order_of_adding(sw):
    added = [("0.0.0.0/0", "10.0.0.254"), ("10.0.0.9/32", None), ("10.0.0.0/8", "10.0.0.253"), ("10.0.0.0/24", None), ("::/0", "fd00::f")]
    for prefix, gateway in added:
        sw.routes.add(prefix, "eth0", gateway)
    assert [route.prefix for route in sw.routes] == ["10.0.0.9/32", "10.0.0.0/24", "10.0.0.0/8", "::/0", "0.0.0.0/0"]
    assert [sw.routes.lookup(ip).prefix for ip in ("10.0.0.9", "10.0.0.8", "10.1.0.0", "9.9.9.9", "9::")] == [
        "10.0.0.9/32", "10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "::/0"]  # fmt: skip
    sw.routes.add("10.0.0.1/8", "eth1")  # bits behind the length do not count, and a prefix has one route
    assert (len(sw.routes), sw.routes.lookup("10.1.0.0").port, sw.routes.lookup("10.1.0.0").gateway) == (5, "eth1", None)
    sw.routes.remove("10.0.0.9/32")
    rows = sw.engine.array("routes")
    assert rows["length"][rows["used"] == 1].tolist() == [24, 8, 0, 0]


def test_mistakes_in_routes_are_named(sw):
    sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9")
    for arguments, said in ((("10.0.0", "eth0"), "is no prefix"), (("10.0.0.0/24", "eth9"), "there is no port 'eth9'"),
                            (("10.0.0.0/24", "t0"), "t0 is a tunnel"),
                            (("10.0.0.0/24", "eth0", "fd00::1"), "another version of IP")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            sw.routes.add(*arguments)
    with pytest.raises(KeyError, match="no route has the prefix"):
        sw.routes.remove("10.0.0.0/24")
    for n in range(64):
        sw.routes.add(f"10.0.{n}.0/24", "eth0")
    with pytest.raises(ValueError, match="there are 64 routes"):
        sw.routes.add("10.1.0.0/24", "eth0")
    sw.routes.add("10.0.5.0/24", "eth1")  # what is there may still change
    assert (len(sw.routes), sw.routes.lookup("10.0.5.1").port) == (64, "eth1")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=120))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_and_goes_the_first_route_that_matches_is_the_longest(sw, changes):
    prefixes = [f"10.{n % 4}.0.0/{8 + n}" for n in range(21)]
    held = set()
    for prefix in list(sw.routes):
        sw.routes.remove(prefix.prefix)
    for comes, n in changes:
        if comes:
            sw.routes.add(prefixes[n], "eth0")
            held.add(str(ip_network(prefixes[n], strict=False)))
        elif (network := str(ip_network(prefixes[n], strict=False))) in held:
            sw.routes.remove(network)
            held.remove(network)
    lengths = [int(route.prefix.split("/")[1]) for route in sw.routes]
    assert {route.prefix for route in sw.routes} == held and len(lengths) == len(held) and lengths == sorted(lengths, reverse=True)


def test_a_port_that_goes_takes_its_routes_and_next_hops_along(sw):
    sw.routes.add("10.0.0.0/24", "eth0")
    sw.routes.add("10.1.0.0/24", "eth1")
    sw.neighbours.add("10.0.0.9", MAC)
    sw.neighbours.add("10.1.0.9", MAC)
    sw.remove_port("eth0")
    assert [route.port for route in sw.routes] == ["eth1"] and list(sw.neighbours) == ["10.1.0.9"]


def test_a_fork_has_routes_next_hops_and_tunnels_of_its_own(sw):
    sw.add_port("t0", type="vxlan", remote_ip="10.0.0.9", key=1)
    sw.routes.add("10.0.0.0/24", "eth0")
    sw.neighbours.add("10.0.0.9", MAC)
    sw.ports["eth1"].ip = "192.0.2.1/24"
    copy = sw.fork()
    copy.ports["t0"].key = 5
    copy.neighbours.flush()
    copy.ports["eth1"].ip = "198.51.100.1/24"
    assert sorted(map(str, copy.routes)) == ["10.0.0.0/24 eth0", "198.51.100.0/24 eth1"] and copy.ports["t0"].key == 5
    assert sorted(map(str, sw.routes)) == ["10.0.0.0/24 eth0", "192.0.2.0/24 eth1"]
    assert (sw.ports["t0"].key, record(sw.ports["t0"])["key"], list(sw.neighbours)) == (1, 1, ["10.0.0.9"])
    copy.close()


# --- next hops --------------------------------------------------------------------------------------


def test_a_next_hop_that_is_set_stands_in_controls_part(sw):
    sw.neighbours.add("10.0.0.9", MAC, "eth0")
    sw.neighbours.add("fd00::9", MAC, "eth1")
    rows = sw.engine.array("neighbours")
    assert rows["state"][:2].tolist() == [STATIC, STATIC] and rows["v"][:3].tolist() == [4, 6, 0] and rows["port"][:2].tolist() == [1, 2]
    assert rows["ip"][:2].tolist() == [[0, 0x0A000009], [0xFD00 << 48, 9]] and rows["mac"][:2].tolist() == [0x020000000099] * 2
    sw.neighbours.add("10.0.0.9", "02:00:00:00:00:98", "eth0")
    assert len(sw.neighbours) == 2 and sw.neighbours["10.0.0.9"].mac == "02:00:00:00:00:98"
    sw.neighbours.remove("10.0.0.9")
    assert list(sw.neighbours) == ["fd00::9"]


def test_what_was_set_counts_before_what_was_learned_and_the_latest_of_that(sw):
    rows = sw.engine.array("neighbours")
    for at, (state, used, mac) in enumerate(((2, 5_000_000, 5), (2, 7_000_000, 7), (3, 9_000_000, 0)), 64):
        rows["state"][at], rows["used"][at], rows["mac"][at], rows["v"][at], rows["port"][at] = state, used, mac, 4, 1
        rows["ip"][at] = 0, 0x0A000009
    sw.clock.warp(10_000)
    assert (sw.neighbours["10.0.0.9"].mac, sw.neighbours["10.0.0.9"].age, len(sw.neighbours)) == ("00:00:00:00:00:07", 3.0, 1)
    sw.neighbours.add("10.0.0.9", MAC, "eth0")
    assert sw.neighbours["10.0.0.9"].mac == MAC and sw.neighbours["10.0.0.9"].fixed
    sw.neighbours.remove("10.0.0.9")
    assert not rows["v"].any()


def test_an_address_that_is_asked_for_has_no_mac_yet(sw):
    rows = sw.engine.array("neighbours")
    rows["state"][64], rows["v"][64], rows["port"][64] = 3, 4, 1
    rows["ip"][64] = 0, 0x0A000009
    assert sw.neighbours["10.0.0.9"].mac is None and repr(sw.neighbours) == "<1 neighbour: 10.0.0.9 asked for>"
    assert sw.appctl("tnl/neigh/show").count("\n") == 1


def test_mistakes_in_next_hops_are_named(sw):
    for arguments, said in ((("10.0.0", MAC, "eth0"), "is no IP address"), (("10.0.0.9", "02:00", "eth0"), "is no MAC address"),
                            (("10.0.0.9", "01:00:5e:00:00:01", "eth0"), "is a group's address"),
                            (("10.0.0.9", MAC, "eth9"), "there is no port 'eth9'"),
                            (("10.0.0.9", MAC), r"add the route first: sw.routes.add\('10.0.0.0/24', 'eth0'\)")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            sw.neighbours.add(*arguments)
    with pytest.raises(KeyError, match="is no neighbour"):
        sw.neighbours["10.0.0.9"]


def test_live_objects_say_in_one_line_what_is_there(sw):
    assert repr(sw.routes) == "<no routes: sw.routes.add('10.0.0.0/24', port) adds one>"
    sw.routes.add("10.0.0.0/24", sw.ports["eth0"])
    sw.neighbours.add("10.0.0.9", MAC)
    assert repr(sw.routes) == "<1 route: 10.0.0.0/24 eth0>" and repr(sw.neighbours) == f"<1 neighbour: 10.0.0.9 at {MAC}>"
    port = sw.add_port("t0", type="geneve", remote_ip="flow", key="flow")
    assert repr(port) == "<port t0: geneve to flow, key flow, ofport 3, rx 0, tx 0>"
    for thing, word in ((sw.routes, "10.0.0.0/24"), (sw.neighbours, MAC), (port, "flow")):
        assert word in thing._repr_mimebundle_()["text/html"]
    assert sw.routes._ipython_key_completions_() == ["10.0.0.0/24"] and sw.neighbours._ipython_key_completions_() == ["10.0.0.9"]
