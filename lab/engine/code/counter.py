"""The processor's time stamp counter, for Python: a function of three instructions, compiled once."""

import ctypes
from functools import cache

import llvmlite.binding as llvm

_TEXT = """
declare i64 @llvm.readcyclecounter()
define i64 @glasswitch_counter() {
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}
"""


@cache
def _function():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_TEXT), llvm.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_uint64)(engine.get_function_address("glasswitch_counter"))
    return function, engine  # the engine keeps the code alive


def read_counter():
    """The counter now."""
    return _function()[0]()
