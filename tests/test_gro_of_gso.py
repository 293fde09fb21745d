"""GRO of GSO is the identity, and GSO of GRO, wherever the rules say so: byte for byte, and in what the mbuf says.

Large packets of every shape are cut, completed and merged: the large packet is there again. Bursts of several flows, tidy and
untidy, are merged and cut: what came in comes out, in order within each flow. Drawn cases run as plain Python; a number of them
runs in both tempos as well, and a switch does the whole way with real ports.
"""
import random
from functools import cache

import numpy as np
import pytest
from gro_scene import EGRESS, INGRESS
from hypothesis import given, settings
from hypothesis import strategies as st
from there_and_back import ACK, CWR, FIN, PSH, SYN, TCP, UDP, Flow, Tunnel, Way, field_of, frame, large_fields, ones, put_sum
from walks import differences, memory

from lab import Switch
from lab.memory.mbuf import FILL, FIXED_ID, OUTER_FIXED_ID

TIMES = bytes.fromhex("0101080a0000000700000009")
SACK = bytes.fromhex("0101050a0000000100000009")
EXTENSION, IP_OPTIONS = bytes([0, 0, 1, 4, 0, 0, 0, 0]), bytes([1, 1, 1, 1])
SAID = ("ol_flags", "tso_segsz", "gso_type", "gso_segs", "csum_start", "csum_offset")
TAGS = [(), (5,), (0x6007, 5)]


@cache
def way(side):
    return Way(side)


tunnels = st.builds(
    Tunnel, kind=st.sampled_from(["vxlan", "geneve", "gre", "mpls"]), v=st.sampled_from([4, 6]), summed=st.booleans(),
    tos=st.sampled_from([0, 0xB9]), df=st.booleans(), bridged=st.booleans(), tags=st.sampled_from(TAGS), labels=st.integers(1, 3),
    options=st.sampled_from([b"", bytes.fromhex("0102800100000007")]),
)  # fmt: skip
flows = st.builds(
    Flow, v=st.sampled_from([4, 6]), proto=st.sampled_from([TCP, TCP, UDP]), tags=st.sampled_from(TAGS), tunnel=st.none() | tunnels,
    tos=st.sampled_from([0, 2, 0x28]), ttl=st.sampled_from([1, 64, 255]), df=st.booleans(), host=st.integers(1, 3),
    label=st.sampled_from([0, 0xFFFFF]), sport=st.integers(1, 3), dport=st.sampled_from([80, 0xFFFF]),
)  # fmt: skip
payloads = st.tuples(st.integers(1, 12_000), st.sampled_from(["random", "zeros", "ones"]), st.integers(0, 9))


def filled(n, how, seed=0):
    """A payload."""
    return {"zeros": bytes(n), "ones": b"\xff" * n}.get(how) or random.Random(seed).randbytes(n)


def whole(flow):
    """A flow whose fields fit its protocols."""
    label = flow.label if flow.v == 6 else 0
    return Flow(**{**flow.__dict__, "label": label})


# --- large packets: cut, and merged again -----------------------------------------------------------------------

larges = st.fixed_dictionaries({
    "flow": flows.map(whole), "payload": payloads, "size": st.integers(1, 1500), "cuts": st.lists(st.integers(0, 400), max_size=8),
    "seq": st.sampled_from([0, 1, 0xFFFFFF00]), "ident": st.sampled_from([0, 7, 0xFFFE]), "outer_ident": st.sampled_from([9, 0xFFFF]),
    "flags": st.sampled_from([ACK, ACK | PSH, ACK | FIN, ACK | FIN | PSH, ACK | 0x40, ACK | CWR, ACK | SYN, ACK | 4]),
    "options": st.sampled_from([b"", TIMES, SACK]), "extension": st.booleans(), "fixed": st.tuples(st.booleans(), st.booleans()),
    "as_cut": st.booleans(),
})  # fmt: skip


