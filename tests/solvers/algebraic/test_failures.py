"""What is not a simple root is never called one: statuses, notes, refused derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from implicitdsl.solvers.newton import newton
from implicitdsl.solvers.picard import picard
from tests.solvers.algebraic.calls import find

BOTH = pytest.mark.parametrize("method", [newton, picard])
S5, S10 = np.sqrt(5), np.sqrt(10)


def powell(x: Any, p: Any) -> Any:
    return [x[0] + 10 * x[1], S5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, S10 * (x[0] - x[3]) ** 2]


def powell_jacobian(x: Any, p: Any) -> Any:
    u, v = 2 * (x[1] - 2 * x[2]), 2 * S10 * (x[0] - x[3])
    return [1, 10, 0, 0, 0, 0, S5, -S5, 0, u, -2 * u, 0, v, 0, 0, -v]


def test_powell_singular_is_flagged_and_its_derivative_refused() -> None:
    """S07: the Jacobian has rank 2 at the root, 0."""
    found = find(powell, powell_jacobian, [3, -1, 0, 1])
    assert found.status == "success" and found.notes == ("near_singular",)
    assert np.max(np.abs(found.z)) < 1e-10
    assert found.derivative(np.eye(4)) == "singular"


def test_freudenstein_roth_is_the_root_or_a_failure() -> None:
    """S10: least squares stalls at (11.41, -0.897), which is no root."""

    def f(z, p):
        return [-13 + z[0] + ((5 - z[1]) * z[1] - 2) * z[1], -29 + z[0] + ((z[1] + 1) * z[1] - 14) * z[1]]

    def j(z, p):
        return [1, 10 * z[1] - 3 * z[1] ** 2 - 2, 1, 3 * z[1] ** 2 + 2 * z[1] - 14]

    for start in ([0.5, -2], [15, -2], [11.4, -0.9], [-5, -5]):
        found = find(f, j, start)
        if found.status == "success":
            np.testing.assert_allclose(found.z, [5, 4], rtol=1e-12)
        else:
            assert found.status in ("no_root", "max_steps")
    assert find(f, j, [11.412778986902094, -0.89680525327447652]).status == "no_root"


def test_conserved_reaction_is_one_of_a_continuum() -> None:
    """S22 without its conservation law, and F10: z = z."""
    found = find(lambda z, p: [-2 * z[0] + 3 * z[1], 2 * z[0] - 3 * z[1]], lambda z, p: [-2, 3, 2, -3], [1, 0])
    assert found.status == "singular"
    assert found.derivative(np.eye(2)) == "singular"


def test_conserved_reaction_with_its_law() -> None:
    """S22: x + y = s in place of the second equation; (.6, .4), dx/dk1 = -.12, dx/ds = .6."""
    found = find(
        lambda z, p: [-p[0] * z[0] + p[1] * z[1], z[0] + z[1] - p[2]],
        lambda z, p: [-p[0], p[1], 1, 1],
        [1, 0],
        [2, 3, 1],
    )
    np.testing.assert_allclose(found.z, [0.6, 0.4], rtol=1e-14)
    slope = found.derivative([[-found.z[0], found.z[1], 0], [0, 0, -1]], [1, 0])
    np.testing.assert_allclose(slope, [-0.12, 0.08, 0.6], rtol=1e-13)


def test_no_root_gives_the_best_iterate() -> None:
    """F01: x^2 + 1."""
    found = find(lambda z, p: z**2 + 1, lambda z, p: 2 * z, 1.0)
    assert found.status == "no_root" and abs(found.z[0]) < 1e-6


@BOTH
def test_no_fixed_point(method: Any) -> None:
    """F02: z = z + 1."""
    found = find(lambda z, p: 0 * z + 1, lambda z, p: 0 * z, 0.0, method=method)
    assert found.status == "no_root" and np.isfinite(found.z).all()


@BOTH
def test_residual_that_fades_is_no_root(method: Any) -> None:
    """F03: z = sqrt(z^2 + 1) has |F| -> 0 and no root."""
    found = find(lambda z, p: np.sqrt(z**2 + 1) - z, lambda z, p: z / np.sqrt(z**2 + 1) - 1, 0.0, method=method)
    assert found.status in ("diverged", "no_root", "max_steps")
    found = find(lambda z, p: np.exp(-z), lambda z, p: -np.exp(-z), 0.0)
    assert found.status != "success"


@pytest.mark.parametrize(
    ("f", "j", "start", "root"),
    [
        (lambda z, p: z**2, lambda z, p: 2 * z, 1.0, 0.0),
        (lambda z, p: z**2, lambda z, p: 2 * z, 0.0, 0.0),
        (lambda z, p: (z - 1) ** 2, lambda z, p: 2 * (z - 1), 5.0, 1.0),
        (lambda z, p: (z - 1) ** 3, lambda z, p: 3 * (z - 1) ** 2, 5.0, 1.0),
    ],
)
def test_multiple_roots_are_flagged(f: Any, j: Any, start: float, root: float) -> None:
    """F04: the root is found, by linear convergence; a derivative does not exist."""
    found = find(f, j, start)
    assert found.status == "success" and found.notes == ("near_singular",)
    assert found.z[0] == pytest.approx(root, abs=1e-9)
    assert found.derivative([-1]) == "singular"


def test_singular_start_is_left() -> None:
    """F08: one equation is at its double root from the start, the other has one."""
    found = find(
        lambda z, p: [(z[0] - 1) ** 2, (z[1] - 2) ** 2], lambda z, p: [2 * (z[0] - 1), 0, 0, 2 * (z[1] - 2)], [2, 2]
    )
    assert found.status == "success" and found.notes == ("near_singular",)
    np.testing.assert_allclose(found.z, [1, 2], atol=1e-9)


def test_start_at_the_root_takes_no_step() -> None:
    """F09, with every limit of steps."""
    for limit in (0, 1, 200):
        found = find(lambda z, p: z**2 - 4, lambda z, p: 2 * z, 2.0, max_steps=limit)
        assert found.status == "success" and found.steps == 0 and found.z[0] == 2


@BOTH
def test_identity_is_not_unique(method: Any) -> None:
    """F10: z = z."""
    assert find(lambda z, p: 0 * z, lambda z, p: 0 * z, 2.0, method=method).status == "singular"


def test_fold_is_flagged() -> None:
    """F12: at z = 1/sqrt(2) the slope of tanh(2z + x) is 1, and dz/dx infinite."""
    found = find(
        lambda z, p: np.tanh(2 * z + p) - z, lambda z, p: 2 / np.cosh(2 * z + p) ** 2 - 1, 1.0, -0.53283997535355202357
    )
    assert found.status == "success" and "near_singular" in found.notes
    assert found.z[0] == pytest.approx(np.sqrt(0.5), abs=1e-7)


def test_float32_says_when_it_cannot() -> None:
    """F13: 1e-12 is beyond float32, 1e-6 is not; the values are 30-digit roots rounded."""

    def f(z, p):
        return np.exp(z) - p[0] * z - p[1]

    def j(z, p):
        return np.exp(z) - p[0]

    found = find(f, j, 2.0, [3.3, 0.7], tol=1e-12, dtype=np.float32)
    assert found.status == "stalled" and found.z.dtype == np.float32
    good = find(f, j, 2.0, [3.3, 0.7], tol=1e-6, dtype=np.float32)
    exact = find(f, j, 2.0, np.array([3.3, 0.7], np.float32).astype(float))
    assert good.status == "success" and good.z[0] == pytest.approx(exact.z[0], rel=3e-7)


@BOTH
def test_nan_start_and_limits_are_honest(method: Any) -> None:
    """F07 and F15."""
    f, j = lambda z, p: np.log(z) + 1, lambda z, p: 1 / z
    assert find(f, j, -1.0, method=method).status == "nonfinite"
    assert find(f, j, np.nan, method=method).status == "nonfinite"
    for limit in (0, 1):
        found = find(lambda z, p: z**2 - 2, lambda z, p: 2 * z, 1.0, max_steps=limit, method=method)
        assert found.status == "max_steps" and found.steps <= max(limit, 1) and np.isfinite(found.z).all()


def test_a_bound_without_a_root_is_no_root() -> None:
    """z = 2 is the root; the region ends at 1."""
    found = find(lambda z, p: z - 2, lambda z, p: 1 + 0 * z, 0.5, upper=1.0)
    assert found.status in ("no_root", "stalled") and found.z[0] <= 1


def test_a_pole_is_no_root() -> None:
    """1/z changes its sign and has no root."""
    assert find(lambda z, p: 1 / z, lambda z, p: -1 / z**2, 1.0).status != "success"
