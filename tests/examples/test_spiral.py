"""Both ways of the comparison compute the same loss and slope, to tolerance, and train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.examples.loading import load


@pytest.fixture(scope="module")
def spiral():
    return load("spiral/compare")


def test_the_curve_is_that_of_the_reference(spiral) -> None:
    """The value at t = 1.5 of a Taylor integrator of order 30."""
    _, curve = spiral.read_curve()
    assert curve[-1].tolist() == pytest.approx([1.2919915629767864, 0.97258607443451643], rel=1e-8)


@pytest.mark.parametrize("name", ["spiral", "flow"])
def test_both_ways_have_one_loss_and_one_slope(spiral, name: str) -> None:
    problem = getattr(spiral, name)()
    slopes, losses = [], []
    for way in spiral.WAYS:
        torch.manual_seed(3)
        layer = problem.make(dtype=torch.float64, **problem.options[way])
        loss = problem.loss(layer)
        loss.backward()
        losses.append(float(loss.detach()))
        slopes.append(torch.cat([p.grad.flatten() for p in layer.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-3 * float(slopes[1].abs().max()))


def test_both_ways_train(spiral, tmp_path: Path) -> None:
    problem = spiral.spiral()
    runs = {way: spiral.train(problem, way, 25) for way in spiral.WAYS}
    for run in runs.values():
        assert run.losses[-1] < 0.7 * run.losses[0]
        assert run.reach(run.losses[0]) is not None
    assert spiral.compare(problem, runs) < 1
    spiral.draw(tmp_path / "ways.png", {"spiral": runs})
    assert (tmp_path / "ways.png").stat().st_size > 5_000
