"""One rule as a line of text: its settings, its match, its actions.

What `add-flow`, `mod-flows`, `del-flows` and `dump-flows` take. The words of the match are read in `match.py`, those of
the actions in `actions.py`; here stand the settings that belong to the rule itself.
"""
import re
from dataclasses import dataclass, field

from lab.openflow import values
from lab.openflow.actions import ACTIONS, PLAIN, parse_actions
from lab.openflow.fields import KNOWN
from lab.openflow.match import Match, match_of
from lab.openflow.rule import DEFAULT_PRIORITY
from lab.openflow.text import as_text

_ACTIONS = re.compile(r"(?:^|(?<=[\s,]))(?P<word>actions?)\s*=")
SETTINGS = ("priority", "cookie", "table", "idle_timeout", "hard_timeout", "importance", "out_port")
ADD, MODIFY, FIND = "add", "modify", "find"  # what a line is for
FLAGS = ("send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts")
OF_DUMPS = ("duration", "n_packets", "n_bytes", "idle_age", "hard_age")  # what dump-flows prints may be added again


@dataclass
class RuleText:
    """What a line says of a rule; `priority` is None when it says nothing, `actions` as well."""

    match: Match = field(default_factory=Match)
    priority: int | None = None
    cookie: int = 0
    cookie_mask: int | None = None
    out_port: int | None = None
    actions: list | None = None


def parse_rule(text, ports=None, kind=ADD, *, strict=True):
    """Read a line that adds a rule, changes rules or finds some; `strict` says that its priority means something."""
    text, ports = as_text(text), ports or {}
    found, rule = _ACTIONS.search(text.text), RuleText()
    if found and kind == FIND:
        raise text.error("no actions are asked for here", found["word"], found.start("word"))
    head = text.part(0, found.start()) if found else text
    all_words, words = head.words(), []
    for word in all_words:
        if word.name in SETTINGS:
            _set(rule, word, head, (kind, ports))
        elif word.name in FLAGS:
            raise head.error(f"{word.name} is not built yet", word.name, word.at)
        elif word.name not in OF_DUMPS:
            words.append(_known(word, head))
    if rule.priority is not None and not strict:
        word = next(word for word in all_words if word.name == "priority")
        raise head.error("a priority is asked for only with --strict", word.name, word.at)
    rule.match = match_of(words, head, ports)
    if kind != FIND and found is None:
        last = head.text.rstrip(", ").rpartition(" ")[2]
        raise text.error("a rule needs actions: add actions=drop, or what else to do", last, head.text.rfind(last))
    if found:
        rule.actions = parse_actions(text.part(found.end(), len(text.text)), ports, rule.match)
    return rule


def _known(word, text):
    """The word, if it may be one of a match."""
    if word.name in KNOWN:
        return word
    if word.name.strip('"').lower() in ("output", "drop", "normal", *PLAIN, *ACTIONS):
        raise text.error(f"{word.name!r} is an action: write actions= before it", word.name, word.at)
    raise text.error(f"unknown field {word.name!r}", word.name, word.at, (*KNOWN, *SETTINGS, *FLAGS, "actions"))


def _set(rule, word, text, context):
    """Read one setting into the rule."""
    kind, ports = context
    if not word.value:
        raise text.error(f"{word.name} needs a value", word.name, word.at)
    try:
        if word.name == "priority":
            rule.priority = values.number(word.value, 16)
        elif word.name == "cookie":
            rule.cookie, rule.cookie_mask = _cookie(word.value, kind)
        elif word.name == "out_port":
            rule.out_port = ports[word.value] if word.value in ports else values.number(word.value, 16)
        elif values.number(word.value, 16) != 0:
            raise ValueError("only 0 is built yet")
    except ValueError as error:
        raise text.error(f"{word.name}: {error}", word.value, word.value_at) from None


def _cookie(text, kind):
    """(cookie, its mask or None): a rule is given a cookie without a mask and found with one, of which -1 is all."""
    value, slash, mask = text.partition("/")
    if slash and kind == ADD:
        raise ValueError("a rule is given a whole cookie, without a mask")
    if not slash and kind != ADD:
        raise ValueError(f"rules are found by cookie={value}/-1")
    return values.number(value, 64), ((1 << 64) - 1 if mask == "-1" else values.number(mask, 64)) if slash else None


def which_of(rule, strict=False):
    """The keywords of `RuleTable.find`, `delete` and `modify` for what a line asks for."""
    which = {"match": rule.match, "strict": strict, "out_port": rule.out_port}
    if strict:
        which["priority"] = DEFAULT_PRIORITY if rule.priority is None else rule.priority
    if rule.cookie_mask is not None:
        which["cookie"] = rule.cookie, rule.cookie_mask
    return which
