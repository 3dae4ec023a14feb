"""The ensemble of the example: its trajectories are those of another integrator, and chunks change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from tests.examples.loading import load


@pytest.fixture(scope="module")
def lorenz():
    return load("lorenz/ensemble")


def test_starts_fill_a_ball_and_depend_on_their_number_alone(lorenz) -> None:
    found = lorenz.starts(0, 4000).numpy()
    radius = np.linalg.norm(found - np.array(lorenz.CENTRE), axis=1) / lorenz.RADIUS
    assert radius.max() <= 1 + 1e-9
    # The radius of a point of a ball that is filled evenly has the mean 3/4.
    assert radius.mean() == pytest.approx(0.75, abs=0.01)
    np.testing.assert_array_equal(found[100:200], lorenz.starts(100, 200).numpy())


def test_the_cells_are_those_of_another_integrator(lorenz) -> None:
    """Up to t = 5 trajectories do not part further than a cell."""

    def rate(_: float, s: np.ndarray) -> list[float]:
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    ends = [
        solve_ivp(rate, (0, 5), start, rtol=1e-10, atol=1e-10, method="DOP853").y[:, -1]
        for start in lorenz.starts(0, 6).numpy()
    ]
    cells, right = lorenz.stream(6, 4, 5.0)
    assert right == np.mean([end[0] > 0 for end in ends])
    places = np.argwhere(cells)
    for end in ends:
        at = [np.searchsorted(edges, value) - 1 for edges, value in zip(lorenz.EDGES, (end[0], end[2]), strict=True)]
        assert np.abs(places - at).max(axis=1).min() <= 1


def test_chunks_change_nothing_and_the_picture_is_drawn(lorenz, tmp_path: Path) -> None:
    one, share = lorenz.stream(300, 300, 20.0)
    many, other = lorenz.stream(300, 37, 20.0)
    np.testing.assert_array_equal(one, many)
    assert share == other
    assert one.sum() == 300
    lorenz.draw(tmp_path / "ensemble.png", one, 20.0)
    assert (tmp_path / "ensemble.png").stat().st_size > 5_000
