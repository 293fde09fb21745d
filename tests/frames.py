"""Frames made by hand: what the engine says of a packet, for the tests of the floor that draws it.

One TCP packet of 20 066 bytes is tagged, its TTL falls, and a port without TSO has it cut into 14. Bytes, tree and
differences belong together (the checksums are true), so a picture of them can be believed. No engine is needed here.
"""
import queue
import struct
import threading

ROOM, HEADROOM, PAYLOAD, MSS = 2176, 128, 20000, 1448
STAGES = (("parse", "lookup", 22), ("emc", "lookup", 18), ("smc", "lookup", 3), ("megaflow", "lookup", 34), ("upcall", "slow path", 9100),
          ("actions", "actions", 27), ("gso", "egress vm2", 640))
ORDER = ("rx", *(key for key, _, _ in STAGES), "tx")
WORDS = {
    "rx": ("received", "vm1 handed over 1 packets, 20066 B", ""),
    "parse": ("parsed", "headers up to TCP; 11 of 32 key words in use", ""),
    "emc": ("emc miss", "neither of the two places holds this key", ""),
    "smc": ("smc miss", "no signature of its bucket leads to a megaflow with this masked key", ""),
    "megaflow": ("megaflow miss", "none of 0 subtables holds the masked key", ""),
    "upcall": ("megaflow installed", "rule 1 decides; the megaflow's mask has 95 bits", ""),
    "actions": ("executed", "mod_vlan_vid:7, dec_ttl, output:vm2.", ""),
    "gso": ("segmented", "vm2 accepts no TSO: 20070 bytes into 14", "sw.ports['vm2'].offloads.add('tso4')"),
    "tx": ("sent", "14 packets left through vm2", ""),
}
# (field, place in the untagged packet or None, bytes, bits before it, bits, [[how many, cause]])
_ASKED = [
    ("dl_dst", 0, 6, 0, 48, [[48, ""]]), ("dl_src", 6, 6, 0, 48, [[48, ""]]), ("dl_type", 12, 2, 0, 16, [[16, "A"]]),
    ("nw_tos", 15, 1, 0, 8, [[8, ""]]), ("nw_frag", 20, 2, 0, 2, [[2, "A"]]), ("nw_ttl", 22, 1, 0, 8, [[8, "D"]]),
    ("nw_proto", 23, 1, 0, 8, [[8, "B"]]), ("nw_src", 26, 4, 0, 32, [[32, ""]]), ("nw_dst", 30, 4, 0, 32, [[24, "B"], [8, ""]]),
    ("tp_src", 34, 2, 0, 16, [[16, ""]]), ("tp_dst", 36, 2, 0, 16, [[12, "C"], [4, ""]]), ("tcp_flags", 46, 2, 4, 12, [[12, ""]]),
    ("in_port", None, 0, 0, 32, [[32, "A"]]), ("vlan_tci", None, 0, 0, 16, [[3, ""], [1, "E"], [12, ""]])]
_CAUSES = [
    ("A", "always", None, None, 50, "every megaflow asks for the ingress port, the recirculation id and the Ethernet type, "
     "of IP whether it is a fragment"),
    ("B", "lookup", 0, 1, 32, "table 0: rule priority=20,tcp,nw_dst=10.0.0.0/24 was found by its whole match"),
    ("C", "tree", 0, None, 12, "table 0: the first 12 bits of the transport ports "
     "(source, then destination) tell that no prefix of subtable tp_dst/0xfff0 matches"),
    ("D", "action", 0, 1, 8, "table 0: action dec_ttl"), ("E", "action", 0, 1, 1, "table 0: action mod_vlan_vid:7")]
MEGA = "ufid 3f9a…c2, 103 bits: tcp,in_port=vm1,nw_dst=10.0.0.0/24,tp_dst=0x50/0xfff0 → push_vlan(vid=7,pcp=0),set(ipv4(ttl=63)),vm2"


def _ledger(tagged):
    """The ledger's rows; a tag that was put on has moved what lies behind the addresses."""
    def place(off):
        return off + 4 if tagged and off is not None and off >= 12 else off
    return [{"field": name, "off": place(off), "len": length, "lead": lead, "bits": bits, "cells": cells}
            for name, off, length, lead, bits, cells in _ASKED]


def _causes():
    return [{"key": key, "hatch": n, "kind": kind, "table": table, "rule": rule, "text": text, "bits": bits}
            for n, (key, kind, table, rule, bits, text) in enumerate(_CAUSES)]


