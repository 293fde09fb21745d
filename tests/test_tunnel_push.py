"""push: literal bytes and scapy's reading of every kind of tunnel, what follows from settings, and what cannot go."""
import pytest
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from tunnels import FAR4, FAR6, GUEST, OWN4, OWN6, UNDERLAY, Scene, words

from lab.memory import reasons
from lab.memory.mbuf import GSO, L4_CSUM_PARTIAL, MAX_SEGMENTS, OUTER_L4_PARTIAL, TUN_META, TUNNEL
from lab.memory.raw import clear
from lab.offload import records
from lab.offload.records import (
    TP_CSUM,
    TP_DF,
    TP_HAS_KEY,
    TP_KEY_FLOW,
    TP_REMOTE_FLOW,
    TP_SEQ,
    TP_TOS_INHERIT,
    TP_TTL_INHERIT,
)
from lab.offload.tunnel.form import TP_L3
from lab.stages.burst import ROOM
from lab.stages.push import push

LINK = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
KINDS = (records.VXLAN, records.GENEVE, records.GRE, records.MPLSOUDP)


def packet(payload=b"abc", *, v=4, tos=0, ttl=9, vlan=None, flags=0):
    """A frame of a guest."""
    ip = IP(src="1.1.1.1", dst="2.2.2.2", tos=tos, ttl=ttl, flags=flags) if v == 4 else IPv6(src="fd11::1", dst="fd22::2", tc=tos, hlim=ttl)
    tag = Dot1Q(vlan=vlan) if vlan else None
    inner = ip / UDP(sport=1, dport=2) / payload
    return bytes(Ether(**LINK) / tag / inner if tag else Ether(**LINK) / inner)


def sums_hold(frame):
    """Scapy computes the IPv4 header checksum that the frame has."""
    again = Ether(frame)
    if IP not in again:
        return True
    had = again[IP].chksum
    del again[IP].chksum
    return Ether(bytes(again))[IP].chksum == had


def test_a_vxlan_packet_is_these_bytes():
    scene = Scene(records.VXLAN, marks=TP_DF, key=0x123456)
    out, = scene.push([packet()], change=lambda m, w: setattr(m, "hash", 0x80000000))
    assert out[:50].hex(" ", 2) == (
        "02bb 0000 0001 02aa 0000 0002 0800 4500 0051 0000 4000 4011 2693 0a00 0001 0a00 0009 "
        "b724 12b5 003d 0000 0800 0000 1234 5600")
    assert out[50:] == packet()


def test_a_gre_packet_over_ipv6_is_these_bytes():
    scene = Scene(records.GRE, v=6, marks=TP_HAS_KEY, key=7)
    out, = scene.push([packet()])
    assert out[:62].hex(" ", 2) == (
        "02bb 0000 0001 02aa 0000 0002 86dd 6000 0000 0035 2f40 fd00 0000 0000 0000 0000 0000 0000 0001 "
        "fd00 0000 0000 0000 0000 0000 0000 0009 2000 6558 0000 0007")
    assert out[62:] == packet()


@pytest.mark.parametrize("v", (4, 6))
@pytest.mark.parametrize("kind", KINDS)
def test_scapy_reads_every_kind(kind, v):
    scene = Scene(kind, v=v, marks=TP_HAS_KEY | TP_DF, key=7)
    frames = [packet(), packet(v=6), packet(vlan=5)]
    for frame, out in zip(frames, scene.push(frames), strict=True):
        read = Ether(out)
        assert (read.src, read.dst) == ("02:aa:00:00:00:02", "02:bb:00:00:00:01")
        ip = read[IP] if v == 4 else read[IPv6]
        assert (ip.src, ip.dst) == ((OWN4, FAR4) if v == 4 else (OWN6, FAR6))
        assert sums_hold(out)
        assert (ip.len == len(out) - 14) if v == 4 else (ip.plen == len(out) - 54)
        if kind != records.GRE:
            assert read[UDP].dport == (0, 4789, 6081, 0, 6635)[kind]
            assert 32768 <= read[UDP].sport < 61000
            assert (read[UDP].chksum, read[UDP].len) == (0, len(ip.payload))
        inner = frame[18:] if kind == records.MPLSOUDP and len(frame) == len(packet(vlan=5)) else frame
        if kind == records.VXLAN:
            assert (read[VXLAN].vni, read[VXLAN].flags) == (7, 8)
        elif kind == records.GENEVE:
            assert (read[GENEVE].vni, read[GENEVE].proto, read[GENEVE].optionlen) == (7, 0x6558, 0)
        elif kind == records.GRE:
            assert (read[GRE].key, read[GRE].proto) == (7, 0x6558)
        else:
            assert (read[MPLS].label, read[MPLS].s, read[MPLS].ttl) == (7, 1, 64)
            inner = frame[14:] if frame[12:14] != b"\x81\0" else frame[18:]
        assert out.endswith(inner)


