"""Parse against a slow, obvious twin written from OVS's rules, against OVS itself, in both tempos."""
import ipaddress
import re
import shutil
import struct
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from parse_frames import MACS, UDP, WHOLE, ether, frames, ipv4, ipv6, tcp
from parse_twin import twin
from tempo import Tempo

from lab.flow.key import WIDE, WORDS, fields
from lab.memory.reasons import PARSED, PULLED_UP
from lab.stages.gather import HEADERS
from lab.stages.parse import parse

TEMPO = Tempo()


# --- running it ----------------------------------------------------------------------------------

def parsed(frames, *, limit=1, cuts=(), checked=False):
    """The keys of frames, parsed in both tempos with all memory compared."""
    TEMPO.unload()
    TEMPO.load(frames, cuts=cuts)
    TEMPO.table("config")[0].vlan_limit = limit
    TEMPO.both(parse, checked=checked)
    return [key_at(k) for k in range(len(frames))]


def key_at(k):
    """The fields of the key at a place of the burst; the wide key's registers are none of the parser's."""
    return fields(TEMPO.key(k) + [0] * (WIDE - WORDS))


def agree(frames, *, limit=1, cuts=(), checked=False):
    """Parse and twin give each frame the same key."""
    for start in range(0, len(frames), 32):
        burst = frames[start:start + 32]
        for frame, key in zip(burst, parsed(burst, limit=limit, cuts=cuts, checked=checked), strict=True):
            assert key == twin(frame, limit=limit, first=max(cuts[0], HEADERS) if cuts else None), frame.hex()


def mbuf(k=0):
    return TEMPO.table("mbufs")[TEMPO.packets[k]]


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_every_kind_of_frame_gets_the_twins_key(limit):
    agree(list(WHOLE.values()), limit=limit)


@pytest.mark.parametrize("name", WHOLE)
def test_a_frame_cut_anywhere_gets_the_twins_key(name):
    frame = WHOLE[name]
    agree([frame[:n] for n in range(len(frame) + 1)], limit=2)


@pytest.mark.parametrize("name", ["tcp with options", "qinq", "ipv6 with a chain", "advertisement", "mpls", "snap behind a tag", "arp"])
def test_a_header_cut_by_the_end_of_its_segment_is_pulled_up(name):
    frame = WHOLE[name] + bytes(40)
    for cut in range(1, len(WHOLE[name]) + 1, 3):
        agree([frame], limit=2, cuts=(cut,))


def test_a_pull_up_says_how_many_segments_its_headers_lay_in_and_happens_once():
    TEMPO.unload()
    TEMPO.load([WHOLE["tcp"] + bytes(300)], cuts=(10, 20, 10))
    trace, count = TEMPO.table("trace"), TEMPO.table("reasons")[PULLED_UP]
    before, trace[0].on, trace[0].n = count.count, 1, 0
    TEMPO.both(parse)
    assert (trace[1].reason, trace[1].a, trace[1].b) == (PULLED_UP, 4, 256)
    TEMPO.both(parse)
    trace[0].on = 0
    assert count.count == before + 1 and mbuf().data_len == 256 and mbuf().nb_segs == 2


@pytest.mark.parametrize("name, cut", [("tcp", 54), ("ipv6", 74), ("arp", 42), ("unknown type", 30), ("later fragment", 34), ("igmp", 42),
                                       ("ipv6 no next header", 54), ("mpls", 26)])  # fmt: skip
def test_headers_that_lie_together_stay_where_they_are(name, cut):
    agree([WHOLE[name] + bytes(300)], limit=2, cuts=(cut,))
    assert mbuf().data_len == cut


def test_headers_in_a_buffer_that_is_not_the_packets_own_count_as_cut():
    TEMPO.unload()
    TEMPO.load([WHOLE["tcp"]], cuts=(20,))
    mbuf().refcnt = 2
    TEMPO.both(parse)
    assert key_at(0) == twin(WHOLE["tcp"], first=20) and mbuf().data_len == 20


