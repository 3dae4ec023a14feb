"""Object files in memory, as functions to call.

Each `Loaded` owns its engine and target machine: an engine disposes of its machine, so two must never share one.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm

from implicitdsl.backends import interrupt
from implicitdsl.backends.lanes.data import Data, write_data
from implicitdsl.backends.lanes.link import machine_for
from implicitdsl.backends.lanes.pieces import pieces

llvm.add_symbol(interrupt.SYMBOL, interrupt.ADDRESS)


class Loaded:
    """An object file in memory; `function(symbol, …)` for each entry."""

    def __init__(self, code: bytes, data: Data | None = None) -> None:
        """`code` is an object file, or some in one (`pieces.py`). `data` are the values that code may ask for. Raises
        RuntimeError for code that names a function which this process does not have, or that asks for a value which is
        not given."""
        # In LLVM's global context, which is never disposed of: the collector of cycles knows no order, and an engine
        # that goes after its context takes the process with it.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine_for("native"))
        for piece in pieces(code):
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(piece))
        self._engine.finalize_object()
        write_data(self._engine.get_global_value_address, data or {})

    def address(self, symbol: str) -> int:
        """Where the code of an entry lies, for as long as this object lives."""
        return self._engine.get_function_address(symbol)

    def function(self, symbol: str, result: Any, *arguments: Any, locked: bool = False) -> Any:
        """An entry as a ctypes function, which keeps this object alive. It runs without Python's lock, or keeps it
        where `locked`, if it takes less time than to get the lock again."""
        kind = ctypes.PYFUNCTYPE if locked else ctypes.CFUNCTYPE
        made = kind(result, *arguments)(self.address(symbol))
        made.__dict__["loaded"] = self
        return made
