"""JupyterLab as `make lab` starts it, in a real Chromium: the first notebook, its stepper by mouse and keys, clicks in a busy cell.

Whatever the picture says is compared with what the engine says, asked beside the browser. The stepper's drawing alone is
tried in test_page.py, the kernel alone in test_kernel.py.
"""
import browse
import nbformat
import pytest

from lab.engine.code.objects import warm
from lab.notebooks import FIRST

pytestmark = pytest.mark.skipif(browse.CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")

NOW = """(lambda f, ports: [
    f"step {f['step']} of {f['steps']}", f["reason"], " ".join(filter(None, (f["words"], f["cure"]))),
    {"rx": ports[0]["name"], "tx": ports[-1]["name"]}.get(f["at"], f["at"].split(".")[-1]) if f["dots"] else "",
])(sw.frame(), sw.frame()["ports"])""".replace("\n", " ")
WAY = ["vm1", "parse", "emc", "megaflow", "upcall", "actions", "vm2"]
SWITCH = """%load_ext lab
vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2")
sw.ofctl("add-flow actions=mod_vlan_vid:7,output:vm2")
vm1.inject([bytes.fromhex("020000000002 020000000001 0800") + bytes(50)] * 9)"""
SLEEPING = "import time\ntime.sleep(30)"
COMPUTING = "import time\nend = time.time() + 30\nwhile time.time() < end: sum(range(1000))"
LIGHT = """selector => {
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number); return .3 * r + .6 * g + .1 * b; };
    const look = getComputedStyle(document.querySelector(selector));
    return [look.backgroundColor, look.color].map(light); }"""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    warm()  # as `make lab` does
    with browse.Laboratory(tmp_path_factory.mktemp("lab")) as laboratory:
        yield laboratory


@pytest.fixture(scope="module")
def browser():
    with browse.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(laboratory, browser):
    """Open a notebook in a tab of its own; whatever goes wrong in one of the tabs fails the test."""
    books = []

    def book(name, wide=1440):
        tab = browser.new_context(viewport={"width": wide, "height": 1060}).new_page()
        books.append(browse.Book(tab, laboratory, name))
        return books[-1].open()

    yield book
    assert [line for book in books for line in book.trouble] == []


@pytest.fixture(scope="module")
def first(opened):
    return opened(FIRST)


@pytest.fixture
def book(first):
    """The first notebook with a new switch, a packet and a stepper: all cells up to the stepper's, run by hand."""
    cells = [cell.source for cell in nbformat.read(first.laboratory.notebooks / FIRST, as_version=4).cells if cell.cell_type == "code"]
    last = next(number for number, source in enumerate(cells) if "stepper(" in source)
    for number in range(last + 1):
        first.start(number)
    first.wait(last)
    first.until("step 0 of 0")
    return first


@pytest.fixture
def engine(book):
    """Ask the switch of the first notebook."""
    with book.laboratory.asking(FIRST) as ask:
        yield ask


def test_step_and_back_show_what_the_engine_says(book, engine):
    assert book.shown() == engine(NOW)
    told = []
    for number in range(1, 8):
        book.click("step")
        told.append(book.until(f"step {number} of {number}"))
        assert told[-1] == engine(NOW)
    assert [stage for *_, stage in told] == WAY
    assert book.tab.inner_text('[data-f="vlan/vlan_vid"] .v') == "7"
    for number in (6, 5, 4):
        book.click("back")
        shown = book.until(f"step {number} of 7")
        assert shown == engine(NOW) and shown[1:] == told[number - 1][1:]
    assert engine("len(vm2.sent)") == 0
    assert book.tab.query_selector('[data-f="vlan/vlan_vid"]') is None, "the tag was taken back as well"


def test_what_a_cell_does_is_seen_in_the_picture_and_the_other_way_round(book, engine):
    engine("[sw.step().stage, sw.step().stage]")
    assert book.until("step 2 of 2")[3] == "parse"
    book.click("step")
    book.until("step 3 of 3")
    assert engine("sw.timeline[-1].stage") == "emc"


def test_run_goes_to_the_end_and_the_slider_back(book, engine):
    book.click("run")
    assert book.until("step 7 of 7") == engine(NOW)
    assert engine("len(vm2.sent)") == 1
    book.tab.fill(".gw input[type=range]", "2")
    assert book.until("step 2 of 7") == engine(NOW)
    assert engine("len(vm2.sent)") == 0


def test_into_shows_the_source_line_by_line(book, engine):
    here = "(lambda line: line['text'][line['at'] - line['first']].strip())(sw.frame()['line'])"
    book.click("step")
    book.until("step 1 of 1")
    lines = []
    for _ in range(4):
        book.answered("into")
        lines.append(book.tab.inner_text(".gw .src .here code").strip())
        assert lines[-1] == engine(here)
    assert len(set(lines)) == 4 and engine("sw.frame()['stage']") == "parse"
    book.answered("back")
    assert book.tab.inner_text(".gw .src .here code").strip() == engine(here) == lines[2]
    book.answered("step")
    assert book.shown() == engine(NOW) and book.shown()[1] == "parsed" and book.tab.query_selector(".gw .src") is None


def test_keys_reach_the_stepper_and_add_no_cell(book, engine):
    cells = book.tab.locator(".jp-Notebook .jp-Cell").count()
    book.tab.click(".gw .count")
    for key, count in [("s", "step 1 of 1"), ("s", "step 2 of 2"), ("b", "step 1 of 2"), ("s", "step 2 of 2"), ("r", "step 7 of 7"),
                       ("b", "step 6 of 7"), ("b", "step 5 of 7"), ("ArrowLeft", "step 4 of 7"), ("ArrowRight", "step 5 of 5")]:
        book.tab.keyboard.press(key)
        assert book.until(count) == engine(NOW)
    book.tab.keyboard.press("i")
    book.tab.wait_for_selector(".gw .src .here")
    assert engine("sw.frame()['stage']") == "actions"
    assert book.tab.locator(".jp-Notebook .jp-Cell").count() == cells
    assert book.tab.evaluate("document.activeElement.classList.contains('gw')")


@pytest.mark.parametrize("kernel", ["glasswitch", "python3"])
def test_the_first_click_ever_is_answered_while_a_cell_runs(kernel, laboratory, opened):
    book = opened(laboratory.write(f"cold-{kernel}.ipynb", [SWITCH, "sw.stepper()", SLEEPING, COMPUTING], kernel))
    book.run(0)
    for step, busy in ((1, 2), (2, 3)):
        book.run(1)  # a new stepper, which nobody has clicked
        book.start(busy)
        book.click("step")
        assert book.until(f"step {step} of {step}")[3] == WAY[step - 1]
        book.click("back")
        book.until(f"step {step - 1} of {step}")
        book.click("step")
        book.until(f"step {step} of {step}")
        assert book.running(busy), "the clicks were answered after the cell"
        laboratory.interrupt(book.name)
        book.wait(busy)


def test_a_narrow_page_has_one_column_and_scrolls_the_pipeline_alone(book):
    book.click("run")
    book.until("step 7 of 7")
    try:
        book.tab.set_viewport_size({"width": 800, "height": 1060})
        book.tab.wait_for_function("getComputedStyle(document.querySelector('.gw .cols')).gridTemplateColumns.split(' ').length === 1")
        book.tab.wait_for_function("document.querySelector('.gw .pipe').scrollLeft > 0")
        assert book.tab.evaluate("(gw => gw.scrollWidth <= gw.clientWidth)(document.querySelector('.gw'))")
        inside = """(() => { const box = s => document.querySelector(s).getBoundingClientRect();
            const now = box('.gw svg .now'), pipe = box('.gw .pipe'); return now.left >= pipe.left && now.right <= pipe.right + 1; })()"""
        assert book.tab.evaluate(inside)
    finally:
        book.tab.set_viewport_size({"width": 1440, "height": 1060})


def test_light_and_dark_and_a_page_that_is_opened_again_steps_on(book, opened, engine):
    book.click("step")
    book.until("step 1 of 1")
    ground, ink = book.tab.evaluate(LIGHT, ".gw")
    assert ground > 240 and ink < 60
    book.tab.keyboard.press("Control+s")
    while "play(document" not in (book.laboratory.notebooks / FIRST).read_text():
        book.tab.wait_for_timeout(50)
    book.laboratory.theme("dark")
    again = opened(FIRST)
    assert again.until("step 1 of 1") == engine(NOW)
    ground, ink = again.tab.evaluate(LIGHT, ".gw")
    assert ground < 60 and ink > 200
    now, ink = again.tab.evaluate(LIGHT, ".gw [data-do=step]")
    assert abs(now - ink) > 90
    again.click("step")
    assert again.until("step 2 of 2") == book.until("step 2 of 2") == engine(NOW), "both pages show the one switch"


def test_every_cell_of_the_first_notebook_runs(book):
    book.tab.click("text=Run >> nth=0")
    book.tab.click("text=Run All Cells >> nth=0")
    book.wait(book.tab.locator(".jp-Notebook .jp-CodeCell").count() - 1)
    wrong = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    assert [error.inner_text() for error in book.tab.query_selector_all(wrong)] == []
