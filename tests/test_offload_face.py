"""What a person sees of offloads: frames of GSO, GRO, tunnels and vRouter's way, and live objects, as text, as HTML and in a browser."""
import re

import browse
import pytest
from gro_scene import tcp
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from test_vrouter import other_core

from lab import Switch
from lab.engine.steps.tree import changed, of_key, pairs, tree_of, tunnels
from lab.live import Live
from lab.packet.cut import Cut, Part
from lab.packet.packet import Packet
from lab.packet.sums import Checksums
from lab.ui import export, page, terminal

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
LARGE = Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=80, flags="A") / bytes(65_000)
INNER = tcp(1000, "x" * 100)
TRAIN = [tcp(1000 + 100 * k, bytes([65 + k]) * 100, ident=5 + k) for k in range(10)]
SMALL_CUT = Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=80, flags="A") / bytes(3000)


@pytest.fixture
def switch():
    made = []

    def make(here=None, there=None, flow="actions=output:2", **options):
        sw = Switch(fail_mode="secure", **options)
        made.append(sw)
        sw.add_port("vm1", **(here or {}))
        sw.add_port("vm2", **(there or {}))
        sw.ofctl(f"add-flow {flow}")
        return sw

    yield make
    for sw in made:
        sw.close()


def steps(sw):
    """Step to the end: {key of the place, or stage: (step, frame)} of the last of each."""
    found = {}
    while (step := sw.step()) is not None:
        found[step.stage] = step, sw.frame()
    return found


def stage(frame, key):
    """The row of a stage: (state, in, out)."""
    row = next(row for row in frame["stages"] if row["key"] == key)
    return row["state"], row["n"], row["out"]


# --- GSO ------------------------------------------------------------------------------------------------------

def test_gso_is_one_in_and_45_out_in_the_step_the_frame_and_the_summary(switch):
    sw = switch(there={"offloads": ()})
    sw.ports["vm1"].inject(LARGE, gso_size=1448)
    seen = steps(sw)
    step, frame = seen["gso"]
    assert (step.before, step.after) == (1, 45) and ", 1 in, 45 out," in repr(step)
    assert stage(frame, "gso") == ("now", 1, 45) and (frame["dots"], frame["before"]["dots"]) == (45, 1)
    assert {row["length"] for row in frame["burst"]} == {1502, 1342} and len(frame["burst"]) == 45
    assert (frame["length"], frame["before"]["length"], frame["gso"]) == (1502, 65_054, 0)
    assert frame["words"] == "GSO: port vm2 lacks tso4, 65054 bytes into 45 of 1448"
    assert not any(layer["new"] for layer in frame["tree"])
    assert [step.before, step.after, len(step.cut)] == [1, 45, 45]
    assert seen["egress.checksum"][1]["words"].startswith("vm2 computes none: 1468 B were summed"), "the first segment is the one shown"
    assert "✓gso 1→45" in terminal.text(seen["transmit"][1], colour=False)
    sw.ports["vm1"].inject(LARGE, gso_size=1448)
    assert repr(sw.run()).startswith("<run: 1 packet in, 45 out, 0 dropped")


def test_a_cut_that_fills_a_batch_goes_on_with_none_in(switch):
    sw = switch(there={"offloads": ()})
    sw.ports["vm1"].inject(LARGE, gso_size=700)
    moves = []
    while (step := sw.step()) is not None:
        moves += [(step.before, step.after)] if step.stage == "gso" else []
    assert moves[0][0] == 1 and {came for came, _ in moves[1:]} == {0} and sum(left for _, left in moves) == 93


# --- GRO ------------------------------------------------------------------------------------------------------

