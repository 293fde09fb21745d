"""From the text behind `actions=` to `Actions`: a word at a time, then the order of instructions.

Each kind of action is read by a function of its own (`outputs.py`, `setting.py` and so on). What has been read once
is remembered, since files of rules say the same few things again and again.
"""
from lab.openflow.acts import headers, moving, outputs, setting, tables
from lab.openflow.acts.context import APPLY, CLEAR, METER, WRITE, Act, Asked, Context
from lab.openflow.acts.ports import WORDS, port_of
from lab.openflow.acts.proof import proof_of
from lab.openflow.acts.value import Actions, Fact
from lab.openflow.errors import nearest
from lab.openflow.matching.fields import BY_NAME
from lab.openflow.text import as_text
from lab.translate import ofact as of

NAMED = ("meter", "output", "clear_actions", "write_actions", "write_metadata", "goto_table")  # the kinds of instruction, by number
NOT_BUILT = {
    **dict.fromkeys((
        "sample", "learn", "multipath", "bundle", "bundle_load", "ct", "ct_clear", "nat", "conjunction", "fin_timeout", "encap", "decap",
        "dec_nsh_ttl", "delete_field", "debug_recirc", "debug_slow"), ""),
}
DEEPEST = 64  # clones within clones
MOST_REMEMBERED, MOST_PROOFS = 4096, 64
_NOTHING: tuple = ({}, False, {})
_remembered: dict = {}  # (text, where): (names of ports asked for, whether the match mattered, {proof: Actions})


def parse_actions(text, ports=None, match=None, *, where="rule"):
    """The Actions of a text such as `mod_vlan_vid:7,output:vm2`.

    `ports` maps names to numbers. With a match, every field that is written or read has to be proven there. `where` is
    "rule", "bucket" or "packet-out": the latter two take no instructions.

    >>> parse_actions("vm2,goto_table:3", {"vm2": 2})
    <actions output:2,goto_table:3>
    """
    text, ports = as_text(text), ports or {}
    names, matters, made = _remembered.get((text.text, where), _NOTHING)
    proof = proof_of(match) if matters else None
    if proof in made and all(ports.get(name) == number for name, number in names.items()):
        return made[proof]
    asked = Asked(ports, match)
    acts = read_list(Context(text, asked, where))
    actions = Actions((record for act in acts for record in act.records), joined(acts),
                      (name for name, number in asked.names.items() if number is not None))
    if not asked.proof:
        made = {None: actions}
    else:
        proof = proof if matters else proof_of(match)
        made = {**made, proof: actions} if matters and names == asked.names and len(made) < MOST_PROOFS else {proof: actions}
    if len(_remembered) >= MOST_REMEMBERED:
        del _remembered[next(iter(_remembered))]
    _remembered[text.text, where] = asked.names, asked.proof, made
    return actions


def joined(acts):
    """The pieces of text of a list."""
    pieces = []
    for act in acts:
        if act.said:
            pieces += ",", *act.said
    return pieces[1:]


def read_list(context):
    """The acts of a list, in a legal order."""
    words = context.text.words()
    acts, stage = [], METER
    for first, word in enumerate(words):
        act = read_word(word, context)
        if act is not None:
            stage = check_order(word, act, None if first == 0 else stage, context)
            acts.append(act)
    drop = next((word for word in words if word.name.lower() == "drop"), None)
    if drop is not None and any(word.name.lower() != "drop" for word in words):
        raise context.text.error("drop stands alone: it does what no other action does", drop.name, drop.at)
    return acts


def check_order(word, act, stage, context):
    """Refuse an action that may not stand here; which instruction is under way."""
    text, inside = context.text, context.inside
    if stage is not None and act.stage == stage != APPLY:
        raise text.error(f"a rule has one {NAMED[stage]} at most", word.name, word.at)
    if stage is not None and act.stage < stage:
        what = word.name if act.stage == APPLY else NAMED[act.stage]
        raise text.error(f"{what} comes before {NAMED[stage]}: the order is meter, actions, clear_actions, write_actions, "
                         "write_metadata, goto_table", word.name, word.at)
    if inside != "rule" and act.stage > APPLY:
        raise text.error(f"{NAMED[act.stage]} is an instruction: it stands in a rule, not in a {inside}", word.name, word.at)
    if inside in ("clone", "write_actions") and act.stage == METER:
        raise text.error(f"a meter stands before all actions, not in {inside}", word.name, word.at)
    if inside == "write_actions" and not act.in_set:
        raise text.error(f"{word.name} has no place in an action set", word.name, word.at)
    return act.stage


