"""The compiled tempo of `raw.py`, first part: loads, stores, copies and sums of the packets' bytes.

An access is one instruction. In a checked build it first looks for its place among the windows that packets may lie in;
outside them it notes the offset for the report and raises, and the stage's entry returns.
"""

import functools

from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import signature
from numba.extending import type_callable

from lab.memory import raw
from lab.memory.machine import I64, MemoryType, exact, load, refuse, store
from lab.memory.raw import FAULT_AT, WINDOWS_AT, MemoryFault

I8, I16, I32 = (ir.IntType(n) for n in (8, 16, 32))


def _outside(b, base, at, n):
    """Whether no window holds `n` bytes at `at`; the list of windows lies at the start of the range."""
    windows = load(b, b.add(base, I64(WINDOWS_AT)), I64, "windows", 8)
    found = cgutils.alloca_once_value(b, ir.IntType(1)(1))
    with cgutils.for_range(b, windows) as loop:
        entry = b.add(base, b.add(I64(WINDOWS_AT + 8), b.mul(loop.index, I64(16))))
        low, high = load(b, entry, I64, "windows", 8), load(b, b.add(entry, I64(8)), I64, "windows", 8)
        room = b.and_(b.icmp_unsigned(">=", at, low), b.icmp_unsigned("<=", at, high))
        fits = b.and_(room, b.icmp_unsigned("<=", n, b.sub(high, at)))
        with b.if_then(fits):
            b.store(ir.IntType(1)(0), found)
    return b.load(found)


def _address(context, b, kind, base, at, n):
    """The address of an offset; a checked build refuses one outside the windows and notes it for the report."""
    if kind.checked:
        bad = _outside(b, base, at, n)
        with b.if_then(bad, likely=False):
            store(b, at, b.add(base, I64(FAULT_AT)), "windows", 8)
            store(b, n, b.add(base, I64(FAULT_AT + 8)), "windows", 8)
            context.call_conv.return_user_exc(b, MemoryFault, ("outside the packets' memory",))
    return b.add(base, at)


def _primitive(function, result, *rest):
    """Type `function(memory, ...)` with int64 arguments, and return the decorator that lowers it."""

    @type_callable(function)
    def _typing(context):
        def typer(*args):
            if len(args) == len(rest) + 1 and isinstance(args[0], MemoryType):
                return signature(result, args[0], *rest)
            return None

        return exact(typer, len(rest) + 1)

    def lower(emit):
        lower_builtin(function, MemoryType, *([types.Integer] * len(rest)))(emit)
        return emit

    return lower


