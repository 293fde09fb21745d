"""Wrappers: the wire in front of a port, as an object with the port's own face.

`Tap` writes what passes into a capture, `Impaired` loses, delays, reorders and duplicates what is injected. A wrapper takes
its port's place in `sw.ports` until it is closed, and wrappers wrap wrappers. Only what goes through `inject` meets them on
its way in: frames that a pcap port replays are the arena's own. They stand outside the arena, so stepping back rewinds no
capture and no dice; in a fork the wire is a plain one.
"""

import heapq
import random

from lab.live import Live
from lab.memory.mbuf import FILL, MAX_SEGMENTS
from lab.memory.reasons import IMPAIRED
from lab.ports.capture import Writer
from lab.ports.intake import PoolEmpty, offload

LONGEST = FILL * MAX_SEGMENTS
LATER = float("inf")


class Wrapper(Live):
    """A port with something in front of it: every attribute that is not the wrapper's own is the port's."""

    def __init__(self, port):
        if port.switch.ports.get(port.name) is not port:
            raise ValueError(f"port {port.name} is wrapped already, or gone: wrap what stands there now, sw.ports[{port.name!r}]")
        self.port = port
        port.switch.ports.adopt(self)

    def __getattr__(self, name):
        if "port" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no port yet, so no {name!r}")
        return getattr(self.port, name)

    def __setattr__(self, name, value):
        own = name == "port" or name in self.__dict__ or not hasattr(self.__dict__.get("port"), name)
        (super() if own else self.port).__setattr__(name, value)

    def __dir__(self):
        return sorted({*super().__dir__(), *dir(self.port)})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Take the wrapper away: the port, or what else it wraps, stands in its place again."""
        ports, above = self.port.switch.ports, None
        held = ports.get(self.name)
        while isinstance(held, Wrapper) and held is not self:
            above, held = held, held.port
        if held is self and above is None:
            ports.adopt(self.port)
        elif held is self:
            above.port = self.port

    def facts(self):
        """What the interface draws."""
        facts = self.port.facts()
        return {**facts, "title": repr(self)[1:-1], "rows": [*self.told(), *facts["rows"]]}

    def told(self):
        """The rows that the wrapper adds to its port's."""
        return []


class Tap(Wrapper):
    """A port whose wire is captured: frames injected through it, and packets that leave, into one file.

    Time is the engine's clock. Close it, or use it in a `with`, before the file is read.

    >>> from lab import Switch
    >>> with Tap(Switch().add_port("vm1"), "/dev/null") as tap:
    ...     queued = tap.inject([bytes(60), bytes(90)])
    >>> tap.captured_in
    2
    """

    def __init__(self, port, path, kind="pcapng"):
        self.writer = Writer(path, kind)
        self.captured_in = self.captured_out = 0
        super().__init__(port)
        port.watchers.append(self._leaving)

    def inject(self, frame, **options):
        """Capture what is injected, and inject it."""
        frames = self.port._frames(frame)
        for data in frames:
            self._write(data, "in")
        self.captured_in += len(frames)
        return self.port.inject(frames, **options)

    def _leaving(self, packets):
        for packet in packets:
            self._write(packet.bytes(), "out")
        self.captured_out += len(packets)

    def _write(self, data, side):
        self.writer.write(bytes(data), self.engine.now * 1000, interface=f"{self.name} {side}")

    def close(self):
        """Stop capturing and finish the file; again does nothing."""
        if self._leaving in self.port.watchers:
            self.port.watchers.remove(self._leaving)
        self.writer.close()
        super().close()

    def told(self):
        """The rows that the wrapper adds to its port's."""
        return [["capture", str(self.writer.path)], ["captured", f"{self.captured_in} in, {self.captured_out} out"]]

    def __repr__(self):
        return f"<Tap: {self.captured_in} in, {self.captured_out} out into {self.writer.path}; around {self.port!r}>"


