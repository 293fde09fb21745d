"""A recording of steps as one self-contained piece of HTML: it steps in any browser, without a kernel and without a network.

The frames are gzipped and written in base64 beside the very JavaScript that draws the live stepper. Where scripts do
not run (a notebook shown on a forge, an untrusted one) the last frame's text stands in their place. Not a whole page:
a fragment for a cell's output; `lab.ui.export` makes pages of notebooks.
"""
import base64
import gzip
import html
import json
import re
import secrets
from functools import cache
from pathlib import Path

from lab.ui import terminal

LONGEST = 60  # frames; 60 are about 12 KB packed
_HERE = Path(__file__).parent


@cache
def script():
    """The stepper's JavaScript: its three files as one ES module."""
    return "".join(_module(name) for name in ("pipeline.js", "packet.js", "stepper.js"))


def _module(name):
    """One file, without what ties it to the others."""
    text = (_HERE / name).read_text(encoding="utf-8")
    text = re.sub(r"^import .*\n", "", text, flags=re.M)
    return re.sub(r"^export (?=const |function )", "", text, flags=re.M)


@cache
def style():
    """The stepper's style sheet."""
    return (_HERE / "stepper.css").read_text(encoding="utf-8")


def pack(frames):
    """Frames as gzipped JSON in base64. Equal frames give equal text."""
    text = json.dumps(frames, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def unpack(packed):
    """The frames of `pack`."""
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def page(frames, theme="", at=0):
    """The HTML fragment that plays `frames` (the last 60), first showing number `at` of them.

    `theme` is "dark" for a page without JupyterLab's colours that is dark; otherwise the page's own colours hold.
    """
    frames = list(frames)[-LONGEST:]
    if not frames:
        return "<p>No step has been recorded yet.</p>"
    name = "gw" + secrets.token_hex(4)
    look = " gw-dark" if theme == "dark" else ""
    start = min(max(at, 0), len(frames) - 1)
    body = re.sub(r"^export .*\n", "", script(), flags=re.M)
    call = f"play(document.getElementById('{name}'), '{pack(frames)}', {start});"
    words = html.escape(terminal.text(frames[start], colour=False))
    return (f"<style>{style()}</style><div id='{name}' class='gw-static{look}'><pre>{words}</pre></div>"
            f"<script type='module'>{body}\n{call}</script>")