def test_what_gro_holds_is_shown_and_told_until_it_goes(switch):
    sw = switch(here={"gro": "linux"})
    sw.ports["vm1"].inject(TRAIN)
    sw.step()
    hold, frame = sw.step(), sw.frame()
    assert (hold.before, hold.after) == (10, 0) and hold.sentence == "GRO appended its 100 B: 10 packets are one now"
    assert (len(hold.was), len(hold.shown), len(hold.shown.segments)) == (154, 1054, 10)
    (held,) = frame["held"]
    assert (held["packets"], held["bytes"], held["since"], held["port"]) == (10, 1000, 0, "vm1")
    assert held["flow"] == "IPv4 10.0.0.1 → 10.0.0.2 / TCP 1000 → 80" and held["goes"].startswith("in 200 us or at a pause; with PSH, FIN")
    assert [row["reason"] for row in frame["burst"]] == ["held", *["merged"] * 9]
    assert "held by GRO\n  IPv4 10.0.0.1 → 10.0.0.2 / TCP 1000 → 80: 10 packets, 1000 B, since 0 us" in terminal.text(frame, colour=False)
    flush, frame = sw.step(), sw.frame()
    assert (flush.before, flush.after) == (0, 1) and flush.sentence == "GRO: flushed 10 packets, the traffic paused"
    assert (len(flush.was), len(flush.shown), flush.shown.gso_size) == (1054, 1054, 100)
    assert frame["held"] == [] and stage(frame, "ingress.gro") == ("now", 10, 1)
    assert sw.step().stage == "parse" and sw.timeline[-1].was == flush.shown


def test_a_packet_that_ends_a_merge_shows_the_merged_one_and_why(switch):
    sw = switch(here={"gro": "linux"})
    sw.ports["vm1"].inject(TRAIN)
    sw.step(), sw.step()
    sw.ports["vm1"].inject(tcp(2000, "y" * 100, ident=15, ack=9))
    sw.step()
    step = sw.step()
    assert step.sentence == "GRO: flushed 10 packets, acknowledgement number changed"
    assert step.was.serial == step.shown.serial == 1 and (step.was.gso_size, step.shown.gso_size) == (0, 100)
    assert [held["packets"] for held in sw.frame()["held"]] == [1]
    sw.run()


def test_of_acknowledgements_the_newest_is_the_one_shown(switch):
    sw = switch(here={"gro": "linux", "gro_acks": True})
    sw.ports["vm1"].inject([tcp(1000, "", ack=10 + k, ident=1 + k) for k in range(4)])
    sw.step()
    step = sw.step()
    assert (step.before, step.after, step.shown.serial) == (4, 0, 4) and step.sentence == "GRO keeps the newest of 4 acknowledgements"
    sw.run()


def test_a_copy_that_goes_another_way_is_shown_as_it_is(switch):
    sw = switch(flow="actions=output:2,mod_vlan_vid:3,in_port")
    sw.ports["vm1"].inject(INNER)
    sent = {}
    while (step := sw.step()) is not None:
        sent |= {step.output: len(step.shown)} if step.stage == "transmit" else {}
    assert sent == {1: 158, 2: 154}


def test_gro_in_front_of_pop_and_behind_it_are_two_places(switch):
    sw = switch(here={"gro": "linux"})
    sw.ports["vm1"].ip = "10.0.0.9"
    sw.add_port("t0", type="vxlan", remote_ip="10.0.0.2", key=100, gro="linux")
    sw.ports["vm1"].inject(tcp(1000, "x" * 100))
    keys = []
    while sw.step() is not None:
        frame = sw.frame()
        assert [row["key"] for row in frame["stages"] if row["state"] == "now"] == [frame["at"]] * (frame["at"] not in ("rx", "tx"))
        keys.append(frame["at"])
    assert keys[:6] == ["rx", "ingress.gro", "ingress.gro", "pop", "ingress.gro 2", "parse"]  # a plain packet is held once


# --- tunnels ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("kind", "name", "keys"), [
    ("vxlan", "VXLAN", ["eth", "ip", "udp", "vxlan"]), ("geneve", "Geneve", ["eth", "ip", "udp", "geneve"]),
    ("gre", "GRE", ["eth", "ip", "gre"]), ("mplsoudp", "MPLS", ["ip", "udp", "mpls"])])
