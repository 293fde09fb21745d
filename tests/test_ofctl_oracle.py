"""ovs-ofctl's commands on rules, against the real ovs-ofctl and ovs-vswitchd: the same lines, the same rules, the same words."""
import random

import pytest
from ofctl_bench import Bridge
from real_ovs import MISSING, REASON, RealSwitch, RefusedError, without_times
from ruled import small_arena, true

from lab.openflow.errors import CommandError

pytestmark = pytest.mark.skipif(MISSING is not None, reason=REASON)
MATCHES = ["", "tcp", "udp", "ip", "arp", "tcp,tp_dst=80", "tcp,nw_src=10.0.0.0/8", "ip,nw_src=10.0.0.0/9", "tcp,nw_src=10.0.0.1,tp_dst=80",
           "in_port=1", "in_port=1,tcp", "dl_vlan=5", "dl_vlan=5,ip", "ipv6", "tcp6,tp_src=0x50/0xfff0", "dl_src=00:00:00:00:00:01"]
ACTIONS = ["drop", "output:1", "output:2", "output:1,output:2", "normal", "in_port,output:3", "resubmit(,1),output:2"]
COOKIES = ["cookie=0x1", "cookie=0x2", "cookie=0x12"]
ASKED = ["cookie=0x2/0x2", "cookie=0x1/-1", "cookie=0/0xf0"]
FLAGS = ["send_flow_rem", "check_overlap", "idle_timeout=100", "hard_timeout=200"]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with RealSwitch(tmp_path_factory.mktemp("ovs")) as ovs:
        yield ovs


@pytest.fixture
def both(real):
    """The real switch, and ours, both empty."""
    real.ofctl("del-flows")
    return real, Bridge(small_arena(rules=128, masks=64, ofacts=512))


def order(chance):
    """A random command: (verb, options, operand)."""
    verb = chance.choice(["add-flow"] * 4 + ["mod-flows", "mod-flows", "del-flows"])
    strict = verb != "add-flow" and chance.random() < 0.4
    words = [chance.choice(MATCHES)]
    if chance.random() < 0.6:
        words.append(f"table={chance.randrange(3)}")
    if verb != "del-flows" or strict:
        words += [f"priority={chance.choice([1, 2, 32768])}"] * (chance.random() < 0.7)
    if verb != "del-flows":
        words += chance.sample(FLAGS, chance.randrange(3)) * (chance.random() < 0.4)
        words += [chance.choice(COOKIES)] * (chance.random() < 0.4)
    elif chance.random() < 0.3:
        words.append(f"out_port={chance.choice([1, 2, 3])}")
    if verb != "add-flow" and chance.random() < 0.3:
        words.append(chance.choice(ASKED))
    options = ["--strict"] * strict
    if chance.random() < 0.4:
        options += ["-O", chance.choice(["OpenFlow11", "OpenFlow13", "OpenFlow14", "OpenFlow15"])]
    if chance.random() < 0.1:
        options.append("--bundle")
    operand = ",".join(filter(None, words))
    if verb != "del-flows":
        operand += f"{',' if operand else ''}actions={chance.choice(ACTIONS)}"
    return verb, options, operand


@pytest.mark.parametrize("seed", range(6))
def test_random_orders_leave_the_same_rules(both, seed):
    real, ours = both
    chance, refused = random.Random(seed), 0
    for n in range(40):
        verb, options, operand = order(chance)
        line = f"{' '.join(options)} {verb} br0 '{operand}'"
        results = []
        for run in (lambda v=verb, o=options, w=operand: real.ofctl(v, w, options=o), lambda said=line: ours.ofctl(said)):
            try:
                run()
                results.append(True)
            except (RefusedError, CommandError) as error:
                results.append(False)
                assert "verlap" in str(error).lower(), f"{line}: {error}"
        assert results[0] == results[1], f"{line}: the real switch {'took' if results[0] else 'refused'} it"
        refused += not results[0]
        if n % 5 == 4:
            wanted = real.flows("-O", "OpenFlow14")
            mine = sorted(without_times(said) for said in ours.lines("-O OpenFlow14 dump-flows --no-names"))
            assert mine == wanted, f"after {line}"
    assert true(ours.rules) and len(ours.rules) > 2


