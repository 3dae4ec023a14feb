"""Run by test_machine_code in its own process: every solver, compiled and plain, on the same problem; prints what differs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from implicitdsl.solvers.homotopy import homotopy
from implicitdsl.solvers.implicit_adjoint import root_adjoint
from implicitdsl.solvers.interior_point import interior_point
from implicitdsl.solvers.minimise import minimise
from implicitdsl.solvers.newton import newton
from implicitdsl.solvers.picard import picard
from tests.solvers.algebraic.compiled import compiled


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


def compare(name: str, solver: Any, functions: list[Any], *args: Any, answer: int = 0, counts: bool = True) -> None:
    """Runs both on copies of the arguments and compares the return value and every array, those of integers where `counts`."""
    plain = [np.copy(a) if isinstance(a, np.ndarray) else a for a in args]
    fast = [np.copy(a) if isinstance(a, np.ndarray) else a for a in args]
    status = int(solver(*functions, *plain))
    code = int(compiled(solver)(*[machine_code(f) for f in functions], *fast))
    same = all(
        np.allclose(a, b, rtol=1e-10, atol=1e-12)
        for a, b in zip(plain, fast, strict=True)
        if isinstance(a, np.ndarray) and (counts or a.dtype != np.int64)
    )
    print(
        name, "agrees" if status == code == answer and same else f"differs: {status} {code} {plain} {fast}", flush=True
    )


@cache
def machine_code(function: Any) -> Any:
    """One dispatcher a function: every other would have all solvers compiled anew."""
    return numba.njit(function)


def main() -> None:
    """All solvers: `picard` contains `newton`, `root_adjoint` contains `implicit_adjoint`."""
    free, one = np.full(2, np.inf), np.zeros(1, np.int64)
    p, z = np.array([0.9, 0.5, 0.3, 0.3, -0.5, -0.3]), np.array([0.1, 0.2])
    compare("picard", picard, [residual, jacobian], 2, z, p, -free, free, 1e-12, 200, one, one)
    # Descent ends in a local minimum for these weights, after a number of steps that hangs on the last bit.
    hard, start = np.array([-3.5, -0.5, -0.8, 1.4, 1.6, 0.5]), np.zeros(2)
    compare("rescue", picard, [residual, jacobian], 2, start, hard, -free, free, 1e-12, 200, one, one, counts=False)
    compare("newton", newton, [residual, jacobian], 2, start, hard, -free, free, 1e-12, 200, one, one, counts=False)
    compare("homotopy", homotopy, [residual, jacobian], 2, start, hard, -free, free, 100, one, answer=1)
    root = z.copy()
    picard(residual, jacobian, 2, root, p, -free, free, 1e-12, 200, one.copy(), one.copy())
    # Near_singular in the forward notes, so that the root is judged again.
    compare("adjoint", root_adjoint, [residual, jacobian], 2, root, p, 4, 1, np.ones(2), np.zeros(2), one)
    compare("minimise", minimise, [objective, gradient, hessian], 2, z, p, 1e-10, 200, one, one)
    rows, sides = np.array([1.0, 2, 1, 1, 3, 1, 2, -1, 0, -1, -4, 0]), np.array([5, 4, -1.5])
    q = np.array([2.0, 0, -1, 0, 0, 1, 0, 0, -1, 0, 2, 1, 0, 0, 1, 1])
    out, duals = np.zeros(4), np.zeros(11)
    compare(
        "interior_point", interior_point, [], 4, 1, 3, q, np.array([-1.0, -3, 1, -1]), np.array([1.0, 0, 0, -1]), np.zeros(1),
        rows, sides, np.zeros(4), np.full(4, np.inf), 1e-10, 100, out, np.zeros(1), duals, np.zeros(11, np.int64), one, one,
    )  # fmt: skip


if __name__ == "__main__":
    main()
