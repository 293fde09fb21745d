"""Machine code of stages: found in a cache by a digest of all that it depends on, else compiled elsewhere.

The digest covers the sources of the stage's module and of every module of the package that it imports, however
deep, so an edit anywhere makes new machine code and old code is never found. Compilation happens in child
processes; here object files are only loaded. A stage from a notebook cell is first written to a file of its own.
"""

import hashlib
import json
import os
import platform
import stat
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm

from lab.engine.code import cells
from lab.engine.code.sources import sources_of
from lab.engine.code.workers import Workers

TRIES = 3  # a source that is edited meanwhile makes machine code that nobody finds
_ready = []


class StageError(ValueError):
    """A stage that machine code cannot be made of."""


def cache_folder():
    """Where object files lie: GLASSWITCH_CACHE, else the user's cache folder, else a temporary one that nobody else can write to."""
    named = os.environ.get("GLASSWITCH_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "glasswitch"
    )
    spare = Path(tempfile.gettempdir()) / f"glasswitch-{os.getuid()}"
    for folder in (Path(named), spare):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.access(folder, os.W_OK) and (folder != spare or _private(folder)):
                return folder
        except OSError:
            continue
    raise StageError(f"no folder for compiled stages can be written: set GLASSWITCH_CACHE to one (tried {named} and {spare})")


def _private(folder):
    """Whether a folder, at a place where anybody may have made it, is this user's alone: what lies there is executed."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700


@cache
def _machine():
    """What machine code depends on besides sources."""
    processor = llvm.get_host_cpu_name() + llvm.get_host_cpu_features().flatten()
    return " ".join((sys.version, version("numba"), version("llvmlite"), version("numpy"), platform.machine(), processor))


def digest(stage):
    """The name under which a stage's machine code is kept."""
    found = hashlib.sha256(f"{_machine()} {stage.name} {stage.parameters} {stage.checked} {stage.traced}".encode())
    for name, text in sorted(sources_of("lab.engine.code.build").items()) + sorted(_sources(stage).items()):
        found.update(name.encode() + b"\0" + text)
    return found.hexdigest()[:24]


def _sources(stage):
    if cells.is_from_cell(stage):
        text = cells.module_text(stage)
        return {"cell": text.encode(), **cells.package_sources(text)}
    return sources_of(stage.function.__module__)


class Code:
    """Loaded machine code of one stage: an address, and the engine that keeps it alive."""

    def __init__(self, path):
        if not _ready:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            _ready.append(True)
        symbol = json.loads(path.with_suffix(".json").read_text())["symbol"]
        target = llvm.Target.from_default_triple().create_target_machine()
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(path.with_suffix(".o").read_bytes()))
        self.engine.finalize_object()
        self.address = self.engine.get_function_address(symbol)
        self.path = path

    @property
    def text(self):
        """The LLVM text that the object was made of."""
        return self.path.with_suffix(".ll").read_text()


_loaded = {}  # digest -> Code, for the life of the process: replaced code may still be running


def path_of(stage):
    """Where the stage's machine code lies, or will."""
    name = digest(stage)
    return cache_folder() / f"{stage.name}-{name}.o"


def ready(stage):
    """The machine code of a stage if it needs no compiling, else None."""
    path = path_of(stage)
    if path.stem not in _loaded:
        if not (path.exists() and path.with_suffix(".json").exists()):
            return None
        _loaded[path.stem] = Code(path)
    return _loaded[path.stem]


def job_of(stage):
    """What the compiling process must be told."""
    job = {
        "function": stage.name,
        "touches": stage.parameters,
        "checked": stage.checked,
        "traced": stage.traced,
        "out": str(path_of(stage).with_suffix("")),
    }
    if cells.is_from_cell(stage):
        job["file"] = str(cells.write(stage, cache_folder()))
    else:
        job["module"] = stage.function.__module__
    return job


def compile_all(stages, progress=None):
    """Machine code for every stage, compiled by two processes where it is missing.

    `progress(done, total, name)` is told of each. A stage that cannot be compiled raises StageError.
    """
    found = {stage: ready(stage) for stage in stages}
    for _ in range(TRIES):
        missing = [stage for stage, code in found.items() if code is None]
        if not missing:
            return found
        with Workers(min(2, len(missing), os.cpu_count() or 1)) as workers:
            for done, (stage, error) in enumerate(workers.each(missing, job_of), 1):
                if error:
                    raise StageError(f"stage {stage.name} does not compile: {error}")
                found[stage] = ready(stage)
                if progress:
                    progress(done, len(missing), stage.name)
    if any(code is None for code in found.values()):
        raise StageError("the sources change faster than they are compiled: try again when they stand still")
    return found


def warm(progress=None):
    """Compile every stage of the package into the cache."""
    from lab.engine.pipeline import every_stage

    compile_all(every_stage(), progress)
