"""Places: bits of fields by every name, and where in the wide key they lie."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.flow.actions import IP_SRC, TP_DST
from lab.openflow.errors import CommandError
from lab.openflow.matching.fields import ROWS
from lab.openflow.matching.places import Place, full, read_place, spot, width

PLACES = [  # text, word, low, bits, code, printed
    ("NXM_NX_REG0[0..15]", 33, 32, 16, 0, "NXM_NX_REG0[0..15]"), ("NXM_OF_IP_SRC[]", 6, 32, 32, IP_SRC, "NXM_OF_IP_SRC[]"),
    ("reg0[3]", 33, 35, 1, 0, "NXM_NX_REG0[3]"), ("reg0[]", 33, 32, 32, 0, "NXM_NX_REG0[]"), ("reg1", 33, 0, 32, 0, "NXM_NX_REG1[]"),
    ("tcp_dst", 7, 32, 16, TP_DST, "NXM_OF_TCP_DST[]"), ("xxreg1[64..79]", 35, 0, 16, 0, "NXM_NX_XXREG1[64..79]"),
    ("xxreg1[0..15]", 36, 0, 16, 0, "NXM_NX_XXREG1[0..15]"), ("xreg2[ 0 .. 31 ]", 35, 0, 32, 0, "OXM_OF_PKT_REG2[0..31]"),
    ("metadata[0..31]", 32, 0, 32, 0, "OXM_OF_METADATA[0..31]"), ("in_port", 0, 32, 16, 0, "NXM_OF_IN_PORT[]"),
    ("oxm_of_ipv4_src[8..15]", 6, 40, 8, IP_SRC, "NXM_OF_IP_SRC[8..15]"), ("nw_src[31]", 6, 63, 1, IP_SRC, "NXM_OF_IP_SRC[31]"),
]


@pytest.mark.parametrize(("text", "word", "low", "bits", "code", "printed"), PLACES, ids=[row[0] for row in PLACES])
def test_a_place_lies_there(text, word, low, bits, code, printed):
    place = read_place(text)
    assert (place.word, place.low, place.bits, place.code) == (word, low, bits, code)
    assert str(place) == printed and read_place(printed) == place


@pytest.mark.parametrize(("text", "word", "position", "says", "nearest"), [
    ("rge0", "rge0", 0, "no field", "reg0"), ("reg0[32]", "[32]", 4, "has 32 bits, the last is 31", ""),
    ("reg0[0..32]", "[0..32]", 4, "has 32 bits", ""), ("reg0[5..4]", "[5..4]", 4, "comes after the last", ""),
    ("reg0[a]", "[a]", 4, "bits are written", ""), ("reg0[0..", "[0..", 4, "a place is written", ""), ("", "", 0, "a place is written", ""),
    ("NXM_OF_IP_SCR[]", "NXM_OF_IP_SCR", 0, "no field", "NXM_OF_IP_SRC"), ("dl_vlan", "dl_vlan", 0, "cannot be set or read", "vlan_vid"),
    ("tun_metadata1", "tun_metadata1", 0, "not built yet", ""), ("5", "5", 0, "a place is written", ""),
])
def test_a_mistake_is_named(text, word, position, says, nearest):
    with pytest.raises(CommandError) as caught:
        read_place(text)
    error = caught.value
    assert (error.word, error.position, error.suggestion) == (word, position, nearest) and says in error.problem


def test_parts_lie_within_a_word_and_make_up_the_place():
    assert read_place("xxreg0").parts() == [(34, 0, 64), (33, 0, 64)]
    assert read_place("ipv6_src[60..70]").parts() == [(10, 60, 4), (9, 0, 7)]
    assert read_place("reg0[4..7]").parts() == [(33, 36, 4)]


writable = [row for row in ROWS if row.oxm and row.read]


@given(st.sampled_from(writable), st.data())
def test_a_place_prints_itself_and_its_parts_have_its_bits(row, data):
    first = data.draw(st.integers(0, width(row) - 1))
    place = Place(row, first, data.draw(st.integers(1, width(row) - first)))
    assert read_place(str(place)) == place
    assert place.mask & ~full(row) == 0
    if first + place.bits <= row.bits:
        assert sum(bits for _, _, bits in place.parts()) == place.bits
        assert place.parts()[0][:2] == spot(row, first) == (place.word, place.low)
    assert all(low >= 0 and low + bits <= 64 for _, low, bits in place.parts())