def _sum16(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _layer(tree, key, name, head, fields):
    """Add a layer after the last one; `fields` are (name, length, value)."""
    start = at = tree[-1]["off"] + tree[-1]["len"] if tree else 0
    rows = []
    for field, length, value in fields:
        rows.append({"name": field, "off": at, "len": length, "value": value})
        at += length
    tree.append({"key": key, "name": name, "head": head, "off": start, "len": at - start, "new": False, "fields": rows})


def _packet(vlan, ttl, payload):
    """(bytes, tree) of the TCP packet."""
    length, tree = payload + 52, []
    src, dst = "52:54:00:00:00:01", "52:54:00:00:00:02"
    raw = bytes.fromhex("525400000002525400000001") + (struct.pack("!HHH", 0x8100, vlan, 0x800) if vlan else b"\x08\x00")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0x1C46, 0x4000, ttl, 6, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    check = _sum16(ip)
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0x5F3A, 0x80, 0x18, 502, 0x1A2B, 0) + bytes.fromhex("0101080a0001a2b300000000")
    _layer(tree, "eth", "Ethernet", f"{src} → {dst}", [
        ("dl_dst", 6, dst), ("dl_src", 6, src), ("dl_type", 2, "0x8100 802.1Q" if vlan else "0x0800 IPv4")])
    if vlan:
        _layer(tree, "vlan", "802.1Q", f"vid {vlan}", [("vlan_tci", 2, f"vid {vlan}, pcp 0"), ("dl_type", 2, "0x0800 IPv4")])
    _layer(tree, "ip", "IPv4", "10.0.0.1 → 10.0.0.2", [
        ("version, ihl", 1, "4, 20 B"), ("nw_tos", 1, "0"), ("length", 2, f"{length}"), ("id", 2, "0x1c46"), ("frag", 2, "DF"),
        ("nw_ttl", 1, f"{ttl}"), ("nw_proto", 1, "6 TCP"), ("checksum", 2, f"0x{check:04x}"),
        ("nw_src", 4, "10.0.0.1"), ("nw_dst", 4, "10.0.0.2")])
    _layer(tree, "tcp", "TCP", "40000 → 80", [
        ("tp_src", 2, "40000"), ("tp_dst", 2, "80"), ("seq", 4, "1"), ("ack", 4, "24378"), ("offset", 1, "32 B"),
        ("tcp_flags", 1, "PSH, ACK"), ("window", 2, "502"), ("checksum", 2, "0x1a2b, partial"),
        ("urgent", 2, "0"), ("options", 12, "NOP, NOP, timestamps")])
    return raw + ip[:10] + struct.pack("!H", check) + ip[12:] + tcp + b"x" * payload, tree


def _differences(tree, old, data, before):
    """Mark what is new in `tree` and return the list of changed bytes."""
    had, changed = {layer["key"]: layer for layer in old}, []
    for layer in tree:
        was = had.get(layer["key"])
        if was is None:
            layer["new"] = True
            changed.append([layer["off"], layer["len"], ""])
            continue
        for field, earlier in zip(layer["fields"], was["fields"], strict=True):
            old_bytes = before[earlier["off"]:earlier["off"] + field["len"]]
            if data[field["off"]:field["off"] + field["len"]] != old_bytes:
                field["was"] = earlier["value"]
                changed.append([field["off"], field["len"], old_bytes.hex()])
    return changed


def _chain(length, headroom):
    chain, left = [], length
    while left > 0:
        take = min(left, ROOM - headroom)
        chain.append({"i": 17 + len(chain), "head": headroom, "len": take, "room": ROOM, "ref": 1, "ext": False})
        left, headroom = left - take, HEADROOM
    return chain


def _at(where):
    """(tag, ttl, payload, dots) once the packet has come to `where`."""
    place = ORDER.index(where)
    tagged, cut = place >= ORDER.index("actions"), place >= ORDER.index("gso")
    return (7 if tagged else 0), (63 if tagged else 64), (MSS if cut else PAYLOAD), (14 if cut else 1)


def _stages(place):
    rows = []
    for number, (key, group, cycles) in enumerate(STAGES, 1):
        state = "now" if number == place else "done" if number < place else "next"
        arrived = 1 if number <= place else 0
        if key == "smc":
            state = "skip"
        out = arrived * (14 if key == "gso" else 1)
        rows.append({"key": key, "name": key, "group": group, "state": state, "n": arrived, "out": out, "cycles": cycles})
    return rows


