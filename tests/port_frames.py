"""Frames for tests of ports: told apart by their first bytes, written into captures, looked at while they wait, taken through a switch."""
from walks import step_all

from lab.ports.capture import Writer
from lab.stages.regions import RING


def numbered(n, size=60):
    return [k.to_bytes(4, "big") + bytes(size - 4) for k in range(n)]


def waiting_in(port):
    """The records of the first mbufs that wait at a port."""
    ring, slots, mbufs = port._ring(0), port.engine.array("rings", None, "slots"), port.engine.array("mbufs")
    return [mbufs[slots["index"][int(ring["first"]) + at % RING]] for at in range(int(ring["head"]), int(ring["tail"]))]


def capture(path, frames, step_ns=1_000_000):
    with Writer(path) as out:
        for n, frame in enumerate(frames):
            out.write(frame, 5_000_000_000 + n * step_ns)
    return path


def out(sw, frames, **how):
    """What leaves through vm2 when frames are injected at vm1."""
    sw.ports["vm1"].inject(frames, **how)
    step_all(sw)
    return list(sw.ports["vm2"].sent)
