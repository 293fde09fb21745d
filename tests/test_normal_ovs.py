"""NORMAL sends what Open vSwitch sends: the same frames to the same ports, and its megaflow asks for no more."""
import random
import shutil

import numpy as np
import pytest
from bridge_desk import ALL, A, B, Bridge, C, Oracle, frame

from lab.flow.key import W_VLAN
from lab.translate.emit import NO_FLOOD, PROTECTED
from lab.translate.fdb import VALID, fdb_key, first_way, write_entry
from lab.translate.normal import ACCESS, BRIDGE, FORWARD_BPDU, NATIVE_TAGGED, NATIVE_UNTAGGED, TRUNK

MODES = {TRUNK: "trunk", ACCESS: "access", NATIVE_TAGGED: "native-tagged", NATIVE_UNTAGGED: "native-untagged"}
PORTS = 6
VLANS = (0, 10, 20, 4095)
PCP = 0xE000 << 32


@pytest.fixture(scope="module")
def oracle():
    """A real Open vSwitch with six ports."""
    missing = [name for name in ("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-appctl") if not shutil.which(name)]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    made = Oracle(PORTS)
    yield made
    made.close()


def configure(dice, oracle, bridge):
    """Give every port of both switches the same random settings."""
    words = []
    for number in range(1, PORTS + 1):
        mode, tag = dice.choice(list(MODES)), dice.choice(VLANS)
        trunks = dice.choice([(), (), (10,), (10, 20), (0, 20)])
        guarded = dice.random() < 0.2
        words += ["--", "set", "port", f"p{number}", f"vlan_mode={MODES[mode]}", f"tag={tag}", f"protected={str(guarded).lower()}"]
        words += ["--", "clear", "port", f"p{number}", "trunks"]
        words += ["--", "set", "port", f"p{number}", f"trunks={','.join(map(str, trunks))}"] if trunks else []
        if mode in (NATIVE_TAGGED, NATIVE_UNTAGGED) and tag:  # as port settings write it: the native VLAN is carried, VLAN 0 is not
            trunks = (set(trunks) or set(range(4096))) - {0} | {tag}
        bridge.port(number, mode, tag, trunks, PROTECTED if guarded else 0)
    oracle.vsctl(*words[1:])


def know(dice, oracle, bridge):
    """Tell both switches where some stations are."""
    for entry in oracle.appctl("fdb/show", "br0").splitlines()[1:]:
        _, vlan, mac, age = entry.split()
        if age == "static":
            oracle.appctl("fdb/del", "br0", vlan, mac)
    bridge.tempo.array("fdb", "entries")["key"] = 0
    bridge.tempo.array("fdb", "head")["count"] = 0
    for vlan in VLANS:
        if dice.random() < 0.5:
            port = dice.randint(1, PORTS)
            oracle.appctl("fdb/add", "br0", f"p{port}", str(vlan), B)
            fix(bridge, vlan, B, port)


def fix(bridge, vlan, mac, port):
    """A static entry, as control writes it: into lane 0's part."""
    key = fdb_key(vlan, np.uint64(int(mac.replace(":", ""), 16)))
    assert key & VALID
    at = first_way(0, key)
    write_entry(bridge.mind.fdb, at, key, port, 0)
    bridge.mind.fdb.entries[at].fixed = 1
    bridge.mind.fdb.head[0].count += 1


def random_tags(dice):
    """No tag, one, seldom two; VLANs that matter and one that nobody has.

    The one within says something: Open vSwitch takes off a second tag of VLAN 0 and priority 0, which here stays.
    """
    tags = [(dice.choice((0x8100, 0x8100, 0x88A8)), dice.choice((*VLANS, 77)) | dice.choice((0, 0, 5)) << 13) for _ in range(2)]
    tags[1] = tags[1] if tags[1][1] else (0x8100, 5)
    return tags[: dice.choice((0, 1, 1, 1, 2))]


@pytest.mark.parametrize("vlan_limit", [1, 2])
def test_normal_sends_what_open_vswitch_sends(oracle, vlan_limit):
    dice = random.Random(vlan_limit)
    oracle.vsctl("set", "Open_vSwitch", ".", f"other_config:vlan-limit={vlan_limit}")
    bridge = Bridge(PORTS, vlan_limit)
    several = 0
    for _ in range(12):
        configure(dice, oracle, bridge)
        know(dice, oracle, bridge)
        for _ in range(12):
            port = dice.randint(1, PORTS)
            data = frame(*random_tags(dice), src=A, dst=dice.choice((B, B, C, ALL)))
            theirs, megaflow = oracle.trace(port, data)
            ours = bridge.switch(port, data, learns=0)
            assert ours == theirs, (port, data.hex(), megaflow)
            several += len(ours) > 1
            untagged_or_prioritised = bridge.flow[W_VLAN] >> 32 & 0xFFF == 0
            if bridge.asked[W_VLAN] & PCP and not untagged_or_prioritised:
                assert "pcp" in megaflow, "asked for the priority, which Open vSwitch does not"
    assert several > 20


@pytest.mark.parametrize("mac", [
    "01:80:c2:00:00:00", "01:80:c2:00:00:0f", "01:80:c2:00:00:10", "01:80:c2:00:00:20", "00:e0:2b:00:00:00", "00:e0:2b:00:00:04",
    "00:e0:2b:00:00:05", "00:e0:2b:00:00:06", "01:00:0c:00:00:00", "01:00:0c:cc:cc:cc", "01:00:0c:cc:cc:cd", "01:00:0c:cd:cd:cd",
    "01:00:0c:cc:cc:c0", "01:00:0c:cc:cc:c7", "01:00:0c:cc:cc:c8", "01:00:0c:dd:dd:dd", "01:00:5e:00:00:01", "33:33:00:00:00:01",
])
def test_the_same_addresses_are_reserved(oracle, mac):
    bridge = Bridge(PORTS)
    oracle.vsctl(*["set", "port", "p1", "vlan_mode=trunk", "protected=false", "--", "clear", "port", "p1", "trunks", "tag"])
    oracle.vsctl(*["set", "port", "p2", "vlan_mode=trunk", "protected=false", "--", "clear", "port", "p2", "trunks", "tag"])
    for forward in (False, True):
        oracle.vsctl("set", "bridge", "br0", f"other_config:forward-bpdu={str(forward).lower()}")
        bridge.mind.vlans[BRIDGE].marks = FORWARD_BPDU if forward else 0
        data = frame(dst=mac)
        assert (2 in bridge.switch(1, data)) == (2 in oracle.trace(1, data)[0])


def test_ports_that_are_not_flooded_are_still_learned(oracle):
    bridge = Bridge(3)
    bridge.port(2, TRUNK, flags=NO_FLOOD)
    assert list(bridge.switch(1, frame(dst=ALL))) == [3]
    bridge.switch(2, frame(src=B, dst=ALL))
    assert list(bridge.switch(1, frame(dst=B))) == [2]
