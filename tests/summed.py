"""Packets with checksums in every state, and scapy's word on them: for the tests of the stages `verify` and `complete`."""
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import GRE, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw, bind_layers
from tempo import Tempo

from lab.memory.mbuf import (
    IP_CSUM_BAD,
    IP_CSUM_GOOD,
    IP_CSUM_PARTIAL,
    L4_CSUM_BAD,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_IP_BAD,
    OUTER_IP_GOOD,
    OUTER_L4_BAD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TUNNEL,
)
from lab.memory.raw import u64
from lab.memory.reasons import CSUM_COMPUTED, CSUM_GOOD, CSUM_LEFT, CSUM_WRONG, PULLED_UP
from lab.stages.checksum import complete, verify

bind_layers(UDP, MPLS, dport=6635)
STATES = {
    "ip good": IP_CSUM_GOOD, "ip bad": IP_CSUM_BAD, "ip partial": IP_CSUM_PARTIAL, "l4 good": L4_CSUM_GOOD, "l4 bad": L4_CSUM_BAD,
    "l4 partial": L4_CSUM_PARTIAL, "outer ip good": OUTER_IP_GOOD, "outer ip bad": OUTER_IP_BAD, "outer l4 good": OUTER_L4_GOOD,
    "outer l4 bad": OUTER_L4_BAD, "outer l4 partial": OUTER_L4_PARTIAL, "tunnel": TUNNEL,
}  # fmt: skip
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")
TEMPO = Tempo()


def inner_frames(payload):
    """(name, packet from IP on) of all that carries a checksum."""
    data = Raw(payload)
    return {
        "tcp": V4 / TCP(sport=1, dport=2, seq=7, flags="A") / data,
        "udp": V4 / UDP(sport=1, dport=2) / data,
        "sctp": V4 / SCTP(sport=1, dport=2) / SCTPChunkData(data=payload),
        "icmp": V4 / ICMP(id=1) / data,
        "tcp6": V6 / TCP(sport=1, dport=2, flags="A") / data,
        "udp6": V6 / UDP(sport=1, dport=2) / data,
        "icmp6": V6 / ICMPv6EchoRequest(id=1, data=payload),
    }


def tunnels(inner, outer=V4):
    """(name, frame, offset of the inner IP header) of a packet in every tunnel."""
    head = {4: 20, 6: 40}[outer.version]
    far = outer.copy()
    return {
        "vxlan": (ETHER / far / UDP(sport=9, dport=4789) / VXLAN(vni=5) / ETHER / inner, 14 + head + 16 + 14),
        "geneve": (ETHER / far / UDP(sport=9, dport=6081) / GENEVE(vni=5) / ETHER / inner, 14 + head + 16 + 14),
        "gre": (ETHER / far / GRE(chksum_present=1) / inner, 14 + head + 8),
        "gre key": (ETHER / far / GRE(key_present=1, key=7) / inner, 14 + head + 8),
        "mplsoudp": (ETHER / far / UDP(sport=9, dport=6635) / MPLS(label=3, s=1) / inner, 14 + head + 8 + 4),
    }


def flags_of(*names):
    """The flags with these names."""
    found = u64(0)
    for name in names:
        found = found | STATES[name]
    return found


def states(m):
    """The names of an mbuf's checksum flags."""
    return {name for name, flag in STATES.items() if int(m.ol_flags) & int(flag) != 0}


def packet_bytes(i):
    """The bytes of a packet, of all its segments."""
    mbufs, data = TEMPO.table("mbufs"), b""
    while i < len(mbufs):
        m = mbufs[i]
        data += bytes(TEMPO.arena.bytes[m.buf + m.data_off:m.buf + m.data_off + m.data_len])
        i = m.next
    return data


def load(frame, cuts=(), **fields):
    """A frame in the burst of an empty arena, with fields of its first mbuf; the mbuf."""
    TEMPO.unload()
    TEMPO.array("reasons")["count"] = 0
    m = TEMPO.table("mbufs")[TEMPO.load([bytes(frame)], cuts=cuts)[0]]
    for name in ("csum_start", "csum_offset", "inner_off"):
        setattr(m, name, 0)
    for name, value in fields.items():
        setattr(m, name, value)
    return m


def verified(frame, cuts=(), checked=False, **fields):
    """What `verify` makes of a frame in both tempos: its states and which reason was counted. Its bytes stay as they are."""
    m = load(frame, cuts, **fields)
    TEMPO.both(verify, checked=checked)
    assert packet_bytes(TEMPO.packets[0]) == bytes(frame)
    return states(m), counted()


def completed(frame, cuts=(), offloads=0, checked=False, **fields):
    """What `complete` makes of a frame in both tempos: its bytes (None when it was dropped), its states, the reason counted."""
    m = load(frame, cuts, **fields)
    TEMPO.table("lane")[0].out = 3
    TEMPO.table("ports")[3].offloads = u64(offloads)
    TEMPO.both(complete, checked=checked)
    if TEMPO.table("bursts")[0].dropped != 0:
        return None, states(m), m.reason
    return packet_bytes(TEMPO.packets[0]), states(m), counted()


def counted():
    """Which of the checksum reasons were counted."""
    reasons = TEMPO.table("reasons")
    known = {CSUM_GOOD: "good", CSUM_WRONG: "wrong", CSUM_LEFT: "left", CSUM_COMPUTED: "computed", PULLED_UP: "pulled up"}
    return " ".join(word for number, word in known.items() if reasons[number].count != 0)


def ones_sum(data):
    """RFC 1071, word by word."""
    data = bytes(data) + b"\0" * (len(data) & 1)
    total = 0
    for at in range(0, len(data), 2):
        total += data[at] << 8 | data[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total


FIELDS = {6: 16, 17: 6, 132: 8, 58: 2}  # where a transport's checksum stands, by protocol


def without(frame, ip, *, header=False):
    """A frame as one that owes the checksums of the packet whose IP begins at `ip`: the pseudo-header's sum is in the transport's
    field (nothing, for SCTP), with `header` something wrong in IPv4's; and csum_start and csum_offset."""
    data = bytearray(bytes(frame))
    if data[ip] >> 4 == 4:
        proto, start, addresses = data[ip + 9], ip + 20, data[ip + 12:ip + 20]
        n = int.from_bytes(data[ip + 2:ip + 4], "big") - 20
        if header:
            data[ip + 10:ip + 12] = b"\xde\xad"
    else:
        proto, start, addresses = data[ip + 6], ip + 40, data[ip + 8:ip + 40]
        n = int.from_bytes(data[ip + 4:ip + 6], "big")
    at = start + FIELDS[proto]
    if proto == 132:
        data[at:at + 4] = b"\xca\xfe\xca\xfe"
    else:
        data[at:at + 2] = ones_sum(bytes(addresses) + bytes([0, proto]) + n.to_bytes(2, "big")).to_bytes(2, "big")
    return bytes(data), {"csum_start": start, "csum_offset": FIELDS[proto]}
