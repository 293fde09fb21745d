"""The peer of `lab bench offloads`: DPDK's librte_gro and librte_gso, in a C program that is built here and asked over a pipe.

`dpdk_offloads.c` is built once for its text and the installed DPDK, into the folder where machine code of stages is kept.
It needs gcc, pkg-config and DPDK's headers (Debian: libdpdk-dev), neither huge pages nor devices nor root; where something
is missing there is no peer, and the reason is said.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.engine.code.objects import cache_folder

SOURCE = Path(__file__).with_name("dpdk_offloads.c")
EAL = ("--no-pci", "--no-huge", "--no-shconf", "-m", "256", "--no-telemetry", "--log-level", "error")


def why_not():
    """Why there is no such peer here, or nothing."""
    missing = [name for name in ("gcc", "pkg-config") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} must be there to build it"
    if subprocess.run(["pkg-config", "--exists", "libdpdk"], capture_output=True).returncode:
        return "DPDK's headers are not there (Debian: libdpdk-dev)"
    return ""


def build():
    """The path of the program, built if it is not there."""
    flags = _pkg_config("--cflags", "--libs", "libdpdk").split()
    name = hashlib.sha256(f"{_pkg_config('--modversion', 'libdpdk')} {flags}".encode() + SOURCE.read_bytes()).hexdigest()[:24]
    program = cache_folder() / f"dpdk-offloads-{name}"
    if not program.exists():
        made = f"{program}.{os.getpid()}"
        done = subprocess.run(["gcc", "-O3", "-Wall", "-Werror", "-o", made, str(SOURCE), *flags], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{SOURCE.name} does not compile:\n{done.stderr}")
        os.replace(made, program)
    return program


def _pkg_config(*words):
    return subprocess.run(["pkg-config", *words], check=True, capture_output=True, text=True).stdout


class Dpdk:
    """The running program: `gro` and `gso` say the cycles a segment that the library took, and how many packets it left."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._errors = open(os.path.join(self._folder.name, "errors"), "w+")
        where = {**os.environ, "RUNTIME_DIRECTORY": self._folder.name}  # else DPDK makes files for the whole machine
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors, "text": True}
        self._process = subprocess.Popen([str(build()), *EAL, "-l", str(min(os.sched_getaffinity(0)))], env=where, **pipes)
        self._paths = {}
        while self._read() != "ready":  # whatever DPDK has to say before
            pass
        return self

    def __exit__(self, *what):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()
        self._folder.cleanup()

    def gro(self, frames, l4_len, bursts):
        """A burst of TCP segments through rte_gro_reassemble_burst."""
        return self._ask("gro", b"".join(frames), len(frames[0]), l4_len, bursts)

    def gso(self, frame, l4_len, size, calls):
        """A large TCP packet through rte_gso_segment."""
        return self._ask("gso", frame, len(frame), l4_len, size, calls)

    def _ask(self, what, data, *figures):
        path = self._paths.get(data)
        if path is None:
            path = self._paths[data] = os.path.join(self._folder.name, str(len(self._paths)))
            Path(path).write_bytes(data)
        print(what, path, *figures, file=self._process.stdin, flush=True)
        cycles, left = self._read().split()
        return float(cycles), int(left)

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"DPDK's program ended: {self._errors.read().strip() or 'it said nothing'}")
        return line.strip()
