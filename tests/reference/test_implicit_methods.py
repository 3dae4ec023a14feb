"""Stiff equations and differential-algebraic ones by the implicit methods beside `rodas5p`, through the language: known
values, gradients, second derivatives, failures."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from implicitdsl.solvers.status import status_name
from tests.reference.cases import error, f64, leaf, models
from tests.reference.test_stiff_solutions import POLLUTION, RATES

pytestmark = pytest.mark.usefixtures("backend")

METHODS = ("kvaerno5",)
SLOPES = [
    [-4.2475587717057326, -2.2883550889056693e-9, 1.3730807973446247e-5],
    [4.5911962492538939e-5, -1.1380595093501273e-13, -2.3571921138463331e-10],
]
"""Of Robertson's first two unknowns at 40 with respect to the three rates."""
every_method = pytest.mark.parametrize("method", METHODS)


def build(file, name, method, sizes=None, **options):
    given = ", ".join(f"{k} = {v}" for k, v in options.items())
    return getattr(models(file), name)(dtype=torch.float64, solver=f"{method}({given})", **(sizes or {}))


@every_method
@pytest.mark.parametrize("file", ["stiff", "dae"])
def test_robertson_with_its_sensitivities(method, file):
    layer, k = build(file, "Robertson", method, rtol=1e-9, atol=1e-13), leaf([0.04, 3e7, 1e4])
    # The guess of the `dae` is wrong, and is repaired.
    y = layer(k, *((f64(0.5),) if file == "dae" else ()), f64([0, 40]))
    assert y[0].tolist() == [1.0, 0.0, 0.0]
    assert error(y[1], f64([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035])) <= 1e-7
    assert abs(y[1, 1].item() / 9.1855347645577639e-6 - 1) <= 1e-6
    known = f64(SLOPES)
    for i, wanted in enumerate((*known, -known.sum(0))):
        (found,) = torch.autograd.grad(y[1, i], k, retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


@every_method
def test_van_der_pol_at_a_million(method):
    x, v = build("stiff", "VanDerPol", method, rtol=1e-9, atol=1e-9)(f64(1e-6), f64(2))
    assert x.item() == pytest.approx(1.706167732170483, rel=5e-8)
    assert v.item() == pytest.approx(-0.8928097010247975, rel=5e-8)


@every_method
def test_the_chemistry_of_polluted_air(method):
    found = build("stiff", "Pollution", method, rtol=1e-8, atol=1e-14)(f64(RATES), f64(60))
    torch.testing.assert_close(found, f64(POLLUTION), rtol=1e-6, atol=1e-16)


@every_method
@pytest.mark.parametrize("k", [5.0, 50.0, 1e5])
def test_prothero_robinson_and_both_derivatives(method, k):
    def closed(k, t):
        return (k**2 * torch.cos(t) + k * torch.sin(t) - k**2 * torch.exp(-k * t)) / (1 + k**2)

    slope, times = leaf(k), f64([0.0, 0.4, 1.1, 2.0])
    layer = build("stiff", "ProtheroRobinson", method, rtol=1e-10, atol=1e-10)
    found, wanted = layer(slope, times), closed(slope, times)
    assert error(found, wanted) <= 1e-8
    weights = torch.cos(torch.arange(4, dtype=torch.float64))
    (g,), (g_wanted,) = (torch.autograd.grad(weights @ y, slope, create_graph=True) for y in (found, wanted))
    assert abs(g.item() - g_wanted.item()) <= 2e-5 * abs(g_wanted.item())
    (b,), (b_wanted,) = (torch.autograd.grad(x, slope) for x in (g, g_wanted))
    assert abs(b.item() - b_wanted.item()) <= 1e-4 * abs(b_wanted.item())


@every_method
def test_the_transistor_amplifier(method):
    """Values of the Test Set for IVP Solvers."""
    found = build("dae", "Amplifier", method, rtol=1e-8, atol=1e-8)(f64(0.2))
    known = f64([
        -0.5562145012262709e-2, 3.006522471903042, 2.849958788608128, 2.926422536206241, 2.704617865010554,
        2.761837778393145, 4.770927631616772, 1.236995868091548,
    ])  # fmt: skip
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-6)


