"""The MAC table: learning, moving, aging, making room, forgetting; several lanes; and `sw.fdb` with ovs-appctl's words."""
import numpy as np
import pytest

from lab import Switch
from lab.control.errors import CommandError
from lab.memory.arena import Arena
from lab.memory.record import NULL
from lab.translate.fdb import (
    BUCKETS,
    WAYS,
    WAYS_IN_ALL,
    changes_of,
    expire,
    fdb_g,
    fdb_key,
    first_way,
    flush_lane,
    flush_when_told,
    learn,
    look_up,
    own,
    refresh_mac,
)

AGE = 300_000_000
MAC = "02:00:00:00:00:01"


@pytest.fixture
def fdb():
    """An empty table of three lanes, control's and two cores'."""
    arena = Arena({"memory": (None, 4096, [None]), "fdb": (fdb_g, {"head": 3, "entries": 3 * WAYS_IN_ALL}, [None])})
    arena.array("fdb", None, "head")["limit"], arena.array("fdb", None, "head")["age"] = 8192, AGE
    table = arena.table("fdb")
    fdb_of = type("Kept", (), {"__getattr__": lambda self, name: getattr(table, name), "arena": arena})
    return fdb_of()


def key(mac, vlan=0):
    return fdb_key(vlan, np.uint64(mac))


def same_place(n):
    """Keys of one place of the table."""
    wanted, found, mac = first_way(1, key(1)), [], 1
    while len(found) < n:
        if first_way(1, key(mac)) == wanted:
            found.append(key(mac))
        mac += 1
    return found


def test_an_address_is_found_where_it_was_learned_and_in_its_vlan_alone(fdb):
    assert look_up(fdb, key(7, 10), 0, AGE) == NULL
    assert learn(fdb, 1, key(7, 10), 3, 1000) == 1
    assert look_up(fdb, key(7, 10), 1000, AGE) == 3
    assert look_up(fdb, key(7, 11), 1000, AGE) == NULL
    assert learn(fdb, 1, key(7, 10), 3, 2000) == 0, "no news"
    head = fdb.head[1]
    assert (head.count, head.learned, head.moved, changes_of(fdb)) == (1, 1, 0, 1)


def test_an_address_of_zero_is_one_too(fdb):
    learn(fdb, 1, key(0), 3, 1000)
    assert look_up(fdb, key(0), 1000, AGE) == 3


def test_who_moves_is_found_at_the_new_port_and_that_is_news(fdb):
    learn(fdb, 1, key(7), 3, 1000)
    assert learn(fdb, 1, key(7), 4, 2000) == 1
    assert look_up(fdb, key(7), 2000, AGE) == 4
    assert (fdb.head[1].count, fdb.head[1].moved, changes_of(fdb)) == (1, 1, 2)


def test_of_two_lanes_the_one_counts_that_saw_the_address_last_even_while_the_clock_stands(fdb):
    for turn, (lane, port) in enumerate([(1, 3), (2, 4), (1, 3), (2, 4), (2, 5), (1, 5)]):
        learn(fdb, lane, key(7), port, 1000)
        assert look_up(fdb, key(7), 1000, AGE) == port, f"turn {turn}"
    assert fdb.head[1].moved + fdb.head[2].moved == 4
    assert fdb.head[1].count == fdb.head[2].count == 1


def test_an_address_that_keeps_silent_is_forgotten(fdb):
    learn(fdb, 1, key(7), 3, 1000)
    learn(fdb, 1, key(8), 3, 5000)
    assert look_up(fdb, key(7), 1000 + AGE - 1, AGE) == 3
    assert look_up(fdb, key(7), 1000 + AGE, AGE) == NULL, "also when nobody has swept yet"
    assert expire(fdb, 1, 1000 + AGE - 1, AGE) == 0
    assert expire(fdb, 1, 1000 + AGE, AGE) == 1
    assert (fdb.head[1].count, fdb.head[1].expired, fdb.head[1].oldest, changes_of(fdb)) == (1, 1, 5000, 3)
    assert expire(fdb, 1, 1000 + AGE, AGE) == 0
    assert own(fdb, 1, key(8)) != NULL


def test_an_old_entry_that_speaks_again_is_news(fdb):
    learn(fdb, 1, key(7), 3, 1000)
    assert learn(fdb, 1, key(7), 3, 1000 + AGE) == 1, "lookups had not found it any more"


def test_packets_of_a_megaflow_keep_an_address(fdb):
    learn(fdb, 1, key(7), 3, 1000)
    assert refresh_mac(fdb, 1, key(7), 3, AGE) == 0
    assert expire(fdb, 1, 2 * AGE - 1, AGE) == 0
    assert look_up(fdb, key(7), 2 * AGE - 1, AGE) == 3


