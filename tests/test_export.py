"""`lab export`: the first notebook as one file, which a Chromium without a network and without any kernel steps through."""
import shutil
import subprocess
import sys
import time

import browse
import frames
import nbformat
import pytest

from lab.engine.code.objects import warm
from lab.notebooks import FIRST
from lab.ui.stepper import Stepper


def command(*arguments):
    line = [sys.executable, "-m", "lab.cli", "export", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=browse.ROOT, check=False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The page of the first notebook, from a copy of it as it lies in git: without outputs."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "datasets").symlink_to(browse.ROOT / "datasets")
    book = folder / "notebooks" / FIRST
    book.parent.mkdir()
    shutil.copy(browse.ROOT / "notebooks" / FIRST, book)
    warm()
    ran = command(book)
    assert ran.returncode == 0, ran.stderr
    assert book.read_bytes() == (browse.ROOT / "notebooks" / FIRST).read_bytes(), "the notebook itself stays without outputs"
    assert ran.stdout.strip() == str(book.with_suffix(".html")) and ran.stderr == ""
    return book.with_suffix(".html")


@pytest.fixture(scope="module")
def tab(exported):
    """The page in a browser that has no network; nothing may be asked for, and nothing go wrong."""
    if browse.CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    trouble = []
    with browse.chromium() as browser:
        tab = browser.new_context(viewport={"width": 1280, "height": 1000}, offline=True).new_page()
        tab.on("request", lambda request: trouble.append(request.url) if request.url != exported.as_uri() else None)
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        tab.goto(exported.as_uri())
        tab.wait_for_selector(".gw .cols")
        yield tab
    assert trouble == []


def test_the_page_steps_through_the_walk_of_the_first_packet(tab):
    def shown():
        return tab.inner_text(".gw .count >> nth=0"), tab.inner_text(".gw .why b >> nth=0")
    assert shown() == ("step 0 of 7", "at rest")
    walk = []
    for _ in range(7):
        tab.click(".gw [data-do=step] >> nth=0")
        walk.append(shown()[1])
    assert walk == ["received", "parsed", "emc miss", "megaflow miss", "megaflow installed", "executed", "sent"]
    tab.keyboard.press("b")
    assert shown() == ("step 6 of 7", "executed")
    assert tab.inner_text('[data-f="vlan/vlan_vid"] .v >> nth=0') == "7"
    assert tab.query_selector(".gw [data-do=into]") is None, "there is no engine to go into"


def test_the_page_has_the_other_outputs_and_the_chart(tab):
    assert "Your first packet" in tab.inner_text("h1 >> nth=0")
    assert "actions=mod_vlan_vid:7,output:vm2" in tab.inner_text("body")
    assert tab.locator(".gwo").count() > 5 and tab.locator(".plotly-graph-div svg.main-svg").count() > 0


def test_what_was_saved_is_not_run_again(tmp_path):
    cell = nbformat.v4.new_code_cell("raise ValueError", outputs=[nbformat.v4.new_output("stream", text="as it was")])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    assert command(tmp_path / "a.ipynb", "-o", tmp_path / "b.html").returncode == 0
    assert "as it was" in (tmp_path / "b.html").read_text()


def test_a_cell_that_fails_is_named_and_nothing_is_written(tmp_path):
    cells = [nbformat.v4.new_code_cell("1"), nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell("nothing_of_this_name")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    ran = command(tmp_path / "a.ipynb")
    assert ran.returncode == 1 and ran.stderr == "lab export: cell 2: NameError: name 'nothing_of_this_name' is not defined\n"
    assert not (tmp_path / "a.html").exists()


def test_the_story_of_a_stepper_ends_where_a_step_is_taken_back():
    switch = frames.Playback()
    shown = Stepper(switch)
    for number, (order, step) in enumerate([("step", 1), ("goto", 4), ("step", 5), ("back", 4), ("run", 8)]):
        switch.commands.put({"do": order, "id": number, "to": 4})
        end = time.monotonic() + 5
        while shown.frame["step"] != step and time.monotonic() < end:
            time.sleep(0.01)
    story, _, at = shown.story()
    assert [frame["step"] for frame in story] == [0, 1, 2, 3, 4, 5] and at == 0
    shown.close()
