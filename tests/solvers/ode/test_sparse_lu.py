"""Sparse factors against NumPy's dense ones, over patterns that ask for an order, a transversal, or a refusal."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.problems.elimination import eliminate, eliminate_in_order, transversal
from implicitdsl.problems.pivot_order import pivot_order
from implicitdsl.problems.step_pattern import _description
from implicitdsl.solvers.sparse_lu import sparse_factor_size, sparse_lu, sparse_lu_solve, sparse_lu_solve_transposed


def pattern_for(mask: np.ndarray, *, refined: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A pattern whose factors are those of a matrix with these entries, held by rows; and the places of the entries."""
    n = len(mask)
    rows, columns = np.nonzero(mask)
    lists = [np.flatnonzero(row).tolist() for row in mask]
    found = eliminate(lists, lists)
    assert found is not None
    starts = np.searchsorted(rows, np.arange(n + 1))
    head = [1, len(rows), 7, 7 + n + 1, 7 + n + 1 + len(rows), 7 + n + 1 + 2 * len(rows), 0]
    parts = [head, starts, columns, np.arange(len(rows))]
    described = _description(found, n, 0, sum(map(len, parts)), len(rows) if refined else 0)
    return np.concatenate([*parts, described]).astype(np.int32), np.flatnonzero(mask)


def factored(
    mask: np.ndarray, matrix: np.ndarray, *, refined: bool = False
) -> tuple[np.ndarray, int, np.ndarray, float]:
    pattern, places = pattern_for(mask, refined=refined)
    at = int(pattern[5])
    factors = np.zeros(int(sparse_factor_size(pattern, at)))
    with np.errstate(all="ignore"):
        told = sparse_lu(pattern, at, np.zeros(len(mask)), 1.0, np.float64(-1.0), matrix.reshape(-1)[places], factors)
    return pattern, at, factors, float(told)


@pytest.mark.parametrize("seed", range(6))
def test_solves_are_those_of_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 25
    mask = rng.random((n, n)) < 0.12
    mask |= np.eye(n, dtype=bool)
    # Rows out of their places: the diagonal must be found.
    mask = mask[rng.permutation(n)]
    matrix = np.where(mask, rng.standard_normal((n, n)), 0.0)
    pattern, at, factors, told = factored(mask, matrix)
    assert told > 0
    b = rng.standard_normal(n)
    x, y = b.copy(), b.copy()
    sparse_lu_solve(pattern, at, factors, x)
    sparse_lu_solve_transposed(pattern, at, factors, y)
    np.testing.assert_allclose(matrix @ x, b, atol=1e-8)
    np.testing.assert_allclose(matrix.T @ y, b, atol=1e-8)


def test_an_arrow_fills_nothing_and_a_band_its_band() -> None:
    n = 40
    arrow = np.eye(n, dtype=bool)
    arrow[0] = arrow[:, 0] = True
    lists = [np.flatnonzero(row).tolist() for row in arrow]
    found = eliminate(lists, lists)
    assert found is not None
    assert found.entries == arrow.sum()
    rng = np.random.default_rng(0)
    band = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1
    order = rng.permutation(n)
    mixed = band[order][:, order]
    lists = [np.flatnonzero(row).tolist() for row in mixed]
    found = eliminate(lists, lists)
    assert found is not None
    assert found.entries == band.sum()
    assert found.operations == n - 1


def test_a_structurally_singular_matrix_has_no_transversal() -> None:
    assert transversal([[0, 1], [1], [1]]) is None
    assert transversal([[1], [2], [0, 1]]) == (1, 2, 0)
    assert eliminate([[0, 1], [1], [1]], [[0, 1], [1], [1]]) is None


def test_factors_that_a_small_pivot_spoils_are_refused() -> None:
    mask = np.ones((3, 3), dtype=bool)
    well = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, 1.0], [0.5, 1.0, 2.0]])
    assert factored(mask, well)[3] == 1.0
    # However rows are scaled.
    assert factored(mask, np.diag([1e-9, 1.0, 1e9]) @ well)[3] == 1.0
    ill = well.copy()
    ill[0, 0] = 1e-12
    assert np.isnan(factored(mask, ill)[3])
    ill[0, 0] = 0.0
    assert np.isnan(factored(mask, ill)[3])


@pytest.mark.parametrize("seed", range(4))
def test_pivots_that_vanish_are_replaced_and_solves_refined(seed: int) -> None:
    """Five zeros on the diagonal, as state-dependent derivatives are at some points; NumPy chooses pivots."""
    rng = np.random.default_rng(seed)
    n = 30
    ring = np.eye(n, dtype=bool) | np.roll(np.eye(n, dtype=bool), 1, axis=1)
    mask = (rng.random((n, n)) < 0.08) | ring
    matrix = np.where(mask, rng.standard_normal((n, n)), 0.0)
    gone = rng.permutation(n)[:5]
    matrix[gone, gone] = 0.0
    assert np.linalg.cond(matrix) < 1e5
    assert np.isnan(factored(mask, matrix)[3])
    pattern, at, factors, told = factored(mask, matrix, refined=True)
    assert told == 1.0
    b = rng.standard_normal(n)
    x, y = b.copy(), b.copy()
    sparse_lu_solve(pattern, at, factors, x)
    sparse_lu_solve_transposed(pattern, at, factors, y)
    for found, wanted in ((x, np.linalg.solve(matrix, b)), (y, np.linalg.solve(matrix.T, b))):
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9 * abs(wanted).max())


def test_ones_that_cancel_are_put_in_an_order_without_zeros() -> None:
    """A chain whose second pivot is 1 - 1 in the order of its places, with a number that a sample point decides."""
    n = 9
    matrix = np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)
    mask = matrix != 0.0
    lists = [np.flatnonzero(row).tolist() for row in mask]
    assert np.isnan(factored(mask, matrix)[3])
    found = pivot_order(lists, [np.ones((len(row), 2)) for row in lists], lists, lists)
    assert found is not None
    order, row_of = found
    made = eliminate_in_order(lists, order, row_of)
    assert made is not None
    assert made.entries <= 5 * n
    moved = matrix[list(made.rows)][:, list(made.columns)]
    minors = [np.linalg.det(moved[:k, :k]) for k in range(1, n + 1)]
    assert np.abs(minors).min() > 0.5
    # No order has good pivots where the matrix has none at one of the points.
    assert pivot_order(lists, [np.zeros((len(row), 2)) for row in lists], lists, lists) is None


def test_a_singular_matrix_is_not_mended() -> None:
    rng = np.random.default_rng(1)
    n = 12
    mask = np.ones((n, n), dtype=bool)
    matrix = rng.standard_normal((n, n))
    matrix[7] = matrix[2] - 2.0 * matrix[5]
    assert np.isnan(factored(mask, matrix, refined=True)[3])
    assert np.isnan(factored(mask, np.zeros((n, n)), refined=True)[3])
    matrix[3, 4] = np.nan
    assert np.isnan(factored(mask, matrix, refined=True)[3])