@every_method
def test_gradients_at_fixed_steps_are_those_of_differences(method, backend):
    torch.manual_seed(3)
    # As Python smaller, which would take some seconds.
    batch, d = (2, 2) if backend == "lanes" else (1, 1)
    layer = build("stiff", "Driven", method, {"d": d}, dt=0.3)
    z0, t1 = torch.randn(batch, d, dtype=torch.float64).requires_grad_(), leaf(1.0)
    zero = torch.zeros(1, dtype=torch.float64)

    def moved(z0, t1, inner, *params):
        # A tie too.
        given = dict(zip((n for n, _ in layer.named_parameters()), params, strict=True))
        return torch.func.functional_call(layer, given, (z0, t1, torch.cat([zero, inner, inner[1:]])))

    every = (z0, t1, leaf([0.33, 0.8]), *layer.parameters())
    assert gradcheck(moved, every)
    assert gradgradcheck(moved, every)


@every_method
def test_derivatives_of_a_dae_at_fixed_steps_are_those_of_differences(method):
    layer = build("dae", "Cubic", method, dt=0.3)
    given = leaf([0.4, 0.9]), leaf(1.3), leaf(1.1)
    assert gradcheck(layer, given)
    assert gradgradcheck(layer, given)
    reads = build("dae", "Reads", method, dt=0.3)
    times = leaf([0.1, 0.33, 0.8])
    assert gradcheck(reads, (given[0], times))
    assert gradgradcheck(reads, (given[0], times))


@every_method
def test_the_slope_where_no_time_passes_is_that_of_the_solution(method):
    given, end = (f64(0.4), f64(1.3)), leaf(0.26)

    def slopes(method):
        answer = build("dae", "Cubic", method, dt=0.3)(*given, end)
        return torch.stack([torch.autograd.grad(o, end, retain_graph=True)[0] for o in answer])

    torch.testing.assert_close(slopes(method), slopes("rodas5p"), rtol=1e-10, atol=1e-12)


@every_method
def test_time_may_run_backwards_and_more_times_change_no_bit(method):
    layer, times = build("stiff", "ProtheroRobinson", method, rtol=1e-10, atol=1e-10), f64([1.0, 0.7, 0.3, 0.0])
    # y(-t) with k < 0 obeys the equation with -k, so the two runs are mirror images.
    few = layer(f64(3.0), times)
    assert error(few, layer(f64(-3.0), -times)) <= 1e-9
    many = layer(f64(3.0), f64([1.0, 0.9, 0.7, 0.7, 0.3, 0.1, 0.0]))
    assert torch.equal(few, many[[0, 2, 4, 6]])


@every_method
def test_a_sample_that_fails_changes_no_other(method):
    layer = models("stiff").Growth(dtype=torch.float64, solver=method, on_fail="nan")
    x0, ts = f64([0.1, 2.0, -1.0]).requires_grad_(), f64([0.0, 0.5, 1.0])
    found = layer(x0, ts)
    assert [status_name(s) for s in layer.last.status.tolist()] == ["success", "dt_underflow", "success"]
    (grad,) = torch.autograd.grad(found[[0, 2]].sum(), x0)
    alone = leaf([0.1, -1.0])
    answer = layer(alone, ts)
    assert torch.equal(answer, found[[0, 2]])
    assert torch.equal(torch.autograd.grad(answer.sum(), alone)[0], grad[[0, 2]])
    assert error(answer, alone[:, None] / (1 - alone[:, None] * ts)) <= 1e-5


@every_method
def test_single_precision(method):
    layer = models("stiff").Robertson(dtype=torch.float32, solver=f"{method}(rtol = 1e-4, atol = 1e-8)")
    k = torch.tensor([0.04, 3e7, 1e4], requires_grad=True)
    y = layer(k, torch.tensor([0.0, 40.0]))
    assert y.dtype == torch.float32
    torch.testing.assert_close(
        y[1], torch.tensor([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035]), rtol=2e-3, atol=0
    )
    (slope,) = torch.autograd.grad(y[1, 0], k)
    torch.testing.assert_close(slope, torch.tensor(SLOPES[0]), rtol=5e-3, atol=0)