class Impaired(Wrapper):
    """A port behind a bad wire: what is injected through it may be lost, late, out of order or doubled, the same way for the same seed.

    `loss`, `reorder` and `duplicate` are shares between 0 and 1; a delay is `delay_ms`, more or less by up to `jitter_ms`, of
    the engine's clock. A late frame arrives when the switch next looks at the port behind its time, or by `flush()`; a
    reordered one lets the next frame go first, if one comes.

    >>> from lab import Switch
    >>> wire = Impaired(Switch().add_port("vm1"), seed=7, loss=0.1)
    >>> wire.inject([bytes(60)] * 100), wire.lost
    (87, 13)
    """

    def __init__(self, port, seed=0, *, loss=0.0, delay_ms=0, jitter_ms=0, reorder=0.0, duplicate=0.0):
        shares = {"loss": loss, "reorder": reorder, "duplicate": duplicate}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{port.name}: {name}={share} is not a share between 0 and 1")
        if not 0 <= jitter_ms <= delay_ms:
            raise ValueError(f"{port.name}: jitter_ms={jitter_ms} is not between 0 and delay_ms={delay_ms}: nothing arrives before it left")
        self.seed, self.loss, self.delay_ms, self.jitter_ms = seed, loss, delay_ms, jitter_ms
        self.reorder, self.duplicate = reorder, duplicate
        self.offered = self.lost = self.reordered = self.duplicated = self.delivered = self.refused = 0
        self._dice, self._turn, self._wire, self._busy = random.Random(seed), 0, [], False
        super().__init__(port)

    def inject(self, frame, **options):
        """Put frames on the wire; how many of them, and of those before, were queued at the port."""
        frames = self.port._frames(frame)
        for data in frames:
            _check(data, **options)
        lost = sum(self._lose(data, options) for data in frames)
        if lost:
            self._count_lost(lost)
        return self._arrive(self.engine.now, self._turn)

    def _lose(self, data, options):
        """Throw the dice for one frame: 1 if it is lost. Every frame takes four throws, so one share never changes another's luck."""
        lost, doubled, late, spread = (self._dice.random() for _ in range(4))
        self.offered += 1
        if lost < self.loss:
            self.lost += 1
            return 1
        self._turn += 1
        turn = self._turn + 1.5 * (late < self.reorder)
        self.reordered += late < self.reorder
        due = self.engine.now + round(1000 * (self.delay_ms + self.jitter_ms * (2 * spread - 1)))
        heapq.heappush(self._wire, (due, turn, self.offered, data, options))
        if doubled < self.duplicate:
            self.duplicated += 1
            heapq.heappush(self._wire, (due, turn, self.offered + 0.5, data, options))
        return 0

    def _count_lost(self, n):
        """Count losses where the switch counts its reasons; what a person does stays when a step is taken back."""
        switch = self.switch

        def count():
            self.engine.array("reasons", 0)["count"][IMPAIRED] += n

        with switch.lock:
            if switch.cores.running:
                count()
            else:
                switch.walk.act(f"lose {n} at {self.name}", ("reasons",), count, lambda: self._count_lost(n))

    def _arrive(self, now, turn=LATER, patient=False):
        """Hand the port what is due at a time, in order; how many it queued. While the pool is empty the rest stays on the wire."""
        queued = 0
        with self.switch.lock:
            if self._busy:
                return 0
            self._busy = True
            try:
                while self._wire and self._wire[0][0] <= now and self._wire[0][1] <= turn:
                    *_, data, options = self._wire[0]
                    taken = self.port.inject(data, **options)
                    heapq.heappop(self._wire)
                    queued += taken
                    self.delivered += taken
                    self.refused += 1 - taken
            except PoolEmpty:
                if not patient:
                    raise
            finally:
                self._busy = False
        return queued

    def flush(self):
        """Let everything on the wire arrive now, whatever its time; how many frames the port queued."""
        return self._arrive(LATER)

    @property
    def on_the_wire(self):
        """How many frames have not arrived yet."""
        return len(self._wire)

    @property
    def waiting(self):
        """How many frames wait to be received; what is due has arrived by then. Inside a stage no time passes."""
        if not self.switch.walk.inside:
            self._arrive(self.engine.now, patient=True)
        return self.port.waiting

    def take_sent(self):
        """Once a step, or every few milliseconds while the switch is started: the moment to let arrive what is due."""
        if self.switch.cores.running:
            self._arrive(self.engine.now, patient=True)
        return self.port.take_sent()

    def leave(self):
        """The port goes, and what was still on its wire with it."""
        self._wire.clear()
        return self.port.leave()

    def close(self):
        """Let everything arrive and take the wrapper away."""
        self.flush()
        super().close()

    def told(self):
        """The rows that the wrapper adds to its port's."""
        return [
            ["wire", self._words()],
            ["offered", self.offered],
            ["lost", self.lost],
            ["reordered", self.reordered],
            ["duplicated", self.duplicated],
            ["on the wire", self.on_the_wire],
        ]

    def _words(self):
        shares = {"loses": self.loss, "reorders": self.reorder, "duplicates": self.duplicate}
        words = [f"{verb} {share:.3g}" for verb, share in shares.items() if share]
        if self.delay_ms:
            words.append(f"delays {self.delay_ms:g}" + (f" ± {self.jitter_ms:g}" if self.jitter_ms else "") + " ms")
        return ", ".join([*(words or ["changes nothing"]), f"seed {self.seed}"])

    def __repr__(self):
        counts = f"{self.offered} offered, {self.lost} lost, {self.reordered} reordered, {self.duplicated} duplicated"
        return f"<Impaired: {self._words()}; {counts}, {self.on_the_wire} on the wire; around {self.port!r}>"


def _check(data, gso_size=0, vnet_hdr=None, external=False):
    """Refuse at once what the port would refuse when it arrives."""
    if not 0 < len(data) <= LONGEST:
        raise ValueError(f"a frame has 1 to {LONGEST} bytes, this one {len(data)}")
    offload(data, gso_size, vnet_hdr)
