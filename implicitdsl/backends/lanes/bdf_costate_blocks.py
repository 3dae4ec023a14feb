"""A function of `costate_blocks.py` for backward differentiation: compiled in its place, the rest being
`stiff_costate_blocks.py`."""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.solvers.bdf_row import remake_step

Array = Any

rhs, linearise, states_of_model = model["rhs"], model["linearise"], model["states"]
rtol, atol, mass, pattern = model["rtol"], model["atol"], model["mass"], model["pattern"]


def remake(
    p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array, k: Array
) -> Any:
    return remake_step(
        rhs, linearise, states_of_model(), mass(p), pattern(p), p, rtol(p), atol(p), t_hi, h, end_hi, live, row, grid,
        states, k,
    )  # fmt: skip
