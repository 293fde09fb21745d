"""The compiled tempo of `raw.py`, second part: nested arrays at once, wrapping arithmetic, fences, the machine itself."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import signature
from numba.extending import type_callable

from lab.memory import raw
from lab.memory.machine import I64, RecordType, WordsType, exact, load, pointer, refuse, store

LANES = ir.VectorType(I64, 8)


# --- nested arrays at once ---------------------------------------------------------------------


def _whole(function, result, count):
    """Type and lower a function of one or two nested arrays."""

    @type_callable(function)
    def _typing(context):
        def typer(*args):
            fits = all(isinstance(a, WordsType) and _extent(a) == _extent(args[0]) for a in args)
            return signature(result, *args) if fits else None

        return exact(typer, count)

    return lower_builtin(function, *([WordsType] * count))


def _extent(kind):
    return kind.n * int(kind.code[1])


@_whole(raw.clear, types.none, 1)
def _clear(context, b, sig, args):
    for at in range(0, _extent(sig.args[0]), 64):
        kind = ir.VectorType(I64, min(64, _extent(sig.args[0]) - at) // 8)
        store(b, ir.Constant(kind, None), b.add(args[0], I64(at)), sig.args[0].owner, 8)
    return context.get_dummy_value()


@_whole(raw.copy_words, types.none, 2)
def _copy_words(context, b, sig, args):
    for at in range(0, _extent(sig.args[0]), 64):
        n = min(64, _extent(sig.args[0]) - at) // 8
        value = load(b, b.add(args[1], I64(at)), ir.VectorType(I64, n), sig.args[1].owner, 8)
        store(b, value, b.add(args[0], I64(at)), sig.args[0].owner, 8)
    return context.get_dummy_value()


@type_callable(raw.copy_line)
def _copy_line_type(context):
    def typer(to, source):
        return signature(types.none, to, source) if isinstance(to, RecordType) and isinstance(source, RecordType) else None

    return typer


@lower_builtin(raw.copy_line, RecordType, RecordType)
def _copy_line(context, b, sig, args):
    to, source = sig.args
    store(b, load(b, args[1], LANES, source.layout.name, 64), args[0], to.layout.name, 64)
    return context.get_dummy_value()


@type_callable(raw.count_refs)
def _count_refs_type(context):
    return lambda m, n: signature(types.int64, m, types.int64) if isinstance(m, RecordType) else None


@lower_builtin(raw.count_refs, RecordType, types.Integer)
def _count_refs(context, b, sig, args):
    """One locked instruction: the count is of 16 bits, as the field."""
    kind, small = sig.args[0].layout, ir.IntType(16)
    at = pointer(b, b.add(args[0], I64(kind.offsets["refcnt"])), small)
    n = b.trunc(args[1], small)
    before = b.atomic_rmw("add", at, n, "acq_rel")
    return b.zext(b.add(before, n), I64)


@_whole(raw.same_words, types.boolean, 2)
def _same_words(context, b, sig, args):
    differs = None
    for at in range(0, _extent(sig.args[0]), 64):
        x, y = (load(b, b.add(a, I64(at)), LANES, kind.owner, 8) for a, kind in zip(args, sig.args, strict=True))
        part = b.xor(x, y)
        differs = part if differs is None else b.or_(differs, part)
    reduce = b.module.declare_intrinsic("llvm.vector.reduce.or.v8i64", (), ir.FunctionType(I64, [LANES]))
    return b.icmp_unsigned("==", b.call(reduce, [differs]), I64(0))


def _block(b, address, at, kind):
    """Eight words of a nested array, from byte `at`."""
    return load(b, b.add(address, at), LANES, kind.owner, 8)


def _reduce(b, operation, lanes):
    """One word out of eight."""
    function = b.module.declare_intrinsic(f"llvm.vector.reduce.{operation}.v8i64", (), ir.FunctionType(I64, [LANES]))
    return b.call(function, [lanes])


def _per_block(b, blocks, first, step):
    """Fold `step(at, so far)` over the byte offsets of the blocks; the first block needs no loop."""
    total = cgutils.alloca_once_value(b, step(I64(0), first))
    with cgutils.for_range(b, blocks, start=I64(1)) as loop:
        b.store(step(b.shl(loop.index, I64(6)), b.load(total)), total)
    return b.load(total)


def _check_blocks(context, b, sig, args):
    """A checked build refuses a number of blocks that the arrays do not have."""
    kind, blocks = sig.args[0], args[-1]
    if kind.checked:
        outside = b.icmp_unsigned(">=", b.sub(blocks, I64(1)), I64(kind.n // 8))
        refuse(context, b, outside, IndexError, "no such block of words")


def _with_blocks(function, result, count):
    """Type and lower a function of nested arrays and a number of blocks, which a checked build looks at."""

    @type_callable(function)
    def _typing(context):
        def typer(*args):
            *arrays, blocks = args
            fits = all(isinstance(a, WordsType) and _extent(a) == _extent(arrays[0]) for a in arrays)
            return signature(result, *arrays, types.int64) if fits and isinstance(blocks, types.Integer) else None

        return exact(typer, count + 1)

    def lower(emit):
        def emit_checked(context, b, sig, args):
            kind = sig.args[0]
            if kind.checked:
                beyond = b.icmp_unsigned(">=", b.sub(args[-1], I64(1)), I64(_extent(kind) // 64))
                refuse(context, b, beyond, IndexError, f"no such block of {kind.owner}")
            return emit(context, b, sig, args)

        lower_builtin(function, *([WordsType] * count), types.Integer)(emit_checked)
        return emit

    return lower


@_with_blocks(raw.same_blocks, types.boolean, 2)
def _same_blocks(context, b, sig, args):
    _check_blocks(context, b, sig, args)

    def step(at, differs):
        return b.or_(differs, b.xor(*(_block(b, a, at, kind) for a, kind in zip(args[:2], sig.args[:2], strict=True))))

    differs = _per_block(b, args[2], ir.Constant(LANES, None), step)
    return b.icmp_unsigned("==", _reduce(b, "or", differs), I64(0))


def _spread(b):
    """The address of the multipliers of sums."""
    kind = ir.ArrayType(I64, len(raw.SPREAD))
    spread = cgutils.global_constant(b, "glasswitch_spread", ir.Constant(kind, [I64(value) for value in raw.SPREAD]))
    spread.align = 64
    return b.ptrtoint(spread, I64)


@_with_blocks(raw.masked_sum, types.uint64, 2)
def _masked_sum(context, b, sig, args):
    _check_blocks(context, b, sig, args)
    constants = _spread(b)

    def step(at, total):
        masked = b.and_(*(_block(b, a, at, kind) for a, kind in zip(args[:2], sig.args[:2], strict=True)))
        return b.add(total, b.mul(masked, load(b, b.add(constants, at), LANES, "constants", 64)))

    return _reduce(b, "add", _per_block(b, args[2], ir.Constant(LANES, None), step))


@_with_blocks(raw.masked_same, types.boolean, 3)
def _masked_same(context, b, sig, args):
    _check_blocks(context, b, sig, args)

    def step(at, differs):
        words, key, mask = (_block(b, a, at, kind) for a, kind in zip(args[:3], sig.args[:3], strict=True))
        return b.or_(differs, b.xor(words, b.and_(key, mask)))

    differs = _per_block(b, args[3], ir.Constant(LANES, None), step)
    return b.icmp_unsigned("==", _reduce(b, "or", differs), I64(0))


def _per_pick(b, picks, first, step):
    """`_per_block` over the first block and those whose bit is set."""
    total = cgutils.alloca_once_value(b, step(I64(0), first))
    left = cgutils.alloca_once_value(b, b.and_(picks, I64(~1)))
    again, inside, done = (b.append_basic_block(name) for name in ("picks", "pick", "picked"))
    b.branch(again)
    b.position_at_end(again)
    b.cbranch(b.icmp_unsigned("!=", b.load(left), I64(0)), inside, done)
    b.position_at_end(inside)
    bits = b.load(left)
    b.store(b.and_(bits, b.sub(bits, I64(1))), left)
    b.store(step(b.shl(b.cttz(bits, ir.IntType(1)(1)), I64(6)), b.load(total)), total)
    b.branch(again)
    b.position_at_end(done)
    return b.load(total)


def _with_picks(function, result, count):
    """Type and lower a function of nested arrays and a set of blocks, which a checked build looks at."""

    @type_callable(function)
    def _typing(context):
        def typer(*args):
            *arrays, picks = args
            fits = all(isinstance(a, WordsType) and _extent(a) == _extent(arrays[0]) for a in arrays)
            return signature(result, *arrays, types.int64) if fits and isinstance(picks, types.Integer) else None

        return exact(typer, count + 1)

    def lower(emit):
        def emit_checked(context, b, sig, args):
            kind = sig.args[0]
            if kind.checked:
                beyond = b.icmp_unsigned(">=", args[-1], I64(1 << _extent(kind) // 64))
                refuse(context, b, beyond, IndexError, f"no such block of {kind.owner}")
            return emit(context, b, sig, args)

        lower_builtin(function, *([WordsType] * count), types.Integer)(emit_checked)
        return emit

    return lower


@_with_picks(raw.picked_sum, types.uint64, 2)
def _picked_sum(context, b, sig, args):
    constants = _spread(b)

    def step(at, total):
        masked = b.and_(*(_block(b, a, at, kind) for a, kind in zip(args[:2], sig.args[:2], strict=True)))
        return b.add(total, b.mul(masked, load(b, b.add(constants, at), LANES, "constants", 64)))

    return _reduce(b, "add", _per_pick(b, args[2], ir.Constant(LANES, None), step))


@_with_picks(raw.picked_same, types.boolean, 3)
def _picked_same(context, b, sig, args):
    def step(at, differs):
        words, key, mask = (_block(b, a, at, kind) for a, kind in zip(args[:3], sig.args[:3], strict=True))
        return b.or_(differs, b.xor(words, b.and_(key, mask)))

    differs = _per_pick(b, args[3], ir.Constant(LANES, None), step)
    return b.icmp_unsigned("==", _reduce(b, "or", differs), I64(0))


@_with_picks(raw.picked_join, types.none, 3)
def _picked_join(context, b, sig, args):
    ones = ir.Constant(LANES, [I64(-1)] * 8)

    def step(at, nothing):
        to, mask, known = (_block(b, a, at, kind) for a, kind in zip(args[:3], sig.args[:3], strict=True))
        store(b, b.or_(to, b.and_(mask, b.xor(known, ones))), b.add(args[0], at), sig.args[0].owner, 8)
        return nothing

    _per_pick(b, args[3], ir.Constant(LANES, None), step)
    return context.get_dummy_value()


@_whole(raw.masked_copy, types.none, 3)
def _masked_copy(context, b, sig, args):
    for at in range(0, _extent(sig.args[0]), 64):
        masked = b.and_(*(_block(b, a, I64(at), kind) for a, kind in zip(args[1:], sig.args[1:], strict=True)))
        store(b, masked, b.add(args[0], I64(at)), sig.args[0].owner, 8)
    return context.get_dummy_value()


# --- arithmetic that wraps, order of memory, the machine ------------------------------------------


def _scalar(function, result, *kinds):
    """Type and lower a function of plain integers."""

    @type_callable(function)
    def _typing(context):
        def typer(*args):
            return signature(result, *kinds) if all(isinstance(a, types.Integer | types.Boolean) for a in args) else None

        return exact(typer, len(kinds))

    return lower_builtin(function, *([types.Integer] * len(kinds)))


@_scalar(raw.u64, types.uint64, types.uint64)
def _u64(context, b, sig, args):
    return args[0]


@_scalar(raw.i64, types.int64, types.int64)
def _i64(context, b, sig, args):
    return args[0]


@_scalar(raw.mul, types.uint64, types.uint64, types.uint64)
def _mul(context, b, sig, args):
    return b.mul(*args)


@_scalar(raw.add, types.uint64, types.uint64, types.uint64)
def _add(context, b, sig, args):
    return b.add(*args)


@_scalar(raw.low_bit, types.int64, types.uint64)
def _low_bit(context, b, sig, args):
    return b.cttz(args[0], ir.IntType(1)(0))


@_scalar(raw.high_bit, types.int64, types.uint64)
def _high_bit(context, b, sig, args):
    return b.sub(I64(64), b.ctlz(args[0], ir.IntType(1)(0)))


@_scalar(raw.cycles, types.int64)
def _cycles(context, b, sig, args):
    return b.call(b.module.declare_intrinsic("llvm.readcyclecounter", (), ir.FunctionType(I64, [])), [])


@_scalar(raw.call, types.int64, types.uint64, types.uint64)
def _call(context, b, sig, args):
    return b.call(pointer(b, args[0], ir.FunctionType(I64, [I64])), [args[1]])


@_scalar(raw.system, types.int64, types.int64, types.uint64, types.uint64)
def _system(context, b, sig, args):
    kind = ir.FunctionType(I64, [I64], var_arg=True)
    f = b.module.globals.get("syscall") or ir.Function(b.module, kind, "syscall")
    return b.call(f, args)


def _fences():
    for function, order in ((raw.acquire, "acquire"), (raw.release, "release"), (raw.fence, "seq_cst")):

        @_scalar(function, types.none)
        def _emit(context, b, sig, args, order=order):
            b.fence(order)
            return context.get_dummy_value()


_fences()
