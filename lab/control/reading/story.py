"""The story of a packet: every stage it passed and why each decision fell, told on a copy of the switch."""

from os import PathLike

from lab.control.fork import empty
from lab.control.reading.parsed import parse_frame
from lab.control.reading.passes import passes_of
from lab.live import Live
from lab.packet.craft import craft


class Story(Live):
    """What would happen to a packet. It was told on a fork, so nothing has changed."""

    def __init__(self, copy, port, frame):
        for p in copy.ports.values():
            p.sent.clear()
        empty(copy)  # the story is of this packet alone
        at = copy.ports[port]
        self.passes = []
        if not isinstance(frame, str | PathLike | list | tuple):  # of a whole capture, the steps alone are told
            data = craft(frame, mac=at.mac, ip=at.ip, mac_of=copy.mac_of)
            self.passes = passes_of(copy.oracle, parse_frame(copy.engine, data, at.number))
        at.inject(frame)
        self.steps = []
        while len(self.steps) < 200 and (step := copy.step()) is not None:
            self.steps.append(step)
        self.outputs = {p.name: len(p.sent) for p in copy.ports.values() if len(p.sent)}
        self.port = port

    @property
    def ledgers(self):
        """Who asked for each bit of the masks: a Ledger for each time that the packet is parsed."""
        return [one.ledger for one in self.passes]

    @property
    def ledger(self):
        """The first of them: that of the megaflow that the packet meets when it comes in."""
        return self.ledgers[0] if self.passes else None

    @property
    def text(self):
        """The story as lines of text."""
        lines = [f"in through {self.port}"]
        lines += [f"  {step.stage:<12} {step.reason}: {step.sentence}" for step in self.steps]
        where = ", ".join(f"{n} through {name}" for name, n in self.outputs.items()) or "nothing left the switch"
        return "\n".join([*lines, f"out: {where}"])

    def __repr__(self):
        return self.text

    def facts(self):
        """What the interface draws."""
        rows = [[step.stage, step.reason, step.sentence] for step in self.steps]
        return {
            "title": f"story of a packet from {self.port}",
            "columns": ["stage", "reason", "why"],
            "rows": rows,
            "note": self.text.splitlines()[-1],
        }
