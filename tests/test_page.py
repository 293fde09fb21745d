"""The saved page in a real browser: it steps without a kernel, by mouse and keys, in light and dark, and asks nobody for anything."""
import json
import re
import shutil

import frames
import nbformat
import pytest

from lab.ui import export, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]


def test_frames_are_packed_and_unpacked_alike():
    walk = frames.walk()
    assert page.unpack(page.pack(walk)) == walk and page.pack(walk) == page.pack(json.loads(json.dumps(walk)))


def test_a_recording_keeps_its_last_sixty_frames_and_stays_small():
    many = [frames.frame("actions", step=i) for i in range(200)]
    html = page.page(many)
    packed = re.search(r"play\(document.*?, '([^']+)', 0\);", html)[1]
    assert [frame["step"] for frame in page.unpack(packed)] == list(range(140, 200))
    assert len(html) < 60_000


def test_a_page_without_scripts_shows_the_frame_as_text():
    html = page.page(frames.walk(), at=6)
    assert "≠ nw_ttl       64 → 63" in html and not re.search(r"https?:|src=|@import|url\(", html)


def test_a_recording_of_nothing_says_so():
    assert page.page([]) == "<p>No step has been recorded yet.</p>"


def test_the_script_is_one_module():
    script = page.script()
    assert "import " not in re.sub(r"^\s*//.*$", "", script, flags=re.M)
    assert re.findall(r"^export .*", script, flags=re.M) == ["export {play};", "export default {render};"]
    names = re.findall(r"^(?:async )?(?:function|const) (\w+)", script, flags=re.M)
    assert len(names) == len(set(names)), "two files declare the same name"


