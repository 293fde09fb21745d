"""Switches and frames that the benchmarks forward, and the measure of cycles a packet.

A replaying port copies recorded 64-byte frames into fresh mbufs, a sinking port counts them and returns the mbufs; between
them the whole way of a packet runs on one core. Cycles are the processor's own counter over everything the core did.
"""

import statistics
import struct
import time

from lab import Switch
from lab.engine.code.counter import read_counter

LENGTH = 60  # a 64-byte frame without its checksum


def frame(flow, subtable=0):
    """A TCP segment of a flow; `subtable` chooses its destination network."""
    src, dst = struct.pack("!BBH", 10, 0, flow), struct.pack("!BBBB", 10, 1 << subtable, flow >> 8, flow & 255)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 46, flow, 0, 64, 6, 0) + src + dst
    data = bytes.fromhex("020000000002 020000000001 0800") + ip + struct.pack("!HHIIBBHHH", 1000 + flow, 80, 1, 2, 0x50, 0x10, 100, 0, 0)
    return data.ljust(LENGTH, b"\0")


def exact_rules(sw, flows):
    """A rule for each flow, all with one mask."""
    lines = [
        f"tcp,in_port=gen,nw_src=10.0.{f >> 8}.{f & 255},nw_dst=10.1.{f >> 8}.{f & 255},tp_src={1000 + f},tp_dst=80,actions=output:out"
        for f in range(flows)
    ]
    for line in lines:
        sw.ofctl(f"add-flow {line}")


def nested_rules(sw, subtables):
    """A rule for each destination network, with masks that grow, so that megaflows fall into as many subtables."""
    for s in range(subtables):
        sw.ofctl(f"add-flow priority={100 - s},tcp,nw_dst=10.{1 << s}.0.0/{16 + s},tp_dst=80,actions=output:out")


def generator(flows=256, subtables=1, frames=None, size="small"):
    """A switch with a replaying port, a sink and rules, every megaflow installed."""
    sw = Switch("bench", size=size, fail_mode="secure")
    gen = sw.add_port("gen", type="pcap", loop=True)
    sw.add_port("out", type="pcap", sink=True)
    if subtables == 1:
        exact_rules(sw, flows)
    else:
        nested_rules(sw, subtables)
    each = [frame(f, f % subtables) for f in range(flows)]
    gen.record([each[i % flows] for i in range(frames or flows)])
    return sw


def window(sw, seconds):
    """The core's cycles a packet, over a short while."""
    sent, out = sw.engine.array("port_stats", 1)["tx_packets"], sw.ports["out"].number
    began, first = read_counter(), int(sent[out])
    time.sleep(seconds)
    ended, last = read_counter(), int(sent[out])
    return (ended - began) / max(1, last - first)


def cycles_a_packet(sw, windows=15, seconds=0.04):
    """The median over short windows of the core's cycles a packet; the switch is started and stopped."""
    sw.start(spin=True)
    try:
        time.sleep(0.2)
        return statistics.median(window(sw, seconds) for _ in range(windows))
    finally:
        sw.stop()


def by_stage(sw):
    """Cycles a packet of each stage, as its own counter says."""
    return {place.name: round(place.counts().cycles, 1) for place in sw.engine.pipeline.places if place.counts().cycles}
