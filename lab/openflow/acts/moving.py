"""Actions that carry bits from one place to another: move, push and pop on the stack, and the answer of check_pkt_larger.

Compiled code moves at most 64 bits within one word, so what crosses words becomes several records here.
"""
from itertools import groupby

from lab.openflow.acts.context import Act
from lab.openflow.acts.value import Fact
from lab.openflow.matching import values
from lab.openflow.matching.places import full, spot
from lab.translate import ofact as of


def move(word, context):
    """`move:FIELD[..]->FIELD[..]`."""
    parts = context.split(word)
    if parts is None:
        raise context.text.error("move is written move:FIELD[..]->FIELD[..]", word.value or word.name,
                                 word.value_at if word.value else word.at)
    source, target = context.source(parts[0], word), context.target(parts[1], word)
    if source.bits != target.bits:
        problem = f"move: from {source.bits} bit{'s' * (source.bits > 1)} to {target.bits}: both sides have as many"
        raise context.text.error(problem, word.value, word.value_at)
    return Act(tuple(moves(source, target)), (f"move:{source}->{target}",))


def moves(source, target):
    """The records of a move, in an order in which none reads what another has written."""
    def kind(bit):
        into, out_of = target.first + bit, source.first + bit
        means = (full(target.row) >> into & 1, full(source.row) >> out_of & 1)
        return means, spot(target.row, into)[0], spot(source.row, out_of)[0]

    def piece(run):
        ((there, read), word, from_word), bits = run
        low, from_low = spot(target.row, target.first + bits[0])[1], spot(source.row, source.first + bits[0])[1]
        if not there:
            return None
        if read:
            return Fact(of.O_MOVE, target.code, 0, word, low, len(bits), from_word, from_low)
        return Fact(of.O_SET, target.code, 0, word, low, len(bits), m0=(1 << len(bits)) - 1 << low)  # reads as zero
    runs = [(key, list(bits)) for key, bits in groupby(range(source.bits), kind)]
    upwards = (-target.word, target.low) > (-source.word, source.low)  # later words hold lower bits
    return filter(None, map(piece, reversed(runs) if upwards else runs))


def push(word, context):
    """`push:FIELD[..]`: onto the stack."""
    context.value(word)
    place = context.source(context.part(word), word)
    records = [Fact(of.O_STACK_PUSH, bits=bits, src_word=at, src_low=low) for at, low, bits in reversed(place.parts())]
    return Act(tuple(records), (f"push:{place}",), in_set=False)


def pop(word, context):
    """`pop:FIELD[..]`: from the stack."""
    context.value(word)
    place = context.target(context.part(word), word)
    records = [Fact(of.O_STACK_POP, place.code, 0, at, low, bits) for at, low, bits in place.parts()]
    return Act(tuple(records), (f"pop:{place}",), in_set=False)


def check_larger(word, context):
    """`check_pkt_larger(LENGTH)->FIELD[BIT]`: a bit tells whether the packet is longer."""
    parts = context.split(word)
    if parts is None:
        raise context.text.error("it is written check_pkt_larger(LENGTH)->FIELD[BIT]", word.name, word.at)
    length_text, place_text = parts
    shown = length_text.text.removeprefix("(").removesuffix(")")
    try:
        length = values.number(shown, 16)
    except ValueError as error:
        raise length_text.error(f"check_pkt_larger: {error}", shown, length_text.text.find(shown)) from None
    place = context.target(place_text, word)
    if place.bits != 1:
        raise place_text.error("the answer is one bit: name one, such as reg0[0]", place_text.text, 0)
    fact = Fact(of.O_CHECK_LARGER, place.code, length, place.word, place.low, 1)
    return Act((fact,), (f"check_pkt_larger({length})->{place}",), in_set=False)


ACTIONS = {"move": move, "push": push, "pop": pop, "check_pkt_larger": check_larger}
