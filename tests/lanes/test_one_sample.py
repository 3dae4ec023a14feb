"""Solvers compiled for one sample, as engines compile them, against the same source in Python, and the memory they allocate."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from implicitdsl.backends.lanes import one_sample as machine
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.one_root import SOLVERS
from implicitdsl.backends.lanes.program_rest import SIGNATURES
from implicitdsl.backends.lanes.smooth_engine import ONE_SOLVERS
from implicitdsl.solvers import picard as source_of_picard
from implicitdsl.solvers.implicit_adjoint import root_adjoint
from implicitdsl.solvers.interior_point import interior_point
from implicitdsl.solvers.minimise import minimise
from implicitdsl.solvers.newton import newton
from implicitdsl.solvers.picard import picard


def residual(z: Any, p: Any, out: Any) -> None:
    out[0] = np.tanh(p[0] * z[0] + p[1] * z[1] + p[2]) - z[0]
    out[1] = np.tanh(p[3] * z[0] + p[4] * z[1] + p[5]) - z[1]


def jacobian(z: Any, p: Any, out: Any) -> None:
    first = 1 - np.tanh(p[0] * z[0] + p[1] * z[1] + p[2]) ** 2
    second = 1 - np.tanh(p[3] * z[0] + p[4] * z[1] + p[5]) ** 2
    out[0] = p[0] * first - 1
    out[1] = p[1] * first
    out[2] = p[3] * second
    out[3] = p[4] * second - 1


def objective(z: Any, p: Any, out: Any) -> None:
    out[0] = z[0] ** 4 - p[0] * z[0] + (z[1] - z[0]) ** 2


def gradient(z: Any, p: Any, out: Any) -> None:
    out[0] = 4 * z[0] ** 3 - p[0] - 2 * (z[1] - z[0])
    out[1] = 2 * (z[1] - z[0])


def hessian(z: Any, p: Any, out: Any) -> None:
    out[0] = 12 * z[0] ** 2 + 2
    out[1] = -2
    out[2] = -2
    out[3] = 2


ROOT = (residual, jacobian)
MINIMUM = (objective, gradient, hessian)
PARTS = {**SOLVERS, **ONE_SOLVERS}
EASY = np.array([0.9, 0.5, 0.3, 0.3, -0.5, -0.3])
# Newton's method alone does not find this root; the descent that follows ends in a local minimum.
HARD = np.array([-3.5, -0.5, -0.8, 1.4, 1.6, 0.5])
# Only the path of `homotopy` leads to this one.
FAR = np.array([-0.1, -4.7, 3.6, 2.7, 3.1, -1.3])


@cache
def part(name: str) -> Callable[..., int]:
    """A part of an engine: the code, and so its entry in the cache, is the one that engines use."""
    solver, signature = PARTS[name]
    kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in machine.code_signature(signature)]
    code = Loaded(machine.one_sample_object(solver, signature, "float64", f"imp_{name}"))
    entry = code.function(f"imp_{name}", ctypes.c_int64, *kinds)
    return lambda *arguments: machine.call(entry, signature, *arguments)


@cache
def addresses(functions: tuple[Callable[..., None], ...]) -> tuple[Any, ...]:
    kind = ctypes.CFUNCTYPE(None, *[ctypes.POINTER(ctypes.c_double)] * 3)
    return tuple(kind(f) for f in functions)


def table(p: np.ndarray, functions: tuple[Callable[..., None], ...] = ROOT) -> np.ndarray:
    return machine.model_table(p, [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in addresses(functions)])


def real(number: float) -> np.ndarray:
    """A float, for a parameter that the machine code takes by its place."""
    return np.array([number])


def one() -> np.ndarray:
    return np.zeros(1, np.int64)


def sides(
    name: str, solver: Callable[..., Any], functions: tuple[Callable[..., None], ...], *arguments: Any
) -> list[tuple[int, list[np.ndarray]]]:
    """Machine code and source on copies of the arguments: status and arrays of each."""
    found = []
    for compiled in (True, False):
        given = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
        changed = [a for a in given if isinstance(a, np.ndarray)]
        if compiled:
            made = [table(a, functions) if a is p_of(given) else a for a in given]
            status = part(name)(*[real(a) if isinstance(a, float) else a for a in made])
        else:
            with np.errstate(all="ignore"):
                status = int(solver(*functions, *given))
        found.append((status, changed))
    return found


def p_of(given: list[Any]) -> Any:
    """The parameters of the model come third: n, z, p."""
    return given[2]


FREE = np.full(2, np.inf)


@pytest.mark.parametrize("p", [EASY, HARD, FAR], ids=["easy", "hard", "far"])
def test_picard_is_that_of_the_source(p: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    part("one_picard")  # compiled as it stands, before a name in it means something else
    paths: list[bool] = []
    usual = source_of_picard.homotopy
    monkeypatch.setattr(source_of_picard, "homotopy", lambda *a: paths.append(usual(*a)) or paths[-1])
    fast, slow = sides("one_picard", picard, ROOT, 2, np.zeros(2), p, -FREE, FREE, 1e-12, 200, one(), one())
    assert fast[0] == slow[0] == 0
    assert paths == ([True] if p is FAR else [])
    *arrays, steps = zip(fast[1], slow[1], strict=True)
    for a, b in arrays:
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    # How long a descent or a path is hangs on the last bit.
    assert p is not EASY or steps[0] == steps[1]


@pytest.mark.parametrize("p", [EASY, HARD], ids=["easy", "hard"])
def test_newton_is_that_of_the_source(p: np.ndarray) -> None:
    fast, slow = sides("one_newton", newton, ROOT, 2, np.zeros(2), p, -FREE, FREE, 1e-12, 200, one(), one())
    assert fast[0] == slow[0] == 0
    for a, b in zip(fast[1][:-1], slow[1][:-1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("notes", [0, 4], ids=["regular", "near singular"])
def test_an_adjoint_is_that_of_the_source(notes: int) -> None:
    """A root whose solve was noted as near a singular one is judged again."""
    root = np.array([0.7311269, -0.05374007])
    g, lam = np.array([1.0, 2.0]), np.zeros(2)
    fast, slow = sides("one_adjoint", root_adjoint, ROOT, 2, root, EASY, notes, 1, g, lam, one())
    assert fast[0] == slow[0] == 0
    for a, b in zip(fast[1], slow[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_a_minimum_is_that_of_the_source() -> None:
    fast, slow = sides("one_minimise", minimise, MINIMUM, 2, np.array([0.1, 0.2]), EASY, 1e-10, 200, one(), one())
    assert fast[0] == slow[0] == 0
    for a, b in zip(fast[1], slow[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_program_is_that_of_the_source() -> None:
    name = "interior_point.interior_point"
    rows, right = np.array([1.0, 2, 1, 1, 3, 1, 2, -1, 0, -1, -4, 0]), np.array([5, 4, -1.5])
    q = np.array([2.0, 0, -1, 0, 0, 1, 0, 0, -1, 0, 2, 1, 0, 0, 1, 1])
    given = [q, np.array([-1.0, -3, 1, -1]), np.array([1.0, 0, 0, -1]), np.zeros(1), rows, right, np.zeros(4)]
    found: list[Any] = []
    for solver in (machine.one_sample(name, SIGNATURES[name], "float64"), interior_point):
        written = [np.zeros(4), np.zeros(1), np.zeros(11), np.zeros(11, np.int64), one(), one()]
        status = solver(4, 1, 3, *given, np.full(4, np.inf), 1e-10, 100, *written)
        found.append((status, written))
    (status, fast), (wanted, slow) = found
    assert status == wanted == 0
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_memory_is_given_back() -> None:
    adjoint = part("one_adjoint")
    z, g = np.array([0.7, -0.2]), np.array([1.0, 2.0])
    lam, notes, model = np.zeros(2), one(), table(EASY)

    def run(count: int) -> int:
        for _ in range(count):
            adjoint(2, z, model, 0, 1, g, lam, notes)
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    before = run(2000)
    assert run(20000) - before < 1 << 20
