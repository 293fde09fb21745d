"""pop: what tunnel ports take and what is left behind their headers, congestion, offload states, and headers that are cut or lie."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from tunnels import FAR4, FAR6, OWN4, OWN6, TUNNEL_PORT, Scene, words

from lab.flow import key
from lab.memory import reasons
from lab.memory.mbuf import (
    GSO,
    L4_CSUM_GOOD,
    L4_CSUM_PARTIAL,
    OUTER_FIXED_ID,
    OUTER_IP_GOOD,
    OUTER_L4_GOOD,
    OUTER_L4_PARTIAL,
    TUN_META,
    TUNNEL,
)
from lab.offload import records
from lab.offload.records import TP_DF, TP_HAS_KEY, TP_KEY_FLOW, TP_REMOTE_FLOW, TP_SEQ
from lab.offload.tunnel import ends
from lab.offload.tunnel.ecn import inner_mark

LINK = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
KINDS = (records.VXLAN, records.GENEVE, records.GRE, records.MPLSOUDP)
INSIDE = IP(src="1.1.1.1", dst="2.2.2.2", ttl=9) / UDP(sport=1, dport=2) / b"abc"
FRAME = bytes(Ether(**LINK) / INSIDE)
ROUTED = bytes.fromhex("02dd00000009 000000000000 0800") + FRAME[14:]  # an IP packet that came without an Ethernet header


def outer(tunnel, *, v=4, **fields):
    """The bytes of a packet from the far end."""
    ip = IP(src=FAR4, dst=OWN4, **fields) if v == 4 else IPv6(src=FAR6, dst=OWN6, **fields)
    return bytes(Ether(src="02:bb:00:00:00:01", dst="02:aa:00:00:00:02") / ip / tunnel)


def carried(kind, inside=FRAME, *, vni=7, **fields):
    """A tunnel's headers around a frame (MPLS over UDP: around what is behind its Ethernet header)."""
    if kind == records.VXLAN:
        return UDP(sport=40000, dport=4789, chksum=0) / VXLAN(flags=8, vni=vni) / inside
    if kind == records.GENEVE:
        return UDP(sport=40000, dport=6081, chksum=0) / GENEVE(vni=vni, proto=0x6558, **fields) / inside
    if kind == records.GRE:
        return GRE(proto=0x6558, key_present=1, key=vni, **fields) / inside
    return UDP(sport=40000, dport=6635, chksum=0) / MPLS(label=vni, s=1) / inside[14:]


def test_the_words_of_a_tunnel_are_those_of_the_key():
    first = key.W_TUN_ID
    found = (key.W_TUN_ID, key.W_TUN_IPV4, key.W_TUN_IPV6_SRC, key.W_TUN_IPV6_DST, key.W_TUN)
    assert [word - first for word in found] == [ends.TUN_ID, ends.TUN_IPV4, ends.TUN_IPV6_SRC, ends.TUN_IPV6_DST, ends.TUN]


@pytest.mark.parametrize("v", (4, 6))
@pytest.mark.parametrize("kind", KINDS)
def test_a_packet_for_a_tunnel_port_loses_its_outer_headers_and_has_come_in_there(kind, v):
    scene = Scene(kind, v=v, marks=TP_HAS_KEY, key=7)
    assert scene.pop([outer(carried(kind), v=v), FRAME]) == [ROUTED if kind == records.MPLSOUDP else FRAME, FRAME]
    m, other = (scene.table("mbufs")[i] for i in scene.packets)
    assert (m.in_port, other.in_port) == (TUNNEL_PORT, 2)
    assert (m.ol_flags, other.ol_flags) == (TUN_META, 0)
    found = [0] * key.WIDE
    found[key.W_TUN_ID:key.W_TUN_ID + 7] = [int(word) for word in scene.array("tunnels")[scene.packets[0]]["w"]]
    ends_ = {"tun_src": words(FAR4)[1], "tun_dst": words(OWN4)[1]} if v == 4 else {
        "tun_ipv6_src": 0xFD << 120 | 9, "tun_ipv6_dst": 0xFD << 120 | 1}
    assert key.fields(found) == {"tun_id": 7, **ends_, "tun_flags": ends.F_KEY, "tun_ttl": 64}
    assert scene.counted(reasons.POPPED) == 1
    assert (scene.table("port_stats")[TUNNEL_PORT].rx_packets, scene.table("port_stats")[TUNNEL_PORT].rx_bytes) == (1, m.pkt_len)


