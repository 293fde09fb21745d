"""Command lines beside Python: cells in, cells out, completion, and which switch a line means."""
import time
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from lab.openflow.errors import CommandError
from lab.ui import bridges, complete, words


def call(text):
    return f"get_ipython().run_line_magic('ovs', {text!r})\n"


def turned(cell):
    return "".join(words.ovs_lines(cell.splitlines(keepends=True)))


CELLS = {
    "one line": ("ovs-vsctl add-br br0\n", call("ovs-vsctl add-br br0")),
    "no line end": ("ovs-vsctl show", call("ovs-vsctl show")),
    "between python": ("x = 1\novs-vsctl show\ny = 2\n", "x = 1\n" + call("ovs-vsctl show") + "y = 2\n"),
    "two dashes": (
        "ovs-vsctl add-port br0 a -- set Interface a type=dummy\n", call("ovs-vsctl add-port br0 a -- set Interface a type=dummy")),
    "backslash": ("ovs-ofctl add-flow br0 \\\n  tcp,actions=drop\nz\n", call("ovs-ofctl add-flow br0   tcp,actions=drop") + "\nz\n"),
    "quotes over lines": (
        "ovs-ofctl add-flow br0 'tcp,\nactions=drop'\nz\n", call("ovs-ofctl add-flow br0 'tcp,\nactions=drop'") + "\nz\n"),
    "backslash in single quotes stays": ("ovs-ofctl add-flow br0 'a\\\nb'\n", call("ovs-ofctl add-flow br0 'a\\\nb'") + "\n"),
    "an apostrophe in double quotes": ('ovs-ofctl add-flow br0 "it\'s"\nz\n', call('ovs-ofctl add-flow br0 "it\'s"') + "z\n"),
    "trailing comment": ("ovs-vsctl show  # it's all\nz\n", call("ovs-vsctl show") + "z\n"),
    "hash in quotes": ("ovs-ofctl add-flow br0 'a # b'\n", call("ovs-ofctl add-flow br0 'a # b'")),
    "hash in a word": ("ovs-vsctl get x#y\n", call("ovs-vsctl get x#y")),
    "prompt": ("$ ovs-vsctl show\n", call("ovs-vsctl show")),
    "sudo": ("sudo ovs-vsctl show\n", call("ovs-vsctl show")),
    "prompt and sudo": ("$ sudo ovs-vsctl show\n", call("ovs-vsctl show")),
    "in a loop": (
        "for i in (1, 2):\n    ovs-vsctl add-port br0 vm{i}\nprint(i)\n",
        "for i in (1, 2):\n    " + call("ovs-vsctl add-port br0 vm{i}") + "print(i)\n"),
    "in a loop over lines": (
        "if x:\n    ovs-ofctl add-flow br0 \\\n        drop\n",
        "if x:\n    " + call("ovs-ofctl add-flow br0         drop") + "\n"),
    "never closed": ("ovs-ofctl add-flow br0 'tcp\nx = 1\n", call("ovs-ofctl add-flow br0 'tcp") + "x = 1\n"),
    "ethtool": ("ethtool -K vm2 tso off\n", call("ethtool -K vm2 tso off")),
    "ip": ("ip link set vm1 up\n", call("ip link set vm1 up")),
    "ip with an option": ("ip -br a\n", call("ip -br a")),
    "database": ("ovsdb-tool create conf.db\n", call("ovsdb-tool create conf.db")),
    "daemon": ("ovs-vswitchd --pidfile --detach\n", call("ovs-vswitchd --pidfile --detach")),
}
UNTOUCHED = {
    "comment": "# ovs-vsctl del-br br0\nx = 1\n",
    "triple quotes": 'text = """\novs-vsctl show\n"""\novs = 1\n',
    "triple single quotes": "text = '''a\novs-vsctl show\n'''\n",
    "a docstring that quotes": 'def f():\n    """Like\n    ovs-vsctl show\n    does."""\n',
    "bash": "%%bash\novs-vsctl show\n",
    "writefile after a blank line": "\n%%writefile x.sh\novs-vsctl show\n",
    "in brackets": "f(\novs-vsctl show\n)\n",
    "shell escape": "!ovs-vsctl show\n",
    "magic": "%ovs ovs-vsctl show\n",
    "ip is a name": "ip = IP()\nip in (1,)\nip -a\nip.show()\nip [0]\nip\n",
    "ethtool is a name": "ethtool = 3\nethtool - x\nethtool == 1\n",
    "a subtraction": "ovs -vsctl\n",
}


