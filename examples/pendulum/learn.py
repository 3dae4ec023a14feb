"""A pendulum from noisy angles: a second-order neural ODE against known physics with a net for the friction.

Both are trained by multiple shooting (H. G. Bock, 1983): the long series is cut into short pieces, each with a start
of its own that is learned too, all pieces are one batch of the layer, and the end of a piece is drawn to the start of
the next. One long shot from the first start would have a loss full of valleys. The test is the part nobody has seen.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import implicitdsl

HERE = Path(__file__).parent
NOISE = 0.03
STEP = 0.08
TRAINED, UNSEEN = 160, 80
PIECE = 8
"""Steps of a piece; `TRAINED` is a multiple of it."""


@dataclass(frozen=True)
class Series:
    """Times [N + 1], the true motion [N + 1, 2] and the angles measured [N + 1]."""

    times: Tensor
    motion: Tensor
    angles: Tensor


def read_series() -> Series:
    """Angles with noise; the first `TRAINED` steps are for training."""
    times = STEP * torch.arange(TRAINED + UNSEEN + 1, dtype=torch.float64)
    truth = implicitdsl.load(HERE / "pendulum.imp").Truth(dtype=torch.float64, rtol=1e-9, atol=1e-9)
    motion = truth(torch.tensor([2.6, 0.0], dtype=torch.float64), times)
    noise = torch.randn(len(times), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Series(times, motion, motion[:, 0] + NOISE * noise)


def make_layer(name: str, seed: int = 0) -> torch.nn.Module:
    """`SecondOrder` or `Hybrid`, untrained."""
    torch.manual_seed(seed)
    make = getattr(implicitdsl.load(HERE / "pendulum.imp"), name)
    return make(dtype=torch.float64, solver="tsit5", rtol=1e-5, atol=1e-5)


def shooting_loss(layer: torch.nn.Module, starts: Tensor, series: Series, weight: float) -> Tensor:
    """The misfit of all pieces to their angles, plus `weight` times the jumps between them, in units of the noise."""
    runs = layer(starts, series.times[: PIECE + 1])
    wanted = series.angles[: TRAINED + 1].unfold(0, PIECE + 1, PIECE)
    misfit = (runs[..., 0] - wanted).square().mean()
    jumps = (runs[:-1, -1] - starts[1:]).square().mean()
    return (misfit + weight * jumps) / NOISE**2


def first_starts(series: Series) -> Tensor:
    """Starts of the pieces [pieces, 2] from angles and their differences."""
    at = torch.arange(0, TRAINED, PIECE)
    rates = torch.gradient(series.angles, spacing=STEP)[0]
    return torch.stack([series.angles[at], rates[at]], -1)


def train(layer: torch.nn.Module, series: Series, steps: int = 800) -> tuple[Tensor, list[float]]:
    """Trains in place; the starts of the pieces, and the loss at every step."""
    starts = first_starts(series).requires_grad_()
    optimizer = torch.optim.Adam([*layer.parameters(), starts], lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    losses: list[float] = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = shooting_loss(layer, starts, series, weight=10 ** (3 * step / steps))
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if sys.stderr.isatty() and step % 20 == 0:
            print(f"\rstep {step} of {steps}, loss {losses[-1]:.2f} ", end="", file=sys.stderr)
    return starts.detach(), losses


def forecast(layer: torch.nn.Module, starts: Tensor, series: Series) -> Tensor:
    """The motion [UNSEEN + 1, 2] after the trained part, from the end of the last piece."""
    with torch.no_grad():
        end = layer(starts[-1], series.times[: PIECE + 1])[-1]
        return layer(end, series.times[: UNSEEN + 1])


def error(motion: Tensor, series: Series) -> float:
    """The root mean square of the angle's error over the unseen part."""
    return float((motion[:, 0] - series.motion[TRAINED:, 0]).square().mean().sqrt())


def draw(path: Path, series: Series, forecasts: dict[str, Tensor]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 3.5), layout="constrained")
    axes.plot(series.times.numpy(), series.motion[:, 0].numpy(), "k", linewidth=0.8, label="truth")
    axes.plot(series.times[:TRAINED].numpy(), series.angles[:TRAINED].numpy(), "k.", markersize=3, label="measured")
    for name, motion in forecasts.items():
        axes.plot(series.times[TRAINED:].numpy(), motion[:, 0].numpy(), label=f"forecast: {name}")
    axes.axvline(float(series.times[TRAINED]), color="grey", linestyle=":")
    axes.set(xlabel="time in s", ylabel="angle")
    axes.legend(loc="upper right", ncols=2)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--steps", type=int, default=800)
    steps = reader.parse_args().steps
    series = read_series()
    forecasts: dict[str, Tensor] = {}
    for name in ("SecondOrder", "Hybrid"):
        layer = make_layer(name)
        starts, losses = train(layer, series, steps)
        forecasts[name] = forecast(layer, starts, series)
        off = error(forecasts[name], series)
        print(f"{name}: loss {losses[0]:.1f} -> {losses[-1]:.2f}, error of the forecast {off:.3f}")
        if name == "Hybrid":
            print(f"length {layer.length.item():.3f} (true: 1.2)")
    picture = HERE / "out" / "pendulum.png"
    draw(picture, series, forecasts)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
