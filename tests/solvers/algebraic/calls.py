"""The solvers called with plain Python functions of arrays, and what they return gathered in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitdsl.solvers.implicit_adjoint import implicit_adjoint, root_adjoint
from implicitdsl.solvers.interior_point import interior_point
from implicitdsl.solvers.newton import newton
from implicitdsl.solvers.status import note_names, status_name

Function = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Found:
    """A solve: its status and notes by name, its steps, its point, and the functions it was made of."""

    status: str
    notes: tuple[str, ...]
    steps: int
    z: Any
    residual: Any
    jacobian: Any
    p: Any

    def derivative(self, f_p: Any, g: Any = None) -> Any:
        """dz/dp (or g' dz/dp) by the adjoint, f_p being dF/dp (n by the number of parameters)."""
        n = self.z.size
        f_p = np.reshape(np.asarray(f_p, float), (n, -1))
        cotangents = np.eye(n) if g is None else np.reshape(np.asarray(g, float), (1, n))
        lam = np.zeros(cotangents.size)
        notes = np.zeros(1, np.int64)
        forward = 4 if "near_singular" in self.notes else 0
        with np.errstate(all="ignore"):
            status = root_adjoint(
                self.residual,
                self.jacobian,
                n,
                self.z,
                self.p,
                forward,
                len(cotangents),
                cotangents.ravel(),
                lam,
                notes,
            )
        if status != 0:
            return status_name(int(status))
        return np.squeeze(lam.reshape(len(cotangents), n) @ f_p)


def find(
    f: Function, j: Function, start: Any, p: Any = 0.0, *, method: Any = newton, tol: float = 1e-12, max_steps: int = 200,
    lower: Any = -np.inf, upper: Any = np.inf, dtype: Any = np.float64,
) -> Found:  # fmt: skip
    """Runs a root finder on f(z, p) = 0 with Jacobian j(z, p), from the start."""
    z = np.array(np.atleast_1d(start), dtype)
    n = z.size
    values = np.array(np.atleast_1d(p), dtype)

    def residual(z: Any, p: Any, out: Any) -> None:
        out[:n] = np.ravel(np.asarray(f(z, p), dtype))

    def jacobian(z: Any, p: Any, out: Any) -> None:
        out[: n * n] = np.ravel(np.asarray(j(z, p), dtype))

    notes, steps = np.zeros(1, np.int64), np.zeros(1, np.int64)
    low = np.broadcast_to(np.asarray(lower, dtype), n).copy()
    high = np.broadcast_to(np.asarray(upper, dtype), n).copy()
    with np.errstate(all="ignore"):
        status = method(residual, jacobian, n, z, values, low, high, tol, max_steps, notes, steps)
    return Found(status_name(int(status)), note_names(int(notes[0])), int(steps[0]), z, residual, jacobian, values)


@dataclass(frozen=True)
class Program:
    """A quadratic program, its missing parts empty."""

    Q: Any
    q: Any
    A: Any
    b: Any
    G: Any
    h: Any
    lower: Any
    upper: Any

    def rows(self) -> tuple[Any, Any]:
        """All inequality rows in the order of the duals, with their sides."""
        eye = np.eye(self.q.size)
        return np.vstack([self.G, -eye, eye]), np.concatenate([self.h, -self.lower, self.upper])


def program(
    Q: Any, q: Any, A: Any = None, b: Any = None, G: Any = None, h: Any = None, lower: Any = -np.inf, upper: Any = np.inf
) -> Program:  # fmt: skip
    """A program from lists."""
    q = np.array(q, float)
    n = q.size
    matrix = lambda a: np.zeros((0, n)) if a is None else np.array(a, float).reshape(-1, n)  # noqa: E731  (one line, used twice)
    vector = lambda v: np.zeros(0) if v is None else np.atleast_1d(np.array(v, float))  # noqa: E731  (as above)
    low, high = (np.broadcast_to(np.array(v, float), n).copy() for v in (lower, upper))
    return Program(np.array(Q, float).reshape(n, n), q, matrix(A), vector(b), matrix(G), vector(h), low, high)


@dataclass(frozen=True)
class Solved:
    """An answer of the interior point."""

    status: str
    notes: tuple[str, ...]
    steps: int
    x: Any
    y: Any
    z: Any
    active: Any


def solve(
    s: Program, *, tol: float = 1e-10, max_steps: int = 200, function: Any = interior_point, dtype: Any = float
) -> Solved:
    """Runs the interior point."""
    n, p, m = s.q.size, s.b.size, s.h.size
    x, y, z = np.zeros(n, dtype), np.zeros(p, dtype), np.zeros(m + 2 * n, dtype)
    active, notes, steps = np.zeros(m + 2 * n, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64)
    data = [np.ascontiguousarray(v, dtype).ravel() for v in (s.Q, s.q, s.A, s.b, s.G, s.h, s.lower, s.upper)]
    with np.errstate(all="ignore"):
        status = function(n, p, m, *data, tol, max_steps, x, y, z, active, notes, steps)
    return Solved(status_name(int(status)), note_names(int(notes[0])), int(steps[0]), x, y, z, active)


def kkt_gradient(s: Program, answer: Solved, g: Any) -> dict[str, Any] | str:
    """d(g'x) with respect to q, b and the sides of all inequality rows, by the KKT residual and `implicit_adjoint`.

    The residual is [Q x + q + A'y + C'z; A x - b; C x - c where active, z where not]; unknowns (x, y, z).
    """
    n, p = s.q.size, s.b.size
    rows, sides = s.rows()
    m = len(sides)
    on = answer.active > 0
    k = np.zeros((n + p + m, n + p + m))
    k[:n, :n] = s.Q
    k[:n, n : n + p] = s.A.T
    k[:n, n + p :] = rows.T
    k[n : n + p, :n] = s.A
    for i in range(m):
        if on[i]:
            k[n + p + i, :n] = rows[i]
        else:
            k[n + p + i, n + p + i] = 1.0
    cotangent = np.concatenate([g, np.zeros(p + m)])
    lam, notes = np.zeros(n + p + m), np.zeros(1, np.int64)
    status = implicit_adjoint(n + p + m, k.ravel(), 1, cotangent, lam, notes)
    if status != 0:
        return status_name(int(status))
    return {
        "q": lam[:n],
        "b": -lam[n : n + p],
        "sides": np.where(on, -lam[n + p :], 0.0),
        "notes": note_names(int(notes[0])),
    }
