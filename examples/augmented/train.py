"""The mirror x -> -x, learned by a neural ODE on the line, which cannot, and by one with a second dimension.

Paths on the line never cross, so the layer is a rising function, and the best rising function for -x on [-1, 1] is 0:
its mean square error is 1/3, and no training goes below.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import implicitdsl

HERE = Path(__file__).parent
BOUND = 1 / 3
"""The least mean square error of a rising function."""


def starts(count: int = 65) -> Tensor:
    """The midpoints of `count` equal parts of [-1, 1]."""
    return -1 + (2 * torch.arange(count, dtype=torch.float64) + 1) / count


def train(name: str, steps: int = 300, seed: int = 0) -> tuple[torch.nn.Module, list[float]]:
    """The layer `Line` or `Augmented`, trained, and its loss at every step."""
    torch.manual_seed(seed)
    make = getattr(implicitdsl.load(HERE / "mirror.imp"), name)
    layer = make(dtype=torch.float64, solver="tsit5", rtol=1e-4, atol=1e-4)
    x = starts()
    optimizer = torch.optim.Adam(layer.parameters(), lr=2e-2)
    losses: list[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (layer(x) + x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return layer, losses


def draw(path: Path, layers: dict[str, torch.nn.Module]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    x = starts()
    figure, axes = pyplot.subplots(figsize=(5, 4), layout="constrained")
    axes.plot(x.numpy(), -x.numpy(), "k--", linewidth=0.8, label="-x")
    for name, layer in layers.items():
        with torch.no_grad():
            axes.plot(x.numpy(), layer(x).numpy(), label=name)
    axes.set(xlabel="x", ylabel="end of the flow")
    axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--steps", type=int, default=300)
    steps = reader.parse_args().steps
    layers: dict[str, torch.nn.Module] = {}
    for name in ("Line", "Augmented"):
        layers[name], losses = train(name, steps)
        print(f"{name}: loss {losses[0]:.3f} -> {losses[-1]:.6f} (no rising function is below {BOUND:.6f})")
    picture = HERE / "out" / "mirror.png"
    draw(picture, layers)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
