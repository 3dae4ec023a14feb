"""Solvers that work on one sample at a time, compiled as they stand: what lanes leave to them, they settle.

`lanes` solve many samples with one flow of control. Solvers that search (damping, rescues, active sets) have a flow of
control of their own for each sample, so they are compiled for one sample, from the same source that the back end
`python` runs, arrays and slices included. The code is made once for each (solver, dtype) and kept on disk: bitcode that
LLVM's passes are done with, in a second or so, and machine code in half of one; it holds no model. A model comes as a
*table* of addresses in the place of the solver's `p`: the flat arguments, then its functions in the order in which the
solver takes them, emitted for one lane.

`memory.py` gives the arrays that such code allocates.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.lanes.cache import LOWERING, fingerprint, kept
from implicitdsl.backends.lanes.link import make_alone, optimised_alone
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.memory import MEMORY, MISFIT, NO_MEMORY

ROOT = Path(__file__).parents[2]
SOURCES = (
    "array_expressions", "array_inference", "arrays", "flatten", "link", "lower_arrays", "memory", "numpy_functions",
    "one_sample", "room", "table_functions", *LOWERING,
)  # fmt: skip
"""Modules beside this one that make the text of a solver."""


def one_sample_object(solver: str, signature: str, dtype: str, symbol: str) -> bytes:
    """The object file that defines `symbol` as a solver, `module.function` of `solvers/`, for one sample.

    `signature` has one letter a parameter of the solver: f a function of the model (nothing is passed for it), n a
    whole number, r the place of a float, a an array of floats, i one of int64, p the table of the model (see
    `model_table`). The code gives what the solver returns, or as in `lower_with_arrays` that it could not go on."""
    made_by = (f"backends/lanes/{name}.py" for name in SOURCES)
    key = (fingerprint((*sources(solver.split(".")[0]), *made_by)), solver, signature, dtype, symbol)
    code = kept(key, lambda: optimised_alone([_make(solver, signature, dtype, symbol), MEMORY], [symbol]))
    return make_alone(code, [symbol])


@cache
def sources(module: str) -> tuple[str, ...]:
    """The files of `solvers/` that a module of it is made of."""
    found, left = {module}, [module]
    while left:
        text = (ROOT / "solvers" / f"{left.pop()}.py").read_text(encoding="utf-8")
        for name in re.findall(r"^from implicitdsl\.solvers\.(\w+) import", text, re.MULTILINE):
            if name not in found:
                found.add(name)
                left.append(name)
    return tuple(f"solvers/{name}.py" for name in sorted(found))


def code_signature(signature: str) -> str:
    """The parameters of the code: n a whole number, a an array; an array comes with its length."""
    return "".join({"f": "", "n": "n", "r": "a", "a": "an", "i": "an", "p": "a"}[letter] for letter in signature)


def call(entry: Callable[..., int], signature: str, *arguments: Any) -> int:
    """Calls the code of a solver: arrays are NumPy's, contiguous, written in place, also the one that holds a float. It
    runs without Python's lock. Raises MemoryError where memory ran out."""
    given: list[Any] = []
    for letter, argument in zip(signature.replace("f", ""), arguments, strict=True):
        given.append(argument if letter == "n" else argument.__array_interface__["data"][0])
        if letter in "ai":
            given.append(argument.size)
    found = entry(*given)
    if found == -NO_MEMORY:
        raise MemoryError("a solver found no memory")
    if found == -MISFIT:
        raise IndexError("a solver of one sample went beyond an array: this is a mistake of ours")
    return found


@cache
def one_sample(solver: str, signature: str, dtype: str) -> Callable[..., int]:
    """The solver of `one_sample_object` as a function, floats being passed as numbers."""
    kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in code_signature(signature)]
    code = Loaded(one_sample_object(solver, signature, dtype, "imp_one_sample"))
    entry = code.function("imp_one_sample", ctypes.c_int64, *kinds)
    letters = signature.replace("f", "")

    def run(*arguments: Any) -> int:
        given = [np.array([a], dtype) if letter == "r" else a for letter, a in zip(letters, arguments, strict=True)]
        return call(entry, signature, *given)

    return run


def model_table(p: NDArray[Any], functions: Sequence[int]) -> NDArray[np.int64]:
    """The table of a model: its flat arguments, which must outlive it, and the addresses of its functions."""
    return np.array([p.__array_interface__["data"][0], *functions], np.int64)


def _make(solver: str, signature: str, dtype: str, symbol: str) -> str:
    # What compiles solvers is imported only here: a solver found on disk needs none of it.
    from implicitdsl.backends.lanes.arrays import vector
    from implicitdsl.backends.lanes.element import INT, SCALARS, Kind, Known, Pointer
    from implicitdsl.backends.lanes.lower_arrays import lower_with_arrays
    from implicitdsl.backends.lanes.table_functions import TABLE_FUNCTIONS

    module, name = solver.split(".")
    target = getattr(import_module(f"implicitdsl.solvers.{module}"), name)
    real = SCALARS[dtype]
    kinds: dict[str, Kind] = {
        "n": INT, "r": Pointer(real), "a": vector(real), "i": vector(INT), "p": Pointer(INT),
    }  # fmt: skip
    functions = iter(TABLE_FUNCTIONS)
    arguments = tuple(Known(next(functions)) if letter == "f" else kinds[letter] for letter in signature)
    modules = [f"implicitdsl.{path[:-3].replace('/', '.')}" for path in sources(module)]
    return lower_with_arrays(target, arguments, symbol, modules=modules)
