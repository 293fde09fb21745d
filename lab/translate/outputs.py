"""Outputs of OpenFlow as datapath actions: ports, floods, NORMAL, the controller."""

import numpy as np

from lab.flow.actions import CONTROLLER, TRUNC
from lab.memory.raw import apart, i64
from lab.memory.reasons import NO_PORT
from lab.memory.record import NULL
from lab.translate.emit import NO_FLOOD, note_why, put, say, send, send_to_other, there
from lab.translate.ledger import L_OUTPUT
from lab.translate.normal import normal
from lab.translate.ofact import OFPP_ALL, OFPP_CONTROLLER, OFPP_FLOOD, OFPP_IN_PORT, OFPP_NONE, OFPP_NORMAL

BY_ACTION, BAD_TTL, BY_SET, BY_GROUP = 1, 2, 4, 5  # why a packet goes to the controller (OFPR_*)
MOST_BYTES = 0xFFFF


@apart
def output(t, port, most):
    """Send the flow as it is now to a port or to what a reserved number means; at most `most` bytes unless that is 0."""
    if port == OFPP_NORMAL:
        t.desk.xlate[0].watches = 1
        normal(t)
    elif port == OFPP_FLOOD or port == OFPP_ALL:
        flood(t, port == OFPP_FLOOD)
    elif port == OFPP_CONTROLLER:
        if most == 0:
            most = MOST_BYTES
        to_controller(t, most, BY_ACTION)
    elif port != OFPP_NONE:
        n = t.desk.xlate[0].n_acts
        if most != 0:
            put(t, TRUNC, 0, most)
        if port == OFPP_IN_PORT:
            sent = send(t, t.desk.xlate[0].in_port)
        else:
            sent = send_to_other(t, port)
        if sent == 0:
            t.desk.xlate[0].n_acts = n


def output_by_value(t, value, most):
    """Output to the port whose number a register holds; a value that is no port's sends nothing."""
    if value >> np.uint64(16) != np.uint64(0):
        say(t, L_OUTPUT, NULL, NO_PORT, NULL)
        note_why(t, NO_PORT)
    else:
        output(t, i64(value), most)


def flood(t, spare):
    """Output to every port but the packet's own; `spare` leaves out those that are set not to be flooded."""
    sent = 0
    for port in range(1, len(t.ports)):
        if there(t, port) and port != t.desk.xlate[0].in_port and not (spare and t.vlans[port].marks & NO_FLOOD != 0):
            sent += send(t, port)
    if sent == 0:
        say(t, L_OUTPUT, NULL, NO_PORT, NULL)
        note_why(t, NO_PORT)


@apart
def to_controller(t, most, reason):
    """A copy for the controller, with whom to thank for it."""
    x = t.desk.xlate[0]
    cookie = np.uint64(0)
    rule = 0xFFFFFF
    if x.rule != NULL:
        cookie = t.rules.flows[x.rule].cookie
        rule = x.rule & 0xFFFFFF
    say(t, L_OUTPUT, OFPP_CONTROLLER, 0, OFPP_CONTROLLER)
    act = put(t, CONTROLLER, 0, most)
    act.v0 = cookie
    act.v1 = np.uint64(reason << 32 | x.table << 24 | rule)
