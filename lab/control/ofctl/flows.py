"""`sw.ofctl(...)`: the commands on rules, in the words of ovs-ofctl.

A command takes what the tool takes, with or without the bridge's name, and returns what it prints, without the header of
the reply. The rules themselves are kept by `lab.openflow.table`; what a version of OpenFlow means is in `rules/orders.py`.
"""
from types import SimpleNamespace

from lab.control.line import joined
from lab.control.ofctl.files import Named, differs, line_of_progress, read_orders, rules_of, uncollected
from lab.control.ofctl.tool import namer, numbers, ofctl, version_of
from lab.openflow.errors import CommandError
from lab.openflow.matching.fields import BY_NAME, field_of
from lab.openflow.matching.needs import missing
from lab.openflow.rules.dump import OF10, OF13, OF14, OF15, compared, dumped, parsed
from lab.openflow.rules.line import parse_rule
from lab.openflow.rules.orders import ADD, DELETE, FIND, KINDS, MODIFY, STRICT, Order, said_of
from lab.translate.records import TABLES

WHOLE = {"priority": lambda rule: rule.priority, "cookie": lambda rule: rule.cookie, "n_packets": lambda rule: rule.n_packets,
         "n_bytes": lambda rule: rule.n_bytes, "duration": lambda rule: rule.duration}


def order_of(call, kind):
    """What the rest of the line orders."""
    if "--strict" in call.options:
        kind = STRICT.get(kind, kind)
    if not call.words and kind in KINDS[:3]:
        raise call.error(f"{call.verb.text} needs a rule, such as {call.verb.text} priority=10,tcp actions=normal")
    if [word.text for word in call.words] == ["-"]:
        raise call.error("there is no standard input here: write what is meant behind the command", call.words[0])
    return parse_rule(joined(call.words) if call.words else call.verb.part(0, 0), numbers(call.sw), kind)


def version_for_change(call):
    """The OpenFlow version that a change speaks: bundles are of 1.4."""
    return max(version_of(call), OF14) if "--bundle" in call.options else version_of(call)


def _do(call, kind):
    """Do what the rest of the line orders; an error that is no word's is the command's."""
    order, version = order_of(call, kind), version_for_change(call)
    try:
        call.sw.rules.carry_out(order, version)
    except CommandError as error:
        raise call.pointed(error) from None


@ofctl.command("add-flow", "RULE")
def add_flow(call):
    """Add a rule, or replace the one with its table, match and priority."""
    _do(call, ADD)


@ofctl.command("mod-flows", "[--strict] RULE")
def mod_flows(call):
    """Give other actions to the rules that a match covers; in OpenFlow 1.0 and 1.1, add one if there is none."""
    _do(call, MODIFY)


@ofctl.command("del-flows", "[--strict] [MATCH]")
def del_flows(call):
    """Delete the rules that a match covers, all without one."""
    _do(call, DELETE)


@ofctl.command("add-flows", "FILE")
def add_flows(call):
    """Do what a file says, a line each: one bad line and nothing is changed."""
    word, version = call.one("a file of rules"), version_for_change(call)
    with line_of_progress("rules") as progress, uncollected():
        orders = read_orders(call, word, numbers(call.sw), progress)
        with call.sw.rules.change():
            for n, line, order in orders:
                with Named(word, n, line):
                    call.sw.rules.carry_out(order, version)


@ofctl.command("replace-flows", "[--readd] FILE")
def replace_flows(call):
    """Make the rules those of a file; rules that are the same in both are left alone, unless --readd."""
    word, version, rules = call.one("a file of rules"), version_for_change(call), call.sw.rules
    with line_of_progress("rules") as progress, uncollected():
        wanted = rules_of(call, word, numbers(call.sw), progress)
        have = {entry.place: entry for entry in rules.entries.values()}
        with rules.change():
            for place, entry in have.items():
                if place not in wanted:
                    rules.carry_out(Order("delete_strict", entry.match, None, entry.priority, entry.table), version)
            for place, (n, line, order) in wanted.items():
                if "--readd" in call.options or place not in have or differs(have[place], order):
                    with Named(word, n, line):
                        rules.carry_out(order, version)


@ofctl.command("diff-flows", "FILE | FILE FILE")
def diff_flows(call):
    """Print how two sets of rules differ, each the switch's or a file's: `-` is only in the first, `+` only in the second."""
    call.at_most(2)
    if not call.words:
        raise call.error("diff-flows needs a file of rules, or two of them")
    words = call.words if len(call.words) == 2 else [None, *call.words]
    first, second = (_side(call, word) for word in words)
    lines = []
    for place in sorted({*first, *second}, key=lambda place: (place[0], -place[1], place[2:])):
        if place in first and place in second and not differs(first[place], second[place]):
            continue
        lines += [f"{sign}{compared(side[place], namer(call))}" for sign, side in (("-", first), ("+", second)) if place in side]
    return "\n".join(lines)


