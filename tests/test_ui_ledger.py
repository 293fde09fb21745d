"""The mask's ledger as people see it: cells in the stepper, letters in the terminal, a table of a Ledger in a notebook."""
import re

import browse
import frames
import pytest
from test_html import Nesting
from walks import step_all, switch

from lab.ui import page, terminal

RULES = ("priority=20,udp,nw_dst=10.0.0.0/24,actions=resubmit(,1)", "table=1,udp,tp_dst=0x30/0xfff0,actions=mod_vlan_vid:7,output:vm2")
UDP = bytes.fromhex("020000000002 020000000001 0800 4500002e000000004011667d0a0000010a000002 03e80035001a0000") + bytes(18)
SEEN = """names => names.map(name => {
    const f = document.querySelector(`figure[data-f="ledger/${name}"]`);
    return [f.querySelectorAll('q:not(.no)').length, [...f.querySelectorAll('q')].filter(q => q.dataset.k).length,
            f.querySelector('figcaption').textContent]; })"""


@pytest.fixture(scope="module")
def browser():
    if browse.CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with browse.chromium() as browser:
        yield browser


@pytest.fixture
def show(browser, tmp_path):
    """Open frames as a page, in a window of some width."""
    trouble = []

    def opened(recording, at=0, wide=1000, theme=""):
        tab = browser.new_context(viewport={"width": wide, "height": 900}).new_page()
        path = tmp_path / "page.html"
        path.write_text(f"<!doctype html><meta charset='utf-8'><body style='margin:0'>{page.page(recording, theme, at)}", encoding="utf-8")
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.goto(path.as_uri())
        tab.wait_for_selector(".gw .cols")
        return tab

    yield opened
    assert trouble == []
    for context in browser.contexts:
        context.close()


def bytes_chosen(tab):
    return tab.eval_on_selector_all("[data-b].sel", "all => all.map(n => +n.dataset.b)")


def bits_chosen(tab):
    return tab.eval_on_selector_all("figure q.sel", "all => all.map(q => q.closest('figure').dataset.f.slice(7))")


def real_frames():
    sw = switch(*RULES)
    try:
        sw.ports["vm1"].inject(UDP)
        step_all(sw)
        return list(sw.timeline.frames())
    finally:
        sw.close()


def test_stepping_to_the_upcall_brings_the_cells_and_a_cause_shows_its_bits(show):
    tab = show(real_frames())
    while tab.inner_text(".why b") != "megaflow installed":
        assert tab.query_selector("figure") is None
        tab.click("[data-do=step]")
    assert tab.evaluate(SEEN, ["nw_dst", "tp_dst", "nw_src", "in_port"]) == [
        [32, 24, "nw_dst B"], [16, 12, "tp_dst C"], [32, 0, "nw_src any"], [8, 8, "in_port A"]]
    tab.click(".cause[data-c=C]")
    assert bits_chosen(tab) == ["tp_dst"] * 12 and bytes_chosen(tab) == [36, 37]
    assert tab.get_attribute(".cause[data-c=C]", "aria-pressed") == "true"
    tab.keyboard.press("s")
    assert tab.inner_text(".why b") == "executed"
    assert bits_chosen(tab) == ["tp_dst"] * 12 and bytes_chosen(tab) == [40, 41], "the tag has moved the ports by four bytes"


def test_a_field_of_the_ledger_shows_its_bytes_and_its_row_and_the_other_way_round(show):
    tab = show(frames.walk(), at=5)
    tab.click('figure[data-f="ledger/nw_dst"]')
    assert bytes_chosen(tab) == [30, 31, 32, 33]
    assert tab.eval_on_selector_all(".fld.sel", "all => all.map(n => n.dataset.f)") == ["ip/nw_dst"]
    tab.click('[data-f="tcp/tp_dst"]')
    assert tab.eval_on_selector_all("figure.sel", "all => all.map(n => n.dataset.f)") == ["ledger/tp_dst"]
    tab.click('figure[data-f="ledger/in_port"]')
    assert bytes_chosen(tab) == [] and tab.eval_on_selector_all(".fld.sel", "all => all.length") == 0


def test_bits_before_a_field_in_its_first_byte_are_no_cells_of_it(show):
    tab = show(frames.walk(), at=5)
    assert tab.evaluate(SEEN, ["tcp_flags"]) == [[12, 0, "tcp_flags any"]]
    assert tab.eval_on_selector_all('figure[data-f="ledger/tcp_flags"] span', "all => all.map(b => b.children.length)") == [8, 4 + 4]
    assert tab.eval_on_selector_all('figure[data-f="ledger/tcp_flags"] q.no', "all => all.length") == 4


