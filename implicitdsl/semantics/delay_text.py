"""The delays of an `ode` in formulas, for `explain FILE`."""

from __future__ import annotations

from implicitdsl.ir import derive as calculus
from implicitdsl.ir.node import Leaf
from implicitdsl.ir.text import equation_text
from implicitdsl.problems.ode import OdeProblem


def delay_lines(problem: OdeProblem) -> list[str]:
    """The lags, the history, and what they add to the adjoint; nothing without delays."""
    delays = problem.delays
    if delays is None:
        return []
    lines = ["the lags, where x.lag1 stands for x(t - lag1), and the values before the start:"]
    lines += [f"  lag{j} = {' '.join(equation_text(lag).split())}" for j, lag in enumerate(delays.lags, 1)]
    for state, before in zip(problem.states, delays.history, strict=True):
        lines.append(f"  {state.name}(t < t0) = {' '.join(equation_text(before).split())}")
    lam = tuple(Leaf("dual", f"lambda_{s.name}", s.shape) for s in problem.states)
    lines.append("what the past adds to the adjoint, taken a lag later:")
    for j, past in enumerate(delays.past, 1):
        found = calculus.pullback(problem.rhs, lam, past)
        for state, node in zip(problem.states, found, strict=True):
            if node is not None:
                text = " ".join(equation_text(node).split())
                lines.append(f"  dlambda_{state.name}/dt(t) = … - [{text}](t + lag{j})")
    return [*lines, "a cotangent that arrives before the start goes to the history; one of the read time to the lag"]
