"""The commands on groups and meters on a real switch: what they do, what they print, and what each mistake says."""
import pytest

from lab.control.switch import Switch
from lab.openflow.errors import CommandError


@pytest.fixture(scope="module")
def kept():
    switch = Switch("br0")
    switch.vsctl("add-port vm1 -- add-port vm2")
    yield switch
    switch.close()


@pytest.fixture
def sw(kept):
    """A switch with two ports, no rule, no group, no meter."""
    kept.rules.delete()
    kept.ofctl("del-groups")
    kept.ofctl("del-meters")
    kept.controller.clear()
    return kept


def wrong(sw, line):
    with pytest.raises(CommandError) as caught:
        sw.ofctl(line)
    return caught.value


def go(sw, port, data=bytes(60)):
    """Send a frame through."""
    sw.ports[port].inject(data)
    while sw.step():
        pass


# --- groups ------------------------------------------------------------------------------------------


def test_groups_are_dumped_as_ovs_dumps_them(sw):
    sw.ofctl("add-group br0 'group_id=2,type=select,bucket=weight:50,actions=set_field:10.0.0.1->ip_dst,output:1,"
             "bucket=bucket_id=7,output:2'")
    sw.ofctl("add-group br0 group_id=1,type=ff,bucket=watch_port:vm1,output:1,bucket=watch_group=2,output:2")
    assert sw.ofctl("--no-names dump-groups br0").splitlines() == [
        " group_id=1,type=ff,bucket=bucket_id:0,watch_port:1,actions=output:1,bucket=bucket_id:1,watch_group:2,actions=output:2",
        " group_id=2,type=select,bucket=bucket_id:0,weight:50,actions=mod_nw_dst:10.0.0.1,output:1,bucket=bucket_id:7,actions=output:2"]
    assert sw.ofctl("--no-names -O OpenFlow13 dump-groups br0 2").splitlines() == [
        " group_id=2,type=select,bucket=weight:50,actions=set_field:10.0.0.1->ip_dst,output:1,bucket=actions=output:2"]
    assert sw.ofctl("dump-groups group_id=1") == (
        " group_id=1,type=ff,bucket=bucket_id:0,watch_port:vm1,actions=output:vm1,bucket=bucket_id:1,watch_group:2,actions=output:vm2")
    assert sw.ofctl("dump-groups 99") == "" and len(sw.ofctl("dump-groups all").splitlines()) == 2
    assert wrong(sw, "dump-groups foo").word == "foo"


def test_the_life_of_a_group(sw):
    sw.ofctl("add-group group_id=1 type=all bucket=output:1")
    assert wrong(sw, "add-group group_id=1,type=all").word == "1"
    assert wrong(sw, "mod-group group_id=3,type=all").problem == "there is no group 3"
    sw.ofctl("--may-create mod-group group_id=3,type=all")
    sw.ofctl("mod-group group_id=3,type=select,bucket=output:1")
    sw.ofctl("insert-buckets group_id=3,command_bucket_id=last,bucket=bucket_id:5,output:2")
    sw.ofctl("remove-buckets group_id=3,command_bucket_id=first")
    assert sw.groups[3].text == "group_id=3,type=select,bucket=bucket_id:5,actions=output:vm2"
    sw.ofctl("add-flow actions=group:3")
    sw.ofctl("del-groups group_id=3")
    assert list(sw.groups) == [1] and len(sw.rules) == 0
    sw.ofctl("del-groups")
    assert len(sw.groups) == 0


@pytest.mark.parametrize("line", ["add-group", "mod-group", "insert-buckets", "remove-buckets", "add-groups", "add-meter", "mod-meter"])
def test_a_command_without_its_operand_says_what_it_needs(line, sw):
    assert f"{line} needs" in wrong(sw, line).problem


def test_an_error_points_into_the_line_that_was_typed(sw):
    error = wrong(sw, "add-group br0 group_id=1,type=all,bucket=ouput:1")
    assert (error.word, error.position, error.suggestion) == ("ouput", 41, "output")


