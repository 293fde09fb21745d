"""packet-out: a frame of a person's, and a list of OpenFlow actions that is run on it instead of the tables.

The list lies in `ofacts`, its place in one of 64 slots of `packet_outs`; the frame goes through a port's ring like any other and
carries the slot as its recirculation id, so that it can be stepped and followed. The upcall runs the list and remembers nothing.
A frame counts as received by the port whose ring it takes: that of its `in_port`, else the lowest-numbered one.
"""
import numpy as np

from lab.openflow.acts.value import Fact
from lab.openflow.errors import CommandError
from lab.stages.regions import PACKET_OUTS
from lab.stages.upcall import PACKET_OUT
from lab.translate.ofact import O_GROUP, O_METER, O_OUTPUT, O_RESUBMIT, OFPP_IN_PORT, OFPP_TABLE

NOBODY = 0  # the `in_port` of a frame that comes through no port
ASK_THE_TABLES = Fact(O_RESUBMIT, n=OFPP_IN_PORT, v0=0)  # what an output to `table` means: table 0, as if the frame had come in
# what queueing a frame changes
INTAKE = ("mbufs", "memory", "pool", "rings", "port_stats", "reasons", "lane")


class PacketOuts:
    """The packet-outs of a switch: which slots hold whose actions."""

    def __init__(self, switch, like=None):
        self._switch, self._next = switch, like._next if like else 0
        self._held: list = list(like._held) if like else [None] * PACKET_OUTS  # (first, how many) in `ofacts`

    def send(self, data, actions, in_port=NOBODY):
        """Queue a frame with its actions."""
        sw = self._switch
        port = sw.ports[in_port] if in_port else next(iter(sw.ports.in_order()), None)
        if port is None:
            raise CommandError(f"{sw.name} has no port that could carry the frame in: sw.add_port('vm1')")
        rows = self._rows(actions)
        slot = self._slot(rows)
        frame = (data, {"recirc_id": PACKET_OUT + slot, "in_port": in_port})
        if sw.cores.running:
            queued = port.queue([frame])
        else:
            queued = sw.walk.act("packet-out", INTAKE, lambda: port.queue([frame]), lambda: self.send(data, actions, in_port))
        if not queued:
            raise CommandError(f"the ring of {port.name} is full, so the frame is dropped: sw.run() first")

    def _rows(self, actions):
        """The records of actions, groups and meters by theirs."""
        record_of = {O_GROUP: self._switch.groups.record, O_METER: self._switch.meters.record}
        rows = [row._replace(n=record_of[row.op](row.n)) if row.op in record_of else row for row in actions.records]
        return [ASK_THE_TABLES if (row.op, row.n) == (O_OUTPUT, OFPP_TABLE) else row for row in rows]

    def _slot(self, rows):
        """A slot that no frame on its way names any more, with these actions in it."""
        slot, facts = self._next, self._switch.groups.ofacts
        mbufs = self._switch.engine.array("mbufs")
        if ((mbufs["recirc_id"] == PACKET_OUT + slot) & (mbufs["refcnt"] > 0)).any():
            raise CommandError(f"{PACKET_OUTS} packet-outs are on their way already: sw.run() first")
        first = facts.take(len(rows))
        if first is None:
            raise CommandError(f"no room for {len(rows)} more actions: delete some groups")
        if (held := self._held[slot]) is not None:
            facts.give(*held)
        if rows:
            table = self._switch.engine.array("ofacts")
            table[first : first + len(rows)] = np.array(rows, table.dtype)
        row = self._switch.engine.array("packet_outs")[slot : slot + 1]
        row["first"], row["n"] = first, len(rows)
        self._held[slot], self._next = (first, len(rows)), (slot + 1) % PACKET_OUTS
        return slot
