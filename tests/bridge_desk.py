"""A bridge around NORMAL alone: ports as records, a desk, frames as bytes, and an Open vSwitch to compare with.

    bridge = Bridge(3)
    bridge.port(1, ACCESS, 10)
    bridge.switch(1, frame(vid=None))  # {2: frame with tag 10, 3: ...}
"""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tempo import LANE_OF_TESTS, Tempo

from lab.flow.actions import CREDIT_MAC, OUTPUT, POP_VLAN, PUSH_VLAN, SET, VLAN_TCI
from lab.flow.key import W_DST, W_PORT, W_SRC, W_VLAN, WIDE, WORDS
from lab.translate.emit import HALF, Mind
from lab.translate.ledger import L_NORMAL
from lab.translate.normal import normal
from lab.translate.records import ASKED, FLOW, KNOWN

EVERY = (1 << 64) - 1
A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
ALL = "ff:ff:ff:ff:ff:ff"


def frame(*tags, src=A, dst=B, kind=0x0800):
    """An Ethernet frame: `tags` are TCIs, or (TPID, TCI), the outermost first."""
    data = bytes.fromhex(dst.replace(":", "")) + bytes.fromhex(src.replace(":", ""))
    for tag in tags:
        tpid, tci = tag if isinstance(tag, tuple) else (0x8100, tag)
        data += tpid.to_bytes(2, "big") + tci.to_bytes(2, "big")
    return data + kind.to_bytes(2, "big") + bytes(46)


