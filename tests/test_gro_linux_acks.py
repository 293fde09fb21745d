"""Pure acknowledgements, joined for ports that ask for it: the newest wins, duplicates stay packets of their own, mbufs return."""
import pytest
from gro_scene import Scene, cut, tcp
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether


@pytest.fixture(scope="module")
def scene():
    scene = Scene()
    scene.rows[1].gro_acks = 1
    return scene


@pytest.fixture(autouse=True)
def conserved(scene):
    scene.told.clear()
    scene.lane.now += 1
    yield
    scene.pause()


def ack(number, *, window=500, stamp=None, **how):
    """An acknowledgement."""
    options = () if stamp is None else (("NOP", None), ("NOP", None), ("Timestamp", (stamp, 1)))
    frame = bytearray(tcp(1000, b"", ack=number, options=options, **how))
    packet = Ether(bytes(frame))
    packet[TCP].window = window
    del packet[TCP].chksum
    return bytes(packet)


@pytest.mark.parametrize("stamp", [None, 5])
def test_the_newest_wins_with_its_window_and_timestamps(scene, stamp):
    frames = [ack(10 + k, window=500 + k, stamp=stamp and stamp + k) for k in range(4)]
    assert scene.send(*frames) == []
    [newest] = scene.pause()
    assert newest.bytes == frames[3] and newest.flags == 0
    joined = [("acknowledgement joined", scene.serial - 3 + k, 2 + k, 0) for k in range(3)]
    assert scene.told[:4] == [("held", scene.serial - 4, 0, 0), *joined]


def test_a_window_update_is_no_duplicate_and_a_duplicate_is_kept(scene):
    assert scene.send(ack(10), ack(10, window=501)) == []
    held, again = scene.send(ack(10, window=501))
    assert held.bytes == again.bytes == ack(10, window=501) and scene.lane.held == 0
    assert scene.codes()[-2:] == ["flushed: the same acknowledgement again", "passed by GRO: no payload"]


def test_numbers_run_round(scene):
    scene.send(ack(0xFFFFFFF0), ack(16))
    [newest] = scene.pause()
    assert newest.bytes == ack(16)


OLDER = "flushed: a packet of its flow cannot be merged"


@pytest.mark.parametrize("frame, code", [(ack(9), OLDER), (ack(11, stamp=4), OLDER),
                                         (ack(11, tos=4), "flushed: TOS changed"), (ack(11, ttl=4), "flushed: TTL changed")])
def test_what_cannot_be_joined_leaves_what_is_held_first(scene, frame, code):
    [first] = scene.send(ack(10), frame)
    assert first.bytes == ack(10) and code in scene.codes()
    assert [one.bytes for one in scene.pause()] == [frame]


@pytest.mark.parametrize("frame", [ack(11, flags="AE"), tcp(1000, b"", ack=11, options=(("SAck", (5, 6)),)),
                                   tcp(1000, b"", ack=11, flags="S"), ack(11)[:-1] + b"\x77"])
def test_what_says_more_than_a_number_passes(scene, frame):
    assert [one.bytes for one in scene.send(ack(10), frame)] == [ack(10), frame]


def test_data_and_acknowledgements_of_a_flow_keep_their_order(scene):
    frames = [ack(10), tcp(1000, "a" * 10, ack=10, ident=1), tcp(1010, "b" * 10, ack=10, ident=2), ack(11), ack(12)]
    out = scene.send(*frames) + scene.pause()
    assert [f for one in out for f in cut(one)] == [*frames[:3], frames[4]]


def test_a_port_that_does_not_ask_gets_each(scene):
    frames = [ack(10), ack(11)]
    scene.rows[1].gro_acks = 0
    assert [one.bytes for one in scene.send(*frames)] == frames and set(scene.codes()) == {"passed by GRO: no payload"}
    scene.rows[1].gro_acks = 1
