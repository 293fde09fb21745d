"""The Linux kernel as oracle: two TAPs on a bridge in a network namespace of their own.

    with Taps(merge=False) as taps:
        segments = taps.through([(header, frame), ...])     # what the kernel made of them: [(header, frame), ...]

What is written into the first TAP, with a virtio-net header of 10 bytes, comes out of the second: cut by the kernel's GSO
when the second takes no offloads, merged by its GRO when the first hands frames over by NAPI and the second takes large
ones. Run as a script it is the other side: a process in the namespace that reads and writes frames for the test.
"""
import base64
import ctypes
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_NAPI = 0x0002, 0x1000, 0x4000, 0x0010
CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6, TUNNEL, TUNNEL_CSUM = 1, 2, 4, 8, 0x20, 0x40, 0x80, 0x100
HEADER = struct.Struct("<BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
HEADER_SIZE = HEADER.size
CLONE_NEWNET = 0x40000000
QUIET, LONGEST = 0.25, 5.0  # seconds


def why_not():
    """Why the kernel cannot be asked here, or ''."""
    if os.geteuid() != 0:
        return "needs root: TAPs in a network namespace of their own"
    if not os.path.exists("/dev/net/tun"):
        return "/dev/net/tun is missing: modprobe tun"
    if subprocess.run(["sh", "-c", "command -v ip"], capture_output=True).returncode:
        return "the program ip is missing: install iproute2"
    done = subprocess.run([sys.executable, __file__, "try"], capture_output=True, text=True, timeout=30)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def knows_tunnels():
    """Whether the kernel takes large packets in UDP tunnels, described by a header of 24 bytes (Linux 6.17)."""
    return subprocess.run([sys.executable, __file__, "tunnels"], capture_output=True, timeout=30).returncode == 0


class Taps:
    """A process in a namespace of its own, with two TAPs on a bridge; `size` is that of the headers of what is written."""

    def __init__(self, *, merge, size=HEADER_SIZE):
        command = [sys.executable, __file__, "merge" if merge else "cut", str(size)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n", "the namespace could not be made"

    def through(self, frames):
        """Write frames, each (header bytes, frame bytes), and read what comes out until it is quiet."""
        rows = [[base64.b64encode(part).decode() for part in frame] for frame in frames]
        self._process.stdin.write(json.dumps(rows) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return [tuple(base64.b64decode(part) for part in row) for row in answer]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def header(flags=0, gso_type=0, gso_size=0, csum_start=0, csum_offset=0):
    """A virtio-net header of 10 bytes."""
    return HEADER.pack(flags, gso_type, 0, gso_size, csum_start, csum_offset)


# --- the other side ------------------------------------------------------------------------------------------

def _tap(name, extra, offloads, size=HEADER_SIZE):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | extra))
    fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", size))
    for wanted in offloads:  # a kernel without USO refuses the larger set
        try:
            fcntl.ioctl(tap, TUNSETOFFLOAD, wanted)
            break
        except OSError:
            continue
    return tap


def _write(path, value):
    with open(path, "w") as file:
        file.write(str(value))


def _ip(*words):
    subprocess.run(["ip", *words], check=True)


def _make(merge, size=HEADER_SIZE):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace")
    _write("/proc/sys/net/ipv6/conf/all/disable_ipv6", 1)
    _write("/proc/sys/net/ipv6/conf/default/disable_ipv6", 1)
    every = CSUM | TSO4 | TSO6 | TSO_ECN
    first = _tap("tap0", IFF_NAPI if merge else 0, [0], size)
    second = _tap("tap1", 0, [every | USO4 | USO6, every] if merge else [0])
    _ip("link", "add", "sw0", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
    for name in ("tap0", "tap1"):
        _ip("link", "set", name, "master", "sw0")
        _ip("link", "set", name, "up")
        _ip("link", "set", name, "txqueuelen", "4000")
    _ip("link", "set", "sw0", "up")
    if merge:  # packets are held across writes, and let go after a pause
        _write_sys("tap0", "gro_flush_timeout", 60_000_000)
        _write_sys("tap0", "napi_defer_hard_irqs", 0)
    return first, second


def _write_sys(name, key, value):
    """An attribute of an interface: sysfs shows those of the namespace that mounted it, so netlink or a mount of our own is asked."""
    os.makedirs("/tmp", exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if not os.path.exists(f"/sys/class/net/{name}"):
        if libc.unshare(0x00020000):  # CLONE_NEWNS
            raise OSError(ctypes.get_errno(), "no mount namespace")
        libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None)  # MS_REC | MS_PRIVATE
        if libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None):
            raise OSError(ctypes.get_errno(), "sysfs cannot be mounted in a namespace")
    _write(f"/sys/class/net/{name}/{key}", value)


def _serve(first, second):
    for line in sys.stdin:
        for head, frame in json.loads(line):
            os.write(first, base64.b64decode(head) + base64.b64decode(frame))
        found, began = [], time.monotonic()
        while time.monotonic() - began < LONGEST and select.select([second], [], [], QUIET)[0]:
            data = os.read(second, 1 << 17)
            found.append([base64.b64encode(part).decode() for part in (data[:HEADER.size], data[HEADER.size:])])
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    taps = _make(sys.argv[1] in ("merge", "try"), int(sys.argv[2]) if len(sys.argv) > 2 else HEADER_SIZE)
    if sys.argv[1] == "tunnels":
        fcntl.ioctl(taps[1], TUNSETVNETHDRSZ, struct.pack("i", 24))
        fcntl.ioctl(taps[1], TUNSETOFFLOAD, CSUM | TSO4 | TSO6 | TUNNEL | TUNNEL_CSUM)
    elif sys.argv[1] != "try":
        print("ready", flush=True)
        _serve(*taps)