@pytest.mark.parametrize("cut", [42, 54, 80, 2000])
@pytest.mark.parametrize("extra", [0, 1, 20000])
def test_the_key_of_a_large_chain_is_that_of_its_headers(cut, extra):
    frames = [ether(0x0800, ipv4(6, tcp() + bytes(n))) + bytes(extra) for n in (40000, 65535 - 40)]
    frames += [ether(0x0800, ipv4(17, UDP + bytes(40000), total=total)) + bytes(extra) for total in (40029, 65535, 28, 27)]
    frames += [ether(0x86DD, ipv6(6, tcp() + bytes(n))) + bytes(extra) for n in (40000, 65535 - 20)]
    for frame in frames:
        agree([frame], cuts=(cut,))
    agree([frames[0]], cuts=(cut,), checked=True)
    assert key_at(0)["tp_src"] == 40000 and key_at(0)["tcp_flags"] == 0x12


def test_more_padding_than_a_length_can_say_is_a_lie_as_in_ovs():
    whole, more = ether(0x0800, ipv4(17, UDP)) + bytes(65535), ether(0x0800, ipv4(17, UDP)) + bytes(65536)
    assert [key.get("tp_src") for key in parsed([whole, more])] == [53, None]
    agree([whole, more, ether(0x86DD, ipv6(17, UDP)) + bytes(65535), ether(0x86DD, ipv6(17, UDP)) + bytes(65536)])


def test_lengths_of_ipv4_that_lie_leave_the_type_alone():
    for ihl, total in ((4, 40), (0, 40), (15, 40), (5, 19), (5, 41), (5, 65535), (6, 22)):
        frame = ether(0x0800, ipv4(6, tcp(), ihl=ihl, total=total))
        assert set(parsed([frame])[0]) == {"in_port", "dl_dst", "dl_src", "dl_type"}


def test_ports_in_the_padding_are_not_ports():
    frame = ether(0x0800, ipv4(17, UDP, total=24)) + bytes(30)
    key = parsed([frame])[0]
    assert key["nw_proto"] == 17 and "tp_src" not in key


def test_lengths_of_headers_are_told_to_the_stages_behind():
    rows = {"tcp": (14, 20, 20), "tcp with options": (14, 20, 32), "ip options": (14, 28, 20), "qinq": (22, 20, 20), "arp": (14, 0, 0),
            "snap": (22, 20, 8), "ipv6": (14, 40, 20), "ipv6 with a chain": (14, 120, 8), "later fragment": (14, 20, 0),
            "sctp": (14, 20, 12), "icmp": (14, 20, 8), "mpls": (14, 0, 0), "llc": (14, 0, 0), "nothing": (0, 0, 0)}
    parsed([WHOLE[name] for name in rows], limit=2)
    assert [(mbuf(k).l2_len, mbuf(k).l3_len, mbuf(k).l4_len) for k in range(len(rows))] == list(rows.values())


def test_metadata_is_in_the_key():
    TEMPO.unload()
    TEMPO.load([WHOLE["tcp"]], port=7)
    mbuf().recirc_id, mbuf().mark = 0xFFFFFFFF, 0x80000001
    TEMPO.both(parse)
    key = key_at(0)
    assert (key["in_port"], key["recirc_id"], key["pkt_mark"]) == (7, 0xFFFFFFFF, 0x80000001)


def test_the_key_of_an_earlier_burst_leaves_nothing_behind():
    parsed([WHOLE["advertisement"]])
    assert parsed([bytes(5)]) == [{"in_port": 1}]


# --- the hash ------------------------------------------------------------------------------------

def hashes(frames):
    got = []
    for start in range(0, len(frames), 32):
        parsed(frames[start:start + 32])
        got += [int(mbuf(k).hash) for k in range(len(frames[start:start + 32]))]
    return got


def test_the_hash_is_of_the_flow_not_of_what_else_is_in_the_packet():
    plain, tagged = WHOLE["tcp"], WHOLE["vlan"]
    with_options = ether(0x0800, ipv4(6, tcp(offset=8, options=bytes(12)), ihl=7, options=bytes(8), tos=4))
    assert len(set(hashes([plain, tagged, with_options]))) == 1


