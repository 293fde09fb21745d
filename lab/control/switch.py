"""The switch as one object: what a person holds in a notebook or a shell.

It puts together engine, ports, rules and stepping, and owns the lock that makes control one writer: cells, the
stepper's clicks and the cores' watcher take it in turn. Nothing here is on a packet's way.
"""

import atexit
import itertools
import threading
import weakref
from contextlib import suppress
from functools import partial

from lab.control import membership, openflow
from lab.control.clicks import Clicks
from lab.control.live.fdb import Fdb
from lab.control.live.gro import Gro
from lab.control.live.megaflows import Megaflow, Megaflows
from lab.control.live.mempool import Mempool
from lab.control.live.neighbours import Neighbours
from lab.control.live.routes import Routes
from lab.control.live.tables import Emc, Smc, Stages
from lab.control.options import Options
from lab.control.reading.ledger import Oracle
from lab.control.reading.story import Story
from lab.control.spoken import Spoken
from lab.engine.core import RECORDED, Engine
from lab.engine.cores import Cores, Pmd
from lab.engine.steps.frame import cure_of, frame_of, sentence_of
from lab.engine.steps.summary import Summary, progress_line
from lab.engine.steps.walk import Walk
from lab.live import Live, many
from lab.memory.ranges import Ranges
from lab.memory.record import NULL
from lab.ports.intake import PoolEmpty
from lab.ports.ports import Ports

INTAKE = ("mbufs", "memory", "pool", "rings", "port_stats", "reasons", "lane")
_living = weakref.WeakSet()
_names = itertools.count()


def living():
    """Every switch of this process that has not been closed."""
    return [switch for switch in _living if not switch.closed]


