"""VLAN settings of ports: as keywords, as live attributes, in ovs-vsctl's words; and the record that NORMAL reads."""
import pytest

from lab import Switch
from lab.control.errors import CommandError
from lab.translate.emit import NO_FLOOD, PROTECTED
from lab.translate.normal import ACCESS, NATIVE_TAGGED, NATIVE_UNTAGGED, TRUNK


@pytest.fixture
def sw():
    switch = Switch("br0")
    yield switch
    switch.close()


def record(port):
    """(mode, tag, the VLANs carried) as NORMAL reads them."""
    row = port.engine.array("vlans")[port.number]
    carried = {64 * j + bit for j, word in enumerate(row["trunks"].tolist()) for bit in range(64) if word >> bit & 1}
    return int(row["mode"]), int(row["tag"]), carried


EVERY_VLAN = set(range(4096))


@pytest.mark.parametrize(("given", "read"), [
    ({}, (TRUNK, 0, EVERY_VLAN)),
    ({"tag": 10}, (ACCESS, 10, EVERY_VLAN)),
    ({"tag": 0}, (ACCESS, 0, EVERY_VLAN)),
    ({"trunks": [10, 20]}, (TRUNK, 0, {10, 20})),
    ({"tag": 10, "vlan_mode": "trunk"}, (TRUNK, 10, EVERY_VLAN)),
    ({"vlan_mode": "access"}, (ACCESS, 0, EVERY_VLAN)),
    ({"tag": 10, "vlan_mode": "native-tagged"}, (NATIVE_TAGGED, 10, EVERY_VLAN - {0})),
    ({"tag": 10, "trunks": [0, 20], "vlan_mode": "native-untagged"}, (NATIVE_UNTAGGED, 10, {10, 20})),
])
def test_settings_mean_what_they_mean_to_open_vswitch(sw, given, read):
    assert record(sw.add_port("vm1", **given)) == read


def test_a_port_shows_what_was_set_and_can_be_changed(sw):
    vm1 = sw.add_port("vm1", tag=10)
    vm1.vlan_mode, vm1.trunks = "native-tagged", [30, 20, 20]
    assert (vm1.tag, vm1.trunks, vm1.vlan_mode, vm1.protected) == (10, (20, 30), "native-tagged", False)
    assert ["VLAN", "native-tagged, tag 10, trunks 20, 30"] in vm1.facts()["rows"]
    vm1.tag = None
    assert record(vm1) == (NATIVE_TAGGED, 0, {20, 30})


@pytest.mark.parametrize(("name", "value", "said"), [
    ("tag", 4096, "port vm1: tag 4096 is no VLAN"), ("tag", "ten", "tag 'ten' is no VLAN"), ("tag", True, "tag True is no VLAN"),
    ("trunks", [1, -1], "trunks: -1 is no VLAN"), ("trunks", 7, "give a list"), ("vlan_mode", "acces", "there are trunk, access"),
    ("vlan_mode", "dot1q-tunnel", "not built"),
])
def test_a_wrong_setting_is_refused_and_changes_nothing(sw, name, value, said):
    vm1 = sw.add_port("vm1", tag=10)
    before = record(vm1)
    with pytest.raises(ValueError, match=said):
        setattr(vm1, name, value)
    with pytest.raises(ValueError, match=said.replace("vm1", "vm2")):
        sw.add_port("vm2", **{name: value})
    assert (vm1.tag, vm1.trunks, vm1.vlan_mode, record(vm1)) == (10, (), None, before)
    assert list(sw.ports) == ["vm1"]


def test_a_change_makes_every_core_look_up_anew(sw):
    vm1 = sw.add_port("vm1")
    epoch = int(sw.engine.array("config")["epoch"][0])
    vm1.tag = 10
    assert int(sw.engine.array("config")["epoch"][0]) > epoch
    assert int(sw.engine.array("lane", 1)["epoch"][0]) == int(sw.engine.array("config")["epoch"][0])
    epoch = int(sw.engine.array("config")["epoch"][0])
    vm1.tag = 10
    assert int(sw.engine.array("config")["epoch"][0]) == epoch, "nothing has changed"


def test_other_flags_of_a_port_stay(sw):
    vm1 = sw.add_port("vm1")
    sw.engine.array("vlans")["marks"][1] = NO_FLOOD
    vm1.protected = True
    assert sw.engine.array("vlans")["marks"][1] == NO_FLOOD | PROTECTED
    vm1.protected = False
    assert sw.engine.array("vlans")["marks"][1] == NO_FLOOD


def test_the_next_port_of_a_number_inherits_nothing(sw):
    sw.add_port("vm1", tag=10, trunks=[5])
    sw.remove_port("vm1")
    assert record(sw.add_port("vm2")) == (TRUNK, 0, EVERY_VLAN)


def test_vsctl_sets_and_prints_as_ovs_vsctl_does(sw):
    sw.vsctl("add-port br0 vm1 tag=10")
    assert sw.vsctl("get port vm1 tag trunks vlan_mode protected") == "10\n[]\n[]\nfalse"
    sw.vsctl("set port vm1 vlan_mode=native-untagged trunks=1,2 protected=true")
    assert sw.vsctl("get port vm1 tag trunks vlan_mode protected") == "10\n[1, 2]\nnative-untagged\ntrue"
    sw.vsctl("add port vm1 trunks 7")
    sw.vsctl("remove port vm1 trunks 1")
    assert sw.vsctl("get port vm1 trunks") == "[2, 7]"
    sw.vsctl("remove port vm1 trunks 77")
    sw.vsctl("clear port vm1 trunks tag vlan_mode protected")
    assert sw.vsctl("get port vm1 tag trunks vlan_mode protected") == "[]\n[]\n[]\nfalse"
    sw.vsctl("set port vm1 trunks=[3,4] tag=[]")
    assert sw.ports["vm1"].trunks == (3, 4)


def test_one_line_may_add_a_port_and_set_it(sw):
    sw.vsctl("add-port br0 vm1 -- set port vm1 tag=20 -- set interface vm1 mtu_request=2000")
    assert (sw.ports["vm1"].tag, sw.ports["vm1"].mtu) == (20, 2000)


@pytest.mark.parametrize(("line", "word"), [
    ("set port vm1 tag=5000", "tag=5000"), ("set port vm1 tag=1,2", "tag=1,2"), ("set port vm1 trunks=a", "trunks=a"),
    ("set port vm1 vlan_mode=foo", "vlan_mode=foo"), ("set port vm1 mtu_request=2000", "mtu_request=2000"),
    ("clear port vm1 name", "name"), ("remove port vm1 tag 10", "tag"), ("set port vm1 protected=yes", "protected=yes"),
    ("add-port br0 vm2 tag=5000", "tag=5000"),
])
def test_a_mistake_names_its_word(sw, line, word):
    sw.add_port("vm1")
    with pytest.raises(CommandError) as caught:
        sw.vsctl(line)
    assert caught.value.word == word
    assert list(sw.ports) == ["vm1"]
