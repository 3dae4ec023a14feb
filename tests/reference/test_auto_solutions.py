"""Stiff equations with known answers where no solver is named: values, gradients, second derivatives."""

from __future__ import annotations

import re
from functools import cache

import pytest
import torch

import implicitdsl
from tests.reference.cases import MODELS, error, f64, leaf
from tests.reference.test_stiff_solutions import POLLUTION, RATES


@cache
def unnamed():
    """The models of models/stiff.imp without their `solver` lines."""
    return implicitdsl.loads(re.sub(r"\n  solver [^\n]*", "", (MODELS / "stiff.imp").read_text()))


@pytest.mark.parametrize("backend", ["python", "lanes"])
def test_robertson_with_its_sensitivities(backend):
    layer, k = unnamed().Robertson(rtol=1e-9, atol=1e-13, backend=backend, dtype=torch.float64), leaf([0.04, 3e7, 1e4])
    y = layer(k, f64([0, 0.01, 40]))
    # The first time is reached by the explicit method, the last by the other.
    assert 0.001 < layer.last.stiff_from.item() < 40
    assert error(y[2], f64([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035])) <= 1e-7
    known = f64([
        [-4.2475587717057326, -2.2883550889056693e-9, 1.3730807973446247e-5],
        [4.5911962492538939e-5, -1.1380595093501273e-13, -2.3571921138463331e-10],
    ])  # fmt: skip
    for i, wanted in enumerate(known):
        (found,) = torch.autograd.grad(y[2, i], k, retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


@pytest.mark.usefixtures("backend")
def test_van_der_pol_at_a_million():
    layer = unnamed().VanDerPol(rtol=1e-9, atol=1e-9, dtype=torch.float64)
    x, v = layer(f64(1e-6), f64(2))
    assert x.item() == pytest.approx(1.706167732170483, rel=5e-8)
    assert v.item() == pytest.approx(-0.8928097010247975, rel=5e-8)
    assert layer.last.stiff_from.item() < 0.01


@pytest.mark.usefixtures("backend")
def test_the_chemistry_of_polluted_air():
    layer = unnamed().Pollution(rtol=1e-8, atol=1e-14, dtype=torch.float64)
    torch.testing.assert_close(layer(f64(RATES), f64(60)), f64(POLLUTION), rtol=1e-6, atol=1e-16)
    assert layer.last.stiff_from.item() < 60


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("k", [5.0, 50.0, 1e5])
def test_prothero_robinson_and_both_derivatives(k):
    def closed(k, t):
        return (k**2 * torch.cos(t) + k * torch.sin(t) - k**2 * torch.exp(-k * t)) / (1 + k**2)

    slope, times = leaf(k), f64([0.0, 0.4, 1.1, 2.0])
    layer = unnamed().ProtheroRobinson(rtol=1e-10, atol=1e-10, dtype=torch.float64)
    found, wanted = layer(slope, times), closed(slope, times)
    assert torch.isnan(layer.last.stiff_from).item() == (k < 1e5)
    assert error(found, wanted) <= 1e-8
    weights = torch.cos(torch.arange(4, dtype=torch.float64))
    (g,), (g_wanted,) = (torch.autograd.grad(weights @ y, slope, create_graph=True) for y in (found, wanted))
    assert abs(g.item() - g_wanted.item()) <= 5e-6 * abs(g_wanted.item())
    (b,), (b_wanted,) = (torch.autograd.grad(x, slope) for x in (g, g_wanted))
    assert abs(b.item() - b_wanted.item()) <= 1e-4 * abs(b_wanted.item())