def test_flows_that_differ_in_anything_differ_in_each_part_of_the_hash():
    frames = [ether(0x0800, ipv4(proto, struct.pack(">HH", 1000 + a, 80 + b) + tcp()[4:]))
              for proto in (6, 17) for a in range(16) for b in range(8)]
    frames += [ether(0x86DD, ipv6(6, struct.pack(">HH", 1000 + a, 80) + tcp()[4:])) for a in range(32)]
    frames += [MACS[:11] + bytes([a]) + b"\x88\xcc" + bytes(46) for a in range(32)]
    got = hashes(frames)
    assert len(set(got)) == len(frames)
    assert len({h & 0x1FFF for h in got}) > 300 and len({h >> 13 & 0x1FFF for h in got}) > 300  # of 320, in 8192 places
    assert len({h >> 20 & 0xFFFF for h in got}) > 310 and len({h >> 48 for h in got}) > 310
    for bit in range(64):
        assert 100 < sum(h >> bit & 1 for h in got) < 220


def test_a_recirculated_packet_has_another_hash():
    first = hashes([WHOLE["tcp"]])
    mbuf().recirc_id = 5
    TEMPO.both(parse)
    assert [int(mbuf().hash)] != first


# --- reasons ---------------------------------------------------------------------------------------

def test_parsed_packets_are_counted_and_explained_when_traced():
    trace = TEMPO.table("trace")
    before = TEMPO.table("reasons")[PARSED].count
    trace[0].on, trace[0].n = 1, 0
    parsed([WHOLE["tcp"], b""])
    trace[0].on = 0
    assert TEMPO.table("reasons")[PARSED].count == before + 2
    assert [(trace[n].packet, trace[n].reason, trace[n].a) for n in (1, 2)] == [(0, PARSED, 6), (1, PARSED, 1)]


@given(st.lists(frames(), min_size=1, max_size=32), st.integers(0, 2))
@example([WHOLE["tcp"], WHOLE["udp with padding"]], 1)
def test_random_frames_get_the_twins_key(burst, limit):
    agree(burst, limit=limit)


@given(st.lists(frames(), min_size=1, max_size=8), st.integers(1, 90))
def test_random_frames_in_two_segments_get_the_twins_key(burst, cut):
    for frame in burst:
        agree([frame], limit=2, cuts=(cut,))


@given(st.lists(st.binary(max_size=90), min_size=1, max_size=32))
def test_garbage_gets_the_twins_key_in_checked_code(burst):
    agree([MACS + frame for frame in burst], checked=True)
    agree(burst, checked=True)


# --- OVS itself ------------------------------------------------------------------------------------------

SAME = ("dl_src", "dl_dst", "nw_src", "nw_dst", "nw_ttl", "nw_proto", "ipv6_src", "ipv6_dst", "ipv6_label", "nd_target", "tp_src", "tp_dst",
        "arp_sha", "arp_tha")
NAMES = dict(zip(SAME, SAME, strict=True)) | {
    "arp_spa": "nw_src", "arp_tpa": "nw_dst", "arp_op": "nw_proto", "icmp_type": "tp_src", "icmp_code": "tp_dst", "nd_sll": "arp_sha",
    "nd_tll": "arp_tha"}


def ovs_says(frames, path):
    """What ovs-ofctl's own extraction makes of frames, as names to texts."""
    records = b"".join(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame for frame in frames)
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)
    out = subprocess.run(["ovs-ofctl", "parse-pcap", str(path)], capture_output=True, text=True, check=True).stdout
    return [dict((part.split("=", 1) + [""])[:2] for part in re.split(r",(?![^(]*\))", line)) for line in out.splitlines()]


def number(text):
    """A value as OVS prints it, as a number."""
    if re.fullmatch(r"(..:){5}..", text):
        return int(text.replace(":", ""), 16)
    if re.fullmatch(r"[0-9a-f:.]*[:.][0-9a-f:.]*", text):
        return int(ipaddress.ip_address(text))
    return int(text, 0)


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="ovs-ofctl is missing: install openvswitch-common")
def test_ovs_gives_the_same_key(tmp_path):
    frames = [frame[:n] for frame in WHOLE.values() for n in {*range(14, len(frame), 5), len(frame)} if len(frame) >= 14]
    compared = 0
    for frame, said in zip(frames, ovs_says(frames, tmp_path / "frames.pcap"), strict=True):
        key = twin(frame, limit=2)  # the tool knows no vlan-limit
        for name in said.keys() & NAMES.keys():
            assert number(said[name]) == key.get(NAMES[name], 0), (frame.hex(), said)
            compared += 1
        assert "nw_frag" not in said or {"no": 0, "first": 1, "later": 3}[said["nw_frag"]] == key.get("nw_frag", 0)
    assert compared > 1000
