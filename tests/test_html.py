"""What live objects show in a notebook."""
import re
from html.parser import HTMLParser

import pytest

from lab.live import Live
from lab.packet.packet import Packet, Segment
from lab.ui import html

TCP = bytes.fromhex("525400000002 525400000001 0800 4500003c1c4640004006b00c0a0000010a000002"
                    "9c40005000000001000000005018200000000000") + b"x" * 20
ALONE = {"meta", "br", "input"}


class Nesting(HTMLParser):
    """Whether every element that is opened is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


class Table(Live):
    """A live object that says what is to be seen."""

    def __init__(self, rows, note="", title="mempool <main>"):
        self.rows, self.note, self.title = rows, note, title

    def __repr__(self):
        return "<Table: a & b>"

    def facts(self):
        return {"title": self.title, "columns": ["where", "mbufs"], "rows": self.rows, "note": self.note}


class Plain(Live):
    def __repr__(self):
        return "<Plain>"


def shown(thing):
    bundle = thing._repr_mimebundle_()
    assert bundle["text/plain"] == repr(thing)
    Nesting(bundle["text/html"])
    return bundle["text/html"]


def test_a_column_of_numbers_and_its_heading_stand_to_the_right():
    text = shown(Table([["free", 12345], ["used", 7]]))
    assert text.count('<td class="n">') == 2 and '<th scope="col" class="n">' in text and "<td>free</td>" in text


def test_facts_become_a_table_with_its_text_escaped():
    text = shown(Table([["<free>", 12345], [b"\x01\xff", True]], note="4096 & no more"))
    assert "mempool &lt;main&gt;" in text and "&lt;free&gt;" in text and "4096 &amp; no more" in text
    assert "<td>12\u202f345</td>" in text and "<td>01 ff</td>" in text and "<td>yes</td>" in text
    assert 'scope="col">where' in text and 'aria-label="&lt;Table: a &amp; b&gt;"' in text


def test_a_long_table_says_how_much_is_not_shown_and_an_empty_one_that_it_is():
    assert "and 40 more" in shown(Table([["x", i] for i in range(100)]))
    assert "nothing yet" in shown(Table([]))


def test_an_object_without_facts_shows_its_text():
    assert "<pre>&lt;Plain&gt;</pre>" in shown(Plain())


def test_no_picture_asks_the_network_for_anything():
    assert not re.search(r"https?:|src=|@import|url\(", shown(packet()) + shown(Table([[1, 2]])))


def packet():
    thing = Packet(TCP, serial=3)
    thing.segments = [Segment(17, 128, 128, 40, 2176, 1, False), Segment(18, 2304, 0, 34, 2176, 2, True)]
    return thing


def test_a_packet_draws_its_layers_where_they_lie_in_the_segments():
    text = shown(packet())
    buffers = text.split('<div class="mb">')[1:]
    assert len(buffers) == 2
    assert "Ethernet 14 B" in buffers[0] and "IPv4 20 B" in buffers[0] and "TCP 6 B" in buffers[0] and "payload" not in buffers[0]
    assert "TCP 14 B" in buffers[1] and "payload 20 B" in buffers[1] and "external" in buffers[1] and "ref 2" in buffers[1]
    assert 'title="headroom 128 B"' in buffers[0] and "mbuf 17, head 128" in buffers[0]


def test_a_packet_shows_its_headers_and_its_bytes():
    text = shown(packet())
    assert "10.0.0.1 → 10.0.0.2" in text and "40000 → 80" in text
    plain = re.sub(r"<[^>]+>", "", text)
    assert "0000  52 54 00 00 00 02 52 54 00 00 00 01 08 00 45 00" in plain
    assert 'style="--c:var(--tcp)">9c </s>' in text


@pytest.mark.parametrize("data", [b"", b"\x01", bytes(13), TCP[:20]])
def test_a_packet_of_any_bytes_can_be_looked_at(data):
    assert f"{len(data)} B" in shown(Packet(data))


class Step(Live):
    """As the engine's steps are."""

    number, stage, before, after, reason, sentence, cure = 9, "actions", 1, 1, "executed", "2 actions, <1> output", ""
    was = Packet(TCP)
    shown = Packet(TCP[:22] + b"\x3f" + TCP[23:])

    def __repr__(self):
        return "<Step 9>"

    def changes(self):
        return [("memory", 0, "", 4096, "", b"\x40", b"\x3f"), ("bursts", 1, "", 0, "n", None, 1), ("pool", 0, "head", 0, "free", None, 7)]


def test_a_step_shows_the_fields_that_changed_and_the_tables_it_touched():
    text = shown(Step())
    assert "step 9: actions, 1 in, 1 out" in text and "2 actions, &lt;1&gt; output" in text
    assert "nw_ttl" in text and "<del>64</del> → <ins>63</ins>" in text
    assert "bursts" in text and "[0].n" in text and "pool.head" in text and "memory" not in text.split("</style>")[1]


def test_a_layer_that_was_not_there_is_new_field_by_field():
    tagged = Packet(TCP[:12] + bytes.fromhex("81000007") + TCP[12:])
    changes = html.field_changes(Packet(TCP), tagged)
    assert ("VLAN", "vlan_vid", None, "7") in changes and ("Ethernet", "dl_type", "0x0800", "0x8100") in changes
    assert not [change for change in changes if change[0] == "IPv4"]
    assert html.field_changes(None, tagged) == []
