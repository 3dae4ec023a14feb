"""`bdf`: its formulas, its orders, known solutions of stiff equations and of `dae`, and both derivatives of the computed map."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import implicitdsl
from implicitdsl.solvers.bdf_history import HIGHEST, LEAD, PAST, SLOPE, WEIGHTS, combine, divide, remember, weigh
from implicitdsl.solvers.status import status_name
from tests.reference.cases import error, f64, leaf, models
from tests.reference.test_implicit_methods import SLOPES, build
from tests.reference.test_stiff_solutions import POLLUTION, RATES

BOTH = pytest.mark.usefixtures("backend")
"""Of what is told by layers; formulas and orders belong to no back end."""


@pytest.mark.parametrize("order", range(1, HIGHEST + 1))
def test_a_formula_is_exact_for_polynomials_of_its_order_over_any_steps(order):
    draw = np.random.default_rng(order)
    steps = draw.uniform(0.5, 2.0, PAST)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    shape = np.polynomial.Polynomial(draw.standard_normal(order + 1))
    past, back, table, weights = np.zeros(PAST), np.arange(PAST) * 1.0, np.zeros(PAST), np.zeros(WEIGHTS)
    for t, h in zip(times[:-1], [0.0, *steps[:-1]], strict=True):
        remember(True, 1, h, np.array([shape(t)]), past, back)
    h = steps[-1]
    divide(1, past, back, table)
    weigh(h, float(order), back, weights)
    held = np.zeros(1)
    combine(1, SLOPE, 0, order - 1.0, weights, table, 0, held)
    u = (shape(times[-1]) - shape(times[-2])) / h
    assert weights[3 * LEAD] * u - held[0] == pytest.approx(shape.deriv()(times[-1]), rel=1e-10)
    # With equal steps they are the BDF of the books: lead = 1 + 1/2 + … + 1/order.
    weigh(1.0, float(order), np.arange(PAST) * 1.0, weights)
    assert weights[3 * LEAD] == pytest.approx(sum(1 / k for k in range(1, order + 1)))


def test_weights_have_the_derivatives_of_differences():
    back, found = np.array([0.0, 0.4, 1.1, 1.5, 2.9, 3.3]), np.zeros(WEIGHTS)
    weigh(0.7, 4.0, back, found)
    near = [np.zeros(WEIGHTS), np.zeros(WEIGHTS)]
    for weights, h in zip(near, (0.7 + 1e-6, 0.7 - 1e-6), strict=True):
        weigh(h, 4.0, back, weights)
    change = (near[0] - near[1]) / 2e-6
    np.testing.assert_allclose(found[1::3], change[0::3], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found[2::3], change[1::3], rtol=1e-7, atol=1e-8)


@BOTH
def test_a_smooth_problem_takes_the_steps_of_a_high_order():
    counts = []
    for rtol in (1e-5, 1e-8):
        layer = build("stiff", "ProtheroRobinson", "bdf", rtol=rtol, atol=rtol)
        layer(f64(3.0), f64([0.0, 10.0]))
        counts.append(int(layer.last.steps))
    # Order 1 would take 30 times as many for a thousandth of the error, order 4 four times.
    assert counts[1] < 5 * counts[0]


FORCED = """
# Every solution comes to sin t + t, the one that starts there, within a few tenths of a unit of time.
ode Forced(T) -> y {
  state y = 0
  from t = 0 to T
  dy/dt = -20*(y - sin(t) - t) + cos(t) + 1
  return y
}
"""


@pytest.mark.parametrize("order", range(1, HIGHEST + 1))
def test_the_error_falls_with_the_order_that_is_the_highest_allowed(order):
    steps = (0.04, 0.02, 0.01)
    built = (
        implicitdsl.loads(FORCED).Forced(
            solver=f"bdf(dt = {h}, order = {order})", backend="python", dtype=torch.float64
        )
        for h in steps
    )
    # What the first steps, of lower orders, did wrong is forgotten at 2.
    errors = [abs(layer(f64(2.0)).item() - np.sin(2.0) - 2.0) for layer in built]
    slopes = [np.log2(a / b) for a, b in pairwise(errors)]
    assert abs(slopes[1] - order) < 0.2 and abs(slopes[0] - order) < 0.4


@BOTH
def test_the_highest_order_bounds_the_orders_that_are_chosen():
    given = f64(3.0), f64([0.0, 10.0])
    counts = {}
    for order in (1, 2, 5):
        layer = build("stiff", "ProtheroRobinson", "bdf", rtol=1e-5, atol=1e-5, order=order)
        layer(*given)
        counts[order] = int(layer.last.steps)
    plain = build("stiff", "ProtheroRobinson", "bdf", rtol=1e-5, atol=1e-5)
    assert torch.equal(plain(*given), layer(*given)) and counts[1] > 2 * counts[2] > 3 * counts[5]
    for order in ("0", "6", "2.5", "two"):
        with pytest.raises(implicitdsl.ImpError, match="whole number from 1 to 5"):
            build("stiff", "ProtheroRobinson", "bdf", order=order)
    with pytest.raises(implicitdsl.ImpError, match="no option `order`"):
        build("stiff", "ProtheroRobinson", "rodas5p", order=3)


@BOTH
@pytest.mark.parametrize("file", ["stiff", "dae"])
def test_robertson_with_its_sensitivities(file):
    layer, k = build(file, "Robertson", "bdf", rtol=1e-9, atol=1e-13), leaf([0.04, 3e7, 1e4])
    y = layer(k, *((f64(0.5),) if file == "dae" else ()), f64([0, 1.7, 40]))
    assert y[0].tolist() == [1.0, 0.0, 0.0]
    assert error(y[2], f64([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035])) <= 1e-7
    assert abs(y[2, 1].item() / 9.1855347645577639e-6 - 1) <= 1e-6
    for i, wanted in enumerate(f64(SLOPES)):
        (found,) = torch.autograd.grad(y[2, i], k, retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


@BOTH
def test_van_der_pol_at_a_million():
    x, v = build("stiff", "VanDerPol", "bdf", rtol=1e-7, atol=1e-7)(f64(1e-6), f64(2))
    assert x.item() == pytest.approx(1.706167732170483, rel=2e-5)
    assert v.item() == pytest.approx(-0.8928097010247975, rel=2e-5)


@BOTH
def test_the_chemistry_of_polluted_air():
    found = build("stiff", "Pollution", "bdf", rtol=1e-8, atol=1e-14)(f64(RATES), f64(60))
    torch.testing.assert_close(found, f64(POLLUTION), rtol=2e-6, atol=1e-16)


@BOTH
@pytest.mark.parametrize("k", [5.0, 1e5])
def test_prothero_robinson_between_the_steps_too(k):
    times = torch.linspace(0, 2, 9, dtype=torch.float64)
    wanted = (k**2 * torch.cos(times) + k * torch.sin(times) - k**2 * torch.exp(-k * times)) / (1 + k**2)
    layer = build("stiff", "ProtheroRobinson", "bdf", rtol=1e-9, atol=1e-9)
    assert error(layer(f64(k), times), wanted) <= 1e-6
    if k == 5.0:
        # y(-t) with k < 0 obeys the equation with -k.
        assert error(layer(f64(-k), -times), wanted) <= 1e-6


@BOTH
def test_derivatives_at_fixed_steps_are_those_of_differences():
    torch.manual_seed(3)
    layer = build("stiff", "Driven", "bdf", {"d": 2}, dt=0.15)
    z0, t1 = torch.randn(2, dtype=torch.float64).requires_grad_(), leaf(1.0)
    zero = torch.zeros(1, dtype=torch.float64)

    def moved(z0, t1, inner):
        return layer(z0, t1, torch.cat([zero, inner, inner[1:]]))

    assert gradcheck(moved, (z0, t1, leaf([0.33, 0.8])))
    assert gradgradcheck(moved, (z0, t1, leaf([0.33, 0.8])))


@BOTH
def test_derivatives_of_a_dae_at_fixed_steps_are_those_of_differences():
    layer, given = build("dae", "Cubic", "bdf", dt=0.1), (leaf(0.4), leaf(1.3), leaf(1.1))
    assert gradcheck(layer, given)
    assert gradgradcheck(layer, given)
    reads, times = build("dae", "Reads", "bdf", dt=0.1), leaf([0.1, 0.33, 0.8])
    assert gradcheck(reads, (given[0], times))
    assert gradgradcheck(reads, (given[0], times))


@BOTH
def test_a_sample_that_fails_changes_no_other_and_more_times_change_no_bit():
    layer = models("stiff").Growth(dtype=torch.float64, solver="bdf", on_fail="nan")
    x0, ts = leaf([0.1, 2.0, -1.0]), f64([0.0, 0.5, 1.0])
    found = layer(x0, ts)
    assert [status_name(s) for s in layer.last.status.tolist()] == ["success", "dt_underflow", "success"]
    alone = f64([0.1, -1.0])
    assert torch.equal(layer(alone, ts), found[[0, 2]])
    assert torch.equal(layer(alone, f64([0.0, 0.2, 0.5, 0.5, 0.9, 1.0]))[:, [0, 2, 5]], found[[0, 2]])
    assert error(found[[0, 2]], alone[:, None] / (1 - alone[:, None] * ts)) <= 1e-4


@BOTH
def test_single_precision():
    layer = models("stiff").Robertson(dtype=torch.float32, solver="bdf(rtol = 1e-4, atol = 1e-8)")
    y = layer(torch.tensor([0.04, 3e7, 1e4]), torch.tensor([0.0, 40.0]))
    torch.testing.assert_close(
        y[1], torch.tensor([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035]), rtol=2e-3, atol=0
    )
