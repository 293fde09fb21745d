"""JupyterLab as `make lab` starts it, and a real Chromium in front of it: for the tests, the benchmark and the README's pictures.

It works on a copy of the notebooks, with settings of its own, so that neither the checkout nor the user's Jupyter is
touched, and it ends every process that it has started. What a notebook or the stepper must show is not said here.
"""
import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
from jupyter_client.blocking import BlockingKernelClient

from lab.notebooks import QUIET

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


@contextmanager
def chromium():
    """A headless Chromium, the system's own."""
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Laboratory:
    """A JupyterLab on a copy of the checkout's notebooks, in a folder that may be thrown away."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.notebooks = self.folder / "notebooks"
        shutil.copytree(ROOT / "notebooks", self.notebooks, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        (self.folder / "datasets").symlink_to(ROOT / "datasets")  # the notebooks read ../datasets
        self._set("notification", QUIET)
        self._server = None

    def _set(self, name, values):
        file = self.folder / "settings" / "@jupyterlab" / "apputils-extension" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))

    def theme(self, name):
        """Choose "light" or "dark" for the pages opened from now on."""
        self._set("themes", {"theme": THEMES[name]})

    def write(self, name, cells, kernel="glasswitch"):
        """Put a notebook of these code cells beside the others."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        nbformat.write(book, self.notebooks / name)
        return name

    def __enter__(self):
        own = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "JUPYTER_CONFIG_DIR": "config",
               "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **{name: str(self.folder / place) for name, place in own.items()}}
        environment.pop("SSH_CONNECTION", None)
        place = ["--port", str(_free_port()), "--folder", str(self.notebooks)]
        command = [sys.executable, "-m", "lab.cli", "notebook", "--no-browser", *place]
        with open(self.folder / "server.log", "w") as log:
            self._server = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=log)
        line = self._server.stdout.readline()
        found = re.search(r"(http://\S+?)/lab\S*\?token=(\w+)", line)
        if not found:
            self.__exit__()
            raise RuntimeError(f"lab notebook said {line!r}: {(self.folder / 'server.log').read_text()}")
        self.address, self.token = found[1], found[2]
        self.first = line.split()[-1]
        return self

    def __exit__(self, *_):
        self._server.send_signal(signal.SIGTERM)  # it ends its kernels first
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server.stdout.close()

    def url(self, name):
        """Where a notebook is."""
        return f"{self.address}/lab/workspaces/{time.monotonic_ns()}/tree/{name}?token={self.token}"

    def kernel(self, name):
        """The identity of the kernel that runs a notebook."""
        with urlopen(f"{self.address}/api/sessions?token={self.token}", timeout=10) as reply:
            return next(session["kernel"]["id"] for session in json.load(reply) if session["path"] == name)

    def interrupt(self, name):
        """Interrupt the cell that a notebook runs."""
        path = f"/api/kernels/{self.kernel(name)}/interrupt?token={self.token}"
        urlopen(Request(self.address + path, data=b"", method="POST"), timeout=10).close()

    @contextmanager
    def asking(self, name):
        """A function that evaluates an expression in a notebook's kernel, beside the browser, and returns a plain value."""
        client = BlockingKernelClient(connection_file=str(self.folder / "runtime" / f"kernel-{self.kernel(name)}.json"))
        client.load_connection_file()
        client.start_channels()
        try:
            yield lambda expression: _value(client, expression)
        finally:
            client.stop_channels()


def _value(client, expression):
    reply = client.execute("", silent=True, user_expressions={"it": expression}, reply=True, timeout=30)["content"]
    told = reply["user_expressions"]["it"]
    if told["status"] != "ok":
        raise RuntimeError(f"{expression}: {told['ename']}: {told['evalue']}")
    return ast.literal_eval(told["data"]["text/plain"])


class Book:
    """A notebook open in a tab of the browser."""

    def __init__(self, tab, laboratory, name):
        self.tab, self.laboratory, self.name = tab, laboratory, name
        self.trouble = []
        tab.on("pageerror", lambda error: self.trouble.append(str(error)))
        tab.on("console", lambda message: self.trouble.append(message.text) if message.type == "error" else None)

    def open(self):
        """Go to the notebook's page, or there again, and wait until its kernel is ready."""
        self.tab.goto(self.laboratory.url(self.name))
        self.tab.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.tab.wait_for_selector("#jp-main-statusbar >> text=/\\| Idle$/", timeout=60_000)
        self.tab.wait_for_selector("#jupyterlab-splash", state="detached")
        return self

    def cell(self, number):
        """The code cell of this number, from 0."""
        return self.tab.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def start(self, number):
        """Run a cell by its key, and return when it is running or done."""
        prompt = self.cell(number).locator(".jp-InputPrompt")
        before = prompt.text_content()
        self.cell(number).locator(".cm-content").click()
        self.cell(number).locator(".cm-focused").wait_for()
        self.tab.keyboard.press("Control+Enter")
        self.tab.wait_for_function("([prompt, before]) => prompt.textContent !== before", arg=[prompt.element_handle(), before])

    def running(self, number):
        """Whether a cell is running now."""
        return self.cell(number).locator(".jp-InputPrompt").text_content() == "[*]:"

    def run(self, number):
        """Run a cell and wait for its end."""
        self.start(number)
        self.wait(number)

    def wait(self, number):
        """Wait for the end of a cell."""
        prompt = self.cell(number).locator(".jp-InputPrompt").element_handle()
        self.tab.wait_for_function("prompt => /\\d/.test(prompt.textContent)", arg=prompt, timeout=60_000)

    def shown(self):
        """What the stepper says: [where in the timeline, the reason's code, its sentence, the name of the place]."""
        return self.tab.evaluate("""() => {
            const said = s => document.querySelector(`.gw ${s}`)?.textContent ?? '';
            return ['.count', '.why b', '.why .say', 'svg .now .name'].map(said); }""")

    def click(self, what):
        """Click a button of the stepper."""
        self.tab.click(f".gw [data-do={what}]")

    def answered(self, what):
        """Click a button of the stepper and wait for its picture; milliseconds from click to picture."""
        answers = self.tab.evaluate("(window.__gw ||= []).length")
        self.click(what)
        self.tab.wait_for_function("before => window.__gw.length > before", arg=answers)
        return self.tab.evaluate("window.__gw.at(-1)[1]")

    def until(self, count):
        """Wait until the stepper stands at "step 3 of 7"; what it shows then."""
        self.tab.wait_for_function("count => document.querySelector('.gw .count')?.textContent === count", arg=count, timeout=15_000)
        return self.shown()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
