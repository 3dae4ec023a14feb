"""A function of `costate_blocks.py` for ESDIRK methods: compiled in its place, the rest being
`stiff_costate_blocks.py`."""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.esdirk_blocks import LAST_STAGE
from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import stages
from implicitdsl.backends.lanes.stiff_blocks import GAMMA
from implicitdsl.solvers.esdirk_row import remake_step

Array = Any

rhs, linearise, states_of_model = model["rhs"], model["linearise"], model["states"]
rtol, atol, mass, pattern = model["rtol"], model["atol"], model["mass"], model["pattern"]
tableau_couple, tableau_predict, tableau_c = (model[f"tableau_{part}"] for part in ("couple", "predict", "c"))


def remake(
    p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array, k: Array
) -> Any:
    return remake_step(
        rhs, linearise, states_of_model(), mass(p), pattern(p), p, LAST_STAGE, stages(), GAMMA, tableau_couple(p),
        tableau_predict(p), tableau_c(p), rtol(p), atol(p), t_hi, t_lo, h, end_hi, live, row, states, k,
    )  # fmt: skip
