"""The peer of `lab bench tables`: OVS's userspace datapath on links of a network namespace of its own.

It forwards from one veth to another, its main thread polling, while frames come in faster than it can take them, so
what it has translated, installed and forwarded in that time is its rate. Needs root and Open vSwitch; without them
there is no peer, and the reason is said.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

from tests.real_ovs import MISSING, REASON, RealSwitch

SPACE = f"glasswitch-peer-{os.getpid()}"
DAEMONS = ("ovsdb-server", "ovs-vswitchd")
SENDER = """
import socket, sys
path, length = sys.argv[1], int(sys.argv[2])
way = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
way.bind(("gen-in", 0))
data = open(path, "rb").read()
for at in range(0, len(data), length):
    way.send(data[at:at + length])
"""


class InSpace(RealSwitch):
    """A real Open vSwitch whose daemons live in the namespace, with real devices."""

    def run(self, *words, **how):
        """Run a program; the daemons in the namespace."""
        if words[0] in DAEMONS:
            words = ("ip", "netns", "exec", SPACE, *(word for word in words if not word.startswith("--enable-dummy")))
        return super().run(*(word.replace("datapath_type=dummy", "datapath_type=netdev") for word in words), **how)


def why_not():
    """Why there is no such peer here, or nothing."""
    if MISSING:
        return REASON
    return "" if os.geteuid() == 0 else "links and namespaces need root"


def new_flows_a_second(rules, frames):
    """New flows that OVS translates, installs and forwards in a second."""
    _ip("netns", "add", SPACE)
    try:
        for name in ("gen", "out"):
            _ip("-n", SPACE, "link", "add", name, "type", "veth", "peer", "name", f"{name}-in")
            for end in (name, f"{name}-in"):
                _ip("-n", SPACE, "link", "set", end, "up")
        with tempfile.TemporaryDirectory() as folder, InSpace(folder, ports=0) as ovs:
            words = []
            for number, name in enumerate(("gen", "out"), 1):
                words += ["--", "add-port", "br0", name, "--", "set", "interface", name, f"ofport_request={number}"]
            ovs.run("ovs-vsctl", f"--db=unix:{folder}/db.sock", "--timeout=20", *words)
            with open(f"{folder}/rules", "w") as file:
                file.write("\n".join(rules))
            ovs.ofctl("add-flows", f"{folder}/rules")
            return _measure(ovs, folder, frames)
    finally:
        _ip("netns", "del", SPACE)


def _measure(ovs, folder, frames):
    control = f"{folder}/ovs-vswitchd.ctl"
    path = f"{folder}/frames"
    with open(path, "wb") as file:
        file.write(b"".join(frames))
    ovs.run("ovs-appctl", "-t", control, "dpif-netdev/pmd-stats-clear")
    sender = ["ip", "netns", "exec", SPACE, sys.executable, "-c", SENDER, path, str(len(frames[0]))]
    began = time.perf_counter()
    subprocess.run(sender, check=True)
    took = time.perf_counter() - began
    text = ovs.run("ovs-appctl", "-t", control, "dpif-netdev/pmd-stats-show")
    missed, received = (sum(map(int, re.findall(rf"{word}: (\d+)", text))) for word in ("miss with success upcall", "packets received"))
    if received > 0.95 * len(frames):
        raise RuntimeError(f"of {len(frames)} frames {received} came in: the sender was too slow to show a limit")
    return missed / took


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)