def test_an_exported_notebook_keeps_the_page_and_drops_the_view(tmp_path):
    book = nbformat.v4.new_notebook(metadata={"widgets": {"state": {}}})
    data = {export.VIEW: {"model_id": "1"}, "text/plain": "<Stepper>", "text/html": page.page(frames.walk())}
    book.cells = [nbformat.v4.new_code_cell("sw.stepper()", outputs=[nbformat.v4.new_output("display_data", data)])]
    nbformat.write(book, tmp_path / "a.ipynb")
    out = export.export(tmp_path / "a.ipynb", tmp_path / "a.html")
    text = out.read_text()
    assert "play(document.getElementById(" in text and "widget-view" not in text and "model_id" not in text
    assert not re.search(r"""(?:src|href)=["']https?:|import\(?["' ]+https?:""", text)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Open frames as a page; it fails the test if anything leaves the page or goes wrong in it."""
    trouble = []

    def opened(recording, theme="", at=0, **context):
        tab = browser.new_context(viewport={"width": 1000, "height": 900}, **context).new_page()
        path = tmp_path / f"page{len(trouble)}.html"
        path.write_text(f"<!doctype html><meta charset='utf-8'><body style='margin:0'>{page.page(recording, theme, at)}", encoding="utf-8")
        tab.on("request", lambda request: trouble.append(request.url) if request.url != path.as_uri() else None)
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        tab.goto(path.as_uri())
        tab.wait_for_selector(".gw .cols")
        return tab

    yield opened
    assert trouble == []
    for context in browser.contexts:
        context.close()


def count(tab):
    return tab.inner_text(".gw .count")


def now(tab):
    return tab.eval_on_selector_all(".gw svg .now .name", "all => all.map(n => n.textContent)")


def test_step_and_back_show_the_frame_before_and_after(show):
    tab = show(frames.walk())
    assert count(tab) == "step 0 of 8" and now(tab) == ["vm1"]
    for _ in range(6):
        tab.click("[data-do=step]")
    assert count(tab) == "step 6 of 8" and now(tab) == ["actions"]
    assert tab.inner_text(".why b") == "executed" and "≠ 7 bytes, mbufs, bursts" in tab.inner_text(".why")
    assert tab.inner_text('[data-f="ip/nw_ttl"] .v') == "64 → 63"
    assert tab.inner_text('[data-b="26"]') == "3f" and tab.get_attribute('[data-b="26"]', "title") == "was 40"
    assert tab.inner_text(".diff").split("\n")[0].startswith("≠ 000c 08 → 81")
    tab.click("[data-do=back]")
    assert count(tab) == "step 5 of 8" and now(tab) == ["upcall"] and tab.inner_text('[data-f="ip/nw_ttl"] .v') == "64"
    tab.click("[data-do=run]")
    assert count(tab) == "step 8 of 8" and now(tab) == ["vm2"]
    assert "14 × ≤ 1\u202f518 B" in tab.text_content(".gw svg .pk text")


def test_keys_step_and_the_focus_stays(show):
    tab = show(frames.walk())
    tab.focus(".gw")
    for key, wanted in [("s", 1), ("ArrowRight", 2), ("s", 3), ("b", 2), ("ArrowLeft", 1), ("b", 0), ("b", 0), ("r", 8)]:
        tab.keyboard.press(key)
        assert count(tab) == f"step {wanted} of 8"
    assert tab.evaluate("document.activeElement.classList.contains('gw')")
    tab.focus("[data-do=back]")
    for _ in range(9):
        tab.keyboard.press("b")
    assert count(tab) == "step 0 of 8" and tab.evaluate("document.activeElement.dataset.do") == "back"
    assert tab.get_attribute("[data-do=back]", "aria-disabled") == "true"


def test_keys_without_meaning_stay_inside_and_chords_go_out(show):
    tab = show(frames.walk())
    tab.evaluate("window.heard = []; document.addEventListener('keydown', e => window.heard.push(e.key))")
    tab.focus(".gw")
    for key in ("s", "b", "x", "Enter", "ArrowDown", "Control+s", "Shift+Enter"):
        tab.keyboard.press(key)
    tab.focus(".gw input")
    tab.keyboard.press("ArrowRight")
    assert [key for key in tab.evaluate("window.heard") if key not in ("Control", "Shift")] == ["s", "Enter"]
    assert count(tab) == "step 1 of 8", "an arrow moves the slider"


def test_arrows_walk_the_tree_and_a_chosen_field_stays_chosen(show):
    tab = show(frames.walk(), at=5)
    tab.focus('[data-f="ip/"]')
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.dataset.f") == "ip/nw_ttl"
    chosen = "all => all.map(n => n.dataset.b)"
    assert tab.eval_on_selector_all("[data-b].sel", chosen) == ["22"]
    assert tab.eval_on_selector_all(".buf.sel", "all => all.length") == 1
    tab.keyboard.press("s")
    assert count(tab) == "step 6 of 8" and tab.evaluate("document.activeElement.dataset.f") == "ip/nw_ttl"
    assert tab.eval_on_selector_all("[data-b].sel", chosen) == ["26"], "the tag has moved the field by four bytes"


def test_a_byte_chooses_its_field(show):
    tab = show(frames.walk(), at=5)
    tab.click('[data-b="22"]')
    assert tab.eval_on_selector_all(".fld.sel", "all => all.map(n => n.dataset.f)") == ["ip/nw_ttl"]


def test_quiet_fields_come_when_asked_for(show):
    tab = show(frames.walk())
    assert tab.query_selector('[data-f="tcp/window"]') is None
    tab.click("[data-layer=tcp]")
    assert tab.inner_text('[data-f="tcp/window"] .v') == "502" and tab.get_attribute("[data-layer=tcp]", "aria-expanded") == "true"
    tab.click("[data-do=step]")
    assert tab.query_selector('[data-f="tcp/window"]')


def test_the_slider_goes_anywhere(show):
    tab = show(frames.walk())
    tab.fill(".gw input", "7")
    assert count(tab) == "step 7 of 8" and now(tab) == ["gso"]
    assert tab.get_attribute(".gw input", "aria-valuetext") == "step 7 of 8, gso"


def test_each_click_is_timed_for_the_benchmark(show):
    tab = show(frames.walk())
    tab.click("[data-do=step]")
    tab.wait_for_function("window.__gw && window.__gw.length === 1")
    assert tab.evaluate("window.__gw[0][0]") == 1 and 0 < tab.evaluate("window.__gw[0][1]") < 5000


def test_light_and_dark_differ_and_both_can_be_read(show):
    contrast = """() => {
        const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number); return .3 * r + .6 * g + .1 * b; };
        const look = getComputedStyle(document.querySelector('.gw'));
        return [light(look.backgroundColor), light(look.color)]; }"""
    ground, ink = show(frames.walk()).evaluate(contrast)
    assert ground > 240 and ink < 60
    ground, ink = show(frames.walk(), theme="dark").evaluate(contrast)
    assert ground < 60 and ink > 200


def test_reduced_motion_is_respected(show):
    motion = "getComputedStyle(document.querySelector('.gw svg .pk')).transitionDuration"
    assert show(frames.walk(), reduced_motion="reduce").evaluate(motion) == "0s"
    assert show(frames.walk()).evaluate(motion) == "0.18s"


def test_a_narrow_page_scrolls_the_pipeline_to_the_packet_and_nothing_else(show):
    tab = show(frames.walk(), at=7)
    tab.set_viewport_size({"width": 480, "height": 900})
    tab.wait_for_function("document.querySelector('.gw .pipe').scrollLeft > 0")
    assert tab.evaluate("document.documentElement.scrollWidth <= 480")
    seen = tab.evaluate("(() => { const r = document.querySelector('.gw svg .now').getBoundingClientRect(); return [r.left, r.right]; })()")
    assert seen[0] >= 0 and seen[1] <= 480


def test_the_picture_has_a_text_equivalent(show):
    tab = show(frames.walk(), at=6)
    assert tab.get_attribute(".gw svg[role=img]", "aria-label") == (
        "Step 6 of 8. The packet, 20070 bytes, at actions. executed: mod_vlan_vid:7, dec_ttl, output:vm2. "
        "Passed: parse, emc, megaflow, upcall. Skipped: smc.")
    assert tab.eval_on_selector_all("button:not([title]):not([aria-label])", "all => all.length") == 0


@pytest.mark.parametrize("make", [frames.burst, frames.dropped, frames.inside, frames.empty, frames.small], ids=lambda make: make.__name__)
def test_every_kind_of_frame_can_be_drawn(show, make):
    tab = show([make()])
    assert tab.inner_text(".why b") == make()["reason"]


def test_a_burst_is_shown_by_what_was_decided(show):
    tab = show([frames.burst()])
    rows = tab.eval_on_selector_all(".hand > div", "rows => rows.map(r => [r.children[0].textContent, r.querySelectorAll('.chip').length])")
    assert rows == [["emc hit", 30], ["emc miss", 2]]
    assert tab.inner_text(".chip.this") == "7"


def test_inside_a_stage_the_line_that_comes_next_is_marked(show):
    tab = show([frames.inside()])
    assert tab.inner_text(".src .here code").strip() == "if entry.hash == b.hash[k] and same(entry.key, keys[k]):"
    assert tab.get_attribute(".src .here", "aria-current") == "step" and "emc[4711]" in tab.inner_text(".inside dl")
    assert "Table" not in tab.inner_text(".inside dl"), "the stage's own tables are left out"


def test_text_from_a_packet_is_never_markup(show):
    frame = frames.frame("emc")
    frame["words"] = frame["tree"][0]["head"] = frame["ports"][0]["name"] = "<img src=x onerror=boom()>"
    frame["tree"][0]["fields"][0]["name"] = "\"'><script>boom()</script>"
    tab = show([frame])
    assert tab.query_selector(".gw img") is None and tab.query_selector(".gw script") is None
    assert "<img src=x" in tab.inner_text(".why")
