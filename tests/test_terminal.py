"""The frame as text: whoever sees no picture reads the same."""
import re

import frames

from lab.ui import terminal

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def test_the_pipeline_stands_on_one_line_with_the_packets_place_in_brackets():
    assert terminal.pipeline(frames.frame("actions"), colour=False) == \
        "vm1 ─ ✓parse ─ ✓emc ─ –smc– ─ ✓megaflow ─ ✓(upcall) ─ [actions] ─ gso ─ vm2"
    assert terminal.pipeline(frames.frame("rx"), colour=False).startswith("[vm1] ─ parse ─ emc")
    assert terminal.pipeline(frames.frame("tx"), colour=False).endswith("✓gso 1→14 ─ [vm2]")


def test_the_text_says_what_changed_and_why():
    lines = terminal.text(frames.frame("actions"), colour=False).split("\n")
    assert lines[0] == "step 6 of 8   packet 1   20070 B   gso_size 1448"
    assert "executed  mod_vlan_vid:7, dec_ttl, output:vm2." in lines
    assert "    ≠ 7 bytes, mbufs, bursts" in lines
    assert "  ≠ nw_ttl       64 → 63" in lines
    assert "  + vlan_tci     vid 7, pcp 0" in lines
    assert "802.1Q  vid 7  + new" in lines
    assert "0000  52 54 00 00 00 02 52 54 00 00 00 01≠81 00+00+07" in lines
    assert "0010 +08+00 45 00 4e 54 1c 46 40 00≠3f 06≠bd 5b 0a 00" in lines
    assert "mbuf 17: 124+2052 of 2176 → mbuf 18: 128+2048 of 2176 → 7 more → mbuf 26: 128+1634 of 2176" in lines


def test_colour_adds_nothing_to_the_words():
    for frame in [*frames.walk(), frames.burst(), frames.dropped(), frames.inside(), frames.empty()]:
        coloured = terminal.text(frame)
        assert "\x1b[" in coloured
        assert ESCAPES.sub("", coloured) == terminal.text(frame, colour=False)


def test_a_drop_its_cure_and_its_note_are_told():
    words = terminal.text(frames.dropped(), colour=False)
    assert "dropped: no rule  no rule matches" in words and "cannot be unsent" in words
    assert "sw.ofctl('add-flow priority=0,actions=flood')" in words


def test_inside_a_stage_the_next_line_is_marked():
    lines = terminal.text(frames.inside(), colour=False).split("\n")
    assert "emc.py:23" in lines
    assert "    k = 0, position = 1, entry = emc[4711], hash = 0x9c1e77f2" in lines, "the stage's own tables are left out"
    assert [line for line in lines if line.startswith("▶")] == ["▶  23          if entry.hash == b.hash[k] and same(entry.key, keys[k]):"]


def test_an_empty_switch_is_no_error():
    assert terminal.text(frames.empty(), colour=False).startswith("step 0 of 0\nvm1 ─ parse")


def test_bytes_that_are_as_they_were_are_not_marked():
    changed = terminal.changed_bytes(frames.frame("actions"))
    assert changed == {12: "08", 14: "", 15: "", 16: "", 17: "", 26: "40", 28: "bc"}
