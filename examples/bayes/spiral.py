"""A neural ODE with uncertain weights: stochastic gradient Langevin dynamics on noisy points of a spiral.

M. Welling and Y. W. Teh, "Bayesian learning via stochastic gradient Langevin dynamics", ICML 2011, with the diagonal
preconditioner of C. Li et al., AAAI 2016. Each step sees a batch of short pieces of the series; what is drawn are the
weights, and the bands are those of the curves that they give.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call

import implicitdsl

HERE = Path(__file__).parent
NOISE = 0.05
START = (1.3, 0.0)
PIECE = 10
"""Steps of time of a piece of the series."""


def read_series(count: int = 61, span: float = 6.0) -> tuple[Tensor, Tensor, Tensor]:
    """Times [count], the true curve and noisy points of it [count, 2]."""
    times = torch.linspace(0, span, count, dtype=torch.float64)
    truth = implicitdsl.load(HERE / "models.imp").Spiral(dtype=torch.float64, rtol=1e-9, atol=1e-9)
    curve = truth(torch.tensor(START, dtype=torch.float64), times)
    noise = torch.randn(curve.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return times, curve, curve + NOISE * noise


def make_layer(seed: int = 0) -> torch.nn.Module:
    """The net in the place of the right-hand side."""
    torch.manual_seed(seed)
    return implicitdsl.load(HERE / "models.imp").NeuralSpiral(dtype=torch.float64, solver="tsit5", rtol=1e-5, atol=1e-5)


def energy(layer: torch.nn.Module, weights: dict[str, Tensor], times: Tensor, points: Tensor, chosen: Tensor) -> Tensor:
    """Minus the log posterior of the weights, estimated from the pieces that begin at the numbers `chosen`."""
    starts = points[chosen]
    wanted = torch.stack([points[chosen + k] for k in range(1, PIECE + 1)], 1)
    found = functional_call(layer, weights, (starts, times[: PIECE + 1]))[:, 1:]
    pieces = len(points) - PIECE
    # A point lies in PIECE pieces, whose starts are noisy too.
    misfit = (found - wanted).square().sum() / (2 * (2 * NOISE**2) * PIECE) * (pieces / len(chosen))
    return misfit + sum(w.square().sum() for w in weights.values()) / 2


def sample(
    draws: int, warmup: int, *, every: int = 10, batch: int = 16, seed: int = 0
) -> tuple[torch.nn.Module, list[dict[str, Tensor]]]:
    """The layer, and draws of its weights, one every `every` steps after the warm-up."""
    generator = torch.Generator().manual_seed(seed)
    times, _, points = read_series()
    layer = make_layer(seed)
    weights = {name: value.detach().clone().requires_grad_() for name, value in layer.named_parameters()}
    second = {name: torch.zeros_like(value) for name, value in weights.items()}
    found: list[dict[str, Tensor]] = []
    descent = torch.optim.Adam(weights.values(), lr=1e-2)
    for step in range(warmup + every * draws):
        chosen = torch.randint(len(points) - PIECE, (batch,), generator=generator)
        slopes = torch.autograd.grad(energy(layer, weights, times, points, chosen), list(weights.values()))
        for held, slope in zip(second.values(), slopes, strict=True):
            held.mul_(0.99).addcmul_(slope, slope, value=0.01)
        if step < warmup:
            # To where the posterior lies, by plain descent.
            for weight, slope in zip(weights.values(), slopes, strict=True):
                weight.grad = slope
            descent.step()
            continue
        rate = 2e-3 * (1 + (step - warmup) / 300) ** -0.6
        for (name, weight), slope in zip(weights.items(), slopes, strict=True):
            scale = 1 / (1 + second[name].sqrt())
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.detach().add_(-rate / 2 * scale * slope + (rate * scale).sqrt() * noise)
        if (step - warmup) % every == every - 1:
            found.append({name: weight.detach().clone() for name, weight in weights.items()})
    return layer, found


def curves(layer: torch.nn.Module, found: list[dict[str, Tensor]], times: Tensor) -> Tensor:
    """The curves [draws, T, 2] of the weights drawn, from the true start."""
    start = torch.tensor(START, dtype=torch.float64)
    with torch.no_grad():
        return torch.stack([functional_call(layer, weights, (start, times)) for weights in found])


def draw(path: Path, layer: torch.nn.Module, found: list[dict[str, Tensor]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    times, curve, points = read_series()
    bands = curves(layer, found, times)
    figure, rows = pyplot.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
    for k, (axes, name) in enumerate(zip(rows, "uv", strict=True)):
        low, middle, high = (bands[..., k].quantile(q, dim=0).numpy() for q in (0.05, 0.5, 0.95))
        axes.fill_between(times.numpy(), low, high, alpha=0.4, color=f"C{k}", linewidth=0, label="90 % of the curves")
        axes.plot(times.numpy(), middle, color=f"C{k}", label="median")
        axes.plot(times.numpy(), curve[:, k].numpy(), "k--", linewidth=0.8, label="truth")
        axes.plot(times.numpy(), points[:, k].numpy(), "k.", markersize=3, label="data")
        axes.set_ylabel(name)
    rows[0].legend(loc="upper right", ncols=4)
    rows[1].set_xlabel("time")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--draws", type=int, default=100)
    reader.add_argument("--warmup", type=int, default=2000)
    given = reader.parse_args()
    begun = time.perf_counter()
    layer, found = sample(given.draws, given.warmup)
    times, curve, _ = read_series()
    bands = curves(layer, found, times)
    low, high = bands.quantile(0.05, dim=0), bands.quantile(0.95, dim=0)
    inside = ((low <= curve) & (curve <= high)).double().mean()
    error = (bands.median(0).values - curve).square().mean().sqrt()
    print(f"{given.draws} draws in {time.perf_counter() - begun:.1f} s")
    print(
        f"median curve off by {error:.3f} (noise of a point: {NOISE}); truth inside 90 % bands at {inside:.0%} of times"
    )
    picture = HERE / "out" / "spiral.png"
    draw(picture, layer, found)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
