"""Which protocol a match proves, and what a field needs before it may be asked for or written.

A match is two ints here, mask and value over the wide key; sequences of key words are taken as well. `match.py` asks
for every field that a person names, the parser of actions for every field that is written.
"""
from lab.flow.key import FRAG_LATER
from lab.openflow.matching.fields import BY_NAME, PORTS, SHORTHANDS, wide_of

FULL_TYPE, FULL_PROTO = 0xFFFF, 0xFF
_TYPE, _PROTO = BY_NAME["dl_type"], BY_NAME["nw_proto"]
_KIND = _TYPE.spread(FULL_TYPE) | _PROTO.spread(FULL_PROTO)
LATER = BY_NAME["nw_frag"].spread(FRAG_LATER)
_HEADERS = frozenset(PORTS)  # what only a first fragment has
_MOST = 4096
_held: dict[tuple[int, int], frozenset] = {}  # a memo


def bits_of(name):
    """(mask, value) of a shorthand."""
    kind, proto = SHORTHANDS[name]
    mask = value = 0
    if kind is not None:
        mask, value = _TYPE.spread(FULL_TYPE), _TYPE.spread(kind)
    if proto is not None:
        mask, value = mask | _PROTO.spread(FULL_PROTO), value | _PROTO.spread(proto)
    return mask, value


def shorthands(mask, value):
    """The shorthands that hold for every packet of a match."""
    key = wide_of(mask) & _KIND, wide_of(value) & _KIND
    found = _held.get(key)
    if found is None:
        rows = {name: bits_of(name) for name, (kind, _) in SHORTHANDS.items() if kind is not None}
        found = frozenset(name for name, (bits, wanted) in rows.items() if key[0] & bits == bits and (key[1] ^ wanted) & bits == 0)
        if len(_held) >= _MOST:
            _held.clear()
        _held[key] = found
    return found


def missing(row, mask, value, needs=None):
    """What a field lacks in a match, in words; empty when nothing. `needs` are other shorthands than the row's."""
    needs = row.needs if needs is None else needs
    mask, value = wide_of(mask), wide_of(value)
    if needs and shorthands(mask, value).isdisjoint(needs):
        *others, last = needs
        return f"one of {', '.join(others)} or {last}" if others else last
    if value & mask & LATER and needs and _HEADERS.issuperset(needs):
        return "nw_frag=not_later"
    if row.kinds:
        kind, code = BY_NAME["icmp_type"], BY_NAME["icmp_code"]
        if kind.gather(mask) != kind.full or kind.gather(value) not in row.kinds:
            return " or ".join(f"icmp_type={number}" for number in row.kinds)
        if code.gather(value) & code.gather(mask):
            return "icmp_code=0"
    return ""
