"""Neighbours of tunnels: push asks for a MAC address that nobody knows, pop learns what is said and answers for the port's own address."""
import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from test_tunnel_push import packet
from tunnels import FAR4, FAR6, OWN4, OWN6, UNDERLAY, Scene

from lab.memory import reasons
from lab.offload.records import ASKED, LEARNED, NEIGHBOURS, STATIC, VXLAN

FAR_MAC, OWN_MAC = "02:bb:00:00:00:01", "02:aa:00:00:00:02"
FAR_NUMBER = 0x02BB00000001


def stranger(v=4):
    """A scene in which nobody knows the far end."""
    scene = Scene(VXLAN, v=v)
    scene.array("neighbours")["v"] = 0
    return scene


def sent(scene):
    """What waits at the underlay port."""
    return [Ether(scene.bytes_of(i)) for i in scene.waiting(UNDERLAY)]


def test_an_unknown_next_hop_is_asked_for_once_a_second():
    scene = stranger()
    scene.push([packet()] * 3)
    assert scene.reasons() == dict.fromkeys(range(3), reasons.NO_NEIGHBOUR)
    question, = sent(scene)
    assert len(question) == 60
    assert (question.dst, question.src, question[ARP].op) == ("ff:ff:ff:ff:ff:ff", OWN_MAC, 1)
    assert (question[ARP].psrc, question[ARP].pdst, question[ARP].hwsrc, question[ARP].hwdst) == (OWN4, FAR4, OWN_MAC, "00:00:00:00:00:00")
    assert scene.asked() == [(FAR4, 0, ASKED)]
    assert scene.counted(reasons.NEIGHBOUR_ASKED) == 1
    for now, asked in ((999_999, 0), (1_000_000, 1), (1_500_000, 0)):
        scene.clear()
        scene.table("lane")[0].now = now
        scene.push([packet()])
        assert len(sent(scene)) == asked


def test_over_ipv6_the_group_of_the_address_is_asked():
    scene = stranger(6)
    scene.push([packet()])
    question, = sent(scene)
    assert (question.dst, question[IPv6].dst, question[IPv6].src, question[IPv6].hlim) == ("33:33:ff:00:00:09", "ff02::1:ff00:9", OWN6, 255)
    assert (question[ICMPv6ND_NS].tgt, question[ICMPv6NDOptSrcLLAddr].lladdr) == (FAR6, OWN_MAC)
    raw = bytes(question)
    del question[ICMPv6ND_NS].cksum
    assert bytes(question) == raw


def arp(op="is-at", **fields):
    """An ARP message from the far end."""
    said = {"hwsrc": FAR_MAC, "psrc": FAR4, "hwdst": OWN_MAC, "pdst": OWN4} | fields
    return bytes(Ether(src=said["hwsrc"], dst=OWN_MAC) / ARP(op=op, **said))


def advert(**fields):
    """A neighbour advertisement from the far end."""
    said = {"dst": OWN6, "tgt": FAR6, "mac": FAR_MAC, "hlim": 255} | fields
    return bytes(Ether(src=FAR_MAC, dst=OWN_MAC) / IPv6(src=FAR6, dst=said["dst"], hlim=said["hlim"])
                 / ICMPv6ND_NA(tgt=said["tgt"]) / ICMPv6NDOptDstLLAddr(lladdr=said["mac"]))  # fmt: skip


def solicit(src=FAR6, tgt=OWN6, mac=FAR_MAC):
    """A neighbour solicitation for the port's own address."""
    return bytes(Ether(src=FAR_MAC, dst="33:33:ff:00:00:01") / IPv6(src=src, dst="ff02::1:ff00:1", hlim=255)
                 / ICMPv6ND_NS(tgt=tgt) / ICMPv6NDOptSrcLLAddr(lladdr=mac))  # fmt: skip


@pytest.mark.parametrize("v, answer", [(4, arp()), (6, advert())])
def test_the_answer_is_learned_and_packets_go(v, answer):
    scene = stranger(v)
    scene.push([packet()])
    scene.clear()
    assert scene.pop([answer]) == [answer]
    assert scene.asked() == [(FAR4 if v == 4 else FAR6, FAR_NUMBER, LEARNED)]
    assert scene.counted(reasons.NEIGHBOUR_LEARNED) == 1
    assert sent(scene) == []
    scene.clear()
    out, = scene.push([packet()])
    assert Ether(out).dst == FAR_MAC


def test_a_question_for_the_ports_address_is_answered_and_teaches_and_goes_on():
    scene = stranger()
    question = arp("who-has", hwdst="00:00:00:00:00:00")
    assert scene.pop([question]) == [question]
    answer, = sent(scene)
    assert (answer.dst, answer.src, answer[ARP].op) == (FAR_MAC, OWN_MAC, 2)
    assert (answer[ARP].psrc, answer[ARP].hwsrc, answer[ARP].pdst, answer[ARP].hwdst) == (OWN4, OWN_MAC, FAR4, FAR_MAC)
    assert scene.asked() == [(FAR4, FAR_NUMBER, LEARNED)]
    assert scene.counted(reasons.ADDRESS_ANSWERED) == 1
    assert int(scene.table("lane")[0].pending) == 1 << UNDERLAY


