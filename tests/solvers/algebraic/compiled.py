"""Machine code of a solver function: the function and all it calls of the solvers, by Numba, as they stand."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numba

_done: dict[FunctionType, Any] = {}


def compiled(function: Any) -> Any:
    """A Numba dispatcher of `function`; solver functions among its globals are compiled with it."""
    if function in _done:
        return _done[function]
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        value = names.get(name)
        if isinstance(value, FunctionType) and value.__module__.startswith("implicitdsl.solvers"):
            names[name] = compiled(value)
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    _done[function] = numba.njit(copy, error_model="numpy")
    return _done[function]
