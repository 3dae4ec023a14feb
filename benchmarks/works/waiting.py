"""`waiting`: van der Pol, 256 samples whose mu lie log-uniformly between 0.1 and 100, or 1000: samples that need few
steps stand beside samples that need many, and lanes of one vector wait for the slowest of theirs.

Counts, no times. `lane steps` are the steps that all lanes make, waiting ones included: each vector makes as many as
its slowest sample, on every lane. Over the sum of the steps that the samples need (`own steps`) they say how much is
waited for; 1 is the floor. The first call packs samples as they come, a later one by the steps that they needed before.

For comparison, by computation from the same counts: samples that keep step with the whole batch, as under a `vmap`
whose loop runs until the last is done, make the largest count B times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal, Row
from benchmarks.work import OURS, Settings, Study, back_end

MODEL = Path(__file__).parents[1] / "models" / "van_der_pol.imp"
BATCH, END, TOLERANCE = 256, 20.0, 1e-6
PER_OWN = "lane steps an own step"


@dataclass(frozen=True)
class Mix:
    """A batch of samples with mu from 0.1 to `most`, the method it is given to, and the most that it may wait."""

    solver: str
    most: float
    limit: float


MIXES = (Mix("tsit5", 100, 1.3), Mix("auto", 1000, 1.5))


def rows(settings: Settings, batch: int = BATCH) -> Iterator[Row]:
    """Two rows for each mix: ours, with the counts of the first and of the second call, and the batch in lock-step."""
    import torch

    import implicitdsl

    model = implicitdsl.load(MODEL).VanDerPol
    for mix in MIXES:
        options = {"solver": mix.solver, "rtol": TOLERANCE, "atol": TOLERANCE, "dtype": torch.float64}
        layer = model(**options, **settings.layer())
        mu = torch.tensor(0.1 * (mix.most / 0.1) ** np.random.default_rng(0).uniform(size=batch))
        end = torch.tensor(END, dtype=torch.float64)
        layer(mu, end)
        first, own = _waiting(layer)
        layer(mu, end)
        later, _ = _waiting(layer)
        facts = {
            "backend": back_end(layer), "own steps": own, "lane steps": later,
            PER_OWN: round(later / own, 3), f"{PER_OWN}, first call": round(first / own, 3),
        }  # fmt: skip
        mode = f"mu 0.1 … {mix.most:g}"
        about = f"{mix.solver}, tolerance {TOLERANCE:g}"
        goal = Goal(limit=mix.limit, unit=PER_OWN)
        yield Row("waiting", mode, OURS, settings.threads, about=about, goals=(goal,), facts=facts)
        assert layer.last is not None
        worst = batch * int(layer.last.steps.max())
        locked = {"own steps": own, "lane steps": worst, PER_OWN: round(worst / own, 3)}
        yield Row("waiting", mode, "lock-step", settings.threads, about="computed from the same counts", facts=locked)


def _waiting(layer: Any) -> tuple[int, int]:
    """Steps that lanes made and that samples needed in the last call."""
    (entry,) = layer._binding._entries.values()
    return entry.engine.waiting()


WORKS = {
    "waiting": Study("waiting", "steps that lanes wait, 256 van der Pol oscillators between smooth and stiff", rows)
}