@pytest.mark.parametrize("name", CELLS)
def test_a_command_becomes_one_call_and_as_many_lines_as_it_had(name):
    cell, wanted = CELLS[name]
    assert turned(cell) == wanted
    assert turned(cell).rstrip("\n").count("\n") <= cell.count("\n")


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_is_not_a_command_is_left_alone(name):
    assert turned(UNTOUCHED[name]) == UNTOUCHED[name]


@pytest.mark.parametrize("before", ['s = "#"', "s = '\"\"\"'", "# it's \"\"\" here", "s = r'\\'", 'f("(")', "x = ']' + \"'\""])
def test_a_quote_or_a_bracket_inside_a_string_hides_no_command(before):
    assert turned(f"{before}\novs-vsctl show\n") == f"{before}\n{call('ovs-vsctl show')}"


LINES = ["x = 1", "ovs-vsctl show", "ovs-ofctl add-flow br0 \\", "  drop", "'''", '"', "# '", "", "for i in y:", "    ovs-vsctl x 'a", "b'"]


@given(st.lists(st.sampled_from(LINES)))
def test_lines_keep_their_numbers(rows):
    cell = [row + "\n" for row in rows]
    out = "".join(words.ovs_lines(list(cell))).split("\n")
    assert len(out) == len(cell) + 1
    at = "".join(cell).split("\n")
    assert all(old == new for old, new in zip(at, out, strict=True) if old == "x = 1" and new)


class Wire:
    """A switch as the words see one."""

    def __init__(self, name="br0", ports=("vm1", "vm2")):
        self.name, self.ports, self.lines = name, list(ports), []

    def port_names(self):
        return self.ports

    def command(self, line):
        self.lines.append(line)
        if "noraml" in line:
            raise CommandError("unknown action 'noraml'", line, "noraml", line.index("noraml"), "normal")
        return f"{self.name}: {line}"


@pytest.fixture
def session(monkeypatch):
    """The bridges of a namespace that has `sw`."""
    import lab
    monkeypatch.setitem(vars(lab), "Switch", Wire)
    return bridges.Bridges({"sw": Wire("br0")})


def test_add_br_takes_the_waiting_switch_of_that_name(session):
    assert session.run("ovs-vsctl add-br br0") == ""
    assert session.known()["br0"] is session.namespace["sw"]
    with pytest.raises(CommandError, match="there already"):
        session.run("ovs-vsctl add-br br0")
    assert session.run("ovs-vsctl --may-exist add-br br0") == ""


def test_add_br_takes_a_new_sw_of_the_same_name(session):
    session.run("ovs-vsctl add-br br0")
    session.namespace["sw"] = later = Wire("br0")
    session.run("ovs-vsctl add-br br0")
    session.run("ovs-vsctl add-port br0 vm9")
    assert later.lines == ["ovs-vsctl add-port br0 vm9"]


def test_a_switch_that_is_closed_is_no_bridge(session):
    session.run("ovs-vsctl add-br br1")
    session.namespace["br1"].closed = True
    assert session.run("ovs-vsctl list-br") == "br0"


def test_add_br_of_another_name_makes_a_switch_and_a_variable(session):
    session.run("ovs-vsctl add-br br1")
    assert session.namespace["br1"].name == "br1" and session.namespace["sw"].name == "br0"
    session.run("ovs-vsctl add-br br-int")
    assert set(session.known()) == {"br0", "br1", "br-int"} and "br-int" not in session.namespace
    assert session.run("ovs-vsctl list-br") == "br-int\nbr0\nbr1"
    session.run("ovs-vsctl del-br br1")
    assert set(session.known()) == {"br0", "br-int"} and "br1" not in session.namespace


