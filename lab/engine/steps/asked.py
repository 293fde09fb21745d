"""Who asked for each bit of a megaflow's mask, as the frame has it: fields of the key with their cells, and the causes.

A ledger (told by the switch's oracle) in, plain data out. Fields that are bytes of the packet come in its order and know where
they lie; what is no byte of it (in_port, registers, a tag that is not there) follows by name. Asking the tables costs
milliseconds where there is no machine code, so the answer for a megaflow is kept until the rules or the megaflow change.
"""

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from lab.engine.steps.tree import of_key, tunnels
from lab.flow.key import FIELDS, WORDS, get
from lab.translate import ledger as kinds

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
HATCHES = 8  # that can be told apart without colour; then they begin again, and only the letters differ
REMEMBERED = 256
SINCE = "asked for when the megaflow was made; the tables have changed since and would not ask for it now"
KINDS = {
    kinds.L_ALWAYS: "always",
    kinds.L_TABLE: "lookup",
    kinds.L_SUBTABLE: "lookup",
    kinds.L_TREE: "tree",
    kinds.L_ACTION: "action",
    kinds.L_NORMAL: "NORMAL",
    kinds.L_GROUP: "group",
    kinds.L_OUTPUT: "output",
    kinds.L_SET: "action set",
    kinds.L_FREEZE: "recirculation",
    kinds.L_THAW: "recirculation",
}
NO_TABLE = (kinds.L_ALWAYS, kinds.L_OUTPUT, kinds.L_FREEZE, kinds.L_THAW)
# layer: {field that the dissection shows: (field of the key, bits from its first byte on, bits)}
PLACES = {
    "eth": {"dl_dst": ("dl_dst", 0, 48), "dl_src": ("dl_src", 0, 48)},
    "ip": {
        "nw_tos": ("nw_tos", 0, 8),
        "nw_ttl": ("nw_ttl", 0, 8),
        "nw_proto": ("nw_proto", 0, 8),
        "nw_src": ("nw_src", 0, 32),
        "nw_dst": ("nw_dst", 0, 32),
        "frag": ("nw_frag", 0, 2),
    },
    "ip6": {
        "nw_tos": ("nw_tos", 4, 8),
        "ipv6_label": ("ipv6_label", 4, 20),
        "nw_ttl": ("nw_ttl", 0, 8),
        "nw_proto": ("nw_proto", 0, 8),
        "ipv6_src": ("ipv6_src", 0, 128),
        "ipv6_dst": ("ipv6_dst", 0, 128),
    },
    "arp": {
        "arp_op": ("nw_proto", 8, 8),
        "arp_spa": ("nw_src", 0, 32),
        "arp_tpa": ("nw_dst", 0, 32),
        "arp_sha": ("arp_sha", 0, 48),
        "arp_tha": ("arp_tha", 0, 48),
    },
    "icmp": {"icmp_type": ("tp_src", 0, 8), "icmp_code": ("tp_dst", 0, 8)},
    "icmp6": {
        "icmpv6_type": ("tp_src", 0, 8),
        "icmpv6_code": ("tp_dst", 0, 8),
        "nd_target": ("nd_target", 0, 128),
        "nd_sll": ("arp_sha", 0, 48),
        "nd_tll": ("arp_tha", 0, 48),
    },
    "tcp": {"tp_src": ("tp_src", 0, 16), "tp_dst": ("tp_dst", 0, 16), "tcp_flags": ("tcp_flags", 4, 12)},
    "udp": {"tp_src": ("tp_src", 0, 16), "tp_dst": ("tp_dst", 0, 16)},
    "sctp": {"tp_src": ("tp_src", 0, 16), "tp_dst": ("tp_dst", 0, 16)},
}


@dataclass
class _Memory:
    """What a switch's frames need not ask for again."""

    ledgers: dict = field(default_factory=dict)  # megaflow: its ledger
    counts: dict = field(default_factory=dict)  # packet and megaflow: the tags and labels that the packet had when it was looked up
    pictures: dict = field(default_factory=dict)  # megaflow and where its fields lie: rows and causes


_memories: WeakKeyDictionary = WeakKeyDictionary()  # switch: _Memory


def asked_of(switch, step, flow, tree):
    """(rows of the ledger, causes) of the megaflow that a packet was resolved to; nothing without one or inside a stage."""
    if flow is None or step.line is not None:
        return [], []
    memory = _memories.setdefault(switch, _Memory())
    name = _name(switch, step.lane, flow)
    ledger = _kept(memory.ledgers, name, lambda: switch.oracle.consult(flow.first_words, lane=step.lane))
    counts = _kept(memory.counts, (step.shown.serial, step.lane, flow.ufid), lambda: _counts(switch, tree))
    tags, labels, below, deep = counts
    where = places(of_key(tree, len(tunnels(_keys(tree))) - deep), tags, labels, below)
    return _kept(memory.pictures, (name, *where.items()), lambda: drawn(ledger, flow.mask_words, where))


def _name(switch, lane, flow):
    epoch = int(switch.engine.array("config")["epoch"][0])
    return lane, flow.index, flow.ufid, epoch, tuple(flow.mask_words), tuple(flow.action_list)


def _kept(known, name, make):
    if name not in known:
        if len(known) >= REMEMBERED:
            known.clear()
        known[name] = make()
    return known[name]


