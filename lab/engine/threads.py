"""Bare threads for machine code: no interpreter state, and each can be ended alone.

A stage that faults raises a signal in its thread; one that never ends is sent one. The handler, a few
lines of LLVM text compiled here once, looks whether the thread is one of ours: then it notes the signal and ends just that
thread; else whoever handled the signal before is called, Python's faulthandler among them. An order to end that comes
when the thread has ended already does nothing.
"""

import ctypes
import signal
import threading
import time

import llvmlite.binding as llvm
import numpy as np

from lab.memory.abi import EXIT, GETTID

KILL = signal.SIGRTMIN + 6  # sent to a thread that must end
FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
MOST = 64  # threads of all switches of a process
_ENDED = 40  # bytes in a thread record to `ended`; `tid` is its first field
SIGINFO, ON_STACK = 4, 0x08000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.pthread_create.argtypes = [ctypes.POINTER(ctypes.c_ulong), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
_libc.pthread_kill.argtypes = [ctypes.c_ulong, ctypes.c_int]
_libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
_libc.pthread_timedjoin_np.argtypes = [ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p]

_records = np.zeros(MOST, np.uint64)  # addresses of the thread records in use
_previous = np.zeros(128, np.uint64)  # who handled a signal before us
_lock = threading.Lock()
_kept = []

_TEXT = """
declare i64 @syscall(i64, ...)
declare i8* @signal(i32, i8*)
define void @glasswitch_handler(i32 %sig, i8* %info, i8* %context) {{
entry:
  %tid = call i64 (i64, ...) @syscall(i64 {gettid})
  br label %look
look:
  %i = phi i64 [0, %entry], [%next, %again]
  %slot = add i64 {records}, 0
  %offset = shl i64 %i, 3
  %at = add i64 %slot, %offset
  %pp = inttoptr i64 %at to i64*
  %p = load volatile i64, i64* %pp
  %used = icmp ne i64 %p, 0
  br i1 %used, label %check, label %again
check:
  %tp = inttoptr i64 %p to i64*
  %its = load volatile i64, i64* %tp
  %ours = icmp eq i64 %its, %tid
  br i1 %ours, label %end, label %again
again:
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {most}
  br i1 %more, label %look, label %others
end:
  %ea = add i64 %p, {ended}
  %ep = inttoptr i64 %ea to i64*
  %wide = zext i32 %sig to i64
  store volatile i64 %wide, i64* %ep
  %gone = call i64 (i64, ...) @syscall(i64 {exit}, i64 0)
  unreachable
others:
  %late = icmp eq i32 %sig, {kill}
  br i1 %late, label %nothing, label %before_us
nothing:
  ret void
before_us:
  %w = zext i32 %sig to i64
  %o = shl i64 %w, 3
  %pa = add i64 {previous}, %o
  %pv = inttoptr i64 %pa to i64*
  %before = load i64, i64* %pv
  %real = icmp ugt i64 %before, 1
  br i1 %real, label %chain, label %default
chain:
  %f = inttoptr i64 %before to void (i32, i8*, i8*)*
  call void %f(i32 %sig, i8* %info, i8* %context)
  %once = call i8* @signal(i32 %sig, i8* null)
  ret void
default:
  %was = inttoptr i64 %before to i8*
  %r = call i8* @signal(i32 %sig, i8* %was)
  ret void
}}
"""


class _Action(ctypes.Structure):
    _fields_ = (("handler", ctypes.c_void_p), ("mask", ctypes.c_ulong * 16), ("how", ctypes.c_int), ("restorer", ctypes.c_void_p))


def _compile_handler():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    numbers = {"gettid": GETTID, "exit": EXIT, "ended": _ENDED, "most": MOST, "kill": int(KILL)}
    text = _TEXT.format(**numbers, records=_records.ctypes.data, previous=_previous.ctypes.data)
    target = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), target)
    engine.finalize_object()
    _kept.append(engine)
    return engine.get_function_address("glasswitch_handler")


def install():
    """Put our handler before whoever handles faults now; called at each start, since others may have come between."""
    with _lock:
        if not _kept:
            _kept.append(_compile_handler())
        ours = _kept[1]
        for number in (*FAULTS, KILL):
            now = _Action()
            _libc.sigaction(int(number), None, ctypes.byref(now))
            if now.handler != ours:
                _previous[int(number)] = now.handler or 0
                mine = _Action(handler=ours, how=SIGINFO | ON_STACK)
                _libc.sigaction(int(number), ctypes.byref(mine), None)


class BareThread:
    """One running entry point. `record` is the thread record (a NumPy row) that the compiled code knows as `thread`."""

    def __init__(self, record, address, world):
        install()
        self.record = record
        where = record.ctypes.data
        with _lock:
            free = np.flatnonzero(_records == 0)
            if not len(free):
                raise RuntimeError(f"{MOST} threads run already in this process: stop a switch first")
            self.slot = int(free[0])
            _records[self.slot] = where
        record["tid"], record["ended"] = 0, 0
        self.handle = ctypes.c_ulong()
        failed = _libc.pthread_create(ctypes.byref(self.handle), None, address, world)
        if failed:
            _records[self.slot] = 0
            raise RuntimeError(f"no thread could be started: error {failed}")
        self.alive = True

    def join(self, seconds):
        """Wait for the thread to end; whether it has."""
        if not self.alive:
            return True
        until = time.time() + seconds
        when = (ctypes.c_long * 2)(int(until), int(until % 1 * 1e9))
        if _libc.pthread_timedjoin_np(self.handle, None, when) == 0:
            self.alive = False
            _records[self.slot] = 0
        return not self.alive

    def kill(self):
        """End the thread wherever it stands, and wait for it."""
        if self.alive:
            _libc.pthread_kill(self.handle, int(KILL))
            _libc.pthread_join(self.handle, None)
            self.alive = False
            _records[self.slot] = 0

    def seconds(self):
        """The processor time that the thread has used; none when it has just ended."""
        try:
            return time.clock_gettime(time.pthread_getcpuclockid(self.handle.value))
        except ProcessLookupError:
            return 0.0
