"""The three tools' command lines on a real switch: what they do, what they print, and what each mistake says."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.control.line import Printed, joined, split
from lab.control.switch import Switch
from lab.openflow.errors import CommandError


@pytest.fixture(scope="module")
def kept():
    switch = Switch("br0")
    yield switch
    switch.close()


@pytest.fixture
def sw(kept):
    """A switch with two ports and no rule; one for the whole module, since a switch takes a while to make."""
    kept.rules.delete()
    for name in list(kept.ports):
        kept.remove_port(name)
    kept.vsctl("add-port vm1 -- add-port vm2")
    return kept


def wrong(sw, tool, line):
    with pytest.raises(CommandError) as caught:
        getattr(sw, tool)(line)
    return caught.value


# --- lines ----------------------------------------------------------------------------------

def test_words_lose_their_quotes_and_keep_their_places():
    line = """add-flow "in_port=1 x"'y' a\\ b  ''"""
    words = split(line)
    assert [word.text for word in words] == ["add-flow", "in_port=1 xy", "a b", ""]
    whole = joined(words[1:3])
    assert [line[spot] for spot in whole.spots[:len("in_port=1 xy")]] == list("in_port=1 xy")
    assert whole.text == "in_port=1 xy a b" and line[whole.spots[whole.text.index("b")]] == "b"


def test_a_quote_that_is_never_closed_is_pointed_at():
    with pytest.raises(CommandError, match="never closed") as caught:
        split("add-flow 'tcp")
    assert (caught.value.word, caught.value.position) == ("'", 9)


@given(st.text(alphabet="ab \\\"'\n-=", max_size=30))
def test_any_line_is_cut_into_words_or_refused(line):
    try:
        for word in split(line):
            assert len(word.spots) == len(word.text) + 1
            assert all(line[spot] == letter for letter, spot in zip(word.text, word.spots[:-1], strict=True))
    except CommandError as error:
        assert line[error.position] in "'\""


def test_what_a_command_prints_is_a_string_that_shows_itself(sw, capsys):
    said = sw.ofctl("dump-flows")
    assert said == "" and isinstance(said, Printed)
    said._ipython_display_()
    sw.vsctl("list-br")._ipython_display_()
    assert capsys.readouterr().out == "br0\n"


# --- ovs-ofctl -------------------------------------------------------------------------------

def test_rules_count_the_packets_they_decide_on(sw):
    sw.ofctl("add-flow in_port=vm1,actions=vm2")
    sw.ports["vm1"].inject(bytes(range(12)) + b"\x08\x00" + bytes(46))
    while sw.step() is not None:
        pass
    assert "n_packets=1, n_bytes=60, in_port=vm1 actions=output:vm2" in sw.ofctl("dump-flows")
    assert sw.ofctl("dump-aggregate") == "packet_count=1 byte_count=60 flow_count=1"
    first, second, *_ = sw.ofctl("dump-ports vm2").split("\n")
    assert first == "  port vm2: rx pkts=0, bytes=0, drop=0, errs=0, frame=0, over=0, crc=0"
    assert second == "           tx pkts=1, bytes=60, drop=0, errs=0, coll=0"
    flows = sw.appctl("dpctl/dump-flows -m")
    assert flows.startswith("ufid:") and "packets:1, bytes:60" in flows and "actions:" in flows
    assert "executed" in sw.appctl("coverage/show")
    assert "  miss with success upcall: " in sw.appctl("dpif-netdev/pmd-stats-show")


def test_show_names_the_ports(sw):
    assert " 1(vm1): addr:02:00:00:00:00:01\n" in sw.ofctl("show br0")
    assert sw.ofctl("dump-ports-desc 2").startswith(" 2(vm2): addr:")
    assert sw.ofctl("parse-flow tcp,actions=vm2") == "OFPT_FLOW_MOD: ADD tcp actions=output:vm2"
    assert "add-flow RULE" in sw.ofctl("list-commands")


WRONG = [  # tool, line, the word, its place, what the message says, the nearest word
    ("ofctl", "add-flow tcp actions=noraml", "noraml", 21, "unknown action 'noraml'", "normal"),
    ("ofctl", "dmp-flows", "dmp-flows", 0, "has no command 'dmp-flows'", "dump-flows"),
    ("ofctl", "xyzzy", "xyzzy", 0, "there are add-flow, mod-flows", ""),
    ("ofctl", "dump-ports vm22", "vm22", 11, "unknown port vm22", "vm2"),
    ("ofctl", "show br0 br1", "br1", 9, "takes no 'br1'", ""),
    ("vsctl", "add-port vm1", "vm1", 9, "is there already", ""),
    ("vsctl", "add-port br1 vm3", "br1", 9, "no bridge named 'br1'", "br0"),
    ("vsctl", "add-port", "add-port", 0, "needs the name of a port", ""),
    ("vsctl", "add-port vm3 -- set Interface vm3 type=tapp", "vm3", 9, "no type is called 'tapp'", ""),
    ("vsctl", "add-port vm3 -- set Interface vm3 mtu_request=big", "mtu_request=big", 34, "is a number", ""),
    ("vsctl", "add-port vm3 trunk=5", "trunk=5", 13, "no 'trunk' to set", "trunks"),
    ("vsctl", "add-port vm3 tag=5000", "tag=5000", 13, "5000", ""),
    ("vsctl", "del-port vm22", "vm22", 9, "unknown port", "vm2"),
    ("vsctl", "set Open_vSwitch . other_config:smc-enabel=true", "smc-enabel", 32, "no option 'smc-enabel'", "smc-enable"),
    ("vsctl", "set Open_vSwitch . other_config:vlan-limit=9", "other_config:vlan-limit=9", 19, "not between 0 and 2", ""),
    ("vsctl", "set Open_vSwitch . other_config:hw-offload=true", "other_config:hw-offload=true", 19, "simulated NIC", ""),
    ("vsctl", "set Open_vSwich . other_config:smc-enable=true", "Open_vSwich", 4, "no table", "Open_vSwitch"),
    ("vsctl", "set Bridge br1 other_config:x=1", "br1", 11, "no bridge named 'br1'", "br0"),
    ("vsctl", "set Interface vm1 type=pcap", "type=pcap", 18, "made already", ""),
    ("vsctl", "set Interface vm1 mtu_request=1", "mtu_request=1", 18, "not between 68 and 65535", ""),
    ("vsctl", "set Interface vm1 mtu_request", "mtu_request", 18, "is no setting", ""),
    ("vsctl", "get Interface vm1 ofprot", "ofprot", 18, "no column", "ofport"),
    ("vsctl", "get Interface vm1 statistics:rx_byts", "rx_byts", 29, "no key", "rx_bytes"),
    ("vsctl", "add-br br1", "br1", 7, "Switch('NAME') makes another", ""),
    ("vsctl", "", "", 0, "a command of vsctl is missing", ""),
    ("appctl", "time/wrap 5", "time/wrap", 0, "has no command", "time/warp"),
    ("appctl", "time/warp x", "x", 10, "no number of milliseconds", ""),
    ("ofctl", "add-flow actions=group:99", "99", 23, "there is no group 99: there is none yet, add-group adds one", ""),
    ("ofctl", "add-flow actions=meter:0x63,1", "0x63", 23, "there is no meter 99", ""),
    ("ofctl", "add-flow actions", "actions", 9, "actions needs a value: actions=drop", ""),
    ("appctl", "time/warp", "time/warp", 0, "needs milliseconds", ""),
    ("appctl", "time/warp 315360000001", "315360000001", 10, "at most, 10 years", ""),
    ("appctl", "time/warp 99999999999999999999", "99999999999999999999", 10, "at most, 10 years", ""),
    ("appctl", "time/warp 1000000 1", "1", 18, "steps of 1000 ms or more", ""),
    ("appctl", "fdb/shwo", "fdb/shwo", 0, "has no command", "fdb/show"),
    ("appctl", "ofproto/trace br0 tpc", "tpc", 18, "unknown field", "tcp"),
]


@pytest.mark.parametrize(("tool", "line", "word", "position", "says", "nearest"), WRONG, ids=[f"{row[0]} {row[1]}" for row in WRONG])
def test_a_mistake_is_named_with_its_word_its_place_and_the_nearest_right_one(sw, tool, line, word, position, says, nearest):
    sw.ofctl("add-flow arp,actions=drop")
    before = sw.ofctl("dump-flows"), sw.vsctl("show"), sw.vsctl("get Open_vSwitch . other_config")
    error = wrong(sw, tool, line)
    assert says in error.problem
    assert (error.command, error.word, error.position) == (line, word, position)
    if nearest:
        assert error.suggestion == nearest and f"did you mean {nearest!r}?" in str(error)
    assert (sw.ofctl("dump-flows"), sw.vsctl("show"), sw.vsctl("get Open_vSwitch . other_config")) == before


# --- ovs-vsctl -------------------------------------------------------------------------------

def test_a_port_is_made_with_what_the_same_line_sets(sw):
    settings = "type=sim mtu_request=9000 ofport_request=9"
    assert sw.vsctl(f"ovs-vsctl add-port br0 vm3 -- set Interface vm3 {settings} -- list-ports br0") == "vm1\nvm2\nvm3"
    assert (sw.ports["vm3"].mtu, sw.ports["vm3"].ofport) == (9000, 9)
    assert sw.vsctl("get Interface vm3 ofport mtu type mac_in_use") == '9\n9000\nsim\n"02:00:00:00:00:09"'
    sw.vsctl("set Interface vm3 mtu_request=1400 type=sim")
    assert sw.ports["vm3"].mtu == 1400
    sw.vsctl("--may-exist add-port br0 vm3 -- --if-exists del-port br0 vm9 -- del-port vm3")
    assert list(sw.ports) == ["vm1", "vm2"]


def test_a_line_that_fails_takes_its_ports_away_again(sw):
    assert wrong(sw, "vsctl", "add-port vm3 -- add-port vm4 -- add-port vm1").word == "vm1"
    assert list(sw.ports) == ["vm1", "vm2"]


def test_options_are_set_and_read(sw):
    sw.vsctl("--no-wait set Open_vSwitch . other_config:emc-insert-inv-prob=1 other_config:smc-enable=true")
    assert (sw.get_option("emc-insert-inv-prob"), sw.get_option("smc-enable")) == (1, True)
    assert sw.vsctl("get Open_vSwitch . other_config:emc-insert-inv-prob") == '"1"'
    assert 'smc-enable="true"' in sw.vsctl("get Open_vSwitch . other_config")
    sw.vsctl("set o . other_config:emc-insert-inv-prob=100 other_config:smc-enable=false other_config:hw-offload=false")
    assert sw.vsctl("set Bridge br0 datapath_type=netdev protocols=OpenFlow10,OpenFlow13") == ""


def test_show_draws_bridge_and_ports(sw):
    assert sw.vsctl("show") == (
        "Bridge br0\n    datapath_type: netdev\n    Port vm1\n        Interface vm1\n            type: sim\n"
        "    Port vm2\n        Interface vm2\n            type: sim")
    assert sw.vsctl("list-br") == "br0" == sw.vsctl("port-to-br vm1")


# --- ovs-appctl ------------------------------------------------------------------------------

def test_the_clock_is_warped_in_milliseconds(sw):
    before = sw.clock.ms
    assert sw.appctl("time/stop") == ""
    assert sw.appctl("time/warp 5000") == "warped" == sw.appctl("ovs-appctl time/warp 100 30")
    assert sw.clock.ms == before + 5100
    assert sw.appctl("time/start") == ""


@pytest.mark.parametrize("ms", [9223372036854775, 1e300, float("inf"), float("nan")])
def test_no_warp_is_longer_than_ten_years_and_the_clock_goes_on(sw, ms):
    before = sw.clock.ms
    with pytest.raises(CommandError, match="10 years"):
        sw.clock.warp(ms)
    sw.clock.warp(5)
    assert sw.clock.ms == before + 5


def test_the_datapath_is_printed(sw):
    assert sw.appctl("dpif/show").split("\n")[1:] == ["  br0:", "    vm1 1/1: (sim)", "    vm2 2/2: (sim)"]
    assert sw.appctl("dpif-netdev/pmd-rxq-show") == (
        "pmd thread numa_id 0 core_id 1:\n  isolated : false\n  port: vm1               queue-id:  0 (enabled)\n"
        "  port: vm2               queue-id:  0 (enabled)")
    assert "reasons never given" in sw.appctl("coverage/show")
    listed = sw.appctl("list-commands")
    assert "  time/warp [LARGE_MS] MS" in listed and "  fdb/show [BRIDGE]" in listed
