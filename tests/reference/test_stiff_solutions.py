"""Stiff equations with known answers by `rodas5p`, through the language: values, gradients, second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from implicitdsl.solvers.status import status_name
from tests.reference.cases import error, f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")

RATES = [
    0.35, 26.6, 12300, 0.86e-3, 0.82e-3, 15000, 0.13e-3, 24000, 16500, 9000, 0.022, 12000, 1.88, 16300, 4.8e6, 0.35e-3,
    0.0175, 1e8, 4.44e11, 1240, 2.1, 5.78, 0.0474, 1780, 3.12,
]  # fmt: skip
POLLUTION = [
    0.5646255480022769e-1, 0.1342484130422339, 0.4139734331099427e-8, 0.5523140207484359e-2, 0.2018977262302196e-6,
    0.1464541863493966e-6, 0.7784249118997964e-1, 0.3245075353396018, 0.7494013383880406e-2, 0.1622293157301561e-7,
    0.1135863833257075e-7, 0.2230505975721359e-2, 0.2087162882798630e-3, 0.1396921016840158e-4, 0.8964884856895298e-2,
    0.4352846369330103e-17, 0.6899219696263405e-2, 0.1007803037365946e-3, 0.1772146513969984e-5, 0.5682943292316392e-4,
]  # fmt: skip


def build(name, **options):
    return getattr(models("stiff"), name)(dtype=torch.float64, **options)


def test_robertson_with_its_sensitivities():
    layer, k = build("Robertson"), leaf([0.04, 3e7, 1e4])
    y = layer(k, f64([0, 40]))
    assert error(y[1], f64([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035])) <= 1e-7
    assert abs(y[1, 1].item() / 9.1855347645577639e-6 - 1) <= 1e-6
    known = f64([
        [-4.2475587717057326, -2.2883550889056693e-9, 1.3730807973446247e-5],
        [4.5911962492538939e-5, -1.1380595093501273e-13, -2.3571921138463331e-10],
    ])  # fmt: skip
    for i, wanted in enumerate((*known, -known.sum(0))):
        (found,) = torch.autograd.grad(y[1, i], k, retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


def test_van_der_pol_at_a_million():
    x, v = build("VanDerPol")(f64(1e-6), f64(2))
    assert x.item() == pytest.approx(1.706167732170483, rel=5e-8)
    assert v.item() == pytest.approx(-0.8928097010247975, rel=5e-8)


def test_the_chemistry_of_polluted_air():
    found = build("Pollution")(f64(RATES), f64(60))
    torch.testing.assert_close(found, f64(POLLUTION), rtol=1e-6, atol=1e-16)


@pytest.mark.parametrize("k", [5.0, 20.0, 50.0, 1e5])
def test_prothero_robinson_and_both_derivatives(k):
    def closed(k, t):
        return (k**2 * torch.cos(t) + k * torch.sin(t) - k**2 * torch.exp(-k * t)) / (1 + k**2)

    slope, times = leaf(k), f64([0.0, 0.4, 1.1, 2.0])
    layer = build("ProtheroRobinson")
    found, wanted = layer(slope, times), closed(slope, times)
    assert error(found, wanted) <= 1e-8
    weights = torch.cos(torch.arange(4, dtype=torch.float64))
    (g,), (g_wanted,) = (torch.autograd.grad(weights @ y, slope, create_graph=True) for y in (found, wanted))
    assert abs(g.item() - g_wanted.item()) <= 5e-6 * abs(g_wanted.item())
    (b,), (b_wanted,) = (torch.autograd.grad(x, slope) for x in (g, g_wanted))
    assert abs(b.item() - b_wanted.item()) <= 1e-4 * abs(b_wanted.item())


def test_time_may_run_backwards():
    layer, times = build("ProtheroRobinson"), f64([1.0, 0.7, 0.3, 0.0])
    forth = build("ProtheroRobinson")(f64(-3.0), -times)
    # y(-t) with k < 0 obeys the equation with -k, so the two runs are mirror images.
    assert error(layer(f64(3.0), times), forth) <= 1e-9


def test_asking_for_more_times_changes_no_other_value_by_a_bit():
    layer, k = build("Robertson"), f64([0.04, 3e7, 1e4])
    few, many = layer(k, f64([0, 1, 40])), layer(k, f64([0, 0.3, 1, 7, 13, 40]))
    assert torch.equal(few, many[[0, 2, 5]])


def test_gradients_at_fixed_steps_are_those_of_differences(backend):
    torch.manual_seed(3)
    # As Python smaller, which would take some seconds.
    batch, d = (2, 2) if backend == "lanes" else (1, 1)
    layer = build("Driven", d=d)
    z0, t1, ts = torch.randn(batch, d, dtype=torch.float64).requires_grad_(), leaf(1.0), leaf([0.0, 0.33, 0.8, 0.8])

    def call(z0, t1, ts, *params):
        given = dict(zip((n for n, _ in layer.named_parameters()), params, strict=True))
        return torch.func.functional_call(layer, given, (z0, t1, ts))

    every = (z0, t1, ts[1:3].detach().requires_grad_(), *layer.parameters())
    zero = torch.zeros(1, dtype=torch.float64)

    def moved(z0, t1, inner, *params):
        return call(z0, t1, torch.cat([zero, inner]), *params)

    assert gradcheck(moved, every)
    assert gradgradcheck(moved, every)


def test_a_sample_that_fails_changes_no_other():
    layer = build("Growth", on_fail="nan")
    x0, ts = f64([0.1, 2.0, -1.0]).requires_grad_(), f64([0.0, 0.5, 1.0])
    found = layer(x0, ts)
    assert [status_name(s) for s in layer.last.status.tolist()] == ["success", "dt_underflow", "success"]
    (grad,) = torch.autograd.grad(found[[0, 2]].sum(), x0)
    alone = leaf([0.1, -1.0])
    answer = build("Growth")(alone, ts)
    assert torch.equal(answer, found[[0, 2]])
    assert torch.equal(torch.autograd.grad(answer.sum(), alone)[0], grad[[0, 2]])
    assert error(answer, alone[:, None] / (1 - alone[:, None] * ts)) <= 1e-5


def test_single_precision():
    layer = models("stiff").Robertson(dtype=torch.float32, solver="rodas5p(rtol = 1e-4, atol = 1e-8)")
    y = layer(torch.tensor([0.04, 3e7, 1e4]), torch.tensor([0.0, 40.0]))
    assert y.dtype == torch.float32
    torch.testing.assert_close(
        y[1], torch.tensor([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035]), rtol=2e-3, atol=0
    )
