"""Link solver and model, optimise once, and make machine code.

Everything but the entries becomes internal and is inlined where it pays. Each `Linked` owns its engine and target
machine (an engine disposes of its machine, so two must never share one). Forking while another thread is inside LLVM
would leave the child waiting for llvmlite's lock for ever, so the lock is held over every fork.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import ffi

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def _hold_over_fork() -> None:
    # The lock is private to llvmlite, which is pinned to a minor version; a test forks with a thread inside LLVM.
    lock: Any = ffi.lib._lock
    os.register_at_fork(
        before=lambda: lock.__enter__(),
        after_in_parent=lambda: lock.__exit__(None, None, None),
        after_in_child=lambda: lock.__exit__(None, None, None),
    )


_hold_over_fork()


class Linked:
    """Machine code of some modules; `address(symbol)` of each entry."""

    def __init__(self, modules: Iterable[str | bytes], entries: Sequence[str], *, inline_all: bool = False) -> None:
        """`modules` are LLVM texts or bitcode; `inline_all` makes one function of each entry. Raises RuntimeError for
        modules that do not fit together."""
        context = llvm.create_context()
        parsed = [
            llvm.parse_assembly(m, context) if isinstance(m, str) else llvm.parse_bitcode(m, context) for m in modules
        ]
        whole = parsed[0]
        for other in parsed[1:]:
            whole.link_in(other)
        for function in whole.functions:
            if not function.is_declaration and function.name not in entries:
                function.linkage = "internal"
                if inline_all:
                    function.add_function_attribute("alwaysinline")
        for variable in whole.global_variables:
            if not variable.is_declaration:
                variable.linkage = "internal"
        whole.verify()
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(
            opt=3, cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten()
        )
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        passes.getModulePassManager().run(whole, passes)
        self._context = context
        self._engine = llvm.create_mcjit_compiler(whole, machine)
        self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """Where the code of an entry lies, for as long as this object lives."""
        return self._engine.get_function_address(symbol)

    def function(self, symbol: str, result: Any, *arguments: Any) -> Any:
        """An entry as a ctypes function, which keeps this object alive; it runs without Python's lock."""
        made = ctypes.CFUNCTYPE(result, *arguments)(self.address(symbol))
        made.__dict__["linked"] = self
        return made