def _bytes_primitives():
    for width, loads, stores in (
        (8, raw.load8, raw.store8),
        (16, raw.load16, raw.store16),
        (32, raw.load32, raw.store32),
        (64, raw.load64, raw.store64),
    ):
        kind = ir.IntType(width)

        @_primitive(loads, types.uint64 if width == 64 else types.int64, types.int64)
        def _emit_load(context, b, sig, args, kind=kind):
            value = load(b, _address(context, b, sig.args[0], args[0], args[1], I64(kind.width // 8)), kind, "memory")
            value = b.bswap(value) if kind.width > 8 else value
            return value if kind.width == 64 else b.zext(value, I64)

        @_primitive(stores, types.none, types.int64, types.uint64 if width == 64 else types.int64)
        def _emit_store(context, b, sig, args, kind=kind):
            value = args[2] if kind.width == 64 else b.trunc(args[2], kind)
            value = b.bswap(value) if kind.width > 8 else value
            store(b, value, _address(context, b, sig.args[0], args[0], args[1], I64(kind.width // 8)), "memory")
            return context.get_dummy_value()


_bytes_primitives()


@_primitive(raw.copy, types.none, types.int64, types.int64, types.int64)
def _copy(context, b, sig, args):
    base, to, at, n = args
    to, at = (_address(context, b, sig.args[0], base, place, n) for place in (to, at))
    bytes_ = I8.as_pointer()
    move = b.module.declare_intrinsic("llvm.memmove", [bytes_, bytes_, I64])
    b.call(move, [b.inttoptr(to, bytes_), b.inttoptr(at, bytes_), n, ir.IntType(1)(0)])
    return context.get_dummy_value()


@_primitive(raw.copy_small, types.none, types.int64, types.int64, types.int64)
def _copy_small(context, b, sig, args):
    base, to, at, n = args
    to, at = (_address(context, b, sig.args[0], base, place, n) for place in (to, at))
    if sig.args[0].checked:
        refuse(context, b, b.icmp_unsigned(">", n, I64(128)), IndexError, "copy_small takes at most 128 bytes")
    _copy_from(b, to, at, n, [64, 32, 16, 8, 4, 2, 1])
    return context.get_dummy_value()


def _copy_from(b, to, at, n, widths):
    """Two moves of one width, the second reaching back from the end, cover every length up to twice that width."""
    width, rest = widths[0], widths[1:]

    def both():
        kind = ir.VectorType(I8, width)
        back = b.sub(n, I64(width))
        first, last = load(b, at, kind, "memory"), load(b, b.add(at, back), kind, "memory")
        store(b, first, to, "memory")
        store(b, last, b.add(to, back), "memory")

    if not rest:
        with b.if_then(b.icmp_unsigned(">=", n, I64(1))):
            both()
        return
    with b.if_else(b.icmp_unsigned(">=", n, I64(width))) as (wide, narrow):
        with wide:
            both()
        with narrow:
            _copy_from(b, to, at, n, rest)


@_primitive(raw.fill, types.none, types.int64, types.int64, types.int64)
def _fill(context, b, sig, args):
    base, at, value, n = args
    place = b.inttoptr(_address(context, b, sig.args[0], base, at, n), I8.as_pointer())
    cgutils.memset(b, place, n, b.trunc(value, I8))
    return context.get_dummy_value()


@_primitive(raw.prefetch, types.none, types.int64)
def _prefetch(context, b, sig, args):
    pointer = I8.as_pointer()
    f = b.module.declare_intrinsic("llvm.prefetch", (pointer,), ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32]))
    b.call(f, [b.inttoptr(b.add(args[0], args[1]), pointer), I32(0), I32(3), I32(1)])
    return context.get_dummy_value()


@_primitive(raw.sum16, types.int64, types.int64, types.int64)
def _sum16(context, b, sig, args):
    """Sum in the machine's order, fold, then swap: RFC 1071 allows any order. What fills no 64 bytes is summed here."""
    base, at, n = args
    start = _address(context, b, sig.args[0], base, at, n)
    total = cgutils.alloca_once_value(b, I64(0))
    with b.if_then(b.icmp_unsigned(">=", n, I64(64))):
        b.store(b.call(_shared(b, "glasswitch_sum", [I64, I64], _sum_blocks), [start, n]), total)
    for size in (32, 16, 8):  # as the bits of the length say, from the end of the blocks on
        with b.if_then(b.icmp_unsigned("!=", b.and_(n, I64(size)), I64(0))):
            place = b.add(start, b.and_(n, I64(-2 * size)))
            words = [_halves(b, load(b, b.add(place, I64(at)), I64, "memory"), I64) for at in range(0, size, 8)]
            b.store(functools.reduce(b.add, words, b.load(total)), total)
    left = b.and_(n, I64(7))
    with b.if_then(b.icmp_unsigned("!=", left, I64(0))):
        b.store(b.add(b.load(total), _halves(b, _last_bytes(b, start, n, left), I64)), total)
    s = b.load(total)
    s = b.add(b.and_(s, I64(0xFFFFFFFF)), b.lshr(s, I64(32)))
    for _ in range(3):
        s = b.add(b.and_(s, I64(0xFFFF)), b.lshr(s, I64(16)))
    return b.zext(b.bswap(b.trunc(s, I16)), I64)


def _halves(b, value, kind):
    """The two 32-bit halves of 64 bits, added: many of them add up without a carry that is lost."""
    low, shift = (ir.Constant(kind, n if kind is I64 else [n] * 8) for n in (0xFFFFFFFF, 32))
    return b.add(b.and_(value, low), b.lshr(value, shift))


def _last_bytes(b, start, n, left):
    """The `left` bytes at the end, 1 to 7, as the low bytes of a word: with eight before the end in one load."""
    found = cgutils.alloca_once(b, I64)
    with b.if_else(b.icmp_unsigned(">=", n, I64(8))) as (long, short):
        with long:
            word = load(b, b.add(start, b.sub(n, I64(8))), I64, "memory")
            b.store(b.lshr(word, b.sub(I64(64), b.shl(left, I64(3)))), found)
        with short:
            b.store(I64(0), found)
            for kind in (I8, I16, I32):  # from the end on, so that what was found moves up
                size = kind.width // 8
                with b.if_then(b.icmp_unsigned("!=", b.and_(left, I64(size)), I64(0))):
                    place = b.and_(left, I64(-2 * size & 7))
                    part = b.zext(load(b, b.add(start, place), kind, "memory"), I64)
                    b.store(b.or_(b.shl(b.load(found), I64(kind.width)), part), found)
    return b.load(found)


def _sum_blocks(b, start, n):
    """The sum of the 32-bit words in all whole blocks of 64 bytes: four at a time, each in registers of its own."""
    kind = ir.VectorType(I64, 8)
    sums = [cgutils.alloca_once_value(b, ir.Constant(kind, None)) for _ in range(4)]

    def add_block(place, total):
        b.store(b.add(b.load(total), _halves(b, load(b, place, kind, "memory"), kind)), total)

    rounds = b.lshr(n, I64(8))
    with cgutils.for_range(b, rounds) as loop:
        for k, total in enumerate(sums):
            add_block(b.add(start, b.add(b.shl(loop.index, I64(8)), I64(64 * k))), total)
    rest = b.add(start, b.shl(rounds, I64(8)))
    with cgutils.for_range(b, b.and_(b.lshr(n, I64(6)), I64(3))) as loop:
        add_block(b.add(rest, b.shl(loop.index, I64(6))), sums[0])
    a, c, d, e = (b.load(total) for total in sums)
    reduce = b.module.declare_intrinsic("llvm.vector.reduce.add.v8i64", (), ir.FunctionType(I64, [kind]))
    b.ret(b.call(reduce, [b.add(b.add(a, c), b.add(d, e))]))


def _shared(b, name, kinds, build):
    """A function of machine words that every caller shares, built when the first one asks for it."""
    found = b.module.globals.get(name)
    if found is None:
        found = ir.Function(b.module, ir.FunctionType(I64, kinds), name)
        found.linkage = "linkonce_odr"
        build(ir.IRBuilder(found.append_basic_block("entry")), *found.args)
    return found


@_primitive(raw.crc32c, types.int64, types.int64, types.int64, types.int64)
def _crc32c(context, b, sig, args):
    base, crc, at, n = args
    start = _address(context, b, sig.args[0], base, at, n)
    return b.call(_shared(b, "glasswitch_crc32c", [I64, I64, I64], _crc_of), [crc, start, n])


def _crc_of(b, crc, start, n):
    """Eight bytes an instruction, then four, where the processor has one (SSE4.2); the rest by a table."""
    total = cgutils.alloca_once_value(b, crc)
    done = I64(0)
    if llvm.get_host_cpu_features().get("sse4.2", False):
        step = b.module.declare_intrinsic("llvm.x86.sse42.crc32.64.64", (), ir.FunctionType(I64, [I64, I64]))
        last = b.module.declare_intrinsic("llvm.x86.sse42.crc32.32.32", (), ir.FunctionType(I32, [I32, I32]))
        done = b.and_(n, I64(~3))
        with cgutils.for_range(b, b.lshr(n, I64(3))) as loop:
            word = load(b, b.add(start, b.shl(loop.index, I64(3))), I64, "memory")
            b.store(b.call(step, [b.load(total), word]), total)
        with b.if_then(b.icmp_unsigned("!=", b.and_(n, I64(4)), I64(0))):
            word = load(b, b.add(start, b.and_(n, I64(~7))), I32, "memory")
            b.store(b.zext(b.call(last, [b.trunc(b.load(total), I32), word]), I64), total)
    kind = ir.ArrayType(I32, 256)
    table = b.ptrtoint(cgutils.global_constant(b, "glasswitch_crc32c_table", ir.Constant(kind, [I32(v) for v in raw.CRC32C])), I64)
    with cgutils.for_range(b, n, start=done) as loop:
        byte = b.zext(load(b, b.add(start, loop.index), I8, "memory"), I64)
        place = b.shl(b.and_(b.xor(b.load(total), byte), I64(255)), I64(2))
        part = b.zext(load(b, b.add(table, place), I32, "constants", 4), I64)
        b.store(b.xor(b.lshr(b.load(total), I64(8)), part), total)
    b.ret(b.load(total))
