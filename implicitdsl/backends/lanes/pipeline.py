"""The passes of Numba that solvers need, in Numba's order: what closures, comprehensions, parallel loops and inlined
overloads ask for is left out, because solvers have none.

What works on NumPy arrays is compiled by Numba's own pipeline: it also fuses array expressions and drops references.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import llvmlite.binding as llvm
from numba.core import typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager

PASSES: tuple[type[Any], ...] = (
    untyped_passes.TranslateByteCode, untyped_passes.FixupArgs, untyped_passes.IRProcessing,
    untyped_passes.GenericRewrites, untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference, typed_passes.PreLowerStripPhis, typed_passes.IRLegalization,
    typed_passes.NativeLowering, typed_passes.NoPythonBackend,
)  # fmt: skip

_arrays: ContextVar[bool] = ContextVar("whether what is compiled works on NumPy arrays", default=False)


@contextmanager
def compiling(*, arrays: bool) -> Iterator[None]:
    """What is compiled inside, and all that it calls, does or does not work on NumPy arrays.

    Where it does not, cycles of objects are left meanwhile: Numba makes so many objects that the collector takes an
    eighth of its time, and nearly all of them stay."""
    token = _arrays.set(arrays)
    collects = gc.isenabled()
    if not arrays:
        gc.disable()
    try:
        yield
    finally:
        _arrays.reset(token)
        if collects:
            gc.enable()


class SolverCompiler(CompilerBase):
    """Numba's compiler for a solver and for what solvers call."""

    def define_pipelines(self) -> list[PassManager]:
        if _arrays.get():
            return [DefaultPassBuilder.define_nopython_pipeline(self.state)]
        manager = PassManager("solver")
        for each in PASSES:
            manager.add_pass(each, each.__name__)
        manager.finalize()
        return [manager]


class TextLibrary(JITCodeLibrary):
    """Code that is never loaded. It is optimised after a model is linked, so Numba does so only where it drops
    references to arrays; elsewhere a function is put together with what it calls only in the end, once.

    What others link is kept as bitcode: a process keeps all that it has lowered, and modules take far more room."""

    _own: bytes | None = None
    """The functions of this library alone; None where Numba has put them together with what they call."""
    _bitcode: bytes | None = None

    def finalize(self) -> None:
        if _arrays.get():
            super().finalize()
            return
        self._raise_if_finalized()
        self._own = self._final_module.as_bitcode()
        self.release()
        self._finalized = True

    def get_llvm_str(self) -> str:
        return super().get_llvm_str() if self._own is None else str(self._whole())

    def _whole(self) -> llvm.ModuleRef:
        """The functions of this library with all that they call."""
        module = llvm.parse_bitcode(self._own)
        seen, waiting = {self}, list(self._linking_libraries)
        while waiting:
            library = waiting.pop()
            if library in seen:
                continue
            seen.add(library)
            own = getattr(library, "_own", None)
            if own is None:
                module.link_in(library._get_module_for_linking(), preserve=True)
            else:
                module.link_in(llvm.parse_bitcode(own))
                waiting += library._linking_libraries
        return module

    def _get_module_for_linking(self) -> llvm.ModuleRef:
        if self._bitcode is None:
            self._ensure_finalized()
            if self._own is not None:
                self._final_module = self._whole()
            self._bitcode = super()._get_module_for_linking().as_bitcode()
            self.release()
        return llvm.parse_bitcode(self._bitcode)

    def release(self) -> None:
        """Lets go of the module, whose text is no longer asked for."""
        self._final_module = self._shared_module = None

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    def _optimize_functions(self, ll_module: Any) -> None:
        if _arrays.get():
            super()._optimize_functions(ll_module)
        else:
            ll_module.data_layout = self._codegen._data_layout

    def _finalize_specific(self) -> None:
        pass


class TextOnly(JITCPUCodegen):
    """Makes LLVM modules and no machine code."""

    _library_class = TextLibrary

    def _add_module(self, module: Any) -> None:
        pass

    def set_env(self, env_name: str, env: Any) -> None:
        pass
