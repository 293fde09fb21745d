"""A real Open vSwitch that says what it sends, byte for byte, and which megaflow it would install: the oracle of translation.

Ports are dummies that write what leaves them into captures. The daemon is asked through its socket directly, since a process
for each question would take longer than the answer.

    with Peer(folder) as ovs:
        ovs.rules(["actions=output:2"])
        ovs.send(1, frame)        # {2: [frame]}
        ovs.megaflow(1, frame)    # 'recirc_id=0,eth,in_port=1,dl_type=0x0800,nw_frag=no'
"""
import json
import socket
import struct

from real_ovs import RealSwitch, RefusedError

HEADER = 24  # of a capture
RECORD = 16  # of a packet in it
A_ROUND = 10  # questions that the daemon answers before it looks at its ports again
OLD = "cookie=10,"  # begins a rule that is told in OpenFlow 1.0, where mod_vlan_vid changes a tag or adds one


class Peer(RealSwitch):
    """A RealSwitch whose ports are captured."""

    def __enter__(self):
        super().__enter__()
        self._socket, self._decoder = None, json.JSONDecoder()
        database = f"--db=unix:{self.folder}/db.sock"
        words = []
        for n in range(1, self.ports + 1):
            words += ["--", "set", "interface", f"p{n}", f"options:tx_pcap={self.folder}/p{n}.pcap"]
        self.run("ovs-vsctl", database, *words[1:])
        self._read = dict.fromkeys(range(1, self.ports + 1), HEADER)
        return self

    def __exit__(self, *error):
        if getattr(self, "_socket", None) is not None:
            self._socket.close()
        super().__exit__(*error)

    def appctl(self, method, *words):
        """A command of ovs-appctl; what it prints."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(20)
            self._socket.connect(f"{self.folder}/ovs-vswitchd.ctl")
        return self._ask([(method, words)])[0]

    def _ask(self, questions):
        """Ask all at once; the answers."""
        asked = [json.dumps({"id": 0, "method": method, "params": list(words)}) for method, words in questions]
        self._socket.sendall("".join(asked).encode())
        text, answers, at = "", [], 0
        while len(answers) < len(questions):
            text += self._socket.recv(1 << 16).decode()
            while True:
                try:
                    answer, at = self._decoder.raw_decode(text, at)
                except ValueError:
                    break
                answers.append(answer)
        wrong = next((answer["error"] for answer in answers if answer["error"]), None)
        if wrong:
            raise RuntimeError(f"{questions[0]}: {wrong}")
        return [answer["result"] for answer in answers]

    def rules(self, rules, groups=()):
        """Have just these rules and groups, those left out that are refused: {rule: why}."""
        old = [rule for rule in rules if rule.startswith(OLD)]
        new = [rule for rule in rules if not rule.startswith(OLD)]
        self.ofctl("del-flows", options=("-O", "OpenFlow13"))
        self.ofctl("del-groups", options=("-O", "OpenFlow15"))
        if groups:
            self._give("add-groups", groups, "OpenFlow15")
        refused = {**self._add(old, "OpenFlow10"), **self._add(new, "OpenFlow15")}
        self.forget()
        return refused

    def _add(self, rules, version):
        """Add rules, those that are refused left out: {rule: why}."""
        try:
            if rules:
                self._give("add-flows", rules, version)
        except RefusedError:
            refused = {}
            for rule in rules:
                try:
                    self._give("add-flows", [rule], version)
                except RefusedError as error:
                    refused[rule] = str(error)
            return refused
        return {}

    def _give(self, verb, lines, version):
        self.run("ovs-ofctl", "-O", version, verb, f"unix:{self.folder}/br0.mgmt", "-", stdin="\n".join(lines) + "\n")

    def forget(self):
        """No megaflow, no learned address."""
        self.appctl("dpctl/del-flows")
        self.appctl("fdb/flush", "br0")

    def send(self, port, frame):
        """Let a frame come in at a port: the frames that left, in order, {port: frames}."""
        self.appctl("netdev-dummy/receive", f"p{port}", frame.hex())
        self._ask([("version", ())] * (1 + A_ROUND))  # the last is answered behind the round in which the frame is forwarded
        return {n: frames for n in self._read if (frames := self._captured(n))}

    def _captured(self, n):
        with open(f"{self.folder}/p{n}.pcap", "rb") as file:
            file.seek(self._read[n])
            data = file.read()
        self._read[n] += len(data)
        frames, at = [], 0
        while at < len(data):
            length = struct.unpack_from("<I", data, at + 8)[0]
            frames.append(data[at + RECORD:at + RECORD + length])
            at += RECORD + length
        return frames

    def trace(self, port, frame):
        """What ofproto/trace tells of a frame."""
        return self.appctl("ofproto/trace", "br0", f"in_port={port}", frame.hex())

    def megaflow(self, port, frame):
        """The match of the megaflow that a frame's first pass makes, and its datapath actions, in Open vSwitch's words."""
        story = self.trace(port, frame)
        return said(story, "Megaflow: "), said(story, "Datapath actions: ")


def said(story, what):
    """The first line of a story that begins with some words, without them."""
    return next(line.removeprefix(what) for line in story.splitlines() if line.startswith(what))
