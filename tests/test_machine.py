"""The compiled tempo itself: what its code may contain, what a checked build refuses, and when code is made anew."""
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import odd_stages as odd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tempo import Tempo

from lab.engine.code import objects
from lab.engine.pipeline import LOOPS, MAIN, SIDE, every_stage
from lab.memory.mbuf import ROOM
from lab.memory.raw import FAULT_AT, MemoryFault
from lab.stages.burst import ROOM as PLACES
from lab.stages.stage import Stage

ROOT = Path(__file__).resolve().parents[1]
STAGES = list(dict.fromkeys([*(stage for _, stage, _ in SIDE), *(stage for stage, _ in MAIN)]))
BUILDS = [*every_stage(), *(Stage(stage.function, checked=True) for stage in STAGES)]
MAY_CALL = {"syscall", "memmove", "memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}
ALL = (1 << 64) - 1


@pytest.fixture(scope="module")
def codes():
    """The machine code of every stage of the package, as built for speed and as built checked."""
    return objects.compile_all(BUILDS)


@pytest.fixture(scope="module")
def tempo():
    made = Tempo()
    objects.compile_all([*(Stage(stage.function, checked=True) for stage in odd.REFUSED), *odd.PRIMITIVE,
                         *(Stage(stage.function, checked=False) for stage in odd.PRIMITIVE)])
    made.low, made.high = made.arena.windows[0][:2]
    return made


def ids(stage):
    return f"{stage.name}{'-checked' if stage.checked else ''}"


# --- what machine code contains -----------------------------------------------------------------------

@pytest.mark.parametrize("stage", BUILDS, ids=ids)
def test_the_code_of_a_stage_has_no_float_and_no_reference_counting(codes, stage):
    text = codes[stage].text
    assert re.findall(r"\b(?:double|float|half|x86_fp80)\b", text) == []
    assert re.findall(r"@\"?(\w*(?:NRT|numba_|Py[A-Z]|python)\w*)", text) == []


def undefined(path):
    """The symbols that an ELF object file leaves to others."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01"
    sections, size, count = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, sections + n * size) for n in range(count)]
    names = []
    for _, kind, _, _, at, length, link, _, _, each in heads:
        if kind == 2:  # SHT_SYMTAB
            texts = heads[link][4]
            for symbol in range(at, at + length, each):
                name, _, _, section = struct.unpack_from("<IBBH", data, symbol)
                if section == 0 and name:
                    names.append(data[texts + name:data.index(b"\0", texts + name)].decode())
    return set(names)


@pytest.mark.parametrize("stage", BUILDS, ids=ids)
def test_an_object_file_needs_nothing_but_a_few_functions_of_libc(codes, stage):
    assert undefined(codes[stage].path.with_suffix(".o")) <= MAY_CALL


def test_the_reader_of_object_files_sees_what_is_undefined():
    assert undefined(objects.compile_all([LOOPS[0]])[LOOPS[0]].path.with_suffix(".o")) & {"syscall"}


KINDS = """
import json, os, sys
os.environ["NUMBA_OPT"] = "0"
from numba.core.dispatcher import Dispatcher
from numba import njit, types
from lab.engine.code import build
from lab.engine.pipeline import every_stage
found = {}
make = njit
def keeping(**options):
    def keep(function):
        made = make(**options)(function)
        all_made.append(made)
        return made
    return keep
build.njit = keeping
for stage in every_stage():
    all_made = []
    build.compile_stage(stage.function, stage.parameters, False)
    found[stage.name] = sorted({f"{made.py_func.__name__}.{name}: {kind}" for made in all_made for overload in made.overloads.values()
                                for name, kind in overload.type_annotation.typemap.items()})
print(json.dumps(found))
"""


def kinds_of_variables():
    """{stage: ["function.variable: type"]} as Numba infers them, asked once for each state of the sources."""
    name = hashlib.sha256(" ".join(sorted(map(objects.digest, every_stage()))).encode()).hexdigest()[:24]
    kept = objects.cache_folder() / f"kinds-{name}.json"
    if not kept.exists():
        run = subprocess.run([sys.executable, "-c", KINDS], capture_output=True, text=True, check=True)
        kept.write_text(run.stdout.splitlines()[-1])
    return json.loads(kept.read_text())


def test_no_variable_of_a_stage_is_a_float():
    kinds = kinds_of_variables()
    assert set(kinds) == {stage.name for stage in every_stage()} and all(kinds.values())  # what stages share stands at the first of them
    assert sum(map(len, kinds.values())) > 1000
    wrong = re.compile(r": .*\b(float\d*|complex\d*|pyobject|object|unicode\w*|list|dict\w*)\b")
    assert [row for rows in kinds.values() for row in rows if wrong.search(row)] == []


# --- what a checked build refuses ------------------------------------------------------------------------

def outcome(tempo, stage, arguments):
    """(what plain Python raised or None, what the machine code returned); both must leave the same memory."""
    tempo.array("keys").view(np.uint8)[:] = 0
    for j, value in enumerate(arguments):
        tempo.array("keys")["w"][0][j] = value & ALL
    before = tempo.bytes.copy()
    raised = None
    try:
        tempo.step(stage)
    except Exception as error:
        raised = type(error)
    after = tempo.bytes.copy()
    tempo.bytes[:] = before
    status = tempo.run(stage, checked=True)
    noted = tempo.bytes[FAULT_AT // 8:FAULT_AT // 8 + 2].copy()
    tempo.bytes[:512] = after[:512]
    assert np.array_equal(tempo.bytes, after)
    tempo.bytes[:] = before
    return raised, status, tuple(noted.tolist())


FINE = (None, 0)
MBUFS, WORDS = 4096, 32


@pytest.mark.parametrize(("stage", "good", "bad", "error"), [
    (odd.index, [0, MBUFS - 1], [MBUFS, 1 << 40, ALL, -1, -MBUFS, 1 << 63], IndexError),
    (odd.nested, [0, PLACES - 1], [PLACES, -1, 1 << 62, 1 << 63], IndexError),
    (odd.nested_store, [0, PLACES - 1], [PLACES, -1, 1 << 62, 1 << 63], IndexError),
    (odd.part_of_group, [0, MBUFS - 1], [MBUFS, -1], IndexError),
    (odd.blocks, [1, 4], [0, 5, -1, 1 << 59], IndexError),
    (odd.blocks_same, [1, 4], [0, 5, -1, 1 << 59], IndexError),
    (odd.divide, [1, -7], [0], ZeroDivisionError),
    (odd.remainder, [1, 7], [0], ZeroDivisionError),
    (odd.complain, [0], [1], ValueError),
], ids=lambda value: value.name if isinstance(value, Stage) else "")
def test_a_checked_build_refuses_what_plain_python_refuses(tempo, stage, good, bad, error):
    for value in good:
        assert outcome(tempo, stage, [value])[:2] == FINE, value
    for value in bad:
        assert outcome(tempo, stage, [value])[:2] == (error, 1), value


def test_a_division_of_bits_by_zero_is_refused_where_numpy_only_warns(tempo):
    tempo.array("keys")["w"][0][:2] = 0, 9
    assert tempo.run(odd.divide_bits, checked=True) == 1
    tempo.array("keys")["w"][0][:2] = 4, 9
    assert tempo.run(odd.divide_bits, checked=True) == 0 and tempo.key(1)[0] == 2


@pytest.mark.parametrize("stage", [odd.loop, odd.loop_in_helper], ids=lambda stage: stage.name)
def test_a_loop_that_does_not_end_is_ended_by_its_budget(tempo, stage):
    tempo.array("keys")["w"][0][0] = 0
    assert tempo.run(stage, checked=True) == 0
    tempo.array("keys")["w"][0][0] = 1
    assert tempo.run(stage, checked=True) == 1


SIZES = {odd.read8: 1, odd.read16: 2, odd.read32: 4, odd.read64: 8, odd.write8: 1, odd.write16: 2, odd.write32: 4, odd.write64: 8}


@pytest.mark.parametrize("stage", SIZES, ids=lambda stage: stage.name)
def test_an_offset_outside_the_packets_memory_is_refused_and_noted(tempo, stage):
    n = SIZES[stage]
    for at in (tempo.low, tempo.high - n):
        assert outcome(tempo, stage, [at, 0xA5])[:2] == FINE
    for at in (tempo.low - 1, tempo.high - n + 1, tempo.high, 0, 1 << 45, 1 << 63, ALL, ALL - n + 1):
        raised, status, noted = outcome(tempo, stage, [at, 0xA5])
        assert (raised, status, noted) == (MemoryFault, 1, (at, n)), hex(at)


@pytest.mark.parametrize("stage", [odd.move, odd.move_small, odd.flood, odd.checksum], ids=lambda stage: stage.name)
def test_a_range_that_leaves_the_packets_memory_is_refused(tempo, stage):
    low, high = tempo.low, tempo.high
    for at, to, n in ((low, low + 200, 64), (high - 100, low, 100), (low, high - 128, 128)):
        assert outcome(tempo, stage, [at, to, n])[:2] == FINE
    for at, n in ((low - 1, 64), (high - 63, 64), (low, high - low + 1), (low, ALL), (low, 1 << 63), (1 << 63, 64), (ALL, 2)):
        raised, status, noted = outcome(tempo, stage, [at, low, n])
        assert (raised, status) == (MemoryFault, 1) and noted == (at, n), (hex(at), hex(n))
    if stage in (odd.move, odd.move_small):
        for to, n in ((low - 1, 64), (high - 63, 64), (1 << 63, 64), (ALL, 2)):
            raised, status, noted = outcome(tempo, stage, [low, to, n])
            assert (raised, status, noted) == (MemoryFault, 1, (to, n)), (hex(to), hex(n))


@pytest.mark.parametrize(("stage", "words"), [
    (odd.circle, "ping calls itself|pong calls itself"),
    (odd.unknown_region, "parameter 'mbuffs' names no region; the regions are memory, mbufs"),
    (odd.unknown_field, "no field 'packet'"), (odd.unequal_arrays, "copy_words"), (odd.makes_a_list, "."),
], ids=lambda value: value.name if isinstance(value, Stage) else "")
def test_what_cannot_be_compiled_is_refused_with_a_sentence(stage, words):
    with pytest.raises(objects.StageError, match=words) as refused:
        objects.compile_all([stage])
    assert str(refused.value).startswith(f"stage {stage.name} does not compile: ") and "\n" not in str(refused.value)


# --- the primitives in both tempos -----------------------------------------------------------------------

EDGES = st.sampled_from([0, 1, ALL, 1 << 63, (1 << 63) - 1, 0x9E3779B97F4A7C15])
U64 = st.integers(0, ALL) | EDGES | st.integers(0, 63).map(lambda n: 1 << n)


@given(U64, U64)
@example(0, 0)
def test_arithmetic_is_the_same_in_both_tempos(tempo, a, b):
    tempo.array("keys")["w"][0][:2] = a, b
    tempo.both(odd.words)
    signed = a - (1 << 64) if a >> 63 else a
    assert tempo.key(1)[:6] == [a, signed >> 3 & ALL, a * b & ALL, (a + b) & ALL, (a & -a).bit_length() - 1 if a else 64, a.bit_length()]


WIDE = st.lists(st.sampled_from([0, 0, 1, ALL, 0xFF << 40]) | U64, min_size=WORDS, max_size=WORDS)


@given(st.integers(0, 3), WIDE, WIDE, WIDE, st.booleans())
def test_functions_of_whole_arrays_are_the_same_in_both_tempos(tempo, n, a, b, mask, equal):
    keys = tempo.array("keys")["w"]
    keys[0][0], keys[1], keys[2], keys[3] = n, a, a if equal else b, mask
    tempo.array("masks")["w"] = 77
    tempo.both(odd.arrays)
    first = 8 * (n + 1)
    b = a if equal else b
    masked_a, masked_b = ([x & m for x, m in zip(words, mask, strict=True)] for words in (a, b))
    assert tempo.key(4)[:2] == [a == b, a[:first] == b[:first]] and tempo.key(4)[3] == (a[:first] == masked_b[:first])
    assert tempo.key(5) == masked_a and tempo.key(6) == a
    assert not tempo.array("masks")["w"][0].any() and (tempo.array("masks")["w"][1] == 77).all()


@given(st.integers(0, 70), st.integers(0, 70), st.integers(0, 2900), U64, st.randoms(use_true_random=False))
@example(0, 0, 0, 0, None)
@example(1, 0, 2900, ALL, None)
def test_loads_stores_copies_and_sums_are_the_same_in_both_tempos(tempo, at, to, n, value, random):
    low = tempo.low
    noise = random.randbytes(4000) if random else b"\xff" * 4000
    tempo.arena.bytes[low:low + 4000] = noise
    tempo.array("keys")["w"][0][:4] = low + at, low + 5000 + to, n, value
    tempo.both(odd.octets)
    data = noise[at:at + n]
    pairs = struct.unpack(f">{(n + 1) // 2}H", data + bytes(n % 2))
    total = sum(pairs)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert tempo.key(1)[3:5] == [int.from_bytes(noise[at:at + 8], "big"), total]
    assert bytes(tempo.arena.bytes[low + 5040 + to:low + 5040 + to + n]) == data


def test_a_small_copy_of_every_length_is_exact_at_both_ends(tempo):
    low = tempo.low
    noise = np.random.default_rng(1).integers(0, 256, 600, np.uint8).tobytes()
    for n in range(129):
        tempo.arena.bytes[low:low + 600] = noise
        tempo.arena.bytes[low + 600:low + 1200] = bytes(600)
        tempo.array("keys")["w"][0][:3] = low + n, low + 700 + n % 7, n
        tempo.both(odd.move_small, checked=False)
        to = 700 + n % 7
        assert bytes(tempo.arena.bytes[low + 600:low + 1200]) == bytes(to - 600) + noise[n:2 * n] + bytes(1200 - to - n)


@pytest.mark.parametrize("shift", [-40, -1, 0, 1, 40])
def test_a_copy_over_itself_keeps_what_it_copies(tempo, shift):
    low = tempo.low
    tempo.arena.bytes[low:low + ROOM] = bytes(n % 251 for n in range(ROOM))
    tempo.array("keys")["w"][0][:3] = low + 100, low + 100 + shift, 1500
    tempo.both(odd.move, checked=False)
    assert bytes(tempo.arena.bytes[low + 100 + shift:low + 1600 + shift]) == bytes(n % 251 for n in range(100, 1600))


# --- machine code is never stale ---------------------------------------------------------------------------

@pytest.fixture
def copied(tmp_path):
    """The package in a folder of its own, and a function that runs Python on it."""
    shutil.copytree(ROOT / "lab", tmp_path / "lab", ignore=shutil.ignore_patterns("__pycache__"))
    path = os.pathsep.join([str(tmp_path), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "GLASSWITCH_CACHE": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(script):
        made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False, env=environment)
        assert made.returncode == 0, made.stderr[-2000:]
        return json.loads(made.stdout.splitlines()[-1])
    return tmp_path / "lab", run


SINK = """
import ctypes, json
from lab.engine.code import objects
from lab.stages.sink import sink
from tempo import Tempo
import lab; assert lab.__file__.startswith({folder!r})
tempo = Tempo()
tempo.load([bytes(1000 + 4 * n) for n in range(20)])
tempo.array("ports")["up"], tempo.array("ports")["kind"], tempo.array("ports")["mtu"] = 1, 1, 1000
ready = objects.ready(sink) is not None
code = objects.compile_all([sink])[sink]
ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)(code.address)(tempo.world.ctypes.data)
stats = tempo.array("port_stats")[0]
print(json.dumps([ready, int(stats["tx_packets"]), int(stats["tx_drops"])]))
"""


def test_an_edit_of_a_helper_or_a_constant_is_in_the_next_code(copied):
    folder, run = copied
    script = SINK.format(folder=str(folder))
    edits = [
        (folder / "stages/transmit.py", "8  # Ethernet", "16  # Ethernet", 8),  # a constant of a module that sink imports
        (folder / "stages/transmit.py", "m.pkt_len > port", "m.pkt_len + 8 > port", 6),  # a function of it
        (folder / "stages/sink.py", "sent += 1", "sent += 2", 12),
    ]
    assert run(script) == [False, 6, 14]
    assert run(script) == [True, 6, 14]
    for path, old, new, sent in edits:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        assert run(script)[:2] == [False, sent], new


DIGESTS = """
import json, pathlib
from lab.engine.code import objects
from lab.engine.pipeline import every_stage
from lab.engine.code.sources import ROOT
def digests(): return {stage.name: objects.digest(stage) for stage in every_stage()}
was, found = digests(), {}
for path in sorted(ROOT.glob("lab/**/*.py")):
    text = path.read_text()
    path.write_text(text + "\\n# edited\\n")
    now = digests()
    found[str(path.relative_to(ROOT / "lab"))] = [name for name in now if now[name] != was[name]]
    path.write_text(text)