def _counts(switch, tree):
    """(tags that the key knows, labels, tags below them that it does not know, tunnels) of a packet that has just been looked up."""
    known = _keys(of_key(tree))
    tags = min(known.count("vlan"), int(switch.engine.array("config")["vlan_limit"][0]))
    return tags, known.count("mpls"), known.count("vlan") - tags, len(tunnels(_keys(tree)))


def _keys(tree):
    return [layer["key"] for layer in tree]


def drawn(ledger, mask=None, where=None):
    """(rows, causes) of a ledger: of the bits of `mask` if there is one (a megaflow keeps its own), at the `places` of a packet."""
    told = [(event, _under(event.words, mask)) for event in ledger.events]
    causes, owners = [], []  # owners: (letter, words)
    for number, (event, words) in enumerate(told):
        if any(words):
            owners.append((_cause(causes, event, told[number + 1 : number + 2], words), words))
    left = _unexplained(ledger.mask if mask is None else mask, owners)
    if any(left):
        owners.append((_enter(causes, {"kind": "earlier", "table": None, "rule": None, "text": SINCE}, left), left))
    where = where or {}
    shown = [*sorted(where, key=lambda name: where[name][1]), *(name for name in FIELDS if name not in where)]
    rows = [_row(name, where.get(name), [(key, bits) for key, words in owners if (bits := get(words, name))]) for name in shown]
    return [row for row in rows if row is not None], causes


def _under(words, mask):
    return words if mask is None else tuple(word & bits for word, bits in zip(words, mask, strict=False)) + tuple(words[WORDS:])


def _unexplained(mask, owners):
    left = list(mask)
    for _, words in owners:
        left = [bits & ~word for bits, word in zip(left, words, strict=False)]
    return [*left, *[0] * (len(owners[0][1]) - len(left))] if owners else left


def _cause(causes, event, following, words):
    """The letter of an event's cause; the same words told twice are one cause."""
    kind = KINDS.get(event.kind, "translation")
    after = following[0][0].kind if following else 0
    if event.kind == kinds.L_ACTION and after in (kinds.L_NORMAL, kinds.L_GROUP):
        kind = KINDS[after]
    table = None if event.kind in NO_TABLE else event.table
    return _enter(causes, {"kind": kind, "table": table, "rule": event.rule, "text": event.text}, words)


def _enter(causes, said, words):
    bits = sum(word.bit_count() for word in words)
    same = next((cause for cause in causes if said.items() <= cause.items()), None)
    if same is None:
        n = len(causes)
        key = LETTERS[n % len(LETTERS)] + (str(n // len(LETTERS)) if n >= len(LETTERS) else "")
        same = {"key": key, "hatch": n % HATCHES, **said, "bits": 0}
        causes.append(same)
    same["bits"] += bits
    return same["key"]


def _row(name, place, owners):
    """A field with its cells from the highest bit down, as [how many, letter]; None for one that is not there and that nobody asks for."""
    asked = 0
    for _, bits in owners:
        asked |= bits
    if place is not None and asked >> place[2]:
        place = None  # bits that are not among those of the packet
    if place is None and not asked:
        return None
    label, at, width = place or (name, None, 2 if name == "nw_frag" and asked < 4 else FIELDS[name][2])
    cells: list = []
    for bit in range(width - 1, -1, -1):
        key = next((key for key, bits in owners if bits >> bit & 1), "")
        if cells and cells[-1][1] == key:
            cells[-1][0] += 1
        else:
            cells.append([1, key])
    if at is None:
        return {"field": label, "off": None, "len": 0, "lead": 0, "bits": width, "cells": cells}
    length = 2 if name == "nw_frag" else (at + width + 7) // 8 - at // 8
    return {"field": label, "off": at // 8, "len": length, "lead": at % 8, "bits": width, "cells": cells}


def places(tree, tags=None, labels=None, below=0):
    """{field of the key: (what it is called here, its first bit in the packet, bits)} of a frame's tree.

    `tags` and `labels`: how many the key knows; those that were put on since, outside, are not the key's. `below`: how many tags
    there are that it does not look behind.
    """
    if below:
        tree = tree[: [at for at, layer in enumerate(tree) if layer["key"] == "vlan"][-below]]
    where = {}
    for layer in tree:
        for shown in layer["fields"]:
            name, skip, bits = PLACES.get(layer["key"], {}).get(shown["name"], (None, 0, 0))
            if name is not None and name not in where:
                where[name] = (name if name == "nw_frag" else shown["name"], 8 * shown["off"] + skip, bits)
    for number, layer in _inner(tree, "vlan", tags):
        end = "1" if number else ""
        where[f"vlan_tci{end}"] = (f"vlan_tci{end}", 8 * layer["off"], 16)
        where[f"vlan_tpid{end}"] = (f"vlan_tpid{end}", 8 * (layer["off"] - 2), 16)
    for number, layer in _inner(tree, "mpls", labels):
        where[f"mpls_lse{number}"] = (f"mpls_lse{number}", 8 * layer["off"], 32)
    types = [shown["off"] for layer in tree if layer["key"] in ("eth", "vlan") for shown in layer["fields"] if shown["name"] == "dl_type"]
    if types:
        where["dl_type"] = ("dl_type", 8 * types[-1], 16)
    return where


def _inner(tree, key, count):
    """(number in the key, layer) of the layers of one kind that the key knows: the `count` inner ones."""
    layers = [layer for layer in tree if layer["key"] == key]
    count = len(layers) if count is None else count
    first = len(layers) - count
    return [(at - first, layer) for at, layer in enumerate(layers) if at >= first]
