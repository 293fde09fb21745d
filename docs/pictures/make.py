"""Take the README's pictures anew: `python docs/pictures/make.py [FOLDER]`.

The first notebook is opened in JupyterLab as `make lab` opens it, run up to its stepper, and stepped in a real Chromium.
"""
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "tests")]

import browse  # noqa: E402
import nbformat  # noqa: E402

from lab.notebooks import FIRST  # noqa: E402

WINDOW = {"width": 1280, "height": 960}
INSIDE = ("emc", 9)  # the stage to go into, and how many lines


def stepper(browser, laboratory):
    """The first notebook in a new tab, run up to its stepper."""
    book = browse.Book(browser.new_context(viewport=WINDOW, reduced_motion="reduce").new_page(), laboratory, FIRST).open()
    cells = [cell.source for cell in nbformat.read(laboratory.notebooks / FIRST, as_version=4).cells if cell.cell_type == "code"]
    last = next(number for number, source in enumerate(cells) if "stepper(" in source)
    for number in range(last + 1):
        book.run(number)
    book.until("step 0 of 0")
    return book


def to(book, stage):
    """Step until the packet stands at a stage."""
    while book.shown()[3] != stage:
        book.answered("step")


def settle(book):
    """The stepper's cell at the top of the window, and nothing hovered over."""
    book.tab.evaluate("document.querySelector('.gw').closest('.jp-Cell').scrollIntoView({block: 'start'})")
    book.tab.mouse.move(2, 2)
    book.tab.wait_for_timeout(600)


def main(folder):
    """Write the three pictures."""
    with browse.chromium() as browser:
        for theme in ("light", "dark"):
            with tempfile.TemporaryDirectory() as work, browse.Laboratory(work) as laboratory:
                laboratory.theme(theme)
                book = stepper(browser, laboratory)
                to(book, "actions")
                settle(book)
                book.tab.screenshot(path=folder / f"stepper-{theme}.png")
                if theme == "dark":
                    continue
                stage, lines = INSIDE
                while book.shown()[3] != stage:
                    book.answered("back")
                book.answered("back")
                for _ in range(lines):
                    book.answered("into")
                book.tab.set_viewport_size({**WINDOW, "height": 1200})
                settle(book)
                book.tab.locator(".gw").screenshot(path=folder / "into.png")
    for name in ("stepper-light", "stepper-dark", "into"):
        print(f"{name}.png: {(folder / f'{name}.png').stat().st_size // 1000} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
