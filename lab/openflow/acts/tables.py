"""Actions that lead somewhere else in the tables: resubmit, goto_table, group, meter; and exit and note, which lead nowhere."""
from lab.openflow.acts.context import GOTO, METER, Act
from lab.openflow.acts.outputs import bytes_of
from lab.openflow.acts.ports import read_port, said
from lab.openflow.acts.value import Fact
from lab.openflow.matching import values
from lab.translate import ofact as of
from lab.translate.records import TABLES

MOST_GROUP, MOST_METER = 0xFFFFFF00, 0xFFFF0000
NOTE_FIRST, NOTE_MORE = 6, 8  # a note has 6 bytes, or 8 more, or 16 more ...


def resubmit(word, context):
    """`resubmit:PORT`, `resubmit(PORT,TABLE)`, `resubmit(,TABLE)`."""
    parts = (word.value or "").split(",")
    if len(parts) > 2 and parts[2].strip().lower() == "ct":
        raise context.text.error("resubmit(PORT,TABLE,ct) is not built yet", "ct", word.value_at + word.value.rfind(parts[2].strip()))
    if len(parts) > 2:
        raise context.wrong(word, "it is written resubmit(PORT,TABLE)")
    first = len(parts[0])
    port = read_port(context, context.part(word, 0, first), "resubmit") if parts[0].strip() else of.OFPP_IN_PORT
    table = of.SAME_TABLE
    if len(parts) == 2 and parts[1].strip():
        table = table_of(context, context.part(word, first + 1), word, of.SAME_TABLE)
    if (port, table) == (of.OFPP_IN_PORT, of.SAME_TABLE):
        raise context.text.error("resubmit needs a port or a table: resubmit(,TABLE)", word.value or word.name,
                                 word.value_at if word.value else word.at)
    if table == of.SAME_TABLE:
        pieces = ("resubmit:", said(port))
    else:
        pieces = ("resubmit(", *([said(port)] if port != of.OFPP_IN_PORT else []), f",{table})")
    return Act((Fact(of.O_RESUBMIT, n=port, v0=table),), pieces)


def goto_table(word, context):
    """`goto_table:TABLE`, an instruction."""
    context.value(word)
    table = table_of(context, context.part(word), word, TABLES - 1)
    return Act((Fact(of.O_GOTO, n=table),), (f"goto_table:{table}",), GOTO)


def table_of(context, text, word, most):
    """The number of a table."""
    name = text.text.strip()
    try:
        table = values.number(name, 32)
        if table > most:
            raise ValueError(f"there are tables 0 to {TABLES - 1}")
    except ValueError as error:
        raise text.error(f"{word.name}: {error}", name, text.text.find(name)) from None
    return table


def group(word, context):
    """`group:NUMBER`."""
    number = context.number(word, 32)
    if number > MOST_GROUP:
        raise context.wrong(word, f"groups are numbered from 0 to {MOST_GROUP}")
    return Act((Fact(of.O_GROUP, n=number),), (f"group:{number}",))


def meter(word, context):
    """`meter:NUMBER`, an instruction."""
    number = context.number(word, 32)
    if not 0 < number <= MOST_METER:
        raise context.wrong(word, f"meters are numbered from 1 to {MOST_METER}")
    return Act((Fact(of.O_METER, n=number),), (f"meter:{number}",), METER, in_set=False)


def leave(word, context):
    """`exit`: nothing more is done for this packet, but its action set."""
    context.no_value(word)
    return Act((Fact(of.O_EXIT),), ("exit",), in_set=False)


def note(word, context):
    """`note:HEX`: bytes for whoever reads the rule, filled up with zeros as OpenFlow carries them."""
    data = context.read(word, bytes_of) if word.value else b""
    data = data.ljust(NOTE_FIRST + -(-max(0, len(data) - NOTE_FIRST) // NOTE_MORE) * NOTE_MORE, b"\0")
    return Act((Fact(of.O_NOTE),), (f"note:{data.hex('.')}",), in_set=False)


ACTIONS = {"resubmit": resubmit, "goto_table": goto_table, "group": group, "meter": meter, "note": note}
PLAIN = {"exit": leave}
