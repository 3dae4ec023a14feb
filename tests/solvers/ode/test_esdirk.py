"""kvaerno5: its order conditions, known solutions, and the derivatives of the computed map."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers import status
from implicitdsl.solvers.esdirk_tableau import KVAERNO5
from tests.solvers.ode import explicit
from tests.solvers.ode.esdirk_calls import pullback, second, solve, tangent
from tests.solvers.ode.models import BLOW_UP, FORCED, PROTHERO_ROBINSON, ROBERTSON, VAN_DER_POL_SCALED
from tests.solvers.ode.test_adjoint_explicit import RUNS, Y0, P, bars, difference, directions, point
from tests.solvers.ode.test_tableau import density, trees


def weights(tree, a):
    result = np.ones(len(a))
    for branch in tree:
        result = result * (a @ weights(branch, a))
    return result


def defect(row, a, order, c=1.0):
    """The largest violation of the conditions of an order by a solution at c*h with these weights."""
    return max(abs(row @ weights(tree, a) - c**order / density(tree)) for tree in trees(order))


def test_both_solutions_have_their_orders_and_no_more():
    a, last = KVAERNO5.matrix, KVAERNO5.last
    for order in range(1, 6):
        assert defect(a[last], a, order) <= 1e-15
    assert defect(a[last], a, 6) > 1e-4
    for order in range(1, 5):
        assert defect(a[last - 1], a, order) <= 1e-15
    assert defect(a[last - 1], a, 5) > 1e-4
    # Every implicit stage has stage order 2.
    np.testing.assert_allclose((a @ a.sum(axis=1))[1:], KVAERNO5.moments[1:] ** 2 / 2, atol=1e-15)


def test_the_stages_for_reading_have_order_four_each_and_the_polynomial_passes_through_them():
    a, c = KVAERNO5.matrix, KVAERNO5.moments
    for i in range(KVAERNO5.last + 1, KVAERNO5.rows):
        for order in range(1, 5):
            assert defect(a[i], a, order, c[i]) <= 1e-15
    dense = KVAERNO5.tables(float)["dense"].reshape(-1, KVAERNO5.degree)
    points = c[KVAERNO5.last :, None] ** np.arange(1, KVAERNO5.degree + 1)
    np.testing.assert_allclose(points @ dense.T, np.eye(len(dense)), atol=1e-13)


def test_all_that_a_step_gives_decays_where_stiffness_is_infinite():
    # R(z) of a stage at z = -inf is -(sum of a_ij R_j, j < i)/gamma.
    a, found = KVAERNO5.matrix, [1.0]
    for i in range(1, KVAERNO5.rows):
        found.append(-(a[i, :i] @ found) / KVAERNO5.gamma)
    assert max(abs(r) for r in found[KVAERNO5.last :]) <= 1e-13
    assert abs(found[KVAERNO5.last - 1]) < 1
    for z in (*-(10.0 ** np.arange(-2, 7)), *1j * 10.0 ** np.arange(-2, 7)):
        stages = np.linalg.solve(np.eye(len(a)) - z * a, np.ones(len(a)))
        assert abs(stages[KVAERNO5.last]) <= 1.0 + 1e-12


def test_fixed_steps_converge_with_order_five_and_the_dense_output_with_four_or_more():
    exact = explicit.solve(FORCED.rhs, Y0, P, (0.3, 1.9), (0.77, 1.3), rtol=1e-13, atol=1e-14)
    errors = []
    for dt in (0.1, 0.05, 0.025):
        run = solve(FORCED, Y0, P, (0.3, 1.9), (0.77, 1.3), dt=dt)
        errors.append((abs(run.end - exact.end).max(), abs(run.values - exact.values).max()))
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert slopes[:, 0].min() > 4.9
    assert slopes[:, 1].min() > 3.9


@pytest.mark.parametrize("jump", [1e6, 1e8])
def test_between_the_steps_of_a_stiff_problem_the_order_is_kept(jump):
    """Prothero–Robinson along its smooth solution, with h*jump far beyond 1."""

    def exact(t):
        return (jump**2 * np.cos(t) + jump * np.sin(t)) / (1 + jump**2)

    times = np.linspace(0.05, 1.95, 39)
    errors = []
    for dt in (0.4, 0.2):
        run = solve(PROTHERO_ROBINSON, (exact(0.0),), (jump,), (0, 2), times, dt=dt)
        assert abs(run.end[0] - exact(2.0)) <= 2e-2 / jump
        errors.append(abs(run.values[:, 0] - exact(times)).max())
    assert errors[1] <= errors[0] / 20
    assert errors[1] <= 1e-6


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
    assert run.statistics[0] < 2500


def test_a_solution_that_ends_has_a_status():
    run = solve(BLOW_UP, (1.0,), (), (0, 2))
    assert run.status == status.DT_UNDERFLOW
    assert run.statistics[2] == pytest.approx(1.0, abs=1e-6)


def test_a_stage_without_a_solution_has_a_status_where_steps_are_given():
    # u = 1 + h*gamma*u² has no real root for so long a step.
    assert solve(BLOW_UP, (1.0,), (), (0, 3), dt=2.5).status == status.DIVERGED


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


def test_a_loose_tolerance_leaves_the_derivative_of_the_computed_map_exact():
    """The stages are solved to rounding whatever is asked, so that forward and reverse mode agree to as much."""
    interval, times = RUNS["increasing"]
    values_bar, end_bar = bars(len(times), 5)
    x = point(interval, times)
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], rtol=1e-2, atol=1e-2)
    reverse = np.concatenate(pullback(run, values_bar, end_bar))
    for direction in directions(interval, times):
        _, values_dot, end2, _ = tangent(run, direction[:2], direction[2:6], direction[6:8], direction[8:])
        forward = (values_dot * values_bar).sum() + end2[2:] @ end_bar
        assert reverse @ direction == pytest.approx(forward, rel=1e-12, abs=1e-13)
