"""LU with pivots of each sample's own, on floats and on lanes, against NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from implicitdsl.backends.lanes.layout import fill_lanes, take_lanes
from implicitdsl.solvers.pivoted_lu import pivoted_lu, pivoted_lu_solve, pivoted_lu_solve_transposed
from tests.lanes.probes import Type, aligned, compile_probes

SAMPLES = 16
SIZES = (1, 2, 3, 7, 24)


def solve_both(n, a, pivots, x, y, spread):
    spread[0] = pivoted_lu(n, a, pivots)
    pivoted_lu_solve(n, a, pivots, x)
    pivoted_lu_solve_transposed(n, a, pivots, y)
    return 0


CASES = [("float64", 0), ("float64", 1), ("float64", 8), ("float32", 0), ("float32", 16)]


@cache
def on_lanes() -> dict[tuple[str, Type], Any]:
    return compile_probes({"solve_both": solve_both}, [case for case in CASES if case[1]])


def found(a: np.ndarray, b: np.ndarray, c: np.ndarray, dtype: str, width: int) -> tuple[np.ndarray, ...]:
    """(factors, pivots, A^-1 b, A^-T c, spread) of every sample; width 0 runs on floats."""
    n = b.shape[1]
    parts = [a.reshape(SAMPLES, -1), np.zeros((SAMPLES, n)), b, c, np.zeros((SAMPLES, 1))]
    parts = [np.array(part, dtype) for part in parts]
    if width == 0:
        with np.errstate(all="ignore"):
            for row in range(SAMPLES):
                solve_both(n, *[part[row] for part in parts])
        return tuple(parts)
    for block in range(0, SAMPLES, width):
        rows = slice(block, block + width)
        held = [aligned(np.zeros((1, part.shape[1], width), dtype)) for part in parts]
        for place, part in zip(held, parts, strict=True):
            fill_lanes(place, part, rows)
        on_lanes()["solve_both", (dtype, width)](n, *[h.ctypes.data for h in held])
        for place, part in zip(held, parts, strict=True):
            part[rows] = take_lanes(place, width)
    return tuple(parts)


@pytest.mark.parametrize(("dtype", "width"), CASES)
@pytest.mark.parametrize("n", SIZES)
def test_solutions_are_numpys(n: int, dtype: str, width: int) -> None:
    rng = np.random.default_rng(n)
    a, b, c = rng.standard_normal((SAMPLES, n, n)), rng.standard_normal((SAMPLES, n)), rng.standard_normal((SAMPLES, n))
    # A zero at the head of the diagonal: some samples must exchange rows, others need not.
    a[::3, 0, 0] = 0.0 if n > 1 else 1.0
    lu, pivots, x, y, spread = found(a, b, c, dtype, width)
    scale = np.finfo(dtype).eps * 50 * n
    for row in range(SAMPLES):
        exact = np.array(a[row], dtype).astype(float)
        condition = np.linalg.cond(exact)
        for solution, matrix, right in ((x, exact, b), (y, exact.T, c)):
            expected = np.linalg.solve(matrix, np.array(right[row], dtype).astype(float))
            error = np.abs(solution[row] - expected).max() / np.abs(expected).max()
            assert error <= scale * condition, (row, error, condition)
        diagonal = np.abs(np.diag(lu[row].reshape(n, n)))
        assert spread[row, 0] == pytest.approx(diagonal.min() / diagonal.max(), rel=1e-5)
        lower, upper = np.tril(lu[row].reshape(n, n), -1) + np.eye(n), np.triu(lu[row].reshape(n, n))
        assert np.abs(lower).max() <= 1.0
        order = np.arange(n)
        for k, other in enumerate(pivots[row].astype(int)):
            order[[k, other]] = order[[other, k]]
        np.testing.assert_allclose(lower @ upper, exact[order], atol=scale * np.abs(exact).max())


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_singular_is_zero_and_not_finite_is_nan(dtype: str, width: int) -> None:
    a = np.random.default_rng(0).standard_normal((SAMPLES, 3, 3))
    a[1] = 0.0
    a[2, :, 1] = 0.0
    a[3] = [[1, 2, 3], [2, 4, 6], [0, 0, 1]]
    a[4, 2, 2] = np.nan
    a[5, 0, 1] = np.inf
    a[6, 2, 0] = -np.inf
    a[7, 1, 0] = np.nan
    ones = np.ones((SAMPLES, 3))
    *_, spread = found(a, ones, ones, dtype, width)
    assert (spread[1:4, 0] == 0.0).all()
    assert np.isnan(spread[4:8, 0]).all()
    assert (np.delete(spread[:, 0], range(1, 8)) > 0.0).all()


def test_neighbours_change_no_bit() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((SAMPLES, 7, 7)), rng.standard_normal((SAMPLES, 7))
    together = found(a, b, b, "float64", 8)
    turned = found(a[::-1], b[::-1], b[::-1], "float64", 8)
    spoilt = a.copy()
    spoilt[::2] = np.nan
    among = found(spoilt, b, b, "float64", 8)
    for whole, other, rest in zip(together, turned, among, strict=True):
        np.testing.assert_array_equal(whole, other[::-1])
        np.testing.assert_array_equal(whole[1::2], rest[1::2])
