"""Meters: how they are written and printed, what stands in their records, what cannot be done."""
import pytest

from lab.openflow.errors import CommandError
from lab.openflow.meter_text import DELETE, MODIFY, parse_meter, show_meter
from lab.openflow.meters import Meters
from lab.openflow.rules.line import parse_rule
from tests.grouped import PORTS, World


@pytest.fixture
def world():
    return World()


def give(world, line, **what):
    world.meters.carry_out(parse_meter(line, **what))


def record(world, at):
    row = world.arena.array("meters")[at]
    n = int(row["n"])
    return int(row["alive"]), int(row["number"]), int(row["kbps"]), row["rate"][:n].tolist(), row["burst"][:n].tolist()


def wrong(call):
    with pytest.raises(CommandError) as caught:
        call()
    return caught.value


WRITTEN = {
    "meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=200":
        ["meter=1 kbps burst stats bands=", "type=drop rate=1000 burst_size=200"],
    "meter=2 pktps bands=type=drop rate=5 type=drop rate=10": ["meter=2 pktps bands=", "type=drop rate=5", "type=drop rate=10"],
    "meter=4294901760,pktps,band=type=drop,rate=4294967295": ["meter=4294901760 pktps bands=", "type=drop rate=4294967295"],
    "meter=0x10,stats,kbps,bands=type=drop,rate=7": ["meter=16 kbps stats bands=", "type=drop rate=7"],
}


@pytest.mark.parametrize("line", WRITTEN)
def test_a_meter_is_printed_as_it_may_be_written(line, world):
    give(world, line)
    (meter,) = world.meters.values()
    assert show_meter(meter.entry).splitlines() == WRITTEN[line]
    give(world, meter.text, what=MODIFY)
    assert show_meter(meter.entry).splitlines() == WRITTEN[line]


@pytest.mark.parametrize(("line", "word", "right"), [
    ("kbps,bands=type=drop,rate=1", "kbps,bands=type=drop,rate=1", ""),
    ("meter=x,kbps,bands=type=drop,rate=1", "x", ""),
    ("meter=0,kbps,bands=type=drop,rate=1", "0", ""),
    ("meter=4294901761,kbps,bands=type=drop,rate=1", "4294901761", ""),
    ("meter=all,kbps,bands=type=drop,rate=1", "all", ""),
    ("meter=controller,kbps,bands=type=drop,rate=1", "controller", ""),
    ("meter=1,bands=type=drop,rate=1", "meter=1,bands=type=drop,rate=1", ""),
    ("meter=1,kbps,pktps,bands=type=drop,rate=1", "pktps", ""),
    ("meter=1,kbsp,bands=type=drop,rate=1", "kbsp", "kbps"),
    ("meter=1,kbps=3,bands=type=drop,rate=1", "3", ""),
    ("meter=1,kbps", "meter=1,kbps", ""),
    ("meter=1,kbps,bands=", "bands", ""),
    ("meter=1,kbps,bands=rate=5", "rate", ""),
    ("meter=1,kbps,bands=type=dorp,rate=5", "dorp", "drop"),
    ("meter=1,kbps,bands=type=dscp_remark,prec_level=1,rate=5", "dscp_remark", ""),
    ("meter=1,kbps,bands=type=drop,prec_level=1,rate=5", "prec_level", ""),
    ("meter=1,kbps,bands=type=drop", "drop", ""),
    ("meter=1,kbps,bands=type=drop,rate=0", "0", ""),
    ("meter=1,kbps,bands=type=drop,rate=4294967296", "4294967296", ""),
    ("meter=1,kbps,bands=type=drop,rate=5,rate=6", "rate", ""),
    ("meter=1,kbps,burst,bands=type=drop,rate=5", "drop", ""),
    ("meter=1,kbps,bands=type=drop,rate=5,burst_szie=5", "burst_szie", "burst_size"),
    ("meter=1,kbps,bands=" + ",".join(["type=drop,rate=5"] * 5), "type", ""),
])
def test_a_mistake_is_pointed_at_and_changes_nothing(line, word, right, world):
    error = wrong(lambda: give(world, line))
    assert (error.word, error.suggestion, error.command) == (word, right, line)
    assert line[error.position:error.position + len(word)] == word
    assert len(world.meters) == 0 and not world.arena.array("meters")["alive"].any()