def test_a_file_of_groups_is_carried_out_whole_or_not_at_all(sw, tmp_path):
    file = tmp_path / "groups"
    file.write_text("# groups\n\ngroup_id=1,type=all,bucket=output:1\nadd group_id=2,type=all,bucket=vm2  # two\n"
                    "modify group_id=2,type=all,bucket=vm1\ndelete group_id=1\nadd_or_mod group_id=5,type=all\n"
                    "insert_bucket command_bucket_id=last,group_id=2,bucket=vm2\nremove_bucket command_bucket_id=first,group_id=2\n")
    sw.ofctl(f"add-groups br0 {file}")
    texts = [group.text for group in sw.groups.values()]
    assert texts == ["group_id=2,type=all,bucket=bucket_id:1,actions=output:vm2", "group_id=5,type=all"]
    before = sw.ofctl("dump-groups")
    for bad, problem, word in (
        ("group_id=7,type=al", "line 2: 'al' is no type of group", "al"),
        ("add group_id=5,type=all", "line 2: there is a group 5 already", "5"),
        ("modify group_id=9,type=all", "line 2: there is no group 9", "9"),
    ):
        file.write_text(f"group_id=6,type=all\n{bad}\n")
        error = wrong(sw, f"add-groups {file}")
        assert problem in error.problem and (error.word, error.command) == (word, bad)
        assert bad[error.position:error.position + len(word)] == word and sw.ofctl("dump-groups") == before
    assert "cannot be read" in wrong(sw, f"add-groups {tmp_path / 'nothing'}").problem


def test_packets_take_their_buckets_and_are_counted(sw):
    sw.ofctl("add-group group_id=1,type=all,bucket=output:2,bucket=output:1")
    sw.ofctl("add-flow in_port=vm1,actions=group:1")
    go(sw, "vm1")
    assert [bucket.packets for bucket in sw.groups[1].buckets] == [1, 1] and sw.groups[1].packets == 1
    stats = sw.ofctl("dump-group-stats group_id=1")
    assert stats == (" group_id=1,duration=0s,ref_count=1,packet_count=1,byte_count=60,bucket0:packet_count=1,byte_count=60,"
                     "bucket1:packet_count=1,byte_count=60")
    assert len(sw.ports["vm2"].sent) == 1
    sw.ports["vm2"].sent.clear()


def test_fast_failover_follows_the_ports(sw):
    sw.ofctl("add-group group_id=1,type=ff,bucket=watch_port:2,output:2,bucket=watch_port:1,output:in_port")
    sw.ofctl("add-flow in_port=vm1,actions=group:1")
    sent = {name: len(port.sent) for name, port in sw.ports.items()}
    for state, name in (("down", "vm1"), ("up", "vm2")):
        sw.ofctl(f"mod-port vm2 {state}")
        assert [bucket.live for bucket in sw.groups[1].buckets] == [state == "up", True]
        go(sw, "vm1")
        sent[name] += 1
        assert {name: len(port.sent) for name, port in sw.ports.items()} == sent


def test_the_features_are_those_that_there_are(sw):
    lines = sw.ofctl("dump-group-features").splitlines()
    assert lines[:3] == [" Group table:", "    Types:  0xf", "    Capabilities:  0x7"] and "       max_groups=0x200" in lines
    assert sw.ofctl("meter-features").splitlines()[0] == "max_meter:256 max_bands:4 max_color:0"


# --- meters ------------------------------------------------------------------------------------------


def test_meters_are_dumped_as_ovs_dumps_them(sw):
    sw.ofctl("add-meter br0 meter=10 kbps burst stats bands=type=drop rate=1000 burst_size=10")
    sw.ofctl("add-meter br0 meter=2,pktps,bands=type=drop,rate=5,type=drop,rate=10")
    assert sw.ofctl("dump-meters br0") == (
        "meter=2 pktps bands=\ntype=drop rate=5\ntype=drop rate=10\n\nmeter=10 kbps burst stats bands=\ntype=drop rate=1000 burst_size=10")
    assert sw.ofctl("dump-meter meter=10").startswith("meter=10 kbps")
    assert sw.ofctl("meter-stats meter=2") == (
        "meter:2 flow_count:0 packet_in_count:0 byte_in_count:0 duration:0s bands:\n0: packet_count:0 byte_count:0\n"
        "1: packet_count:0 byte_count:0")
    assert wrong(sw, "dump-meter meter=99").problem == "there is no meter 99"


def test_a_meter_drops_what_is_too_much_and_goes_with_its_rules(sw):
    sw.ofctl("add-meter meter=1,pktps,burst,bands=type=drop,rate=1,burst_size=1")
    sw.ofctl("add-flow in_port=vm1,actions=meter:1,output:2")
    before = len(sw.ports["vm2"].sent)
    go(sw, "vm1", [bytes(60)] * 3)
    assert len(sw.ports["vm2"].sent) == before + 1
    assert sw.ofctl("meter-stats meter=1") == (
        "meter:1 flow_count:1 packet_in_count:3 byte_in_count:180 duration:0s bands:\n0: packet_count:2 byte_count:120")
    sw.ofctl("mod-meter meter=1,pktps,bands=type=drop,rate=100")
    assert sw.meters[1].packets == 0
    sw.ofctl("del-meter meter=1")
    assert len(sw.rules) == 0 and len(sw.meters) == 0