def test_what_push_put_in_front_is_new_and_what_it_carries_is_itself(switch, kind, name, keys):
    sw = switch(there={"offloads": ()}, flow="in_port=1,actions=output:3")
    sw.routes.add("10.0.0.0/24", "vm2")
    sw.neighbours.add("10.0.0.9", "02:00:00:00:00:99")
    sw.add_port("t0", type=kind, remote_ip="10.0.0.9", key=100, ofport=3)
    sw.ports["vm1"].inject(INNER)
    step, frame = steps(sw)["push"]
    assert (step.before, step.after) == (1, 1) and f" B of {name} headers in front" in step.sentence
    assert [layer["key"] for layer in frame["tree"] if layer["new"]] == keys
    assert not any("was" in field for layer in frame["tree"] for field in layer["fields"] if layer["key"] != "eth")
    begins = len(step.shown) - len(INNER)
    for row in frame["ledger"]:
        assert row["off"] is None or row["off"] >= begins or kind == "mplsoudp", "the mask is of the packet in the tunnel"


def test_behind_pop_the_inner_packet_is_itself_and_in_front_of_it_parse_reads_the_outer_one(switch):
    out = switch(there={"offloads": ()}, flow="in_port=1,actions=output:3")
    out.routes.add("10.0.0.0/24", "vm2")
    out.neighbours.add("10.0.0.9", "02:00:00:00:00:01")
    out.add_port("t0", type="vxlan", remote_ip="10.0.0.9", key=100, ofport=3)
    out.ports["vm1"].inject(INNER)
    out.run()
    wire = out.ports["vm2"].sent[0]
    sw = switch(flow="actions=output:2")
    sw.ports["vm1"].inject(wire.bytes())
    assert steps(sw)["parse"][0].sentence.startswith("headers up to UDP;")
    sw.ports["vm1"].ip = "10.0.0.9"
    sw.add_port("t0", type="vxlan", remote_ip="10.0.0.2", key=100)
    sw.ports["vm1"].inject(wire.bytes())
    seen = steps(sw)
    step, frame = seen["pop"]
    assert (len(step.was), len(step.shown)) == (204, 154) and step.reason == "tunnel popped"
    assert [layer["key"] for layer in frame["tree"]] == ["eth", "ip", "tcp"] and frame["changed"] == []
    assert not any(layer["new"] or any("was" in field for field in layer["fields"]) for layer in frame["tree"])
    assert seen["parse"][0].sentence.startswith("headers up to TCP;")


def test_tunnels_end_where_their_headers_do():
    assert tunnels(["eth", "ip", "udp", "vxlan", "eth", "ip", "gre", "ip"]) == [(3, 4), (6, 7)]
    assert tunnels(["eth", "ip", "udp", "mpls", "mpls", "ip", "tcp"]) == [(3, 5)] and tunnels(["eth", "mpls", "ip", "udp"]) == []
    rows = [{"key": key} for key in ("eth", "ip", "udp", "vxlan", "eth", "vlan", "ip", "tcp")]
    assert [row["key"] for row in of_key(rows)] == ["eth", "ip", "udp"]
    assert [row["key"] for row in of_key(rows, 1)] == ["eth", "vlan", "ip", "tcp"]


def test_of_layers_that_come_twice_the_inner_ones_are_those_that_were_there():
    assert pairs(["eth", "vlan", "ip"], ["eth", "vlan", "vlan", "ip"]) == [(2, 3), (1, 2), (0, 0)]
    assert pairs(["eth", "vlan", "ip"], ["eth", "ip"]) == [(2, 1), (0, 0)] and pairs([], ["eth"]) == []
    tagged = INNER[:12] + bytes.fromhex("81000007") + INNER[12:]
    assert changed(Packet(tagged), Packet(INNER)) == [[12, 1, "08"], [14, 4, ""]]
    assert changed(Packet(INNER), Packet(tagged)) == [[12, 1, "81"]]
    assert [row["new"] for row in tree_of(Packet(tagged), Packet(INNER))[0]] == [False, True, False, False]
    assert tree_of(None, None) == ([], 0)


# --- vRouter's way ------------------------------------------------------------------------------------------------

