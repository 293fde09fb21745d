"""JupyterLab as `make lab` starts it, in a real Chromium: the first notebook, its stepper by mouse and keys, and what a busy cell cannot block.

Whatever the picture says is compared with what the engine says, asked beside the browser. The stepper's drawing alone is
tried in test_page.py, the kernel alone in test_kernel.py.
"""
import nbformat
import pytest

import browse
from lab.engine.objects import warm
from lab.notebooks import FIRST

pytestmark = pytest.mark.skipif(browse.CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")

NOW = """(lambda f, ports: [
    f"step {f['step']} of {f['steps']}", f["reason"], " ".join(filter(None, (f["words"], f["cure"]))),
    {"rx": ports[0]["name"], "tx": ports[-1]["name"]}.get(f["at"], f["at"].split(".")[-1]) if f["dots"] else "",
])(sw.frame(), sw.frame()["ports"])""".replace("\n", " ")
SWITCH = """sw = Switch("br0")
vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2")
sw.ofctl("add-flow actions=mod_vlan_vid:7,output:vm2")
vm1.inject(bytes.fromhex("020000000002 020000000001 0800") + bytes(50))
sw.stepper()"""
BUSY = {"sleeping": "import time\ntime.sleep(20)", "computing": "import time\nend = time.time() + 20\nwhile time.time() < end: sum(range(1000))"}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    warm()
    with browse.Laboratory(tmp_path_factory.mktemp("lab")) as laboratory:
        yield laboratory


@pytest.fixture(scope="module")
def browser():
    with browse.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def first(laboratory, browser):
    """The first notebook, opened once."""
    book = browse.Book(browser.new_context(viewport={"width": 1440, "height": 1060}).new_page(), laboratory, FIRST)
    yield book.open()
    assert book.trouble == []


@pytest.fixture
def book(first):
    """The first notebook with a new switch, a packet and a stepper: all cells up to the stepper's."""
    cells = [cell.source for cell in nbformat.read(first.laboratory.notebooks / FIRST, as_version=4).cells if cell.cell_type == "code"]
    first.at = next(number for number, source in enumerate(cells) if "stepper(" in source)
    first.tab.set_viewport_size({"width": 1440, "height": 1060})
    for number in range(first.at + 1):
        first.run(number)
    first.tab.wait_for_function("document.querySelector('.gw .count')?.textContent === 'step 0 of 0'")
    return first


@pytest.fixture
def engine(book):
    """What the engine says, as the picture would."""
    with book.laboratory.asking(FIRST) as ask:
        yield lambda: ask(NOW)


def until(book, count):
    book.tab.wait_for_function(f"[...document.querySelectorAll('.gw .count')].at(-1).textContent === {count!r}", timeout=10_000)
    return list(book.shown().values())


def test_step_and_back_show_what_the_engine_says(book, engine):
    assert list(book.shown().values()) == engine()
    told = []
    for number in range(1, 8):
        book.tab.click(".gw [data-do=step]")
        told.append(until(book, f"step {number} of {number}"))
        assert told[-1] == engine()
    assert [stage for *_, stage in told] == ["vm1", "parse", "emc", "megaflow", "upcall", "actions", "vm2"]
    for number in (6, 5, 4):
        book.tab.click(".gw [data-do=back]")
        shown = until(book, f"step {number} of 7")
        assert shown == engine() and shown[1:] == told[number - 1][1:]
