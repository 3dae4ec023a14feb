"""kvaerno5: its order conditions, known solutions, and the derivatives of the computed map."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers import status
from implicitdsl.solvers.esdirk_tableau import KVAERNO5
from tests.solvers.ode.models import BLOW_UP, FORCED, PROTHERO_ROBINSON
from tests.solvers.ode.stiff import pullback, solve, tangent
from tests.solvers.ode.test_adjoint_explicit import RUNS, bars, directions, point
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


@pytest.mark.parametrize("jump", [1e6, 1e8])
def test_between_the_steps_of_a_stiff_problem_the_order_is_kept(jump):
    """Prothero–Robinson along its smooth solution, with h*jump far beyond 1."""

    def exact(t):
        return (jump**2 * np.cos(t) + jump * np.sin(t)) / (1 + jump**2)

    times = np.linspace(0.05, 1.95, 39)
    errors = []
    for dt in (0.4, 0.2):
        run = solve(PROTHERO_ROBINSON, (exact(0.0),), (jump,), (0, 2), times, dt=dt, tableau=KVAERNO5)
        assert abs(run.end[0] - exact(2.0)) <= 2e-2 / jump
        errors.append(abs(run.values[:, 0] - exact(times)).max())
    assert errors[1] <= errors[0] / 20
    assert errors[1] <= 1e-6


def test_a_stage_without_a_solution_has_a_status_where_steps_are_given():
    # u = 1 + h*gamma*u² has no real root for so long a step.
    assert solve(BLOW_UP, (1.0,), (), (0, 3), dt=2.5, tableau=KVAERNO5).status == status.DIVERGED


def test_a_loose_tolerance_leaves_the_derivative_of_the_computed_map_exact():
    """The stages are solved to rounding whatever is asked, so that forward and reverse mode agree to as much."""
    interval, times = RUNS["increasing"]
    values_bar, end_bar = bars(len(times), 5)
    x = point(interval, times)
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], rtol=1e-2, atol=1e-2, tableau=KVAERNO5)
    reverse = np.concatenate(pullback(run, values_bar, end_bar))
    for direction in directions(interval, times):
        _, values_dot, end2, _ = tangent(run, direction[:2], direction[2:6], direction[6:8], direction[8:])
        forward = (values_dot * values_bar).sum() + end2[2:] @ end_bar
        assert reverse @ direction == pytest.approx(forward, rel=1e-12, abs=1e-13)
