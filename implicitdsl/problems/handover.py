"""The rest of an `ode`, from where another method left it: again an `ode`, with the state handed over as an input.

The input comes first among the arguments: the n numbers of the state, then what `solvers/stiffness.py` says of it. Save
times that were reached before lie at the start, where nothing is asked of them; so all derivatives, those of the state
and the time handed over included, are those of any `ode`.
"""

from __future__ import annotations

import dataclasses

from implicitdsl.ir import build
from implicitdsl.ir.node import Node
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.signature import Given
from implicitdsl.solvers.stiffness import DIRECTION, END, END_TIME

HANDED_OVER = "handed over"
"""The name of the input: no name of the language."""


def rest_of(problem: OdeProblem) -> OdeProblem:
    """The problem from the state and time handed over on. `problem` has neither events nor algebraic unknowns."""
    n = sum(s.size for s in problem.states)
    given = build.leaf("input", HANDED_OVER, (n + END,))
    time, direction = (build.index(given, n + place) for place in (END_TIME, DIRECTION))
    start: list[Node] = []
    place = 0
    for state in problem.states:
        start.append(build.reshape(build.pick(given, ((place, place + state.size),)), state.shape))
        place += state.size
    at, t1 = problem.at, problem.t1
    if at is not None:
        # Times forward in the direction of the run: the later of the time asked for and that of the start.
        ahead = build.apply("maximum", build.mul(direction, at), build.mul(direction, time))
        last = build.index(at, at.shape[0] - 1) if at.shape[0] else build.constant(0.0)
        at, t1 = build.mul(direction, ahead), last if t1 is None else t1
    signature = dataclasses.replace(problem.signature, inputs=(Given(given), *problem.signature.inputs))
    return dataclasses.replace(problem, signature=signature, start=tuple(start), t0=time, t1=t1, at=at)
