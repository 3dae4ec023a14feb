"""A million weathers: how a small ball of starts spreads over the Lorenz attractor.

Trajectories are streamed: a chunk of them is integrated, counted into a picture and forgotten, so that memory does not
grow with their number. A start is a function of its own number alone: any chunk length gives the same picture.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import implicitdsl

HERE = Path(__file__).parent
CENTRE = (1.0, 1.0, 20.0)
RADIUS = 1e-3
EDGES = (np.linspace(-25, 25, 301), np.linspace(0, 50, 301))


def starts(first: int, last: int) -> torch.Tensor:
    """The starts of trajectories number first … last - 1, [last - first, 3]: a ball filled evenly, by the additive
    recurrence of the generalised golden ratio of three dimensions (M. Roberts, 2018)."""
    ratio = 1.2207440846057596  # the real root of x^4 = x + 1
    number = np.arange(first + 1, last + 1)[:, None]
    u = (0.5 + number * ratio ** -np.arange(1.0, 4.0)) % 1.0
    height, angle, depth = 2 * u[:, 0] - 1, 2 * np.pi * u[:, 1], np.cbrt(u[:, 2])
    across = np.sqrt(1 - height**2)
    points = depth[:, None] * np.stack([across * np.cos(angle), across * np.sin(angle), height], axis=1)
    return torch.from_numpy(np.array(CENTRE) + RADIUS * points)


def stream(count: int, chunk: int, span: float, *, progress: bool = False) -> tuple[NDArray[np.int64], float]:
    """How many of `count` trajectories end in each cell of the (x, z) plane, and the share that ends on the right."""
    layer = implicitdsl.load(HERE / "lorenz.imp").Lorenz(dtype=torch.float64, rtol=1e-6, atol=1e-6, on_fail="nan")
    layer.span.fill_(span)
    cells = np.zeros((len(EDGES[0]) - 1, len(EDGES[1]) - 1), np.int64)
    right = 0
    begun = time.perf_counter()
    with torch.no_grad():
        for first in range(0, count, chunk):
            last = min(first + chunk, count)
            end = layer(starts(first, last)).numpy()
            found, _, _ = np.histogram2d(end[:, 0], end[:, 2], bins=EDGES)
            cells += found.astype(np.int64)
            right += int((end[:, 0] > 0).sum())
            if progress:
                rate = last / (time.perf_counter() - begun)
                print(f"\r{last:,} of {count:,} trajectories, {rate:,.0f} a second ", end="", file=sys.stderr)
    if progress:
        print(file=sys.stderr)
    return cells, right / count


def draw(path: Path, cells: NDArray[np.int64], span: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import LogNorm

    figure, axes = pyplot.subplots(figsize=(6, 5), layout="constrained")
    axes.set_facecolor("black")
    picture = axes.pcolormesh(*EDGES, cells.T, norm=LogNorm(vmin=1), cmap="inferno", rasterized=True)
    axes.set(xlabel="x", ylabel="z", title=f"{cells.sum():,} trajectories after t = {span:g}")
    figure.colorbar(picture, label="trajectories in a cell")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--count", type=int, default=1_000_000)
    reader.add_argument("--chunk", type=int, default=20_000)
    reader.add_argument("--span", type=float, default=25.0)
    given = reader.parse_args()
    begun = time.perf_counter()
    cells, right = stream(given.count, given.chunk, given.span, progress=True)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{given.count:,} trajectories to t = {given.span:g} in {seconds:.1f} s, {peak:.0f} MiB at the peak")
    print(f"{right:.3f} of them end on the right; {np.count_nonzero(cells):,} cells are met")
    picture = HERE / "out" / "ensemble.png"
    draw(picture, cells, given.span)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
