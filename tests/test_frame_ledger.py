"""Who asked for each bit, in the frame: the same in both tempos, true to its step, at the right bytes, and without a trace."""
import struct

import pytest
from parse_frames import ether, ipv4
from scenes import udp
from walks import differences, memory, step_all

from lab.control.reading.ledger import Event, Ledger
from lab.engine.steps.asked import HATCHES, drawn, places
from lab.flow.key import FIELDS, WIDE, WORDS, get, put
from lab.packet.dissect import dissect
from lab.translate import ledger as kinds

RULES = ("priority=20,udp,nw_dst=10.0.0.0/24,actions=resubmit(,1)", "table=1,udp,tp_dst=0x30/0xfff0,actions=mod_vlan_vid:7,output:vm2")
BEHIND = ("upcall", "actions", "transmit")


def cells(frame):
    """{field: its cells as letters, a dot where nobody asked}, of the fields that anybody asked for; of fragments see elsewhere."""
    rows = {row["field"]: "".join(n * (key or ".") for n, key in row["cells"]) for row in frame["ledger"]}
    return {name: letters for name, letters in rows.items() if letters.strip(".") and name != "nw_frag"}


def frames_of(sw, frame, walk=step_all):
    sw.ports["vm1"].inject(frame)
    walk(sw)
    return {step.stage: step.frame for step in sw.timeline}


def test_the_ledger_is_there_from_the_upcall_on(made):
    frames = frames_of(made(*RULES), udp())
    assert {stage for stage, frame in frames.items() if frame["ledger"]} == set(BEHIND)
    for stage in BEHIND:
        assert cells(frames[stage]) == {
            "dl_type": 16 * "A", "nw_proto": 8 * "B", "nw_dst": 24 * "B" + 8 * ".", "tp_dst": 12 * "C" + 4 * ".", "in_port": 32 * "A",
            "recirc_id": 32 * "A", "vlan_tci": "...D" + 12 * "."}
        assert frames[stage]["causes"][1:] == [
            {"key": "B", "hatch": 1, "kind": "lookup", "table": 0, "rule": 1, "bits": 32,
             "text": "table 0: rule priority=20,udp,nw_dst=10.0.0.0/24 was found by its whole match"},
            {"key": "C", "hatch": 2, "kind": "lookup", "table": 1, "rule": 2, "bits": 12,
             "text": "table 1: rule priority=32768,udp,tp_dst=0x30/0xfff0 was found by its whole match"},
            {"key": "D", "hatch": 3, "kind": "action", "table": 1, "rule": 2, "bits": 1, "text": "table 1: action mod_vlan_vid:7"}]


def test_every_bit_of_the_mask_has_a_cause_and_no_other_bit_has_one(made):
    sw = made(*RULES)
    frame = frames_of(sw, udp())["upcall"]
    assert sum(cause["bits"] for cause in frame["causes"]) == sw.megaflows[0].bits
    for row in frame["ledger"]:
        asked = sum(n for n, key in row["cells"] if key)
        assert asked == get(sw.megaflows[0].mask_words, row["field"]).bit_count()
        assert sum(n for n, _ in row["cells"]) == row["bits"]


def test_both_tempos_draw_the_same(made):
    stepped = frames_of(made(*RULES), [udp(), udp(2000)])
    ran = frames_of(made(*RULES), [udp(), udp(2000)], lambda sw: sw.run())
    assert list(stepped) == list(ran)
    for stage, frame in stepped.items():
        assert [frame[name] for name in ("ledger", "causes", "mega")] == [ran[stage][name] for name in ("ledger", "causes", "mega")]


def test_the_bytes_of_a_field_move_with_the_packet(made):
    frames = frames_of(made(*RULES), udp())
    where = {stage: {row["field"]: row["off"] for row in frames[stage]["ledger"]} for stage in BEHIND}
    assert where["upcall"]["tp_dst"] == 36 and where["actions"]["tp_dst"] == 40
    assert where["upcall"]["dl_type"] == 12 and where["actions"]["dl_type"] == 16
    assert where["upcall"]["vlan_tci"] is where["actions"]["vlan_tci"] is None, "the tag that was put on is not the one that was looked at"


