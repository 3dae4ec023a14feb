"""Smooth `argmin` for a range of blocks of samples; arrays as in `root_blocks.py`.

The answer is a root of the gradient, so its derivatives are those of `root_blocks.py`.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.root_blocks import FACTS, finish
from implicitdsl.solvers.block_minimise import block_minimise
from implicitdsl.solvers.vocabulary import view

Array = Any

states, size_p, size_out, size_conditions = (
    model[name] for name in ("states", "size_p", "size_out", "size_conditions")
)
max_steps, rtol = model["max_steps"], model["rtol"]
start, objective, residual, residual_jacobian, residual_along = (
    model[name] for name in ("start", "objective", "residual", "residual_jacobian", "residual_along")
)
conditions = model["conditions"]


def minimise(
    first: int, last: int, p_all: Array, z_all: Array, out_all: Array, facts_all: Array, bounds: Array, work: Array
) -> int:  # fmt: skip
    """Minimisers by Newton's method, and what convexity hangs on behind the facts of each sample; there are no
    bounds."""
    n, size = states(), FACTS + size_conditions()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        facts = view(facts_all, block * size, size)
        start(p, z)
        facts[0] = block_minimise(
            objective, residual, residual_jacobian, residual_along, n, z, p, rtol(z), max_steps(), work,
            view(facts, 1, 1),
        )  # fmt: skip
        finish(z, p, view(out_all, block * size_out(), size_out()), facts, work)
        conditions(p, view(facts, FACTS, size_conditions()))
    return 0
