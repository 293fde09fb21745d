"""Numba's code libraries, without what a stage does not need.

Numba optimises, links and loads every function by itself, with wrappers for Python, before it links it into whoever
calls it, so a stage of a hundred and fifty functions took minutes. Here a function that is only called from compiled
code stays as it was lowered; the entry of a stage links them all, once, and is optimised as a whole. This leans on
private parts of Numba (its version is pinned); it runs only in the process that compiles.
"""

from numba import _dynfunc
from numba.core import codegen, cpu
from numba.core.registry import cpu_target

ENTRY = "entry_of_a_stage"  # the name of the one function of a stage that is linked and optimised
NOWHERE = 1  # the address of functions that Python must not call
INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # options of all others


class LeanLibrary(codegen.JITCodeLibrary):
    """A library that is linked when it is an entry, and else waits as it is."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        if self.name.rsplit(".", 1)[-1] != ENTRY:
            self._raise_if_finalized()
            self._finalized = True
            return
        self._linking_libraries = _closure(self._linking_libraries)  # type: ignore[has-type]
        self._own = {function.name for function in self._final_module.functions}
        super().finalize()

    def _get_module_for_linking(self):
        return self._final_module  # linked as it is: the linker would drop a function that nobody refers to yet

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in self._own:
                function.linkage = "internal"
        super()._optimize_final_module()


def _closure(libraries):
    """Libraries and all that they call, each once."""
    found, waiting = {}, list(libraries)
    while waiting:
        library = waiting.pop()
        if library not in found:
            found[library] = True
            waiting.extend(library._linking_libraries)
    return list(found)


class LeanContext(cpu.CPUContext):
    """The target's context, for functions that Python never calls."""

    def get_executable(self, library, fndesc, env):
        if library.name.rsplit(".", 1)[-1] == ENTRY:
            return super().get_executable(library, fndesc, env)
        return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "never called", NOWHERE, env, (library,))


def install():
    """Let Numba compile so from now on, in this process."""
    context = cpu_target.target_context
    context.codegen()._library_class = LeanLibrary
    context.__class__ = LeanContext
