"""Stages that were written in a notebook cell: their source becomes a module that another process can compile.

What the stage uses by name goes along: functions of the same notebook, numbers, names imported from the package or
NumPy. Loops get a budget, so that a slip ends as an error; a stage declared `checked=False` goes as it is.
"""

import ast
import hashlib
import inspect
import os
import textwrap
import threading
import types

import numpy as np

from lab.engine.code.sources import global_names, imports_of, sources_of

BUDGET = 1_000_000  # turns of the loops of one function in one call


def is_from_cell(stage):
    """Whether a stage was written outside the package."""
    return not stage.function.__module__.startswith("lab.")


def module_text(stage):
    """The source of a module that defines the stage and all it uses."""
    imports, bodies, seen = set(), [], set()
    _gather(stage.function, imports, bodies, seen)
    trees = [ast.parse(textwrap.dedent(body)) for body in bodies]
    if stage.checked:
        trees = [ast.fix_missing_locations(_Budget().visit(tree)) for tree in trees]
    return "\n".join(["import numpy as np", *sorted(imports), "", *(ast.unparse(_undecorated(tree)) for tree in trees)]) + "\n"


def package_sources(text):
    """The package's sources that a cell's module depends on."""
    found = {}
    for name in imports_of(text):
        found.update(sources_of(name))
    return found


def write(stage, folder):
    """Put the stage's module into a file named by its content."""
    text = module_text(stage)
    path = folder / f"cell_{stage.name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}.py"
    if not path.exists():
        begun = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        begun.write_text(text)
        begun.replace(path)  # at once: another process that finds the name finds the whole text
    return path


def _gather(function, imports, bodies, seen):
    """Collect a function, what it uses, and what that uses."""
    if function in seen:
        return
    seen.add(function)
    try:
        source = inspect.getsource(function)
    except OSError as error:
        raise ValueError(f"the source of {function.__name__} is not to be had: define it in a cell or a file, not by exec") from error
    for name in sorted(global_names(function.__code__)):
        if name in function.__globals__:
            _gather_name(name, function.__globals__[name], imports, bodies, seen)
    bodies.append(source)


def _gather_name(name, value, imports, bodies, seen):
    value = getattr(value, "function", value)
    if isinstance(value, types.FunctionType):
        if value.__module__.startswith("lab."):
            imports.add(f"from {value.__module__} import {value.__name__} as {name}")
        else:
            _gather(value, imports, bodies, seen)
    elif isinstance(value, np.integer):
        imports.add(f"{name} = np.{value.dtype.name}({int(value)})")
    elif isinstance(value, bool | int):
        imports.add(f"{name} = {value!r}")
    elif isinstance(value, types.ModuleType):
        if value.__name__.split(".")[0] not in ("numpy", "lab"):
            raise ValueError(
                f"a stage cannot use module {value.__name__}: bring in the names that it needs, from {value.__name__} import ..."
            )
        imports.add(f"import {value.__name__} as {name}")


def _undecorated(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return tree


class _Budget(ast.NodeTransformer):
    """Count the turns of every loop of a function and raise when there are too many."""

    def visit_FunctionDef(self, node):
        """Give the function a counter of its own: a local number, which the compiler keeps in a register."""
        self.generic_visit(node)
        start = 1 if ast.get_docstring(node) else 0
        node.body.insert(start, ast.parse("turns_ = 0").body[0])
        return node

    def visit_For(self, node):
        """One more turn, at the top of the loop's body."""
        self.generic_visit(node)
        node.body[:0] = ast.parse(f"turns_ += 1\nif turns_ > {BUDGET}:\n    raise RuntimeError('loop budget')").body
        return node

    visit_While = visit_For
