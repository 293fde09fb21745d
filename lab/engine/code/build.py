"""The process that compiles stages: reads jobs from standard input, writes object files, reports a line each.

It runs apart from the engine (`python -m lab.engine.code.build`), so that compiling stalls nobody and the engine
needs no Numba. A job names a module or a file, a function in it, and whether it is to be checked. The stage
becomes one function `int64 entry(uint64 world)`: it finds its regions in the world record and runs the body.
"""

import builtins
import fcntl
import importlib
import importlib.util
import json
import linecache
import os
import re
import sys
import types as python
import warnings

from numba import cfunc, njit, types
from numba.core import errors

from lab.engine.code import lean
from lab.engine.code.sources import global_names
from lab.engine.world import place_numbers
from lab.memory import machine_bytes, machine_words, raw
from lab.memory.machine import BundleType, MemoryType, TableType, region
from lab.memory.machine_views import ViewType
from lab.memory.record import Group
from lab.stages.burst import explain
from lab.stages.regions import VIEWS, regions

OPTIONS = {"forceinline": True, "_nrt": False, "error_model": "numpy"}
CHECKED_OPTIONS = OPTIONS | {"error_model": "python"}  # a division by zero raises, as it does in plain Python
RAISES = "numba_do_raise"  # what the machine code of a stage refers to that may raise and has nobody who catches it
FAILED = 1
MADE = (".o", ".ll", ".json")  # what is made of a stage
TRANSLATION = "lab.stages.translation"
KNOWN_BUILTINS = ("range", "len", "int", "bool", "abs")
LOWERED = (machine_bytes, machine_words)  # imported for what they register
PRIMITIVES = {value for value in vars(raw).values() if callable(value) and value.__module__ == raw.__name__}


lean.install()


class CannotCompile(Exception):
    """A stage that machine code cannot be made of, with the reason in words."""


def region_type(name, checked):
    """The Numba type of a stage's parameter."""
    if name in VIEWS:
        view = VIEWS[name]
        parts = {r: (region_type(r, checked), place_numbers()[r, _first_part(region_type(r, checked))]) for r in view.regions}
        return ViewType(view, parts, checked)
    declared = regions("small").get(name)
    if declared is None:
        raise CannotCompile(f"parameter {name!r} names no region; the regions are {', '.join(regions('small'))}")
    if declared.shape is None:
        return MemoryType(checked)
    if isinstance(declared.shape, Group):
        return BundleType(declared.shape, checked)
    return TableType(declared.shape, checked)


def _first_part(kind):
    """The part of a group that stands first in the world record."""
    return next(iter(kind.group.layouts)) if isinstance(kind, BundleType) else ""


def untraced(trace, m, reason, a, b):
    """What stands in the place of `explain` in a stage that is built without tracing."""


_made: dict = {}  # (checked, traced): the functions that stages share, compiled once


def machine(function, options, memo=None, above=()):
    """The same function with every helper it calls made compilable; recursion is refused."""
    memo = {} if memo is None else memo
    if function in above:
        raise CannotCompile(f"{function.__name__} calls itself: a stage has a small stack and may not recurse")
    if function in memo:
        return memo[function]
    scope = dict(function.__globals__)
    for name in global_names(function.__code__):
        value = scope.get(name)
        if name not in scope and hasattr(builtins, name) and name not in KNOWN_BUILTINS and not name.endswith(("Error", "Exception")):
            raise CannotCompile(f"{name}() belongs to Python alone: compiled code knows numbers, tables and {', '.join(KNOWN_BUILTINS)}")
        if isinstance(value, python.FunctionType) and value not in PRIMITIVES:
            scope[name] = compilable(value, options, memo, (*above, function))
    made = python.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    memo[function] = made
    return made


def compilable(function, options, memo, above=()):
    """The same function, made compilable once for all that call it; one that stands apart is called, others are inlined."""
    made = machine(function, options, memo, above)
    if made not in memo:
        own = options | {"forceinline": False} if hasattr(function, "apart") else options
        memo[made] = njit(**own, **lean.INNER)(made)
    return memo[made]


def elsewhere(function):
    """{serve: what its compiled callers call instead}, but for the stage that serves. Only what is loaded already is looked at:
    an import would make machine code of every stage depend on all of translation."""
    module = sys.modules.get(TRANSLATION)
    return {module.serve: module.serve_elsewhere} if module and function is not module.translation.function else {}