def shaped(case):
    """A large packet: (flow, what its mbuf says, its bytes, the segments that must come of it)."""
    flow = case["flow"]
    if case["extension"]:
        flow = Flow(**{**flow.__dict__, "extension": EXTENSION if flow.v == 6 else IP_OPTIONS})
    payload, size = filled(*case["payload"]), case["size"]
    most = 20 if case["as_cut"] else 60
    if size > 1400 and not case["as_cut"]:
        most = 30
    size = max(size, -(-len(payload) // most))
    options = case["options"] if flow.proto == TCP else b""
    fixed_in, fixed_out = case["fixed"][0] and flow.v == 4, case["fixed"][1] and flow.tunnel is not None and flow.tunnel.v == 4
    fixed = (int(FIXED_ID) if fixed_in else 0) | (int(OUTER_FIXED_ID) if fixed_out else 0)
    fields = {"seq": case["seq"], "ident": case["ident"], "outer_ident": case["outer_ident"], "flags": case["flags"], "options": options}
    data = frame(flow, payload, **fields, partial=True)
    pieces, count = [], -(-len(payload) // size)
    for k in range(count):
        flags = case["flags"] & ~(0 if k == count - 1 else PSH | FIN) & ~(CWR if k else 0)
        own = {"seq": (case["seq"] + k * size) & 0xFFFFFFFF, "flags": flags, "ident": (case["ident"] + k * (not fixed_in)) & 0xFFFF,
               "outer_ident": (case["outer_ident"] + k * (not fixed_out)) & 0xFFFF, "options": options}  # fmt: skip
        pieces.append(frame(flow, payload[k * size:(k + 1) * size], **own))
    return flow, large_fields(flow, data, payload, size, fixed, options), data, pieces


def may_merge(flow, flags, pieces, chained):
    """Whether the rules have the segments merged again."""
    if flow.extension and flow.v == 4:
        return False
    if flow.proto == TCP and flags & (CWR | SYN | 4):
        return False
    mbufs = sum(2 if chained else -(-len(piece) // FILL) for piece in pieces)
    return mbufs <= 64 and len(pieces) > 1


def cut_and_merged(here, case):
    """One large packet through `gso` and `complete`, then through GRO."""
    flow, said, data, pieces = shaped(case)
    cuts = case["cuts"]
    here.begin()
    out = here.sent(here.bring([data], cuts=cuts, fields=said))
    assert [here.data(i) for i in out] == pieces, "GSO gives the segments that were built by themselves"
    if not case["as_cut"]:
        here.take_back(out)
        out = here.bring(pieces)
    n = sum(here.table("mbufs")[i].nb_segs for i in out)
    out = here.merged([out[at:at + 32] for at in range(0, len(out), 32)])
    if may_merge(flow, case["flags"], pieces, case["as_cut"]) and n <= 64:
        m = here.table("mbufs")[out[0]]
        assert len(out) == 1, "one packet"
        assert here.data(out[0]) == data
        assert {name: int(getattr(m, name)) for name in SAID} == {name: said[name] for name in SAID}
        assert flow.tunnel is None or m.inner_off == said["inner_off"]
        assert m.l4_len == len(data) - m.csum_start - len(filled(*case["payload"]))
    elif (flow.proto == TCP and case["flags"] & (SYN | 4)) or (flow.extension and flow.v == 4) or len(pieces) == 1:
        assert [here.data(i) for i in out] == pieces
    out = here.sent(out)
    assert [here.data(i) for i in out] == pieces
    here.take_back(out)


@pytest.mark.parametrize("side", [INGRESS, EGRESS], ids=["ingress", "egress"])
def test_what_was_cut_is_merged_into_the_packet_that_it_was(side):
    @settings(max_examples=60)
    @given(larges)
    def holds(case):
        cut_and_merged(way(side), case)

    holds()


# --- bursts: merged, and cut again ------------------------------------------------------------------------------

DEEDS = [
    "next", "push", "fin", "shorter", "longer", "gap", "ack", "syn", "reset", "urgent", "bad", "bad ip", "pad", "fragment", "window",
    "newer", "tos", "ttl", "df", "options", "cwr", "ece", "fixed", "counting", "jump", "zero", "odd sum", "odd ip", "long total",
    "label", "outer jump", "large", "sum of zero", "partial", "sack", "one byte", "lying udp",
]  # fmt: skip
FLAGS = {"push": ACK | PSH, "fin": ACK | FIN, "syn": SYN, "reset": ACK | 4, "urgent": ACK | 32, "cwr": ACK | CWR, "ece": ACK | 64}
events = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["next"] * 40 + DEEDS), st.integers(1, 30)), min_size=1, max_size=14)
bursts = st.fixed_dictionaries({
    "flows": st.tuples(flows.map(whole), flows.map(whole), flows.map(whole)), "events": events,
    "size": st.sampled_from([1, 8, 100, 1448, 4000]),
    "split": st.lists(st.integers(1, 32), min_size=1, max_size=5), "waits": st.lists(st.sampled_from([0, 50, 500]), max_size=8),
    "ids": st.sampled_from(["counting", "fixed"]), "cuts": st.lists(st.integers(0, 90), max_size=4),
    "options": st.sampled_from([b"", TIMES]), "payload": st.sampled_from(["random", "zeros", "ones"]), "extension": st.booleans(),
})  # fmt: skip


class Stream:
    """One flow as its sender goes on: each deed gives frames, what their mbufs say, and what must come out."""

    def __init__(self, flow, case, number):
        extended = case["extension"] and flow.v == 6
        self.flow = Flow(**{**flow.__dict__, "extension": EXTENSION if extended else b"", "sport": 1000 + number})
        self.case, self.seq, self.ack, self.window = case, 0xFFFFF000, 77, 500
        self.options = case["options"] if flow.proto == TCP else b""
        self.ident, self.outer, self.step, self.partial, self.count = 0xFFFC, 5, case["ids"] == "counting", False, 0

    def deed(self, name, times):
        """[(data, fields, what comes out, whether its flow can be seen)]"""
        if name in ("next", "ece", "odd sum", "sum of zero", "one byte"):
            return [self.one(name) for _ in range(times)]
        if name == "partial":
            self.partial = times % 2 == 1
            return []
        if name in ("fixed", "counting"):
            self.step = name == "counting"
        elif name == "jump":
            self.ident += 100
        elif name == "outer jump":
            self.outer += 100
        elif name in ("window", "newer"):
            self.window, self.ack = self.window + (name == "window"), self.ack + (name == "newer")
        elif name in ("options", "sack") and self.flow.proto == TCP:
            self.options = SACK if name == "sack" else bytes([1, 1, 8, 10]) + (self.count).to_bytes(8, "big")
        elif name in ("tos", "ttl", "df", "label", "zero"):
            self.change(name)
        return [self.one(name)]

    def change(self, name):
        was = self.flow
        value = {"tos": was.tos ^ 4, "ttl": was.ttl ^ 2, "df": not was.df, "label": (was.label ^ 1) * (was.v == 6),
                 "zero": was.proto == UDP and was.v == 4 and not was.zero}[name]  # fmt: skip
        self.flow = Flow(**{**was.__dict__, name: value})

    def one(self, name):
        flow, n = self.flow, self.case["size"]
        n = {"shorter": max(1, n // 2), "longer": n + 1, "ack": 0, "one byte": 1, "large": 3 * n + 1}.get(name, n)
        self.count += 1
        payload = filled(n, self.case["payload"], self.count)
        self.seq = (self.seq + (7 if name == "gap" else 0)) & 0xFFFFFFFF
        said = {"seq": self.seq, "ack": self.ack, "window": self.window, "flags": FLAGS.get(name, ACK), "options": self.options,
                "ident": self.ident & 0xFFFF, "outer_ident": self.outer & 0xFFFF}  # fmt: skip
        self.seq = (self.seq + n) & 0xFFFFFFFF
        if name == "large":
            return self.large(flow, payload, n // 3 + 1, said)
        self.ident, self.outer = self.ident + self.step, self.outer + 1
        if name == "fragment" and flow.v == 4:
            said["frag"] = 0x2000 if self.count % 2 else 3
        if name == "sum of zero" and n > 1:
            payload = to_zero(flow, payload, said)
        data = frame(flow, payload, **said)
        seen, fields = True, {"ol_flags": 0}
        if self.partial and not flow.zero and name not in ("bad", "odd sum", "sum of zero", "pad", "lying udp", "fragment"):
            fields = large_fields(flow, frame(flow, payload, **said, partial=True), payload, 1, options=self.options)
            fields |= {"ol_flags": fields["ol_flags"] & ~(1 << 9), "tso_segsz": 0, "gso_type": 0, "gso_segs": 0}
            return frame(flow, payload, **said, partial=True), fields, [data], True
        l4 = len(data) - n - (8 if flow.proto == UDP else 20 + len(self.options))
        field, ip = l4 + field_of(flow), l4 - len(flow.extension) - (20 if flow.v == 4 else 40)
        if name == "bad":
            data = put_sum(data, field, int.from_bytes(data[field:field + 2], "big") ^ 0x101)
        elif name == "odd sum" and data[field:field + 2] == b"\0\0" and flow.proto == TCP:
            data = put_sum(data, field, 0xFFFF)
        elif name == "bad ip" and flow.v == 4:
            data = put_sum(data, ip + 10, int.from_bytes(data[ip + 10:ip + 12], "big") ^ 0x101)
        elif name == "odd ip" and flow.v == 4:
            data = odd_ip(data, ip)
        elif name == "pad":
            data += b"\xee" * 6
        elif name == "lying udp" and flow.proto == UDP:
            data = put_sum(data, l4 + 4, 8 + n + 3)
        elif name == "long total" and flow.tunnel is None:
            at, seen = ip + (2 if flow.v == 4 else 4), False
            data = put_sum(data, at, int.from_bytes(data[at:at + 2], "big") + 40)
        return data, fields, [data], seen

    def large(self, flow, payload, size, said):
        """A packet that is large already."""
        data = frame(flow, payload, **said, partial=True)
        pieces, count = [], -(-len(payload) // size)
        for k in range(count):
            own = said | {"seq": (said["seq"] + k * size) & 0xFFFFFFFF, "ident": (said["ident"] + k) & 0xFFFF}
            pieces.append(frame(flow, payload[k * size:][:size], **own | {"outer_ident": (said["outer_ident"] + k) & 0xFFFF}))
        self.ident, self.outer = self.ident + count, self.outer + count
        return data, large_fields(flow, data, payload, size, options=self.options), pieces, True


def to_zero(flow, payload, said):
    """A payload of the same length with which the transport checksum is zero, or all ones."""
    at = len(payload) & ~1
    bare = frame(Flow(**{**flow.__dict__, "tunnel": None, "tags": ()}), payload[:at - 2] + bytes(2) + payload[at:], **said)
    start = 14 + (20 if flow.v == 4 else 40) + len(flow.extension)
    field = start + field_of(flow)
    return payload[:at - 2] + bare[field:field + 2] + payload[at:]


def odd_ip(data, ip):
    """An IPv4 header whose checksum is zero, written as all ones: right, but as nobody would compute it."""
    head = put_sum(put_sum(data[ip:ip + 20], 10, 0), 4, 0)
    head = put_sum(head, 4, ~ones(head) & 0xFFFF)
    return data[:ip] + put_sum(head, 10, 0xFFFF) + data[ip + 20:]


def merged_and_cut(here, case):
    """Bursts through GRO, then `gso` and `complete`: every packet comes out as it came, in order within its flow."""
    streams = [Stream(flow, case, number) for number, flow in enumerate(case["flows"])]
    rows = [(*row, number) for number, deed, times in case["events"] for row in streams[number].deed(deed, times)]
    here.begin()
    packets = [here.bring([data], case["cuts"], fields)[0] for data, fields, *_ in rows]
    parts, at = [], 0
    while at < len(packets):
        n = case["split"][len(parts) % len(case["split"])]
        parts.append(packets[at:at + n])
        at += n
    held = here.merged(parts, case["waits"])
    out = here.sent(held)
    left = [here.data(i) for i in out]
    came = [(data, seen, number) for _, _, pieces, seen, number in rows for data in pieces]
    assert sorted(left) == sorted(data for data, *_ in came)
    for number in range(3):
        mine = {data for data, seen, other in came if seen and other == number}
        assert [data for data in left if data in mine] == [data for data, *_ in came if data in mine], "in order"
    here.take_back(out)
    return len(packets) - len(held)


@pytest.mark.parametrize("side", [INGRESS, EGRESS], ids=["ingress", "egress"])
def test_what_was_merged_is_cut_into_the_packets_that_came(side):
    @settings(max_examples=60)
    @given(bursts)
    def holds(case):
        merged_and_cut(way(side), case)

    holds()


@pytest.mark.parametrize("cuts", [(0,), (0, 0, 3, 1), (1, 1, 1, 1, 20, 1, 1, 1, 20), (14, 4, 4, 40, 8)])
@pytest.mark.parametrize("flow", [Flow(v=6, extension=EXTENSION), Flow(v=6, extension=EXTENSION, tags=(6, 5))], ids=["plain", "qinq"])
def test_a_packet_whose_headers_lie_in_many_segments_stays_behind_what_is_held_of_its_flow(flow, cuts):
    here = way(INGRESS)
    here.begin()
    frames = [frame(flow, bytes([k]) * n, seq=seq) for k, (seq, n) in enumerate([(1, 1), (2, 4000), (4002, 4000), (8002, 4000)])]
    out = here.merged([[i] for i in here.bring(frames[:1]) + here.bring(frames[1:], cuts)])
    assert [len(here.data(i)) for i in out] == [len(frames[0]), len(frames[1]) + 8000]
    out = here.sent(out)
    assert [here.data(i) for i in out] == frames
    here.take_back(out)


def test_machine_code_leaves_what_plain_python_does():
    stepped, ran = Way(INGRESS), Way(INGRESS, plain=False)

    @settings(max_examples=40)
    @given(larges | bursts)
    def holds(case):
        for here in (stepped, ran):
            (merged_and_cut if "events" in case else cut_and_merged)(here, case)
        assert np.array_equal(stepped.bytes, ran.bytes)

    holds()


# --- a switch, end to end ---------------------------------------------------------------------------------------

def far(*, flags=ACK, seq=1, ident=5, n=1000, **flow):
    return frame(Flow(**flow), filled(n, "random", seq), seq=seq, ident=ident, flags=flags)


def train(count, **flow):
    """Segments of one flow, the last one shorter."""
    return [far(seq=1 + 1000 * k, ident=5 + k, n=1000 - 300 * (k == count - 1), **flow) for k in range(count)]


@pytest.fixture(scope="module")
def switches():
    both = [Switch(fail_mode="secure") for _ in range(2)]
    for sw in both:
        sw.add_port("vm1", gro="linux", verify=True)
        sw.add_port("vm2", offloads=())
        sw.add_port("vm3")
        sw.ofctl("add-flow in_port=vm1,actions=output:vm2,output:vm3")
        sw.ofctl("add-flow in_port=vm3,actions=output:vm1")
    yield both
    for sw in both:
        sw.close()


TRAINS = {
    "tcp4": {}, "tcp6": {"v": 6}, "uso4": {"proto": UDP}, "uso6": {"v": 6, "proto": UDP}, "vlan": {"tags": (5,)}, "qinq": {"tags": (6, 5)},
    "vxlan": {"tunnel": Tunnel()}, "geneve over ipv6": {"tunnel": Tunnel("geneve", v=6, summed=True)},
    "gre": {"tunnel": Tunnel("gre", summed=True, bridged=False)}, "mpls": {"tunnel": Tunnel("mpls", labels=2), "v": 6},
}  # fmt: skip


@pytest.mark.parametrize("name", TRAINS)
def test_a_switch_merges_for_one_port_and_gives_the_other_the_frames_back(switches, name):
    frames = train(7, **TRAINS[name])
    for sw in switches:
        sw.ports["vm1"].inject(frames)
    while switches[0].step() is not None:
        pass
    switches[1].run()
    assert differences(*(memory(sw) for sw in switches)) == []
    for sw in switches:
        assert [p.bytes() for p in sw.ports["vm2"].sent] == frames
        assert [(p.gso_size, len(p)) for p in sw.ports["vm3"].sent] == [(1000, len(frames[0]) + 5700)]
        (merged,) = sw.ports["vm3"].sent
        assert merged.bytes()[:14] == frames[0][:14]
        for name in ("vm2", "vm3"):
            sw.ports[name].sent.clear()
        assert sw.mempool.free == len(sw.mempool)


@pytest.mark.parametrize("name", sorted(TRAINS.keys() - {"gre"}))  # no virtio-net header speaks of GRE
def test_a_guest_sends_back_what_it_got_merged(switches, name):
    sw = switches[1]
    sw.ports["vm1"].inject(train(7, **TRAINS[name]))
    sw.run()
    (merged,) = sw.ports["vm3"].sent
    sw.ports["vm3"].inject(merged)
    sw.run()
    (again,) = sw.ports["vm1"].sent
    assert (again.bytes(), again.gso_size, again.gso_type) == (merged.bytes(), merged.gso_size, merged.gso_type)
    for port in sw.ports.values():
        port.sent.clear()
