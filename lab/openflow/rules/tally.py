"""What rules, tables and others have seen: the counters in the arena with what living megaflows have not handed over yet.

A megaflow names who gets its statistics by *credits*, records behind its actions. They are handed over when it is looked
after (`revalidate`); until then they are added here, for all megaflows at once.
"""
from collections import namedtuple

import numpy as np

from lab.flow.actions import CREDIT_RULE, CREDIT_TABLE

Tally = namedtuple("Tally", "packets bytes used")  # arrays, a place for each record
Credits = namedtuple("Credits", "op arg detail flow packets bytes used")  # arrays, a place for each credit; `flow`: which megaflow


def credits(arena, lane):
    """The credits of all megaflows of a lane, with what is still to be handed over."""
    flows = arena.array("megaflows", lane, "flows")
    living = np.flatnonzero((flows["n_credits"] > 0) & ((flows["alive"] > 0) | (flows["packets"] > 0)))
    n = flows["n_credits"][living].astype(np.int64)
    first = flows["acts"][living].astype(np.int64) + flows["n_acts"][living]
    whose = np.repeat(np.arange(len(living)), n)
    at = np.repeat(first - np.cumsum(n) + n, n) + np.arange(len(whose))
    acts = arena.array("acts", lane, "list")[at]
    of = living[whose]
    arg, detail = (acts[name].astype(np.int64) for name in ("arg", "detail"))
    times = 1 + acts["m0"].astype(np.int64)  # how often a packet went there
    return Credits(acts["op"], arg, detail, of, flows["packets"][of] * times, flows["bytes_"][of] * times, flows["used"][of])


def tally(arena, lanes, region="rule_stats", op=CREDIT_RULE):
    """What the records of a region of statistics have seen, over all lanes."""
    size = arena.places[region, lanes[0], ""][2]
    packets, n_bytes, used = np.zeros((3, size), np.int64)
    for lane in lanes:
        stats, waiting = arena.array(region, lane), credits(arena, lane)
        mine = np.flatnonzero(waiting.op == op)
        arg, seen = waiting.arg[mine], waiting.packets[mine]
        packets += stats["packets"]
        n_bytes += stats["bytes_"]
        np.add.at(packets, arg, seen)
        np.add.at(n_bytes, arg, waiting.bytes[mine])
        np.maximum(used, stats["used"], out=used)
        np.maximum.at(used, arg, np.where(seen > 0, waiting.used[mine], 0))
    return Tally(packets, n_bytes, used)


def table_tally(arena, lanes):
    """(lookups, matched) of every OpenFlow table, as arrays."""
    lookups, matched = np.zeros((2, arena.places["table_stats", lanes[0], ""][2]), np.int64)
    for lane in lanes:
        stats, waiting = arena.array("table_stats", lane), credits(arena, lane)
        found, missed = (np.flatnonzero(waiting.op == op) for op in (CREDIT_RULE, CREDIT_TABLE))
        lookups += stats["lookups"]
        matched += stats["matched"]
        for counts in (lookups, matched):
            np.add.at(counts, waiting.detail[found], waiting.packets[found])  # a rule's credit says in which table it was found
        np.add.at(lookups, waiting.arg[missed], waiting.packets[missed])
    return lookups, matched


def credited(arena, lanes, op, arg):
    """The megaflows that have a credit: (lane, record) of each."""
    found = []
    for lane in lanes:
        waiting = credits(arena, lane)
        mine = np.unique(waiting.flow[(waiting.op == op) & (waiting.arg == arg)])
        alive = arena.array("megaflows", lane, "flows")["alive"]
        found += [(lane, int(f)) for f in mine if alive[f]]
    return found
