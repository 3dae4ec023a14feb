"""`growth`: how time and memory grow with the batch, with the number of states and with threads.

- batch: Lotka–Volterra (dopri5, tolerance 1e-6, 11 save times on [0, 2], float64), 1 … 10⁶ samples, forward, and with
  gradient up to 10⁵; linear from some thousands on, a constant below.
- states: dx/dt = tanh(W x), 64 samples, float64, 2 … 512 states, forward and gradient; W x is n² operations, so
  quadratic from where the product outweighs the rest.

Memory is the growth of the resident set over the calls of one point, with the bytes of inputs and results beside it.
The threads are those of the run: the picture lays the runs over each other.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import resident
from benchmarks.row import Row
from benchmarks.work import OURS, Settings, Study, back_end

MODEL = Path(__file__).parents[1] / "models" / "lotka_volterra.imp"
LINEAR = """
ode Cells[n](x0[n], ts[T]) -> [T, n] {
  param W[n, n] ~ normal(0, 0.1)
  state x[n] = x0
  dx/dt = tanh(W @ x)
  return x at ts
}
"""
BATCHES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
GRADIENTS_TO = 100_000
STATES = (2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = 1.0
OPTIONS: dict[str, Any] = {"solver": "dopri5", "rtol": 1e-6, "atol": 1e-6}


def _point(settings: Settings, mode: str, size: int, run: Callable[[], Any], moved: int, layer: Any) -> Row:
    """The best of several calls; the first one is not counted."""
    gc.collect()
    before = resident()
    run()
    taken: list[float] = []
    busy: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(taken) < 2 or (time.perf_counter() < end and len(taken) < 200):
        start, spent = time.perf_counter(), time.process_time()
        run()
        taken.append(1e3 * (time.perf_counter() - start))
        busy.append(1e3 * (time.process_time() - spent))
        if taken[-1] > 1e4:
            break
    grown = round(max(resident() - before, 0.0), 1)
    found = {"size": size, "resident MiB": grown, "data MiB": round(moved / 2**20, 3), "backend": back_end(layer)}
    best, median = round(min(taken), 4), round(sorted(taken)[len(taken) // 2], 4)
    return Row(
        "growth", mode, OURS, settings.threads, best=best, median=median, cpu=round(min(busy), 4), runs=len(taken),
        facts=found,
    )  # fmt: skip


def batches(settings: Settings, sizes: tuple[int, ...] = BATCHES) -> Iterator[Row]:
    """Points over the batch."""
    import torch

    import implicitdsl

    layer = implicitdsl.load(MODEL).Ensemble(dtype=torch.float64, **OPTIONS, **settings.layer())
    ts = torch.linspace(0, 2, 11, dtype=torch.float64)
    for size in sizes:
        draws = 1 + 0.1 * np.random.default_rng(0).standard_normal((size, 4))
        p = torch.tensor(np.array([1.5, 1.0, 3.0, 1.0]) * draws)
        y0 = torch.ones(size, 2, dtype=torch.float64)
        live = p.clone().requires_grad_()
        moved = 8 * size * (2 + 4 + 11 * 2)
        yield _point(settings, "batch, forward", size, lambda p=p, y0=y0: layer(y0, p, ts), moved, layer)
        if size <= GRADIENTS_TO:

            def gradient(live: Any = live, y0: Any = y0) -> Any:
                return torch.autograd.grad(layer(y0, live, ts).square().sum(), live)

            yield _point(settings, "batch, gradient", size, gradient, 2 * moved, layer)


def states(settings: Settings, sizes: tuple[int, ...] = STATES, batch: int = 64) -> Iterator[Row]:
    """Points over the number of states. One that the back end refuses has a row that says why."""
    import torch

    import implicitdsl

    ts = torch.linspace(0, 1, 3, dtype=torch.float64)
    for n in sizes:
        try:
            layer = implicitdsl.loads(LINEAR).Cells(n=n, dtype=torch.float64, **OPTIONS, **settings.layer())
        except implicitdsl.ImpError as error:
            note = error.diagnostics[0].message
            yield Row(
                "growth", "states, forward", OURS, settings.threads, status="failed", note=note, facts={"size": n}
            )
            continue
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            layer.W.copy_(torch.randn(n, n, generator=generator, dtype=torch.float64) / n**0.5)
        x0 = torch.randn(batch, n, generator=generator, dtype=torch.float64)
        moved = 8 * (n * n + batch * n * 4)

        def forward(layer: Any = layer, x0: Any = x0) -> Any:
            with torch.no_grad():
                return layer(x0, ts)

        def gradient(layer: Any = layer, x0: Any = x0) -> Any:
            return torch.autograd.grad(layer(x0, ts).square().sum(), layer.W)

        yield _point(settings, "states, forward", n, forward, moved, layer)
        yield _point(settings, "states, gradient", n, gradient, 2 * moved, layer)


def rows(settings: Settings) -> Iterator[Row]:
    """All points."""
    yield from batches(settings)
    yield from states(settings)


WORKS = {"growth": Study("growth", "time and memory over batch and states", rows)}
