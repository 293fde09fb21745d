"""What a translation writes: datapath actions, credits, outputs.

The view `mind` is everything a translation reads and writes, as one argument. Actions go into the lower half of the draft,
credits into the upper; the upcall copies both behind one another to where the megaflow keeps them.
"""

import numpy as np

from lab.flow.actions import CREDIT_MAC, OUTPUT
from lab.memory.raw import apart
from lab.memory.reasons import NO_PORT, NOT_FORWARDED, NOWHERE, TOO_MANY_ACTIONS
from lab.memory.record import NULL, View
from lab.translate.ledger import L_OUTPUT, ask, tell
from lab.translate.records import ASKED, FLOW, KNOWN, MOST_DRAFT

mind_v = View(
    "mind", "rules", "rules_b", "ofacts", "desk", "ledger", "fdb", "vlans", "ports", "config", "lane", "code",
    copies={"rules": ("rules_b", ("desk", "xlate", "edition"))},
)  # fmt: skip
Mind = mind_v.bundle
HALF = MOST_DRAFT // 2
ZERO, ONE = np.uint64(0), np.uint64(1)
NO_FLOOD, NO_FWD, NO_RECV, PROTECTED = 1, 2, 4, 8  # marks of a port in `vlans`


def put(t, op, detail, arg):
    """A new action at the end of the draft, its values zero; too many are an error, and are not kept."""
    x = t.desk.xlate[0]
    n = x.n_acts
    if n >= HALF - 1:
        x.error = TOO_MANY_ACTIONS
    else:
        x.n_acts = n + 1
    return fill(t.desk.draft[n], op, detail, arg)


def credit(t, op, arg):
    """A new credit: who gets the megaflow's statistics. When there is no room, who has one already gets them once more (`m0`)."""
    x = t.desk.xlate[0]
    n = x.n_credits
    if n >= HALF - 1:
        return credit_again(t, op, arg)
    x.n_credits = n + 1
    return fill(t.desk.draft[HALF + n], op, 0, arg)


@apart
def credit_again(t, op, arg):
    """One more time for a credit that is there; that of the last place, and an error, when none is."""
    for n in range(HALF - 1):
        act = t.desk.draft[HALF + n]
        if act.op == op and act.arg == arg and op != CREDIT_MAC:
            act.m0 = act.m0 + ONE
            return act
    t.desk.xlate[0].error = TOO_MANY_ACTIONS
    return t.desk.draft[2 * HALF - 1]


def fill(act, op, detail, arg):
    """Write an action record."""
    act.op = op
    act.detail = detail
    act.arg = arg
    act.v0 = ZERO
    act.v1 = ZERO
    act.m0 = ZERO
    act.m1 = ZERO
    return act


def say(t, kind, a, b, c):
    """An event of the story, at the depth and in the table where the translation is."""
    x = t.desk.xlate[0]
    tell(t.ledger, (kind, x.depth, x.table, a, b, c))


def want(t, j, bits):
    """Ask for bits of word `j` of the flow."""
    flows = t.desk.flows
    ask(t.ledger, flows[KNOWN], flows[ASKED], j, bits)


def read(t, j, bits):
    """Bits of a word of the flow, asked for."""
    want(t, j, bits)
    return t.desk.flows[FLOW].w[j] & bits


def there(t, port):
    """Whether there is a port of this number."""
    return 0 < port < len(t.ports) and t.ports[port].kind != 0


def send(t, port):
    """Output to a port: 1 when it takes part. To the port that the packet came from only when told so by IN_PORT (see run.py)."""
    if not there(t, port):
        say(t, L_OUTPUT, NULL, NO_PORT, port)
        note_why(t, NO_PORT)
        return 0
    if t.vlans[port].marks & NO_FWD != 0 or between_protected(t, port):
        say(t, L_OUTPUT, NULL, NOT_FORWARDED, port)
        note_why(t, NOT_FORWARDED)
        return 0
    say(t, L_OUTPUT, port, 0, 0)
    put(t, OUTPUT, 0, port)
    return 1


def between_protected(t, port):
    """Whether this output would lead from one protected port to another."""
    came = t.desk.xlate[0].in_port
    return t.vlans[port].marks & PROTECTED != 0 and there(t, came) and t.vlans[came].marks & PROTECTED != 0


def send_to_other(t, port):
    """Output to a port unless the packet came from it."""
    if port == t.desk.xlate[0].in_port:
        say(t, L_OUTPUT, NULL, NOWHERE, port)
        note_why(t, NOWHERE)
        return 0
    return send(t, port)


def note_why(t, reason):
    """Why an output did not happen: the reason of the drop, should nothing else be sent."""
    t.desk.xlate[0].why = reason
