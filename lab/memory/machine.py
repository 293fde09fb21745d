"""The compiled tempo of `record.py` and `raw.py`: what Numba must know to build a stage.

Only the process that compiles stages imports this file. A table, a record, a nested array and the
packets' memory are Numba types of our own, so that both tempos agree on every value: narrow fields
are int64, eight-byte unsigned fields uint64, an index is never negative. Each type exists twice,
plain and *checked*; the same source compiled with checked types refuses what lies outside.
"""
import hashlib
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import intrinsic, models, register_model, type_callable

from lab.memory import raw
from lab.memory.raw import FAULT_AT, WINDOWS_AT, MemoryFault

I8, I16, I32, I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
LANES = ir.VectorType(I64, 8)


# --- the types -----------------------------------------------------------------------------

class TableType(types.Type):
    """The records of one region: a base address and a count."""

    def __init__(self, layout, checked):
        self.layout, self.checked = layout, checked
        super().__init__(f"table_{_tag(layout, checked)}")


class RecordType(types.Type):
    """One record, by address."""

    def __init__(self, layout, checked):
        self.layout, self.checked = layout, checked
        super().__init__(f"record_{_tag(layout, checked)}")


class WordsType(types.Type):
    """A nested array of a record, by address; its length is part of the type."""

    def __init__(self, owner, code, n, checked):
        self.owner, self.code, self.n, self.checked = owner, code, n, checked
        super().__init__(f"words_{owner}_{code}_{n}{'_checked' if checked else ''}")


class MemoryType(types.Type):
    """The packets' bytes, by the address at which the reserved range begins."""

    def __init__(self, checked):
        self.checked = checked
        super().__init__(f"memory{'_checked' if checked else ''}")


class BundleType(types.Type):
    """The tables of a group, reached by name."""

    def __init__(self, group, checked):
        self.group, self.checked = group, checked
        super().__init__(f"group_{group.name}_{'_'.join(_tag(layout, checked) for layout in group.layouts.values())}")

    def parts(self):
        """(name, table type) of each table."""
        return [(name, TableType(layout, self.checked)) for name, layout in self.group.layouts.items()]


def _tag(layout, checked):
    digest = hashlib.sha256(repr(layout.dtype).encode()).hexdigest()[:8]
    return f"{layout.name}_{digest}{'_checked' if checked else ''}"


@register_model(TableType)
class TableModel(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("base", types.uint64), ("count", types.int64)])


@register_model(BundleType)
class BundleModel(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.parts())


class AddressModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, I64)


for _kind in (RecordType, WordsType, MemoryType):
    register_model(_kind)(AddressModel)


def value_type(code):
    """What a field reads as: bits for u8, a count for all else."""
    return types.uint64 if code == "u8" else types.int64


# --- loads and stores, and what the optimiser may know of them -------------------------------

def _alias(b, instruction, region):
    """Tell LLVM that records of one kind are never records, or packet bytes, of another."""
    m = b.module
    root = m.add_metadata(["glasswitch"])
    node = m.add_metadata([region, root, I64(0)])
    instruction.set_metadata("tbaa", m.add_metadata([node, node, I64(0)]))
    return instruction


def _pointer(b, address, kind):
    return b.inttoptr(address, kind.as_pointer())


def _load(b, address, kind, region, align=1):
    value = b.load(_pointer(b, address, kind))
    value.align = align
    return _alias(b, value, region)


def _store(b, value, address, region, align=1):
    put = b.store(value, _pointer(b, address, value.type))
    put.align = align
    return _alias(b, put, region)


