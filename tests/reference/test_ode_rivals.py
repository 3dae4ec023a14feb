"""Where other integrators fail: one bad sample among good ones, shared step sizes, gradients of what blows up."""

from __future__ import annotations

import pytest
import torch

import implicitdsl
from implicitdsl.solvers.status import SUCCESS, status_name
from tests.reference.cases import f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")

ODE = models("ode")
D = torch.float64
TIGHT = {"rtol": 1e-10, "atol": 1e-10, "dtype": D}
STARTS = f64([0.1, -0.5, 0.3, 1.0, 0.2, 0.05, -2.0, 0.4])
BAD = 3


@pytest.fixture(scope="module")
def blown():
    """y' = y² with one sample that is infinite at t = 1 < 2."""
    layer = ODE.BlowUp(**TIGHT, on_fail="nan")
    y0, a = leaf(STARTS), leaf(1.0)
    return layer, y0, a, layer(y0, a)


def good(values):
    return values[[i for i in range(8) if i != BAD]]


def test_one_sample_that_blows_up_is_a_status_of_its_own(blown):
    layer, _, _, y = blown
    found = layer.last.status
    assert good(found).tolist() == [SUCCESS] * 7
    assert status_name(int(found[BAD])) in ("dt_underflow", "nonfinite", "max_steps", "diverged")
    assert torch.isnan(y[BAD])
    assert layer.last.t_end[BAD].item() == pytest.approx(1.0, abs=1e-3)
    wanted = good(STARTS) / (1 - 2 * good(STARTS))
    assert good(y).tolist() == pytest.approx(wanted.tolist(), rel=5e-9)


def test_one_sample_that_blows_up_changes_no_bit_of_the_others(blown):
    layer, _, _, y = blown
    quiet = STARTS.clone()
    quiet[BAD] = 0.0
    assert torch.equal(good(layer(quiet, 1.0)), good(y))
    for i in range(8):
        if i != BAD:
            assert torch.equal(layer(STARTS[i], 1.0), y[i])


def test_the_gradients_of_the_others_are_finite_and_the_same_bits(blown):
    layer, y0, a, y = blown
    by_start, by_a = torch.autograd.grad(good(y).sum(), [y0, a], retain_graph=True)
    assert by_start[BAD] == 0
    assert good(by_start).tolist() == pytest.approx((1 / (1 - 2 * good(STARTS)) ** 2).tolist(), rel=1e-7)
    assert by_a.item() == pytest.approx((2 * good(STARTS) ** 2 / (1 - 2 * good(STARTS)) ** 2).sum().item(), rel=1e-7)
    clean, b = leaf(good(STARTS)), leaf(1.0)
    alone, shared = torch.autograd.grad(layer(clean, b).sum(), [clean, b])
    assert torch.equal(alone, good(by_start))
    assert torch.equal(shared, by_a)


def test_asked_about_itself_it_has_no_gradient(blown):
    _, y0, a, y = blown
    by_start, by_a = torch.autograd.grad(y.sum(), [y0, a], retain_graph=True)
    assert torch.isnan(by_start[BAD])
    assert torch.isfinite(good(by_start)).all()
    assert torch.isnan(by_a)


def test_raising_says_which_sample():
    with pytest.raises(implicitdsl.SolveError) as caught:
        ODE.BlowUp(**TIGHT)(STARTS, 1.0)
    assert caught.value.samples == ((BAD,),)
    assert "1 of 8 samples" in str(caught.value)


def test_warn_keeps_the_values_up_to_the_failure():
    layer = ODE.Fifth(**TIGHT, on_fail="warn")
    # (y - (a*t + b))^5 from 1 above the line is infinite at t = 1/4.
    with pytest.warns(RuntimeWarning, match="1 of 2"):
        y = layer(f64([3.0, 4.0]), 0.2, 3.0, f64([0.0, 0.1, 0.2, 1.0]))
    assert torch.isfinite(y[0]).all()
    u = [(1 - 4 * t) ** -0.25 for t in (0.0, 0.1, 0.2)]
    assert y[1, :3].tolist() == pytest.approx(
        [v + 0.2 * t + 3 for v, t in zip(u, (0.0, 0.1, 0.2), strict=True)], rel=1e-7
    )


def test_every_sample_takes_its_own_steps():
    layer = ODE.VanDerPol(rtol=1e-6, atol=1e-9, dtype=D)
    mu = f64([0.1, 1.0, 5.0])
    x, v = layer(2.0, 0.0, mu, 20.0)
    together = layer.last.steps.tolist()
    assert len(set(together)) == 3
    for i in range(3):
        alone = layer(2.0, 0.0, mu[i], 20.0)
        assert torch.equal(torch.stack(alone), torch.stack([x[i], v[i]]))
        assert int(layer.last.steps) == together[i]


def test_a_limit_of_steps_is_a_status():
    layer = ODE.VanDerPol(**TIGHT, max_steps=20, on_fail="nan")
    layer(2.0, 0.0, 1.0, 20.0)
    assert status_name(int(layer.last.status)) == "max_steps"
    assert layer.last.steps.item() == 20


def test_second_derivatives_of_a_batch_with_a_failed_sample_are_those_without_it(blown):
    _, y0, _, y = blown
    (slope,) = torch.autograd.grad(good(y).sum(), y0, create_graph=True)
    (bend,) = torch.autograd.grad(good(slope).sum(), y0, retain_graph=True)
    # y = y0/(1 - 2a*y0): d²y/dy0² = 4a/(1 - 2a*y0)³
    assert good(bend).tolist() == pytest.approx((4 / (1 - 2 * good(STARTS)) ** 3).tolist(), rel=1e-6)
    assert bend[BAD] == 0
