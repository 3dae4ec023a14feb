"""`training_memory`: resident memory of a training loop after 1,000 and after 10,000 steps.

Lotka–Volterra, 8 samples, 5 save times, Adam on the starting populations: a loop that makes and drops a graph a step.
Floor: the difference should be nothing; allocators and caches are allowed 20 MiB.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import resident
from benchmarks.row import Goal, Row
from benchmarks.work import OURS, Settings, Study, back_end

MODEL = Path(__file__).parents[1] / "models" / "lotka_volterra.imp"
EARLY, LATE = 1_000, 10_000
ALLOWED = 20.0


def rows(settings: Settings, early: int = EARLY, late: int = LATE) -> Iterator[Row]:
    """One row: `MiB grown` between the two counts of steps; its time is that of one training step."""
    import torch

    import implicitdsl

    layer = implicitdsl.load(MODEL).Ensemble(dtype=torch.float64, rtol=1e-4, atol=1e-6, **settings.layer())
    truth = torch.tensor([1.5, 1.0, 3.0, 1.0], dtype=torch.float64).expand(8, 4)
    ts = torch.linspace(0, 1, 5, dtype=torch.float64)
    y0 = torch.linspace(0.5, 1.5, 16, dtype=torch.float64).reshape(8, 2)
    seen = layer(y0, truth, ts)
    start = torch.ones(8, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([start], lr=1e-2)
    marks: dict[int, float] = {}
    loss = torch.zeros(())
    clock = time.perf_counter()
    for step in range(1, late + 1):
        optimizer.zero_grad()
        loss = (layer(start, truth, ts) - seen).square().sum()
        loss.backward()
        optimizer.step()
        if step in (early, late):
            gc.collect()
            marks[step] = resident()
    each = 1e3 * (time.perf_counter() - clock) / late
    grown = round(marks[late] - marks[early], 2)
    facts = {
        "backend": back_end(layer), "MiB grown": grown, "MiB after 1,000": round(marks[early], 1),
        "loss": float(loss.detach()), "steps": late,
    }  # fmt: skip
    goal = Goal(limit=ALLOWED, unit="MiB grown")
    yield Row(
        "training_memory",
        "gradient",
        OURS,
        settings.threads,
        best=round(each, 4),
        runs=late,
        goals=(goal,),
        facts=facts,
    )


WORKS = {"training_memory": Study("training_memory", "resident memory over 10,000 training steps", rows)}
