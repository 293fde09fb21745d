"""The compiled tempo of a view: several regions that travel as one number, the address of the world record.

Where each region lies is loaded from the world record when it is used, so a function that takes a view has one
argument instead of fifty. Of a pair of copies the view gives the one that a field of a record names.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr, signature
from numba.extending import register_model, type_callable

from lab.memory import raw
from lab.memory.machine import I64, AddressModel, BundleType, MemoryType, TableType, load, read_field


class ViewType(types.Type):
    """A view: for each name the type of its region and its number in the world record."""

    def __init__(self, view, parts, checked):
        self.view, self.parts, self.checked = view, parts, checked
        super().__init__(f"view_{view.name}{'_checked' if checked else ''}")


class PlacedType(types.Type):
    """The tables of a group, by the address of their entries in the world record."""

    def __init__(self, group, checked):
        self.group, self.checked = group, checked
        super().__init__(f"placed_{BundleType(group, checked).name}")


for _kind in (ViewType, PlacedType):
    register_model(_kind)(AddressModel)


@type_callable(raw.address_of)
def _address_type(context):
    return lambda view: signature(types.uint64, view) if isinstance(view, ViewType) else None


@lower_builtin(raw.address_of, ViewType)
def _address_of(context, b, sig, args):
    return args[0]


@infer_getattr
class ViewParts(AttributeTemplate):
    key = ViewType

    def generic_resolve(self, kind, attr):
        if attr not in kind.parts:
            return None
        found = kind.parts[attr][0]
        return PlacedType(found.group, kind.checked) if isinstance(found, BundleType) else found


@infer_getattr
class PlacedParts(AttributeTemplate):
    key = PlacedType

    def generic_resolve(self, kind, attr):
        layout = kind.group.layouts.get(attr)
        return None if layout is None else TableType(layout, kind.checked)


def _table(context, b, kind, at):
    proxy = cgutils.create_struct_proxy(kind)(context, b)
    proxy.base = load(b, at, I64, "world", 8)
    proxy.count = load(b, b.add(at, I64(8)), I64, "world", 8)
    return proxy._getvalue()


def _entry(b, kind, world, attr):
    """Where the entries of a region stand in the world record."""
    found, number = kind.parts[attr]
    at = b.add(world, I64(16 * number))
    if attr not in kind.view.copies:
        return found, at
    other, (region, part, field) = kind.view.copies[attr]
    bundle, first = kind.parts[region]
    tables = list(bundle.group.layouts)
    layout = bundle.group.layouts[part]
    base = load(b, b.add(world, I64(16 * (first + tables.index(part)))), I64, "world", 8)
    which = read_field(b, b.add(base, I64(layout.offsets[field])), layout.fields[field][0], layout.name)
    apart = I64(16 * (kind.parts[other][1] - number))
    return found, b.select(b.icmp_unsigned("!=", which, ir.Constant(I64, 0)), b.add(at, apart), at)


@lower_getattr_generic(ViewType)
def _get_region(context, b, kind, world, attr):
    found, at = _entry(b, kind, world, attr)
    if isinstance(found, MemoryType):
        return load(b, at, I64, "world", 8)
    return at if isinstance(found, BundleType) else _table(context, b, found, at)


@lower_getattr_generic(PlacedType)
def _get_placed(context, b, kind, at, attr):
    layouts = kind.group.layouts
    return _table(context, b, TableType(layouts[attr], kind.checked), b.add(at, I64(16 * list(layouts).index(attr))))
