"""Action sets: the order in which the actions of a group's bucket are executed, whatever order they were written in.

A bucket holds a *set*: one action of each kind, the last one written, run in OpenFlow's order. The order is settled here,
once, when a group is published, so that translation runs a bucket as the plain list that it has become. The action set that
a packet gathers on its way (write_actions) is ordered in compiled code, in lab.translate, by the same rules.
"""

from lab.translate import ofact as of

FIELDS = list(of.ofact_t.fields)
OP, N, ID = (FIELDS.index(name) for name in ("op", "n", "v0"))  # where a record, be it a tuple or a row, has them

# one of each kind at most, in this order ...
FIRST = (of.O_POP_VLAN, of.O_POP_MPLS, of.O_PUSH_MPLS, of.O_PUSH_VLAN, of.O_DEC_TTL, of.O_DEC_MPLS_TTL)
# ... then all of these, as they were written ...
SETS = frozenset((of.O_SET, of.O_MOVE, of.O_SET_VID, of.O_SET_PCP))
# ... and at the end the strongest of these alone
LAST = {of.O_RESUBMIT: 0, of.O_OUTPUT: 1, of.O_CONTROLLER: 1, of.O_GROUP: 2}
WITH_BODY = (of.O_CLONE, of.O_WRITE_ACTIONS)


def in_set_order(records):
    """The records of an action set as the list to run; none when it sends the packet nowhere.

    An action that has no place in a set (a note, a clone, a meter, an output to a register) does nothing there, as in OVS.

    >>> out, pop = (of.O_OUTPUT, 0, 1), (of.O_POP_VLAN, 0, 0)
    >>> in_set_order([out, pop]) == [pop, out]
    True
    >>> in_set_order([pop])
    []
    """
    kinds, sets, last, strength = {}, [], None, -1
    for record in outermost(records):
        op = int(record[OP])
        if op in FIRST:
            kinds[op] = record
        elif op in SETS:
            sets.append(record)
        elif op in LAST and LAST[op] >= strength and not _told_apart(record):
            last, strength = record, LAST[op]
    if last is None:
        return []
    return [*(kinds[op] for op in FIRST if op in kinds), *sets, last]


def outermost(records):
    """The records that are not part of another's body."""
    at = 0
    while at < len(records):
        yield records[at]
        at += 1 + (int(records[at][N]) if int(records[at][OP]) in WITH_BODY else 0)


def _told_apart(record):
    """Whether this is `controller(id=...)`, which is no output and so has no place in a set."""
    return int(record[OP]) == of.O_CONTROLLER and len(record) > ID and int(record[ID]) != 0
