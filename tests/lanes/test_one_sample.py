"""Solvers compiled for one sample against the same source in Python, and the memory they allocate."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import pytest

from implicitdsl.backends.lanes.link import Loaded
from implicitdsl.backends.lanes.one_root import SOLVERS
from implicitdsl.backends.lanes.one_sample import call, code_signature, model_table, one_sample_object
from implicitdsl.solvers.implicit_adjoint import root_adjoint
from implicitdsl.solvers.picard import picard
from tests.solvers.algebraic.machine_code_check import jacobian, residual


@cache
def functions() -> tuple[Any, ...]:
    kind = ctypes.CFUNCTYPE(None, *[ctypes.POINTER(ctypes.c_double)] * 3)
    return kind(residual), kind(jacobian)


@cache
def one_sample(part: str) -> Any:
    """A part of `one_root.SOLVERS`, which the tests of engines compile as well."""
    solver, signature = SOLVERS[part]
    kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in code_signature(signature)]
    code = Loaded(one_sample_object(solver, signature, "float64", f"imp_{part}"))
    entry = code.function(f"imp_{part}", ctypes.c_int64, *kinds)
    return lambda *arguments: call(entry, signature, *arguments)


def table(p: np.ndarray) -> np.ndarray:
    return model_table(p, [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions()])


@pytest.mark.parametrize("p", [(0.9, 0.5, 0.3, 0.3, -0.5, -0.3), (-3.5, -0.5, -0.8, 1.4, 1.6, 0.5)])
def test_a_solve_is_that_of_the_source(p: tuple[float, ...]) -> None:
    """The second needs a rescue."""
    solve = one_sample("one_picard")
    given, free = np.array(p), np.full(2, np.inf)
    found: list[Any] = []
    for run, model, tol in ((solve, (table(given),), np.array([1e-12])), (picard, (given,), 1e-12)):
        z, notes, steps = np.zeros(2), np.zeros(1, np.int64), np.zeros(1, np.int64)
        heads = functions() if run is picard else ()
        plain = (residual, jacobian) if heads else ()
        status = run(*plain, 2, z, *model, -free, free, tol, 200, notes, steps)
        found.append((status, notes[0], z))
    (status, notes, z), (wanted, wanted_notes, exact) = found
    assert (status, notes) == (wanted, wanted_notes) == (0, 0)
    np.testing.assert_allclose(z, exact, rtol=1e-13)


def test_an_adjoint_is_that_of_the_source() -> None:
    adjoint = one_sample("one_adjoint")
    p, z, g = np.array([0.9, 0.5, 0.3, 0.3, -0.5, -0.3]), np.array([0.7, -0.2]), np.array([1.0, 2.0])
    lam, other, notes = np.zeros(2), np.zeros(2), np.zeros(1, np.int64)
    assert adjoint(2, z, table(p), 0, 1, g, lam, notes) == 0
    assert root_adjoint(residual, jacobian, 2, z, p, 0, 1, g, other, notes) == 0
    np.testing.assert_allclose(lam, other, rtol=1e-14)


def test_memory_is_given_back() -> None:
    adjoint = one_sample("one_adjoint")
    p, z, g = np.array([0.9, 0.5, 0.3, 0.3, -0.5, -0.3]), np.array([0.7, -0.2]), np.array([1.0, 2.0])
    lam, notes, model = np.zeros(2), np.zeros(1, np.int64), table(p)

    def run(count: int) -> int:
        for _ in range(count):
            adjoint(2, z, model, 0, 1, g, lam, notes)
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    before = run(2000)
    assert run(20000) - before < 1 << 20
