"""The kernel itself, in a process of its own: the namespace, the words, and clicks that a busy cell does not block.

The switch is a playback of frames, so that only the kernel is tried; the browser's test has the whole.
"""
import json
import queue
import sys
import time
from pathlib import Path

import frames
import pytest
from jupyter_client.manager import KernelManager

from lab.ui import kernel, stepper

ROOT = Path(__file__).resolve().parents[1]
START = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import frames, lab
vars(lab)["Switch"] = frames.Playback
from lab.ui import kernel
{before}
kernel.main()
"""


@pytest.fixture(params=["", "kernel.quick = lambda: False"], ids=["quick", "unknown ipykernel"])
def client(request, tmp_path):
    """A running kernel: with its quick way for clicks, and as it is where ipykernel's inside is another."""
    file = tmp_path / "start.py"
    file.write_text(START.format(root=str(ROOT), tests=str(ROOT / "tests"), before=request.param))
    manager = KernelManager()
    manager.kernel_spec.argv = [sys.executable, "-Xfrozen_modules=off", str(file), "-f", "{connection_file}"]
    manager.start_kernel(env={"JUPYTER_PLATFORM_DIRS": "1", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    client = manager.client()
    client.subshell = None
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client, code):
    """What a cell prints or shows, when it is done."""
    told, asked = [], client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return told
        if message["msg_type"] in ("stream", "execute_result", "error", "display_data", "comm_open"):
            told.append(message)


def text(messages):
    return "".join(message["content"].get("text", "") for message in messages)


def click(client, comm, number, do="step"):
    content = {"comm_id": comm, "data": {"method": "custom", "content": {"do": do, "id": number}}}
    message = client.session.msg("comm_msg", content)
    if client.subshell:
        message["header"]["subshell_id"] = client.subshell
    client.shell_channel.send(message)


def subshell(client):
    """The name of a new subshell, such as JupyterLab makes one for a widget's messages."""
    client.control_channel.send(client.session.msg("create_subshell_request"))
    replies = iter(lambda: client.get_control_msg(timeout=10), None)
    return next(reply["content"]["subshell_id"] for reply in replies if reply["msg_type"] == "create_subshell_reply")


def answer(client, comm, number, seconds):
    """The frame that answers a click, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            message = client.get_iopub_msg(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            return None
        frame = message["content"].get("data", {}).get("state", {}).get("frame", {}) if message["msg_type"] == "comm_msg" else {}
        if message["content"].get("comm_id") == comm and frame.get("echo") == number:
            return frame
    return None


def test_the_kernel_has_a_switch_and_understands_commands(client):
    assert "br0 Playback" in text(run(client, "print(sw.name, Switch.__name__)"))
    assert text(run(client, "for i in (1, 2):\n    ovs-vsctl add-port br0 \\\n        vm{i}\n")).split("\n")[:2] == [
        "br0: ovs-vsctl add-port br0 vm1", "br0: ovs-vsctl add-port br0 vm2"]
    reply = client.complete("ovs-ofctl add-fl", reply=True, timeout=10)["content"]
    assert reply["matches"] == ["add-flow", "add-flows"] and (reply["cursor_start"], reply["cursor_end"]) == (10, 16)
    assert "print" in client.complete("prin", reply=True, timeout=20)["content"]["matches"]
    for code, said in ("ovs-vsctl add-br br0 \\", "incomplete"), ("ovs-vsctl show -- set x y", "complete"), ("for i in x:", "incomplete"):
        asked = client.is_complete(code)
        replies = iter(lambda: client.get_shell_msg(timeout=10), None)
        assert next(r for r in replies if r["parent_header"].get("msg_id") == asked)["content"]["status"] == said


def test_a_cold_click_is_answered_while_a_cell_runs(client, request):
    opened = run(client, "from lab.ui.stepper import Stepper\nshown = Stepper(sw)\nshown")
    comm = next(m["content"]["comm_id"] for m in opened if m["msg_type"] == "comm_open" and "frame" in json.dumps(m["content"]["data"]))
    if request.node.callspec.id == "unknown ipykernel":
        client.subshell = subshell(client)
    client.execute("import time\nfor _ in range(40): time.sleep(.1)")
    time.sleep(.3)
    for number, at in ((1, "parse"), (2, "emc")):
        click(client, comm, number)
        frame = answer(client, comm, number, 2)
        assert frame and frame["at"] == at, "the click waited for the cell"
    click(client, comm, 3, "back")
    assert answer(client, comm, 3, 2)["at"] == "parse"


def test_the_saved_form_has_text_and_a_page(client):
    shown = run(client, "from lab.ui.stepper import Stepper\nStepper(sw)")
    data = next(m["content"]["data"] for m in shown if m["msg_type"] in ("execute_result", "display_data"))
    assert "step 0 of 8" in data["text/plain"] and "play(document.getElementById(" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data and len(data["text/html"]) < 60_000


def test_the_version_of_ipykernel_at_hand_is_the_one_that_is_known():
    assert kernel.quick(), "look at shell_channel_thread_main of this ipykernel, then move PINNED"


def test_a_stepper_outside_any_kernel_follows_its_switch_until_closed():
    switch = frames.Playback()
    shown = stepper.Stepper(switch)
    switch.commands.put({"do": "step", "id": 1})
    end = time.monotonic() + 5
    while shown.frame["step"] != 1 and time.monotonic() < end:
        time.sleep(.01)
    assert repr(shown) == "<Stepper of br0, step 1 of 8>"
    assert [frame["step"] for frame in shown.recording()[0]] == [0, 1] and shown.recording()[1] == 1
    shown.close()
    assert switch.watchers == []


def test_the_kernels_specification_starts_the_shim():
    spec = json.loads((ROOT / "kernels/glasswitch/kernel.json").read_text())
    assert spec["display_name"] == "Glasswitch" and spec["argv"][2].endswith("/launch.py")
    assert (ROOT / "kernels/glasswitch/launch.py").exists()
