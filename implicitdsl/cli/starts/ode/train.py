"""Fit the pendulum of model.imp to measured angles: python train.py"""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def measure(times, *, length=0.6, friction=0.3, noise=0.01):
    """Angles of a pendulum whose length and friction we pretend not to know. Put your own data here."""
    truth = models.Pendulum(dtype=torch.float64)
    truth.length, truth.friction = length, friction
    with torch.no_grad():
        angles = truth(1.0, times)
    return angles + noise * torch.randn(angles.shape, generator=torch.Generator().manual_seed(0), dtype=angles.dtype)


def train(times, angles, *, steps=20):
    """The pendulum whose angles are nearest to those measured."""
    pendulum = models.Pendulum(dtype=torch.float64)
    optimizer = torch.optim.LBFGS(pendulum.parameters(), max_iter=4, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = (pendulum(1.0, times) - angles).square().mean()
        value.backward()
        return value

    before = float("inf")
    for step in range(steps):
        optimizer.step(loss)
        now = loss().item()
        print(f"step {step}: loss {now:.3e}, length {pendulum.length:.4f}, friction {pendulum.friction:.4f}")
        if before - now <= 1e-9 * now:
            break
        before = now
    return pendulum


if __name__ == "__main__":
    times = torch.linspace(0, 3, 31, dtype=torch.float64)
    pendulum = train(times, measure(times))
    state = Path(__file__).with_name("trained.pt")
    torch.save(pendulum.state_dict(), state)
    print(f"saved {state.name}; look at it:")
    print(f"  implicitdsl plot model.imp angle0=1 'ts=linspace(0, 3, 200)' --state {state.name} -o fit.png")