def test_a_step_stays_true_when_rules_change_and_the_next_tells_the_new_ones(made):
    sw = made(*RULES)
    before = frames_of(sw, udp())["actions"]
    told = str(before)
    sw.ofctl("del-flows table=1")
    sw.ofctl("add-flow table=1,priority=7,actions=output:vm3")
    assert str(next(step.frame for step in sw.timeline if step.stage == "actions")) == told
    after = frames_of(sw, udp())["actions"]
    assert [cause["kind"] for cause in before["causes"]] == ["always", "lookup", "lookup", "action"]
    assert [(cause["kind"], cause["rule"]) for cause in after["causes"]] == [("always", None), ("lookup", 1), ("earlier", None)]
    assert cells(after)["tp_dst"] == 12 * "C" + 4 * ".", "the megaflow keeps its mask, which is narrower than need be"


def test_a_hit_tells_what_the_upcall_told_and_asks_nobody_again(made, monkeypatch):
    sw = made(*RULES)
    first = frames_of(sw, udp())["upcall"]
    asked = []
    consult = sw.oracle.consult
    monkeypatch.setattr(sw.oracle, "consult", lambda *args, **kw: asked.append(args) or consult(*args, **kw))
    sw.ports["vm1"].inject(udp())
    hit = step_all(sw)
    assert [step.stage for step in hit if step.frame["ledger"]] == ["emc", "actions", "transmit"]
    assert hit[2].frame["causes"] == first["causes"] and hit[2].frame["ledger"] == first["ledger"] and asked == []


def test_drawing_leaves_no_trace_in_memory(made):
    sw, other = made(*RULES), made(*RULES)
    other.walk.tell = lambda step: None
    for one in (sw, other):
        one.ports["vm1"].inject(udp())
        step_all(one)
    assert differences(memory(sw), memory(other)) == []
    for step, alone in zip(sw.timeline, other.timeline, strict=True):
        assert step.frame and alone.frame is None and step.changes() == alone.changes()
    for _ in range(2):
        sw.back(), other.back()
    assert differences(memory(sw), memory(other)) == []


def test_inside_a_stage_and_without_a_megaflow_there_is_none(made):
    sw = made(*RULES)
    sw.ports["vm1"].inject(udp())
    while sw.step().stage != "upcall":
        assert sw.frame()["ledger"] == []
    assert sw.frame()["ledger"]
    assert sw.step(into=True).line and sw.frame()["ledger"] == sw.frame()["causes"] == []


def test_normal_is_a_kind_of_its_own(made):
    frame = frames_of(made("actions=normal"), udp())["upcall"]
    assert [(cause["kind"], cause["table"]) for cause in frame["causes"]] == [("always", None), ("NORMAL", 0)]
    assert {name for name, letters in cells(frame).items() if "B" in letters} == {"dl_src", "dl_dst", "vlan_tci"}


# --- where fields lie ---------------------------------------------------------------------------------

TCP = struct.pack(">HHIIHHHH", 4660, 22136, 1, 2, 0x5A17, 3, 4, 5)
IPV6 = struct.pack(">IHBB", 0x6AB54321, 20, 6, 77) + bytes(range(32))
ARP = bytes.fromhex("0001 0800 0604 0002 020000000001 0a000001 020000000002 0a000002")
PACKETS = {
    "tcp": ether(0x0800, ipv4(6, TCP)), "udp": udp(), "ipv6": ether(0x86DD, IPV6 + TCP), "arp": ether(0x0806, ARP),
    "icmp": ether(0x0800, ipv4(1, bytes.fromhex("0803 0000 00010002"))),
    "tags": bytes.fromhex("020000000002 020000000001 88a8 a00b 8100 600c 0806") + ARP,
    "mpls": ether(0x8847, bytes.fromhex("00001040 00002140") + bytes(20)),
}


@pytest.mark.parametrize("name", PACKETS)
def test_the_bits_at_a_fields_place_are_its_value(made, name):
    sw = made("actions=drop")
    sw.set_option("vlan-limit", 2)
    sw.ports["vm1"].inject(PACKETS[name])
    sw.step()
    step = sw.step()
    assert step.stage == "parse"
    key = sw.engine.array("keys", 1)["w"][0].tolist() + [0] * (WIDE - WORDS)
    raw = step.shown.bytes()
    found = places(step.frame["tree"])
    whole = int.from_bytes(raw, "big")
    assert len(found) > 4
    for field, (_, at, bits) in found.items():
        if field == "nw_frag":
            continue
        there = whole >> 8 * len(raw) - at - bits & (1 << bits) - 1
        present = 0x1000 if field.startswith("vlan_tci") else 0
        assert there | present == get(key, field), field
    asked = {field for field in FIELDS if get(key, field)} - {"in_port", "dp_hash", "recirc_id", "nw_frag"}
    assert asked <= set(found), "what the packet gives its key has a place"


