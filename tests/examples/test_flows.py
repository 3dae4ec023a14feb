"""The flows of the example: a density, its samples, and what training does to them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.integrate import dblquad

from tests.examples.loading import load


@pytest.fixture(scope="module")
def flows():
    return load("flows/train")


@pytest.fixture(scope="module")
def trained(flows):
    return flows.train(flows.DENSITIES[1], steps=40, batch=128)


@pytest.mark.parametrize("number", [0, 1])
def test_the_true_densities_are_densities_of_the_points_drawn(flows, number: int) -> None:
    density = flows.DENSITIES[number]
    points, axis = flows.grid(161, 4.5)
    weight = density.log(points).exp() * (axis[1] - axis[0]) ** 2
    assert float(weight.sum()) == pytest.approx(1, abs=1e-6)
    drawn = density.sample(40_000, torch.Generator().manual_seed(1))
    mean = (weight[..., None] * points).sum((0, 1))
    second = (weight[..., None] * points.square()).sum((0, 1))
    assert (drawn.mean(0) - mean).abs().max() < 5 * 1.5 / 200
    assert (drawn.square().mean(0) - second).abs().max() < 5 * 3 / 200


def test_a_flow_is_a_density(flows, trained) -> None:
    """SciPy's quadrature over the plane."""

    def density(y: float, x: float) -> float:
        with torch.no_grad():
            return float(flows.log_model(trained, torch.tensor([x, y], dtype=torch.float64)).exp())

    total, _ = dblquad(density, -5, 5, -5, 5, epsabs=1e-2, epsrel=1e-2)
    assert total == pytest.approx(1, abs=1e-2)


def test_the_way_back_is_the_inverse(flows, trained) -> None:
    found = flows.samples(trained, 20)
    end, _ = trained(found)
    wanted = torch.randn(20, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    torch.testing.assert_close(end.detach(), wanted, rtol=0, atol=2e-3)


@pytest.mark.parametrize("probes", [0, 2])
def test_training_brings_the_model_nearer_to_the_truth(flows, trained, probes: int) -> None:
    density = flows.DENSITIES[1]
    before, _ = flows.divergence(flows.train(density, steps=0), density, 500)
    model = flows.train(density, steps=40, batch=128, probes=probes) if probes else trained
    after, error = flows.divergence(model, density, 500)
    assert after + 4 * error > 0
    assert after < 0.6 * before


def test_the_picture_is_drawn(flows, trained, tmp_path: Path) -> None:
    flows.draw(tmp_path / "flows.png", [(flows.DENSITIES[1], trained)])
    assert (tmp_path / "flows.png").stat().st_size > 10_000
