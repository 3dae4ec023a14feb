"""Where other libraries give wrong fixed points, roots or derivatives without an error: each is right here, or says so."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from implicitdsl.solvers.status import status_name
from tests.reference.cases import f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")

FIXPOINT, ROOT = models("fixpoint"), models("root")
D = torch.float64
EXACT = 0.71566552968133826439
ONE_STEP = 0.4352934584948522211


def test_torchdeq_gives_a_one_step_gradient_39_percent_low():
    x = leaf(0.3)
    (found,) = torch.autograd.grad(FIXPOINT.TanhScalar(dtype=D)(0.9, x), x)
    assert found.item() == pytest.approx(EXACT, rel=1e-10)
    # The one-step gradient is what a graph through the last iteration alone would give: it is far from exact.
    assert abs(ONE_STEP / EXACT - 1 + 0.39) <= 0.005
    assert abs(found.item() - ONE_STEP) > 0.25


@pytest.mark.parametrize("solver", ["picard", "newton"])
def test_torchdeq_s_picard_adjoint_gives_plus_one_where_the_truth_is_minus_one(solver):
    x = leaf(1.0)
    z = FIXPOINT.Doubling(dtype=D, solver=solver)(x)
    assert z.item() == -1
    (found,) = torch.autograd.grad(z, x)
    assert found.item() == pytest.approx(-1, rel=1e-14)


def test_torchdeq_and_torchopt_give_wrong_second_derivatives():
    x = leaf(0.3)
    (first,) = torch.autograd.grad(FIXPOINT.TanhScalar(dtype=D)(0.9, x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert second.item() == pytest.approx(-2.9074176513797536544, rel=1e-9)
    d = leaf(0.3)
    (first,) = torch.autograd.grad(ROOT.Fold(dtype=D)(d), d, create_graph=True)
    assert torch.autograd.grad(first, d)[0].item() == pytest.approx(0.62965507696470027703, rel=1e-9)


def test_a_third_derivative_is_refused_in_a_sentence():
    x = leaf(0.3)
    (first,) = torch.autograd.grad(FIXPOINT.TanhScalar(dtype=D)(0.9, x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="exact to second order"):
        torch.autograd.grad(second, x)


def test_status_and_steps_belong_to_the_sample_and_not_to_the_batch():
    layer = FIXPOINT.TanhScalar(dtype=D, on_fail="nan")
    a = f64([0.1, 0.9, 0.999, float("nan"), 0.5])
    z = layer(a, 0.3)
    assert [status_name(int(s)) for s in layer.last.status] == ["success", "success", "success", "bad_input", "success"]
    together = layer.last.steps.tolist()
    assert len(set(together)) > 1
    for i in (0, 1, 2, 4):
        assert torch.equal(layer(a[i], 0.3), z[i])
        assert int(layer.last.steps) == together[i]


@pytest.mark.parametrize("a", [0.9, 0.99, 0.9999, 1.1, -3.0])
def test_the_stop_test_is_the_true_residual(a):
    # With a contraction near 1 the step is small long before the answer is near: the error is what counts.
    z = FIXPOINT.TanhScalar(dtype=D)(a, 0.3).item()
    assert abs(math.tanh(a * z + 0.3) - z) <= 1e-14
    low, high = -1.0 if a < 0 else 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.tanh(a * middle + 0.3) > middle else (low, middle)
    assert z == pytest.approx(low, rel=1e-10)


def test_an_iterate_that_leaves_the_domain_does_not_destroy_the_best_one():
    # From 1.5 the plain iteration of z = sqrt(2 - z) stays inside; the one of the last sample goes 0.2, 0.316, sqrt(-0.016).
    layer = FIXPOINT.Domain(dtype=D, on_fail="warn")
    z = layer(f64([2.0, 0.9, 0.3]), f64([1.5, 0.1, 0.2]))
    exact = [(math.sqrt(1 + 4 * x) - 1) / 2 for x in (2.0, 0.9, 0.3)]
    assert z.tolist() == pytest.approx(exact, rel=1e-10)
    assert not layer.last.status.any()
    with pytest.warns(RuntimeWarning):
        best = layer(2.0, 3.0)
    assert best.item() == 3.0  # the only finite iterate there is


def test_casadi_s_newton_returns_nan_with_success():
    layer = ROOT.Logarithm(dtype=D, on_fail="nan")
    x = layer(f64([-1.0, 0.0, 3.0]), 1.0)
    for number, value in zip(layer.last.status, x, strict=True):
        assert (number == 0) == bool(torch.isfinite(value))
    assert layer.last.status[2] == 0


def test_scipy_s_lm_reports_success_at_a_point_that_is_no_root():
    optimize = importlib.import_module("scipy.optimize")

    def system(z):
        x, y = z
        return [-13 + x + ((5 - y) * y - 2) * y, -29 + x + ((y + 1) * y - 14) * y]

    theirs = optimize.root(system, [0.5, -2.0], method="lm")
    assert theirs.success
    assert max(abs(f) for f in system(theirs.x)) > 4
    layer = ROOT.FreudensteinRoth(dtype=D, on_fail="nan")
    for start in ([0.5, -2.0], theirs.x.tolist()):
        mine = layer(f64(start))
        if int(layer.last.status) == 0:
            assert max(abs(f) for f in system(mine.tolist())) <= 1e-10
        else:
            assert status_name(int(layer.last.status)) == "no_root"
            assert torch.isnan(mine).all()
    assert status_name(int(layer.last.status)) == "no_root"
