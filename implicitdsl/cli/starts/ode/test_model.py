"""Is the model what it says? Run me with pytest."""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def test_small_swings_are_those_of_the_linear_pendulum():
    pendulum = models.Pendulum(rtol=1e-9, atol=1e-12, dtype=torch.float64)
    pendulum.length, pendulum.friction = 0.5, 0.2
    ts = torch.linspace(0, 2, 9, dtype=torch.float64)
    small, decay = 1e-3, 0.1
    omega = (9.81 / 0.5 - decay**2) ** 0.5
    expected = small * torch.exp(-decay * ts) * (torch.cos(omega * ts) + decay / omega * torch.sin(omega * ts))
    torch.testing.assert_close(pendulum(small, ts), expected, rtol=0, atol=1e-9)


def test_gradients_agree_with_finite_differences():
    pendulum = models.Pendulum(rtol=1e-10, atol=1e-12, dtype=torch.float64)
    ts = torch.linspace(0, 1, 3, dtype=torch.float64)
    start = torch.tensor([0.5, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda angle: pendulum(angle, ts), start)
