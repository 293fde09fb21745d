"""The pcap port: it replays a capture into the switch and can write what leaves into another.

The recorded frames stand in mbufs of the arena, so a core copies them at full speed; `pace` is a number of frames a
second, None as fast as the core asks, "recorded" by the timestamps of the file.
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
        if not (pace is None or pace == "recorded" or (isinstance(pace, int) and pace > 0)):
            raise ValueError(f"port {name}: pace={pace!r} is no number of frames a second, nor 'recorded': leave it out for full speed")
        frames = list(read(path)) if path else []
        super().__init__(switch, name, number, **rest)
        self.path, self.pace, self.loop, self.templates = path, pace, loop, []
        self.writer = Writer(write) if write else None
        self._not_empty([frame.data for frame in frames])
        frames = [frame for frame in frames if frame.data]
        if frames:
            self.record([frame.data for frame in frames], [frame.ns for frame in frames])
        else:
            self.row["replay_n"] = 1
            self.row["option"] = -1  # nothing recorded: the port only sends
            self.row["receive"] = self.engine.pipeline.number("receive")
        if self.writer:
            self.watchers.append(self._write)

    def record(self, frames, stamps=()):
        """Keep frames to be replayed."""
        if len(frames) > LONGEST:
            raise ValueError(f"port {self.name}: {len(frames)} frames are more than the {LONGEST} that a port replays: cut the capture")
        slots = self.engine.array("rings", None, "slots")
        first = self.switch.recorded_room(len(frames))
        mbufs = self.engine.array("mbufs")
        try:
            for at, data in enumerate(frames):
                self.templates.append(load_frame(self.engine, data, {}, 0, self.switch.cores.refill))
                mbufs["timestamp"][self.templates[-1]] = stamps[at] if stamps else 0
                mbufs["in_port"][self.templates[-1]] = self.number
                slots["index"][first + at] = self.templates[-1]
        except BaseException:
            self._return_templates()
            raise
        self.row["replay_first"], self.row["replay_n"] = first, max(1, len(frames))
        self.row["option"] = 0 if self.loop else len(frames)
        self.row["receive"] = self.engine.pipeline.number("replay")
        self.row["pace"], self.row["stamped"] = self._rate(stamps), bool(stamps)
        self.row["paced_at"] = self.engine.now
        for lane in self.engine.lanes:
            for key in ("replayed", "position"):
                self.engine.array("port_stats", lane)[key][self.number] = 0

    def _rate(self, stamps):
        """Frames a second, as told or as recorded."""
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
    def ready(self):
        """Whether a frame is due: a port that keeps a pace waits for the clock."""
        pace = int(self.row["pace"])
        passed = int(self.engine.array("lane", self.lane)["now"][0]) - int(self.row["paced_at"])
        return pace == 0 or passed * pace // 1_000_000 > self._total("replayed")

    def _write(self, packets):
        for packet in packets:
            self.writer.write(packet.bytes(), self.engine.now * 1000)

    def leave(self):
        """The port goes, and the frames that it held."""
        lost = super().leave()
        self._return_templates()
        if self.writer:
            self.writer.close()
        return lost

    def _return_templates(self):
        for i in self.templates:
            give_back(self.engine, i)
        self.templates.clear()
