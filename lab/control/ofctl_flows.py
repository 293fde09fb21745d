"""`sw.ofctl(...)`: the commands on rules, in the words of ovs-ofctl.

A command takes what the tool takes, with or without the bridge's name, and returns what it prints, without the header of
the reply. The rules themselves are kept by `lab.openflow.table`.
"""
from pathlib import Path

from lab.control.line import joined
from lab.control.ofctl_tool import namer, numbers, ofctl
from lab.openflow.errors import CommandError
from lab.openflow.fields import BY_NAME
from lab.openflow.rule import DEFAULT_PRIORITY, rule_words
from lab.openflow.rule_text import ADD, FIND, MODIFY, parse_rule, which_of
from lab.openflow.text import Text

IN_A_FILE = ("add", "modify", "modify_strict", "delete", "delete_strict")
WHOLE = {"priority": lambda rule: rule.priority, "cookie": lambda rule: rule.cookie, "n_packets": lambda rule: rule.n_packets,
         "n_bytes": lambda rule: rule.n_bytes, "duration": lambda rule: rule.duration}


def rule_line(call, kind):
    """The rule that the rest of the line describes."""
    text = joined(call.words) if call.words else call.verb.part(0, 0)
    if kind != FIND and not call.words:
        raise call.error(f"{call.verb.text} needs a rule, such as {call.verb.text} priority=10,tcp actions=flood")
    return parse_rule(text, numbers(call.sw), kind, strict=kind == ADD or "--strict" in call.options)


@ofctl.command("add-flow", "RULE")
def add_flow(call):
    """Add a rule, or replace the one with its match and priority."""
    _carry_out(call.sw.rules, ADD, rule_line(call, ADD))


@ofctl.command("mod-flows", "[--strict] RULE")
def mod_flows(call):
    """Give other actions to the rules that a match covers."""
    rule = rule_line(call, MODIFY)
    _carry_out(call.sw.rules, "modify_strict" if "--strict" in call.options else "modify", rule)


@ofctl.command("del-flows", "[--strict] [MATCH]")
def del_flows(call):
    """Delete the rules that a match covers, all without one."""
    rule = rule_line(call, FIND)
    _carry_out(call.sw.rules, "delete_strict" if "--strict" in call.options else "delete", rule)


@ofctl.command("add-flows", "FILE")
def add_flows(call):
    """Add the rules of a file, a line each; one bad line and nothing is added."""
    word = call.one("a file of rules")
    try:
        lines = Path(word.text).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise call.error(f"{word.text} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}", word) from None
    ports = numbers(call.sw)
    with call.sw.rules.change():
        for n, line in enumerate(lines, 1):
            try:
                _one_line(call.sw.rules, line.partition("#")[0].rstrip(), ports)
            except CommandError as error:
                where = f"{word.text} line {n}: {error.problem}"
                raise CommandError(where, line, error.word, error.position, error.suggestion) from None


def _one_line(rules, line, ports):
    if not line.strip():
        return
    start = len(line) - len(line.lstrip())
    first = line.split()[0]
    what, at = (first, start + len(first)) if first in IN_A_FILE else (ADD, start)
    kind = FIND if what.startswith("delete") else MODIFY if what.startswith("modify") else ADD
    _carry_out(rules, what, parse_rule(Text(line).part(at, len(line)), ports, kind, strict=kind == ADD or what.endswith("strict")))


def _carry_out(rules, what, rule):
    """Do what a line says, to the table."""
    if what == ADD:
        rules.add(DEFAULT_PRIORITY if rule.priority is None else rule.priority, rule.match, rule.actions, rule.cookie)
    elif what.startswith("modify"):
        rules.modify(rule.actions, **which_of(rule, what.endswith("strict")))
    else:
        rules.delete(**which_of(rule, what.endswith("strict")))


@ofctl.command("dump-flows", "[--no-stats] [--no-names] [--sort[=FIELD]] [MATCH]")
def dump_flows(call):
    """Print the rules, the highest priority first."""
    rules, name = call.sw.rules, namer(call)
    found = _sorted(call, rules.find(**which_of(rule_line(call, FIND), "--strict" in call.options)))
    packets, n_bytes, _ = rules.tally()
    lines = []
    for rule in found:
        cookie = f"cookie=0x{rule.cookie:x}, "
        if "--no-stats" in call.options:
            stats = cookie if rule.cookie else ""
        else:
            stats = f"{cookie}duration={seconds(rule.duration)}, table=0, n_packets={packets[rule.index]}, n_bytes={n_bytes[rule.index]}, "
        lines.append(f" {stats}{rule.show(name)}")
    return "\n".join(lines)


def seconds(value):
    """A duration as OVS prints it, to the millisecond."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def _sorted(call, rules):
    name = next((option for option in ("--sort", "--rsort") if option in call.options), None)
    if name is None:
        return rules
    word = call.options[name]
    key = word.text if word else "priority"
    if key in WHOLE:
        return sorted(rules, key=WHOLE[key], reverse=name == "--rsort")
    if key not in BY_NAME:
        raise call.error(f"rules have no field {key!r} to sort by", word, (*WHOLE, *BY_NAME))
    row = BY_NAME[key]
    have = [rule for rule in rules if rule.asks(row) is not None]
    rest = [rule for rule in rules if rule.asks(row) is None]
    return sorted(have, key=lambda rule: rule.asks(row), reverse=name == "--rsort") + rest


@ofctl.command("dump-aggregate", "[MATCH]")
def dump_aggregate(call):
    """Print the sums over the rules that a match covers."""
    found = call.sw.rules.find(**which_of(rule_line(call, FIND)))
    packets, n_bytes, _ = call.sw.rules.tally()
    return (f"packet_count={sum(int(packets[rule.index]) for rule in found)} byte_count={sum(int(n_bytes[rule.index]) for rule in found)} "
            f"flow_count={len(found)}")


@ofctl.command("parse-flow", "RULE")
def parse_flow(call):
    """Print a rule as it is understood; nothing is added."""
    rule = rule_line(call, ADD)
    name = namer(call)
    return rule_words(DEFAULT_PRIORITY if rule.priority is None else rule.priority, rule.match, rule.actions, name)