def test_forty_rules_are_dumped_in_the_tools_words(both, tmp_path):
    real, ours = both
    chance, lines = random.Random(40), []
    for n in range(40):
        settings = chance.sample([f"table={n % 4}", "cookie=0xfeed", "idle_timeout=60", "hard_timeout=3600", "importance=9"], 3)
        words = ",".join(filter(None, [f"priority={n + 1}", *settings, MATCHES[n % len(MATCHES)]]))
        lines.append(f"{words} actions={ACTIONS[n % len(ACTIONS)]}")
    file = tmp_path / "rules"
    file.write_text("# forty rules\n" + "\n".join(lines) + "\n")
    real.ofctl("add-flows", str(file), options=["-O", "OpenFlow14"])
    ours.ofctl(f"-O OpenFlow14 add-flows {file}")
    for version in ("OpenFlow10", "OpenFlow11", "OpenFlow13", "OpenFlow14", "OpenFlow15"):
        for stats in ("--stats", "--no-stats"):
            wanted = real.flows("-O", version, stats)
            assert sorted(without_times(line) for line in ours.lines(f"-O {version} dump-flows --no-names {stats}")) == wanted
        said = real.ofctl("dump-flows", options=["-O", version]).splitlines()[1:]
        assert names_in(ours.lines(f"-O {version} dump-flows --no-names")) == names_in(said)
    for sort in ("--sort", "--rsort", "--sort=nw_src", "--rsort=tp_dst", "--sort=in_port"):
        said = real.ofctl("dump-flows", options=[sort]).splitlines()
        assert len(said) == 40 and keys_of(sort, ours.lines(f"dump-flows {sort}"), ours) == keys_of(sort, said, ours), sort
    assert real.ofctl("dump-aggregate", "tcp").split(": ")[1].strip() == ours.ofctl("dump-aggregate tcp")
    for match in ("ip,out_port=2", "table=2", "cookie=0xfe00/0xff00,udp", "in_port=1"):
        wanted = sorted(without_times(line) for line in real.ofctl("dump-flows", match).splitlines()[1:])
        assert sorted(without_times(line) for line in ours.lines(f"dump-flows --no-names {match}")) == wanted


def names_in(lines):
    """What is told of rules before their matches."""
    return {word.split("=")[0] for line in lines for word in line.split(", ")[:-1]}


def keys_of(sort, lines, ours):
    """What decides the order, for each rule in it: rules that are alike may stand in any order."""
    priorities = [line.split("priority=")[1].split(",")[0].split()[0] for line in lines]
    by_priority = {str(rule.priority): rule for rule in ours.rules}
    if "=" not in sort:
        return priorities
    field = sort.partition("=")[2]
    return [next((word.split("/")[0] for word in by_priority[p].match.split(",") if word.startswith(field)), None) for p in priorities]


def test_differences_are_told_in_the_tools_words(both, tmp_path):
    real, ours = both
    last = "table=1,arp,hard_timeout=9 actions=normal"
    for rule in ("tcp,tp_dst=80 actions=1", "udp,cookie=3 actions=2", "priority=0 actions=drop", last):
        real.ofctl("add-flow", rule)
        ours.ofctl(f"add-flow {rule}")
    file, other = tmp_path / "one", tmp_path / "other"
    file.write_text(f"{last}\nudp actions=2\npriority=9,tcp,cookie=8 actions=1\npriority=0 actions=drop\n")
    other.write_text("udp,idle_timeout=4 actions=2\n")
    socket = f"unix:{real.folder}/br0.mgmt"
    for first, second in ((socket, file), (file, socket), (file, other), (file, file)):
        said = real.run("ovs-ofctl", "diff-flows", str(first), str(second), check=False).splitlines()
        mine = ours.lines(f"diff-flows --no-names {'br0' if first == socket else first} {'br0' if second == socket else second}")
        assert sorted(mine) == sorted(said)
    real.ofctl("replace-flows", str(file), options=["-O", "OpenFlow13"])
    ours.ofctl(f"-O OpenFlow13 replace-flows {file}")
    assert sorted(without_times(line) for line in ours.lines("dump-flows --no-names")) == real.flows()
    assert ours.ofctl(f"diff-flows br0 {file}") == ""


@pytest.mark.parametrize("version", ["OpenFlow10", "OpenFlow13"])
def test_tables_are_printed_as_the_tool_prints_them(both, version):
    real, ours = both
    for table in (0, 3, 4, 7, 250):
        real.ofctl("add-flow", f"table={table},tcp actions=drop")
        ours.ofctl(f"add-flow table={table},tcp actions=drop")
    said = real.ofctl("dump-tables", options=["-O", version]).splitlines()[1:]
    mine = ours.lines(f"-O {version} dump-tables")
    # the real switch keeps table 254 to itself; its tables hold a million rules
    limit = str(ours.rules.limit)
    wanted = [line.replace("251...253", "251...254").replace("252...253", "252...254").replace("1000000", limit) for line in said]
    assert [line for line in mine if line] == [line for line in wanted if line]


MESSAGES = ["tcp,tp_dst=80 actions=output:1",
            "table=5,cookie=7,idle_timeout=4,hard_timeout=5,send_flow_rem,check_overlap,priority=9,udp actions=1",
            "table=0,actions=drop", "priority=0 actions=normal", "cookie=-1,arp,importance=3 actions=drop", "cookie=0,ip actions=2,3"]


@pytest.mark.parametrize("version", ["OpenFlow10", "OpenFlow11", "OpenFlow13", "OpenFlow14", "OpenFlow15"])
def test_messages_are_printed_as_the_tool_prints_them(both, version, tmp_path):
    real, ours = both
    for line in MESSAGES:
        said = real.run("ovs-ofctl", "-O", version, "parse-flow", line).splitlines()[-1].replace(" (xid=0x1)", "")
        assert ours.ofctl(f"-O {version} parse-flow --no-names '{line}'") == said
    file = tmp_path / "rules"
    file.write_text("\n".join(line for line in MESSAGES if "table=" not in line))
    said = [line for line in real.run("ovs-ofctl", "-O", version, "parse-flows", str(file)).splitlines() if line.startswith("OFPT")]
    mine = ours.lines(f"-O {version} parse-flows --no-names {file}")
    assert [line.replace(f" (xid=0x{n:x})", "") for n, line in enumerate(said, 1)] == mine