def test_what_a_megaflow_saw_earlier_does_not_move_a_station_back(fdb):
    learn(fdb, 1, key(7), 3, 1000)
    learn(fdb, 2, key(7), 4, 5000)
    assert refresh_mac(fdb, 1, key(7), 3, 4000) == 0
    assert look_up(fdb, key(7), 5000, AGE) == 4
    assert refresh_mac(fdb, 1, key(7), 3, 6000) == 1, "but it has spoken there since"
    assert look_up(fdb, key(7), 6000, AGE) == 3


def test_a_full_place_gives_up_the_entry_that_was_silent_longest(fdb):
    keys = same_place(WAYS + 1)
    for n, one in enumerate(keys[:WAYS]):
        learn(fdb, 1, one, 3, 1000 + n)
    refresh_mac(fdb, 1, keys[0], 3, 5000)
    learn(fdb, 1, keys[WAYS], 3, 6000)
    assert [look_up(fdb, one, 6000, AGE) for one in keys] == [3, NULL] + [3] * (WAYS - 1)
    assert (fdb.head[1].count, fdb.head[1].evicted, changes_of(fdb)) == (WAYS, 1, WAYS + 2)


def test_a_lane_has_no_more_entries_than_it_may(fdb):
    fdb.head[1].limit = 10
    for n in range(40):
        learn(fdb, 1, key(n), 3, 1000 + n)
        assert look_up(fdb, key(n), 1000 + n, AGE) == 3
    assert (fdb.head[1].count, fdb.head[1].evicted) == (10, 30)
    assert int((fdb.arena.array("fdb", None, "entries")["key"] != 0).sum()) == 10
    assert learn(fdb, 2, key(99), 3, 2000) == 1, "another lane has room of its own"


def test_what_a_person_made_never_moves_and_never_ages(fdb):
    at = first_way(0, key(7))
    fdb.entries[at].key, fdb.entries[at].port, fdb.entries[at].fixed = key(7), 9, 1
    fdb.head[0].count = 1
    assert learn(fdb, 1, key(7), 3, 10 * AGE) == 0
    assert look_up(fdb, key(7), 10 * AGE, AGE) == 9


def test_forgetting_a_port_leaves_the_others(fdb):
    for n in range(6):
        learn(fdb, 1, key(n), 3 + n % 2, 1000)
    assert flush_lane(fdb, 1, 4) == 3
    assert [look_up(fdb, key(n), 1000, AGE) for n in range(6)] == [3, NULL] * 3
    assert flush_lane(fdb, 1, 0) == 3
    assert (fdb.head[1].count, changes_of(fdb)) == (0, 12)


def test_a_count_that_is_untrue_ends_at_the_lanes_last_entry_and_is_mended(fdb):
    for use in (lambda: expire(fdb, 1, 1000 + AGE, AGE), lambda: flush_lane(fdb, 1, 3)):
        learn(fdb, 1, key(7), 3, 1000)
        learn(fdb, 1, key(8), 4, 1000 + AGE)
        learn(fdb, 2, key(9), 3, 1000)
        fdb.head[1].count += 5
        assert use() == 1
        assert (fdb.head[1].count, own(fdb, 2, key(9)) != NULL) == (1, True)


def test_room_is_made_even_when_a_lane_is_said_to_be_full_and_is_empty(fdb):
    fdb.head[1].count = fdb.head[1].limit
    assert learn(fdb, 1, key(7), 3, 1000) == 1
    assert (fdb.head[1].count, look_up(fdb, key(7), 1000, AGE)) == (1, 3)


def test_a_lane_forgets_once_when_it_is_told(fdb):
    learn(fdb, 1, key(1), 3, 1000)
    learn(fdb, 1, key(2), 4, 1000)
    assert flush_when_told(fdb, 1) == 0
    fdb.head[0].flush_port, fdb.head[0].flush_at, fdb.head[0].flush = 4, 5000, 1
    assert (flush_when_told(fdb, 1), flush_when_told(fdb, 1)) == (1, 0)
    assert refresh_mac(fdb, 1, key(2), 4, 4999) == 0, "packets from before do not bring it back"
    assert refresh_mac(fdb, 1, key(2), 4, 5000) == 1
    fdb.head[0].flush_port, fdb.head[0].flush = 4, 3
    assert flush_when_told(fdb, 1) == 2, "one request was missed: everything goes"


def test_addresses_spread_over_the_table():
    places = {first_way(0, key(0x020000000000 + n)) for n in range(BUCKETS)}
    assert len(places) > BUCKETS // 2
    assert max(places) < WAYS_IN_ALL


# --- the live object and its commands ----------------------------------------------------------------


@pytest.fixture
def sw():
    switch = Switch("br0")
    for name in ("vm1", "vm2"):
        switch.add_port(name)
    yield switch
    switch.close()


