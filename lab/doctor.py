"""What this machine allows: one line for each thing that some part of Glasswitch can use, and how to get it.

A switch needs none of it but Python and memory; real ports, huge pages and the tests do. Everything here is tried or
read, not guessed, and nothing is changed: sockets are closed again, namespaces are made in a process that ends.
"""
import ctypes
import mmap
import os
import platform
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF = 12, 13, 39
AF_XDP = 44
_UNSHARE = "import ctypes, os, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0)"  # NEWUSER | NEWNET
PROGRAMS = (
    ("chromium", ("chromium", "chromium-browser", "google-chrome"), "browser tests", "sudo apt install chromium"),
    ("tshark", ("tshark",), "deep dissection; a second opinion in tests", "sudo apt install tshark"),
    ("ovs-ofctl", ("ovs-ofctl",), "the real tools beside ours", "sudo apt install openvswitch-common"),
    ("ovs-vsctl", ("ovs-vsctl",), "the real tools beside ours", "sudo apt install openvswitch-switch"),
    ("ovs-vswitchd", ("ovs-vswitchd", "/usr/sbin/ovs-vswitchd"), "the oracle of many tests", "sudo apt install openvswitch-switch"),
)


@dataclass(frozen=True)
class Finding:
    """One thing: whether it is there, what is seen of it, what it is for, how to get it."""

    ok: bool
    name: str
    seen: str
    purpose: str
    cure: str = ""

    def __str__(self):
        line = f"{'yes' if self.ok else 'no ':<3}  {self.name:<16} {self.seen:<34} {self.purpose}"
        return line if self.ok or not self.cure else f"{line}\n       to allow it: {self.cure}"


def findings():
    """All findings, one after the other."""
    for look in (_python, _processor, _memory, _addresses, _cache, _tun, _net_admin, _namespaces, _raw, _xdp, _hugepages):
        yield look()
    for name, commands, purpose, cure in PROGRAMS:
        where = next(filter(None, map(shutil.which, commands)), None)
        yield Finding(bool(where), name, where or "not installed", purpose, cure)


def _python():
    return Finding(sys.version_info >= (3, 11), "Python", platform.python_version(), "everything; 3.11 or later", "install Python 3.11")


def _processor():
    cores = len(os.sched_getaffinity(0))
    seen = f"{cores} core{'s' * (cores != 1)}, {platform.machine()}"
    return Finding(cores > 1, "processor", seen, "a core for the switch, one for you", "two cores; with one, use step and run")


def _memory():
    rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(rows["MemAvailable"].split()[0]) // 1024
    return Finding(free >= 1024, "memory", f"{free} MB free", "1 GB with JupyterLab", "do without JupyterLab: lab shell")


def _addresses():
    try:
        mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=0).close()
    except (OSError, ValueError):
        return Finding(False, "address space", "less than a terabyte to reserve", "memory of guests in one range", "ulimit -v unlimited")
    return Finding(True, "address space", "a terabyte can be reserved", "memory of guests in one range")


def _cache():
    from lab.engine.code.objects import cache_folder
    try:
        folder = cache_folder()
    except ValueError as error:
        return Finding(False, "compiled cache", "no folder can be written", "starting without compiling", str(error))
    count = len(list(folder.glob("*.o")))
    return Finding(count > 0, "compiled cache", f"{count} stages in {folder}", "starting without compiling", "lab warm")


def _tun():
    device = Path("/dev/net/tun")
    there = device.exists()
    usable = there and os.access(device, os.R_OK | os.W_OK)
    seen = "can be opened" if usable else "may not be opened" if there else "is not there"
    cure = "sudo chmod 666 /dev/net/tun" if there else "sudo modprobe tun; in a container: --device /dev/net/tun"
    return Finding(usable, "/dev/net/tun", seen, "TAP ports", cure)


def _has_capability(bit):
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("CapEff"))
    return bool(int(line.split()[1], 16) >> bit & 1)


def _net_admin():
    ok = _has_capability(CAP_NET_ADMIN)
    cure = "run as root, or in a namespace of your own: unshare -Urn lab shell; in a container: --cap-add NET_ADMIN"
    return Finding(ok, "CAP_NET_ADMIN", "held" if ok else "not held", "creating TAPs and links", cure)


def _namespaces():
    ok = subprocess.run([sys.executable, "-c", _UNSHARE], capture_output=True, check=False).returncode == 0
    cure = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), kernel.unprivileged_userns_clone=1 (Debian)"
    return Finding(ok, "namespaces", "can be made" if ok else "are refused", "TAPs without root", cure)


def _raw():
    ok = _has_capability(CAP_NET_RAW)
    cure = "run as root, or unshare -Urn; in a container: --cap-add NET_RAW"
    return Finding(ok, "CAP_NET_RAW", "held" if ok else "not held", "ports on interfaces (AF_PACKET, AF_XDP)", cure)


def _xdp():
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW, 0).close()
        seen = "a socket can be made"
    except PermissionError:
        return Finding(False, "AF_XDP", "permission denied", "AF_XDP ports", "run as root, or with CAP_NET_RAW and CAP_BPF")
    except OSError as error:
        return Finding(False, "AF_XDP", os.strerror(error.errno or 0), "AF_XDP ports", "a kernel with CONFIG_XDP_SOCKETS")
    ok = _may_use_bpf()
    return Finding(ok, "AF_XDP", seen if ok else "socket yes, bpf no", "AF_XDP ports", "run as root, or with CAP_BPF and CAP_NET_ADMIN")


def _may_use_bpf():
    """Whether bpf(2) makes a map: an array of one entry, closed at once."""
    number = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
    if number is None:
        return _has_capability(CAP_BPF)
    attributes = (ctypes.c_uint32 * 32)(2, 4, 4, 1)  # BPF_MAP_TYPE_ARRAY, key size, value size, entries
    descriptor = ctypes.CDLL(None).syscall(number, 0, attributes, ctypes.sizeof(attributes))
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


def _hugepages():
    free = sum(int(path.read_text()) for path in Path("/sys/kernel/mm/hugepages").glob("hugepages-*/free_hugepages"))
    return Finding(free > 0, "huge pages", f"{free} free", "an arena on huge pages: fewer TLB misses", "sudo sysctl vm.nr_hugepages=512")