@pytest.mark.parametrize("v", (4, 6))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marks", (0, TP_HAS_KEY | TP_DF, TP_HAS_KEY | TP_SEQ))
def test_what_push_puts_on_pop_takes_off(kind, v, marks):
    there, back = Scene(kind, v=v, marks=marks, key=7), Scene(kind, v=v, marks=marks, key=7)
    own = back.array("addresses")[2]
    own["ip"], own["ip6"] = words(FAR4)[1], words(FAR6)
    back.settings["remote"] = words(OWN4 if v == 4 else OWN6)
    if kind == records.GRE and marks & TP_HAS_KEY == 0:
        back.settings["key"] = 0
    frames = [FRAME, bytes(Ether(**LINK) / IPv6() / TCP()), bytes(Ether(**LINK) / Dot1Q(vlan=3) / INSIDE), bytes(Ether(**LINK) / ARP())]
    if kind == records.MPLSOUDP:
        frames = frames[:1]
    came = back.pop(there.push(frames, tempo="step"), tempo="step")
    assert came == ([ROUTED] if kind == records.MPLSOUDP else frames)


@pytest.mark.parametrize("kind", KINDS)
def test_headers_in_several_segments_are_pulled_up(kind):
    frame = outer(carried(kind))
    for n in range(1, len(frame)):
        scene = Scene(kind, key=7)
        assert len(scene.pop([frame], cuts=[n], tempo="step")) == 1
        assert scene.table("mbufs")[scene.packets[0]].in_port == TUNNEL_PORT
    scene = Scene(kind, key=7)
    assert scene.pop([frame], cuts=[10, 10, 10, 10, 10]) == [ROUTED if kind == records.MPLSOUDP else FRAME]
    assert scene.counted(reasons.PULLED_UP) == 1


def test_padding_behind_the_outer_packet_goes():
    for cuts in ((), (70,), (80, 10)):
        scene = Scene(records.VXLAN, key=7)
        assert scene.pop([outer(carried(records.VXLAN)) + b"\xee" * 20], cuts=cuts) == [FRAME]


def test_gre_may_carry_ip_and_whatever_has_a_type():
    for inside, kind in ((FRAME[14:], 0x0800), (bytes(IPv6() / UDP()), 0x86DD), (b"\0\0\1\x40" + FRAME[14:], 0x8847)):
        scene = Scene(records.GRE)
        came, = scene.pop([outer(GRE(proto=kind) / inside)])
        assert came == bytes.fromhex("02dd00000009 000000000000") + kind.to_bytes(2, "big") + inside


# --- which port -----------------------------------------------------------------------------------


def test_the_most_exact_port_takes_the_packet():
    scene = Scene(records.VXLAN, marks=TP_KEY_FLOW | TP_REMOTE_FLOW)
    ports = scene.array("tunnel_ports")

    def add(number, *, remote=None, local=None, vni=None):
        ports[number] = ports[9]
        ports[number]["marks"] = (TP_KEY_FLOW if vni is None else 0) | (TP_REMOTE_FLOW if remote is None else 0)
        ports[number]["key"], ports[number]["remote"] = vni or 0, words(remote or "0.0.0.0")
        ports[number]["local"] = words(local or "0.0.0.0")

    def port_of(**fields):
        scene.clear()
        scene.pop([outer(carried(records.VXLAN, **fields))])
        return scene.table("mbufs")[scene.packets[0]].in_port

    assert port_of() == 9
    add(20, local=OWN4)
    assert port_of() == 20
    add(10, remote=FAR4)
    assert port_of() == 10
    add(21, remote=FAR4, local=OWN4)
    assert port_of() == 21
    add(11, vni=7)
    assert (port_of(), port_of(vni=8)) == (11, 21)
    add(12, vni=7, remote="10.0.0.200")
    assert port_of() == 11
    add(13, vni=7, remote=FAR4)
    assert port_of() == 13