def test_a_packet_that_changes_cores_is_followed_over_the_ring(switch):
    sw = switch(here={"vrouter": True}, there={"offloads": ()}, cores=2)
    large = LARGE.copy()
    large[TCP].sport = other_core(sw)
    sw.ports["vm1"].inject(large, gso_size=1448)
    seen = steps(sw)
    assert (seen["split"][0].before, seen["split"][0].after, len(seen["split"][0].shown.segments) > 45) == (1, 1, True)
    assert (seen["handover"][0].before, seen["handover"][0].after) == (1, 0)
    step, frame = seen["take_over"]
    assert (step.before, step.after, frame["at"], frame["core"]) == (0, 1, "take_over", 2)
    way = [(row["key"], row["group"], row["state"]) for row in frame["stages"][:3]]
    assert way == [("split", "ingress vm1", "done"), ("handover", "ingress vm1", "done"), ("take_over", "core 2", "now")]
    assert [port["name"] for port in frame["ports"]] == ["vm1", "vm2"]
    assert [step.stage for step in sw.timeline].count("take_over") == 1, "an empty ring is no step"
    assert (seen["gso"][0].before, seen["gso"][0].after) == (1, 45)
    html = sw.timeline._repr_mimebundle_()["text/html"]
    assert "on 2 cores" in html and html.count('class="over"') == 2


# --- live objects -----------------------------------------------------------------------------------------------

def test_live_objects_of_offloads_have_a_line_a_picture_and_an_example(switch):
    sw = switch(here={"gro": "linux", "verify": True}, there={"offloads": ()})
    sw.ports["vm1"].inject(SMALL_CUT, gso_size=1000)
    cut = steps(sw)["gso"][0].cut
    assert repr(cut) == "<cut of 3054 B into 3: payload 0 to 1000, 1000 to 2000, 2000 to 3000>"
    sw.ports["vm1"].inject(TRAIN[:2])
    sw.step(), sw.step(), sw.step()
    sums = sw.ports["vm2"].sent[0].checksums
    for thing in [cut, sw.gro, sw.gro[0], sw.mempool, sw.ports, sw.ports["vm1"], sums, sw.timeline, sw.timeline[-1]]:
        bundle = thing._repr_mimebundle_()
        assert bundle["text/plain"] == repr(thing) and re.fullmatch(r"<[^\n]+>", repr(thing))
        assert 'role="group"' in bundle["text/html"] and "<script" not in bundle["text/html"]
    for kind in (Cut, type(sw.gro), type(sw.mempool), type(sw.ports), type(sw.ports["vm1"].offloads), type(sw.timeline), Checksums):
        assert issubclass(kind, Live) and ">>>" in kind.__doc__
    assert Part.__doc__ and [row[0] for row in sw.gro.facts()["rows"]] == ["IPv4 10.0.0.1 → 10.0.0.2 / TCP 1000 → 80"]
    assert sw.mempool.counts()["held by GRO, core 1"] == 2
    sw.run()


def test_a_port_says_what_it_does_to_packets(switch):
    sw = switch(here={"gro": "linux", "gro_arc": "egress", "verify": True, "vrouter": True}, cores=2)
    assert "gro linux on egress, verify, vrouter, rx 0" in repr(sw.ports["vm1"]) and "gro" not in repr(sw.ports["vm2"])
    facts = dict(sw.ports["vm1"].facts()["rows"])
    assert (facts["GRO"], facts["checksums"]) == ("linux, egress arc", "verified on ingress") and "vrouter" in facts["large packets"]
    assert [row[5] for row in sw.ports.facts()["rows"]] == ["gro linux on egress, verify, vrouter", ""]


@pytest.mark.parametrize(("options", "words"), [
    ({"gro": "linus"}, r"port vm3: gro='linus' is none of 'off', 'linux', 'dpdk': did you mean 'linux'\?"),
    ({"gro_arc": "in"}, r"port vm3: gro_arc='in' is none of 'ingress', 'egress'"),
    ({"offloads": ["tso"]}, r"port vm3: no offload is called 'tso'; there are csum, tso4"),
    ({"verifi": True}, r"port vm3: a sim port has no option 'verifi'; it has .*verify")])