def test_gre_numbers_its_packets_and_goes_on():
    scene = Scene(records.GRE, marks=TP_SEQ)
    scene.settings["sequence"] = 41
    assert [Ether(out)[GRE].sequence_number for out in scene.push([packet(), packet()])] == [41, 42]
    assert scene.settings["sequence"] == 43


def test_gre_that_carries_ip_says_which():
    scene = Scene(records.GRE, marks=TP_L3)
    four, six = scene.push([packet(), packet(v=6, vlan=3)])
    assert (Ether(four)[GRE].proto, Ether(six)[GRE].proto) == (0x0800, 0x86DD)
    assert four[38:] == packet()[14:] and six[38:] == packet(v=6)[14:]


@pytest.mark.parametrize("marks, set_tos, set_ttl, inner, outer", [
    (0, 0, 64, (0, 9), (0, 64)), (0, 0xB8, 30, (0x28, 9), (0xB8, 30)), (TP_TOS_INHERIT, 0, 64, (0x28, 9), (0x28, 64)),
    (TP_TTL_INHERIT, 0, 64, (0, 9), (0, 9)), (0, 0xB8, 0, (3, 9), (0xBB, 64)), (TP_TOS_INHERIT, 0xB8, 64, (0x29, 9), (0x29, 64)),
    (0, 0, 64, (2, 9), (2, 64)), (TP_TOS_INHERIT | TP_TTL_INHERIT, 0, 64, (0xFF, 255), (0xFF, 255)),
])  # fmt: skip
@pytest.mark.parametrize("v", (4, 6))
@pytest.mark.parametrize("inner_v", (4, 6))
def test_dscp_and_ttl_are_the_settings_or_inherited_and_ecn_is_always_the_inner_one(marks, set_tos, set_ttl, inner, outer, v, inner_v):
    scene = Scene(records.VXLAN, v=v, marks=marks, tos=set_tos, ttl=set_ttl)
    out, = scene.push([packet(v=inner_v, tos=inner[0], ttl=inner[1])], tempo="step")
    ip = Ether(out)[IP] if v == 4 else Ether(out)[IPv6]
    assert ((ip.tos, ip.ttl) if v == 4 else (ip.tc, ip.hlim)) == outer
    assert sums_hold(out)


def test_what_is_no_ip_inherits_nothing_and_is_no_tunnel_that_offloads_know():
    scene = Scene(records.VXLAN, marks=TP_TOS_INHERIT | TP_TTL_INHERIT | TP_CSUM, tos=0x20)
    arp = bytes(Ether(**LINK) / ARP())
    out, = scene.push([arp])
    assert (Ether(out)[IP].tos, Ether(out)[IP].ttl) == (0, 64)
    had, again = Ether(out)[UDP].chksum, Ether(out)
    del again[UDP].chksum
    assert had == Ether(bytes(again))[UDP].chksum != 0
    assert scene.table("mbufs")[scene.waiting(UNDERLAY)[0]].ol_flags == 0


def test_without_df_the_ids_count_and_with_it_they_are_zero():
    assert [Ether(out)[IP].id for out in Scene(records.VXLAN).push([packet(), packet()])] == [0, 1]
    scene = Scene(records.VXLAN)
    scene.table("port_stats")[9].tx_packets = 0x1FFFF
    assert [Ether(out)[IP].id for out in scene.push([packet(), packet()])] == [0xFFFF, 0]
    outs = Scene(records.VXLAN, marks=TP_DF).push([packet(), packet()])
    assert [(Ether(out)[IP].id, str(Ether(out)[IP].flags)) for out in outs] == [(0, "DF"), (0, "DF")]


@pytest.mark.parametrize("v", (4, 6))
def test_an_outer_checksum_is_left_partial_and_can_be_completed(v):
    scene = Scene(records.GENEVE, v=v, marks=TP_CSUM)
    out, = scene.push([packet()])
    m = scene.table("mbufs")[scene.waiting(UNDERLAY)[0]]
    assert m.ol_flags == TUNNEL | OUTER_L4_PARTIAL
    assert m.inner_off == len(out) - len(packet()) + 14
    read = Ether(out)
    udp_at = 34 if v == 4 else 54
    total = sum(int.from_bytes((out[udp_at:] + b"\0")[n:n + 2], "big") for n in range(0, len(out) - udp_at, 2))
    del read[UDP].chksum
    assert ~(total % 0xFFFF) & 0xFFFF == Ether(bytes(read))[UDP].chksum


