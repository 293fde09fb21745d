"""Which sources a module depends on: its own and those of every module of the package it imports, however deep.

Read from the syntax trees, so that a constant counts as much as a function. And which names one function uses, read from its byte code.
"""

import ast
import dis
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def sources_of(module):
    """{module name: text} of a module of the package and of what it imports from the package."""
    found, seen, waiting = {}, set(), [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _path(name)
        if path is None:
            continue
        text, imports = _read(path, path.stat().st_mtime_ns)
        found[name] = text
        waiting.extend(imports)
    return found


def imports_of(text):
    """The package's modules that a source text imports; the package's own front door counts for none."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.startswith("lab."))


def global_names(code):
    """The global names that a function reads (attributes are not among them)."""
    return {instruction.argval for instruction in dis.get_instructions(code) if instruction.opname == "LOAD_GLOBAL"}


@cache
def _read(path, _stamp):
    text = path.read_bytes()
    return text, imports_of(text)


def _path(name):
    path = ROOT.joinpath(*name.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None
