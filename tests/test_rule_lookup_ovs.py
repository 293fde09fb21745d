"""The bits that a lookup asks for beside those of Open vSwitch: random tables, random packets, the megaflow that its trace prints."""
import random
import re

import pytest
from real_ovs import MISSING, REASON, RealSwitch
from rule_scene import Scene, words

from lab.openflow.matching.match import parse_match

pytestmark = pytest.mark.skipif(MISSING is not None, reason=REASON)
# what every translation asks for: in_port, recirc_id, dl_type and, of an IP packet, whether it is a fragment
ALWAYS = words(in_port=0xFFFFFFFF, recirc_id=0xFFFFFFFF, dl_type=0xFFFF, nw_frag=3)
PIECES = [
    ["in_port={}", [1, 3]],
    ["dl_dst={}", ["0a:00:00:00:00:01", "0a:00:00:00:00:02", "01:00:00:00:00:00/01:00:00:00:00:00"]],
    ["dl_src={}", ["0a:00:00:00:00:03", "0a:00:00:00:00:04"]],
    ["nw_src={}", ["10.0.0.1", "10.0.0.2", "10.1.0.0/16", "10.0.0.0/24", "192.168.0.0/17", "128.0.0.0/1"]],
    ["nw_dst={}", ["10.0.0.1", "10.0.1.0/24", "10.2.0.0/16", "192.168.1.0/24", "192.0.0.0/8"]],
    ["nw_tos={}", [32, 64]],
    ["tp_src={}", [80, 1024, "0x400/0xfc00"]],
    ["tp_dst={}", [22, 80, 443, 8080]],
    ["metadata={}", [0, 7]],
    ["reg1={}", [0, 9]],
]
ROUNDS, PACKETS = 6, 12


def some_rules(draw):
    """Rules of a few masks, each with a priority of its own."""
    shapes = [draw.sample(PIECES, draw.randint(1, 4)) for _ in range(4)]
    made, priorities = {}, draw.sample(range(1, 1000), 16)
    for priority in priorities:
        shape = draw.choice(shapes)
        picked = [text.format(draw.choice(values)) for text, values in shape]
        names = {piece.split("=")[0] for piece in picked}
        kind = draw.choice(["tcp", "udp"]) if names & {"tp_src", "tp_dst"} else "ip"
        made[",".join([kind, *picked])] = priority
    return list(made.items())


def some_packet(draw):
    """A packet in words: its fields agree with rules often enough."""
    address = ["10.0.0.1", "10.0.0.2", "10.0.0.77", "10.1.2.3", "10.2.1.1", "192.168.1.5", "192.168.200.1", "8.8.8.8", "172.16.0.1"]
    kind = draw.choice(["tcp", "udp"])
    return (
        f"{kind},in_port={draw.choice([1, 3])},dl_src=0a:00:00:00:00:0{draw.randint(3, 5)},"
        f"dl_dst=0a:00:00:00:00:0{draw.randint(1, 3)},nw_src={draw.choice(address)},nw_dst={draw.choice(address)},nw_ttl=64,"
        f"nw_tos={draw.choice([0, 32])},{kind}_src={draw.choice([80, 1024, 1500, 40000])},{kind}_dst={draw.choice([22, 80, 443, 9999])}"
    )


def asked_by_ovs(ovs, packet):
    """The mask of the megaflow that OVS's trace prints, as words."""
    said = ovs.run("ovs-appctl", "-t", f"{ovs.folder}/ovs-vswitchd.ctl", "ofproto/trace", "br0", packet)
    megaflow = re.search(r"^Megaflow: (.*)$", said, re.MULTILINE)[1].replace("recirc_id=0,", "").replace("eth,", "")
    return parse_match(megaflow).mask_words


def test_masks_have_no_more_bits_than_those_of_open_vswitch(tmp_path):
    draw, fewer, more = random.Random(7), 0, []
    known = words(metadata=(1 << 64) - 1, reg1=0xFFFFFFFF)  # a packet brings neither
    with RealSwitch(tmp_path) as ovs:
        for _ in range(ROUNDS):
            rules, scene = some_rules(draw), Scene(subtables=32)
            ovs.ofctl("del-flows")
            for index, (match, priority) in enumerate(rules):
                ovs.ofctl("add-flow", f"priority={priority},{match},actions=output:2")
                parsed = parse_match(match)
                assert scene.enter(index, parsed.mask_words, parsed.value_words, priority) == 1
            for _ in range(PACKETS):
                packet = some_packet(draw)
                ours = bits_of(scene.look_up(parse_match(packet).value_words, known).asked)
                theirs = bits_of(asked_by_ovs(ovs, packet))
                fewer += ours < theirs
                more += [(rules, packet)] if ours > theirs else []
    assert fewer > 0
    assert len(more) <= ROUNDS * PACKETS // 20, more[0]


def bits_of(mask):
    """How many bits a mask asks for, besides those that every translation asks for."""
    return sum((word & ~always).bit_count() for word, always in zip(mask, ALWAYS, strict=True))
