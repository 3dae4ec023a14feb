"""Solvers that work on one sample at a time, compiled as they stand: what lanes leave to them, they settle.

`lanes` solve many samples with one flow of control. Solvers that search (damping, rescues, active sets) have a flow of
control of their own for each sample, so they are compiled for one sample, from the same source that the back end
`python` runs, arrays and slices included. The code is made once for each (solver, dtype), in tens of seconds, and kept
on disk; it holds no model. A model comes as a *table* of addresses in the place of the solver's `p`: the flat
arguments, then its functions in the order in which the solver takes them, emitted for one lane.

`memory.py` gives the arrays that such code allocates.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.lanes.cache import fingerprint, kept
from implicitdsl.backends.lanes.link import Loaded, make_object
from implicitdsl.backends.lanes.memory import MEMORY, MEMORY_FUNCTIONS

ROOT = Path(__file__).parents[2]
LOWERING = tuple(
    f"backends/lanes/{name}.py"
    for name in ("instructions", "memory", "numba_lowering", "one_sample", "power", "table_functions", "words")
)
BROKEN = -1
"""What a solver gives when memory ran out, or an array operation did not fit: never a status."""


def one_sample_object(solver: str, signature: str, dtype: str, symbol: str) -> bytes:
    """The object file that defines `symbol` as a solver, `module.function` of `solvers/`, for one sample.

    `signature` has one letter a parameter of the solver: f a function of the model (nothing is passed for it), n a
    whole number, r the place of a float, a an array of floats, i one of int64, p the table of the model (see
    `model_table`). The code gives what the solver returns, or `BROKEN`."""
    key = (fingerprint((*sources(solver.split(".")[0]), *LOWERING)), solver, signature, dtype, symbol)
    # In a process without Numba nothing else has these functions: they stay names until all is linked.
    code = kept(key, lambda: _make(solver, signature, dtype, symbol))
    return make_object([code, MEMORY], [symbol, *MEMORY_FUNCTIONS])


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
    if found == BROKEN:
        raise MemoryError("a solver found no memory")
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
    # Numba is imported only here: a solver found on disk needs none of it.
    from numba import carray, types

    from implicitdsl.backends.lanes.numba_lowering import lower_with_arrays, make_callable
    from implicitdsl.backends.lanes.table_functions import TABLE_FUNCTIONS

    make_callable(solver_functions())
    module, name = solver.split(".")
    target = getattr(import_module(f"implicitdsl.solvers.{module}"), name)
    real, whole = getattr(types, dtype), types.int64
    kinds = {
        "n": [whole], "r": [types.CPointer(real)], "a": [types.CPointer(real), whole],
        "i": [types.CPointer(whole), whole], "p": [types.CPointer(whole)],
    }  # fmt: skip
    parameters: list[str] = []
    passed: list[str] = []
    arguments: list[types.Type] = []
    functions = 0
    for place, letter in enumerate(signature):
        if letter == "f":
            passed.append(f"function_{functions}")
            functions += 1
            continue
        arguments += kinds[letter]
        parameters.append(f"x{place}")
        if letter in "ai":
            parameters.append(f"n{place}")
            passed.append(f"carray(x{place}, n{place})")
        else:
            passed.append(f"x{place}[0]" if letter == "r" else f"x{place}")
    space: dict[str, Any] = {f"function_{k}": made for k, made in enumerate(TABLE_FUNCTIONS)}
    space |= {"solver": target, "carray": carray}
    exec(f"def entry({', '.join(parameters)}):\n    return solver({', '.join(passed)})\n", space)
    return lower_with_arrays(space["entry"], tuple(arguments), whole, symbol, broken=BROKEN)


def solver_functions() -> list[FunctionType]:
    """Every function of `solvers/`."""
    found: list[FunctionType] = []
    for path in sorted((ROOT / "solvers").glob("[a-z]*.py")):
        module = import_module(f"implicitdsl.solvers.{path.stem}")
        found += [f for f in vars(module).values() if isinstance(f, FunctionType) and f.__module__ == module.__name__]
    return found