@pytest.mark.parametrize("src, to, group, solicited", [(FAR6, FAR6, FAR_MAC, 1), ("::", "ff02::1", "33:33:00:00:00:01", 0)])
def test_a_solicitation_is_answered(src, to, group, solicited):
    scene = stranger(6)
    question = solicit(src)
    assert scene.pop([question]) == [question]
    answer, = sent(scene)
    assert (answer.dst, answer.src, answer[IPv6].src, answer[IPv6].dst, answer[IPv6].hlim) == (group, OWN_MAC, OWN6, to, 255)
    assert (answer[ICMPv6ND_NA].tgt, answer[ICMPv6ND_NA].S, answer[ICMPv6ND_NA].O) == (OWN6, solicited, 1)
    assert answer[ICMPv6NDOptDstLLAddr].lladdr == OWN_MAC
    raw = bytes(answer)
    del answer[ICMPv6ND_NA].cksum
    assert bytes(answer) == raw
    assert scene.asked() == ([(FAR6, FAR_NUMBER, LEARNED)] if src != "::" else [])


def changed(frame, at, value):
    """A frame with one byte changed."""
    return frame[:at] + bytes((value,)) + frame[at + 1:]


@pytest.mark.parametrize("frame", [
    arp(hwsrc="ff:ff:ff:ff:ff:ff"), arp(hwsrc="00:00:00:00:00:00"), arp(psrc=OWN4), arp(pdst="10.0.0.5"), arp(op=3), arp()[:40],
    advert(hlim=254), advert(mac="33:33:00:00:00:01"), advert(tgt=OWN6), advert(dst="ff02::1"), changed(advert(), 70, 1), advert()[:77],
    changed(advert(), 79, 0), solicit(tgt="fd00::5"), solicit(src=OWN6), solicit(mac="ff:ff:ff:ff:ff:ff"),
    bytes(Ether(src=FAR_MAC) / Dot1Q(vlan=2) / ARP(op=2, psrc=FAR4, pdst=OWN4)),
])  # fmt: skip
def test_what_cannot_be_true_or_was_not_asked_teaches_nothing_and_is_not_answered(frame):
    scene = stranger()
    assert scene.pop([frame]) == [frame]
    assert scene.asked() == []
    assert sent(scene) == []


def test_what_is_said_unasked_moves_a_neighbour_that_is_known():
    scene = stranger()
    scene.pop([arp()])
    scene.clear()
    scene.table("lane")[0].now = 5
    scene.pop([arp(hwsrc="02:bb:00:00:00:77", pdst=FAR4)])
    assert scene.asked() == [(FAR4, 0x02BB00000077, LEARNED)]


def test_a_persons_neighbour_counts_more_than_what_is_heard():
    scene = Scene(VXLAN)
    scene.pop([arp(hwsrc="02:bb:00:00:00:77")])
    scene.clear()
    out, = scene.push([packet()])
    assert Ether(out).dst == FAR_MAC
    assert [state for _, _, state in scene.asked()] == [LEARNED]
    assert scene.array("neighbours")[0]["state"] == STATIC


def test_the_newest_of_all_lanes_rows_counts():
    scene = stranger()
    scene.neighbour(2 * NEIGHBOURS, FAR4, 0x02BB00000022, state=LEARNED, used=10)
    scene.neighbour(3 * NEIGHBOURS, FAR4, 0x02BB00000033, state=LEARNED, used=20)
    scene.neighbour(4 * NEIGHBOURS, FAR4, 0, state=ASKED, used=30)
    out, = scene.push([packet()])
    assert Ether(out).dst == "02:bb:00:00:00:33"


def test_a_neighbour_of_another_port_is_none_of_this():
    scene = stranger()
    scene.neighbour(0, FAR4, FAR_NUMBER, port=3)
    assert len(scene.push([packet()])) == 1  # the question
    assert scene.reasons() == {0: reasons.NO_NEIGHBOUR}


def test_when_all_places_are_taken_the_oldest_goes():
    scene = stranger()
    for n in range(NEIGHBOURS + 1):
        scene.clear()
        scene.table("lane")[0].now = n
        scene.pop([arp(psrc=f"10.0.1.{n}")], tempo="step")
    found = {address for address, _, _ in scene.asked()}
    assert len(found) == NEIGHBOURS and "10.0.1.0" not in found and f"10.0.1.{NEIGHBOURS}" in found


def test_a_full_batch_is_not_added_to():
    scene = stranger()
    scene.table("outs")[UNDERLAY].n = 64
    scene.set_up([arp("who-has")], UNDERLAY, (), None)
    from lab.stages.pop import pop
    free = scene.table("pool").head[0].n
    scene.both(pop)
    assert scene.table("outs")[UNDERLAY].n == 64
    assert scene.table("pool").head[0].n == free
    assert (scene.counted(reasons.RING_FULL), scene.counted(reasons.ADDRESS_ANSWERED)) == (1, 0)
