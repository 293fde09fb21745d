"""The bars of the tables: new flows a second beside OVS, the classifier, a change among many rules, many rules, mask width.

`lab bench tables` runs it alone on a quiet machine; `bench/README.md` says what each measure means and keeps the figures.
"""

import random
import statistics
import struct
import tempfile
import time
from pathlib import Path

from bench.core import row
from bench.peers.ovs import new_flows_a_second, why_not
from lab import Switch
from lab.engine.code.counter import read_counter
from lab.engine.core import cycles_per_us

FLOWS = 16_000  # new flows of one round
OFFERED = 100_000  # to OVS, faster than it can take them
ROUNDS = 5
MANY = 100_000
CHANGED = 10_000
PATIENCE = 30.0


def measure():
    """Every bar of the tables."""
    yield new_flows()
    from bench import classifier

    yield from classifier.lookups()
    yield from one_change()
    yield from_file()
    yield from width()


# --- new flows ---------------------------------------------------------------------------------------


def four_tables():
    """1000 rules in four tables: type and port, source network, destination, service."""
    lines = ["table=0,priority=10,tcp,in_port=1,actions=load:1->NXM_NX_REG0[],resubmit(,1)", "table=0,priority=1,arp,actions=drop"]
    lines += [f"table=1,priority={10 + n % 5},ip,nw_src=10.{n // 16}.{16 * (n % 16)}.0/20,actions=resubmit(,2)" for n in range(240)]
    lines += [f"table=1,priority={n},ip,nw_src=10.0.0.0/{8 + n},actions=resubmit(,2)" for n in range(1, 9)]
    lines += [f"table=2,priority=20,ip,reg0=1,nw_dst=10.1.{n >> 8}.{n & 255},actions=resubmit(,3)" for n in range(500)]
    lines += [f"table=3,priority=30,tcp,tp_dst={1000 + n},actions=output:2" for n in range(240)]
    lines += [f"table=3,priority=5,tcp,tp_src={n}/0x000f,actions=output:2" for n in range(8)]
    return lines


def new_frames(n):
    """Frames of n flows that differ in destination and service, so that each is a megaflow of its own."""
    return [_frame(f) for f in range(n)]


def _frame(f):
    dst, service, src = f % 500, 1000 + f // 500 % 240, f % 65536
    return _tcp(f & 0xFFFF, bytes((10, 0, src >> 8, src & 255, 10, 1, dst >> 8, dst & 255)), 1024 + f % 60000, service)


def _tcp(number, addresses, tp_src, tp_dst):
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 46, number, 0, 64, 6, 0) + addresses
    tcp = struct.pack("!HHIIBBHHH", tp_src, tp_dst, 1, 2, 0x50, 0x10, 100, 0, 0)
    return (bytes.fromhex("020000000002 020000000001 0800") + ip + tcp).ljust(60, b"\0")


def new_flows():
    """New flows translated, installed and forwarded in a second, on one core; OVS on the same frames in the same run."""
    frames, rules = new_frames(FLOWS), four_tables()
    ours, theirs = [], []
    missing = why_not()
    for _ in range(ROUNDS):
        ours.append(_round(frames, rules))
        if not missing:
            theirs.append(new_flows_a_second(rules, new_frames(OFFERED)))
    figure, peer = statistics.median(ours), statistics.median(theirs) if theirs else None
    ratio = None if peer is None else round(figure / peer, 2)
    met = None if peer is None else figure >= peer
    beside = {"peer": missing or "OVS userspace", "peer_figure": peer and round(peer), "ratio": ratio}
    return row("new flows, 4 tables, 1000 rules", round(figure), "flows/s", "OVS's rate", met, **beside)