def test_the_record_says_what_the_meter_says(world):
    give(world, "meter=7,pktps,bands=type=drop,rate=5,type=drop,rate=10,burst_size=3")
    assert record(world, world.meters.record(7)) == (1, 7, 0, [5, 10], [0, 3])
    before = int(world.arena.array("meters")["version"][0])
    give(world, "meter=7,kbps,bands=type=drop,rate=9", what=MODIFY)
    assert record(world, world.meters.record(7)) == (1, 7, 1, [9], [0])
    assert int(world.arena.array("meters")["version"][0]) == before + 1


def test_what_is_there_is_not_added_and_what_is_not_is_not_changed(world):
    give(world, "meter=12,kbps,bands=type=drop,rate=5")
    assert (error := wrong(lambda: give(world, "meter=12,kbps,bands=type=drop,rate=6"))).word == "12" and "already" in error.problem
    error = wrong(lambda: give(world, "meter=21,kbps,bands=type=drop,rate=6", what=MODIFY))
    assert (error.problem, error.suggestion) == ("there is no meter 21", "12")
    assert wrong(lambda: world.meters.record(13)).problem.startswith("there is no meter 13")
    for number in (1, 2):
        give(world, f"meter={number},kbps,bands=type=drop,rate=5")
    assert "room for 3 meters" in wrong(lambda: give(world, "meter=3,kbps,bands=type=drop,rate=5")).problem


def test_the_rules_that_use_a_meter_go_with_it(world):
    for number in (1, 2):
        give(world, f"meter={number},kbps,bands=type=drop,rate=5")
    for text in ("tcp,actions=meter:1,output:1", "udp,actions=meter:2,output:1", "arp,actions=output:1"):
        world.rules.carry_out(parse_rule(text, PORTS))
    assert world.meters[1].users == 1
    give(world, "meter=1", what=DELETE)
    assert sorted(rule.text for rule in world.rules) == ["arp actions=output:1", "udp actions=meter:2,output:1"]
    give(world, "meter=99", what=DELETE)
    give(world, "", what=DELETE)
    assert [rule.text for rule in world.rules] == ["arp actions=output:1"] and len(world.meters) == 0
    assert not world.arena.array("meters")["alive"].any()


def test_a_meter_counts_what_its_lanes_have_seen_since_it_was_set(world):
    give(world, "meter=1,pktps,bands=type=drop,rate=5,type=drop,rate=10")
    state = world.arena.array("meter_state", 1)[:1]
    state["version"], state["packets"], state["bytes_"] = world.meters[1].entry.version, 9, 900
    state["band_packets"][0][1], state["band_bytes"][0][1] = 2, 200
    meter = world.meters[1]
    assert (meter.packets, meter.bytes, meter.dropped, meter.counts()[1]) == (9, 900, 2, [(0, 0), (2, 200)])
    assert repr(meter) == "<meter 1: 5, 10 pktps, 9 packets, 2 dropped>"
    give(world, "meter=1,pktps,bands=type=drop,rate=5", what=MODIFY)
    assert (meter.packets, meter.dropped) == (0, 0)


def test_meters_are_a_mapping_that_tells_what_there_is(world):
    assert repr(world.meters) == "<Meters: none>" and "add-meter" in world.meters.facts()["note"]
    give(world, "meter=2,kbps,bands=type=drop,rate=5")
    twin = Meters(world.rules, like=world.meters)
    give(world, "meter=1,kbps,bands=type=drop,rate=5")
    assert list(world.meters) == [1, 2] and list(twin) == [2] and world.meters._ipython_key_completions_() == [1, 2]
    with pytest.raises(KeyError, match="they are 1, 2"):
        world.meters[7]
    assert world.meters.facts()["rows"][0] == [1, "5 kbps", 0, 0, 0, 0]
    assert world.meters[1].facts()["rows"] == [[0, "5 kbps", "a second's worth", 0, 0]]