def test_a_variable_that_is_there_is_not_written_over(session):
    session.namespace["br1"] = 7
    session.run("ovs-vsctl add-br br1")
    assert session.namespace["br1"] == 7 and "br1" in session.known()


def test_a_line_goes_to_the_switch_it_names(session):
    session.run("ovs-vsctl add-br br1")
    session.namespace["br1"].ports = ["eth7"]
    first, second = session.namespace["sw"], session.namespace["br1"]
    session.run("ovs-ofctl -O OpenFlow13 add-flow br1 'tcp, actions=drop'")
    assert second.lines == ["ovs-ofctl -O OpenFlow13 add-flow br1 'tcp, actions=drop'"] and not first.lines
    session.run("ovs-ofctl dump-flows")
    session.run("ovs-ofctl del-flows tcp")
    assert first.lines == ["ovs-ofctl dump-flows", "ovs-ofctl del-flows tcp"]
    session.run("ovs-vsctl add-port br1 a -- set Interface a 'type=x y' -- add-port br0 b -- set Interface eth7 mtu_request=9000")
    assert second.lines[1:] == ["ovs-vsctl add-port br1 a", "ovs-vsctl set Interface eth7 mtu_request=9000"]
    assert first.lines[2:] == ["ovs-vsctl set Interface a 'type=x y'", "ovs-vsctl add-port br0 b"]
    session.run("ovs-appctl time/stop; ovs-appctl ofproto/trace br1 in_port=1 && $ sudo ovs-appctl time/warp 5")
    assert first.lines[4:] == ["ovs-appctl time/stop", "ovs-appctl time/warp 5"]
    assert second.lines[-1] == "ovs-appctl ofproto/trace br1 in_port=1"


@pytest.mark.parametrize("line", ["ovs-ofctl add-flow br7 tcp,actions=drop", "ovs-ofctl dump-flows br7", "ovs-vsctl add-port br7 vm9",
                                  "ovs-appctl fdb/show br7", "ovs-vsctl del-br br7", "ovs-vsctl set Bridge br7 fail_mode=secure"])
def test_an_unknown_bridge_is_an_error_that_lists_the_bridges(session, line):
    with pytest.raises(CommandError, match=r"no bridge named 'br7'; there are: br0: did you mean 'br0'") as caught:
        session.run(line)
    assert caught.value.command[caught.value.position:].startswith("br7")
    assert session.namespace["sw"].lines == []


@pytest.mark.parametrize(("line", "said"), [
    ("ovs-vswitchd --detach", "Switch('br0')"), ("ovsdb-server x", "no database"), ("ovsdb-tool create", "no database"),
    ("ethtool -K vm1 tso off", "offloads"), ("ip link show", "sw.ports"), ("sudo ovs-dpctl dump-flows", "dpctl/dump-flows")])
def test_other_tools_get_a_sentence_that_says_what_stands_in_their_place(session, line, said):
    assert said in session.run(line)


@pytest.mark.parametrize("line", ["ovs-ofctl dump-flows | grep tcp", "ovs-ofctl dump-flows > x", "ovs-vsctl show &"])
def test_the_shells_own_signs_are_refused_with_what_to_do(session, line):
    with pytest.raises(CommandError, match=r"is the shell's"):
        session.run(line)


def test_an_arrow_inside_a_word_is_no_redirection(session):
    session.run("ovs-ofctl add-flow br0 tcp,actions=set_field:80->tcp_dst")
    assert session.namespace["sw"].lines


def test_a_quote_that_is_never_closed_is_named(session):
    with pytest.raises(CommandError, match="never closed"):
        session.run("ovs-ofctl add-flow br0 'tcp")


