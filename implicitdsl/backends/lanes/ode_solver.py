"""The compiled solvers of `ode`: one module of bitcode for each (part, method, dtype, width), shared by all models."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, Literal

import numpy as np

from implicitdsl.backends.lanes.cache import fingerprint, kept
from implicitdsl.solvers.tableau import TABLEAUS

Part = Literal["solve", "pull", "second"]

SIGNATURES: dict[Part, str] = {"solve": "nnaanaaa", "pull": "nnaanaaaaaanaa", "second": "nnaanaaaaaaanaaan"}
"""The parameters of each entry: n a whole number, a an array of elements."""
SOURCES = (
    *(f"solvers/{name}.py" for name in (
        "dense_output", "dense_output_adjoint", "dense_output_tangent", "explicit_rk", "explicit_rk_adjoint",
        "explicit_rk_tangent", "status", "step_control", "tableau", "vocabulary",
    )),
    *(f"backends/lanes/{name}.py" for name in (
        "element", "lower", "model_functions", "ode_blocks", "ode_solver", "ode_tangent_blocks", "power", "specialise",
        "words",
    )),
)  # fmt: skip
"""All that the bitcode is made from."""


@cache
def solver(part: Part, method: str, dtype: str, width: int, *, written_out: bool) -> bytes:
    """Bitcode that defines `imp_PART`; model functions, sizes and settings are external.

    `written_out`: loops over stages are written out, for models small enough to live in registers."""
    key = (fingerprint(SOURCES), part, method, dtype, width, written_out)
    return kept(key, lambda: _make(part, method, dtype, width, written_out=written_out))


def _make(part: Part, method: str, dtype: str, width: int, *, written_out: bool) -> str:
    # Numba is imported only here: a solver found on disk needs none of it.
    from numba import types

    from implicitdsl.backends.lanes.element import element, pointer
    from implicitdsl.backends.lanes.lower import lower

    kinds = {"n": types.int64, "a": pointer(element(dtype, width))}
    arguments = tuple(kinds[letter] for letter in SIGNATURES[part])
    return lower(_functions(method, dtype, written_out=written_out)[part], arguments, types.int64, f"imp_{part}")


@cache
def _functions(method: str, dtype: str, *, written_out: bool) -> dict[str, FunctionType]:
    """The solver functions of one method, ready to be compiled: what one part has compiled, the next does not again."""
    from implicitdsl.backends.lanes import ode_blocks, ode_tangent_blocks
    from implicitdsl.backends.lanes.lower import make_callable
    from implicitdsl.backends.lanes.specialise import rebound
    from implicitdsl.solvers import (
        dense_output,
        dense_output_adjoint,
        dense_output_tangent,
        explicit_rk,
        explicit_rk_adjoint,
        explicit_rk_tangent,
        step_control,
    )

    tableau = TABLEAUS[method]
    a, c, error, dense = (tuple(float(x) for x in np.ravel(table)) for table in tableau.arrays(dtype))
    known = {"s": tableau.stages, "degree": tableau.degree, "a": a, "c": c, "error": error, "dense": dense}
    modules = (
        dense_output, dense_output_adjoint, dense_output_tangent, step_control, explicit_rk, explicit_rk_adjoint,
        explicit_rk_tangent, ode_blocks, ode_tangent_blocks,
    )  # fmt: skip
    functions = [f for module in modules for f in _functions_of(module)]
    made = rebound(functions, {"S": tableau.stages, "DEGREE": tableau.degree}, known if written_out else None)
    make_callable(made.values())
    return made


def _functions_of(module: ModuleType) -> list[Callable[..., Any]]:
    return [f for f in vars(module).values() if isinstance(f, FunctionType) and inspect.getmodule(f) is module]
