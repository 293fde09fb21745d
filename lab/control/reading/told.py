"""A translation as OVS tells it: tables by number, actions as they were run, buckets, notes, indented by who called whom.

A `Ledger` is flat; here its events become a tree again. A stack of lists stands beside them, as the translation had one:
an action belongs to the innermost list whose next record it is. Used by `ofproto/trace`; what it prints of the packet's
flow is in `appctl/trace.py`.
"""

from dataclasses import dataclass, field
from typing import Any

from lab.control.reading.told_actions import set_in_words, texts_in_set_order, texts_of
from lab.memory import reasons as why
from lab.memory.record import NULL
from lab.openflow.matching.show import format_match
from lab.translate import ledger as kinds
from lab.translate import normal as n
from lab.translate import ofact as o

TABLE, THAW, ACTION, BUCKET, DETAIL, WARN, ERROR = range(7)
SIGNS = {DETAIL: " -> {}", WARN: " >> {}", ERROR: " >>>> {} <<<<"}
WARNED = (n.N_PORT_GONE, n.N_NOT_ALLOWED, n.N_PARTIAL_TAG, n.N_NO_INPUT, n.N_PROTECTED)
OUTPUTS = {
    why.NOWHERE: "skipping output to input port",
    why.NO_PORT: "Nonexistent output port",
    why.NOT_FORWARDED: "OFPPC_NO_FWD set, skipping output",
}
ERRORS = {
    why.TOO_DEEP: "over max translation depth 64",
    why.TOO_MANY_RESUBMITS: "over 4096 resubmit actions",
    why.STACK_EMPTY: "stack underflow",
}
BRANCHES = ("clone", "bucket")


@dataclass
class Node:
    """One line of the story, with what happened inside."""

    kind: int
    text: str
    subs: list = field(default_factory=list)


@dataclass
class Frame:
    """A list of actions under way: its next record, its end, where its lines go."""

    kind: str  # "rule", "clone", "buckets", "bucket", "set"
    pc: int
    end: int
    subs: list
    texts: dict = field(default_factory=dict)  # the words of its records
    buckets: Any = None  # of "buckets": those still to come

    def again(self, subs):
        """The same list, going on after recirculation."""
        return Frame("rule" if self.kind in BRANCHES else self.kind, self.pc, self.end, subs, self.texts, self.buckets)