def frame(where, step=None):
    """The frame of the packet standing at `where`, a key of ORDER."""
    place = ORDER.index(where)
    tag, ttl, payload, dots = _at(where)
    data, tree = _packet(tag, ttl, payload)
    before, old = _packet(*_at(ORDER[max(0, place - 1)])[:3])
    changed = _differences(tree, old, data, before)
    code, words, cure = WORDS[where]
    told = place >= ORDER.index("upcall")
    return {
        "v": 1, "step": place if step is None else step, "steps": len(ORDER) - 1, "packet": 1, "stage": where, "at": where,
        "length": len(data), "dots": dots, "gso": 0 if dots > 1 else MSS, "reason": code, "words": words, "cure": cure, "drop": False,
        "before": {"length": len(before), "dots": _at(ORDER[max(0, place - 1)])[3]},
        "ports": [{"name": "vm1", "kind": "sim", "side": "in", "rx": 1, "note": "csum tso4"},
                  {"name": "vm2", "kind": "sim", "side": "out", "tx": 14 if where == "tx" else 0, "note": "mtu 1500"}],
        "stages": _stages(place), "hex": data[:160].hex(), "changed": changed, "tree": tree, "headers": tree[-1]["off"] + tree[-1]["len"],
        "chain": _chain(len(data), HEADROOM - (4 if tag else 0)), "burst": [{"serial": 1, "length": len(data), "reason": code}],
        "tables": [{"name": "mbufs", "rows": 1, "fields": "data_off, data_len, pkt_len"}, {"name": "bursts", "rows": 1, "fields": "n"}],
        "drops": 0, "ledger": _ledger(tag) if told else [], "causes": _causes() if told else [], "mega": MEGA if told else "",
        "line": None, "note": "", "core": 1, "cores": 1, "held": [],
    }


def walk():
    """The packet from port to port: nine frames."""
    return [frame(where) for where in ORDER]


def small():
    """Issue 1's pipeline, no stage on an arc and no ledger: the packet at `emc`."""
    shown = frame("emc")
    shown["stages"] = [s for s in shown["stages"] if s["key"] != "gso"]
    return shown


def burst():
    """32 packets at once at `emc`: 30 hit, two miss."""
    shown = frame("emc")
    rows = [{"serial": n, "length": 60 + n, "reason": "emc miss" if n in (7, 31) else "emc hit"} for n in range(1, 33)]
    shown.update(dots=32, burst=rows, packet=7, gso=0)
    for stage in shown["stages"]:
        if stage["state"] in ("done", "now"):
            stage.update(n=32, out=32)
    return shown


def dropped():
    """The rule has no output."""
    shown = frame("actions")
    shown.update(reason="dropped: no rule", words="no rule matches and the switch has no default", drop=True, drops=1, changed=[],
                 cure="sw.ofctl('add-flow priority=0,actions=flood')",
                 note="vm3 is a real port: what it sent cannot be unsent, BACK only forgets it here")
    shown["ports"] = shown["ports"][:1]
    return shown


SOURCE = '''@stage
def emc(bursts, mbufs, keys, emc):
    """Resolve each packet by its full key."""
    b = bursts[0]
    for k in range(b.n):
        entry = emc[b.hash[k] & EMC_MASK]  # first of two places
        if entry.hash == b.hash[k] and same(entry.key, keys[k]):
            b.flow[k] = entry.flow
            explain(trace, m, EMC_HIT, 1, 0)
        else:
            b.miss[b.misses] = k'''


def inside():
    """INTO: the stage `emc` is at its second line."""
    shown = frame("emc")
    shown["line"] = {
        "file": "emc.py", "at": 23, "first": 17,
        "locals": {"k": "0", "position": "1", "entry": "emc[4711]", "hash": "0x9c1e77f2", "mbufs": "<Table of 4096 mbuf>"},
        "text": SOURCE.splitlines()}
    return shown


def empty():
    """A new switch: nothing is in hand."""
    shown = frame("rx")
    shown.update(step=0, steps=0, packet=0, at="rx", length=0, dots=0, gso=0, reason="nothing waits", words="no port has a frame waiting",
                 tree=[], hex="", headers=0, chain=[], burst=[], tables=[], changed=[], cure="sw.ports['vm1'].inject(bytes(60))")
    for stage in shown["stages"]:
        stage.update(state="next", n=0, out=0)
    return shown


class Playback:
    """A switch that only plays `walk()`: what the widget and the kernel see of one, with a thread of its own for clicks."""

    def __init__(self, name="br0"):
        self.name, self.at, self.watchers, self.commands = name, 0, [], queue.SimpleQueue()
        self.timeline = self.oracle = self
        threading.Thread(target=self._serve, daemon=True).start()

    def prepare(self):
        """What a stepper asks of a switch's oracle before it is drawn; a playback has nothing to make ready."""

    def frame(self):
        return walk()[self.at]

    def frames(self):
        return walk()[:self.at + 1]

    def port_names(self):
        return ["vm1", "vm2"]

    def command(self, line):
        return f"{self.name}: {line}"

    def watch(self, callback):
        self.watchers.append(callback)
        return lambda: self.watchers.remove(callback)

    def _serve(self):
        while True:
            click = self.commands.get()
            place = {"step": self.at + 1, "back": self.at - 1, "goto": click.get("to", 0), "run": len(ORDER) - 1}
            self.at = min(max(place[click["do"]], 0), len(ORDER) - 1)
            for watcher in self.watchers:
                watcher({**self.frame(), "echo": click["id"]})
