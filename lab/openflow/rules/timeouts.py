"""Rules that end by themselves: after a time without packets, or a time after they were given.

The engine's clock decides, in microseconds; when to ask is decided by whoever revalidates.
"""
from lab.openflow.rule import Seen

IDLE, HARD = "idle timeout", "hard timeout"
SECOND = 1_000_000


def over(rules, now):
    """(entry, reason, what it has seen) of the rules whose time is over."""
    packets, n_bytes, used = rules.tally()
    found = []
    for entry in rules.timed:
        seen = Seen(int(packets[entry.index]), int(n_bytes[entry.index]), int(used[entry.index]))
        if entry.hard_timeout and now > entry.modified + entry.hard_timeout * SECOND:
            found.append((entry, HARD, seen))
        elif entry.idle_timeout and now > max(seen.used, entry.created) + entry.idle_timeout * SECOND:
            found.append((entry, IDLE, seen))
    return found
