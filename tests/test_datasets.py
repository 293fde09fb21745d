"""The captures of the course: what the script makes is what lies there, and it holds what it says."""
import re
from collections import Counter
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from datasets import make
from lab.ports.capture import read

FOLDER = Path(make.__file__).parent


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets")
    make.make(folder)
    return folder


@pytest.mark.parametrize("name", make.CAPTURES)
def test_the_script_gives_exactly_the_committed_bytes(name, made):
    assert (made / name).read_bytes() == (FOLDER / name).read_bytes()


def test_every_capture_is_described_with_its_number_of_frames_and_all_are_small():
    told = {name: int(frames) for name, frames in re.findall(r"^\| `(\S+)` \| (\d+) \|", (FOLDER / "README.md").read_text(), re.M)}
    there = {path.name: sum(1 for _ in read(path)) for path in FOLDER.iterdir() if path.suffix.startswith(".pcap")}
    assert told == there and set(there) == set(make.CAPTURES)
    assert sum((FOLDER / name).stat().st_size for name in there) < 1_000_000


def test_the_first_flow_is_one_whole_connection():
    segments = [Ether(frame.data)[TCP] for frame in read(FOLDER / "first-flow.pcap")]
    assert [str(s.flags) for s in segments] == ["S", "SA", "A", "PA", "A", "A", "A", "PA", "A", "FA", "FA", "A"]
    assert {frozenset((s.sport, s.dport)) for s in segments} == {frozenset((40000, 80))}
    expected = {40000: 1000, 80: 9000}
    for s in segments:
        assert s.seq == expected[s.sport]
        expected[s.sport] += len(s.payload) + ("S" in str(s.flags)) + ("F" in str(s.flags))
        assert s.ack in (0, expected[s.dport])


def test_the_flows_are_a_hundred_and_the_first_is_the_largest():
    frames = list(read(FOLDER / "hundred-flows.pcap"))
    shares = Counter(Ether(frame.data)[UDP].sport for frame in frames)
    assert set(shares) <= set(range(10_001, 10_101)) and len(shares) > 90
    assert shares.most_common(1)[0][0] == 10_001 and shares[10_001] > 5 * shares[10_010]
    assert {len(frame.data) for frame in frames} == {60}


def test_checksums_are_right_but_where_a_frame_says_otherwise():
    for frame in [*read(FOLDER / "first-flow.pcap"), *read(FOLDER / "mixed.pcapng")]:
        packet = Ether(frame.data)
        if IP in packet:
            again = packet.copy()
            del again[IP].chksum
            if TCP in again:
                del again[TCP].chksum
            assert bytes(again) == frame.data, frame


def test_times_rise_and_odd_frames_say_what_is_odd():
    for name in make.CAPTURES:
        times = [frame.ns for frame in read(FOLDER / name)]
        assert times == sorted(times) and times[0] == make.BEGIN
    comments = [frame.comment for frame in read(FOLDER / "odd-frames.pcapng")]
    assert all(comments) and len(set(comments)) == len(comments)