def _side(call, word):
    """One side of a comparison: {place: what a rule says there}."""
    if word is None or word.text == call.sw.name:
        return {entry.place: entry for entry in call.sw.rules.entries.values()}
    names = ("priority", "match", "actions", "cookie", "table", "idle_timeout", "hard_timeout", "importance")
    with line_of_progress("rules") as progress:
        found = rules_of(call, word, numbers(call.sw), progress)
    return {place: SimpleNamespace(**dict(zip(names, said_of(order, 0)[:8], strict=True))) for place, (_, _, order) in found.items()}


@ofctl.command("dump-flows", "[--no-stats] [--no-names] [--sort[=FIELD]] [--rsort[=FIELD]] [MATCH]")
def dump_flows(call):
    """Print the rules, table by table, the highest priority first."""
    rules, name, version = call.sw.rules, namer(call), version_of(call)
    sort = next((option for option in ("--sort", "--rsort") if option in call.options), None)
    found = _sorted(call, [rules[entry.number] for entry in rules.chosen(order_of(call, FIND).which)], sort)
    plain = version == OF10 and name is None and sort is None  # ages are an extension that the tool asks for only then
    how = version, name, plain or version == OF15
    if "--no-stats" in call.options:
        return "\n".join(dumped(rule.entry, None, None, how) for rule in found)
    packets, n_bytes, used = rules.tally() if found else ((), (), ())
    now, lines = rules.clock(), []
    for rule in found:
        entry, i = rule.entry, rule.index
        last = max(int(used[i]), entry.created)
        ages = [max(0, now - moment) / 1e6 for moment in (entry.created, last, entry.modified)]
        lines.append(dumped(entry, (packets[i], n_bytes[i]), (ages[0], int(ages[1]), int(ages[2])), how))
    return "\n".join(lines)


def _sorted(call, rules, option):
    if option is None:
        return rules
    word, falling = call.options[option], option == "--rsort"
    key = word.text if word else "priority"
    if key in WHOLE:
        return sorted(rules, key=WHOLE[key], reverse=falling)
    row = field_of(key)
    if row is None:
        raise call.error(f"rules have no field {key!r} to sort by", word, (*WHOLE, *BY_NAME))
    asked = {rule.number: _asks(rule.entry.match, row) for rule in rules}
    have = [rule for rule in rules if asked[rule.number] is not None]
    rest = [rule for rule in rules if asked[rule.number] is None]
    return sorted(have, key=lambda rule: asked[rule.number], reverse=falling) + rest


def _asks(match, row):
    """What a match asks of a field, or None."""
    if not row.gather(match.mask) & row.full or missing(row, match.mask, match.value):
        return None
    return row.gather(match.value) & row.full


@ofctl.command("dump-aggregate", "[MATCH]")
def dump_aggregate(call):
    """Print the sums over the rules that a match covers."""
    found = [entry.index for entry in call.sw.rules.chosen(order_of(call, FIND).which)]
    packets, n_bytes, _ = call.sw.rules.tally()
    return f"packet_count={packets[found].sum()} byte_count={n_bytes[found].sum()} flow_count={len(found)}"


@ofctl.command("dump-tables")
def dump_tables(call):
    """Print what the tables have and what was asked of them; tables that are alike are told once."""
    call.at_most(0)
    rules, old = call.sw.rules, version_of(call) < OF13
    lookups, matched = rules.table_tally()
    active = [0] * TABLES
    for entry in rules.entries.values():
        active[entry.table] += 1
    said = [f"    active={active[n]}, lookup={lookups[n]}, matched={matched[n]}" for n in range(TABLES)]
    features = [f"    max_entries={rules.limit}", "    matching:",
                "      exact match or wildcard: in_port eth_{src,dst,type} vlan_{vid,pcp} ip_{src,dst} nw_{proto,tos} tcp_{src,dst}"]
    blocks, n = [], 0
    while n < TABLES:
        last = n
        while last + 1 < TABLES and n and said[last + 1] == said[n - 1] == said[n]:
            last += 1
        if n and said[n] == said[n - 1]:
            blocks.append(f"  table{f's {n}...{last}' if last > n else f' {n}'}: ditto")
        else:
            blocks.append("\n".join([f"  table {n}:", said[n], *((features if n == 0 else ["    (same features)"]) if old else [])]))
        n = last + 1
    return "\n\n".join(blocks)


@ofctl.command("parse-flow", "RULE")
def parse_flow(call):
    """Print the message that a rule would be sent in; nothing is added."""
    return parsed(order_of(call, ADD), version_of(call), namer(call))


@ofctl.command("parse-flows", "FILE")
def parse_flows(call):
    """Print the messages that the lines of a file would be sent in; nothing is done."""
    with line_of_progress("rules") as progress:
        orders = read_orders(call, call.one("a file of rules"), numbers(call.sw), progress)
    return "\n".join(parsed(order, version_of(call), namer(call)) for _, _, order in orders)