@pytest.mark.parametrize("change", [{"key": 8}, {"remote": words("10.0.0.8")}, {"local": words("10.0.0.2")}, {"dst_port": 4790}])
def test_a_tunnel_that_no_port_takes_passes_unchanged(change):
    scene = Scene(records.VXLAN, marks=0, **({"key": 7} | change))
    frame = outer(carried(records.VXLAN))
    assert scene.pop([frame]) == [frame]
    assert scene.counted(reasons.NOT_POPPED) == 1
    assert scene.table("mbufs")[scene.packets[0]].in_port == 2


def test_what_is_for_somebody_else_passes_without_a_word():
    scene = Scene(records.VXLAN, key=7)
    frame = outer(carried(records.VXLAN))
    other = frame[:30] + bytes((10, 0, 0, 77)) + frame[34:]
    plain = outer(UDP(dport=53))
    assert scene.pop([other, plain]) == [other, plain]
    assert scene.counted(reasons.NOT_POPPED) == 0


def test_without_tunnel_ports_nothing_is_looked_at():
    scene = Scene(records.VXLAN, key=7)
    scene.settings["kind"] = 0
    frame = outer(carried(records.VXLAN))
    assert scene.pop([frame]) == [frame]


def test_a_port_may_listen_elsewhere():
    scene = Scene(records.VXLAN, key=7, dst_port=8472)
    tunnel = carried(records.VXLAN)
    tunnel.dport = 8472
    assert scene.pop([outer(tunnel)]) == [FRAME]


# --- congestion -----------------------------------------------------------------------------------


# RFC 6040, figure 4: the rows are the inner marks Not-ECT, ECT(1), ECT(0), CE, the columns the outer ones; -1 is lost
TABLE = [[0, 0, 0, -1], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]]


def test_the_table_of_rfc_6040():
    assert [[inner_mark(inner, out) for out in range(4)] for inner in range(4)] == TABLE


@pytest.mark.parametrize("inner_v", (4, 6))
@pytest.mark.parametrize("v", (4, 6))
def test_congestion_is_heard(v, inner_v):
    for inner in range(4):
        ip = IP(src="1.1.1.1", dst="2.2.2.2", tos=0x28 | inner) if inner_v == 4 else IPv6(tc=0x28 | inner)
        for out in range(4):
            scene = Scene(records.VXLAN, v=v, key=7)
            frame = bytes(Ether(**LINK) / Dot1Q(vlan=1) / ip / UDP() / b"x")
            came = scene.pop([outer(carried(records.VXLAN, frame), v=v, **({"tos": out} if v == 4 else {"tc": out}))], tempo="step")
            if TABLE[inner][out] < 0:
                assert came == [] and scene.reasons() == {0: reasons.TUNNEL_ECN}
                continue
            wanted = Ether(frame)
            if inner_v == 4:
                wanted[IP].tos = 0x28 | TABLE[inner][out]
                del wanted[IP].chksum
            else:
                wanted[IPv6].tc = 0x28 | TABLE[inner][out]
            assert came == [bytes(wanted)]
            assert scene.counted(reasons.ECN_MARKED) == (inner != 3 and TABLE[inner][out] == 3)


def test_congestion_in_both_tempos():
    frames = [outer(carried(records.GENEVE, bytes(Ether(**LINK) / IP(tos=t) / UDP())), tos=3) for t in range(4)]
    frames.append(outer(carried(records.GENEVE, bytes(Ether(**LINK) / ARP())), tos=3))
    scene = Scene(records.GENEVE, key=7)
    assert [Ether(came)[IP].tos for came in scene.pop(frames) if IP in Ether(came)] == [3, 3, 3]
    assert scene.reasons() == {0: reasons.TUNNEL_ECN}


def test_congestion_that_cannot_be_written_since_the_bytes_are_anothers_is_said_to_be_that():
    frames = [outer(carried(records.VXLAN, bytes(Ether(**LINK) / IP(tos=mark) / UDP())), tos=3) for mark in (0, 2)]
    scene = Scene(records.VXLAN, key=7)
    assert scene.pop(frames, change=lambda m, tunnel: setattr(m, "refcnt", 2)) == []
    assert scene.reasons() == {0: reasons.TUNNEL_ECN, 1: reasons.NO_HEADROOM}


