"""Compiling what `emit` writes, and calling it on samples: what the tests of emission stand on."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence

import llvmlite.binding as llvm
import numpy as np

from implicitdsl.backends.lanes.emit import SCALAR_GROUPS, emit_functions


@functools.cache
def _ready() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


class Compiled:
    """Functions compiled for one dtype and width. Calls take (samples, size) arrays, one a group, and return those of
    the output groups."""

    def __init__(self, functions, dtype="float64", width=8, *, shared=(), summed=(), text=None) -> None:
        _ready()
        self.functions = {f.name: f for f in functions}
        self.dtype, self.width = np.dtype(dtype), width
        text = text or emit_functions(list(functions), dtype, width, shared=shared, summed=summed)
        kind = {"float64": "double", "float32": "float"}[dtype]
        element = kind if width == 1 else f"<{width} x {kind}>"
        text += "".join(self._wrapper(f, element, kind) for f in functions)
        module = llvm.parse_assembly(text)
        module.verify()
        self.machine = llvm.Target.from_default_triple().create_target_machine(
            opt=3, cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten()
        )
        module.triple, module.data_layout = llvm.get_process_triple(), str(self.machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        passes = llvm.create_pass_builder(self.machine, options)
        passes.getModulePassManager().run(module, passes)
        self.engine = llvm.create_mcjit_compiler(module, self.machine)
        self.engine.finalize_object()
        self.pointers = {
            name: ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(f.inputs) + len(f.outputs)))(
                self.engine.get_function_address(f"call_{name}")
            )
            for name, f in self.functions.items()
        }

    def _wrapper(self, function, element, kind) -> str:
        groups = [*function.inputs, *function.outputs]
        lines, given = [], []
        for k, g in enumerate(groups):
            if g.name in SCALAR_GROUPS and k < len(function.inputs):
                lines.append(f"  %v{k} = load {element}, ptr %a{k}, align {self.dtype.itemsize}")
                given.append(f"{element} %v{k}")
            else:
                given.append(f"ptr %a{k}")
        names = ", ".join(f"ptr %a{k}" for k in range(len(groups)))
        body = "\n".join([*lines, f"  call void @imp_{function.name}({', '.join(given)})", "  ret void"])
        return f"\ndefine void @call_{function.name}({names}) {{\n{body}\n}}\n"

    def __call__(self, name, groups: Sequence[np.ndarray], start: Sequence[np.ndarray] | None = None):
        """The outputs for (samples, size) arrays; `start` is what the outputs hold before."""
        function, w = self.functions[name], self.width
        samples = len(groups[0]) if groups else w
        assert samples % w == 0
        sizes = [g.size if start is None else start[k].shape[1] for k, g in enumerate(function.outputs)]
        found = [np.empty((samples, size), self.dtype) for size in sizes]
        for block in range(0, samples, w):
            rows = slice(block, block + w)
            arrays = [self._packed(np.asarray(g)[rows]) for g in groups]
            outs = [
                np.full((g.size + 1) * w, 7.0, self.dtype) if start is None else self._packed(start[k][rows])
                for k, g in enumerate(function.outputs)
            ]
            self.pointers[name](*[a.ctypes.data for a in (*arrays, *outs)])
            for whole, out, size in zip(found, outs, sizes, strict=True):
                whole[rows] = out[: size * w].reshape(size, w).T
        return found

    def pointing(self, rows, members):
        """The rows of a group in which each (start, array) of `members`, in order, is one array for all lanes: its
        columns become one, which holds the address."""
        found = np.array(rows, self.dtype)
        for start, numbers in reversed(members):
            address = np.array([numbers.ctypes.data], np.int64).view(self.dtype)
            column = np.full((len(found), 1), np.nan, self.dtype)
            for block in range(0, len(found), self.width):
                column[block : block + len(address), 0] = address
            found = np.concatenate([found[:, :start], column, found[:, start + numbers.size :]], axis=1)
        return found

    def _packed(self, rows):
        packed = np.ascontiguousarray(rows.astype(self.dtype).T).reshape(-1)
        return np.append(packed, np.zeros(self.width, self.dtype))
