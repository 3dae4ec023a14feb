"""Examples that learn right-hand sides: what their layers compute, and what no training can reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tests.examples.loading import load


@pytest.fixture(scope="module")
def pendulum():
    return load("pendulum/learn")


@pytest.fixture(scope="module")
def mirror():
    return load("augmented/train")


def test_the_true_pendulum_is_that_of_another_integrator(pendulum) -> None:
    series = pendulum.read_series()
    found = solve_ivp(
        lambda _, x: [x[1], -9.81 / 1.2 * np.sin(x[0]) - 0.1 * x[1] - 0.25 * x[1] * abs(x[1])],
        (0, float(series.times[-1])), [2.6, 0.0], t_eval=series.times.numpy(), rtol=1e-10, atol=1e-10, method="DOP853",
    )  # fmt: skip
    np.testing.assert_allclose(series.motion.numpy(), found.y.T, atol=1e-5)


def test_the_loss_of_the_truth_is_that_of_the_noise(pendulum) -> None:
    """With true starts and the true equation the misfit is the noise, and there are no jumps."""
    series = pendulum.read_series()
    truth = pendulum.implicitdsl.load(pendulum.HERE / "pendulum.imp").Truth(dtype=torch.float64)
    starts = series.motion[torch.arange(0, pendulum.TRAINED, pendulum.PIECE)]
    with torch.no_grad():
        loss = pendulum.shooting_loss(truth, starts, series, weight=1e3)
    assert float(loss) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("name", ["SecondOrder", "Hybrid"])
def test_a_pendulum_is_learned(pendulum, name: str, tmp_path: Path) -> None:
    series = pendulum.read_series()
    layer = pendulum.make_layer(name)
    starts, losses = pendulum.train(layer, series, 25)
    assert losses[0] > pendulum.shooting_loss(layer, starts, series, weight=1.0).item()
    pendulum.draw(tmp_path / "pendulum.png", series, {name: pendulum.forecast(layer, starts, series)})
    assert (tmp_path / "pendulum.png").stat().st_size > 5_000


def test_the_slope_of_the_shooting_loss_is_that_of_finite_differences(pendulum) -> None:
    series = pendulum.read_series()
    layer = pendulum.make_layer("Hybrid")
    starts = pendulum.first_starts(series)
    loss = pendulum.shooting_loss(layer, starts, series, weight=1.0)
    loss.backward()
    slope = float(layer.f.W.grad[0, 0])
    step, sides = 1e-3, []
    for sign in (1, -1):
        with torch.no_grad():
            layer.f.W[0, 0] += sign * step
            sides.append(float(pendulum.shooting_loss(layer, starts, series, weight=1.0)))
            layer.f.W[0, 0] -= sign * step
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=2e-2)


def test_a_flow_on_the_line_rises_and_one_in_the_plane_need_not(mirror, tmp_path: Path) -> None:
    line, losses = mirror.train("Line", 40)
    x = mirror.starts()
    assert (line(x).diff() > 0).all()
    # The bound is that of the integral; that of the points is a little below it.
    assert losses[-1] > mirror.BOUND - 1e-3
    plane, losses = mirror.train("Augmented", 150)
    assert losses[-1] < 0.2 * mirror.BOUND
    mirror.draw(tmp_path / "mirror.png", {"Line": line, "Augmented": plane})
    assert (tmp_path / "mirror.png").stat().st_size > 5_000
