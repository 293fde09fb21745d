"""Actions that add, remove or age headers: VLAN tags, MPLS labels, TTLs. They change what is proven of the packet."""
from lab.openflow.acts.context import Act
from lab.openflow.acts.value import Fact, Spelling
from lab.openflow.matching import values
from lab.translate import ofact as of

TAGS, LABELS = (0x8100, 0x88A8), (0x8847, 0x8848)


def push_vlan(word, context):
    """`push_vlan:TYPE`."""
    kind = kind_of(word, context, TAGS, "tag")
    context.proves(tag=True)
    return Act((Fact(of.O_PUSH_VLAN, n=kind),), (f"push_vlan:0x{kind:04x}",))


def pop_vlan(word, context):
    """`pop_vlan` or `strip_vlan`."""
    context.no_value(word)
    context.proves(tag=False)
    return Act((Fact(of.O_POP_VLAN),), (Spelling("strip_vlan", "pop_vlan", "pop_vlan"),))


def push_mpls(word, context):
    """`push_mpls:TYPE`."""
    kind = kind_of(word, context, LABELS, "label")
    context.covers(kind)
    return Act((Fact(of.O_PUSH_MPLS, n=kind),), (f"push_mpls:0x{kind:04x}",))


def pop_mpls(word, context):
    """`pop_mpls:TYPE`: the type is that of what lies below."""
    kind = context.number(word, 16)
    context.covers(kind)
    return Act((Fact(of.O_POP_MPLS, n=kind),), (f"pop_mpls:0x{kind:04x}",))


def kind_of(word, context, kinds, what):
    """An Ethernet type that a header may have."""
    kind = context.number(word, 16)
    if kind not in kinds:
        first, second = (f"0x{kind:04x}" for kind in kinds)
        raise context.wrong(word, f"{word.value} is no {what}'s Ethernet type: {first} or {second}")
    return kind


def dec_ttl(word, context):
    """`dec_ttl` and `dec_ttl(ID,...)`: the controllers that are told when it is over."""
    if not word.value:
        return Act((Fact(of.O_DEC_TTL),), ("dec_ttl",))
    text, ids, at = word.value, [], word.value_at
    for part in text.split(","):
        try:
            ids.append(values.number(part.strip(), 16))
        except ValueError as error:
            raise context.text.error(f"dec_ttl: {error}", part, at) from None
        at += len(part) + 1
    return Act((Fact(of.O_DEC_TTL, v0=ids[0]),), (f"dec_ttl({','.join(map(str, ids))})",))


def dec_mpls_ttl(word, context):
    """`dec_mpls_ttl`."""
    context.no_value(word)
    return Act((Fact(of.O_DEC_MPLS_TTL),), ("dec_mpls_ttl",))


ACTIONS = {"push_vlan": push_vlan, "push_mpls": push_mpls, "pop_mpls": pop_mpls, "dec_ttl": dec_ttl}
PLAIN = {"pop_vlan": pop_vlan, "strip_vlan": pop_vlan, "dec_mpls_ttl": dec_mpls_ttl}
