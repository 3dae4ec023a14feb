"""A stand-in for a GPU and its driver: the very kernels, for this processor, thread after thread."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from implicitdsl.backends.cuda.ptx import linked_kernels
from implicitdsl.backends.lanes.link import PORTABLE, compiled, machine_for
from implicitdsl.backends.lanes.target import Device

_THREAD = """
@host.block = global i32 0
define i32 @host.ctaid.x() {
  %block = load i32, ptr @host.block
  ret i32 %block
}
define i32 @host.ntid.x() {
  ret i32 1
}
define i32 @host.tid.x() {
  ret i32 0
}
"""


def _make(modules: Sequence[str | bytes], entries: Sequence[str], sizes: Sequence[int], /) -> bytes:
    lines = str(linked_kernels(modules, entries, sizes)).splitlines()
    text = "\n".join(line for line in lines if not (line.startswith("declare") and "llvm.nvvm" in line))
    text = text.replace("ptx_kernel ", "").replace("@llvm.nvvm.read.ptx.sreg.", "@host.")
    return compiled(llvm.parse_assembly(text + _THREAD, llvm.create_context()), PORTABLE)


HOST = Device(1, _make)


class HostDriver:
    """As `benchmarks.cuda.driver.Driver`."""

    def __init__(self) -> None:
        self.about = {"name": "host"}
        self._held: list[Any] = []
        self._engines: dict[str, Any] = {}

    def room(self, size: int) -> int:
        self._held.append(np.empty(size + 64, np.uint8))
        address = self._held[-1].__array_interface__["data"][0]
        return address + -address % 64

    def put(self, address: int, array: Any) -> None:
        held = np.ascontiguousarray(array)
        ctypes.memmove(address, held.__array_interface__["data"][0], held.nbytes)

    def poison(self, address: int, size: int) -> None:
        ctypes.memset(address, 0xFF, size)

    def take(self, address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        found = np.empty(shape, dtype)
        ctypes.memmove(found.__array_interface__["data"][0], address, found.nbytes)
        return found

    def clear(self) -> None:
        self._held.clear()

    def load(self, folder: Path, name: str, variant: str = "") -> Any:
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine_for("native"))
        engine.add_object_file(llvm.ObjectFileRef.from_data((folder / f"{name}.o").read_bytes()))
        engine.finalize_object()
        return engine

    def write_global(self, module: Any, name: str, array: Any) -> None:
        self.put(module.get_global_value_address(name), array)

    def kernel(self, module: Any, name: str) -> Any:
        return module, module.get_function_address(name), module.get_global_value_address("host.block")

    def costs(self, kernel: Any) -> dict[str, int]:
        return {"registers": 0, "local": 0}

    def launch(self, kernel: Any, samples: int, arguments: Sequence[int]) -> None:
        _, address, block = kernel
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * (1 + len(arguments)))(address)
        for k in range(samples):
            ctypes.c_int32.from_address(block).value = k
            function(samples, *arguments)

    def begin(self) -> None:
        self._begun = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._begun

    def begin_again(self) -> None:
        raise AssertionError("a kernel failed on the host")