def test_keys_walk_fields_and_causes_and_escape_lets_go(show):
    tab = show(frames.walk(), at=5)
    tab.focus('figure[data-f="ledger/nw_proto"]')
    for name in ("ledger/nw_src", "ledger/nw_dst"):
        tab.keyboard.press("ArrowDown")
        assert tab.evaluate("document.activeElement.dataset.f") == name
    tab.focus(".cause >> nth=0")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.dataset.f") == "cause/B"
    assert bytes_chosen(tab) == [23, 30, 31, 32]
    tab.keyboard.press("Escape")
    assert bytes_chosen(tab) == bits_chosen(tab) == []


def test_each_cause_has_a_pattern_of_its_own_in_light_and_dark(show):
    for theme in ("", "dark"):
        tab = show(frames.walk(), at=5, theme=theme)
        looks = tab.eval_on_selector_all(".cause .swatch", "all => all.map(n => getComputedStyle(n).backgroundImage.split('(')[0]"
                                         " + (getComputedStyle(n).backgroundImage.match(/-?\\d+deg/) || [''])[0])")
        assert len(looks) == len(set(looks)) == 5, "colour is not needed"


@pytest.mark.parametrize("wide", [480, 745, 1200])
def test_nothing_is_wider_than_the_page(show, wide):
    tab = show(frames.walk(), at=6, wide=wide)
    assert tab.evaluate("document.documentElement.scrollWidth") <= wide
    assert tab.eval_on_selector_all(".gw .ledger, .gw .led, .gw .key", "all => all.map(n => n.scrollWidth - n.clientWidth)") == [0, 0, 0, 0]


def test_words_of_a_cause_are_never_markup(show):
    frame = frames.frame("upcall")
    frame["causes"][0]["text"] = "<img src=x onerror=boom()>"
    tab = show([frame])
    assert tab.query_selector(".gw img") is None and "<img src=x" in tab.inner_text(".cause >> nth=0")


def test_the_terminal_writes_the_cells_as_letters():
    lines = terminal.text(frames.frame("upcall"), colour=False).split("\n")
    at = lines.index("103 of 294 bits asked for")
    assert lines[at - 1].startswith("ufid 3f9a…c2, 103 bits: tcp,in_port=vm1")
    assert lines[at + 1:at + 10] == [
        "  dl_type      AAAAAAAA ×2", "  nw_frag      AA", "  nw_ttl       DDDDDDDD", "  nw_proto     BBBBBBBB",
        "  nw_dst       BBBBBBBB BBBBBBBB BBBBBBBB ········", "  tp_dst       CCCCCCCC CCCC····", "  in_port      AAAAAAAA ×4",
        "  vlan_tci     ···E···· ········", "  any: dl_dst, dl_src, nw_tos, nw_src, tp_src, tcp_flags"]
    assert lines[at + 11] == "  B table 0: rule priority=20,tcp,nw_dst=10.0.0.0/24 was found by its whole match: 32"
    assert "bits asked for" not in terminal.text(frames.frame("megaflow"), colour=False)


def test_a_ledger_is_drawn_with_its_cells_and_its_causes(made):
    ledger = made(*RULES).oracle.ask("in_port=vm1,udp,nw_dst=10.0.0.2,tp_dst=53")
    text = ledger._repr_mimebundle_()["text/html"]
    Nesting(text)
    rows = re.findall(r"<tr><td>(\w+)</td><td>(.*?)</td><td><b>(.*?)</b></td></tr>", text)
    assert [(name, who, cells.count("<q class"), cells.count("<q>")) for name, cells, who in rows if name != "nw_frag"] == [
        ("in_port", "A", 8, 0), ("recirc_id", "A", 8, 0), ("dl_type", "A", 8, 0), ("vlan_tci", "D", 1, 15), ("nw_proto", "B", 8, 0),
        ("nw_dst", "B", 24, 8), ("tp_dst", "C", 12, 4)]
    assert "table 0: rule priority=20,udp,nw_dst=10.0.0.0/24 was found by its whole match" in text
    assert 'aria-label="24 of 32 bits asked for"' in text and ".gwo .h1" in text


@pytest.mark.parametrize("what", ["sw.megaflows[0]", "sw.megaflows", "sw.rules", "sw.rules[2]", "sw.groups", "sw.groups[1]", "sw.meters",
                                  "sw.meters[1]", "sw.fdb", "sw.controller"])
def test_what_lies_in_tables_can_be_looked_at(made, what):
    sw = made(*RULES)
    sw.ofctl("-O OpenFlow13 add-group group_id=1,type=all,bucket=output:2")
    sw.ofctl("-O OpenFlow13 add-meter meter=1,pktps,bands=type=drop,rate=1000")
    sw.ports["vm1"].inject(bytes(60))
    step_all(sw)
    thing = eval(what)
    shown = thing._repr_mimebundle_()
    Nesting(shown["text/html"])
    assert shown["text/plain"] == repr(thing) and "<table" in shown["text/html"] and "None" not in shown["text/html"]
