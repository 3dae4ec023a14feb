"""Orbits from Kepler's equation, with speeds and accelerations from the layer's derivatives.

For a planet at (cos E - e, sqrt(1 - e²) sin E), in units where the semi-major axis and the mean motion are 1,
Newton's law says that the acceleration is -r/|r|³. The second derivative of the layer has to agree: the script prints
by how much.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

import implicitdsl

HERE = Path(__file__).parent


def orbit(layer: torch.nn.Module, times: torch.Tensor, eccentricity: torch.Tensor) -> torch.Tensor:
    """Positions [..., 2] at the times, by the layer."""
    anomaly = layer(times, eccentricity)
    return torch.stack([anomaly.cos() - eccentricity, (1 - eccentricity**2).sqrt() * anomaly.sin()], dim=-1)


def motion(
    layer: torch.nn.Module, times: torch.Tensor, eccentricity: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions, velocities and accelerations, each [..., 2]: the function and its first two derivatives in time."""
    times = times.clone().requires_grad_()
    place = orbit(layer, times, eccentricity)
    speed = [torch.autograd.grad(place[..., i].sum(), times, create_graph=True)[0] for i in range(2)]
    force = [torch.autograd.grad(v.sum(), times, retain_graph=True)[0] for v in speed]
    return place.detach(), torch.stack(speed, -1).detach(), torch.stack(force, -1).detach()


def law_error(place: torch.Tensor, force: torch.Tensor) -> float:
    """The largest difference between the accelerations and Newton's law, relative to the law."""
    law = -place / place.norm(dim=-1, keepdim=True) ** 3
    return float(((force - law).norm(dim=-1) / law.norm(dim=-1)).max())


def draw(path: Path, tracks: list[tuple[float, torch.Tensor]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for eccentricity, place in tracks:
        axes.plot(place[:, 0], place[:, 1], ".-", label=f"e = {eccentricity:g}")
    axes.plot(0, 0, "o", color="gold", markersize=12)
    axes.set(aspect="equal", title="equal steps of time on orbits of one period")
    axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    layer = implicitdsl.load(HERE / "kepler.imp").Kepler(dtype=torch.float64)
    times = torch.linspace(0, 2 * math.pi, 41, dtype=torch.float64)
    tracks: list[tuple[float, torch.Tensor]] = []
    for value in (0.0, 0.3, 0.6, 0.9):
        place, _, force = motion(layer, times, torch.tensor(value, dtype=torch.float64))
        print(f"e = {value:g}: acceleration against Newton's law, relative difference {law_error(place, force):.1e}")
        tracks.append((value, place))
    picture = HERE / "out" / "orbits.png"
    draw(picture, tracks)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
