"""The door: what a newcomer, Binder and CI come in by says one thing everywhere, and its errors say what to do."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import nbformat
import pytest
import yaml

import lab
from lab import cli, doctor, notebooks

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
KERNEL_JSON = {"argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Stand-in", "language": "python"}


def command(*arguments, **more):
    return subprocess.run([sys.executable, "-m", "lab.cli", *arguments], capture_output=True, text=True, cwd=ROOT, check=False, **more)


def small_checkout(folder, **books):
    """A folder like the checkout, with notebooks of the given cells and an ordinary kernel under our name."""
    (folder / "notebooks").mkdir()
    (folder / "kernels" / "glasswitch").mkdir(parents=True)
    (folder / "kernels" / "glasswitch" / "kernel.json").write_text(json.dumps(KERNEL_JSON))
    for name, cells in books.items():
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(book, folder / "notebooks" / f"{name}.ipynb")
    return folder


def test_the_environment_file_has_the_dependencies_of_the_project_and_the_project_itself():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    by_pip = next(row["pip"] for row in environment["dependencies"] if isinstance(row, dict))
    assert by_pip == [*PROJECT["project"]["dependencies"], "-e ."]
    assert "pip" in environment["dependencies"]


def test_every_dependency_is_pinned_by_name_and_version_alone():
    project = PROJECT["project"]
    for row in project["dependencies"] + project["optional-dependencies"]["test"]:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", row)


def test_the_version_is_said_once():
    assert PROJECT["project"]["version"] == lab.__version__
    assert command("--version").stdout == f"glasswitch {lab.__version__}\n"
    assert f"## [{lab.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_readme_names_the_two_commands_and_ci_runs_the_same():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "make lab" in readme and "make test" in readme
    assert re.search(r"^make lint$", ci, re.M) and re.search(r"^make test$", ci, re.M) and "GLASSWITCH_CI=1" in ci
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_has_every_target_that_it_lists():
    listed = re.findall(r"make (\w+) ", subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert set(listed) == {"lab", "test", "lint", "check", "bench", "clean"}
    for target in listed:
        assert subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_without_the_venv_module_make_says_the_one_command_that_mends_it(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    crippled = tmp_path / "python"
    crippled.write_text(f'#!{sys.executable}\nimport sys\nsys.modules["ensurepip"] = None\nexec(sys.argv[2])\n')
    crippled.chmod(0o755)
    made = subprocess.run(["make", ".venv/.made", "UV=", f"PYTHON={crippled}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode != 0 and "sudo apt install python3-venv" in made.stderr and "Traceback" not in made.stderr


@pytest.mark.parametrize(("ci", "status"), [("1", 1), ("", 0)])
def test_a_skipped_test_fails_the_run_in_ci_and_only_there(ci, status, tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_good(): pass\ndef test_left_out(): pytest.skip('needs a moon')\n")
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path], cwd=tmp_path, text=True,
                         capture_output=True, check=False, env={**os.environ, "GLASSWITCH_CI": ci})
    assert ran.returncode == status
    assert ("test_left_out: needs a moon" in ran.stdout) == bool(ci)


def test_a_lost_mbuf_fails_the_test_that_lost_it(tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(
        "import sys, types\n"
        "class Pool:\n"
        "    def check(self): raise AssertionError('mbuf 7 is nowhere')\n"
        "def test_it():\n"
        "    switch = types.SimpleNamespace(mempool=Pool())\n"
        "    sys.modules['lab.control.switch'] = types.SimpleNamespace(living=lambda: [switch])\n")
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path], cwd=tmp_path, text=True,
                         capture_output=True, check=False)
    assert ran.returncode == 1 and "mbuf 7 is nowhere" in ran.stdout


def test_help_needs_nothing_but_the_standard_library():
    probe = ("import sys; from lab.cli import parser; parser().format_help(); "
             "print(sorted({'numpy', 'numba', 'IPython', 'scapy'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(("arguments", "words"), [
    (["bench", "nothing-of-this-name"], "no benchmark is named 'nothing-of-this-name'"),
    (["check", "nowhere.ipynb"], "nowhere.ipynb: no such notebook"),
    (["export", "nowhere.ipynb"], "nowhere.ipynb: no such notebook"),
])
def test_a_mistake_on_the_command_line_is_one_line(arguments, words):
    ran = command(*arguments)
    assert ran.returncode == 1 and words in ran.stderr and ran.stderr.count("\n") == 1


def test_the_doctor_says_of_each_thing_what_it_is_for_and_how_to_get_it():
    found = list(doctor.findings())
    assert {"Python", "processor", "memory", "/dev/net/tun", "CAP_NET_ADMIN", "namespaces", "huge pages", "AF_XDP", "chromium",
            "tshark", "ovs-ofctl", "ovs-vsctl"} <= {finding.name for finding in found}
    assert all(finding.purpose and finding.seen and (finding.ok or finding.cure) for finding in found)
    assert found[0].ok and str(found[0]).startswith("yes  Python")
    assert "to allow it: do this" in str(doctor.Finding(False, "x", "y", "z", "do this"))


def test_the_doctor_is_right_about_the_descriptor_and_capability_it_can_be_asked_of():
    found = {finding.name: finding.ok for finding in doctor.findings()}
    if found["/dev/net/tun"]:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        raw = True
    except PermissionError:
        raw = False
    assert found["CAP_NET_RAW"] == raw


def test_check_runs_notebooks_and_names_the_cell_that_failed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "")
    small_checkout(tmp_path, good=["x = 1", "x + 1"], wrong=["1", "raise ValueError('seven')", "2"], slow=["import time; time.sleep(60)"])
    assert notebooks.check(tmp_path, timeout=3) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"good.ipynb +\d+\.\d s  ok", lines[0])
    assert lines[1].endswith("cell 1: not done after 3 s")
    assert lines[2].endswith("cell 2: ValueError: seven")
    assert lines[3] == "1 of 3 notebooks run"
    assert notebooks.check(tmp_path, [tmp_path / "notebooks" / "good.ipynb"]) == 0


def test_check_without_the_kernel_says_how_to_get_it(tmp_path, monkeypatch):
    small_checkout(tmp_path, good=["1"])
    monkeypatch.setattr(notebooks, "KERNEL", "glasswitch-that-is-not-there")
    with pytest.raises(FileNotFoundError, match="make lab"):
        notebooks.check(tmp_path)


def test_lab_notebook_prints_an_address_that_answers_and_takes_the_next_port(tmp_path, monkeypatch):
    small_checkout(tmp_path, **{"00-first-packet": ["1"]})
    start = f"from pathlib import Path; from lab.notebooks import serve; serve(Path({str(tmp_path)!r}), browser=False, port=PORT)"
    environment = {**os.environ, "GLASSWITCH_CACHE": str(tmp_path / "cache"), "SSH_CONNECTION": "192.0.2.1 5 192.0.2.9 2222",
                   "PYTHONPATH": str(ROOT)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = subprocess.Popen([sys.executable, "-c", start.replace("PORT", str(port))], env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            first, second = server.stdout.readline(), server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:(\d+)/lab/tree/00-first-packet\.ipynb\?token=(\w{20,})", first)
            assert address and int(address[1]) != port
            assert f"ssh -p 2222 -L {address[1]}:localhost:{address[1]} " in second and "@192.0.2.9" in second
            page = answer(f"http://127.0.0.1:{address[1]}/lab?token={address[2]}")
            kernels = json.loads(answer(f"http://127.0.0.1:{address[1]}/api/kernelspecs?token={address[2]}"))
            with pytest.raises(urllib.error.HTTPError):
                answer(f"http://127.0.0.1:{address[1]}/api/kernelspecs")
        finally:
            server.terminate()
            server.wait(20)
            server.stdout.close()
    assert "JupyterLab" in page and kernels["default"] == "glasswitch"
    settings = tmp_path / "cache" / "jupyterlab-settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    assert json.loads(settings.read_text())["fetchNews"] == "false"


def answer(url):
    """What the server answers, once it listens."""
    for _ in range(100):
        try:
            return urllib.request.urlopen(url, timeout=20).read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def test_what_the_user_chose_in_our_settings_folder_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSWITCH_CACHE", str(tmp_path))
    file = notebooks.settings_folder() / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    file.write_text("{}")
    notebooks.settings_folder()
    assert file.read_text() == "{}"


def test_a_benchmark_is_a_file_with_measure_and_comes_out_as_a_table_or_json(tmp_path, monkeypatch, capsys):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "toy.py").write_text(
        '"""A toy."""\n\n\ndef measure():\n    yield {"name": "pace", "figure": 61.5, "unit": "cycles", "bar": 80, "met": True}\n'
        '    yield {"name": "rate", "figure": 2, "unit": "M", "peer": "ovs", "peer_figure": 1.5, "ratio": 1.33, "bar": 3, "met": False}\n')
    (tmp_path / "bench" / "ground.py").write_text('"""No benchmark."""\n')
    monkeypatch.setattr(cli, "checkout", lambda: tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert cli.main(["bench"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 and table[0].split() == ["pace", "61.5", "cycles", "bar", "80", "met"] and table[1].endswith("MISSED")
    assert cli.main(["bench", "toy", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["met"] for row in rows] == [True, False] and set(cli.COLUMNS) <= set(rows[0])
    assert cli.main(["bench", "ground"]) == 1


def test_notebooks_lie_in_git_without_outputs():
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        if ".ipynb_checkpoints" not in path.parts:
            for cell in nbformat.read(path, as_version=4).cells:
                assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None), f"{path.name}: clear its outputs"
