"""The stiff one-step methods: known solutions, their order, and the derivatives of the computed map."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers import status
from implicitdsl.solvers.esdirk_tableau import KVAERNO5
from implicitdsl.solvers.rosenbrock_tableau import RODAS5P
from tests.solvers.ode import explicit
from tests.solvers.ode.models import BLOW_UP, FORCED, ROBERTSON, VAN_DER_POL_SCALED
from tests.solvers.ode.stiff import pullback, second, solve, tangent
from tests.solvers.ode.test_adjoint_explicit import RUNS, Y0, P, bars, difference, directions, point

every_method = pytest.mark.parametrize("tableau", [RODAS5P, KVAERNO5], ids=lambda t: t.name)


@every_method
def test_robertson_and_its_sensitivities(tableau):
    run = solve(ROBERTSON, (1, 0, 0), (0.04, 3e7, 1e4), (0, 40), rtol=1e-9, atol=1e-13, tableau=tableau)
    wanted = np.array([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035])
    np.testing.assert_allclose(run.end, wanted, rtol=1e-7)
    slopes = np.array([pullback(run, end_bar=e)[1] for e in np.eye(3)])
    known = np.array([
        [-4.2475587717057326, -2.2883550889056693e-9, 1.3730807973446247e-5],
        [4.5911962492538939e-5, -1.1380595093501273e-13, -2.3571921138463331e-10],
    ])  # fmt: skip
    np.testing.assert_allclose(slopes[:2], known, rtol=1e-5)
    np.testing.assert_allclose(slopes[2], -known.sum(axis=0), rtol=1e-5)


@every_method
def test_a_solution_that_ends_has_a_status(tableau):
    run = solve(BLOW_UP, (1.0,), (), (0, 2), tableau=tableau)
    assert run.status == status.DT_UNDERFLOW
    assert run.statistics[2] == pytest.approx(1.0, abs=1e-6)


def gradient(x, values_bar, end_bar, **options):
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], **options)
    assert run.status == 0
    return np.concatenate(pullback(run, values_bar, end_bar))


@every_method
@pytest.mark.parametrize("kind", RUNS)
def test_gradient_of_fixed_steps_is_that_of_finite_differences(tableau, kind):
    interval, times = RUNS[kind]
    values_bar, end_bar = bars(len(times), 1)
    x = point(interval, times)

    def loss(x):
        run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17, tableau=tableau)
        assert run.status == 0
        return (run.values * values_bar).sum() + run.end @ end_bar

    found = gradient(x, values_bar, end_bar, dt=0.17, tableau=tableau)
    for direction in directions(interval, times):
        assert found @ direction == pytest.approx(difference(loss, x, direction), rel=1e-7, abs=1e-9)


@every_method
@pytest.mark.parametrize("kind", ["increasing", "decreasing", "inside", "no times"])
def test_second_derivatives_are_those_of_finite_differences_of_the_pullback(tableau, kind):
    interval, times = RUNS[kind]
    values_bar, end_bar = bars(len(times), 3)
    x = point(interval, times)
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17, tableau=tableau)
    plain = gradient(x, values_bar, end_bar, dt=0.17, tableau=tableau)
    basis = directions(interval, times)
    mixed = sum((0.3 + 0.1 * i) * direction for i, direction in enumerate(basis))
    for direction in [*basis, mixed]:
        found, again = second(run, direction[:2], direction[2:6], direction[6:8], direction[8:], values_bar, end_bar)
        np.testing.assert_allclose(again, plain, rtol=1e-11, atol=1e-11)
        expected = difference(lambda x: gradient(x, values_bar, end_bar, dt=0.17, tableau=tableau), x, direction)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@every_method
def test_tangent_outputs_are_the_derivative_of_the_outputs_along_the_direction(tableau):
    interval, times = RUNS["increasing"]
    x = point(interval, times)
    run = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17, tableau=tableau)
    direction = sum((0.2 - 0.07 * i) * d for i, d in enumerate(directions(interval, times)))
    values, values_dot, end2, _ = tangent(run, direction[:2], direction[2:6], direction[6:8], direction[8:])

    def outputs(x):
        moved = solve(FORCED, x[:2], x[2:6], x[6:8], x[8:], dt=0.17, tableau=tableau)
        return np.concatenate([moved.values.ravel(), moved.end])

    np.testing.assert_allclose(values, run.values, rtol=1e-14)
    np.testing.assert_allclose(
        np.concatenate([values_dot.ravel(), end2[2:]]), difference(outputs, x, direction), rtol=1e-8, atol=1e-9
    )


@every_method
def test_van_der_pol_at_a_million(tableau):
    run = solve(VAN_DER_POL_SCALED, (2.0, 0.0), (1e-6,), (0, 2), rtol=1e-9, atol=1e-9, tableau=tableau)
    np.testing.assert_allclose(run.end, [1.706167732170483, -0.8928097010247975], rtol=5e-8)
    assert run.statistics[0] < (4000 if tableau is RODAS5P else 2500)


@every_method
def test_fixed_steps_converge_with_order_five_and_the_dense_output_with_four_or_more(tableau):
    exact = explicit.solve(FORCED.rhs, Y0, P, (0.3, 1.9), (0.77, 1.3), rtol=1e-13, atol=1e-14)
    errors = []
    for dt in (0.1, 0.05, 0.025):
        run = solve(FORCED, Y0, P, (0.3, 1.9), (0.77, 1.3), dt=dt, tableau=tableau)
        errors.append((abs(run.end - exact.end).max(), abs(run.values - exact.values).max()))
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert slopes[:, 0].min() > 4.8
    assert slopes[:, 1].min() > 3.9
