"""Sparse factors against NumPy's dense ones, over patterns that ask for an order, a transversal, or a refusal."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.problems.elimination import eliminate, transversal
from implicitdsl.problems.step_pattern import _description
from implicitdsl.solvers.sparse_lu import sparse_lu, sparse_lu_solve, sparse_lu_solve_transposed


def pattern_for(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pattern whose factors are those of a matrix with these entries, held by rows; and the places of the entries."""
    n = len(mask)
    rows, columns = np.nonzero(mask)
    lists = [np.flatnonzero(row).tolist() for row in mask]
    found = eliminate(lists, lists)
    assert found is not None
    starts = np.searchsorted(rows, np.arange(n + 1))
    head = [1, len(rows), 7, 7 + n + 1, 7 + n + 1 + len(rows), 7 + n + 1 + 2 * len(rows), 0]
    parts = [head, starts, columns, np.arange(len(rows))]
    described = _description(found, n, 0, sum(map(len, parts)))
    return np.concatenate([*parts, described]).astype(np.int32), np.flatnonzero(mask)


def factored(mask: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, int, np.ndarray, float]:
    pattern, places = pattern_for(mask)
    at = int(pattern[5])
    factors = np.zeros(len(places) * len(mask) + len(mask))
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