def read_word(word, context):
    """The act of one word; None for drop."""
    name = word.name.lower()
    if name in READERS:
        return READERS[name](word, context)
    if name in PLAIN:
        context.no_value(word)
        return PLAIN[name](word, context)
    if name == "drop":
        context.no_value(word)
        return None
    if name in NOT_BUILT:
        raise context.text.error(f"{word.name} is not built yet", word.name, word.at)
    if name == "apply_actions":
        raise context.text.error("the actions of a rule are written as they are, without apply_actions", word.name, word.at)
    if word.value is None:
        return bare_port(word, context)
    raise unknown(word, context)


def bare_port(word, context):
    """The act of a port's name or number alone."""
    text = context.text.part(word.at, word.at + len(word.name))
    try:
        number = port_of(text, context.asked)
    except ValueError as error:
        raise text.error(f"output: {error}", word.name, 0) from None
    if number is None:
        raise unknown(word, context)
    return outputs.to_port(number)


def unknown(word, context):
    """The error for a word that is no action."""
    text = context.text
    if word.name in BY_NAME and word.value is not None:
        return text.error(f"{word.name} is a field to match: write it before actions=", word.name, word.at)
    if word.name in BY_NAME:
        return text.error(f"{word.name} is a field, no action", word.name, word.at)
    choices = (*KNOWN, *NOT_BUILT, *context.asked.ports)
    known = "" if nearest(word.name, choices) else f": there are {', '.join(KNOWN)} and the names of ports"
    return text.error(f"unknown action {word.name!r}{known}", word.name, word.at, choices)


# --- actions with a body ------------------------------------------------------------------------


def body(word, context):
    """The acts inside an action's parentheses."""
    if word.value is None or not context.in_brackets(word):
        raise context.text.error(f"{word.name} needs its actions in parentheses: {word.name}(output:1)", word.name, word.at)
    if context.depth >= DEEPEST:
        raise context.text.error(f"actions lie in one another at most {DEEPEST} deep", word.name, word.at)
    return read_list(context.within(word, word.name.lower()))


def clone(word, context):
    """`clone(ACTIONS)`: on a copy of the packet, which is then gone."""
    acts = body(word, context)
    records = [record for act in acts for record in act.records]
    return Act((Fact(of.O_CLONE, n=len(records)), *records), ("clone(", *(joined(acts) or ["drop"]), ")"), in_set=False)


def write_actions(word, context):
    """`write_actions(ACTIONS)`, an instruction: into the action set. None of them are as if it were not there."""
    acts = body(word, context)
    records = [record for act in acts for record in act.records]
    if not records:
        return Act((), (), WRITE)
    return Act((Fact(of.O_WRITE_ACTIONS, n=len(records)), *records), ("write_actions(", *joined(acts), ")"), WRITE)


def clear_actions(word, context):
    """`clear_actions`, an instruction."""
    return Act((Fact(of.O_CLEAR_ACTIONS),), ("clear_actions",), CLEAR)


READERS = {
    **outputs.ACTIONS, **setting.ACTIONS, **moving.ACTIONS, **headers.ACTIONS, **tables.ACTIONS, "clone": clone,
    "write_actions": write_actions,
}
PLAIN = {
    **{name: outputs.to_word for name in WORDS if name not in READERS},
    **outputs.PLAIN, **headers.PLAIN, **tables.PLAIN, "clear_actions": clear_actions,
}
KNOWN = ("output", "drop", "set_field", *(name for name in (*PLAIN, *READERS) if name not in ("output", "set_field")))