def _read_field(b, address, code, region):
    bits = int(code[1]) * 8
    value = _load(b, address, ir.IntType(bits), region, bits // 8)
    if bits == 64:
        return value
    return b.sext(value, I64) if code[0] == "i" else b.zext(value, I64)


def _write_field(b, value, address, code, region):
    bits = int(code[1]) * 8
    _store(b, value if bits == 64 else b.trunc(value, ir.IntType(bits)), address, region, bits // 8)


def _refuse(context, b, bad, error, message):
    with b.if_then(bad, likely=False):
        context.call_conv.return_user_exc(b, error, (message,))


# --- tables, records, nested arrays ----------------------------------------------------------

@infer_global(operator.getitem)
class Item(AbstractTemplate):
    def generic(self, args, kws):
        what, index = args
        if not isinstance(index, types.Integer):
            return None
        if isinstance(what, TableType):
            return signature(RecordType(what.layout, what.checked), what, types.int64)
        if isinstance(what, WordsType):
            return signature(value_type(what.code), what, types.int64)
        return None


@infer_global(operator.setitem)
class SetItem(AbstractTemplate):
    def generic(self, args, kws):
        what, index, _ = args
        if isinstance(what, WordsType) and isinstance(index, types.Integer):
            return signature(types.none, what, types.int64, value_type(what.code))
        return None


@infer_global(len)
class Length(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], TableType | WordsType):
            return signature(types.int64, args[0])
        return None


@lower_builtin(operator.getitem, TableType, types.Integer)
def _table_item(context, b, sig, args):
    kind = sig.args[0]
    table = cgutils.create_struct_proxy(kind)(context, b, args[0])
    if kind.checked:
        _refuse(context, b, b.icmp_unsigned(">=", args[1], table.count), IndexError, f"no such {kind.layout.name}")
    return b.add(table.base, b.mul(args[1], I64(kind.layout.size), flags=("nsw", "nuw")))


def _place(context, b, kind, address, index):
    if kind.checked:
        _refuse(context, b, b.icmp_unsigned(">=", index, I64(kind.n)), IndexError, f"no such word of {kind.owner}")
    return b.add(address, b.mul(index, I64(int(kind.code[1]))))


@lower_builtin(operator.getitem, WordsType, types.Integer)
def _words_item(context, b, sig, args):
    kind = sig.args[0]
    return _read_field(b, _place(context, b, kind, args[0], args[1]), kind.code, kind.owner)


@lower_builtin(operator.setitem, WordsType, types.Integer, types.Integer)
def _words_set(context, b, sig, args):
    kind = sig.args[0]
    _write_field(b, args[2], _place(context, b, kind, args[0], args[1]), kind.code, kind.owner)
    return context.get_dummy_value()


@lower_builtin(len, TableType)
def _table_len(context, b, sig, args):
    return cgutils.create_struct_proxy(sig.args[0])(context, b, args[0]).count


@lower_builtin(len, WordsType)
def _words_len(context, b, sig, args):
    return I64(sig.args[0].n)


@infer_getattr
class Fields(AttributeTemplate):
    key = RecordType

    def generic_resolve(self, kind, attr):
        field = kind.layout.fields.get(attr)
        if field is None:
            return None
        code, n = field
        return value_type(code) if n == 1 else WordsType(kind.layout.name, code, n, kind.checked)


@lower_getattr_generic(RecordType)
def _get_field(context, b, kind, address, attr):
    code, n = kind.layout.fields[attr]
    address = b.add(address, I64(kind.layout.offsets[attr]))
    return address if n > 1 else _read_field(b, address, code, kind.layout.name)


@lower_setattr_generic(RecordType)
def _set_field(context, b, sig, args, attr):
    layout = sig.args[0].layout
    address = b.add(args[0], I64(layout.offsets[attr]))
    _write_field(b, args[1], address, layout.fields[attr][0], layout.name)


@infer_getattr
class Parts(AttributeTemplate):
    key = BundleType

    def generic_resolve(self, kind, attr):
        return dict(kind.parts()).get(attr)


@lower_getattr_generic(BundleType)
def _get_part(context, b, kind, value, attr):
    return getattr(cgutils.create_struct_proxy(kind)(context, b, value), attr)


@intrinsic(prefer_literal=True)
def region(typing, world, number, kind):
    """What a world record names at a place of its list: a table, the tables of a group, the packets' memory."""
    wanted = kind.instance_type

    def table_at(context, b, at, table):
        proxy = cgutils.create_struct_proxy(table)(context, b)
        proxy.base = _load(b, at, I64, "world", 8)
        proxy.count = _load(b, b.add(at, I64(8)), I64, "world", 8)
        return proxy._getvalue()

    def emit(context, b, sig, args):
        at = b.add(args[0], I64(16 * number.literal_value))
        if isinstance(wanted, MemoryType):
            return _load(b, at, I64, "world", 8)
        if isinstance(wanted, TableType):
            return table_at(context, b, at, wanted)
        proxy = cgutils.create_struct_proxy(wanted)(context, b)
        for i, (name, table) in enumerate(wanted.parts()):
            setattr(proxy, name, table_at(context, b, b.add(at, I64(16 * i)), table))
        return proxy._getvalue()
    return wanted(types.uint64, number, kind), emit


# --- the packets' bytes ------------------------------------------------------------------------

def _outside(b, base, at, n):
    """Whether no window holds `n` bytes at `at`; the list of windows lies at the start of the range."""
    windows = _load(b, b.add(base, I64(WINDOWS_AT)), I64, "windows", 8)
    found = cgutils.alloca_once_value(b, ir.IntType(1)(1))
    with cgutils.for_range(b, windows) as loop:
        entry = b.add(base, b.add(I64(WINDOWS_AT + 8), b.mul(loop.index, I64(16))))
        low, high = _load(b, entry, I64, "windows", 8), _load(b, b.add(entry, I64(8)), I64, "windows", 8)
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
            _store(b, at, b.add(base, I64(FAULT_AT)), "windows", 8)
            _store(b, n, b.add(base, I64(FAULT_AT + 8)), "windows", 8)
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
        return _exact(typer, len(rest) + 1)

    def lower(emit):
        lower_builtin(function, MemoryType, *([types.Integer] * len(rest)))(emit)
        return emit
    return lower


def _exact(typer, n):
    """Numba reads a typer's parameters, so give it as many as the function has."""
    return (lambda: typer(), lambda a: typer(a), lambda a, b: typer(a, b),
            lambda a, b, c: typer(a, b, c), lambda a, b, c, d: typer(a, b, c, d))[n]


def _bytes_primitives():
    for width, load, store in ((8, raw.load8, raw.store8), (16, raw.load16, raw.store16),
                               (32, raw.load32, raw.store32), (64, raw.load64, raw.store64)):
        kind = ir.IntType(width)

        @_primitive(load, types.uint64 if width == 64 else types.int64, types.int64)
        def _emit_load(context, b, sig, args, kind=kind):
            value = _load(b, _address(context, b, sig.args[0], *args, I64(kind.width // 8)), kind, "memory")
            value = b.bswap(value) if kind.width > 8 else value
            return value if kind.width == 64 else b.zext(value, I64)

        @_primitive(store, types.none, types.int64, types.uint64 if width == 64 else types.int64)
        def _emit_store(context, b, sig, args, kind=kind):
            value = args[2] if kind.width == 64 else b.trunc(args[2], kind)
            value = b.bswap(value) if kind.width > 8 else value
            _store(b, value, _address(context, b, sig.args[0], args[0], args[1], I64(kind.width // 8)), "memory")
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
    _copy_from(b, to, at, n, [64, 32, 16, 8, 4, 2, 1])
    return context.get_dummy_value()


def _copy_from(b, to, at, n, widths):
    """Two moves of one width, the second reaching back from the end, cover every length up to twice that width."""
    width, rest = widths[0], widths[1:]

    def both():
        kind = ir.VectorType(I8, width)
        back = b.sub(n, I64(width))
        first, last = _load(b, at, kind, "memory"), _load(b, b.add(at, back), kind, "memory")
        _store(b, first, to, "memory")
        _store(b, last, b.add(to, back), "memory")
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
        value = _load(b, b.add(start, b.shl(loop.index, I64(6))), words, "memory")
        b.store(b.add(b.load(total), b.zext(value, wide)), total)
    add = b.module.declare_intrinsic("llvm.vector.reduce.add.v16i64", (), ir.FunctionType(I64, [wide]))
    tail = cgutils.alloca_once_value(b, b.call(add, [b.load(total)]))
    done = b.shl(blocks, I64(6))
    pairs = b.lshr(b.sub(n, done), I64(1))
    with cgutils.for_range(b, pairs) as loop:
        value = _load(b, b.add(b.add(start, done), b.shl(loop.index, I64(1))), I16, "memory")
        b.store(b.add(b.load(tail), b.zext(value, I64)), tail)
    with b.if_then(b.trunc(n, ir.IntType(1))):
        last = _load(b, b.add(start, b.sub(n, I64(1))), I8, "memory")
        b.store(b.add(b.load(tail), b.zext(last, I64)), tail)
    s = b.load(tail)
    for _ in range(4):
        s = b.add(b.and_(s, I64(0xFFFF)), b.lshr(s, I64(16)))
    return b.zext(b.bswap(b.trunc(s, I16)), I64)


# --- nested arrays at once ---------------------------------------------------------------------

def _whole(function, result, count):
    """Type and lower a function of one or two nested arrays."""
    @type_callable(function)
    def _typing(context):
        def typer(*args):
            return signature(result, *args) if all(isinstance(a, WordsType) for a in args) else None
        return _exact(typer, count)
    return lower_builtin(function, *([WordsType] * count))


def _extent(kind):
    return kind.n * int(kind.code[1])


@_whole(raw.clear, types.none, 1)
def _clear(context, b, sig, args):
    for at in range(0, _extent(sig.args[0]), 64):
        kind = ir.VectorType(I64, min(64, _extent(sig.args[0]) - at) // 8)
        _store(b, ir.Constant(kind, None), b.add(args[0], I64(at)), sig.args[0].owner, 8)
    return context.get_dummy_value()


@_whole(raw.copy_words, types.none, 2)
def _copy_words(context, b, sig, args):
    for at in range(0, _extent(sig.args[0]), 64):
        n = min(64, _extent(sig.args[0]) - at) // 8
        value = _load(b, b.add(args[1], I64(at)), ir.VectorType(I64, n), sig.args[1].owner, 8)
        _store(b, value, b.add(args[0], I64(at)), sig.args[0].owner, 8)
    return context.get_dummy_value()


@_whole(raw.same_words, types.boolean, 2)
def _same_words(context, b, sig, args):
    differs = None
    for at in range(0, _extent(sig.args[0]), 64):
        x, y = (_load(b, b.add(a, I64(at)), LANES, kind.owner, 8) for a, kind in zip(args, sig.args, strict=True))
        part = b.xor(x, y)
        differs = part if differs is None else b.or_(differs, part)
    reduce = b.module.declare_intrinsic("llvm.vector.reduce.or.v8i64", (), ir.FunctionType(I64, [LANES]))
    return b.icmp_unsigned("==", b.call(reduce, [differs]), I64(0))


# --- arithmetic that wraps, order of memory, the machine ------------------------------------------

def _scalar(function, result, *kinds):
    """Type and lower a function of plain integers."""
    @type_callable(function)
    def _typing(context):
        def typer(*args):
            return signature(result, *kinds) if all(isinstance(a, types.Integer | types.Boolean) for a in args) else None
        return _exact(typer, len(kinds))
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
    return b.call(_pointer(b, args[0], ir.FunctionType(I64, [I64])), [args[1]])


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
PRIMITIVES = {value for value in vars(raw).values() if callable(value) and getattr(value, "__module__", "") == raw.__name__}
