"""Stripes of the Brusselator: values of another integrator, derivatives beside differences, and the picture.

Reference digits: SciPy 1.16 `solve_ivp`, Radau, rtol 1e-11 and atol 1e-12, on the same 60 cells written in NumPy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.examples.loading import load

END = 10.0


@pytest.fixture(scope="module")
def stripes():
    return load("brusselator/stripes")


@pytest.fixture(scope="module")
def layer(stripes):
    return stripes.stripes(60, rtol=1e-8)


def test_the_wave_number_of_a_cosine_is_its_own(stripes) -> None:
    x = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    assert stripes.wave_number(3 + torch.cos(torch.pi * 12 * x)).item() == pytest.approx(torch.pi * 12, rel=1e-3)


def test_the_end_state_is_that_of_another_integrator(stripes, layer) -> None:
    rates = torch.tensor(stripes.RATES, dtype=torch.float64)
    u, v = layer(rates, torch.tensor([0.0, END], dtype=torch.float64))
    known_u = torch.tensor(
        [4.500000000000008, 4.4999903696020365, 4.886406347403315, 4.500000000000008], dtype=torch.float64
    )
    known_v = torch.tensor(
        [1.6666666666666656, 1.6666691239234603, 1.5730859463982192, 1.6666666666666656], dtype=torch.float64
    )
    torch.testing.assert_close(u[1, [0, 15, 29, 59]], known_u, rtol=1e-6, atol=0)
    torch.testing.assert_close(v[1, [0, 15, 29, 59]], known_v, rtol=1e-6, atol=0)
    assert stripes.wave_number(u[1]).item() == pytest.approx(108.79387939101265, rel=1e-6)


def test_the_gradient_of_the_wave_number_is_that_of_differences(stripes, layer) -> None:
    rates = torch.tensor(stripes.RATES, dtype=torch.float64)
    found, slope = stripes.slopes(layer, rates, END)
    assert found == pytest.approx(108.79387939101265, rel=1e-6)
    torch.testing.assert_close(slope, stripes.differences(layer, rates, END), rtol=1e-4, atol=1e-3)


def test_the_picture_is_drawn(stripes, layer, tmp_path: Path) -> None:
    rates = torch.tensor(stripes.RATES, dtype=torch.float64)
    u, _ = layer(rates, torch.linspace(0.0, END, 21, dtype=torch.float64))
    stripes.draw(tmp_path / "stripes.png", u, END, torch.ones(4))
    assert (tmp_path / "stripes.png").stat().st_size > 5_000
