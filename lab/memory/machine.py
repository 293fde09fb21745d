"""The compiled tempo of `record.py`: what Numba must know of tables and records to build a stage.

Only the process that compiles stages imports this file. A table, a record, a nested array and the
packets' memory are Numba types of our own, so that both tempos agree on every value: narrow fields
are int64, eight-byte unsigned fields uint64, an index is never negative. Each type exists twice,
plain and *checked*; the same source compiled with checked types refuses what lies outside. The primitives of
`raw.py` stand in `machine_bytes.py` and `machine_words.py`.
"""

import hashlib
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import intrinsic, models, register_model

I64 = ir.IntType(64)


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


def exact(typer, n):
    """Numba reads a typer's parameters, so give it as many as the function has."""
    return (
        lambda: typer(),
        lambda a: typer(a),
        lambda a, b: typer(a, b),
        lambda a, b, c: typer(a, b, c),
        lambda a, b, c, d: typer(a, b, c, d),
    )[n]


def value_type(code):
    """What a field reads as: bits for u8, a count for all else."""
    return types.uint64 if code == "u8" else types.int64


# --- loads and stores, and what the optimiser may know of them -------------------------------


def alias(b, instruction, region):
    """Tell LLVM that records of one kind are never records, or packet bytes, of another."""
    m = b.module
    root = m.add_metadata(["glasswitch"])
    node = m.add_metadata([region, root, I64(0)])
    instruction.set_metadata("tbaa", m.add_metadata([node, node, I64(0)]))
    return instruction


def pointer(b, address, kind):
    return b.inttoptr(address, kind.as_pointer())


def load(b, address, kind, region, align=1):
    value = b.load(pointer(b, address, kind))
    value.align = align
    return alias(b, value, region)


def store(b, value, address, region, align=1):
    put = b.store(value, pointer(b, address, value.type))
    put.align = align
    return alias(b, put, region)


def read_field(b, address, code, region):
    bits = int(code[1]) * 8
    value = load(b, address, ir.IntType(bits), region, bits // 8)
    if bits == 64:
        return value
    return b.sext(value, I64) if code[0] == "i" else b.zext(value, I64)


def write_field(b, value, address, code, region):
    bits = int(code[1]) * 8
    store(b, value if bits == 64 else b.trunc(value, ir.IntType(bits)), address, region, bits // 8)


def refuse(context, b, bad, error, message):
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
        refuse(context, b, b.icmp_unsigned(">=", args[1], table.count), IndexError, f"no such {kind.layout.name}")
    return b.add(table.base, b.mul(args[1], I64(kind.layout.size), flags=("nsw", "nuw")))


def _place(context, b, kind, address, index):
    if kind.checked:
        refuse(context, b, b.icmp_unsigned(">=", index, I64(kind.n)), IndexError, f"no such word of {kind.owner}")
    return b.add(address, b.mul(index, I64(int(kind.code[1]))))


@lower_builtin(operator.getitem, WordsType, types.Integer)
def _words_item(context, b, sig, args):
    kind = sig.args[0]
    return read_field(b, _place(context, b, kind, args[0], args[1]), kind.code, kind.owner)


@lower_builtin(operator.setitem, WordsType, types.Integer, types.Integer)
def _words_set(context, b, sig, args):
    kind = sig.args[0]
    write_field(b, args[2], _place(context, b, kind, args[0], args[1]), kind.code, kind.owner)
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
    return address if n > 1 else read_field(b, address, code, kind.layout.name)


@lower_setattr_generic(RecordType)
def _set_field(context, b, sig, args, attr):
    layout = sig.args[0].layout
    address = b.add(args[0], I64(layout.offsets[attr]))
    write_field(b, args[1], address, layout.fields[attr][0], layout.name)


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
        proxy.base = load(b, at, I64, "world", 8)
        proxy.count = load(b, b.add(at, I64(8)), I64, "world", 8)
        return proxy._getvalue()

    def emit(context, b, sig, args):
        at = b.add(args[0], I64(16 * number.literal_value))
        if not isinstance(wanted, MemoryType | TableType | BundleType):
            return args[0]  # a view is the world record itself
        if isinstance(wanted, MemoryType):
            return load(b, at, I64, "world", 8)
        if isinstance(wanted, TableType):
            return table_at(context, b, at, wanted)
        proxy = cgutils.create_struct_proxy(wanted)(context, b)
        for i, (name, table) in enumerate(wanted.parts()):
            setattr(proxy, name, table_at(context, b, b.add(at, I64(16 * i)), table))
        return proxy._getvalue()

    return wanted(types.uint64, number, kind), emit
