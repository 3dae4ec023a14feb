"""Two densities learned by continuous normalising flows: two half moons and eight Gaussians.

Both true densities are known, so that what is learned is measured against them: the figure printed is the mean of
log p(x) - log p_model(x) over fresh points x, the Kullback–Leibler divergence in nats, which is 0 for a perfect model.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import implicitdsl

HERE = Path(__file__).parent
NOISE = 0.1
RADIUS, WIDTH = 2.0, 0.3
Generator = torch.Generator


@dataclass(frozen=True)
class Density:
    """A distribution in the plane: points [count, 2] from a generator, and the log density [...] at points [..., 2]."""

    name: str
    sample: Callable[[int, Generator], Tensor]
    log: Callable[[Tensor], Tensor]


def arcs(angle: Tensor) -> Tensor:
    """The middle lines of the two moons at angles [k] in (0, pi): [2, k, 2], centred at the origin."""
    upper = torch.stack([angle.cos(), angle.sin()], -1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], -1)
    return 1.4 * (torch.stack([upper, lower]) - torch.tensor([0.5, 0.25], dtype=torch.float64))


def draw_moons(count: int, generator: Generator) -> Tensor:
    angle = math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
    which = torch.randint(2, (count,), generator=generator)
    points = arcs(angle)[which, torch.arange(count)]
    return points + NOISE * torch.randn(count, 2, generator=generator, dtype=torch.float64)


def log_moons(points: Tensor) -> Tensor:
    """The density is an integral over both arcs, here by the midpoint rule."""
    count = 100
    middles = arcs(math.pi * (torch.arange(count, dtype=torch.float64) + 0.5) / count).reshape(-1, 2)
    return log_mixture(points, middles, NOISE)


def centres() -> Tensor:
    angle = 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8
    return RADIUS * torch.stack([angle.cos(), angle.sin()], -1)


def draw_gaussians(count: int, generator: Generator) -> Tensor:
    which = torch.randint(8, (count,), generator=generator)
    return centres()[which] + WIDTH * torch.randn(count, 2, generator=generator, dtype=torch.float64)


def log_mixture(points: Tensor, middles: Tensor, width: float) -> Tensor:
    """The log density of equal Gaussians of one width around middles [k, 2]."""
    distance = (points[..., None, :] - middles).square().sum(-1)
    norm = math.log(len(middles) * 2 * math.pi * width**2)
    return (-distance / (2 * width**2)).logsumexp(-1) - norm


DENSITIES = (
    Density("two moons", draw_moons, log_moons),
    Density("eight Gaussians", draw_gaussians, lambda points: log_mixture(points, centres(), WIDTH)),
)


def log_model(layer: torch.nn.Module, points: Tensor, **options: int) -> Tensor:
    """log p_model at points [..., 2]."""
    end, gain = layer(points, **options)
    return gain - end.square().sum(-1) / 2 - math.log(2 * math.pi)


def divergence(layer: torch.nn.Module, density: Density, count: int = 4000) -> tuple[float, float]:
    """The Kullback–Leibler divergence from the truth to the model, in nats, and its standard error."""
    points = density.sample(count, Generator().manual_seed(99))
    with torch.no_grad():
        excess = density.log(points) - log_model(layer, points)
    return float(excess.mean()), float(excess.std() / math.sqrt(count))


def train(density: Density, *, steps: int = 600, batch: int = 256, probes: int = 0, seed: int = 0) -> torch.nn.Module:
    """A flow trained by maximum likelihood; `probes` > 0 trains with the estimated trace. Returns the exact flow."""
    torch.manual_seed(seed)
    models = implicitdsl.load(HERE / "flow.imp")
    exact = models.Flow(n=2, dtype=torch.float64, rtol=1e-4, atol=1e-4)
    layer = exact
    if probes:
        layer = models.Estimated(n=2, k=probes, dtype=torch.float64, rtol=1e-4, atol=1e-4)
        layer.load_state_dict(exact.state_dict())
    generator = Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss = -log_model(layer, density.sample(batch, generator)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(layer.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if sys.stderr.isatty() and step % 20 == 0:
            print(f"\r{density.name}: step {step} of {steps}, loss {loss.item():.3f} ", end="", file=sys.stderr)
    exact.load_state_dict(layer.state_dict())
    return exact


def samples(layer: torch.nn.Module, count: int) -> Tensor:
    """Points of the model: normal ones, carried back."""
    back = implicitdsl.load(HERE / "flow.imp").Back(n=2, dtype=torch.float64)
    back.load_state_dict(layer.state_dict())
    with torch.no_grad():
        return back(torch.randn(count, 2, generator=Generator().manual_seed(7), dtype=torch.float64))


def grid(size: int = 121, reach: float = 3.2) -> tuple[Tensor, Tensor]:
    """A square grid [size, size, 2] around the origin, and its one axis."""
    axis = torch.linspace(-reach, reach, size, dtype=torch.float64)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1), axis


def draw(path: Path, flows: list[tuple[Density, torch.nn.Module]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points, axis = grid()
    figure, rows = pyplot.subplots(len(flows), 3, figsize=(9, 3 * len(flows)), layout="constrained", squeeze=False)
    for row, (density, layer) in zip(rows, flows, strict=True):
        with torch.no_grad():
            learned = log_model(layer, points).exp()
        for axes, picture, title in ((row[0], density.log(points).exp(), "true density"), (row[1], learned, "learned")):
            axes.pcolormesh(axis.numpy(), axis.numpy(), picture.numpy(), cmap="magma", rasterized=True)
            axes.set_title(f"{density.name}: {title}")
        found = samples(layer, 3000).numpy()
        reach = (float(axis[0]), float(axis[-1]))
        row[2].scatter(found[:, 0], found[:, 1], s=2, color="black", alpha=0.4, linewidths=0)
        row[2].set(title="samples of the flow", xlim=reach, ylim=reach)
        for axes in row:
            axes.set(xticks=[], yticks=[], aspect="equal")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    flows = []
    for density in DENSITIES:
        layer = train(density)
        gap, error = divergence(layer, density)
        print(f"{density.name}: {gap:.3f} ± {error:.3f} nats from the truth, trained with the exact trace")
        flows.append((density, layer))
    gap, error = divergence(train(DENSITIES[1], probes=1), DENSITIES[1])
    print(f"{DENSITIES[1].name}: {gap:.3f} ± {error:.3f} nats from the truth, trained with one probe")
    picture = HERE / "out" / "flows.png"
    draw(picture, flows)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