assert digests() == was
print(json.dumps(found))
"""


def test_an_edit_makes_anew_what_depends_on_the_file_and_nothing_else(copied):
    _, run = copied
    changed = run(DIGESTS)
    everything = {stage.name for stage in every_stage()}
    for path in ("memory/raw.py", "memory/record.py", "memory/machine.py", "memory/machine_bytes.py", "memory/machine_words.py",
                 "memory/mbuf.py", "flow/key.py", "flow/classifier.py", "stages/regions.py", "stages/burst.py", "engine/code/build.py",
                 "engine/code/lean.py", "memory/machine_views.py", "engine/world.py"):
        assert set(changed[path]) == everything, path
    alone = {"stages/parse.py": {"parse"}, "stages/emc.py": {"emc"}, "stages/smc.py": {"smc"}, "stages/upcall.py": {"upcall"},
             "stages/actions.py": {"actions", "pop", "push"}, "stages/revalidate.py": {"revalidate"},
             "stages/receive.py": {"receive", "replay", "take_over", "handover"},
             "stages/replay.py": {"replay"}, "stages/sink.py": {"sink"}, "stages/performing/rewrite.py": {"actions", "pop", "push"},
             "stages/enter.py": {"enter"}, "translate/subtables.py": {"enter"}, "stages/consult.py": {"consult"},
             "stages/punt.py": {"punt"}, "translate/normal.py": {"translation", "upcall", "revalidate", "consult"},
             "flow/hashing.py": {"parse"}, "offload/gso/heads.py": {"gso"}, "offload/gro/linux/tcp.py": {"gro"},
             "stages/megaflow.py": {"megaflow", "smc", "upcall"}, "stages/transmit.py": {"transmit", "sink"},
             "engine/route.py": {"pmd", "solo"}, "engine/pmd.py": {"pmd", "solo"}}
    assert {path: set(changed[path]) for path in alone} == alone
    nowhere = [path for path in changed if path.split("/")[0] in ("control", "ui", "ports", "openflow")]
    assert len(nowhere) > 20 and not any(changed[path] for path in nowhere)


def test_a_cell_is_made_anew_when_it_or_what_it_uses_changes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    texts = ["LIMIT = 3\ndef helper(n):\n    return n + 1\ndef cell(bursts):\n    'A cell.'\n    bursts[0].misses = helper(LIMIT)\n"]
    edits = ("LIMIT = 3", "LIMIT = 4"), ("n + 1", "n + 2"), ("helper(LIMIT)", "helper(7)")
    texts += [texts[0].replace(old, new) for old, new in edits]
    digests = set()
    for n, text in enumerate(texts):
        name = f"cell_of_test_{n}"
        (tmp_path / f"{name}.py").write_text(text)
        module = __import__(name)
        digests.add(objects.digest(Stage(module.cell, checked=True)))
        digests.add(objects.digest(Stage(module.cell, checked=False)))
    assert len(digests) == 8
