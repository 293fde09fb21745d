"""The house rules that a machine can hold: what imports what, how long things are, what they are called."""
import ast
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "memory": 0, "packet": 1, "flow": 2, "offload": 2,
    "translate": 3, "stages": 4, "engine": 5, "ports": 6, "guest": 6, "nic": 6, "openflow": 6,
    "control": 7, "ui": 8, "door": 9,
}
SINGLE_FILES = {"live.py": "memory", "__init__.py": "door", "cli.py": "door", "doctor.py": "door", "notebooks.py": "door"}
MAY_USE_THE_FRONT = ("ui", "door")  # `from lab import Switch`
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 70
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "base"}
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "lab").rglob("*.py"))
TREES = {path: ast.parse((ROOT / path).read_text()) for path in FILES}


def package_of(path):
    """The package a file of lab/ belongs to."""
    return SINGLE_FILES.get(path.name) if len(path.parts) == 2 else path.parts[1]


def imports(tree, path):
    """The names of lab's modules that a file imports, with the line of each; inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.split(".")[0] == "lab")
        elif isinstance(node, ast.ImportFrom):
            whole = node.module or ""
            if node.level:
                whole = ".".join([*path.parts[:len(path.parts) - node.level], *filter(None, [node.module])])
            if whole.split(".")[0] == "lab":
                names = [whole] if whole != "lab" else [f"lab.{alias.name}" for alias in node.names]
                yield from ((name, node.lineno) for name in names)


def breaches(path, tree):
    """Each import of a file that leads upwards or sideways, as a line of text."""
    package = package_of(path)
    for name, line in imports(tree, path):
        word = (name.split(".") + [""])[1]
        target = word if word in FLOORS and word != "door" else SINGLE_FILES.get(f"{word}.py", "the front")
        if target in ("the front", "door") and package in MAY_USE_THE_FRONT:
            continue
        if target == "the front":
            yield f"{path}:{line}: {name}: only ui and cli import from lab itself"
        elif target != package and FLOORS[target] >= FLOORS[package]:
            yield f"{path}:{line}: {package} (floor {FLOORS[package]}) imports {name} (floor {FLOORS[target]})"


def layouts(tree):
    """(line, field names) of every Layout(...) that a file declares."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Layout":
            yield node.lineno, [keyword.arg for keyword in node.keywords if keyword.arg != "line"]


def committed():
    """The text files of the checkout that git holds or would take."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]


def functions(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_from_floors_below(path):
    assert package_of(path) in FLOORS, f"{path} stands on no floor: list it in {__name__}"
    assert not list(breaches(path, TREES[path]))


@pytest.mark.parametrize(("path", "text", "wrong"), [
    ("lab/memory/ring.py", "from lab.packet.headers.tcp import x", 1),
    ("lab/ports/tap.py", "from lab.guest.driver import x", 1),
    ("lab/ports/tap.py", "def f():\n import lab.ui.html", 1),
    ("lab/flow/key.py", "from lab import Switch", 1),
    ("lab/flow/key.py", "import lab", 1),
    ("lab/flow/key.py", "from ..stages import parse", 1),
    ("lab/flow/key.py", "from lab.live import Live", 0),
    ("lab/memory/mempool.py", "from lab.live import Live", 0),
    ("lab/ports/tap.py", "from lab.ports.sim import x\nfrom lab.memory import raw", 0),
    ("lab/engine/code/build.py", "from lab.engine.steps.walk import x\nfrom lab.ports.sim import x", 1),
    ("lab/live.py", "from lab.cli import main", 1),
    ("lab/ui/kernel.py", "from lab import Switch", 0),
    ("lab/cli.py", "from lab import doctor, __version__", 0),
])
def test_the_rule_of_floors_sees_what_it_should(path, text, wrong):
    assert len(list(breaches(Path(path), ast.parse(text)))) == wrong


def test_no_field_of_a_record_has_a_name_that_numpy_arrays_have():
    taken = set(dir(np.ndarray)) | set(dir(np.recarray)) | set(dir(np.record))
    found = [(str(path), line, name) for path, tree in TREES.items() for line, names in layouts(tree) for name in names]
    assert len(found) > 100 and {"size", "flags", "data", "nbytes"} <= taken
    assert [row for row in found if row[2] is None] == [], "fields given by ** cannot be read by this test"
    assert [row for row in found if row[2] in taken] == []


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_short_and_says_what_it_is(path):
    assert ast.get_docstring(TREES[path]), f"{path} has no docstring"
    lines = (ROOT / path).read_text().count("\n")
    assert lines <= MOST_LINES
    long = [f"{f.name}: {f.end_lineno - f.lineno + 1}" for f in functions(TREES[path])
            if f.end_lineno - f.lineno + 1 > MOST_LINES_OF_A_FUNCTION]
    assert not long


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_name_says_something(path):
    words = {word for part in path.with_suffix("").parts for word in part.split("_")}
    assert not words & EMPTY_NAMES


def test_no_text_names_a_machine_or_a_registry():
    hosts = ["pypi\\.org", "pythonhosted", "deb\\.debian\\.org", "registry\\.npmjs", "conda\\.anaconda"]
    paths = ["work/", "opt/gw", "opt/pypi", "opt/wheels", "root/", "home/\\w"]
    forbidden = re.compile("|".join([*hosts, *(f"(?<![\\w.~<>$}}])/{path}" for path in paths)]))
    wrong = []
    for path in committed():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__).resolve():
            found = [(n, line) for n, line in enumerate(text.splitlines(), 1) if forbidden.search(line)]
            wrong += [f"{path.relative_to(ROOT)}:{n}: {line.strip()[:90]}" for n, line in found]
    assert not wrong
