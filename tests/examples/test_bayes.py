"""The posteriors of the examples: their densities against SciPy's, and that the samplers run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import solve_ivp

from tests.examples.loading import load


@pytest.fixture(scope="module")
def hares():
    return load("bayes/hare_lynx")


@pytest.fixture(scope="module")
def spiral():
    return load("bayes/spiral")


def energy_by_scipy(hares, logs: np.ndarray) -> float:
    """The same density with SciPy's distributions and integrator."""
    years, pelts = (value.numpy() for value in hares.read_counts())
    values = np.exp(logs)
    a, b, g, d, *start = values[:6]
    found = solve_ivp(
        lambda _, x: [a * x[0] - b * x[0] * x[1], d * x[0] * x[1] - g * x[1]],
        (0, years[-1]), start, t_eval=years, rtol=1e-10, atol=1e-10, method="DOP853",
    ).y.T  # fmt: skip
    noise = values[6:]
    total = stats.lognorm.logpdf(pelts, s=noise, scale=found).sum()
    total += stats.norm.logpdf(values[:4], [1, 0.05, 1, 0.05], [0.5, 0.05, 0.5, 0.05]).sum()
    total += stats.lognorm.logpdf(start, s=1, scale=10).sum() + stats.lognorm.logpdf(noise, s=1, scale=np.exp(-1)).sum()
    return float(-(total + logs.sum()))


def test_the_density_is_that_of_another_library(hares) -> None:
    layer, (years, pelts) = hares.make_layer(), hares.read_counts()
    at = [np.log([0.5, 0.02, 0.9, 0.03, 30, 5, 0.3, 0.3]), np.log([0.6, 0.03, 0.8, 0.02, 35, 6, 0.2, 0.25])]
    ours = [float(hares.energy(layer, years, pelts, torch.from_numpy(x))) for x in at]
    theirs = [energy_by_scipy(hares, x) for x in at]
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_the_slope_is_that_of_finite_differences(hares) -> None:
    layer, (years, pelts) = hares.make_layer(), hares.read_counts()
    logs = np.log([0.5, 0.02, 0.9, 0.03, 30, 5, 0.3, 0.3])
    at = torch.from_numpy(logs).requires_grad_()
    (slope,) = torch.autograd.grad(hares.energy(layer, years, pelts, at), at)
    step = 1e-5
    for k, unit in enumerate(np.eye(8)):
        wanted = (energy_by_scipy(hares, logs + step * unit) - energy_by_scipy(hares, logs - step * unit)) / (2 * step)
        assert slope[k].item() == pytest.approx(wanted, rel=1e-3, abs=1e-2)


def test_the_sampler_stays_where_the_posterior_lies(hares, tmp_path: Path) -> None:
    found = hares.sample(6, 12)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "rates": (6, 4), "start": (6, 2), "noise": (6, 2),
    }  # fmt: skip
    for name, wanted in hares.STAN.items():
        assert (found[name].mean(0).numpy() / np.array(wanted) - 1) == pytest.approx(np.zeros(len(wanted)), abs=0.5)
    hares.draw(tmp_path / "bands.png", found)
    assert (tmp_path / "bands.png").stat().st_size > 10_000


def test_the_energy_of_pieces_is_unbiased(spiral) -> None:
    """The mean of the estimates from single pieces is the energy of all."""
    times, _, points = spiral.read_series()
    layer = spiral.make_layer()
    weights = dict(layer.named_parameters())
    count = len(points) - spiral.PIECE
    with torch.no_grad():
        single = [spiral.energy(layer, weights, times, points, torch.tensor([k])) for k in range(count)]
        whole = spiral.energy(layer, weights, times, points, torch.arange(count))
    assert float(sum(single) / count) == pytest.approx(float(whole), rel=1e-6)


def test_langevin_draws_differ_and_fit_better_than_the_start(spiral, tmp_path: Path) -> None:
    layer, found = spiral.sample(4, 60, every=2)
    times, _, points = spiral.read_series()
    with torch.no_grad():
        before = spiral.energy(layer, dict(layer.named_parameters()), times, points, torch.arange(30))
        after = [spiral.energy(layer, weights, times, points, torch.arange(30)) for weights in found]
    assert max(after) < 0.5 * before
    assert len({float(weights["f.W"][0, 0]) for weights in found}) == 4
    spiral.draw(tmp_path / "spiral.png", layer, found)
    assert (tmp_path / "spiral.png").stat().st_size > 10_000
