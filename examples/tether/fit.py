"""A pendulum in the plane that hits a wall: where the wall is and what a bounce leaves, from noisy places of the bob.

The tension of the thread is an algebraic unknown. It jumps at each bounce, as the speed does; what an event leaves is
made consistent before the run goes on, and the gradient of the least squares goes through that exactly. The script
makes its own data, with known answers, and prints the fitted values with their standard errors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import least_squares

import implicitdsl

HERE = Path(__file__).parent
TRUTH = {"wall": -0.25, "e": 0.8, "g": 9.81}
GUESS = (-0.2, 0.65, 9.3)
NOISE = 0.005


def make_layer(**options: object) -> torch.nn.Module:
    return implicitdsl.load(HERE / "tether.imp").Tether(rtol=1e-9, atol=1e-9, dtype=torch.float64, **options)


def observe(layer: torch.nn.Module, count: int = 40, seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Times over three seconds, and places with an error of five millimetres."""
    times = torch.linspace(0, 3, count, dtype=torch.float64)
    noise = NOISE * torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return times, layer(*TRUTH.values(), times)[:, 0] + noise


def fit(layer: torch.nn.Module, times: torch.Tensor, seen: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The values of least squares, and their standard errors."""

    def places(values: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return (layer(*torch.tensor(values), times)[:, 0] - seen).numpy()

    def slopes(values: np.ndarray) -> np.ndarray:
        # One backward pass for all places: the layer runs once for each.
        copies = torch.tensor(values).expand(len(times), -1).clone().requires_grad_()
        found = layer(*copies.unbind(-1), times)[:, :, 0].diagonal()
        return torch.autograd.grad(found.sum(), copies)[0].numpy()

    found = least_squares(places, GUESS, jac=slopes, method="lm", xtol=1e-10)
    print(f"  {found.nfev} runs, root mean square {np.sqrt(np.mean(found.fun**2)):.5f} m")
    return found.x, NOISE * np.sqrt(np.linalg.inv(found.jac.T @ found.jac).diagonal())


def draw(path: Path, layer: torch.nn.Module, values: np.ndarray, times: torch.Tensor, seen: torch.Tensor) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fine = torch.linspace(0, float(times[-1]), 400, dtype=torch.float64)
    with torch.no_grad():
        place, pull = layer(*torch.tensor(values), fine).unbind(-1)
    figure, (above, below) = pyplot.subplots(2, sharex=True, figsize=(6, 4.5), layout="constrained")
    above.plot(fine, place, label="fitted")
    above.plot(times, seen, ".", label="observed")
    above.axhline(values[0], color="grey", linewidth=0.8, label="wall")
    above.set(ylabel="x, m", title="a pendulum beside a wall")
    above.legend(loc="upper right")
    below.plot(fine, pull, color="tab:red")
    below.set(xlabel="time, s", ylabel="tension, m/s²")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    layer = make_layer()
    times, seen = observe(layer)
    values, errors = fit(layer, times, seen)
    print(f"bounces: {layer.last.fired.reshape(-1)[0]}")
    for name, value, error in zip(TRUTH, values, errors, strict=True):
        print(f"{name} = {value:.4f} ± {error:.4f} (true: {TRUTH[name]})")
    picture = HERE / "out" / "tether.png"
    draw(picture, layer, values, times, seen)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
