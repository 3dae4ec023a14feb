"""rodas5p: its order conditions, known solutions, and the derivatives of the computed map."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers import status
from implicitdsl.solvers.rosenbrock_tableau import RODAS5P
from tests.solvers.ode import explicit
from tests.solvers.ode.models import BLOW_UP, FORCED, PROTHERO_ROBINSON, ROBERTSON, VAN_DER_POL_SCALED
from tests.solvers.ode.stiff import pullback, second, solve, tangent
from tests.solvers.ode.test_adjoint_explicit import RUNS, Y0, P, bars, difference, directions, point
from tests.solvers.ode.test_tableau import density, trees


def classical(tableau):
    """(alpha, beta, b by powers of theta) of the form of Hairer & Wanner II, IV.7, where J multiplies sums of stages."""
    s1 = tableau.stages + 1
    t = tableau.tables(float)
    gamma = np.linalg.inv(np.eye(s1) / tableau.gamma - t["couple"].reshape(s1, s1))
    a = t["a"].reshape(s1 + 1, s1)
    alpha = a[:-1] @ gamma
    dense = t["dense"].reshape(s1, -1).T @ gamma
    return alpha, alpha + gamma, a[-1] @ gamma, dense, t["error"] @ gamma, gamma


def weights(tree, alpha, beta):
    """As for Runge–Kutta methods, but a vertex with one branch sums with beta (Hairer & Wanner II, theorem 7.4)."""
    result = np.ones(len(alpha))
    for branch in tree:
        result = result * ((beta if len(tree) == 1 else alpha) @ weights(branch, alpha, beta))
    return result


def defect(b, alpha, beta, order):
    return max(abs(b @ weights(tree, alpha, beta) - 1 / density(tree)) for tree in trees(order))


def test_the_method_has_its_orders_and_no_more():
    alpha, beta, b, dense, error, gamma = classical(RODAS5P)
    for order in range(1, 6):
        assert defect(b, alpha, beta, order) <= 1e-13
    assert defect(b, alpha, beta, 6) > 1e-5
    for order in range(1, 5):
        assert defect(b - error, alpha, beta, order) <= 1e-13
    assert defect(b - error, alpha, beta, 5) > 1e-5
    np.testing.assert_allclose(alpha.sum(axis=1), RODAS5P.c, atol=1e-14)
    np.testing.assert_allclose(gamma.sum(axis=1), RODAS5P.drive, atol=2e-14)
    np.testing.assert_allclose(dense.sum(axis=0), b, atol=1e-13)
    for order in range(1, 5):
        for tree in trees(order):
            found = dense @ weights(tree, alpha, beta)
            wanted = np.where(np.arange(1, 5) == order, 1 / density(tree), 0.0)
            np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_the_method_is_stiffly_accurate_and_l_stable():
    _alpha, beta, b, _, error, _ = classical(RODAS5P)
    np.testing.assert_allclose(b, beta[-1], atol=1e-14)
    # R(z) = 1 + z b'(I - z beta)^-1 1 at z = -inf, for both solutions.
    for weight in (b, b - error):
        assert abs(1 - weight @ np.linalg.solve(beta, np.ones(len(b)))) <= 1e-12
    for z in -(10.0 ** np.arange(-2, 7)):
        assert abs(1 + z * b @ np.linalg.solve(np.eye(len(b)) - z * beta, np.ones(len(b)))) <= 1.0


def test_fixed_steps_converge_with_order_five_and_the_dense_output_with_four():
    exact = explicit.solve(FORCED.rhs, Y0, P, (0.3, 1.9), (0.77, 1.3), rtol=1e-13, atol=1e-14)
    errors = []
    for dt in (0.1, 0.05, 0.025):
        run = solve(FORCED, Y0, P, (0.3, 1.9), (0.77, 1.3), dt=dt)
        errors.append((abs(run.end - exact.end).max(), abs(run.values - exact.values).max()))
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert slopes[:, 0].min() > 4.8
    assert slopes[:, 1].min() > 3.9


@pytest.mark.parametrize("jump", [1e4, 1e6])
def test_stiff_problems_keep_order_three_with_an_error_that_falls_with_stiffness(jump):
    """Prothero–Robinson along its smooth solution, with h*jump far beyond 1."""

    def exact(t):
        return (jump**2 * np.cos(t) + jump * np.sin(t)) / (1 + jump**2)

    errors = [
        abs(solve(PROTHERO_ROBINSON, (exact(0.0),), (jump,), (0, 2), dt=dt).end[0] - exact(2.0)) for dt in (0.2, 0.1)
    ]
    assert errors[1] <= errors[0] / 6
    assert errors[1] <= 3e-6 / jump


def test_robertson_and_its_sensitivities():
    run = solve(ROBERTSON, (1, 0, 0), (0.04, 3e7, 1e4), (0, 40), rtol=1e-9, atol=1e-13)
    wanted = np.array([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035])
    np.testing.assert_allclose(run.end, wanted, rtol=1e-7)
    slopes = np.array([pullback(run, end_bar=e)[1] for e in np.eye(3)])
    known = np.array([
        [-4.2475587717057326, -2.2883550889056693e-9, 1.3730807973446247e-5],
        [4.5911962492538939e-5, -1.1380595093501273e-13, -2.3571921138463331e-10],
    ])  # fmt: skip
    np.testing.assert_allclose(slopes[:2], known, rtol=1e-5)
    np.testing.assert_allclose(slopes[2], -known.sum(axis=0), rtol=1e-5)


def test_van_der_pol_at_a_million():
    run = solve(VAN_DER_POL_SCALED, (2.0, 0.0), (1e-6,), (0, 2), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(run.end, [1.706167732170483, -0.8928097010247975], rtol=5e-8)
    assert run.statistics[0] < 4000


def test_a_solution_that_ends_has_a_status():
    run = solve(BLOW_UP, (1.0,), (), (0, 2))
    assert run.status == status.DT_UNDERFLOW
    assert run.statistics[2] == pytest.approx(1.0, abs=1e-6)


def gradient(x, values_bar, end_bar, **options):
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], **options)
    assert run.status == 0
    return np.concatenate(pullback(run, values_bar, end_bar))


@pytest.mark.parametrize("kind", RUNS)
def test_gradient_of_fixed_steps_is_that_of_finite_differences(kind):
    interval, times = RUNS[kind]
    values_bar, end_bar = bars(len(times), 1)
    x = point(interval, times)

    def loss(x):
        run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17)
        assert run.status == 0
        return (run.values * values_bar).sum() + run.end @ end_bar

    found = gradient(x, values_bar, end_bar, dt=0.17)
    for direction in directions(interval, times):
        assert found @ direction == pytest.approx(difference(loss, x, direction), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("kind", ["increasing", "decreasing", "inside", "no times"])
def test_second_derivatives_are_those_of_finite_differences_of_the_pullback(kind):
    interval, times = RUNS[kind]
    values_bar, end_bar = bars(len(times), 3)
    x = point(interval, times)
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17)
    plain = gradient(x, values_bar, end_bar, dt=0.17)
    basis = directions(interval, times)
    mixed = sum((0.3 + 0.1 * i) * direction for i, direction in enumerate(basis))
    for direction in [*basis, mixed]:
        found, again = second(run, direction[:2], direction[2:6], direction[6:8], direction[8:], values_bar, end_bar)
        np.testing.assert_allclose(again, plain, rtol=1e-11, atol=1e-11)
        expected = difference(lambda x: gradient(x, values_bar, end_bar, dt=0.17), x, direction)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_tangent_outputs_are_the_derivative_of_the_outputs_along_the_direction():
    interval, times = RUNS["increasing"]
    x = point(interval, times)
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17)
    direction = sum((0.2 - 0.07 * i) * d for i, d in enumerate(directions(interval, times)))
    values, values_dot, end2, _ = tangent(run, direction[:2], direction[2:6], direction[6:8], direction[8:])

    def outputs(x):
        moved = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17)
        return np.concatenate([moved.values.ravel(), moved.end])

    np.testing.assert_allclose(values, run.values, rtol=1e-14)
    np.testing.assert_allclose(
        np.concatenate([values_dot.ravel(), end2[2:]]), difference(outputs, x, direction), rtol=1e-8, atol=1e-9
    )