class Switch(Spoken, Live):
    """A virtual switch you can see through.

    >>> sw = Switch("br0")
    >>> vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2")
    >>> _ = sw.ofctl("add-flow actions=output:vm2")
    >>> vm1.inject(bytes(60))
    1
    >>> sw.run()
    <run: 1 packet in, 1 out, 0 dropped, 7 steps>
    """

    def __init__(self, name=None, *, cores=1, size="small", huge=False, memfd=False, fail_mode="standalone"):
        if fail_mode not in ("standalone", "secure"):
            raise ValueError(f"fail_mode={fail_mode!r}: 'standalone' starts with actions=NORMAL, 'secure' without rules")
        if size not in ("small", "large"):
            raise ValueError(f"size={size!r}: a switch is 'small' (64 MB) or 'large' (200 000 megaflows)")
        self.name = name or f"br{next(_names)}"
        self.engine = Engine(size, cores, huge=huge, memfd=memfd)
        self.closed = False
        self._compose()
        if fail_mode == "standalone":
            self.rules.add_default()
        self.walk.sync()

    def _compose(self, like=None):
        """Everything that stands around the engine."""
        self.lock = threading.RLock()
        self.ports = Ports()
        self.walk = Walk(self.engine, self.ports)
        self.walk.tell = self._tell
        self.cores = Cores(self.engine, self.lock, partial(openflow.tend, self))
        openflow.compose(self, like)
        self.oracle = Oracle(self)
        self.stages, self.emc, self.smc = Stages(self.engine), Emc(self), Smc(self)
        self.megaflows, self.mempool, self.fdb = Megaflows(self), Mempool(self), Fdb(self)
        self.gro = Gro(self)
        self.routes, self.neighbours = Routes(self), Neighbours(self)
        self.pmds = [Pmd(self.cores, lane) for lane in self.engine.lanes]
        self.options, self.commands = Options(self), Clicks(self)
        self._serial, self._recorded = 0, Ranges(RECORDED)
        _living.add(self)

    def __repr__(self):
        state = "stopped" if not len(self.timeline) else f"at step {len(self.timeline)}"
        state = "closed" if self.closed else "running" if self.cores.running else state
        there = ", ".join(many(len(getattr(self, word + "s")), word) for word in ("port", "rule", "megaflow"))
        return f"<Switch {self.name}: {there}, {state}>"

    # --- ports ------------------------------------------------------------------------------

    def add_port(self, name, *, type="sim", ofport=None, **options):
        """Add a port and return it. `type` is "sim", "pcap" or a tunnel's ("vxlan"); `mtu`, `offloads`, and what its kind takes."""
        with self.lock:
            return membership.add(self, name, type, ofport, options)

    def remove_port(self, name):
        """Remove a port; packets on their way to it, or waiting at it, are dropped with a reason. How many waited."""
        with self.lock:
            return membership.remove(self, name)

    def vlans_changed(self, port):
        """A port takes part in other VLANs than before: what was learned at it and looked up so far may be wrong."""
        with self.lock, self.fdb.forgetting(port.number):
            membership.changed(self, f"set port {port.name}")

    def link_changed(self, port):
        """A port has come up or gone down: groups that watch it choose other buckets."""
        with self.lock:
            membership.changed(self, f"set port {port.name}")

    def settle_arcs(self):
        """The settings of a port, or its coming and going, change what stands on arcs: of other ports too, where tunnels are concerned."""
        with self.lock:
            for port in self.ports.values():
                port.settle_arcs()
            if any(port.vrouter for port in self.ports.values()):
                membership.open_hands(self)

    def lane_for(self, number):
        """The core that a new port's queue is given to: in turn."""
        return 1 + (number - 1) % self.engine.cores

    def port_name(self, number):
        """The name of a port by its number, or None."""
        return self.ports[number].name if number in self.ports else None

    def port_names(self):
        """The names of all ports."""
        return list(self.ports)

    def rule_text(self, index):
        """A rule as people write it, by the index of its record."""
        if index == NULL:
            return "no rule"
        rule = self.rules.at(index)
        return f"rule {rule.text!r}" if rule else "a rule that is gone"

    def megaflow_of(self, mbuf, lane):
        """The megaflow that a packet was resolved to, or None."""
        flows = self.engine.array("megaflows", lane, "flows")
        f = int(self.engine.array("mbufs")["flow"][mbuf])
        return Megaflow(self, [(lane, f)]) if f < len(flows) and flows["alive"][f] else None

    def last_outputs(self):
        """The numbers of the ports that packets left through, the latest last."""
        return [number for step in self.timeline for number in step.sent if number]

    def mac_of(self, ip):
        """The MAC of the port that has an IP address, or None."""
        return next((port.mac for port in self.ports.values() if port.ip == ip), None)

    def next_serial(self):
        """A number for a packet that comes in."""
        self._serial += 1
        return self._serial

    def recorded_room(self, n):
        """Room for a list of recorded frames; where it begins."""
        first = self._recorded.take(n)
        if first is None:
            raise ValueError("the switch has recorded all the frames that it can: use fewer or shorter captures")
        return self.engine.recorded + first

    def recorded_back(self, first, n):
        """A list of recorded frames is not needed any more."""
        self._recorded.give(first - self.engine.recorded, n)

    def inject(self, port, frames):
        """Queue frames at a port; how many found room."""
        with self.lock:
            self._open()
            if port.name not in self.ports or self.ports[port.name].number != port.number:
                raise RuntimeError(f"port {port.name} was removed from {self.name}: add it again with sw.add_port({port.name!r})")
            if self.cores.running:
                return port.queue(frames)
            return self.walk.act(f"inject {port.name}", INTAKE, lambda: port.queue(frames), lambda: self._inject_again(port, frames))

    def _inject_again(self, port, frames):
        """Queue frames that a person injected behind a step that was taken back; an empty pool has been told of already."""
        with suppress(PoolEmpty):
            self.inject(port, frames)

    def collect_port(self, port):
        """Move what a port has sent into `sent`, while the cores run."""
        if self.cores.running:
            with self.lock:
                port.take_sent()

    # --- stepping -----------------------------------------------------------------------------

    @property
    def timeline(self):
        """The steps so far."""
        return self.walk.timeline

    def _tell(self, step):
        step.sentence, step.cure = sentence_of(self, step), cure_of(self, step)
        step.frame = frame_of(self, step)

    def _open(self):
        if self.closed:
            raise RuntimeError(f"{self.name} is closed: make another with Switch({self.name!r})")

    def _stopped(self, what):
        self._open()
        if self.cores.running:
            raise RuntimeError(f"{self.name} is started: {what} needs it to stand still; sw.stop() first")

    def step(self, into=False):
        """Run one stage on one burst and return the Step, or None when nothing moves. `into=True` goes on by one line inside it."""
        with self.lock:
            self._stopped("step")
            step = self.walk.into() if into else self.walk.step()
        self.commands.show()
        return step

    def back(self):
        """Take the last step back, exactly; the Step now current, or None."""
        with self.lock:
            self._stopped("back")
            step = self.walk.back()
        self.commands.show()
        return step

    def run(self, limit=10_000):
        """Run compiled stages until nothing moves; a summary with its steps."""
        with self.lock:
            self._stopped("run")
            with progress_line() as progress:
                self.engine.pipeline.load(progress)
            if self.walk.inside:
                self.walk.step()
            steps = []
            while len(steps) < limit and (step := self.walk.step(compiled=True)) is not None:
                steps.append(step)
        self.commands.show()
        return Summary(steps)

    def goto(self, number):
        """Go back or forward to a step that was taken."""
        with self.lock:
            self._stopped("goto")
            while self.timeline.reached > number and self.walk.back() is not None:
                pass
            while self.timeline.reached < number and self.walk.forward() is not None:
                pass
        self.commands.show()
        return self.timeline.last

    def frame(self):
        """The picture of the step now current, as plain data."""
        with self.lock:
            step = self.walk.current()
            if step is None or step.frame is None:
                return frame_of(self, step)
            return {**step.frame, "steps": len(self.timeline) + len(self.timeline.future)}

    def watch(self, callback):
        """Call with each new frame; returns a function that ends it."""
        return self.commands.watch(callback)

    def fork(self, name=None):
        """A what-if copy of the whole switch: the same memory, ports, rules and stages, from now on independent."""
        from lab.control.fork import fork

        with self.lock:
            self._stopped("fork")
            with self.walk.outside():
                return fork(self, name or f"{self.name}-fork")

    def trace(self, frame, in_port=None):
        """The story of a packet: what would happen to it, stage by stage; nothing changes."""
        with self.lock:
            port = self.ports[in_port] if in_port is not None else next(iter(self.ports.values()), None)
            if port is None:
                raise ValueError(f"{self.name} has no port that the packet could come in through: sw.add_port('vm1')")
            copy = self.fork(f"{self.name}-trace")
        try:
            return Story(copy, port.name, frame)
        finally:
            copy.close()

    # --- cores --------------------------------------------------------------------------------

    def start(self, spin=False):
        """Let the cores forward at full speed until `stop()`."""
        with self.lock:
            self._open()
            if self.cores.running:
                return self
            self.walk.leave_stage()
            with progress_line() as progress:
                self.cores.start(spin, progress)
        return self

    def stop(self):
        """Stop the cores between two stages; always returns."""
        if self.cores.running:
            self.cores.stop()
            with self.lock:
                self.cores.recall()
                self.settled()
                self.walk.sync()
            self.commands.show()
        return self

    def settled(self):
        """Every core has seen the latest change of rules or ports."""
        epoch = int(self.engine.array("config")["epoch"][0])
        if self.cores.running:
            self.cores.wait_for(epoch)
            return
        for lane in self.engine.lanes:
            if int(self.engine.array("lane", lane)["epoch"][0]) != epoch:
                self.walk.act("look up anew", membership.looked_up(self.engine, lane), partial(self.walk.revalidate, lane), self.settled)

    def stepper(self, **options):
        """The stepper: a picture of the switch at one step, with STEP, BACK, INTO and RUN."""
        from importlib import import_module

        return import_module("lab.ui.stepper").Stepper(self, **options)

    def close(self):
        """Stop and let go of everything."""
        if not self.closed:
            self.stop()
            self.commands.close()
            for port in self.ports.values():
                port.let_go()
            self.closed = True

    def facts(self):
        """What the interface draws."""
        rows = [
            ["ports", ", ".join(self.ports) or "none: sw.add_port('vm1')"],
            ["rules", len(self.rules)],
            ["megaflows", len(self.megaflows)],
            ["stages", " → ".join(place.name for place in self.engine.pipeline.main)],
            ["EMC", repr(self.emc)[1:-1]],
            ["mempool", repr(self.mempool)[1:-1]],
            ["cores", ", ".join(repr(pmd)[1:-1] for pmd in self.pmds)],
        ]
        failures = "; ".join(str(failure) for failure in self.cores.failures[-3:])
        return {"title": repr(self)[1:-1], "columns": ["", ""], "rows": rows, "note": failures}


@atexit.register
def _close_all():
    for switch in living():
        switch.close()
