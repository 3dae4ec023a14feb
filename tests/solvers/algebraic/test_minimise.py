"""Unconstrained minima: values by closed form and published digits, derivatives by the implicit function theorem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from implicitdsl.solvers.implicit_adjoint import root_adjoint
from implicitdsl.solvers.minimise import minimise
from implicitdsl.solvers.status import note_names, status_name


def run(f: Any, g: Any, h: Any, start: Any, p: Any = 0.0, max_steps: int = 200) -> Any:
    """Status, notes, point, and a function from dg/dp to dz/dp."""
    z, p = np.array(np.atleast_1d(start), float), np.array(np.atleast_1d(p), float)
    n = z.size

    def objective(z: Any, p: Any, out: Any) -> None:
        out[0] = f(z, p)

    def gradient(z: Any, p: Any, out: Any) -> None:
        out[:n] = np.ravel(g(z, p))

    def hessian(z: Any, p: Any, out: Any) -> None:
        out[: n * n] = np.ravel(h(z, p))

    notes, steps = np.zeros(1, np.int64), np.zeros(1, np.int64)
    with np.errstate(all="ignore"):
        status = minimise(objective, gradient, hessian, n, z, p, 1e-10, max_steps, notes, steps)

    def derivative(g_p: Any) -> Any:
        lam, out = np.zeros(n * n), np.zeros(1, np.int64)
        with np.errstate(all="ignore"):
            code = root_adjoint(gradient, hessian, n, z, p, int(notes[0]), n, np.eye(n).ravel(), lam, out)
        return status_name(int(code)) if code else lam.reshape(n, n) @ np.reshape(g_p, (n, -1))

    return status_name(int(status)), note_names(int(notes[0])), z, derivative


T = np.arange(4)


def decay(z: Any, y: Any) -> Any:
    return 0.5 * np.sum((z[0] * np.exp(-z[1] * T) - y) ** 2)


def decay_gradient(z: Any, y: Any) -> Any:
    e = np.exp(-z[1] * T)
    r = z[0] * e - y
    return [np.sum(r * e), -np.sum(r * z[0] * T * e)]


def decay_hessian(z: Any, y: Any) -> Any:
    e = np.exp(-z[1] * T)
    r = z[0] * e - y
    mixed = -np.sum(T * e * (z[0] * e + r))
    return [np.sum(e * e), mixed, mixed, np.sum((z[0] * T * e) ** 2 + r * z[0] * T * T * e)]


def test_least_squares_fit() -> None:
    """T28d: exact derivatives, which Gauss–Newton misses by 0.2 %; also against finite differences."""
    y = np.array([2, 1.3, 0.7, 0.5])
    status, notes, z, derivative = run(decay, decay_gradient, decay_hessian, [1, 1], y)
    assert (status, notes) == ("success", ())
    np.testing.assert_allclose(z, [2.014252933584, 0.481743821377], rtol=1e-11)
    e = np.exp(-z[1] * T)
    slope = derivative([-e, z[0] * T * e])
    np.testing.assert_allclose(slope[0], [0.9057278259, 0.2404646030, -0.0485168328, -0.1516898382], rtol=1e-8)
    for k in range(4):
        ends = [run(decay, decay_gradient, decay_hessian, z, y + s * 1e-5 * np.eye(4)[k])[2] for s in (1, -1)]
        np.testing.assert_allclose(slope[:, k], (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("start", "x", "slope"), [(0.5, 0.730893103, 0.22673388701), (-0.5, -0.680639276, 0.28095902252)]
)
def test_start_chooses_the_valley(start: float, x: float, slope: float) -> None:
    """T28: two local minima."""
    status, notes, z, derivative = run(
        lambda z, p: (z[0] ** 2 - 1) * z[0] ** 2 - p[0] * z[0],
        lambda z, p: 4 * z**3 - 2 * z - p,
        lambda z, p: 12 * z**2 - 2,
        start,
        0.1,
    )
    assert (status, notes) == ("success", ())
    assert z[0] == pytest.approx(x, rel=2e-9)
    assert derivative([-1])[0, 0] == pytest.approx(slope, rel=1e-9)


def test_rosenbrock() -> None:
    """The valley is followed to (a, a^2); d(x, y)/da = (1, 2)."""
    status, _, z, derivative = run(
        lambda z, p: (p[0] - z[0]) ** 2 + 100 * (z[1] - z[0] ** 2) ** 2,
        lambda z, p: [-2 * (p[0] - z[0]) - 400 * z[0] * (z[1] - z[0] ** 2), 200 * (z[1] - z[0] ** 2)],
        lambda z, p: [2 - 400 * z[1] + 1200 * z[0] ** 2, -400 * z[0], -400 * z[0], 200],
        [-1.2, 1],
        1.0,
    )
    assert status == "success"
    np.testing.assert_allclose(z, [1, 1], rtol=1e-12)
    np.testing.assert_allclose(derivative([-2, 0]).ravel(), [1, 2], rtol=1e-10)


def test_saddles_are_left() -> None:
    """x^2 + y^4 - y^2 started on the ridge y = 0, where the gradient never shows the way out."""
    status, _, z, _ = run(
        lambda z, p: z[0] ** 2 + z[1] ** 4 - z[1] ** 2,
        lambda z, p: [2 * z[0], 4 * z[1] ** 3 - 2 * z[1]],
        lambda z, p: [2, 0, 0, 12 * z[1] ** 2 - 2],
        [1, 0],
    )
    assert status == "success"
    np.testing.assert_allclose(np.abs(z), [0, np.sqrt(0.5)], atol=1e-12)


def test_degenerate_minima_are_flagged() -> None:
    """x^4 at 0 and a least squares with a line of solutions (T44's kind): found, noted, derivative refused."""
    status, notes, z, derivative = run(lambda z, p: z[0] ** 4, lambda z, p: 4 * z**3, lambda z, p: 12 * z**2, 1.0)
    assert (status, notes) == ("success", ("near_singular",)) and abs(z[0]) < 1e-6
    assert derivative([-1]) == "singular"
    a = np.array([[1, 1], [2, 2]])
    status, notes, z, derivative = run(
        lambda z, p: 0.5 * np.sum((a @ z - p) ** 2),
        lambda z, p: a.T @ (a @ z - p),
        lambda z, p: a.T @ a,
        [0, 0],
        [1, 1],
    )
    assert (status, notes) == ("success", ("near_singular",)) and np.sum(z) == pytest.approx(0.6, rel=1e-12)
    assert derivative(-np.eye(2)) == "singular"


@pytest.mark.parametrize("c", [65.0, 220.0])
def test_values_that_cancel_do_not_hold_up_the_last_steps(c: float) -> None:
    """exp z - c z - (c - c log c): a sum of large terms that is 0 at its minimum log c, so that its values are rounding there."""
    status, notes, z, _ = run(
        lambda z, p: np.exp(z[0]) - c * z[0] - (c - c * np.log(c)),
        lambda z, p: np.exp(z) - c,
        lambda z, p: np.exp(z),
        0.0,
    )
    assert (status, notes) == ("success", ()) and z[0] == pytest.approx(np.log(c), rel=1e-15)


def test_unbounded_below() -> None:
    """A line and a cubic."""
    assert run(lambda z, p: -z[0], lambda z, p: [-1], lambda z, p: [0], 0.0)[0] == "unbounded"
    assert run(lambda z, p: z[0] ** 3 - z[0], lambda z, p: 3 * z**2 - 1, lambda z, p: 6 * z, -1.0)[0] == "unbounded"


def test_domains_and_limits() -> None:
    """x - log x: backtracks out of NaN; a start outside is nonfinite; no steps are max_steps."""
    parts = (lambda z, p: z[0] - np.log(z[0]), lambda z, p: 1 - 1 / z, lambda z, p: 1 / z**2)
    status, notes, z, _ = run(*parts, 3.0)
    assert (status, notes) == ("success", ()) and z[0] == pytest.approx(1, rel=1e-12)
    assert run(*parts, -3.0)[0] == "nonfinite"
    assert run(*parts, 3.0, max_steps=0)[0] == "max_steps"
    assert run(lambda z, p: np.exp(-z[0]), lambda z, p: -np.exp(-z), lambda z, p: np.exp(-z), 0.0)[0] == "max_steps"