@pytest.fixture
def shell(session):
    from lab.ui import magics
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(user_ns=session.namespace)
    magics.load_ipython_extension(shell)
    yield shell
    magics.unload_ipython_extension(shell)
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def test_a_cell_runs_its_commands_with_the_loops_variable(shell, capsys):
    result = shell.run_cell("for i in (1, 2):\n    ovs-ofctl add-flow br0 \\\n       in_port={i},actions=drop\n")
    assert result.success and shell.user_ns["sw"].lines == [f"ovs-ofctl add-flow br0        in_port={i},actions=drop" for i in (1, 2)]
    assert "in_port=2" in capsys.readouterr().out


@pytest.mark.parametrize("magic", ["%%time", "%%capture"])
def test_a_cell_magic_of_python_has_its_commands(shell, magic):
    assert shell.run_cell(f"{magic}\novs-vsctl show\n").success
    assert shell.user_ns["sw"].lines == ["ovs-vsctl show"]


def test_an_error_behind_a_long_command_names_the_right_line(shell):
    result = shell.run_cell("x = 1\novs-ofctl add-flow br0 \\\n   'tcp,\n  actions=drop'\n1 / 0\n")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert traceback.extract_tb(result.error_in_exec.__traceback__)[-1].lineno == 5


def test_a_mistake_in_a_command_is_shown_without_the_machinery(shell, capsys):
    result = shell.run_cell("x = 1\novs-ofctl add-flow br0 tcp,actions=noraml\n")
    assert isinstance(result.error_in_exec, CommandError)
    out = capsys.readouterr().out
    assert "CommandError in line 2: unknown action 'noraml': did you mean 'normal'?" in out and "^^^^^^" in out
    assert "run_line_magic" not in out


def test_loading_twice_changes_nothing(shell):
    from lab.ui import magics
    magics.load_ipython_extension(shell)
    assert shell.input_transformer_manager.cleanup_transforms.count(words.ovs_lines) == 1


def test_ipythons_own_completer_completes_commands(shell):
    text = "x = 1\novs-ofctl add-fl"
    from IPython.core.completer import provisionalcompleter
    with provisionalcompleter():
        found = [(c.start, c.end, c.text) for c in shell.Completer.completions(text, len(text))]
    assert (text.index("add-fl"), len(text), "add-flow") in found


COMPLETIONS = {
    "ovs-v": ["ovs-vsctl"],
    "ovs-vsctl add-b": ["add-br"],
    "ovs-vsctl add-port br0 vm9 -- set In": ["Interface"],
    "ovs-ofctl dump-flows b": ["br0"],
    "ovs-ofctl add-flow br0 nw_d": ["nw_dst="],
    "ovs-ofctl add-flow br0 tcp,tp_ds": ["tp_dst="],
    "ovs-ofctl add-flow br0 in_port=": ["vm1", "vm2"],
    "ovs-ofctl add-flow br0 'tcp,actions=mod_vlan_v": ["mod_vlan_vid:"],
    "ovs-ofctl add-flow br0 tcp,actions=output:v": ["vm1", "vm2"],
    "ovs-ofctl add-flow br0 \\\n   tcp,actions=fl": ["flood"],
    "ovs-appctl time/w": ["time/warp"],
    "for i in x:\n    $ sudo ovs-vsctl li": ["list-ports", "list-ifaces", "list-br"],
}


@pytest.mark.parametrize("code", COMPLETIONS)
def test_completion_offers_what_may_stand_there(code):
    matches, start, end = complete.complete(code, len(code), Wire(), ["br0"])
    assert matches == COMPLETIONS[code]
    assert end == len(code) and all(match.startswith(code[start:end]) for match in matches)


@pytest.mark.parametrize("code", ["x = ov", "over", "import o", "# ovs-vsctl a", "print(1)", ""])
def test_completion_leaves_python_to_python(code):
    assert complete.complete(code, len(code), Wire()) is None


def test_a_completion_is_quick():
    code = "\n".join(["x = 1"] * 200 + ["ovs-ofctl add-flow br0 tcp,actions=out"])
    complete.complete(code, len(code), Wire())
    took = []
    for _ in range(20):
        start = time.perf_counter()
        complete.complete(code, len(code), Wire())
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05  # it takes a millisecond; this only catches what got slow by a magnitude
