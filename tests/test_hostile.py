"""Hostile input: a hundred thousand fuzzed frames through checked builds of every stage; what no switch can take is refused in words."""
import re

import numpy as np
import pytest
from parse_frames import WHOLE, ether, ipv4, ipv6, tcp
from walks import memory, wait_until

from lab import Switch
from lab.engine.code import objects
from lab.engine.pipeline import MAIN, SIDE
from lab.memory.mbuf import FILL, MAX_SEGMENTS
from lab.memory.raw import FAULT_AT
from lab.memory.reasons import REASONS, STAGE_FAILED, STAGE_FAULTED, STAGE_LOOPED
from lab.ports.capture import CaptureError, Writer
from lab.stages.stage import Stage

FRAMES = 100_000
LARGEST = FILL * MAX_SEGMENTS
EVERY = dict.fromkeys([*(stage for _, stage, _ in SIDE), *(stage for stage, _ in MAIN)])
CHECKED = [Stage(stage.function, checked=True) for stage in EVERY]
BASES = [frame for frame in WHOLE.values() if frame] + [
    ether(0x0800, ipv4(6, tcp() + bytes(1400))), ether(0x86DD, ipv6(6, tcp() + bytes(2900))),
    ether(0x0800, ipv4(6, tcp() + bytes(5000)), [(0x8100, 7)])]
RULES = (
    "priority=90,tcp,tp_dst=80,actions=mod_nw_src:10.9.8.7,mod_tp_dst:8080,mod_nw_ttl:3,output:out",
    "priority=80,udp,actions=mod_nw_dst:1.2.3.4,mod_tp_src:7,mod_nw_tos:184,output:out,output:vm3",
    "priority=75,icmp6,actions=set_field:2001:db8::1->ipv6_dst,output:out",
    "priority=70,tcp6,actions=set_field:2001:db8::1->ipv6_src,mod_tp_src:9,push_vlan:0x8100,mod_vlan_vid:9,output:out",
    "priority=65,sctp,actions=mod_tp_dst:5,output:out",
    "priority=60,dl_vlan=5,actions=strip_vlan,output:out",
    "priority=55,vlan_tci=0x1000/0x1000,actions=strip_vlan,strip_vlan,mod_vlan_pcp:5,output:out",
    "priority=50,arp,actions=flood",
    "priority=40,ip,nw_frag=yes,actions=mod_nw_src:3.3.3.3,mod_tp_src:1,output:out",
    "priority=30,ip,actions=mod_dl_dst:02:00:00:00:00:77,mod_vlan_vid:12,output:out,in_port",
    "priority=20,dl_type=0x88cc,actions=drop",
    "priority=10,actions=push_vlan:0x88a8,mod_vlan_vid:100,push_vlan:0x8100,output:out",
)


def fuzzed(n, seed):
    """`n` frames: real ones cut, lengthened, with bytes changed, doubled or swapped, and plain noise. None is empty."""
    dice = np.random.default_rng(seed)
    noise = dice.integers(0, 256, 1 << 16, np.uint8).tobytes()
    which, what, lengths = dice.integers(0, len(BASES), n), dice.integers(0, 8, n), dice.integers(1, 1500, n)
    places, changes = dice.integers(0, 1 << 16, (n, 6)), dice.integers(0, 256, (n, 6), np.uint8)
    edges = (0, 1, 0x3F, 0x40, 0x45, 0x60, 0x7F, 0x80, 0xFF)
    for k in range(n):
        frame, how = BASES[which[k]], what[k]
        at = int(places[k, 0])
        if how == 0:
            frame = noise[at:at + int(lengths[k])] or b"\0"
        elif how == 1:
            frame = frame[:1 + at % len(frame)]
        else:
            frame = bytearray(frame)
            for place, value in zip(places[k, :1 + how % 5], changes[k], strict=False):
                # most bytes that matter stand in the first 64
                frame[int(place) % min(len(frame), 64 if how < 6 else len(frame))] = value if how % 2 else edges[value % len(edges)]
            if how == 5:
                frame = frame[:14] + frame[14:14 + at % 60] + frame[14:]
            elif how == 7:
                frame = frame[:1 + int(places[k, 1]) % len(frame)] + noise[:at % 100]
        yield bytes(frame)


@pytest.fixture
def checked():
    """A switch whose every stage is a checked build of the package's own."""
    objects.compile_all(CHECKED)
    sw = Switch()
    for name in ("vm1", "vm2", "vm3"):
        sw.add_port(name)
    sw.add_port("out", type="pcap", sink=True, mtu=9000)
    sw.set_option("emc-insert-inv-prob", 1)
    for rule in RULES:
        sw.ofctl(f"add-flow {rule}")
    checked_twins = {stage.function: stage for stage in CHECKED}
    for place in sw.engine.pipeline.places:
        place.swap(checked_twins[place.stage.function])
    yield sw
    sw.close()


