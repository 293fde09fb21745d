"""`Actions`: what a list of actions says, as records that compiled code runs and as the text that dumps print.

An immutable value: two texts that mean the same and print the same are equal. The records are those of
`lab.translate.ofact`; groups and meters stand in them by number. How text becomes this: `parse.py`.
"""
from typing import NamedTuple

from lab.flow.actions import show_port
from lab.translate.ofact import O_CONTROLLER, O_GROUP, O_METER, O_OUTPUT, OFPP_CONTROLLER, ofact_t

OPENFLOW_10, OPENFLOW_13, OPENFLOW_15 = 10, 13, 15  # versions, as everywhere in the commands


class Fact(NamedTuple):
    """One record of `ofact_t`: a tuple in the order of its fields."""

    op: int
    header: int = 0
    n: int = 0
    word: int = 0
    low: int = 0
    bits: int = 0
    src_word: int = 0
    src_low: int = 0
    reason: int = 0
    v0: int = 0
    v1: int = 0
    m0: int = 0
    m1: int = 0


assert list(Fact._fields) == list(ofact_t.fields)


class Spelling(NamedTuple):
    """Words that depend on the version of OpenFlow that a dump speaks: 1.0, from 1.1 on, from 1.5 on."""

    old: str
    middle: str
    new: str


class Actions:
    """A list of actions.

    `said` are the pieces of its text: words, Spellings, and numbers of ports, which a dump may replace by names.

    >>> from lab.openflow.actions import parse_actions
    >>> parse_actions("set_field:10.0.0.1->ip_src,2").show(version=OPENFLOW_13)
    'set_field:10.0.0.1->ip_src,output:2'
    """

    __slots__ = ("records", "said", "ports_named", "text", "groups", "meters")

    def __init__(self, records=(), said=(), ports_named=frozenset()):
        self.records, self.said, self.ports_named = tuple(records), tuple(said), frozenset(ports_named)
        self.text = self._join(None, 0)
        self.groups = frozenset(record.n for record in self.records if record.op == O_GROUP)  # the numbers of its groups
        self.meters = frozenset(record.n for record in self.records if record.op == O_METER)

    def show(self, port_name=None, version=OPENFLOW_10):
        """The actions as `ovs-ofctl dump-flows` prints them; `port_name` turns a number into a name."""
        if port_name is None and version == OPENFLOW_10:
            return self.text
        return self._join(port_name, (version > OPENFLOW_10) + (version >= OPENFLOW_15))

    def _join(self, port_name, which):
        said = [piece if isinstance(piece, str) else piece[which] if isinstance(piece, Spelling) else show_port(piece, port_name)
                for piece in self.said]
        return "".join(said) or "drop"

    @property
    def outputs(self):
        """The numbers of the ports that the packet is sent to, also inside clones and action sets."""
        ports = {record.n for record in self.records if record.op == O_OUTPUT}
        return frozenset(ports | {OFPP_CONTROLLER} if any(record.op == O_CONTROLLER for record in self.records) else ports)

    def __eq__(self, other):
        return isinstance(other, Actions) and (self.records, self.text) == (other.records, other.text)

    def __hash__(self):
        return hash((self.records, self.text))

    def __len__(self):
        return len(self.records)

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<actions {self.text}>"
