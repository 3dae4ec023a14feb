"""Stripes that spread along a line, and what their wave number depends on.

The line is cut into N cells with two chemicals in each: 1,000 unknowns for N = 500, stiff by diffusion. A rate of
change depends on four unknowns at most, and the solver holds no more of the Jacobian than that. The wave number of the
end state is differentiated with respect to the logarithms of the four rates, back through all steps, and compared with
central differences.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import implicitdsl

HERE = Path(__file__).parent
NAMES = ("a", "b", "slow", "fast")
RATES = (4.5, 7.5, 1e-4, 8e-4)
TIMES = 401


def stripes(cells: int, *, rtol: float = 1e-6) -> Any:
    """The layer for that many cells: rates [4] and times [T] give both chemicals, [T, cells] each."""
    model = implicitdsl.load(HERE / "brusselator.imp").Brusselator
    return model(N=cells, dtype=torch.float64, rtol=rtol, atol=1e-2 * rtol)


def wave_number(u: torch.Tensor) -> torch.Tensor:
    """The root mean square of the slope of u [..., N] beside that of its swing: k for u = cos(k*x)."""
    swing = u - u.mean(-1, keepdim=True)
    slope = torch.diff(u) * u.shape[-1]
    return (slope.square().mean(-1) / swing.square().mean(-1)).sqrt()


def linear_wave_number(rates: torch.Tensor) -> float:
    """That of the stripes which grow first from the even state: k^2 = a/sqrt(slow*fast)."""
    a, _, slow, fast = rates.tolist()
    return math.sqrt(a / math.sqrt(slow * fast))


def slopes(layer: Any, rates: torch.Tensor, end: float) -> tuple[float, torch.Tensor]:
    """The wave number at that time, and its derivatives with respect to the logarithms of the rates, [4]."""
    log = rates.log().requires_grad_()
    found = wave_number(layer(log.exp(), torch.tensor([0.0, end], dtype=torch.float64))[0][1])
    (slope,) = torch.autograd.grad(found, log)
    return found.item(), slope


def differences(layer: Any, rates: torch.Tensor, end: float, step: float = 1e-4) -> torch.Tensor:
    """The same derivatives by central differences, from eight samples in one call."""
    moves = step * torch.cat([torch.eye(4, dtype=torch.float64), -torch.eye(4, dtype=torch.float64)])
    with torch.no_grad():
        u, _ = layer((rates.log() + moves).exp(), torch.tensor([0.0, end], dtype=torch.float64))
        high, low = wave_number(u[:, 1]).chunk(2)
    return (high - low) / (2 * step)


def draw(path: Path, u: torch.Tensor, end: float, slope: torch.Tensor) -> None:
    """The first chemical over space and time, its end state, and the derivatives."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (picture, line, bars) = pyplot.subplots(
        3, 1, figsize=(7, 7.5), layout="constrained", height_ratios=(3, 1, 1)
    )
    shown = picture.imshow(u.numpy().T, extent=(0, end, 0, 1), origin="lower", aspect="auto", cmap="magma")
    picture.set(xlabel="t", ylabel="x", title=f"Stripes of the Brusselator, {2 * u.shape[1]:,} unknowns")
    figure.colorbar(shown, ax=picture, label="u")
    line.plot((np.arange(u.shape[1]) + 0.5) / u.shape[1], u[-1].numpy(), lw=1, color="tab:red")
    line.set(xlabel="x", ylabel="u", xlim=(0, 1), title=f"t = {end:g}")
    bars.barh(NAMES, slope.numpy(), color="tab:blue")
    bars.axvline(0, color="black", lw=0.5)
    bars.set(xlabel="derivative of the wave number with respect to the logarithm of a rate")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--cells", type=int, default=500)
    reader.add_argument("--end", type=float, default=50.0)
    given = reader.parse_args()
    layer = stripes(given.cells)
    for count in (TIMES, 2):
        layer.prepare(T=count)
    rates = torch.tensor(RATES, dtype=torch.float64)
    begun = time.perf_counter()
    with torch.no_grad():
        u, _ = layer(rates, torch.linspace(0.0, given.end, TIMES, dtype=torch.float64))
    seconds = time.perf_counter() - begun
    print(f"{2 * given.cells:,} unknowns to t = {given.end:g}: {int(layer.last.steps)} steps in {seconds:.2f} s")
    begun = time.perf_counter()
    found, slope = slopes(layer, rates, given.end)
    seconds = time.perf_counter() - begun
    first = linear_wave_number(rates)
    print(f"wave number {found:.2f} (stripes that grow first: {first:.2f}), gradient in {seconds:.2f} s")
    print("rate  derivative by its logarithm  by central differences")
    for name, one, other in zip(NAMES, slope.tolist(), differences(layer, rates, given.end).tolist(), strict=True):
        print(f"{name:>4}  {one:27.4f}  {other:22.4f}")
    picture = HERE / "out" / "stripes.png"
    draw(picture, u, given.end, slope)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
