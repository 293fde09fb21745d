"""What a run has done, and a line of progress for what takes longer than a second."""

import sys
import time
from contextlib import contextmanager

from lab.live import Live, many


class Summary(Live):
    """The steps of one run."""

    def __init__(self, steps):
        self.steps = steps
        self.received = sum(step.after for step in steps if step.stage in ("receive", "replay"))
        self.sent = sum(len(packets) for step in steps for number, packets in step.sent.items() if number)  # 0: copies for the controller
        self.dropped = sum(step.dropped for step in steps)

    def __len__(self):
        return len(self.steps)

    def __iter__(self):
        return iter(self.steps)

    def __repr__(self):
        return f"<run: {many(self.received, 'packet')} in, {self.sent} out, {self.dropped} dropped, {many(len(self.steps), 'step')}>"

    def facts(self):
        """What the interface draws."""
        rows = [[step.number, step.stage, step.before, step.after, step.sentence or step.reason] for step in self.steps[:100]]
        return {"title": repr(self)[1:-1], "columns": ["step", "stage", "in", "out", "reason"], "rows": rows, "note": ""}


@contextmanager
def progress_line():
    """A function `progress(done, total, name)` that draws a line on standard error, once a second has passed."""
    began, drawn = time.monotonic(), []

    def progress(done, total, name):
        passed = time.monotonic() - began
        if passed > 1 or drawn:
            drawn.append(True)
            print(f"\rcompiling {done}/{total}, {passed:.0f} s, once: {name:<20}", end="", file=sys.stderr, flush=True)

    yield progress
    if drawn:
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)
