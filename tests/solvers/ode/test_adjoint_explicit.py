"""The pullback and its pullback are the derivatives of the computed map: finite differences of runs with fixed steps."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers.tableau import TABLEAUS
from tests.solvers.ode.explicit import pullback, replay, second, solve, tangent
from tests.solvers.ode.models import FORCED, LOTKA_VOLTERRA

Y0, P = (1.0, 0.7), (1.1, 0.4, 0.8, 0.3)
RUNS = {
    "increasing": ((0.3, 1.9), (0.3, 0.3, 0.55, 0.55, 1.0, 1.37, 1.9, 1.9)),
    "decreasing": ((1.9, 0.3), (1.9, 1.83, 1.0, 0.52, 0.3)),
    "inside": ((0.3, 1.9), (0.4, 0.77, 1.8)),
    "no times": ((0.3, 1.9), ()),
    "no time passes": ((0.7, 0.7), (0.7, 0.7)),
}


def point(interval, times):
    return np.array([*Y0, *P, *interval, *times])


def directions(interval, times):
    """A basis of the moves that keep the times in the interval and in order: ties and ends move together."""
    basis = [np.eye(6 + 2 + len(times))[i] for i in range(6)]
    for value in dict.fromkeys((*interval, *times)):
        basis.append(np.array([0.0] * 6 + [float(x == value) for x in (*interval, *times)]))
    return basis


def difference(function, x, direction, h=2e-4):
    """The central difference of fourth order."""
    near, far = (function(x + s * direction) - function(x - s * direction) for s in (h, 2 * h))
    return (8 * near - far) / (12 * h)


def bars(count, seed):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, 2)), generator.normal(size=2)


def gradient(x, tableau, values_bar, end_bar, **options):
    run = solve(FORCED.rhs, x[:2], x[2:6], x[6:8], x[8:], tableau=tableau, **options)
    assert run.status == 0
    return np.concatenate(pullback(FORCED.rhs, FORCED.vjp, run, values_bar, end_bar))


@pytest.mark.parametrize("name", TABLEAUS)
@pytest.mark.parametrize("kind", RUNS)
def test_gradient_of_fixed_steps_is_that_of_finite_differences(name, kind):
    interval, times = RUNS[kind]
    values_bar, end_bar = bars(len(times), 1)
    x = point(interval, times)

    def loss(x):
        run = solve(FORCED.rhs, x[:2], x[2:6], x[6:8], x[8:], tableau=TABLEAUS[name], dt=0.17)
        assert run.status == 0
        return (run.values * values_bar).sum() + run.end @ end_bar

    found = gradient(x, TABLEAUS[name], values_bar, end_bar, dt=0.17)
    for direction in directions(interval, times):
        expected = difference(loss, x, direction)
        assert found @ direction == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", ["bosh3", "dopri5", "tsit5"])
def test_gradient_of_chosen_steps_is_that_of_the_frozen_map(name):
    interval, times = RUNS["inside"]
    values_bar, end_bar = bars(len(times), 2)
    x = point(interval, times)
    run = solve(FORCED.rhs, x[:2], x[2:6], x[6:8], x[8:], tableau=TABLEAUS[name], rtol=1e-5, atol=1e-5)

    def loss(x):
        values, end, _ = replay(FORCED.rhs, run, y0=x[:2], p=x[2:6], interval=x[6:8], times=x[8:])
        return (values * values_bar).sum() + end @ end_bar

    found = np.concatenate(pullback(FORCED.rhs, FORCED.vjp, run, values_bar, end_bar))
    for direction in np.eye(len(x)):
        assert found @ direction == pytest.approx(difference(loss, x, direction), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", TABLEAUS)
@pytest.mark.parametrize("kind", ["increasing", "decreasing", "inside"])
def test_second_derivatives_are_those_of_finite_differences_of_the_pullback(name, kind):
    interval, times = RUNS[kind]
    # A time at a step's boundary has two second derivatives, so the ends only are asked for, where one side exists.
    values_bar, end_bar = bars(len(times), 3)
    x = point(interval, times)
    run = solve(FORCED.rhs, x[:2], x[2:6], x[6:8], x[8:], tableau=TABLEAUS[name], dt=0.17)
    plain = gradient(x, TABLEAUS[name], values_bar, end_bar, dt=0.17)
    basis = directions(interval, times)
    mixed = sum((0.3 + 0.1 * i) * direction for i, direction in enumerate(basis))
    for direction in [*basis, mixed]:
        found, again = second(
            FORCED.tangent, FORCED.tangent_vjp, run, direction[:2], direction[2:6], direction[6:8], direction[8:],
            values_bar, end_bar,
        )  # fmt: skip
        np.testing.assert_allclose(again, plain, rtol=1e-12, atol=1e-12)
        expected = difference(lambda x: gradient(x, TABLEAUS[name], values_bar, end_bar, dt=0.17), x, direction)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


def test_tangent_outputs_are_the_derivative_of_the_outputs_along_the_direction():
    interval, times = RUNS["increasing"]
    x = point(interval, times)
    run = solve(FORCED.rhs, x[:2], x[2:6], x[6:8], x[8:], dt=0.17)
    direction = sum((0.2 - 0.07 * i) * d for i, d in enumerate(directions(interval, times)))
    values, values_dot, end2, _ = tangent(
        FORCED.tangent, run, direction[:2], direction[2:6], direction[6:8], direction[8:]
    )

    def outputs(x):
        moved = solve(FORCED.rhs, x[:2], x[2:6], x[6:8], x[8:], dt=0.17)
        return np.concatenate([moved.values.ravel(), moved.end])

    np.testing.assert_allclose(values, run.values, rtol=1e-15)
    expected = difference(outputs, x, direction)
    np.testing.assert_allclose(np.concatenate([values_dot.ravel(), end2[2:]]), expected, rtol=1e-8, atol=1e-10)


def test_second_derivative_at_an_interval_of_length_zero():
    x = point((0.7, 0.7), ())
    end_bar = np.array([0.4, -1.2])
    run = solve(FORCED.rhs, x[:2], x[2:6], x[6:8], dt=0.17)
    direction = np.array([0.1, -0.3, 0.2, 0.5, -0.4, 0.6, -0.2, 0.7])
    found, _ = second(
        FORCED.tangent, FORCED.tangent_vjp, run, direction[:2], direction[2:6], direction[6:8], (), (), end_bar
    )

    def moved(x):
        return gradient(x, TABLEAUS["tsit5"], (), end_bar, dt=0.17)

    np.testing.assert_allclose(found, difference(moved, x, direction), rtol=1e-7, atol=1e-8)


def test_hessian_of_lotka_volterra():
    """The Hessian of the sum over save times is symmetric, and the differences of the gradient; chosen steps at 1e-10."""
    y0, p, times = (1.0, 1.0), (1.5, 1.0, 3.0, 1.0), np.linspace(0, 10, 51)
    ones = np.ones((51, 2))

    def run_at(x, **options):
        return solve(LOTKA_VOLTERRA.rhs, x[:2], x[2:], (0, 10), times, **options)

    def slope(x, **options):
        run = run_at(x, **options)
        return np.concatenate(pullback(LOTKA_VOLTERRA.rhs, LOTKA_VOLTERRA.vjp, run, ones)[:2])

    def hessian(run):
        columns = [
            second(
                LOTKA_VOLTERRA.tangent, LOTKA_VOLTERRA.tangent_vjp, run, e[:2], e[2:], (0.0, 0.0), np.zeros(51), ones,
                np.zeros(2),
            )[0][:6]
            for e in np.eye(6)
        ]  # fmt: skip
        return np.array(columns)

    x = np.array([*y0, *p])
    fixed = hessian(run_at(x, dt=0.04))
    np.testing.assert_allclose(fixed, fixed.T, rtol=1e-10, atol=1e-8)
    differences = np.array([difference(lambda x: slope(x, dt=0.04), x, e, 1e-3) for e in np.eye(6)])
    np.testing.assert_allclose(fixed, differences, rtol=1e-6, atol=1e-4)
    chosen = hessian(run_at(x, rtol=1e-10, atol=1e-10))
    np.testing.assert_allclose(chosen, fixed, rtol=1e-5, atol=1e-3)
