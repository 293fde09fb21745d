"""All translations of one packet: the first, and one more for each time that it would be parsed again.

Each is a `Ledger` (`ledger.py`). Where only the datapath knows what happens (the hash of a packet, its length) both ways, or
the one that the datapath would take, are asked for. Nothing changes: it is all asked on control's lane.
"""

from dataclasses import dataclass

from lab.control.reading.ledger import Ledger
from lab.control.reading.parsed import hash_of_key
from lab.flow.actions import CHECK_LEN, HASH, POP_MPLS, RECIRC
from lab.flow.key import WORDS, put

MOST = 64  # passes that are followed


@dataclass(frozen=True)
class Pass:
    """One translation: under which recirculation id (0: the first), what is assumed of the packet, its Ledger."""

    number: int
    given: str
    ledger: Ledger


def passes_of(oracle, words, lane=None):
    """The passes of a key, the first first."""
    found, seen = [], set()
    waiting = [(0, "", words, None)]
    while waiting and len(found) < MOST:
        number, given, key, frozen = waiting.pop(0)
        ledger = oracle.consult(key, lane=lane if frozen is None else None, frozen=frozen)
        found.append(Pass(number, given, ledger))
        for then, what, basis in _recirculations(ledger.action_list):
            if then not in seen and then in ledger.frozen:
                seen.add(then)
                waiting.append((then, *_next(ledger, then, what, basis), {**(frozen or {}), **ledger.frozen}))
    return found


def _recirculations(acts):
    """(id, what is known of the packet there, basis of its hash or None) of a list of datapath actions."""
    popped, basis = "", None
    for op, _, arg, v0, v1, *_ in acts:
        if op == POP_MPLS:
            popped = "what lies below the label is unknown to a trace, and taken for zero"
        elif op == HASH:
            basis = arg
        elif op == RECIRC:
            yield arg, popped, basis
        elif op == CHECK_LEN:
            yield int(v0), f"the packet is longer than {arg} B", basis
            yield int(v1), f"the packet has {arg} B at most", basis


def _next(ledger, number, given, basis):
    """(what is assumed, key) of the pass under an id."""
    words = ledger.frozen[number]["w"][:WORDS].tolist()
    put(words, "recirc_id", number)
    if basis is not None:
        dp_hash = hash_of_key(ledger.key, basis)
        put(words, "dp_hash", dp_hash)
        given = f"resume with dp_hash={dp_hash:#x}"
    return given, tuple(words)
