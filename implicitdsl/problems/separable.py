"""Which states are positions and which velocities: q' = g(t, v), v' = f(t, q), the systems of the symplectic methods.

The components of the state are the vertices of a graph with an edge where the rate of one contains the other. The
system is separable where two colours suffice for its vertices, so that no edge joins two of one colour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir.sparsity import pattern
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.solvers.split_stages import DRIFT, KICK


def parts(problem: OdeProblem) -> tuple[float, ...] | str:
    """`DRIFT` or `KICK` for each component of the state, the first of each group in the text being a position; or,
    where the system is not separable, which rate contains what it must not."""
    edges = _contains(problem)
    touching = edges | edges.T
    found = np.zeros(len(edges))
    for start in range(len(edges)):
        if found[start] == 0.0:
            found[start], waiting = DRIFT, [start]
            while waiting:
                here = waiting.pop()
                there = np.flatnonzero(touching[here])
                fresh = [int(i) for i in there if found[i] == 0.0]
                found[fresh] = DRIFT + KICK - found[here]
                waiting += fresh
    wrong = np.argwhere(edges & (found[:, None] == found[None, :]))
    if len(wrong):
        rate, other = (_component(problem, int(i)) for i in wrong[0])
        itself = " itself" if rate == other else ", which it would move with"
        return f"the rate of `{rate}` contains `{other}`{itself}"
    return tuple(float(x) for x in found)


def _contains(problem: OdeProblem) -> NDArray[np.bool_]:
    """(n, n), true where the rate of component i contains component j."""
    return np.vstack([np.hstack([pattern(rate, state) for state in problem.states]) for rate in problem.rhs])


def _component(problem: OdeProblem, place: int) -> str:
    for state in problem.states:
        if place < state.size:
            inside = np.unravel_index(place, state.shape) if state.shape else ()
            return state.name + (f"[{', '.join(str(int(i)) for i in inside)}]" if inside else "")
        place -= state.size
    raise AssertionError("a place beyond the state")
