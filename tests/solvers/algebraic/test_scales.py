"""Programs whose data span a dozen decades: every row of the conditions counts, however small its terms are beside others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.solvers.algebraic.calls import program, solve
from tests.solvers.algebraic.exact_programs import exact_solution, of_many_scales
from tests.solvers.algebraic.test_block_program import run

KINDS = ("costs", "linear", "mixed", "row", "sides", "units")


def error_of(x: Any, exact: Any, measure: Any) -> float:
    return float(np.max(np.abs(x - exact) / (np.abs(exact) + 1e-3 * measure)))


@pytest.mark.parametrize("kind", KINDS)
def test_solved_in_double_precision(kind: str) -> None:
    for seed in range(24):
        s, measure = of_many_scales(seed, kind)
        answer, exact = solve(s), exact_solution(s)
        assert answer.status == "success", seed
        assert error_of(answer.x, exact, measure) < 1e-8, seed


@pytest.mark.parametrize("kind", KINDS)
def test_never_wrong_in_single_precision(kind: str) -> None:
    """12 decades are more than the 7 digits of the data: nearly all are solved, and no success is wrong."""
    solved = 0
    for seed in range(24):
        s, measure = of_many_scales(seed, kind, np.float32)
        answer, exact = solve(s, dtype=np.float32, tol=1e-5), exact_solution(s)
        if answer.status == "success":
            solved += 1
            assert error_of(answer.x, exact, measure) < 1e-2, seed
    assert solved >= 22


@pytest.mark.parametrize("kind", KINDS)
def test_what_blocks_settle_is_right(kind: str) -> None:
    settled = 0
    for seed in range(60):
        s, measure = of_many_scales(seed, kind)
        found, x, _, _ = run(s)
        if found:
            settled += 1
            assert error_of(x, exact_solution(s), measure) < 1e-7, seed
    assert settled >= 30


def test_slopes_of_12_decades() -> None:
    """Both unknowns go to a side: the small slope is no rounding of the large one."""
    zero = np.zeros((2, 2))
    answer = solve(program(zero, [-1, -1e12], lower=0, upper=1))
    assert (answer.status, answer.notes) == ("success", ())
    np.testing.assert_array_equal(answer.x, [1, 1])
    np.testing.assert_allclose(answer.z, [0, 0, 1, 1e12], rtol=1e-14)
    answer = solve(program(zero, [1, -1e12], lower=0, upper=[1e12, 1]))
    np.testing.assert_array_equal(answer.x, [0, 1])
    np.testing.assert_allclose(answer.z, [1, 0, 0, 1e12], rtol=1e-14)


def test_three_scales_in_one_program() -> None:
    """Costs 1e12, 1 and 1e-12 along one row: the last unknown fills what the first two leave."""
    answer = solve(program(np.zeros((3, 3)), [-1e12, -1, -1e-12], [[1, 1, 1]], 2.25, lower=0, upper=1))
    assert answer.status == "success"
    np.testing.assert_allclose(answer.x, [1, 1, 0.25], rtol=1e-14)
    np.testing.assert_allclose(answer.y, [1e-12], rtol=1e-10)


def test_curvature_beside_a_range_of_1e13() -> None:
    answer = solve(program(np.eye(2), [-0.5, -5e11], lower=0, upper=[0.3, 1e13]))
    assert answer.status == "success"
    np.testing.assert_allclose(answer.x, [0.3, 5e11], rtol=1e-14)
    np.testing.assert_allclose(answer.z, [0, 0, 0.2, 0], rtol=1e-12, atol=1e-25)


def test_narrow_range_is_kept() -> None:
    """A range far below the size of the unconstrained minimum is a range."""
    answer = solve(program([[1]], [50.5], lower=5e-6, upper=1e-5), dtype=np.float32, tol=1e-5)
    assert answer.status == "success"
    np.testing.assert_allclose(answer.x, [5e-6], rtol=1e-6)


def test_both_ends_of_a_narrow_range_are_not_held() -> None:
    """A range of 1e-3 beside one of 1e3: its middle is no answer, though both ends hold to the rounding of the other."""
    curvature, slopes = np.diag([0, 1e-2, 1e-6]), [-9.774922, -7.6191535, 4.272131]
    answer = solve(program(curvature, slopes, lower=0, upper=[0.1, 1000, 1e-3]), dtype=np.float32, tol=1e-5)
    assert answer.status == "success"
    np.testing.assert_allclose(answer.x, [0.1, 761.91535, 0], rtol=1e-6)
