"""Capture files: what is written is read, by us and by others; what is damaged is told and not guessed."""
import itertools
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.ports.capture import MAX_FRAME, CaptureError, Frame, Writer, read

KINDS = [(kind, order) for kind in Writer.KINDS for order in "<>"]
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
frames = st.lists(st.builds(
    Frame, st.binary(max_size=90), st.integers(0, (1 << 32) * 10**9 - 1), st.integers(0, 70_000), words, words), max_size=12)


def wire(text):
    return bytes.fromhex(text)


def written(path, kind, order, rows):
    with Writer(path, kind, order=order) as out:
        for row in rows:
            out.write(row.data, row.ns, row.interface, row.comment, row.length)
    return path.read_bytes()


def read_until_error(path):
    """(frames, error or None) of a file."""
    seen = []
    try:
        for frame in read(path):
            seen.append(frame)
    except CaptureError as error:
        return seen, error
    return seen, None


@given(rows=frames, kind=st.sampled_from(KINDS))
def test_what_is_written_is_read(rows, kind, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "round.cap"
    written(path, *kind, rows)
    tick = 1000 if kind[0] == "pcap-us" else 1
    told = {"pcapng": lambda f: (f.interface, f.comment)}.get(kind[0], lambda f: ("", ""))
    assert list(read(path)) == [Frame(f.data, f.ns // tick * tick, max(f.length, len(f.data)), *told(f)) for f in rows]


PCAP = {
    "micro, little": wire("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000  05000000 07000000 03000000 40000000 aabbcc"),
    "micro, big": wire("a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000001  00000005 00000007 00000003 00000040 aabbcc"),
    "nano, little": wire("4d3cb2a1 0200 0400 00000000 00000000 ffff0000 01000000  05000000 581b0000 03000000 40000000 aabbcc"),
    "nano, big": wire("a1b23c4d 0002 0004 00000000 00000000 0000ffff 00000001  00000005 00001b58 00000003 00000040 aabbcc"),
}


@pytest.mark.parametrize("data", PCAP.values(), ids=PCAP)
def test_pcap_in_literal_bytes(data, tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(data)
    assert list(read(path)) == [Frame(b"\xaa\xbb\xcc", 5_000_007_000, 64)]


def test_pcap_is_written_in_literal_bytes(tmp_path):
    with Writer(tmp_path / "a.pcap", "pcap-us", snaplen=3) as out:
        out.write(wire("aabbccdd"), 5_000_007_999)
    assert (tmp_path / "a.pcap").read_bytes() == wire(
        "d4c3b2a1 0200 0400 00000000 00000000 03000000 01000000  05000000 07000000 03000000 04000000 aabbcc")


SHB = wire("0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000")
SHB_BIG = wire("0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c")
IDB_VM1 = wire("01000000 28000000 0100 0000 00000400 0200 0300 766d3100 0900 0100 09000000 00000000 28000000")
EPB = wire("06000000 30000000 00000000 00000000 e8030000 03000000 40000000 aabbcc00 0100 0200 68690000 00000000 30000000")
NAMES = wire("04000000 10000000 00000000 10000000")  # name resolution: passed over


def test_pcapng_is_written_in_literal_bytes(tmp_path):
    with Writer(tmp_path / "a.pcapng", "pcapng") as out:
        out.write(wire("aabbcc"), 1000, "vm1", "hi", 64)
    assert (tmp_path / "a.pcapng").read_bytes() == SHB + IDB_VM1 + EPB


@pytest.mark.parametrize(("blocks", "expected"), [
    (SHB + IDB_VM1 + NAMES + EPB, [Frame(b"\xaa\xbb\xcc", 1000, 64, "vm1", "hi")]),
    # a second section begins anew: other byte order, other interfaces; microseconds where nothing is said
    (SHB + IDB_VM1 + EPB + SHB_BIG + wire("00000001 00000014 0001 0000 00000000 00000014")
     + wire("00000006 00000024 00000000 00000001 00000002 00000001 00000001 ff000000 00000024"),
     [Frame(b"\xaa\xbb\xcc", 1000, 64, "vm1", "hi"), Frame(b"\xff", ((1 << 32) + 2) * 1000, 1)]),
    # two interfaces with clocks of their own: 2^-10 s, and an offset of 100 s
    (SHB + wire("01000000 20000000 0100 0000 00000000 0900 0100 8a000000 00000000 20000000")
     + wire("01000000 24000000 0100 0000 00000000 0e00 0800 6400000000000000 00000000 24000000")
     + wire("06000000 24000000 00000000 00000000 00020000 01000000 01000000 0a000000 24000000")
     + wire("06000000 24000000 01000000 00000000 01000000 01000000 01000000 0b000000 24000000"),
     [Frame(b"\x0a", 500_000_000, 1), Frame(b"\x0b", 100_000_001_000, 1)]),
    # a simple packet: no time, no interface but the first, cut by its snaplen
    (SHB + wire("01000000 14000000 0100 0000 02000000 14000000") + wire("03000000 14000000 05000000 01020000 14000000"),
     [Frame(b"\x01\x02", 0, 5)]),
    # the obsolete packet block
    (SHB + IDB_VM1 + wire("02000000 24000000 0000 0000 00000000 07000000 02000000 09000000 01020000 24000000"),
     [Frame(b"\x01\x02", 7, 9, "vm1")]),
    # two comments of one frame
    (SHB + IDB_VM1 + wire("06000000 38000000 00000000 00000000 00000000 01000000 01000000 aa000000"
                          "0100 0100 61000000 0100 0100 62000000 00000000 38000000"), [Frame(b"\xaa", 0, 1, "vm1", "a\nb")]),
], ids=["names", "sections", "clocks", "simple", "obsolete", "comments"])
def test_pcapng_in_literal_bytes(blocks, expected, tmp_path):
    path = tmp_path / "a.pcapng"
    path.write_bytes(blocks)
    assert list(read(path)) == expected


@pytest.mark.parametrize(("kind", "order"), KINDS)
def test_a_file_cut_anywhere_gives_its_whole_frames_and_then_says_where(kind, order, tmp_path):
    rows = [Frame(bytes(range(n)), n, n, f"if{n % 2}", "note" * (n % 2)) for n in (5, 0, 8, 3)]
    ends = [len(written(tmp_path / "part", kind, order, rows[:n])) for n in range(len(rows) + 1)]
    whole = written(tmp_path / "whole", kind, order, rows)
    interface_blocks = {ends[0] + 40, ends[1] + 40} if kind == "pcapng" else set()
    for at in range(len(whole)):
        path = tmp_path / "cut"
        path.write_bytes(whole[:at])
        seen, error = read_until_error(path)
        assert seen == list(read(tmp_path / "whole"))[:sum(end <= at for end in ends[1:])]
        if at in ends or at in interface_blocks:
            assert error is None
        else:
            assert (error.path, error.frames) == (str(path), len(seen)) and error.offset <= at
            assert str(path) in str(error) and f"byte {error.offset}" in str(error)


@pytest.mark.parametrize(("start", "word"), [
    (b"", "empty"), (b"hello, world\n", "text, 'hello, world"), (b"\x1f\x8b\x08\0abcdef", "gzip"), (b"\x7fELF\x02\x01\x01\0", "program"),
    (b"<html>", "HTML"), (b"\xde\xad\xbe\xef\x00", "de ad be ef"), (b"\xd4\xc3", "d4 c3"),
    (b"\x34\xcd\xb2\xa1" + bytes(20), "Kuznetzov")])
def test_a_file_that_is_no_capture_is_told_by_its_first_bytes(start, word, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(start)
    with pytest.raises(CaptureError, match=word):
        next(read(path))


@pytest.mark.parametrize(("data", "word"), [
    (PCAP["micro, little"][:32] + wire("ffffff7f 40000000 aabbcc"), "2147483647 bytes"),
    (PCAP["micro, little"][:20] + wire("65000000"), "link type 101"),
    (SHB[:8] + wire("11223344") + SHB[12:], "byte order"),
    (SHB[:12] + wire("0200") + SHB[14:], "version 2"),
    (SHB + wire("06000000 ffffff7f"), "2147483647 bytes"),
    (SHB + wire("06000000 08000000"), "8 bytes"),
    (SHB + wire("06000000 0d000000") + bytes(20), "13 bytes"),
    (SHB + wire("05000000 10000000 00000000 14000000"), "ends with 20"),
    (SHB + EPB, "interface 0, and 0 are declared"),
    (SHB + IDB_VM1 + EPB[:20] + wire("ff000000") + EPB[24:], "frame of 255 bytes in a block with room"),
    (SHB + IDB_VM1 + EPB[:34] + wire("ff00") + EPB[36:], "too short"),
    (SHB + wire("06000000 10000000 00000000 10000000"), "too short"),
    (SHB + wire("01000000 10000000 01000000 10000000"), "too short"),
    (SHB + wire("01000000 14000000 7100 0000 00000000 14000000")
     + wire("06000000 24000000 00000000 00000000 00000000 01000000 01000000 aa000000 24000000"), "link type 113"),
])
def test_a_damaged_file_is_refused_in_words(data, word, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(CaptureError, match=word):
        list(read(path))


@given(noise=st.binary(max_size=200), start=st.sampled_from([b"", *PCAP.values(), SHB, SHB_BIG, SHB + IDB_VM1]), cut=st.integers(0, 90))
def test_noise_ends_in_a_capture_error_or_in_frames(noise, start, cut, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(start[:len(start) - cut % (len(start) + 1)] + noise)
    seen, error = read_until_error(path)
    assert all(isinstance(frame, Frame) and len(frame.data) <= MAX_FRAME for frame in seen)
    assert error is None or error.frames == len(seen)


def test_what_does_not_fit_is_refused_before_it_is_written(tmp_path):
    with pytest.raises(ValueError, match="no kind of capture file"):
        Writer(tmp_path / "x", "erf")
    with pytest.raises(ValueError, match="snaplen 0"):
        Writer(tmp_path / "x", snaplen=0)
    with Writer(tmp_path / "x", "pcapng") as out:
        for wrong in ({"ns": -1}, {"ns": 1 << 63}, {"comment": "x" * 70_000}, {"interface": "y" * 70_000}):
            with pytest.raises(CaptureError):
                out.write(b"abc", **wrong)
        out.write(b"abc", 7)
    assert list(read(tmp_path / "x")) == [Frame(b"abc", 7, 3)]


@pytest.mark.parametrize("kind", Writer.KINDS)
def test_scapy_reads_what_we_write_and_writes_what_we_read(kind, tmp_path):
    from scapy.layers.l2 import Ether
    from scapy.utils import RawPcapNgReader, RawPcapReader, wrpcap, wrpcapng
    rows = [bytes(Ether() / (b"x" * n)) for n in (0, 1, 46, 1500)]
    with Writer(tmp_path / "ours", kind) as out:
        for n, data in enumerate(rows):
            out.write(data, 1_700_000_000_123_456_000 + n * 1000, "vm1")
    with (RawPcapNgReader if kind == "pcapng" else RawPcapReader)(str(tmp_path / "ours")) as reader:
        assert [data for data, _ in reader] == rows
    packets = [Ether(data) for data in rows]
    for n, packet in enumerate(packets):
        packet.time = 1_700_000_000 + n
    if kind == "pcapng":
        wrpcapng(str(tmp_path / "theirs"), packets)
    else:
        wrpcap(str(tmp_path / "theirs"), packets, nano=kind == "pcap")
    assert [(f.data, f.ns // 10**9) for f in read(tmp_path / "theirs")] == [(data, 1_700_000_000 + n) for n, data in enumerate(rows)]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed: Debian's package tshark has it")
@pytest.mark.parametrize(("kind", "order"), KINDS)
def test_tshark_sees_the_same(kind, order, tmp_path):
    rows = [Frame(bytes(12) + b"\x88\xb5" + bytes(n), 1_700_000_000_000_001_000 + n, 14 + n + 5 * (n == 46), f"vm{n % 2}", f"note {n}")
            for n in (0, 1, 46, 1500)]
    written(tmp_path / "x", kind, order, rows)
    fields = ["frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_name", "frame.comment"]
    shown = subprocess.run(["tshark", "-r", tmp_path / "x", "-T", "fields", *itertools.chain(*(("-e", f) for f in fields))],
                           capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in shown.stdout.splitlines()]
    assert [(int(row[1]), int(row[2])) for row in lines] == [(len(f.data), f.length) for f in rows]
    if kind == "pcapng":
        assert [(row[3], row[4]) for row in lines] == [(f.interface, f.comment) for f in rows]
    if kind != "pcap-us":
        assert [int(row[0].replace(".", "")) for row in lines] == [f.ns for f in rows]


def test_a_large_file_is_read_frame_by_frame(tmp_path):
    path = tmp_path / "x"
    with Writer(path) as out:
        for n in range(1000):
            out.write(struct.pack(">I", n) * 16, n)
    reader = read(path)
    assert [next(reader).ns for _ in range(3)] == [0, 1, 2]
    assert sum(1 for _ in reader) == 997
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(CaptureError, match="after 1000 whole frames"):
        list(read(path))
