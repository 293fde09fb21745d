"""The compiled tempo of `raw.py`, first part: loads, stores, copies and sums of the packets' bytes.

An access is one instruction. In a checked build it first looks for its place among the windows that packets may lie in;
outside them it notes the offset for the report and raises, and the stage's entry returns.
"""

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
    """Sum 32-bit words sixteen at a time in the machine's order, fold, then swap: RFC 1071 allows any order."""
    base, at, n = args
    start = _address(context, b, sig.args[0], base, at, n)
    wide, words = ir.VectorType(I64, 16), ir.VectorType(I32, 16)
    total = cgutils.alloca_once_value(b, ir.Constant(wide, None))
    blocks = b.lshr(n, I64(6))
    with cgutils.for_range(b, blocks) as loop:
        value = load(b, b.add(start, b.shl(loop.index, I64(6))), words, "memory")
        b.store(b.add(b.load(total), b.zext(value, wide)), total)
    add = b.module.declare_intrinsic("llvm.vector.reduce.add.v16i64", (), ir.FunctionType(I64, [wide]))
    tail = cgutils.alloca_once_value(b, b.call(add, [b.load(total)]))
    done = b.shl(blocks, I64(6))
    pairs = b.lshr(b.sub(n, done), I64(1))
    with cgutils.for_range(b, pairs) as loop:
        value = load(b, b.add(b.add(start, done), b.shl(loop.index, I64(1))), I16, "memory")
        b.store(b.add(b.load(tail), b.zext(value, I64)), tail)
    with b.if_then(b.trunc(n, ir.IntType(1))):
        last = load(b, b.add(start, b.sub(n, I64(1))), I8, "memory")
        b.store(b.add(b.load(tail), b.zext(last, I64)), tail)
    s = b.load(tail)
    for _ in range(4):
        s = b.add(b.and_(s, I64(0xFFFF)), b.lshr(s, I64(16)))
    return b.zext(b.bswap(b.trunc(s, I16)), I64)
