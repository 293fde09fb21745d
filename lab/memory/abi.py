"""What depends on the processor and its system calls: the one file to read for another platform."""

import platform

MACHINE = platform.machine()
# system calls of two arguments, as compiled code makes them
_CALLS = {"x86_64": {"gettid": 186, "nanosleep": 35, "exit": 60}, "aarch64": {"gettid": 178, "nanosleep": 101, "exit": 93}}
if MACHINE not in _CALLS:
    raise ImportError(f"Glasswitch runs on Linux on {' and '.join(_CALLS)}; this is {MACHINE}")
GETTID, NANOSLEEP, EXIT = (_CALLS[MACHINE][name] for name in ("gettid", "nanosleep", "exit"))