class Teller:
    """Turns the events of ledgers into trees; what waits under a recirculation id is remembered from one to the next."""

    def __init__(self, switch, port_name=None):
        self.switch, self.port_name = switch, port_name
        self.waiting = {}  # recirculation id: (frames, action set)
        self._begin()

    def _begin(self):
        self.root = self.first = []
        self.frames, self.set = [], []
        self.op, self.text = 0, ""

    def tell(self, ledger):
        """The nodes of a ledger's story."""
        self._begin()
        tellers = {
            kinds.L_TABLE: self._table, kinds.L_ACTION: self._action, kinds.L_OUTPUT: self._output, kinds.L_NORMAL: self._normal,
            kinds.L_GROUP: self._group, kinds.L_FREEZE: self._freeze, kinds.L_THAW: self._thaw, kinds.L_ERROR: self._error,
            kinds.L_SET: self._set_begins, kinds.L_VALUE: self._value,
        }  # fmt: skip
        self.ledger = ledger
        for event in ledger.events:
            if event.kind in tellers:
                tellers[event.kind](event)
        self._to(NULL)
        return self.root

    @property
    def here(self):
        """Where the next line goes."""
        return self.frames[-1].subs if self.frames else self.first

    def note(self, kind, text):
        """A line about what has just been done."""
        self.here.append(Node(kind, text))

    # --- tables and lists ---------------------------------------------------------------------------

    def _table(self, event):
        rule = None if event.a == NULL else self.switch.rules.at(event.a)
        node = Node(TABLE, f"{event.table:2d}. {rule_words(rule, self.port_name) if rule else 'No match.'}")
        self.here.append(node)
        if self.first is self.root:
            self.first = node.subs
        if rule is None or not rule.entry.actions.records:
            node.subs.append(Node(ACTION, "drop"))
        if rule is not None:
            entry = rule.entry
            texts = {entry.first + at: text for at, text in texts_of(entry.actions, self.port_name).items()}
            self.frames.append(Frame("rule", entry.first, entry.first + len(entry.actions.records), node.subs, texts))

    def _to(self, record):
        """Leave lists until the one whose next record this is; its frame, or None."""
        while self.frames:
            frame = self.frames[-1]
            if frame.kind == "set" and frame.pc < frame.end:
                frame.pc += 1
                return frame
            if frame.kind == "buckets" and self._next_bucket(frame, record):
                return self.frames[-1]
            if frame.kind not in ("set", "buckets") and frame.pc == record and frame.pc < frame.end:
                frame.pc += 1
                return frame
            self.frames.pop()
        return None

    def _action(self, event):
        frame = self._to(event.a)
        fact = self.switch.engine.array("ofacts")[event.a]
        self.op = int(fact["op"])
        texts = frame.texts if frame and frame.kind != "set" else {at: text for at, _, text in self.set}
        self.text = texts.get(event.a, f"record {event.a}")
        self.note(ACTION, self.text)
        body = range(event.a + 1, event.a + 1 + int(fact["n"]))
        if frame is None:
            return
        if self.op == o.O_CLONE:
            frame.pc += len(body)
            self.frames.append(Frame("clone", body.start, body.stop, frame.subs, frame.texts))
        elif self.op == o.O_WRITE_ACTIONS:
            frame.pc += len(body)
            facts = self.switch.engine.array("ofacts")[body.start : body.stop].tolist()
            self.set += [(at, record, frame.texts[at]) for at, record in zip(body, facts, strict=True)]
            self.note(DETAIL, f"action set is: {set_in_words(self.set)}")
        elif self.op == o.O_CLEAR_ACTIONS:
            self.set = []

    def _set_begins(self, event):
        node = Node(TABLE, "--. Executing action set:")
        self.first.append(node)
        self.frames = [Frame("set", 0, event.a, node.subs)]

    # --- notes ----------------------------------------------------------------------------------------

    def _output(self, event):
        if self.op == o.O_OUTPUT_REG:
            self.note(DETAIL, f"output port is {event.c if event.a == NULL else event.a}")
        if event.a == o.OFPP_CONTROLLER and self.op in (o.O_DEC_TTL, o.O_DEC_MPLS_TTL):
            kind = self.ledger.key[2] >> 48
            name = "MPLS" if self.op == o.O_DEC_MPLS_TTL else "IPv6" if kind == 0x86DD else "IPv4"
            self.note(WARN, f"{name} decrement TTL exception")
        elif event.b and event.c != NULL:
            self.note(WARN, OUTPUTS.get(event.b, why.REASONS[event.b].sentence))

    def _normal(self, event):
        said = n.normal_words(event.a, event.b, event.c, lambda port: self.switch.port_name(port) or str(port))
        self.note(WARN if event.a in WARNED else DETAIL, said)

    def _error(self, event):
        self.note(ERROR, ERRORS.get(event.a, why.REASONS[event.a].sentence))

    def _value(self, event):
        value = event.a & (1 << 64) - 1
        target = self.text.partition("->")[2] or self.text.partition(":")[2]
        self.note(DETAIL, f"{target} is now {value:#x}" if value else f"{target} is now 0")

    # --- groups ---------------------------------------------------------------------------------------

    def _copy(self, part, at):
        return self.switch.engine.array(self.switch.rules.copies.used, None, part)[at]

    def _group(self, event):
        group = self._copy("groups", event.a)
        first, kind = int(group["first"]), int(group["kind"])
        buckets = self.switch.groups[int(group["number"])].entry.buckets
        if kind == o.ALL:
            self.frames.append(Frame("buckets", 0, 0, self.here, buckets=list(enumerate(buckets, first))))
            return
        if kind == o.FAST_FAILOVER:
            for bucket in buckets if event.b == NULL else buckets[: event.b - first]:
                who = f"group {bucket.watch_group}" if bucket.watch_port is None else f"port {bucket.watch_port}"
                self.note(DETAIL, f"bucket {bucket.number}: not live due to {who}")
        if event.b == NULL:
            self.note(DETAIL, "no live bucket")
            return
        if kind != o.INDIRECT:
            self.note(DETAIL, f"using bucket {buckets[event.b - first].number}")
        self.frames.append(self._bucket(event.b, buckets[event.b - first], self.here))

    def _next_bucket(self, frame, record):
        """Begin the bucket that a record is of; those before it, and at the end all, had nothing to do."""
        while frame.buckets:
            b, bucket = frame.buckets.pop(0)
            inner = self._bucket(b, bucket, frame.subs)
            if inner.pc == record and inner.pc < inner.end:
                inner.pc += 1
                self.frames.append(inner)
                return True
        return False

    def _bucket(self, b, bucket, subs):
        """The frame of a bucket whose line goes to a list."""
        node = Node(BUCKET, f"bucket {bucket.number}")
        subs.append(node)
        first = int(self._copy("buckets", b)["acts"])
        texts = dict(enumerate(texts_in_set_order(bucket.actions, self.port_name), first))
        return Frame("bucket", first, first + len(texts), node.subs, texts)

    # --- recirculation ----------------------------------------------------------------------------------

    def _freeze(self, event):
        base = max((at for at, frame in enumerate(self.frames) if frame.kind in BRANCHES), default=0)
        waits = [frame.again([]) for frame in self.frames[base:]]
        for number in (event.a, event.b):
            if number:
                self.waiting[number] = waits, list(self.set)
        del self.frames[base:]

    def _thaw(self, event):
        state = self.ledger.frozen.get(event.a)
        node = Node(THAW, "thaw")
        if state is not None:
            node.subs.append(Node(THAW, f"Resuming from table {int(state['table'])}"))
        self.root.append(node)
        waits, gathered = self.waiting.get(event.a, ([], []))
        self.set = list(gathered)
        self.frames = [frame.again(self.root) for frame in waits]


def rule_words(rule, port_name):
    """A rule as a story names it: `tcp,in_port=1, priority 10, cookie 0x55`."""
    match = format_match(rule.entry.match.value, rule.entry.match.mask, port_name)
    return (f"{match}, " if match else "") + f"priority {rule.priority}" + (f", cookie {rule.cookie:#x}" if rule.cookie else "")


def lines_of(nodes, level=0):
    """The lines of a story: the last of several is no deeper than what stands around it, so that chains of tables do not wander off."""
    for at, node in enumerate(nodes):
        more = at + 1 < len(nodes) or node.kind not in (TABLE, THAW)
        yield " " * 4 * (level + more) + SIGNS.get(node.kind, "{}").format(node.text)
        yield from lines_of(node.subs, level + 2 * more)
