"""Actions of rules, buckets and packet-outs, read from text and printed again.

The front of `acts`: what stands behind `actions=` becomes an immutable `Actions`, which has the records that compiled
code runs and prints itself. The datapath's own actions are printed by `describe` of `lab.flow.actions`.
"""
from lab.openflow.acts.parse import KNOWN, NOT_BUILT, PLAIN, parse_actions
from lab.openflow.acts.parse import READERS as ACTIONS
from lab.openflow.acts.value import OPENFLOW_10, Actions

__all__ = ["ACTIONS", "KNOWN", "NOT_BUILT", "PLAIN", "Actions", "format_actions", "parse_actions"]


def format_actions(actions, port_name=None, version=OPENFLOW_10):
    """Actions as text, ports by name where `port_name` knows one."""
    return actions.show(port_name, version)
