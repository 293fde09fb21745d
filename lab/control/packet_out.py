"""packet-out: a frame of a person's, and a list of OpenFlow actions that is run on it instead of the tables.

The list lies in `ofacts`, its place in one of 64 slots of `packet_outs`; the frame goes through a port's ring like any other and
carries the slot as its recirculation id, so that it can be stepped and followed. The upcall runs the list and remembers nothing.
A frame counts as received by the port whose ring it takes: that of its `in_port`, else the lowest-numbered one. Slots are no part
of what going back undoes: a packet-out that is done again takes its slot and its records again.
"""
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakSet

import numpy as np

from lab.openflow.acts.value import Fact
from lab.openflow.errors import CommandError
from lab.ports.intake import PoolEmpty
from lab.stages.regions import PACKET_OUTS
from lab.stages.upcall import PACKET_OUT
from lab.translate.ofact import O_GROUP, O_METER, O_NOTE, O_OUTPUT, O_RESUBMIT, OFPP_IN_PORT, OFPP_TABLE

NOBODY = 0  # the `in_port` of a frame that comes through no port
ASK_THE_TABLES = Fact(O_RESUBMIT, n=OFPP_IN_PORT, v0=0)  # what an output to `table` means: table 0, as if the frame had come in
NOTHING = Fact(O_NOTE)  # in the place of a group or meter that is gone, and of what stood behind it
# what queueing a frame changes
INTAKE = ("mbufs", "memory", "pool", "rings", "port_stats", "reasons", "lane")


@dataclass(eq=False)
class Program:
    """One packet-out: its frame, the port that carries it in, its records, its slot, and where in `ofacts` the records lie."""

    data: bytes
    in_port: int
    carrier: Any
    rows: list
    number: int  # later ones have higher numbers
    slot: int = 0
    first: int = 0


class PacketOuts:
    """The packet-outs of a switch: which slots hold whose actions."""

    def __init__(self, switch, like=None):
        self._switch, self._next, self._sent = switch, 0, 0
        self._held: list = [None] * PACKET_OUTS  # the Program in each slot
        if like:
            self._next, self._sent = like._next, like._sent
            self._held = [program and replace(program, rows=list(program.rows)) for program in like._held]
        self._known = WeakSet(program for program in self._held if program)  # these, and those that the timeline may do again

    def send(self, data, actions, in_port=NOBODY):
        """Queue a frame with its actions."""
        sw = self._switch
        port = sw.ports[in_port] if in_port else next(iter(sw.ports.in_order()), None)
        if port is None:
            raise CommandError(f"{sw.name} has no port that could carry the frame in: sw.add_port('vm1')")
        program = Program(data, in_port, port, self._rows(actions), self._sent + 1)
        self._load(program, self._free_slot(self._next))
        self._next, self._sent = (program.slot + 1) % PACKET_OUTS, program.number
        self._known.add(program)
        if not self._queue(program):
            raise CommandError(f"the ring of {port.name} is full, so the frame is dropped: sw.run() first")

    def forget(self, op, record):
        """A group or a meter goes: what waits and names its record drops from there on, whoever has the record next."""
        table = self._switch.engine.array("ofacts")
        for program in self._known:
            at = next((at for at, row in enumerate(program.rows) if (row.op, row.n) == (op, record)), None)
            if at is None:
                continue
            program.rows[at:] = [NOTHING] * (len(program.rows) - at)
            if self._held[program.slot] is program:
                table[program.first + at : program.first + len(program.rows)] = np.array(program.rows[at:], table.dtype)

    def _queue(self, program):
        """Put the frame into its port's ring; whether there was room."""
        frame = (program.data, {"recirc_id": PACKET_OUT + program.slot, "in_port": program.in_port})
        if self._switch.cores.running:
            return program.carrier.queue([frame])
        return self._switch.walk.act("packet-out", INTAKE, lambda: program.carrier.queue([frame]), lambda: self._again(program))

    def _again(self, program):
        """Somebody stepped back to before it: once more, in its slot, or another where that is in use again by an earlier frame."""
        if program.carrier not in self._switch.ports.values():
            return
        try:
            slot = program.slot
            if self._in_use(slot):
                self._restore(slot, program.number)
                slot = self._free_slot(slot)
            self._load(program, slot)
            self._queue(program)
        except (CommandError, PoolEmpty):
            return  # going back goes on: the frame is lost, as one that finds no room is

    def _restore(self, slot, before):
        """Give a slot back to the last Program that had it before another one took it."""
        earlier = [one for one in self._known if one.slot == slot and one.number < before]
        if earlier:
            self._load(max(earlier, key=lambda one: one.number), slot)

    def _rows(self, actions):
        """The records of actions, groups and meters by theirs."""
        record_of = {O_GROUP: self._switch.groups.record, O_METER: self._switch.meters.record}
        rows = [row._replace(n=record_of[row.op](row.n)) if row.op in record_of else row for row in actions.records]
        return [ASK_THE_TABLES if (row.op, row.n) == (O_OUTPUT, OFPP_TABLE) else row for row in rows]

    def _in_use(self, slot):
        """Whether a frame on its way names a slot."""
        mbufs = self._switch.engine.array("mbufs")
        return bool(((mbufs["recirc_id"] == PACKET_OUT + slot) & (mbufs["refcnt"] > 0)).any())

    def _free_slot(self, begin):
        """The first slot from one on that no frame on its way names."""
        slots = ((begin + at) % PACKET_OUTS for at in range(PACKET_OUTS))
        slot = next((slot for slot in slots if not self._in_use(slot)), None)
        if slot is None:
            raise CommandError(f"{PACKET_OUTS} packet-outs are on their way already: sw.run() first")
        return slot

    def _load(self, program, slot):
        """Put a Program into a slot, in the place of what was there."""
        held, facts = self._held[slot], self._switch.groups.ofacts
        if held is program:
            return
        first = facts.take(len(program.rows))
        if first is None:
            raise CommandError(f"no room for {len(program.rows)} more actions: delete some groups")
        if held is not None:
            facts.give(held.first, len(held.rows))
        if self._held[program.slot] is program:
            facts.give(program.first, len(program.rows))
            self._held[program.slot] = None
        if program.rows:
            table = self._switch.engine.array("ofacts")
            table[first : first + len(program.rows)] = np.array(program.rows, table.dtype)
        row = self._switch.engine.array("packet_outs")[slot : slot + 1]
        row["first"], row["n"] = first, len(program.rows)
        program.slot, program.first, self._held[slot] = slot, first, program