def lost(sw):
    return sum(n for code, n in sw.counters.items() if code.startswith("dropped"))


def test_a_hundred_thousand_fuzzed_frames_pass_every_checked_stage(checked):
    sw = checked
    sw.set_option("smc-enable", True)
    sw.start()
    fed, batch = 0, []
    for frame in fuzzed(FRAMES, seed=20260401):
        batch.append(frame)
        if len(batch) == 500:
            assert wait_until(lambda: not sw.ports["vm1"].waiting) and len(sw.ports["vm1"].sent) >= 0
            sw.ports["vm3"].sent.clear()
            fed += sw.ports["vm1"].inject(batch)
            batch = []
            if fed % 25_000 == 0:  # the limit of ports, rules and tags changes meanwhile
                sw.set_option("vlan-limit", fed // 25_000 % 3)
    assert fed == FRAMES and wait_until(lambda: sw.counters.get("parsed") == FRAMES)
    sw.stop()
    assert sw.cores.failures == [] and [sw.count(why) for why in (STAGE_FAILED, STAGE_FAULTED, STAGE_LOOPED)] == [0, 0, 0]
    assert not sw.engine.arena.bytes[FAULT_AT:FAULT_AT + 16].tobytes().strip(b"\0")
    sw.mempool.check()
    assert sw.mempool.free == len(sw.mempool) and sw.ports["vm1"].rx_packets == FRAMES
    assert sw.ports["out"].tx_packets > FRAMES // 2 and sw.counters["executed"] == FRAMES
    assert min(sw.counters[code] for code in ("emc hit", "smc hit", "megaflow hit", "megaflow installed")) > 300


def test_twenty_thousand_fuzzed_frames_pass_the_checked_stages_of_the_arcs(checked):
    sw = checked
    vm1 = sw.ports["vm1"]
    vm1.gro, vm1.verify = "linux", True
    sw.ports["out"].offloads.clear()
    sw.add_port("vx0", type="vxlan", remote_ip="flow", key="flow", gro="dpdk")
    sw.start()
    batch, fed = [], 0
    for frame in fuzzed(20_000, seed=20261120):
        batch.append(frame)
        if len(batch) == 500:
            assert wait_until(lambda: not vm1.waiting) and len(vm1.sent) >= 0
            sw.ports["vm3"].sent.clear()
            fed += vm1.inject(batch)
            batch = []
    assert fed == 20_000 and wait_until(lambda: not vm1.waiting and not len(sw.gro))
    sw.stop()
    assert sw.cores.failures == [] and [sw.count(why) for why in (STAGE_FAILED, STAGE_FAULTED, STAGE_LOOPED)] == [0, 0, 0]
    assert not sw.engine.arena.bytes[FAULT_AT:FAULT_AT + 16].tobytes().strip(b"\0")
    sw.mempool.check()
    assert sw.mempool.free == len(sw.mempool)
    assert min(sw.stages[name].counts().packets_in for name in ("ingress.checksum", "ingress.gro", "pop")) >= 20_000
    assert sw.counters["checksum bad"] > 1000 and sw.counters["passed by GRO: its checksum is bad"] > 100


def test_fuzzed_frames_leave_the_same_memory_stepped_and_run(checked):
    """The same noise through plain Python and through checked machine code, burst by burst."""
    a, b = checked, checked.fork()
    frames = list(fuzzed(32 * 12, seed=7))
    for sw in (a, b):
        for at in range(0, len(frames), 96):
            sw.ports["vm1"].inject(frames[at:at + 96])
    while a.step() is not None:
        pass
    b.run()
    one, two = memory(a), memory(b)
    assert [place for place in one if one[place] != two[place]] == []
    b.close()


@pytest.mark.parametrize("size", [1, 13, 14, 15, 2047, 2048, 2049, 65535, LARGEST - 1, LARGEST])
def test_every_length_that_a_chain_holds_passes(checked, size):
    sw = checked
    for port in sw.ports.values():
        port.mtu = 65535
    frame = (BASES[0] + bytes(range(256)) * (size // 256 + 1))[:size]
    assert sw.ports["vm1"].inject(frame) == 1
    sw.run()
    assert sw.cores.failures == [] and (sw.ports["out"].tx_packets >= 1) == (size <= 65535) == (lost(sw) == 0)
    sw.mempool.check()
    assert sw.mempool.free == len(sw.mempool)


# --- what is refused, in words -------------------------------------------------------------------------

@pytest.fixture
def files(tmp_path):
    """Captures of five frames: whole, cut in the middle, none at all."""
    with Writer(tmp_path / "whole.pcap") as out:
        for n in range(5):
            out.write(bytes([n]) * (60 + n), n)
    data = (tmp_path / "whole.pcap").read_bytes()
    (tmp_path / "cut.pcap").write_bytes(data[:-7])
    (tmp_path / "text.pcap").write_text("not a capture")
    (tmp_path / "nothing.pcap").write_bytes(b"")
    with Writer(tmp_path / "large.pcap") as out:
        out.write(bytes(60))
        out.write(bytes(LARGEST + 1))
    return tmp_path


BAD_PORTS = [
    ({"name": "vm1"}, ValueError, r"called 'vm1' is there already: .*remove_port"),
    ({"name": "a b"}, ValueError, r"'a b' is no name"), ({"name": ""}, ValueError, r"'' is no name"),
    ({"name": 7}, ValueError, r"7 is no name"), ({"type": "pcpa"}, ValueError, r"port new: .*'pcpa'.*did you mean 'pcap'"),
    ({"type": "tap"}, ValueError, r"port new: .*there are sim, pcap"),
    ({"mtu": 10}, ValueError, r"port new: mtu 10 .*68 and 65535"), ({"mtu": 1 << 40}, ValueError, r"port new: mtu 1099511627776"),
    ({"mtu": -1}, ValueError, r"port new: mtu -1"), ({"mtu": "big"}, ValueError, r"port new: mtu 'big'"),
    ({"offloads": ["tso5"]}, ValueError, r"'tso5'.*there are csum, tso4"), ({"offloads": "csum"}, ValueError, r"offload"),
    ({"foo": 1}, (ValueError, TypeError), r"foo"), ({"gro": "linx"}, ValueError, r"port new: gro='linx' is none of"),
    ({"ofport": 1}, ValueError, r"ofport 1 is taken by vm1"), ({"ofport": 64}, ValueError, r"ofport 64 .*1 and 63"),
    ({"ofport": 0}, ValueError, r"ofport 0"), ({"ofport": "2"}, ValueError, r"ofport '2'"),
    ({"type": "pcap", "path": "cut.pcap"}, CaptureError, r"cut\.pcap: cut in the middle: .*after 4 whole frames"),
    ({"type": "pcap", "path": "text.pcap"}, CaptureError, r"text\.pcap: not a capture"),
    ({"type": "pcap", "path": "nothing.pcap"}, CaptureError, r"the file is empty"),
    ({"type": "pcap", "path": "missing.pcap"}, OSError, r"missing\.pcap"),
    ({"type": "pcap", "path": "large.pcap"}, ValueError, r"131073 bytes do not fit"),
    ({"type": "pcap", "write": "nowhere/out.pcap"}, OSError, r"nowhere"),
    ({"type": "pcap", "path": "whole.pcap", "pace": "fast"}, ValueError, r"pace='fast'"),
    ({"type": "pcap", "path": "whole.pcap", "pace": -1}, ValueError, r"pace=-1"),
]


@pytest.mark.parametrize(("options", "error", "words"), BAD_PORTS, ids=lambda value: str(value)[:40] if isinstance(value, dict) else "")
@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_a_port_that_cannot_be_is_refused_and_leaves_nothing_behind(made, files, options, error, words, running):
    sw = made("actions=flood")
    options = {"name": "new", **options}
    for key in ("path", "write"):
        if key in options:
            options[key] = files / options[key]
    if running:
        sw.start()
    with pytest.raises(error, match=words):
        sw.add_port(**options)
    assert list(sw.ports) == ["vm1", "vm2", "vm3"]
    assert np.flatnonzero(sw.engine.array("ports")["kind"]).tolist() == [1, 2, 3]
    sw.stop()
    sw.mempool.check()
    assert sw.mempool.free == len(sw.mempool)
    port = sw.add_port("new")
    assert (port.ofport, port.rx_packets, port.rx_drops) == (4, 0, 0)
    sw.ports["vm1"].inject(bytes(60))
    sw.run()
    assert [len(p.sent) for p in sw.ports.values()] == [0, 1, 1, 1]


BAD_FRAMES = [
    (b"", {}, ValueError, r"empty frame.*at least one byte"),
    (bytes(LARGEST + 1), {}, ValueError, rf"{LARGEST + 1} bytes do not fit .*inject at most {LARGEST}"),
    ([bytes(60), bytes(60), b""], {}, ValueError, r"empty frame"),
    ([bytes(60), bytes(LARGEST + 1)], {}, ValueError, r"do not fit"),
    (None, {}, TypeError, r"a frame is bytes.*NoneType"), (5, {}, TypeError, r"a frame is bytes.*int"),
    ("missing.pcap", {}, OSError, r"missing\.pcap"),
    (bytes(60), {"gso_size": 1448}, ValueError, r"gso_size=1448 wants a TCP or UDP packet"),
    (BASES[0], {"gso_size": -1}, ValueError, r"gso_size=-1 .*1 and 65535"), (BASES[0], {"gso_size": 1 << 17}, ValueError, r"1 and 65535"),
    (bytes(60), {"vnet_hdr": {"falgs": 1}}, ValueError, r"no field 'falgs'; it has .*flags"),
    (bytes(60), {"vnet_hdr": {"gso_size": 1 << 20, "gso_type": 1}}, ValueError, r"gso_size"),
    (bytes(60), {"vnet_hdr": {"csum_start": -1}}, ValueError, r"csum_start"), (bytes(60), {"vnet_hdr": 3}, ValueError, r"vnet_hdr=3"),
]


@pytest.mark.parametrize(("frame", "how", "error", "words"), BAD_FRAMES, ids=[str(n) for n in range(len(BAD_FRAMES))])
def test_a_frame_that_cannot_be_is_refused_and_none_of_its_list_is_queued(made, frame, how, error, words):
    sw = made("actions=flood")
    vm1 = sw.ports["vm1"]
    before = memory(sw)
    with pytest.raises(error, match=words):
        vm1.inject(frame, **how)
    assert vm1.waiting == 0 and memory(sw) == before
    assert vm1.inject([bytes(60)] * 3) == 3 and sw.run().sent == 6


def test_a_capture_cut_in_the_middle_is_not_injected_by_half(made, files):
    sw = made("actions=flood")
    with pytest.raises(CaptureError, match="cut in the middle"):
        sw.ports["vm1"].inject(files / "cut.pcap")
    assert sw.ports["vm1"].waiting == 0
    assert sw.ports["vm1"].inject(files / "whole.pcap") == 5


def test_frames_without_a_byte_in_a_capture_are_counted_and_passed_over(made, tmp_path):
    with Writer(tmp_path / "empty.pcap") as out:
        for data in (b"", bytes(60), b""):
            out.write(data)
    sw = made("actions=flood")
    assert sw.ports["vm1"].inject(tmp_path / "empty.pcap") == 1
    assert sw.counters["dropped: empty frame"] == 2 and sw.ports["vm1"].rx_drops == 2
    port = sw.add_port("new", type="pcap", path=tmp_path / "empty.pcap")
    assert len(port.templates) == 1 and sw.counters["dropped: empty frame"] == 4


def test_a_capture_without_frames_replays_nothing(made, tmp_path):
    with Writer(tmp_path / "none.pcap"):
        pass
    sw = made("actions=flood")
    for loop in (False, True):
        port = sw.add_port(f"new{loop}", type="pcap", path=tmp_path / "none.pcap", loop=loop)
        assert sw.step() is None
        sw.start()
        sw.ports["vm1"].inject(bytes(60))
        assert wait_until(lambda: len(sw.ports["vm2"].sent) == 1)
        sw.stop()
        assert port.rx_packets == 0
        sw.remove_port(port.name)
        sw.ports["vm2"].sent.clear()


@pytest.mark.parametrize(("what", "error", "words"), [
    (lambda sw: sw.ports["vm9"], KeyError, r"'vm9': did you mean 'vm"), (lambda sw: sw.remove_port("vm9"), KeyError, r"did you mean"),
    (lambda sw: sw.stages["ecm"], KeyError, r"did you mean 'emc'"), (lambda sw: sw.set_option("smc", 1), KeyError, r"smc-enable"),
    (lambda sw: sw.set_option("vlan-limit", 9), ValueError, r"vlan-limit=9 is not between"),
    (lambda sw: Switch(cores=9), ValueError, r"cores=9"),
    (lambda sw: Switch(size="huge"), ValueError, r"size='huge'.*'large'"), (lambda sw: sw.stages["emc"].swap(5), TypeError, r"not int"),
    (lambda sw: sw.ports["vm1"].ingress.append(3), TypeError, r"not int"), (lambda sw: sw.clock.warp(-1), ValueError, r"goes forward"),
    (lambda sw: setattr(sw.ports["vm1"], "mtu", 7), ValueError, r"port vm1: mtu 7"), (lambda sw: sw.nic, AttributeError, r"nic"),
    (lambda sw: sw.ports["vm1"].offloads.add("tso5"), ValueError, r"'tso5'.*tso4"),
], ids=[str(n) for n in range(13)])
def test_a_name_or_a_number_that_is_not_there_is_answered_with_what_is(made, what, error, words):
    sw = made()
    before = memory(sw)
    with pytest.raises(error) as refused:
        what(sw)
    assert re.search(words, str(refused.value)) and memory(sw) == before


def test_every_reason_to_drop_says_what_happened_and_fills_its_figures():
    for reason in REASONS:
        if reason.drop:
            assert reason.code.startswith("dropped: ") and len(reason.sentence) > 10
            text = reason.sentence + reason.cure
            text.format(a=1, b=2, port="vm1", stage="emc", rule="rule 1", layer="TCP", actions="drop")
