"""The story of a packet: every stage it passed and why each decision fell, told on a copy of the switch."""

from lab.control.fork import empty
from lab.live import Live


class Story(Live):
    """What would happen to a packet. It was told on a fork, so nothing has changed."""

    def __init__(self, copy, port, frame):
        for p in copy.ports.values():
            p.sent.clear()
        empty(copy)  # the story is of this packet alone
        copy.ports[port].inject(frame)
        self.steps = []
        while len(self.steps) < 200 and (step := copy.step()) is not None:
            self.steps.append(step)
        self.outputs = {p.name: len(p.sent) for p in copy.ports.values() if len(p.sent)}
        self.port = port

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
