"""The course runs: every notebook without outputs in git, in short cells, in the Glasswitch kernel, to its end within a minute."""

import json
import re
import time
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_LINES, MOST_COLUMNS, MOST_SECONDS = 15, 150, 60
WITHOUT_PLOTS = ("02b-action-sets",)
ANSWERS = {"A": "emc", "B": "emc", "C": "megaflow", "D": "megaflow", "E": "upcall"}

each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module", autouse=True)
def kernel_and_code():
    """Jupyter finds the checkout's kernel, and machine code is there before a notebook's time is taken."""
    from lab.engine.code.objects import warm
    from lab.notebooks import find_kernel

    find_kernel(FOLDER.parent)
    warm(lambda done, total, name: None)


def code_cells(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def executed(book):
    """The notebook with its outputs, and how long it took."""
    begun = time.monotonic()
    client = nbclient.NotebookClient(
        book,
        timeout=MOST_SECONDS,
        kernel_name="glasswitch",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    return book, time.monotonic() - begun


@pytest.fixture(scope="module")
def ran():
    """Each notebook, run once for all tests."""
    done = {}

    def run(path):
        if path not in done:
            done[path] = executed(nbformat.read(path, as_version=4))
        return done[path]

    return run


def said(cell):
    """Everything that a cell put out, as text; what it printed may have come in pieces."""
    return "".join(out.get("text") or str(out.get("data", {}).get("text/plain", "")) + "\n" for out in cell.outputs)


def test_the_course_begins_with_its_first_notebook():
    numbers = sorted({path.stem[:2] for path in BOOKS})
    assert numbers == [f"{n:02}" for n in range(len(numbers))] and len(numbers) >= 3
    assert [path.stem for path in BOOKS if not path.stem[2:].startswith("-")] == ["02b-action-sets"]


@each
def test_a_notebook_is_committed_without_outputs(path):
    book = json.loads(path.read_text())
    nbformat.validate(nbformat.from_dict(book))
    assert book["metadata"]["kernelspec"] == {"display_name": "Glasswitch", "language": "python", "name": "glasswitch"}
    assert set(book["metadata"]) <= {"kernelspec", "language_info"}
    for cell in book["cells"]:
        commands = "".join(cell["source"]).startswith("ovs-")  # no Python, so no linter shall read it as Python
        assert cell["metadata"] == ({"vscode": {"languageId": "shellscript"}} if commands else {})
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@each
def test_cells_are_short(path):
    for cell in code_cells(nbformat.read(path, as_version=4)):
        lines = cell.source.splitlines()
        assert lines and len(lines) <= MOST_LINES, cell.source
        assert max(map(len, lines)) <= MOST_COLUMNS, cell.source


@each
def test_a_notebook_says_what_one_learns_how_long_it_takes_and_where_to_go_on(path):
    words = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    assert "**You will learn**" in words[0] and re.search(r"\*\*It takes\*\* about \d+ minutes", words[0])
    assert "## Where to go on" in words[-1] and "## What you have seen" in words[-1]
    for name in re.findall(r"\]\(([^)#:]+\.ipynb)\)", "\n".join(words)):
        assert (FOLDER / name).is_file(), name


@each
def test_a_notebook_runs_within_a_minute(path, ran):
    _, seconds = ran(path)
    assert seconds < MOST_SECONDS


@each
def test_nothing_is_told_on_standard_error(path, ran):
    told = [out.text for cell in code_cells(ran(path)[0]) for out in cell.outputs if out.get("name") == "stderr"]
    assert [text for text in told if "compiling" not in text and text.strip()] == []


def test_the_first_packet_goes_and_comes_back_and_is_decided_anew(ran):
    book, _ = ran(FOLDER / "00-first-packet.ipynb")
    whole = "\n".join(map(said, code_cells(book)))
    assert "<1 packet sent by vm2>" in whole and "<0 packets sent by vm2>" in whole
    assert "upcall     megaflow installed: rule 'priority=20,tcp,tp_dst=80 actions=drop' decides" in whole
    assert "upcall       megaflow installed: rule 'priority=0 actions=NORMAL' decides" in whole and "'dropped: rule says so': 1" in whole
    assert "cure: sw.ports['vm2'].mtu = " in whole
    assert "1 in, 0 out, stage vm1.ingress.low_ttl says so" in whole
    assert "lie outside the packets' memory" in whole
    assert "4096 of 4096 mbufs free" in whole


def test_the_stepper_is_text_where_no_widget_is_shown(ran):
    book, _ = ran(FOLDER / "00-first-packet.ipynb")
    shown = [said(cell) for cell in code_cells(book) if cell.source == "sw.stepper()"]
    assert len(shown) == 2 and "vm1 ─ parse ─ emc" in shown[0] and "low_ttl" in shown[1]


def test_plots_are_transparent_and_have_a_text_beside_them(ran):
    for path in BOOKS:
        if path.stem in WITHOUT_PLOTS:
            continue
        book, _ = ran(path)
        plots = [out.data["application/vnd.plotly.v1+json"] for cell in code_cells(book) for out in cell.outputs if "data" in out
                 if "application/vnd.plotly.v1+json" in out.data]  # fmt: skip
        assert plots
        for plot in plots:
            assert plot["layout"]["paper_bgcolor"] == plot["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"


def test_the_caches_show_what_the_text_says(ran):
    book, _ = ran(FOLDER / "01-caches.ipynb")
    whole = "\n".join(map(said, code_cells(book)))
    assert "the whole key stands at place 1 of 2" in whole
    assert "subtable 2 of 2 by rank" in whole and "subtable 1 of 2 by rank" in whole
    alone = next(line for line in whole.splitlines() if line.startswith("EMC  "))
    shares = [int(share) for share in re.findall(r"(\d+)%", alone)]
    assert shares == sorted(shares, reverse=True) and shares[0] == 100 and shares[-1] < 40
    assert whole.count("no answer yet") == len(ANSWERS) and "right" not in whole.split("A no answer yet")[1]


def test_the_exercise_accepts_the_right_answers_and_hints_at_wrong_ones():
    book = nbformat.read(FOLDER / "01-caches.ipynb", as_version=4)
    cells = code_cells(book)
    quiz = next(n for n, cell in enumerate(cells) if "quiz = fresh" in cell.source)
    needed = [cell for cell in cells if "def fresh" in cell.source or "def play" in cell.source or "def flow" in cell.source]
    frames = nbformat.v4.new_code_cell(next(cell.source for cell in cells if "import read" in cell.source).split("vm1.inject")[0])
    rules = nbformat.v4.new_code_cell(next(cell.source for cell in cells if "two_rules =" in cell.source).splitlines()[0])
    needed[0].source = "from lab import Switch\n" + needed[0].source
    answers = [nbformat.v4.new_code_cell(f"predictions = {given!r}") for given in (ANSWERS, dict.fromkeys(ANSWERS, "smc"))]
    check = cells[quiz + 2].source
    assert "predictions" in check
    needed[2].source = "\n".join(line for line in needed[2].source.splitlines() if line)
    book.cells = [
        frames,
        rules,
        *needed,
        cells[quiz],
        answers[0],
        nbformat.v4.new_code_cell(check),
        answers[1],
        nbformat.v4.new_code_cell(check),
    ]
    executed(book)
    assert said(book.cells[-3]).split() == [word for name in ANSWERS for word in (name, "right")]
    assert said(book.cells[-1]).count("not yet: ") == len(ANSWERS)
    for name, answer in ANSWERS.items():
        hint = next(line for line in said(book.cells[-1]).splitlines() if line.startswith(name))
        assert answer not in hint.lower().replace("quiz.megaflows", "").replace("the megaflow?", "")


def test_the_mask_of_the_tables_notebook_grows_by_what_each_rule_costs(ran):
    book, _ = ran(FOLDER / "02-tables-and-megaflows.ipynb")
    cells = code_cells(book)
    grown = next(said(cell) for cell in cells if cell.source.startswith("for k, name in enumerate(grown)")).splitlines()
    addresses = [int(re.search(r"nw_dst (\d+)", line)[1]) for line in grown]
    assert addresses == [*range(8, 17), 16, 16, 16]
    assert grown[-3].endswith("nw_dst 16") and grown[-2].endswith("tp_dst 10") and grown[-1].endswith("tp_dst 10, dl_src 48")


def test_the_tables_notebook_shows_what_its_text_says(ran):
    book, _ = ran(FOLDER / "02-tables-and-megaflows.ipynb")
    whole = "\n".join(map(said, code_cells(book)))
    assert "unknown action 'noraml': did you mean 'normal'?" in whole
    assert "no rule of subtable dl_type,nw_proto,tp_dst has these L3 fields" in whole
    assert "with nw_ttl=1: 40 megaflows" in whole and "to the local network: <1 megaflow" in whole and "invalid_ttl" in whole
    kept, changed, deleted = [line for line in whole.splitlines() if line.startswith("   {'revalidated'")][:3]
    assert "megaflow" not in kept.split("}")[0] and "'megaflow changed': 1" in changed and "'megaflow deleted: mask': 1" in deleted
    assert "idle timeout after 6.000 s, 1 packet" in whole and "Megaflow: recirc_id=0,eth,ip,in_port=guest" in whole
    assert "first:  b,c <MAC table: 1 address>" in whole and "now:    b\n" in whole
    assert "<run: 32 packets in, 10 out, 22 dropped" in whole and "<packet-in: 64 of 142 B" in whole
    assert whole.count("no answer yet") == 2 and "C not yet" in whole


def test_the_action_sets_notebook_shows_what_its_text_says(ran):
    book, _ = ran(FOLDER / "02b-action-sets.ipynb")
    cells = code_cells(book)
    whole = "\n".join(map(said, cells))
    assert "WRONG" not in whole and whole.count("\nok   ") + whole.startswith("ok   ") == 12
    assert whole.count("True set(ipv4(") == 3 and "as the untagged frame: True" in whole
    order = ["strip_vlan", "push_vlan:0x8100", "dec_ttl", "mod_nw_tos:32", "output:vm2"]
    assert "\n".join(f"table 0: action {action}" for action in order) in whole
    winners = dict(re.findall(r"^(.{26}) (.+)$", next(said(cell) for cell in cells if "cases = {" in cell.source), re.MULTILINE))
    winners = {name.strip(): came_out for name, came_out in winners.items()}
    nothing = "dropped: rule says so"
    assert winners["a set without output"] == winners["clear_actions empties it"] == nothing
    assert winners["a group beats an output"] == winners["two outputs: the last one"] == "vm3: as it was"
    assert "dl_vlan=5    5 packets, 255 bytes ok" in whole and "everything   5 packets, 235 bytes ok" in whole
    assert whole.count("no answer yet") == 3


def test_the_64k_notebook_shows_what_its_text_says(ran):
    book, _ = ran(FOLDER / "03-a-64k-packet.ipynb")
    whole = "\n".join(map(said, code_cells(book)))
    assert "65226 bytes: 66 of headers and 65160 of payload" in whole and "'waiting at vm1': 32}" in whole
    assert "1 in, 1 out" in whole and "<Packet 1: 65226 B in 32 segments, gso_size 1448 tcpv4, checksum partial" in whole
    assert "segmented  GSO: port vm2 lacks tso4, 65226 bytes into 45 of 1448\n    sw.ports['vm2'].offloads.add('tso4')" in whole
    assert "<cut of 65226 B into 45: payload 0 to 1448, 1448 to 2896, …, 63712 to 65160>" in whole
    segments = next(said(cell) for cell in code_cells(book) if "cut.whole.segments" in cell.source)
    found = [(int(n), int(at)) for n, at in re.findall(r"(\d+) bytes at (\d+)", segments)]
    begins = int(re.search(r"the large packet began at (\d+)", segments)[1])
    assert [n for n, _ in found] == [66, 1448, 66, 534, 914, 66, 1448]
    assert (found[1][1], found[3][1]) == (begins + 66, begins + 66 + 1448)
    assert "'to vm2, core 1': 121" in whole and "'lent to 2 segments': 20" in whole and "'lent to 3 segments': 12" in whole
    assert "segment 43: length 1500, id 44, sequence number 62265, flags A\n" in whole
    assert "segment 44: length 1500, id 45, sequence number 63713, flags PA\n" in whole
    assert "45 segments, joined the same bytes; <mempool: 4096 of 4096 mbufs free>" in whole
    bars = next(out.data["application/vnd.plotly.v1+json"]["data"] for cell in code_cells(book) for out in cell.outputs
                if "data" in out and "application/vnd.plotly.v1+json" in out.data)  # fmt: skip
    assert [bar["text"] for bar in bars] == [["32"] * 5 + ["121", ""], [""] * 5 + ["32", ""]]


def test_the_64k_notebook_pays_debts_and_refuses_lies(ran):
    book, _ = ran(FOLDER / "03-a-64k-packet.ipynb")
    whole = "\n".join(map(said, code_cells(book)))
    assert "<ip 0x60ed good, tcp 0x19d1 partial>" in whole and "<ip 0x60ed good, tcp 0x98bf good>" in whole
    assert "ICMP: fine" in whole and "TCP: its receiver finds a wrong checksum and says nothing" in whole
    assert "tcp 0x21ba bad, should be 0x61ba> True" in whole and "2 segments were copied into one, 1514 B" in whole
    assert "dropped: too large - 65226 B do not fit port vm2 (mtu 1500)" in whole
    assert "{0: 45}" in whole and "<memory of vm1: 0 of 16 slots lent, 1 given back>" in whole
    lies = re.findall(r"0 taken, (dropped: [^\n]+)", whole)
    assert lies == [f"dropped: {why}" for why in ("GSO size", "too many segments", "checksum outside", "GSO type", "GSO type")]
    assert whole.count("no answer yet") == 4


def test_the_gro_notebook_joins_to_the_same_bytes_and_says_what_breaks_a_merge(ran):
    book, _ = ran(FOLDER / "04-gso-and-gro.ipynb")
    cells = code_cells(book)
    whole = "\n".join(map(said, cells))
    assert "45 segments on the wire" in whole and "<Packet 2: 65226 B in 45 segments, gso_size 1448 tcpv4, checksum partial" in whole
    assert "44 merged into others, 45.0 to one>" in whole and "<GRO: 3 packets of 1 flow held, 3 packets in>" in whole
    assert "GRO: flushed 3 packets, held for 1000 us" in whole and "packet 4: flushed: window changed" in whole
    table = next(said(cell) for cell in cells if "other = made" in cell.source).splitlines()[1:]
    rows = {row[:16].strip(): row[16:].split() for row in table}
    assert rows["nothing"] == ["01234", "01234"] and rows["window"] == ["01|2|34", "01234", "<--", "differ"]
    assert {name for name, row in rows.items() if row and row[-1] == "differ"} == {
        "flag ECE", "PSH", "SYN", "window", "TTL", "TOS", "longer", "no payload", "a byte damaged", "late", "backwards"}  # fmt: skip
    assert rows["SYN"][1] == "2|01|34" and rows["backwards"][:2] == ["4|3|2|1|0", "01234"] and rows["late"][:2] == ["0|2|1|34", "01|234"]
    assert "bytes that are not what was sent: 1" in whole and "27|01|34 its checksum is bad" in whole and "bad, should be" in whole


def test_the_gro_notebook_has_other_traffic_and_two_lanes(ran):
    book, _ = ran(FOLDER / "04-gso-and-gro.ipynb")
    cells = code_cells(book)
    whole = "\n".join(map(said, cells))
    assert re.search(r"one download +linux 64\.0   dpdk 16\.0\n", whole) and re.search(r"32 at once +linux +6\.0   dpdk +1\.0\n", whole)
    assert "192.0 to one>\n[276569] of 276569" in whole and "egress.gro   0 in, 1 out: GRO: flushed 5 packets" in whole
    assert "in 11 segments, gso_size 1200 udp_l4" in whole
    lanes = next(said(cell) for cell in cells if "router = Switch" in cell.source)
    assert "core 1  handover   waits in the ring to core 2" in lanes
    assert "core 2  gso        the headers went into 45 elements of 1448" in lanes
    assert "[65226] False" in whole and whole.count("no answer yet") == 5


def test_the_tunnels_notebook_finds_the_way_and_pushes_what_the_other_side_pops(ran):
    book, _ = ran(FOLDER / "05-tunnels.ipynb")
    cells = code_cells(book)
    whole = "\n".join(map(said, cells))
    assert "push      dropped: no neighbour: the next hop's MAC address is unknown" in whole
    assert "<1 neighbour: 192.0.2.2 asked for>" in whole
    assert "ARP who has 192.0.2.2? tell 192.0.2.1>" in whole and "<1 neighbour: 192.0.2.2 at 02:00:00:00:00:14>" in whole
    assert re.search("192.0.2.77 +02:00:00:00:00:77   left\n", whole) and "Cached: 192.0.2.0/24 dev eth0 SRC 192.0.2.1" in whole
    assert "pop        56 B  50 B of tunnel headers gone; key 100" in whole and "    46   3 B  tun_id         100" in whole
    assert "VXLAN 500: 1 arrived" in whole and "VXLAN 501: 0 arrived" in whole and "set(tunnel(tun_id=0x1f4)),t0" in whole
    flows, ports, low, high = map(int, re.search(r"(\d+) flows, (\d+) source ports from (\d+) to (\d+)", whole).groups())
    assert flows == 200 and ports > 195 and 32768 <= low < high < 61000
    table = next(said(cell) for cell in cells if 'print("outside ' in cell.source).splitlines()
    assert [row.split()[2:] for row in table[1:5]] == [["0", "0", "0", "dropped"], ["1", "1", "1", "3"], ["2", "1", "2", "3"], ["3"] * 4]
    assert re.findall(r"outside: DSCP +(\d+), ECN (\d), TTL (\d+)", whole) == [
        ("0", "0", "64"), ("0", "2", "64"), ("46", "0", "10"), ("46", "2", "10"), ("10", "0", "7"), ("10", "2", "7")]  # fmt: skip


def test_the_tunnels_notebook_takes_large_packets_through_and_tells_what_goes_wrong(ran):
    book, _ = ran(FOLDER / "05-tunnels.ipynb")
    whole = "\n".join(map(said, code_cells(book)))
    assert "1550 B with their tunnel headers; the path takes 1500" in whole and "what fits: 1450" in whole
    assert re.findall(r"(\d+) on the wire, the first of (\d+) B: <ip 0x\w+ good, udp 0x\w+ (\w+),", whole) == [
        ("45", "1504", "none"), ("45", "1504", "none"), ("1", "62604", "none"), ("2", "61704", "good"), ("1", "62604", "partial"),
    ]  # fmt: skip
    assert "class 0x0102 type 0x80: 00 00 ca fe" in whole and "tun_metadata0=0xcafe,in_port=t0" in whole
    assert re.findall(r"([+]\d+) B, arrived", whole) == ["+50", "+42", "+50", "+28", "+32", "+70", "+70"] and "B, lost" not in whole
    wrong = next(said(cell) for cell in code_cells(book) if "too_long =" in cell.source).splitlines()
    assert [line[29:].rsplit(":", 1)[0] for line in wrong if line] == [
        "not popped", "dropped: tunnel header", "dropped: tunnel header", "dropped: no route"]  # fmt: skip
    assert re.findall(r"(\d+) popped, (\d+) for the guest", whole) == [("45", "45"), ("1", "1"), ("45", "1")]
    assert whole.count("no answer yet") == 3


SOLVED = {
    "05-tunnels": {'answers = {"A": None, "B": None, "C": None}': 'answers = {"A": 1530, "B": 45, "C": 2}'},
    "03-a-64k-packet": {'answers = {"A": None, "B": None, "C": None, "D": None}': 'answers = {"A": 11, "B": 5, "C": 1, "D": 45}'},
    "04-gso-and-gro": {
        'answers = {"A": None, "B": None, "C": None, "D": None, "E": None}':
        'answers = {"A": (3, 2), "B": (3, 1), "C": (5, 1), "D": (2, 2), "E": (5, 1)}',
    },
    "02-tables-and-megaflows": {
        'answers = {"A": None, "B": None}': 'answers = {"A": 5, "B": 29}',
        '"priority=40,dl_src=02:00:00:00:00:99,actions=drop", ': '"priority=40,in_port=vm3,dl_src=02:00:00:00:00:99,actions=drop", ',
    },
    "02b-action-sets": {'answers = {"A": None, "B": None, "C": None}': 'answers = {"A": "vm3 9", "B": "vm2 9", "C": "vm2 none"}'},
}
NEEDED = {
    "05-tunnels": (
        "from lab", "def tunnel", "def cross", "GUESTS =", "for frame in cross", "def udp", "tcp =", "V6 =", "answers =", "def longest",
        "def at_any", "hints =",
    ),
    "03-a-64k-packet": ("payload = bytes", "def at_vm2", "puzzles =", "answers =", "hints ="),
    "04-gso-and-gro": ("payload = bytes", "def segment", "def made", "desk = made", "def through", "def five", "other = made",
                       "answers =", "hints ="),
    "02-tables-and-megaflows": ("from lab", "def send", "packet =", "answers =", "def made", "ssh =", "rules =", "forty ="),
    "02b-action-sets": ("from lab", "def sent", "desk =", "def fields", "puzzles =", "answers =", "hints ="),
}


@pytest.mark.parametrize("name", SOLVED)
def test_the_answers_that_a_notebook_hides_are_right(name):
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    book.cells = [cell for cell in code_cells(book) if any(word in cell.source for word in NEEDED[name])]
    for cell in book.cells:
        for question, answer in SOLVED[name].items():
            cell.source = cell.source.replace(question, answer)
    executed(book)
    whole = "\n".join(map(said, book.cells))
    assert all(f"{letter} right" in whole for letter in "ABC") and "not yet" not in whole and "no answer yet" not in whole
