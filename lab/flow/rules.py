"""OpenFlow rules in the classifier: the best rule of a key, and chains of rules with one match.

An upcall asks here which rule decides. Rules with equal match and different priorities hang in one chain, the
highest first; only its head stands in the hash table and is `alive`. Readers run on every core; `enter` and `leave`
are called by control alone, on the copy of the table that nobody reads.
"""

from lab.flow.classifier import find, insert, remove
from lab.memory.record import NULL


def best_rule(rules, key, wide):
    """The rule of highest priority that matches a key, or NULL; every bit that was looked at is added to `wide`."""
    best = NULL
    priority = -1
    for r in range(rules.head[0].subtables):
        s = rules.subtables[r].rank
        sub = rules.subtables[s]
        if sub.priority <= priority:
            break
        for j in range(8 * sub.blocks):
            wide.w[j] = wide.w[j] | sub.mask[j]
        f = find(rules, s, key)
        if f != NULL and rules.flows[f].priority > priority:
            best = f
            priority = rules.flows[f].priority
    return best


def enter(rules, s, key, f):
    """Hang rule `f` into the chain of its match in subtable `s`, behind those of higher priority."""
    flow = rules.flows[f]
    first = find(rules, s, key)
    if first == NULL or rules.flows[first].priority < flow.priority:
        flow.next = first
        flow.alive = 1
        insert(rules, s, key, f)
        if first != NULL:
            rules.flows[first].alive = 0
            remove(rules, first)
        return
    at = first
    while rules.flows[at].next != NULL and rules.flows[rules.flows[at].next].priority >= flow.priority:
        at = rules.flows[at].next
    flow.subtable = s
    flow.alive = 0
    flow.next = rules.flows[at].next
    rules.flows[at].next = f


def leave(rules, key, f):
    """Take rule `f` out of its chain; the next one, if any, becomes what is found."""
    flow = rules.flows[f]
    if flow.alive != 0:
        after = flow.next
        flow.alive = 0
        if after != NULL:
            rules.flows[after].alive = 1
            insert(rules, flow.subtable, key, after)
        remove(rules, f)
        return
    at = find(rules, flow.subtable, key)
    while rules.flows[at].next != f:
        at = rules.flows[at].next
    rules.flows[at].next = flow.next
