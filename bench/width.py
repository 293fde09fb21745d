"""How wide the masks of megaflows are beside those of a real Open vSwitch: the same random tables, the same packets.

`compare(40, 25, seed=1)` counts the cases in which ours asks for no more bits than the megaflow that ofproto/trace prints, of
the first pass through the tables. Left out are the bits that every megaflow of both has (in_port, recirc_id, nw_frag), and
whether there is a tag and of which type: the trace does not print these, but no megaflow of Open vSwitch goes without them.
"""

import ipaddress
import random
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.random_packets import random_packet
from bench.random_tables import random_table
from lab.control.reading.parsed import parse_frame
from lab.flow.key import FIELDS, VLAN_PRESENT, WORDS, get, put
from lab.openflow.matching.match import parse_match

TESTS = Path(__file__).resolve().parents[1] / "tests"  # where the real switch lives
BAR = 0.95
BEYOND = {  # fields of the key
    "mpls_lse1": "mpls_lse1", "mpls_lse2": "mpls_lse2", "icmp_type": "tp_src", "icmp_code": "tp_dst", "nd_target": "nd_target",
    "nd_sll": "arp_sha", "nd_tll": "arp_tha",
}


class Case(NamedTuple):
    """One packet at both switches: the bits that only one of them asks for, as words of a mask."""

    rules: list
    packet: tuple
    ours: int
    theirs: int
    mask: tuple
    megaflow: str

    @property
    def as_wide(self):
        """Whether ours asks for no more bits."""
        return self.ours <= self.theirs


def compare(tables, packets, seed=1):
    """(cases, in how many ours is as wide or wider), over so many random tables with so many packets each."""
    sys.path.insert(0, str(TESTS))
    try:
        from ovs_peer import Peer
        from twins import Twins
    finally:
        sys.path.remove(str(TESTS))
    with tempfile.TemporaryDirectory() as folder, Peer(folder) as peer:
        twins = Twins(peer)
        found = list(cases(twins, tables, packets, seed))
        twins.ours.close()
    return len(found), sum(case.as_wide for case in found)


def cases(twins, tables, packets, seed):
    """Each packet at both switches."""
    dice = random.Random(seed)
    for _ in range(tables):
        groups, rules = random_table(dice)
        twins.load(groups, rules)
        for _ in range(packets):
            packet = random_packet(dice)
            twins.forget()
            yield case(twins, rules, packet)


def case(twins, rules, packet):
    """One packet at both switches."""
    port, frame = packet
    mask = twins.ours.oracle.consult(key_of(twins.ours, port, frame)).mask
    megaflow, _ = twins.peer.megaflow(port, frame)
    theirs = mask_of(megaflow)
    return Case(rules, packet, counted(mask), counted(theirs), mask, megaflow)


def mask_of(megaflow):
    """The mask of a megaflow as ofproto/trace prints it; it says more than a rule may ask for: what is below a label, parts of types."""
    said = [word.partition("=") for word in megaflow.split(",")]
    match = ",".join("".join(word) for word in said if word[0] not in {*BEYOND, "nw_frag"})
    words = [int(word) for word in parse_match(match).mask_words]
    for name, _, value in said:
        if name in BEYOND:
            put(words, BEYOND[name], bits_of(value.partition("/")[2], FIELDS[BEYOND[name]][2]))
    return words


def bits_of(mask, bits):
    """A mask as Open vSwitch writes it: nothing, a prefix, a number, an address."""
    if mask.startswith("0x"):
        return int(mask, 16)
    if bits == 48 and mask:
        return int(mask.replace(":", ""), 16)
    return int(ipaddress.IPv6Address(mask)) if ":" in mask else (1 << bits) - (1 << bits - int(mask or bits))


def key_of(switch, port, frame):
    """The key of a frame, as `parse` makes it."""
    return parse_frame(switch.engine, frame, port)


def counted(words):
    """How many bits of a mask count."""
    words = [int(word) for word in words[:WORDS]]
    for name in ("in_port", "recirc_id", "nw_frag", "vlan_tpid"):
        put(words, name, 0)
    put(words, "vlan_tci", get(words, "vlan_tci") & ~VLAN_PRESENT)
    return sum(word.bit_count() for word in words)
