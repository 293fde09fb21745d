"""The peer of `lab bench tables`: OVS's userspace datapath, a PMD of its own, fed over a socket; what an upcall costs it.

Its dummy devices take frames from a Unix socket, each behind its length, and hand them to the PMD one by one. What is
compared is OVS's own figure for the cycles its PMD spends on a packet when every packet is an upcall, so how the frames
got there does not count; cycles are turned into packets a second by the processor's rate.
"""

import re
import socket
import struct
import tempfile
import time

from lab.engine.core import cycles_per_us
from tests.real_ovs import MISSING, RealSwitch

SLICE = 64  # frames between two looks at the clock: its queue holds 100


def new_flows_a_second(rules, frames):
    """New flows that OVS translates, installs and forwards in a second, or None where it is not installed."""
    if MISSING:
        return None
    with tempfile.TemporaryDirectory() as folder, RealSwitch(folder, ports=0) as ovs:
        database = f"--db=unix:{folder}/db.sock"
        words = ["--", "set", "bridge", "br0", "datapath_type=netdev"]
        for number, name in enumerate(("gen", "out"), 1):
            words += ["--", "add-port", "br0", name, "--", "set", "interface", name, "type=dummy-pmd", f"ofport_request={number}"]
        way = f"options:pstream=punix:{folder}/gen.sock"
        ovs.run("ovs-vsctl", database, "--timeout=20", *words, "--", "set", "interface", "gen", way)
        add(ovs, folder, rules)
        return _measure(ovs, folder, frames)


def add(ovs, folder, rules):
    """Add rules from a file."""
    with open(f"{folder}/rules", "w") as file:
        file.write("\n".join(rules))
    ovs.ofctl("add-flows", f"{folder}/rules")


def _measure(ovs, folder, frames):
    control = f"{folder}/ovs-vswitchd.ctl"
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(f"{folder}/gen.sock")
        time.sleep(1)
        ovs.run("ovs-appctl", "-t", control, "dpif-netdev/pmd-stats-clear")
        for at in range(0, len(frames), SLICE):
            way.sendall(b"".join(struct.pack("!H", len(frame)) + frame for frame in frames[at : at + SLICE]))
            time.sleep(0.002)
        time.sleep(0.5)
        text = ovs.run("ovs-appctl", "-t", control, "dpif-netdev/pmd-stats-show")
    packets = sum(map(int, re.findall(r"packets received: (\d+)", text)))
    missed = sum(map(int, re.findall(r"miss with success upcall: (\d+)", text)))
    cycles = sum(map(int, re.findall(r"processing cycles: (\d+)", text)))
    if missed < 0.95 * packets:
        raise RuntimeError(f"only {missed} of {packets} packets were new flows to OVS")
    return cycles_per_us() * 1e6 * packets / cycles
