"""A limit for a stage that runs as plain Python: one that never ends is ended there as well.

What counts is the processor time of the thread, so a person may stop in a debugger as long as they like. In a cell
Control-C works besides; a click has nobody who could press it.
"""

import ctypes
import threading
import time
from contextlib import contextmanager

SECONDS = 5.0  # of processor time that one stage may take in one step
LOOK = 0.5


class NeverEnds(BaseException):
    """Raised inside a stage that has used up its time."""


@contextmanager
def limited(on):
    """Raise NeverEnds in the body when it has used more processor time than a stage may."""
    if not on:
        yield
        return
    thread = threading.get_ident()
    clock = time.pthread_getcpuclockid(thread)
    until, over = time.clock_gettime(clock) + SECONDS, threading.Event()

    def look():
        while not over.wait(LOOK):
            if time.clock_gettime(clock) > until:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(NeverEnds))
                return

    watcher = threading.Thread(target=look, name="glasswitch-patience", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
