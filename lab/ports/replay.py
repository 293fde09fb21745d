"""The pcap port: it replays a capture into the switch and can write what leaves into another.

The recorded frames stand in mbufs of the arena, so a core copies them at full speed; `pace` is a number of frames a
second, None as fast as the core asks, "recorded" the average rate of the file's timestamps, evenly. With `loop` it
begins anew behind the last frame, with `sink` what leaves is counted and not kept. While it replays it takes no other frames.
"""

from lab.ports.capture import Writer, read
from lab.ports.intake import give_back, load_frame
from lab.ports.port import Port

LONGEST = 16384  # recorded frames that one port may hold


class PcapPort(Port):
    """A port that reads a capture, and writes one when told to."""

    kind = "pcap"
    code = 2
    receive_stage = "replay"

    def __init__(self, switch, name, number, *, path=None, write=None, pace=None, loop=False, sink=False, **rest):
        if sink:
            self.transmit_stage = "sink"
        self.path, self.pace, self.loop = path, pace, loop
        self.templates, self._room, self.writer = [], (0, 0), None  # _room: where their list stands, and how long it is
        self._check_pace(name)
        frames = list(read(path)) if path else []
        super().__init__(switch, name, number, **rest)
        try:
            self._not_empty([frame.data for frame in frames])
            frames = [frame for frame in frames if frame.data]
            self.record([frame.data for frame in frames], [frame.ns for frame in frames])
            self.writer = Writer(write) if write else None
        except BaseException:
            self.leave()
            raise
        if self.writer:
            self.watchers.append(self._write)

    def _check_pace(self, name):
        pace = self.pace
        if pace not in (None, "recorded") and (not isinstance(pace, int) or pace < 1):
            raise ValueError(f"port {name}: pace={pace!r} is neither frames a second, from 1 on, nor 'recorded' nor None")

    def twin(self, switch):
        """In a fork the recorded frames are the fork's own, and nothing is written."""
        twin = super().twin(switch)
        twin.templates, twin.writer = list(self.templates), None
        return twin

    def record(self, frames, stamps=()):
        """Replay these frames from now on, instead of any before; without any, or when they find no room, the port only sends."""
        if len(frames) > LONGEST:
            raise ValueError(f"port {self.name}: {len(frames)} frames are more than the {LONGEST} that a port replays: cut the capture")
        if self.templates and self.switch.cores.running:
            raise RuntimeError(f"port {self.name}: a core replays its frames at this moment: sw.stop() before others are recorded")
        self.forget()
        if not frames:
            return
        self._room = self.switch.recorded_room(len(frames)), len(frames)
        try:
            self._load(frames, stamps)
        except BaseException:
            self.forget()
            raise
        self.row["replay_first"], self.row["replay_n"] = self._room
        self.row["option"] = 0 if self.loop else len(frames)
        self.row["receive"] = self.engine.pipeline.number("replay")
        self.row["pace"], self.row["stamped"] = self._rate(stamps), bool(stamps)
        self.row["paced_at"] = self.engine.now
        for lane in self.engine.lanes:
            for key in ("replayed", "position"):
                self.engine.array("port_stats", lane)[key][self.number] = 0

    def _load(self, frames, stamps):
        """Put the frames into mbufs, and these into the list that the core reads."""
        slots, mbufs = self.engine.array("rings", None, "slots"), self.engine.array("mbufs")
        for at, data in enumerate(frames):
            try:
                self.templates.append(load_frame(self.engine, data, {}, 0, self.switch.cores.refill))
            except (ValueError, MemoryError) as error:
                raise type(error)(f"port {self.name}: frame {at + 1} of {self.path or 'the list'}: {error}") from None
            mbufs["timestamp"][self.templates[-1]] = stamps[at] if stamps else 0
            mbufs["in_port"][self.templates[-1]] = self.number
            slots["index"][self._room[0] + at] = self.templates[-1]

    def forget(self):
        """Hold no recorded frames any more: the port only sends, and takes what is injected."""
        self.row["replay_n"], self.row["option"], self.row["receive"] = 1, -1, self.engine.pipeline.number("receive")
        for i in self.templates:
            give_back(self.engine, i)
        self.templates.clear()
        self.switch.recorded_back(*self._room)
        self._room = 0, 0

    def inject(self, frame, **options):
        """Queue frames as any port does; one that replays takes none."""
        if self.templates:
            source = self.path or "recorded frames"
            raise ValueError(f"port {self.name} replays {source} and takes no other frame: inject at another port, or sw.add_port('vm9')")
        return super().inject(frame, **options)

    def empty(self):
        """Give back what waits, the recorded frames too."""
        lost = super().empty()
        self.forget()
        return lost

    def _rate(self, stamps):
        """Frames a second, as told or as they were recorded on average."""
        if self.pace == "recorded":
            span = (stamps[-1] - stamps[0]) / 1e9 if len(stamps) > 1 else 0
            return max(1, round((len(stamps) - 1) / span)) if span > 0 else 0
        return int(self.pace or 0)

    @property
    def waiting(self):
        """How many recorded frames are still to come; of a port that loops, those of one round."""
        if int(self.row["option"]) < 0:
            return super().waiting
        left = int(self.row["option"]) - self._total("replayed") if not self.loop else len(self.templates)
        return max(0, left)

    @property
    def due(self):
        """How many of them the pace lets come by now."""
        waiting, pace = self.waiting, int(self.row["pace"])
        if waiting == 0 or pace == 0:
            return waiting
        since = int(self.engine.array("lane", self.lane)["now"][0]) - int(self.row["paced_at"])
        return max(0, min(waiting, since * pace // 1_000_000 - self._total("replayed")))

    def _write(self, packets):
        for packet in packets:
            self.writer.write(packet.bytes(), self.engine.now * 1000)
        self.writer.flush()

    def leave(self):
        """The port goes, and the frames that it held."""
        lost = super().leave()
        self.let_go()
        return lost

    def let_go(self):
        """Close the capture that is written."""
        if self.writer:
            self.writer.close()
