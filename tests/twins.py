"""Two switches with the same tables: ours and a real Open vSwitch, given the same frames.

`load` gives both the same groups and rules, `difference` lets a frame in at both and says what they sent where they differ.
Frames go through our switch in bursts as long as they come out as they do there; only then each is looked at alone.
"""
import tempfile

from lab import Switch

PORTS = 4


class Twins:
    """A switch of ours beside a Peer."""

    def __init__(self, peer):
        self.peer, self.ours = peer, Switch(fail_mode="secure")
        self.ports = [self.ours.add_port(f"p{n}") for n in range(1, PORTS + 1)]
        self.learns = False

    def load(self, groups, rules):
        """Give both the same groups and rules; the rules that one refuses are left out of both: {rule: why}."""
        refused = self.peer.rules(rules, groups)
        self.ours.ofctl("del-flows")
        self.ours.ofctl("del-groups -O OpenFlow15")
        for group in groups:
            self.ours.ofctl(f"add-group -O OpenFlow15 {group}")
        taken = [rule for rule in rules if rule not in refused]
        with tempfile.NamedTemporaryFile("w", suffix=".flows") as file:
            file.write("\n".join(taken))
            file.flush()
            try:
                self.ours.ofctl(f"add-flows {file.name}")
            except ValueError:
                refused.update(self._one_by_one(taken))
                self.peer.rules([rule for rule in taken if rule not in refused], groups)
        self.learns = any("normal" in said for said in (*rules, *groups))
        self.forget()
        return refused

    def _one_by_one(self, rules):
        """Give ours those rules that it takes; the others, with why not."""
        refused = {}
        for rule in rules:
            try:
                self.ours.ofctl(f"add-flow {rule}")
            except ValueError as error:
                refused[rule] = f"ours: {error}"
        return refused

    def forget(self):
        """Both know no address and have no megaflow."""
        self.peer.forget()
        if self.learns:
            self.ours.appctl("fdb/flush")
            self.ours.appctl("dpctl/del-flows")

    def send(self, packets):
        """What both send of some (port, frame), as ({port: frames}, {port: frames})."""
        theirs = {n: [] for n in range(1, PORTS + 1)}
        for port, frame in packets:
            for n, frames in self.peer.send(port, frame).items():
                theirs[n] += frames
            self.ports[port - 1].inject(frame)
        self.run()
        mine = {port.number: [packet.bytes() for packet in port.sent] for port in self.ports}
        for port in self.ports:
            port.sent.clear()
        return mine, theirs

    def run(self):
        """Let our switch come to rest."""
        self.ours.run()

    def differences(self, packets):
        """Those of the packets that the two treat differently, as (port, frame, ours, theirs)."""
        if not self.learns:
            mine, theirs = self.send(packets)
            if {n: sorted(frames) for n, frames in mine.items()} == {n: sorted(frames) for n, frames in theirs.items()}:
                return []
        found = []
        for port, frame in packets:
            self.forget()
            mine, theirs = self.send([(port, frame)])
            if mine != theirs:
                found.append((port, frame, mine, theirs))
        return found