def entry_of(function, touches, checked, *, traced, guarded):
    """The entry point of a stage: world in, status out. A guarded one catches what the stage raises."""
    numbers, options = place_numbers(), CHECKED_OPTIONS if checked else OPTIONS
    apart = elsewhere(function)
    memo = _made.setdefault((checked, traced, not apart), apart if traced else {explain: untraced, **apart})
    scope = {"region": region, "body": compilable(function, options, memo), "FAILED": FAILED}
    arguments = []
    for name in touches:
        kind = region_type(name, checked)
        scope[f"T_{name}"] = kind
        number = 0 if isinstance(kind, ViewType) else numbers[name, _first_part(kind)]
        arguments.append(f"region(world, {number}, T_{name})")
    call = f"body({', '.join(arguments)})"
    text = f"def {lean.ENTRY}(world):\n {call}\n return 0\n"
    if guarded:
        text = f"def {lean.ENTRY}(world):\n try:\n  {call}\n except Exception:\n  return FAILED\n return 0\n"
    exec(compile(text, f"<entry of {function.__name__}>", "exec"), scope)
    return scope[lean.ENTRY]


def compile_stage(function, touches, checked, traced=True):
    """The machine code of a stage: (object file, symbol, LLVM text). One that may raise is guarded, also when it is not checked."""
    for guarded in (True,) if checked else (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.NumbaWarning)
            made = cfunc(types.int64(types.uint64))(entry_of(function, touches, checked, traced=traced, guarded=guarded))
        library = made._library
        text = library.get_llvm_str()
        if guarded or RAISES not in text:
            break
    return library._codegen._tm.emit_object(library._final_module), made._wrapper_name, text


def load_function(job):
    """The plain function a job names, from a module or from a file of its own."""
    if job.get("file"):
        spec = importlib.util.spec_from_file_location("cell_" + job["function"], job["file"])
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(job["module"])
    found = getattr(module, job["function"])
    return getattr(found, "function", found)


_RECORD = r"record_(\w+?)_[0-9a-f]{8}(?:_checked)?"
_PLAIN_WORDS = (
    (re.compile(rf"Cannot resolve setattr: \({_RECORD}\)\.(\w+)"), r"a record of {0} has no field {1!r}"),
    (re.compile(rf"Unknown attribute '(\w+)' of type {_RECORD}"), r"a record of {1} has no field {0!r}"),
    (
        re.compile(r"[Nn]ame '(\w+)' is not defined|Untyped global name '(\w+)'"),
        r"{0!r} is not a name that compiled code can use: define it in a cell, as a number or a function",
    ),
    (
        re.compile(r"Cannot unify (\S+) and (\S+) for '([\w.]+)'"),
        r"{2!r} is once {0} and once {1}: give it one kind with i64(...) or u64(...)",
    ),
)


def explain_failure(error, function):
    """What is wrong with a stage, in one line, without a dump of types and LLVM text."""
    if isinstance(error, CannotCompile):
        return str(error)
    text = str(error)
    for pattern, words in _PLAIN_WORDS:
        if found := pattern.search(text):
            return words.format(*(group for group in found.groups() if group)) + _source_line(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    skip = ("During:", "Failed in", "This error", "- Resolution", "- argument", "There are", "raised from", "Overload", "Rejected", "File")
    said = next((line for line in lines if not line.startswith(skip)), lines[0] if lines else type(error).__name__)
    return said + _source_line(text)


def _source_line(text):
    """The line of the stage that a message of the compiler points at."""
    where = re.findall(r'File "([^"]+)", line (\d+)', text)
    for path, number in reversed(where):
        line = linecache.getline(os.path.abspath(path), int(number)).strip()
        if line and not line.startswith(("def ", "@")):
            return f", in the line `{line}`"
    return ""


def run(job):
    """Do one job; what is returned goes to the parent as a line of JSON."""
    function = None
    try:
        function = load_function(job)
        with open(job["out"] + ".lock", "w") as lock:  # several processes may want the same stage at once: one makes it
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not all(os.path.exists(job["out"] + suffix) for suffix in MADE):
                write(job["out"], *compile_stage(function, job["touches"], job["checked"], job.get("traced", True)))
        return {"id": job["id"], "ok": True}
    except Exception as error:  # whatever a stage's author did wrong is told, not raised here
        return {"id": job["id"], "ok": False, "error": explain_failure(error, function), "kind": type(error).__name__}


def write(out, code, symbol, text):
    """Put what was made of a stage where it is sought; each file is there whole or not at all."""
    for suffix, data in zip(MADE, (code, text.encode(), json.dumps({"symbol": symbol}).encode()), strict=True):
        temporary = f"{out}{suffix}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, out + suffix)


def main():
    """Serve jobs until standard input ends."""
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=reply, flush=True)


if __name__ == "__main__":
    main()