def _round(frames, rules):
    sw = Switch("bench", size="large", fail_mode="secure")
    try:
        gen, out = sw.add_port("gen", type="pcap"), sw.add_port("out", type="pcap", sink=True)
        for line in rules:
            sw.ofctl(f"add-flow {line}")
        gen.record(frames)
        sent = sw.engine.array("port_stats", 1)["tx_packets"]
        sw.start(spin=True)
        while int(sent[out.number]) == 0:
            pass
        first, began = int(sent[out.number]), read_counter()
        until = time.monotonic() + PATIENCE
        while int(sent[out.number]) < FLOWS and time.monotonic() < until:
            pass
        ended, last = read_counter(), int(sent[out.number])
        sw.stop()
        if last < FLOWS or len(sw.megaflows) < 0.95 * FLOWS:
            raise RuntimeError(f"{last} of {FLOWS} frames left, {len(sw.megaflows)} megaflows")
        return (last - first) * cycles_per_us() * 1e6 / (ended - began)
    finally:
        sw.close()


# --- a change, and many rules ----------------------------------------------------------------------------


def one_change():
    """One rule among 10 000, with 10 000 megaflows and traffic: how long until every megaflow is sound, and what left meanwhile."""
    sw = Switch("bench", size="large", fail_mode="secure")
    try:
        gen, out = sw.add_port("gen", type="pcap", loop=True), sw.add_port("out", type="pcap", sink=True)
        with sw.rules.change():
            for n in range(CHANGED):
                sw.ofctl(f"add-flow priority=10,tcp,nw_dst=10.1.{n >> 8}.{n & 255},tp_dst=80,actions=output:2")
        gen.record([_to(n) for n in range(CHANGED)])
        sw.start(spin=True)
        until = time.monotonic() + PATIENCE
        while len(sw.megaflows) < CHANGED and time.monotonic() < until:
            time.sleep(0.05)
        took, left = [], []
        lane, sent = sw.engine.array("lane", 1), sw.engine.array("port_stats", 1)["tx_packets"]
        for n in range(9):
            before, began = int(sent[out.number]), time.perf_counter()
            sw.ofctl(f"mod-flows --strict priority=10,tcp,nw_dst=10.1.0.{n},tp_dst=80,actions=mod_nw_tos:{4 * (n + 1)},output:2")
            while int(lane["cursor"][0]) >= 0:
                pass
            took.append(1000 * (time.perf_counter() - began))
            left.append(int(sent[out.number]) - before)
        count = len(sw.megaflows)
        sw.stop()
    finally:
        sw.close()
    yield row(f"a change of one rule of 10 000, {count} megaflows, all sound again", round(statistics.median(took), 1), "ms", 200)
    yield row("packets forwarded meanwhile", round(statistics.median(left)), "packets", "> 0", min(left) > 0)


def _to(n):
    return _tcp(n, bytes((10, 0, 0, 1, 10, 1, n >> 8, n & 255)), 1000, 80)


def from_file():
    """Adding 100 000 rules from a file."""
    draw = random.Random(1)
    lines = []
    for n in range(MANY):
        proto, port = draw.choice(("tcp", "udp")), draw.randrange(1, 60000)
        dst = f"{10 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.{draw.randrange(256)}"
        match = f"table={n % 4},priority={100 + n % 7},{proto},nw_dst={dst},tp_dst={port}"
        lines.append(f"{match},actions=mod_vlan_vid:{n % 4000 + 1},output:{1 + n % 2}")
    took = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules"
        path.write_text("\n".join(lines))
        for _ in range(3):
            sw = Switch("bench", size="large", fail_mode="secure")
            sw.add_port("a"), sw.add_port("b")
            began = time.perf_counter()
            sw.ofctl(f"add-flows {path}")
            took.append(time.perf_counter() - began)
            if len(sw.rules) != MANY:
                raise RuntimeError(f"{len(sw.rules)} rules of {MANY}")
            sw.close()
    return row("adding 100 000 rules from a file", round(statistics.median(took), 2), "s", 5)


def width():
    """How often a megaflow's mask is as wide as OVS's or wider, on the same random tables and packets."""
    from bench.width import compare

    cases, as_wide = compare(40, 25)
    share = round(100 * as_wide / cases, 1)
    yield row(f"masks as wide as OVS's or wider, of {cases}", share, "%", 95, share >= 95, peer="OVS ofproto/trace")