def test_the_source_port_follows_the_flow():
    scene = Scene(records.VXLAN)
    found = set()
    for value in range(0, 1 << 64, 1 << 58):
        scene.clear()
        out, = scene.push([packet()], change=lambda m, w, value=value: setattr(m, "hash", value), tempo="step")
        found.add(Ether(out)[UDP].sport)
    assert len(found) > 60 and min(found) >= 32768 and max(found) < 61000


def flow_says(**fields):
    """A change of a packet: its tunnel is what the flow says."""
    def change(m, tunnel):
        m.ol_flags = m.ol_flags | TUN_META
        clear(tunnel.w)
        for name, value in fields.items():
            if name == "opt0":
                tunnel.opt0 = value
            else:
                tunnel.w[int(name[1:])] = value
    return change


def test_remote_and_key_may_be_the_flows():
    scene = Scene(records.VXLAN, marks=TP_KEY_FLOW | TP_REMOTE_FLOW)
    out, = scene.push([packet()], change=flow_says(w0=77, w1=words("10.0.0.9")[1]))
    assert (Ether(out)[IP].dst, Ether(out)[VXLAN].vni) == ("10.0.0.9", 77)
    assert scene.table("mbufs")[scene.waiting(UNDERLAY)[0]].ol_flags == TUNNEL
    scene.clear()
    out, = scene.push([packet()], change=flow_says(w0=78, w4=words(FAR6)[0], w5=9))
    assert (Ether(out)[IPv6].dst, Ether(out)[VXLAN].vni) == (FAR6, 78)
    scene.clear()
    assert scene.push([packet()]) == []
    assert scene.reasons() == {0: reasons.NO_TUNNEL_KEY}


def test_packets_of_one_batch_may_take_different_tunnels():
    scene = Scene(records.VXLAN, marks=TP_KEY_FLOW | TP_REMOTE_FLOW)
    scene.neighbour(2, "10.0.0.10", 0x02BB00000010)
    counter = iter(range(100))

    def change(m, tunnel):
        n = next(counter)
        if n != 2:
            flow_says(w0=n, w1=words(("10.0.0.9", "10.0.0.10")[n % 2])[1])(m, tunnel)

    outs = scene.push([packet()] * 5, change=change)
    assert [(Ether(out).dst[-2:], Ether(out)[VXLAN].vni) for out in outs] == [("01", 0), ("10", 1), ("10", 3), ("01", 4)]
    assert scene.reasons() == {2: reasons.NO_TUNNEL_KEY}


def test_geneve_options_are_the_ports_and_the_flows():
    wire = bytes.fromhex("0102 83 01 01020304 0103 04 00")
    options = [int.from_bytes(wire.ljust(56, b"\0")[n:n + 8], "big") for n in range(0, 56, 8)]
    scene = Scene(records.GENEVE, n_options=len(wire), options=[*options, 0xFFFF << 32 | 5 << 16 | 4])
    out, = scene.push([packet()], change=flow_says(opt0=0xAABBCCDD))
    head = Ether(out)[GENEVE]
    assert (head.optionlen, head.critical) == (5, 1)
    assert out[50:70].hex(" ", 4) == "01028301 01020304 01030400 ffff0501 aabbccdd"
    scene.clear()
    out, = scene.push([packet()])
    assert Ether(out)[GENEVE].optionlen == 3
    assert isinstance(head.options[0], GeneveOptions)


# --- where headers go -----------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(14,), (20,), (34,), (14, 20), (40, 1, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_packet_in_segments_gets_its_headers_too(kind, cuts):
    scene = Scene(kind)
    whole = scene.push([packet()], tempo="step")
    scene = Scene(kind)
    assert scene.push([packet()], cuts=cuts) == whole
    assert scene.counted(reasons.PULLED_UP) == 1


@pytest.mark.parametrize("table, field, reason", [
    ("ports", "kind", reasons.PORT_REMOVED), ("tunnel_ports", "kind", reasons.PORT_REMOVED), ("ports", "up", reasons.LINK_DOWN),
])  # fmt: skip
def test_a_tunnel_port_that_is_gone_or_down_sends_nothing(table, field, reason):
    scene = Scene(records.VXLAN)
    scene.array(table)[9][field] = 0
    assert scene.push([packet()] * 2) == []
    assert scene.reasons() == {0: reason, 1: reason}


def test_headers_without_room_go_into_an_mbuf_before_the_packet():
    scene = Scene(records.VXLAN)
    whole = scene.push([packet()], tempo="step")
    scene = Scene(records.VXLAN)

    def change(m, tunnel):
        m.data_off = 40
        scene.arena.bytes[m.buf + 40:m.buf + 40 + m.data_len] = packet()

    assert scene.push([packet()], change=change) == whole
    first = scene.waiting(UNDERLAY)[0]
    assert len(list(scene.segments(first))) == 2
    assert int(scene.table("outs")[UNDERLAY].wants) >> 63


