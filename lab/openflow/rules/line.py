"""One rule as a line of text: its settings, its match, its actions.

What `add-flow`, `mod-flows`, `del-flows` and `dump-flows` take becomes an `Order`. The words of the match are read in
`match.py`, those of the actions in `actions.py`; here stand the settings that belong to the rule itself.
"""
import re

from lab.openflow.actions import parse_actions
from lab.openflow.matching import values
from lab.openflow.matching.fields import KNOWN
from lab.openflow.matching.match import match_of, quick_match, unknown_port
from lab.openflow.rules.dump import FLAGS
from lab.openflow.rules.orders import ADD, ALL_TABLES, DELETE, DELETE_STRICT, FIND, KINDS, MODIFY, MODIFY_STRICT, Order
from lab.openflow.text import as_text
from lab.translate.ofact import O_GOTO

_HEX = re.compile("0x[0-9a-f]{1,16}")
_ACTIONS = re.compile(r"(?:^|(?<=[\s,]))(?P<word>actions?)\s*=")
_PLAIN = re.compile(r"[^()\"']*")  # `quick_match` takes it, and the slow reader finds out what is wrong
SIXTEEN = ("priority", "idle_timeout", "hard_timeout", "importance")
SETTINGS = (*SIXTEEN, "cookie", "table", "out_port", "out_group")
OF_DUMPS = ("duration", "n_packets", "n_bytes", "idle_age", "hard_age")  # what dump-flows prints may be added again
IGNORED = (*OF_DUMPS, "allow_hidden_fields", "no_readonly_table")
ADDS = (ADD, MODIFY, MODIFY_STRICT)
TAKES = {  # settings that mean something only to some orders
    **dict.fromkeys(("idle_timeout", "hard_timeout", *FLAGS), ADDS), "importance": (ADD,), "priority": (*ADDS, DELETE_STRICT),
    **dict.fromkeys(("out_port", "out_group"), (DELETE, DELETE_STRICT, FIND)),
}
PORTS = {"in_port": 0xFFF8, "table": 0xFFF9, "normal": 0xFFFA, "flood": 0xFFFB, "all": 0xFFFC, "controller": 0xFFFD, "local": 0xFFFE}


def parse_rule(text, ports=None, kind=ADD):
    """The Order that a line gives; `kind` is what the command does with rules (see `orders.py`), FIND for reading."""
    text, ports = as_text(text), ports or {}
    found = _ACTIONS.search(text.text)
    if found and kind not in ADDS:
        raise text.error("no actions are asked for here", found["word"], found.start("word"))
    order = Order(kind)
    if not _quick(order, text.text[:found.start()] if found else text.text, ports):
        _read(order, text.part(0, found.start()) if found else text, ports)
    if kind in ADDS and found is None:
        last = text.text.rstrip(", ").rpartition(" ")[2]
        raise text.error("a rule needs actions: add actions=drop, or what else to do", last, text.text.rfind(last))
    if found:
        order.actions = parse_actions(text.part(found.end(), len(text.text)), ports, order.match)
        _check_goto(order, text, found.end())
    return order


def parse_line(line, ports=None, kind=ADD):
    """The Order of a line of a file, which may begin with its kind: `delete tcp`; None for a line that says nothing."""
    said = line.partition("#")[0].rstrip()
    if not said or said.isspace():
        return None
    first = said.split(None, 1)[0]
    if first in KINDS:
        text = as_text(said)
        return parse_rule(text.part(said.index(first) + len(first), len(said)), ports, first)
    return parse_rule(said, ports, kind)


def _quick(order, head, ports):
    """Read plain words; False when anything is unusual, and then nothing counts that was read."""
    if not _PLAIN.fullmatch(head):
        return False
    words = []
    for word in head.replace(",", " ").split():
        name, equals, value = word.partition("=")
        if name in SIXTEEN and equals and value.isdecimal() and (value == "0" or value[0] != "0") and len(value) < 6:
            number = int(value)
            if number > 0xFFFF or order.kind not in TAKES[name]:
                return False
            setattr(order, name, number)
        elif name in FLAGS and not equals and order.kind in ADDS:
            order.flags |= FLAGS[name]
        elif name == "cookie" and order.kind == ADD and _HEX.fullmatch(value):
            order.cookie = int(value, 16)
        elif name == "table" and value.isdecimal() and len(value) < 4 and int(value) < ALL_TABLES:
            order.table = int(value)
        elif name in SETTINGS or name in FLAGS or name in IGNORED:
            return False
        else:
            words.append(word)
    match = quick_match(words, ports)
    order.match = match or order.match
    return match is not None


