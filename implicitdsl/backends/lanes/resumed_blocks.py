"""A function of `stiff_blocks.py` for a run that goes on where another method left it: compiled in its place."""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.solvers.stiffness import STEPS

Array = Any

states_of_model, max_steps = model["states"], model["max_steps"]


def limit(p: Array) -> Any:
    """The steps that a run may take: those made before count. What was handed over is the first argument."""
    return max_steps() - p[states_of_model() + STEPS]