def test_wrong_words_name_the_port_and_what_there_is(switch, options, words):
    sw = switch()
    with pytest.raises(ValueError, match=words):
        sw.add_port("vm3", **options)
    with pytest.raises(KeyError, match=r"no port is called 'vm3'.*did you mean"):
        sw.ports["vm3"]


# --- in a browser ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tab():
    if browse.CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with browse.chromium() as browser:
        yield browser.new_context(viewport={"width": 700, "height": 900}).new_page()


def test_keys_step_through_a_gso_and_nothing_is_wider_than_the_page(switch, tab, tmp_path):
    sw = switch(here={"gro": "linux"}, there={"offloads": ()})
    sw.ports["vm1"].inject(TRAIN)
    steps(sw)
    cut = next(step for step in sw.timeline if step.stage == "gso").cut
    things = [cut, sw.gro, sw.mempool, sw.timeline, sw.ports, sw.ports["vm1"]]
    html = "".join(thing._repr_mimebundle_()["text/html"] for thing in things)
    (tmp_path / "a.html").write_text(f"<!doctype html><meta charset='utf-8'>{page.page(sw.timeline.frames())}{html}", encoding="utf-8")
    trouble = []
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.goto((tmp_path / "a.html").as_uri())
    tab.wait_for_selector(".gw .cols")
    tab.focus(".gw")
    tab.keyboard.press("s")
    assert tab.inner_text(".why b") == "merged" and "10 × ≤ 154 B" in tab.text_content(".gw svg .pk text")
    assert tab.inner_text(".held tbody tr").split("\t")[:3] == ["IPv4 10.0.0.1 → 10.0.0.2 / TCP 1000 → 80", "10", "1\u202f000"]
    while tab.text_content(".gw svg .now .name") != "gso":
        tab.keyboard.press("s")
    assert tab.text_content(".gw svg .now .small") == "1→10" and "10 × ≤ 154 B" in tab.text_content(".gw svg .pk text")
    assert tab.inner_text(".chips") == "1 × 10"
    tab.keyboard.press("b")
    assert tab.text_content(".gw svg .now .name") == "actions" and "1\u202f054 B" in tab.text_content(".gw svg .pk text")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth") and trouble == []


def test_of_two_layers_of_one_kind_one_is_opened_alone(switch, tab, tmp_path):
    sw = switch(flow="actions=output:2")
    sw.ports["vm1"].inject(bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2", proto=4) / IP()))
    outer = Ether(src=A, dst=B) / IP(src="10.1.0.1", dst="10.1.0.2", proto=47) / bytes.fromhex("00006558") / INNER
    sw.ports["vm1"].inject(bytes(outer))
    sw.step()
    frames = list(sw.timeline.frames())
    frames[-1] = {**frames[-1], "tree": tree_of(Packet(bytes(outer)), None)[0]}
    (tmp_path / "b.html").write_text(f"<!doctype html><meta charset='utf-8'>{page.page(frames)}", encoding="utf-8")
    tab.goto((tmp_path / "b.html").as_uri())
    tab.wait_for_selector(".gw .cols")
    tab.click("[data-layer=ip2]")
    assert [tab.get_attribute(f"[data-layer={key}]", "aria-expanded") for key in ("ip", "ip2")] == ["false", "true"]


def test_an_exported_notebook_keeps_these_pictures(switch, tmp_path):
    import nbformat

    sw = switch(there={"offloads": ()})
    sw.ports["vm1"].inject(SMALL_CUT, gso_size=1000)
    cut = steps(sw)["gso"][0].cut
    outputs = [nbformat.v4.new_output("display_data", thing._repr_mimebundle_()) for thing in (cut, sw.gro, sw.mempool, sw.ports["vm1"])]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("cut", outputs=outputs)])
    nbformat.write(book, tmp_path / "a.ipynb")
    text = export.export(tmp_path / "a.ipynb", tmp_path / "a.html").read_text()
    assert "payload 1000 to 2000" in text and "GRO: nothing held" in text and "mbufs free" in text