def _read(order, text, ports):
    """Read any words, and complain of those that are wrong."""
    order.priority, order.table, order.cookie, order.flags = None, None, None, 0
    order.idle_timeout = order.hard_timeout = order.importance = 0
    words = []
    for word in text.words():
        if word.name in TAKES and order.kind not in TAKES[word.name]:
            raise text.error(_misplaced(word.name), word.name, word.at)
        if word.name in SETTINGS:
            _set(order, word, text, ports)
        elif word.name in FLAGS:
            order.flags |= FLAGS[word.name]
        elif word.name not in IGNORED:
            words.append(word)
        elif word.name in OF_DUMPS and not word.value:
            raise text.error(f"{word.name} needs a value", word.name, word.at)
    try:
        order.match = match_of(words, text, ports)
    except ValueError as error:
        raise _better(error, text) from None


def _misplaced(name):
    if name == "priority":
        return "a priority is asked for only with --strict"
    if name in ("out_port", "out_group"):
        return f"{name} finds rules: it has no meaning where they are added or modified"
    return f"{name} is given to a rule, and rules are not found by it"


def _better(error, text):
    """An unknown field that is an action, or nearly a setting, is said to be."""
    name = getattr(error, "word", "")
    if not getattr(error, "problem", "").startswith("unknown field"):
        return error
    at = text.text.find(name)
    if name in ("action", "actions"):
        return text.error(f"{name} needs a value: {name}=drop", name, at)
    if name.strip('"').lower() in ("output", "drop", "normal", "flood", "controller", "resubmit", "goto_table", "strip_vlan"):
        return text.error(f"{name!r} is an action: write actions= before it", name, at)
    return text.error(error.problem, name, at, (*KNOWN, *SETTINGS, *FLAGS, "actions"))


def _set(order, word, text, ports):
    """Read one setting into the order."""
    if not word.value:
        raise text.error(f"{word.name} needs a value", word.name, word.at)
    try:
        if word.name in SIXTEEN:
            setattr(order, word.name, values.number(word.value, 16))
        elif word.name == "cookie":
            _set_cookie(order, word.value)
        elif word.name == "table":
            order.table = _table(word.value, order.kind)
        elif word.name == "out_group":
            order.out_group = values.number(word.value, 32)
        else:
            order.out_port = _port(word.value, ports)
    except LookupError:
        raise unknown_port(text, word.value, word.value_at, ports) from None
    except ValueError as error:
        raise text.error(f"{word.name}: {error}", word.value, word.value_at) from None


def _port(text, ports):
    name = text.strip('"')
    if name in ports:
        return ports[name]
    if name.lower() in PORTS:
        return PORTS[name.lower()]
    if not text[:1].isdigit():
        raise LookupError(name)
    return values.number(text, 16)


def _table(text, kind):
    """A table by number; all of them is 255, and adding to all is no sense."""
    number = values.number(text, 8)
    if number != ALL_TABLES:
        return number
    if kind == ADD:
        raise ValueError("a rule stands in one of the tables 0 to 254")
    return None


def _set_cookie(order, text):
    """A rule is given a cookie without a mask and found with one, of which -1 is all."""
    value, slash, mask = text.partition("/")
    value = _wide(value)
    if slash and order.kind == ADD:
        raise ValueError("a rule is given a whole cookie, without a mask")
    if slash:
        order.has_cookie = value, _wide(mask)
    elif order.kind in ADDS:
        order.cookie = value
    else:
        raise ValueError(f"rules are found by cookie={text}/-1")


def _wide(text):
    """64 bits, of which -1 is all."""
    return (1 << 64) - 1 if text == "-1" else values.number(text, 64)


def _check_goto(order, text, start):
    """A rule sends packets to later tables only; actions that stand alone in a word may go to any."""
    for record in order.actions.records:
        if record[0] == O_GOTO and record[2] <= (order.table or 0):
            at = text.text.find("goto_table", start)
            raise text.error(f"goto_table leads to a later table: this rule stands in table {order.table or 0}", "goto_table", at)