# --- what is known of checksums and segments ------------------------------------------------------


def test_a_large_packet_stays_large_without_its_tunnel():
    frame = bytes(Ether(**LINK) / IP(src="1.1.1.1", dst="2.2.2.2") / TCP(flags="A") / (b"x" * 3000))
    scene = Scene(records.VXLAN, key=7)

    def change(m, tunnel):
        m.ol_flags = GSO | TUNNEL | L4_CSUM_PARTIAL | OUTER_L4_PARTIAL | OUTER_IP_GOOD | OUTER_FIXED_ID
        m.inner_off, m.csum_start, m.csum_offset, m.tso_segsz, m.gso_type = 64, 84, 16, 1000, 0x21

    assert scene.pop([outer(carried(records.VXLAN, frame))], change=change) == [frame]
    m = scene.table("mbufs")[scene.packets[0]]
    assert m.ol_flags == GSO | L4_CSUM_PARTIAL | TUN_META
    assert (m.csum_start, m.csum_offset, m.inner_off, m.gso_type, m.tso_segsz) == (34, 16, 0, 1, 1000)


def test_states_that_spoke_of_the_outer_headers_go_and_those_of_the_inner_ones_stay():
    for before, after in ((L4_CSUM_GOOD, 0), (TUNNEL | L4_CSUM_GOOD | OUTER_L4_GOOD, L4_CSUM_GOOD)):
        scene = Scene(records.VXLAN, key=7)

        def change(m, tunnel, before=before):
            m.ol_flags, m.inner_off = before, 64

        assert scene.pop([outer(carried(records.VXLAN))], change=change) == [FRAME]
        assert scene.table("mbufs")[scene.packets[0]].ol_flags == int(after) | int(TUN_META)


def test_a_large_packet_that_was_to_be_cut_outside_is_no_tunnels():
    scene = Scene(records.VXLAN, key=7)
    assert scene.pop([outer(carried(records.VXLAN))], change=lambda m, w: setattr(m, "ol_flags", GSO | L4_CSUM_PARTIAL)) == []
    assert scene.reasons() == {0: reasons.BAD_TUNNEL}


@pytest.mark.parametrize("v", (4, 6))
@pytest.mark.parametrize("kind", (records.VXLAN, records.GRE))
def test_outer_checksums_are_verified_when_they_are_there(kind, v):
    tunnel = carried(kind)
    if kind == records.GRE:
        tunnel.chksum_present = 1
    else:
        del tunnel.chksum
    good = outer(tunnel, v=v)
    scene = Scene(kind, v=v, key=7)
    assert scene.pop([good, good[:-1] + b"\0", good], cuts=[60, 30]) == [FRAME, FRAME]
    assert scene.reasons() == {1: reasons.BAD_TUNNEL}
    flags = scene.array("tunnels")[scene.packets[0]]["w"][ends.TUN]
    assert int(flags) & 0xFFFF == ends.F_KEY | ends.F_CSUM
    if v == 4:
        scene.clear()
        assert scene.pop([good[:24] + b"\0\0" + good[26:]]) == []
        assert scene.reasons() == {0: reasons.BAD_TUNNEL}


# --- options --------------------------------------------------------------------------------------


def test_critical_options_that_nobody_knows_drop_the_packet_and_others_do_not():
    critical = GeneveOptions(classid=1, type=0x85, data=b"abcd")
    plain = GeneveOptions(classid=1, type=5, data=b"abcdefgh")
    frames = [outer(carried(records.GENEVE, options=[option])) for option in (plain, critical)]
    scene = Scene(records.GENEVE, key=7)
    assert scene.pop(frames) == [FRAME]
    assert scene.reasons() == {1: reasons.BAD_TUNNEL}
    scene.clear()
    scene.settings["options"][7] = 1 << 32 | 0x85 << 16 | 4
    assert scene.pop(frames) == [FRAME, FRAME]
    assert [int(scene.array("tunnels")[i]["opt0"]) for i in scene.packets] == [0, 0x61626364]
    scene.clear()
    scene.settings["options"][7] = 1 << 32 | 5 << 16 | 8
    scene.pop(frames)
    assert int(scene.array("tunnels")[scene.packets[0]]["opt0"]) == int.from_bytes(b"abcdefgh", "big")


