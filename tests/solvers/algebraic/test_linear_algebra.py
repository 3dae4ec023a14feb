"""Dense factorisations, rank-revealing solutions and checked implicit solves, against NumPy's LAPACK."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from implicitdsl.solvers.implicit_adjoint import implicit_adjoint, implicit_tangent
from implicitdsl.solvers.linear_algebra import (
    cholesky_factor,
    cholesky_solve,
    inverse_norm,
    ldl_factor,
    ldl_solve,
    lu_factor,
    lu_solve,
    lu_solve_transposed,
)
from implicitdsl.solvers.rank_revealing import null_vector, orthogonal_factor, orthogonal_solve
from implicitdsl.solvers.status import DEPENDENT_ROWS, NEAR_SINGULAR, NONFINITE, SINGULAR, SUCCESS


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_factorisations(n: int) -> None:
    """LU both ways, its estimate of the inverse's norm, Cholesky, LDL'."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(n, n)), rng.normal(size=n)
    lu, pivots = a.ravel().copy(), np.zeros(n, np.int64)
    assert lu_factor(n, lu, pivots) > 0
    for solver, matrix in ((lu_solve, a), (lu_solve_transposed, a.T)):
        x = b.copy()
        solver(n, lu, pivots, x)
        np.testing.assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-9, atol=1e-11)
    exact = np.linalg.norm(np.linalg.inv(a), 1)
    assert exact / 3 <= inverse_norm(n, lu, pivots) <= exact * (1 + 1e-10)
    s = a @ a.T + 0.1 * np.eye(n)
    factor, x = s.ravel().copy(), b.copy()
    assert cholesky_factor(n, factor)
    cholesky_solve(n, factor, x)
    np.testing.assert_allclose(x, np.linalg.solve(s, b), rtol=1e-9, atol=1e-11)
    assert not cholesky_factor(n, (-s).ravel())
    half = (n + 1) // 2
    s[half:, half:] *= -1
    factor, x = s.ravel().copy(), b.copy()
    assert ldl_factor(n, half, 0.0, factor)
    ldl_solve(n, factor, x)
    np.testing.assert_allclose(x, np.linalg.solve(s, b), rtol=1e-8, atol=1e-10)


def test_singular_and_nonfinite_matrices_say_so() -> None:
    """0 for a singular LU, NaN for one with NaN."""
    pivots = np.zeros(2, np.int64)
    assert lu_factor(2, np.array([1.0, 2, 2, 4]), pivots) == 0
    assert np.isnan(lu_factor(2, np.array([1.0, np.nan, 2, 4]), pivots))


@pytest.mark.parametrize(("m", "n", "k"), [(5, 5, 3), (7, 4, 2), (4, 7, 4), (3, 6, 1), (5, 5, 5)])
def test_least_norm_solution(m: int, n: int, k: int) -> None:
    """The pseudo-inverse and the null space of a matrix of rank k."""
    rng = np.random.default_rng(k)
    a, b = rng.normal(size=(m, k)) @ rng.normal(size=(k, n)), rng.normal(size=m)
    factors, tau, order = a.ravel().copy(), np.zeros(min(m, n)), np.zeros(n, np.int64)
    right, right_tau, x = np.zeros(n * n), np.zeros(n), np.zeros(n)
    rank = orthogonal_factor(m, n, factors, 1e-10, tau, order, right, right_tau)
    assert rank == k
    rest = orthogonal_solve(m, n, rank, factors, tau, order, right, right_tau, b.copy(), x)
    exact = np.linalg.pinv(a) @ b
    np.testing.assert_allclose(x, exact, rtol=1e-9, atol=1e-11)
    assert rest == pytest.approx(np.linalg.norm(a @ exact - b), abs=1e-11)
    for number in range(n - rank):
        null_vector(n, rank, right, right_tau, order, number, x)
        np.testing.assert_allclose(a @ x, 0, atol=1e-11)
        assert np.linalg.norm(x) == pytest.approx(1, rel=1e-12)


def adjoint(k: Any, g: Any, solver: Any = implicit_adjoint) -> tuple[int, int, Any]:
    k, g = np.array(k, float), np.atleast_2d(np.array(g, float))
    out, notes = np.zeros(g.size), np.zeros(1, np.int64)
    with np.errstate(all="ignore"):
        status = solver(len(k), k.ravel(), len(g), g.ravel(), out, notes)
    return int(status), int(notes[0]), out.reshape(g.shape)


def test_checked_solves() -> None:
    """Several right-hand sides on one factorisation, both ways; scaling over 300 decades changes nothing."""
    rng = np.random.default_rng(0)
    k, g = rng.normal(size=(6, 6)), rng.normal(size=(3, 6))
    status, notes, lam = adjoint(k, g)
    assert (status, notes) == (SUCCESS, 0)
    np.testing.assert_allclose(lam, -np.linalg.solve(k.T, g.T).T, rtol=1e-10)
    np.testing.assert_allclose(adjoint(k, g, implicit_tangent)[2], np.linalg.solve(k, g.T).T, rtol=1e-10)
    assert adjoint([[1e-150, 0], [0, 1e150]], [1, 1])[2].tolist() == [[-1e150, -1e-150]]


def test_derivatives_that_do_not_exist_are_refused() -> None:
    """Singular: refused unless consistent; a zero cotangent is 0 whatever the matrix; ill-conditioned: noted."""
    k = np.array([[1.0, 1], [2, 2]])
    assert adjoint(k, [1, 0])[0] == SINGULAR and adjoint([[0]], [1])[0] == SINGULAR
    status, notes, lam = adjoint(k, [1, 1])
    assert (status, notes) == (SUCCESS, DEPENDENT_ROWS)
    np.testing.assert_allclose(k.T @ lam[0], [-1, -1], rtol=1e-12)
    assert adjoint([[np.nan]], [0])[0] == SUCCESS and adjoint([[np.nan]], [1])[0] == NONFINITE
    assert adjoint([[1]], [np.inf])[0] == NONFINITE
    hilbert = 1 / (np.arange(10)[:, None] + np.arange(10) + 1.0)
    status, notes, _ = adjoint(hilbert, np.ones(10))
    assert (status, notes) == (SUCCESS, NEAR_SINGULAR)