def test_a_shared_buffer_is_not_written_to():
    scene = Scene(records.VXLAN)
    scene.push([packet()], change=lambda m, w: setattr(m, "refcnt", 2))
    assert len(list(scene.segments(scene.waiting(UNDERLAY)[0]))) == 2


def test_a_full_batch_stops_push_and_it_goes_on_where_it_stopped():
    scene = Scene(records.VXLAN)
    scene.push([packet()] * 32)
    scene.set_up([packet()] * 32, GUEST, (), None)
    scene.table("outs")[UNDERLAY].n = ROOM - 3
    scene.both(push)
    assert scene.table("bursts")[0].first == 3
    assert scene.table("outs")[UNDERLAY].n == ROOM
    scene.table("outs")[UNDERLAY].n = 0
    scene.both(push)
    assert scene.table("bursts")[0].first == 32
    assert scene.table("outs")[UNDERLAY].n == 29
    assert (scene.table("port_stats")[9].tx_packets, scene.table("port_stats")[9].tx_drops) == (64, 0)
    assert scene.counted(reasons.PUSHED) == 64
    assert int(scene.table("lane")[0].pending) == 1 << UNDERLAY


def test_an_empty_pool_drops_the_batch():
    scene = Scene(records.VXLAN)
    scene.set_up([packet()] * 3, GUEST, (), None)
    scene.table("pool").head[0].n = 0
    scene.both(push)
    assert scene.reasons() == dict.fromkeys(range(3), reasons.POOL_EMPTY)
    assert scene.table("bursts")[0].first == 3


# --- tunnels in tunnels, and what cannot go -------------------------------------------------------


def test_a_tunnel_in_a_tunnel_is_legal_only_when_nothing_is_left_to_do():
    inner = bytes(Ether(**LINK) / IP(src="9.9.9.1", dst="9.9.9.2") / UDP(dport=4789) / VXLAN(flags=8, vni=1) / Ether(packet()))
    scene = Scene(records.GENEVE)

    def change(m, tunnel):
        m.ol_flags, m.inner_off = TUNNEL, 64

    out, = scene.push([inner], change=change)
    m = scene.table("mbufs")[scene.waiting(UNDERLAY)[0]]
    assert out.endswith(inner)
    assert (m.ol_flags, m.inner_off) == (TUNNEL, 64)
    for flag in (GSO | L4_CSUM_PARTIAL, L4_CSUM_PARTIAL, OUTER_L4_PARTIAL):
        scene.clear()
        assert scene.push([inner], change=lambda m, w, flag=flag: setattr(m, "ol_flags", TUNNEL | flag)) == []
        assert scene.reasons() == {0: reasons.BAD_TUNNEL}


def test_a_tunnel_that_carries_ip_takes_nothing_else():
    scene = Scene(records.MPLSOUDP)
    assert scene.push([bytes(Ether(**LINK) / ARP()), bytes(10), packet()]) != []
    assert scene.reasons() == {0: reasons.BAD_TUNNEL, 1: reasons.BAD_TUNNEL}


def test_a_short_frame_goes_as_it_is():
    out, = Scene(records.VXLAN).push([bytes(range(5))])
    assert out[50:] == bytes(range(5))


def test_without_an_mbuf_for_headers_that_find_no_room_it_is_the_pool_that_is_empty():
    scene = Scene(records.VXLAN)
    scene.set_up([packet()] * 2, GUEST, (), lambda m, w: setattr(m, "data_off", 10))
    scene.table("pool").head[0].n = 1  # for the form
    scene.both(push)
    assert scene.reasons() == {0: reasons.POOL_EMPTY, 1: reasons.POOL_EMPTY}
    scene.clear()
    scene.set_up([packet()], GUEST, (), lambda m, w: (setattr(m, "data_off", 10), setattr(m, "nb_segs", MAX_SEGMENTS)))
    scene.both(push)
    assert scene.reasons() == {0: reasons.NO_HEADROOM}


def test_a_question_that_finds_no_room_is_counted():
    scene = Scene(records.VXLAN)
    scene.array("neighbours")["v"] = 0
    scene.set_up([packet()], GUEST, (), None)
    scene.table("outs")[UNDERLAY].n = ROOM
    scene.both(push)
    assert scene.reasons() == {0: reasons.NO_NEIGHBOUR}
    assert (scene.counted(reasons.RING_FULL), scene.counted(reasons.NEIGHBOUR_ASKED)) == (1, 0)
