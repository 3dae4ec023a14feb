"""Quadratic programs that vectors of samples leave: solved and differentiated one by one, as on the back end `python`.

The machine code of their solvers is one for all models. It takes a second or two to make, and a hundredth of the time
that the source takes to run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array
from implicitdsl.backends.lanes.one_sample import one_sample
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.interior_point import INACTIVE

SIGNATURES = {
    "interior_point.interior_point": "nnnaaaaaaaarnaaaiii",
    "implicit_adjoint.implicit_adjoint": "nanaai",
    "implicit_adjoint.implicit_tangent": "nanaai",
}
"""The solvers, and their parameters as in `one_sample.py`."""


class OneByOne:
    """The solvers of one sample for programs of n unknowns, `equations` and in all `count` rows."""

    def __init__(self, dtype: np.dtype[Any], n: int, equations: int, count: int, rtol: float, max_steps: int) -> None:
        self._dtype, self._n, self._e, self._count = dtype, n, equations, count
        self._rtol, self._max_steps = float(dtype.type(rtol)), max_steps

    @cached_property
    def _solver(self) -> Callable[..., int]:
        return self._compiled("interior_point.interior_point")

    @cached_property
    def _adjoint(self) -> Callable[..., int]:
        return self._compiled("implicit_adjoint.implicit_adjoint")

    @cached_property
    def _tangent(self) -> Callable[..., int]:
        return self._compiled("implicit_adjoint.implicit_tangent")

    def _compiled(self, solver: str) -> Callable[..., int]:
        return one_sample(solver, SIGNATURES[solver], self._dtype.name)

    def solve(self, matrices: Array, vectors: Array) -> tuple[Array, Array, int, int, int]:
        """(unknowns and multipliers, mask of the active inequalities, status, notes, steps) of a program: Q and
        the rows of equations and inequalities; q and the sides."""
        n, e, m = self._n, self._e, self._count - self._e
        quadratic, rows = matrices[: n * n], matrices[n * n : n * n + self._count * n]
        linear, sides = vectors[:n], vectors[n:]
        free = np.full(n, np.inf, self._dtype)
        x, y, z = (np.zeros(size, self._dtype) for size in (n, e, m + 2 * n))
        active, notes, steps = (np.zeros(size, np.int64) for size in (m + 2 * n, 1, 1))
        given = [quadratic, linear, rows[: e * n], sides[:e], rows[e * n :], sides[e:], -free, free]
        status = self._solver(
            n, e, m, *(np.ascontiguousarray(part) for part in given), self._dtype.type(self._rtol),
            self._max_steps, x, y, z, active, notes, steps,
        )  # fmt: skip
        mask = (active[:m] != INACTIVE).astype(self._dtype)
        return np.concatenate([x, y, z[:m]]), mask, status, int(notes[0]), int(steps[0])

    def derivative(self, transposed: int, matrices: Array, mask: Array, given: Array) -> tuple[Array, int]:
        """The solution of K x = -given, or of K'x = -given, for the KKT matrix with the active set frozen; and a
        status."""
        whole = self._n + self._count
        k, found, told = self._matrix(matrices, mask), np.zeros(whole, self._dtype), np.zeros(1, np.int64)
        if not given.any():
            return found, codes.SUCCESS
        if transposed:
            status = self._adjoint(whole, k.ravel(), 1, np.ascontiguousarray(given), found, told)
        else:
            status = self._tangent(whole, k.ravel(), 1, -given, found, told)
        return found, self._judged(status, int(told[0]), k)

    def _matrix(self, matrices: Array, mask: Array) -> Array:
        n, e, count = self._n, self._e, self._count
        quadratic, rows = matrices[: n * n], matrices[n * n : n * n + count * n]
        k = np.zeros((n + count, n + count), self._dtype)
        rows = rows.reshape(count, n)
        k[:n, :n], k[:n, n:], k[n : n + e, :n] = quadratic.reshape(n, n), rows.T, rows[:e]
        k[n + e :, :n] = mask[:, None] * rows[e:]
        k[n + e :, n + e :] = np.diag(1 - mask)
        return k

    def _judged(self, status: int, told: int, k: Array) -> int:
        """A singular system: without rows the answer is not isolated; else least norm is refused where held rows are
        neither dependent nor clearly independent, because it would damp the derivative."""
        if status != codes.SUCCESS or not told & codes.DEPENDENT_ROWS:
            return status
        if self._count == 0:
            return codes.SINGULAR
        rows = k[self._n :, : self._n]
        lengths = np.linalg.norm(rows, axis=1)
        values = np.linalg.svd(rows[lengths > 0] / lengths[lengths > 0, None], compute_uv=False)
        eps = float(np.finfo(self._dtype).eps)
        unclear = (values > 16 * len(k) * eps) & (values < eps**0.5)
        return codes.SINGULAR if unclear.any() else status


Requirement = tuple[tuple[int, ...], str]
"""The shape of an expression, and what it must be: nonneg, nonpos, psd."""


def are_convex(requirements: Sequence[Requirement], flat: Array) -> NDArray[np.bool_]:
    """Which samples meet the conditions that convexity hangs on, given the values of all conditions (samples, size)."""
    good, start = np.ones(len(flat), bool), 0
    for shape, requirement in requirements:
        size = math.prod(shape)
        value: Any = flat[:, start : start + size]
        start += size
        if requirement == "psd":
            good &= _are_positive(value.reshape(-1, *shape))
        else:
            good &= (value >= 0 if requirement == "nonneg" else value <= 0).all(axis=1)
    return good


def _are_positive(matrices: Array) -> NDArray[np.bool_]:
    """Positive semidefinite up to the rounding of their entries, as on the back end `python`."""
    finite = np.isfinite(matrices).all(axis=(1, 2))
    safe = np.where(finite[:, None, None], matrices, 0.0)
    slack = np.finfo(matrices.dtype).eps * 16 * matrices.shape[1] * np.abs(safe).max(axis=(1, 2), initial=0.0)
    symmetric = (safe + safe.swapaxes(1, 2)) / 2
    try:
        # Far from the border a factorisation tells, at a tenth of the cost of eigenvalues.
        np.linalg.cholesky(symmetric - slack[:, None, None] * np.eye(matrices.shape[1], dtype=matrices.dtype))
    except np.linalg.LinAlgError:
        return finite & (np.linalg.eigvalsh(symmetric)[:, 0] >= -slack)
    return finite
