"""The latent ODE of the example learns, and its bound has the right slope."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.examples.loading import load


@pytest.fixture(scope="module")
def latent():
    return load("latent/train")


def test_spirals_are_seen_with_the_noise_told(latent) -> None:
    data = latent.read_spirals(200, 5)
    off = data.points - data.curve(data.times)
    assert float(off.std()) == pytest.approx(latent.NOISE, rel=0.05)
    assert (data.times.diff(dim=-1) >= 0).all()


def test_training_fills_in_spirals_never_seen(latent, tmp_path: Path) -> None:
    fresh = latent.read_spirals(40, 1)
    before, _ = latent.errors(latent.train(0)[0], fresh)
    model, losses = latent.train(60, batch=32)
    after, _ = latent.errors(model, fresh)
    assert after < 0.5 * before
    assert losses[-1] < 0.5 * losses[0]
    latent.draw(tmp_path / "latent.png", model, fresh)
    assert (tmp_path / "latent.png").stat().st_size > 10_000


def test_the_slope_of_the_bound_is_that_of_finite_differences(latent) -> None:
    torch.manual_seed(0)
    model, data = latent.Model(hidden=4), latent.read_spirals(3, 2)

    def loss() -> torch.Tensor:
        return model.loss(data, 1.0, torch.Generator().manual_seed(1))

    loss().backward()
    weight = model.layer.f.A
    slope, step, sides = float(weight.grad[0, 0]), 1e-3, []
    for sign in (1, -1):
        with torch.no_grad():
            weight[0, 0] += sign * step
            sides.append(float(loss()))
            weight[0, 0] -= sign * step
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-2, abs=1e-3)
