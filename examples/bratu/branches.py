"""Bratu's problem: two temperatures for one strength of reaction, up to the strength at which a slab explodes.

For a given temperature in the middle there is one strength, so the whole curve comes out of one batch, the fold and
all. The fold is where d strength / d middle = 0: Newton's method finds it with the layer's second derivative.
"""

from __future__ import annotations

from pathlib import Path

import torch

import implicitdsl

HERE = Path(__file__).parent


def make_layer() -> torch.nn.Module:
    return implicitdsl.load(HERE / "bratu.imp").Burning(dtype=torch.float64)


def strength(layer: torch.nn.Module, middle: torch.Tensor) -> torch.Tensor:
    """The strength of the reaction at which the middle is that hot, in the shape of `middle`."""
    return layer(middle, torch.zeros(1, dtype=torch.float64))[0][..., 0]


def fold(layer: torch.nn.Module, middle: float = 1.0) -> tuple[float, float]:
    """The temperature in the middle and the strength beyond which there is no steady state."""
    place = torch.tensor(middle, dtype=torch.float64, requires_grad=True)
    for _ in range(8):
        (slope,) = torch.autograd.grad(strength(layer, place), place, create_graph=True)
        (bend,) = torch.autograd.grad(slope, place)
        place = (place - slope / bend).detach().requires_grad_()
    return place.item(), strength(layer, place).item()


def curve(layer: torch.nn.Module, middle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The strengths along the curve, and their derivatives by the temperature in the middle."""
    middle = middle.clone().requires_grad_()
    found = strength(layer, middle)
    (slope,) = torch.autograd.grad(found.sum(), middle)
    return found.detach(), slope


def draw(path: Path, layer: torch.nn.Module) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    middle = torch.linspace(0.02, 6, 160, dtype=torch.float64)
    found, _ = curve(layer, middle)
    hottest, largest = fold(layer)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    left.plot(found, middle)
    left.plot(largest, hottest, "o", label=f"the fold, at {largest:.9f}")
    left.set(xlabel="strength of the reaction", ylabel="temperature in the middle")
    left.legend(loc="lower left")
    ts = torch.linspace(0, 1, 101, dtype=torch.float64)
    some = torch.tensor([0.3, hottest, 3.0, 5.0], dtype=torch.float64)
    strengths, profiles = layer(some, ts)
    for value, profile in zip(strengths[:, 0].tolist(), profiles.detach(), strict=True):
        right.plot(ts, profile, label=f"strength {value:.3f}")
    right.set(xlabel="place between the walls", ylabel="temperature")
    right.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    layer = make_layer()
    hottest, largest = fold(layer)
    print(f"steady states exist up to strength {largest:.9f}, where the middle is at {hottest:.9f}")
    picture = HERE / "out" / "branches.png"
    draw(picture, layer)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