def see(sw, mac, port, vlan=0):
    """A core learns an address."""
    fdb = sw.engine.arena.table("fdb")
    fdb.head[1].limit, fdb.head[1].age = sw.fdb.limit, sw.fdb.aging * 1_000_000
    learn(fdb, 1, key(int(mac.replace(":", ""), 16), vlan), sw.ports[port].number, sw.engine.now)
    sw.walk.sync()


def test_fdb_show_prints_as_open_vswitch_does(sw):
    see(sw, MAC, "vm1", 10)
    sw.clock.warp(5000)
    sw.appctl("fdb/add vm2 20 02:00:00:00:00:09")
    assert sw.appctl("fdb/show br0") == (
        " port  VLAN  MAC                Age\n"
        "    1    10  02:00:00:00:00:01    5\n"
        "    2    20  02:00:00:00:00:09  static"
    )
    assert sw.appctl("fdb/stats-show br0") == (
        'Statistics for bridge "br0":\n'
        "  Current/maximum MAC entries in the table: 2/8192\n"
        "  Current static MAC entries in the table : 1\n"
        "  Total number of learned MAC entries     : 1\n"
        "  Total number of expired MAC entries     : 0\n"
        "  Total number of evicted MAC entries     : 0\n"
        "  Total number of port moved MAC entries  : 0"
    )
    assert sw.appctl("fdb/stats-clear br0") == "statistics successfully cleared"
    assert "learned MAC entries     : 0" in sw.appctl("fdb/stats-show br0")


def test_flushing_forgets_what_was_learned_and_keeps_what_was_added(sw):
    see(sw, MAC, "vm1")
    sw.fdb.add("02:00:00:00:00:09", "vm2", vlan=20)
    assert sw.appctl("fdb/flush br0") == "table successfully flushed"
    assert list(sw.fdb) == [(20, "02:00:00:00:00:09")]
    sw.appctl("fdb/del br0 20 02:00:00:00:00:09")
    assert len(sw.fdb) == 0


def test_entries_are_found_by_place_port_and_vlan(sw):
    see(sw, MAC, "vm1", 10)
    see(sw, "02:00:00:00:00:02", "vm2", 10)
    entry = sw.fdb[10, MAC]
    assert (entry.port, entry.vlan, entry.mac, entry.age, entry.fixed) == ("vm1", 10, MAC, 0.0, False)
    assert (10, MAC) in sw.fdb
    assert (11, MAC) not in sw.fdb
    assert [e.mac for e in sw.fdb.entries(port=sw.ports["vm2"])] == ["02:00:00:00:00:02"]
    assert len(sw.fdb.entries(vlan=10)) == len(sw.fdb.entries(vlan=10, port="vm1")) + 1 == 2
    assert repr(sw.fdb) == "<MAC table: 2 addresses>"
    sw.clock.warp(300_000)
    assert repr(sw.fdb) == "<MAC table: 0 addresses>"


def test_the_addresses_of_a_port_go_with_it(sw):
    see(sw, MAC, "vm1")
    see(sw, "02:00:00:00:00:02", "vm2")
    sw.fdb.add("02:00:00:00:00:09", "vm1")
    sw.remove_port("vm1")
    assert [e.port for e in sw.fdb.entries()] == ["vm2"]


@pytest.mark.parametrize(("line", "word"), [
    ("fdb/add vm9 10 02:00:00:00:00:01", "vm9"), ("fdb/add vm1 4096 02:00:00:00:00:01", "4096"), ("fdb/add vm1 10 02:00", "02:00"),
    ("fdb/add vm1 10 01:00:00:00:00:01", "01:00:00:00:00:01"), ("fdb/del 10 02:00:00:00:00:01", "02:00:00:00:00:01"),
    ("fdb/show all", "all"),
])
def test_a_mistake_names_its_word(sw, line, word):
    with pytest.raises(CommandError) as caught:
        sw.appctl(line)
    assert caught.value.word == word


def test_the_bridge_has_settings_of_the_table(sw):
    sw.vsctl("set bridge br0 other_config:mac-aging-time=60 other_config:mac-table-size=100 other_config:forward-bpdu=true flood_vlans=5,6")
    assert (sw.fdb.aging, sw.fdb.limit, sw.fdb.forward_bpdu, sw.fdb.flood_vlans) == (60, 100, True, (5, 6))
    assert sw.vsctl("get bridge br0 flood_vlans other_config:mac-aging-time") == '[5, 6]\n"60"'
    sw.vsctl("remove bridge br0 flood_vlans 5")
    assert sw.vsctl("get bridge br0 flood_vlans") == "[6]"
    sw.vsctl("set bridge br0 other_config:mac-aging-time=1 other_config:mac-table-size=1")
    assert (sw.fdb.aging, sw.fdb.limit) == (15, 10), "the least that Open vSwitch takes"
    with pytest.raises(CommandError, match="is no whole number"):
        sw.vsctl("set bridge br0 other_config:mac-aging-time=soon")