def rows_of(data):
    return [{"key": layer.key, "off": layer.off, "len": layer.len,
             "fields": [{"name": name, "off": off, "len": n} for name, off, n, _ in layer.fields]} for layer in dissect(data)]


def test_a_popped_tag_is_not_the_packets_any_more():
    two = PACKETS["tags"]
    assert places(rows_of(two))["vlan_tci"] == ("vlan_tci", 8 * 14, 16)
    one = two[:12] + two[16:]
    where = places(rows_of(one), tags=2)
    assert where["vlan_tci1"] == ("vlan_tci1", 8 * 14, 16) and "vlan_tci" not in where


# --- a ledger alone -------------------------------------------------------------------------------------

def event(name, bits, text="x", kind=kinds.L_SUBTABLE):
    words = [0] * WIDE
    put(words, name, bits)
    return Event(kind, 0, 0, 0, 0, 0, tuple(words), text)


def ledger(*events):
    mask = [0] * WIDE
    for one in events:
        mask = [a | b for a, b in zip(mask, one.words, strict=True)]
    return Ledger((0,) * WIDE, tuple(mask), events, (), "", str)


def test_bits_that_the_tables_would_not_ask_for_any_more_have_a_cause_as_well():
    told = ledger(event("nw_dst", 0xFF000000))
    mask = list(told.mask[:WORDS])
    put(mask, "nw_dst", 0xFFFF0000)
    rows, causes = drawn(told, mask)
    assert rows[0]["cells"] == [[8, "A"], [8, "B"], [16, ""]]
    assert [(cause["kind"], cause["bits"]) for cause in causes] == [("lookup", 8), ("earlier", 8)]


def test_bits_that_the_megaflow_does_not_have_are_not_drawn():
    told = ledger(event("nw_dst", 0xFFFFFFFF), event("tp_dst", 0xFFFF, "y"))
    mask = list(told.mask[:WORDS])
    put(mask, "nw_dst", 0)
    rows, causes = drawn(told, mask)
    assert [row["field"] for row in rows] == ["tp_dst"] and [cause["text"] for cause in causes] == ["y"]


def test_causes_told_twice_are_one_and_many_have_letters_and_hatches_still():
    rows, causes = drawn(ledger(event("nw_dst", 1), event("nw_dst", 2), event("nw_dst", 4, "y")))
    assert [(cause["key"], cause["bits"]) for cause in causes] == [("A", 2), ("B", 1)]
    assert rows[0]["cells"] == [[29, ""], [1, "B"], [2, "A"]]
    _, causes = drawn(ledger(*(event("ipv6_dst", 1 << n, str(n)) for n in range(60))))
    assert len({cause["key"] for cause in causes}) == 60 and causes[52]["key"] == "A1"
    assert {cause["hatch"] for cause in causes} == set(range(HATCHES))


def test_what_is_no_byte_of_a_packet_is_named_behind_what_is():
    told = ledger(event("reg3", 0xF), event("nw_src", 0xFF000000), event("vlan_tci", 0x1000))
    rows, _ = drawn(told, None, places(rows_of(udp())))
    assert [(row["field"], row["off"]) for row in rows][-6:] == [
        ("nw_src", 26), ("nw_dst", 30), ("tp_src", 34), ("tp_dst", 36), ("vlan_tci", None), ("reg3", None)]
    assert rows[-1]["cells"] == [[28, ""], [4, "A"]]


def test_behind_a_tag_that_the_key_does_not_know_nothing_has_a_place(made):
    sw = made("actions=drop")
    frame = frames_of(sw, PACKETS["tags"])["upcall"]
    assert [(row["field"], row["off"]) for row in frame["ledger"] if row["off"] is not None] == [
        ("dl_dst", 0), ("dl_src", 6), ("vlan_tpid", 12), ("vlan_tci", 14), ("dl_type", 16)]


def test_a_ledger_that_asked_for_nothing_is_empty():
    assert drawn(ledger()) == ([], [])
