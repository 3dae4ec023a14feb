"""A latent ODE on spirals seen at irregular times: what is between and after the points is filled in.

A recurrent net of torch reads the points of a spiral backwards in time and gives a distribution of the latent start;
the layer runs from a draw of it; all is trained by the evidence lower bound. Every spiral has times of its own, and the
layer takes them as they are, one row a sample.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import implicitdsl

HERE = Path(__file__).parent
NOISE = 0.05
SPAN = 6.0
SEEN = 20
"""Points of a spiral, at times in the first two thirds of the span."""
K = 4


@dataclass(frozen=True)
class Spirals:
    """Times [B, SEEN] that rise, points there with noise [B, SEEN, 2], and what tells the whole curve [B, 3]."""

    times: Tensor
    points: Tensor
    shape: Tensor

    def curve(self, times: Tensor) -> Tensor:
        """The true curves [B, T, 2] at times [T] or [B, T]: radius a + b*t, turning one way or the other."""
        a, b, sense = self.shape[:, None].unbind(-1)
        radius, angle = a + b * times, sense * (0.6 * times + 0.5)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], -1)


def read_spirals(count: int, seed: int) -> Spirals:
    """Spirals that turn either way."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    shape = torch.stack([0.4 + 0.3 * u[:, 0], 0.12 + 0.1 * u[:, 1], torch.where(u[:, 2] < 0.5, -1.0, 1.0)], -1)
    times = (SPAN * 2 / 3 * torch.rand(count, SEEN, generator=generator, dtype=torch.float64)).sort(-1).values
    empty = Spirals(times, times, shape)
    noise = torch.randn(count, SEEN, 2, generator=generator, dtype=torch.float64)
    return Spirals(times, empty.curve(times) + NOISE * noise, shape)


class Model(nn.Module):
    """The encoder and the layer."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.encoder = nn.GRU(3, hidden, batch_first=True, dtype=torch.float64)
        self.head = nn.Linear(hidden, 2 * K, dtype=torch.float64)
        models = implicitdsl.load(HERE / "latent.imp")
        self.layer = models.Latent(k=K, dtype=torch.float64, rtol=1e-4, atol=1e-4)

    def encode(self, seen: Spirals) -> tuple[Tensor, Tensor]:
        """Mean and log of the standard deviation of the latent start [B, K]."""
        gaps = seen.times.diff(dim=-1, append=seen.times[:, -1:])
        given = torch.cat([seen.points, gaps[..., None]], -1).flip(1)
        return self.head(self.encoder(given)[0][:, -1]).chunk(2, -1)

    def loss(self, seen: Spirals, weight: float, generator: torch.Generator) -> Tensor:
        """Minus the evidence lower bound a point; `weight` scales the divergence from the prior."""
        mean, log_std = self.encode(seen)
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        found = self.layer(mean + log_std.exp() * noise, seen.times)
        misfit = (found - seen.points).square().sum((-1, -2)) / (2 * NOISE**2)
        divergence = 0.5 * (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
        return (misfit + weight * divergence).mean() / SEEN

    def fill(self, seen: Spirals, times: Tensor) -> Tensor:
        """The curves [B, T, 2] of the mean latent starts."""
        with torch.no_grad():
            return self.layer(self.encode(seen)[0], times)


def train(steps: int = 1200, batch: int = 64, seed: int = 0) -> tuple[Model, list[float]]:
    """The trained model, and its loss at every step."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model, data = Model(), read_spirals(400, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    losses: list[float] = []
    for step in range(steps):
        rows = torch.randint(400, (batch,), generator=generator)
        chosen = Spirals(data.times[rows], data.points[rows], data.shape[rows])
        optimizer.zero_grad()
        loss = model.loss(chosen, min(1.0, step / 200), generator)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if sys.stderr.isatty() and step % 20 == 0:
            print(f"\rstep {step} of {steps}, loss {losses[-1]:.2f} ", end="", file=sys.stderr)
    return model, losses


def errors(model: Model, fresh: Spirals) -> tuple[float, float]:
    """The root mean square error on spirals never seen: between the points, and in the last third of the span."""
    times = torch.linspace(0, SPAN, 91, dtype=torch.float64)
    off = (model.fill(fresh, times) - fresh.curve(times)).square().sum(-1)
    return float(off[:, :61].mean().sqrt()), float(off[:, 61:].mean().sqrt())


def draw(path: Path, model: Model, fresh: Spirals) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    times = torch.linspace(0, SPAN, 91, dtype=torch.float64)
    filled, true = model.fill(fresh, times).numpy(), fresh.curve(times).numpy()
    figure, row = pyplot.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
    for k, axes in enumerate(row):
        axes.plot(*true[k].T, "k--", linewidth=0.8, label="truth")
        axes.plot(*filled[k, :61].T, color="C0", label="filled in")
        axes.plot(*filled[k, 60:].T, color="C3", label="foretold")
        axes.plot(*fresh.points[k].numpy().T, "k.", markersize=4, label="seen")
        axes.set(aspect="equal", xticks=[], yticks=[])
    row[0].legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--steps", type=int, default=1200)
    model, losses = train(reader.parse_args().steps)
    fresh = read_spirals(200, 1)
    between, after = errors(model, fresh)
    print(f"loss {losses[0]:.1f} -> {losses[-1]:.2f}")
    print(f"fresh spirals: off by {between:.3f} between the points (their noise: {NOISE}), by {after:.3f} after them")
    picture = HERE / "out" / "latent.png"
    draw(picture, model, fresh)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
