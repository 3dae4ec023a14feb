"""Two half moons told apart by a classifier with an equilibrium layer inside.

The gradient goes through the fixed point by the implicit function theorem: no iteration is kept for backward.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

import implicitdsl

HERE = Path(__file__).parent


def two_moons(count: int, noise: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Points [count, 2] on two interleaved half circles with Gaussian noise, and their classes [count]."""
    angle = math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
    label = torch.arange(count) % 2
    upper = torch.stack([angle.cos(), angle.sin()], -1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], -1)
    points = torch.where((label == 0)[:, None], upper, lower)
    return points + noise * torch.randn(points.shape, generator=generator, dtype=torch.float64), label


def train(steps: int = 25, count: int = 48) -> tuple[torch.nn.Module, list[float], tuple[torch.Tensor, torch.Tensor]]:
    """The trained layer, the loss at every step, and the data."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    points, label = two_moons(count, 0.1, generator)
    layer = implicitdsl.load(HERE / "classifier.imp").Classifier(m=2, k=2, dtype=torch.float64)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.04)
    losses: list[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(points), label)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return layer, losses, (points, label)


def accuracy(layer: torch.nn.Module, points: torch.Tensor, label: torch.Tensor) -> float:
    """The share of points in their class."""
    with torch.no_grad():
        return float((layer(points).argmax(-1) == label).double().mean())


def draw(path: Path, layer: torch.nn.Module, points: torch.Tensor, label: torch.Tensor) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across, up = torch.linspace(-1.6, 2.6, 40, dtype=torch.float64), torch.linspace(-1.2, 1.7, 30, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), -1)
    with torch.no_grad():
        chance = layer(grid).softmax(-1)[..., 1]
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.contourf(across, up, chance, levels=20, cmap="RdBu", alpha=0.7)
    axes.scatter(points[:, 0], points[:, 1], c=label, cmap="RdBu", edgecolors="black")
    axes.set_title("probability of the second class")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    layer, losses, (points, label) = train()
    fresh = two_moons(200, 0.1, torch.Generator().manual_seed(1))
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {len(losses)} steps")
    print(f"accuracy {accuracy(layer, points, label):.3f} on the data, {accuracy(layer, *fresh):.3f} on fresh points")
    picture = HERE / "out" / "moons.png"
    draw(picture, layer, points, label)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