def tags_of(data):
    """The tags of a frame, the outermost first: (TPID, TCI)."""
    tags, at = [], 12
    while data[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        tags.append((int.from_bytes(data[at:at + 2], "big"), int.from_bytes(data[at + 2:at + 4], "big")))
        at += 4
    return tags


def with_tags(data, tags):
    """A frame with other tags."""
    body = data[12 + 4 * len(tags_of(data)):]
    return data[:12] + b"".join(tpid.to_bytes(2, "big") + tci.to_bytes(2, "big") for tpid, tci in tags) + body


class Bridge:
    """Ports 1 to n and what NORMAL needs."""

    def __init__(self, n, vlan_limit=1):
        self.tempo = Tempo()
        self.mind = Mind(*(self.tempo.table(name) for name in Mind._fields))
        self.now = 1_000_000
        for number in range(1, n + 1):
            self.mind.ports[number].kind = 1
        config = self.mind.config[0]
        config.vlan_limit, config.mac_limit, config.mac_age_us = vlan_limit, 8192, 300_000_000
        self.mind.lane[0].number = LANE_OF_TESTS
        self.mind.ledger[0].on = 1

    def port(self, number, mode, tag=0, trunks=(), flags=0):
        """How a port takes part."""
        row = self.mind.vlans[number]
        row.mode, row.tag, row.marks = mode, tag, flags
        for j in range(64):
            row.trunks[j] = sum(1 << (vlan & 63) for vlan in set(trunks) if vlan >> 6 == j)

    def begin(self, port, data, learns=1):
        """Put a frame's key on the desk, as translation does."""
        tags = (*tags_of(data)[: self.mind.config[0].vlan_limit], (0, 0), (0, 0))[:2]
        at = 12 + 4 * min(len(tags_of(data)), self.mind.config[0].vlan_limit)
        w = [0] * WIDE
        w[W_PORT] = port << 32
        w[W_DST] = int.from_bytes(data[at:at + 2], "big") << 48 | int.from_bytes(data[:6], "big")
        w[W_SRC] = int.from_bytes(data[6:12], "big")
        for n, (tpid, tci) in enumerate(tags):
            w[W_VLAN] |= (tpid << 16 | tci | (0x1000 if tpid else 0)) << 32 * (1 - n)
        self.put_on_desk(w, port, learns)

    def put_on_desk(self, w, port, learns):
        """Begin a translation of a key."""
        desk = self.mind.desk
        x = desk.xlate[0]
        x.n_acts = x.n_credits = x.changes = x.error = x.why = 0
        x.learns, x.now, x.in_port, x.table = learns, self.now, port, 0
        self.mind.ledger[0].n = 0
        for j in range(WIDE):
            desk.flows[FLOW].w[j] = w[j]
            desk.flows[KNOWN].w[j] = 0 if j < WORDS else EVERY
            desk.flows[ASKED].w[j] = 0
        if self.mind.config[0].vlan_limit == 1:
            desk.flows[KNOWN].w[W_VLAN] = 0xFFFFFFFF

    def translate(self):
        """Run NORMAL on what is at the desk, as plain Python; its actions."""
        normal(self.mind)
        return self.acts()

    def acts(self):
        """The actions in the draft: (op, detail, arg, v0, m0)."""
        desk = self.mind.desk
        assert desk.xlate[0].error == 0
        rows = [desk.draft[i] for i in range(desk.xlate[0].n_acts)]
        return [(act.op, act.detail, act.arg, int(act.v0), int(act.m0)) for act in rows]

    def switch(self, port, data, learns=1):
        """{port: frame} of what NORMAL sends when a frame comes in."""
        self.begin(port, data, learns)
        before = [int(word) for word in self.flow]
        sent, left = perform(self.translate(), data)
        assert left == data, "behind NORMAL the packet must be as it was"
        assert [int(word) for word in self.flow] == before
        return sent

    @property
    def flow(self):
        """The words of the flow."""
        return [self.mind.desk.flows[FLOW].w[j] for j in range(WIDE)]

    @property
    def asked(self):
        """The words of the mask."""
        return [int(self.mind.desk.flows[ASKED].w[j]) for j in range(WIDE)]

    @property
    def why(self):
        """Why nothing was sent."""
        return self.mind.desk.xlate[0].why

    @property
    def story(self):
        """The kinds of what NORMAL has said."""
        rows = [self.mind.ledger[i] for i in range(1, self.mind.ledger[0].n + 1)]
        return [row.a for row in rows if row.kind == L_NORMAL]

    @property
    def credits(self):
        """(key, port) of the MAC credits."""
        desk = self.mind.desk
        rows = [desk.draft[HALF + i] for i in range(desk.xlate[0].n_credits)]
        assert {row.op for row in rows} <= {CREDIT_MAC}
        return [(int(row.v0), row.arg) for row in rows]


def perform(acts, data):
    """What actions do to a frame: ({port: frame sent}, the frame then)."""
    sent, tags = {}, tags_of(data)
    for op, detail, arg, v0, m0 in acts:
        if op == OUTPUT:
            assert arg not in sent, "no port gets a packet twice"
            sent[arg] = with_tags(data, tags)
        elif op == PUSH_VLAN:
            assert v0 & 0x1000 == 0
            tags = [(arg, v0), *tags]
        elif op == POP_VLAN:
            tags = tags[1:]
        else:
            assert (op, detail) == (SET, VLAN_TCI)
            tags = [(tags[0][0], tags[0][1] & ~m0 | v0), *tags[1:]]
    return sent, with_tags(data, tags)


class Oracle:
    """A private Open vSwitch with dummy ports p1 to pn."""

    def __init__(self, n):
        self.folder = Path(tempfile.mkdtemp(prefix="ovs"))
        self.env = os.environ | {f"OVS_{name}DIR": str(self.folder) for name in ("RUN", "DB", "LOG", "SYSCONF")}
        self.db = f"unix:{self.folder}/db.sock"
        schema = next(iter(Path("/usr/share/openvswitch").glob("vswitch.ovsschema")))
        self._call("ovsdb-tool", "create", f"{self.folder}/conf.db", str(schema))
        quiet = ("--detach", "--no-chdir", "-vconsole:off")
        self._call("ovsdb-server", f"{self.folder}/conf.db", f"--remote=p{self.db}", f"--pidfile={self.folder}/db.pid",
                   f"--unixctl={self.folder}/db.ctl", *quiet)
        self._call("ovs-vswitchd", self.db, "--enable-dummy=override", "--disable-system", f"--pidfile={self.folder}/vs.pid",
                   f"--unixctl={self.folder}/vs.ctl", *quiet)
        words = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail-mode=standalone"]
        for i in range(1, n + 1):
            words += ["--", "add-port", "br0", f"p{i}", "--", "set", "interface", f"p{i}", "type=dummy", f"ofport_request={i}"]
        self.vsctl(*words)
        shown = self.appctl("dpif/show")
        self.numbers = {int(dp): int(of) for of, dp in re.findall(r"p\d+ (\d+)/(\d+):", shown)}
        assert sorted(self.numbers.values()) == list(range(1, n + 1))

    def _call(self, *words):
        return subprocess.run(words, env=self.env, check=True, capture_output=True, text=True).stdout

    def vsctl(self, *words):
        """Run ovs-vsctl."""
        return self._call("ovs-vsctl", f"--db={self.db}", *words)

    def appctl(self, *words):
        """Run ovs-appctl on the switch."""
        return self._call("ovs-appctl", "-t", f"{self.folder}/vs.ctl", *words)

    def trace(self, port, data):
        """({port: frame sent}, the megaflow's text) of a frame."""
        said = self.appctl("ofproto/trace", "br0", f"in_port={port}", data.hex())
        tags, sent = tags_of(data), {}
        for act in re.findall(r"\w+(?:\([^)]*\))?", re.search("Datapath actions: (.*)", said)[1].replace("drop", "")):
            if act == "pop_vlan":
                tags = tags[1:]
            elif act.startswith("push_vlan"):
                part = {key: int(value, 0) for key, value in re.findall(r"(\w+)=(\w+)", act)}
                tags = [(part.get("tpid", 0x8100), part["vid"] | part["pcp"] << 13), *tags]
            elif int(act) in self.numbers:
                sent[self.numbers[int(act)]] = with_tags(data, tags)
        return sent, re.search("Megaflow: (.*)", said)[1]

    def close(self):
        """End both daemons by their numbers."""
        for name in ("vs", "db"):
            self._call("ovs-appctl", "-t", f"{self.folder}/{name}.ctl", "exit")
        shutil.rmtree(self.folder, ignore_errors=True)