# --- headers that are cut or lie ------------------------------------------------------------------


@pytest.mark.parametrize("frame, kind", [
    (outer(UDP(dport=4789, chksum=0) / VXLAN(flags=0, vni=7) / FRAME), records.VXLAN),
    (outer(UDP(dport=4789, chksum=0) / b"\x08\0\0\0"), records.VXLAN),
    (outer(UDP(dport=4789, chksum=0) / VXLAN(flags=8, vni=7)), records.VXLAN),
    (outer(UDP(dport=4789, chksum=0, len=9) / VXLAN(flags=8, vni=7) / FRAME), records.VXLAN),
    (outer(UDP(dport=4789, chksum=0, len=900) / VXLAN(flags=8, vni=7) / FRAME), records.VXLAN),
    (outer(UDP(dport=6081, chksum=0) / GENEVE(version=1, proto=0x6558, vni=7) / FRAME), records.GENEVE),
    (outer(UDP(dport=6081, chksum=0) / (b"\x3f\0\x65\x58\0\0\7\0" + bytes(60))), records.GENEVE),
    (outer(UDP(dport=6081, chksum=0) / (b"\1\0\x65\x58\0\0\7\0" + b"\0\1\2\x1f") / FRAME), records.GENEVE),
    (outer(GRE(proto=0x6558, routing_present=1) / FRAME), records.GRE),
    (outer(GRE(proto=0x6558, version=1) / FRAME), records.GRE),
    (outer(GRE(proto=0x6558, flags=1) / FRAME), records.GRE),
    (outer(GRE(proto=0x0100) / FRAME), records.GRE),
    (outer(UDP(dport=6635, chksum=0) / bytes(4 * 16 + 40)), records.MPLSOUDP),
    (outer(UDP(dport=6635, chksum=0) / bytes(1400)), records.MPLSOUDP),
    (outer(UDP(dport=6635, chksum=0) / MPLS(label=7, s=1) / b"\x50"), records.MPLSOUDP),
    (outer(UDP(dport=6635, chksum=0) / MPLS(label=7, s=1)), records.MPLSOUDP),
])  # fmt: skip
def test_a_tunnel_header_that_is_no_good_drops_the_packet(frame, kind):
    scene = Scene(kind, key=7)
    assert scene.pop([frame, frame], cuts=[len(frame) - 1]) == []
    assert scene.reasons() == {0: reasons.BAD_TUNNEL, 1: reasons.BAD_TUNNEL}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_that_end_anywhere_do_no_harm(kind):
    frame = outer(carried(kind))
    for begin in range(0, len(frame), 32):
        scene = Scene(kind, key=7)
        scene.pop([frame[:n] for n in range(begin, min(begin + 32, len(frame)))])


@given(st.lists(st.tuples(st.integers(12, 80), st.integers(0, 255)), max_size=4), st.sampled_from(KINDS), st.sampled_from((4, 6)),
       st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_no_byte_of_a_header_does_harm(changes, kind, v, cut):
    scene = SCENES.setdefault((kind, v), Scene(kind, v=v, key=7))
    frame = bytearray(outer(carried(kind), v=v))
    for at, value in changes:
        frame[at % len(frame)] = value
    scene.clear()
    scene.array("neighbours")["v"] = 0
    scene.pop([bytes(frame), bytes(frame)], cuts=[cut])


SCENES: dict = {}


def test_checked_machine_code_holds_too():
    from lab.stages.pop import pop
    scene = Scene(records.GENEVE, key=7)
    scene.set_up([outer(carried(records.GENEVE)), outer(UDP(dport=6081) / bytes(3)), b""], 2, (), None)
    scene.both(pop, checked=True)
    assert int(scene.table("bursts")[0].dropped) == 2
