"""`adjoint auto`: the exact derivative of the computed steps either way, by a reverse sweep or by tangents.

A reverse sweep makes the stages of each step again and transposes them, whatever the number of arguments; tangents
cost a run with tangents for each number of inputs and params. Both are counted in operations of the derived functions.
The continuous adjoints are never chosen: they are accurate to tolerance only, `backsolve` not even that where the
equation is stiff (what decays fast forwards explodes backwards), and a thinned tape takes as little memory as they do.
"""

from __future__ import annotations

from dataclasses import replace

from implicitdsl.backends.adjoints import save_times_argument
from implicitdsl.backends.settings import Settings
from implicitdsl.ir.operations import operations
from implicitdsl.problems.derived import Derived
from implicitdsl.problems.kinds import Problem
from implicitdsl.problems.ode import OdeProblem, derive


def decided(problem: Problem, settings: Settings) -> tuple[Settings, str]:
    """The settings with an adjoint that is not `auto`, and why it is that one (empty where it was named)."""
    if settings.adjoint != "auto" or not isinstance(problem, OdeProblem):
        return settings, ""
    if problem.delays is not None:
        return replace(settings, adjoint="discrete"), "auto: only `discrete` knows delays"
    functions = derive(problem)
    directions = directions_of(problem)
    rhs, vjp, tangent = (_cost(functions[name]) for name in ("rhs", "rhs_vjp", "rhs_tangent"))
    forward, reverse = directions * (rhs + tangent), 2 * rhs + vjp
    chosen = "forward" if forward < reverse else "discrete"
    states = sum(s.size for s in problem.states)
    reason = (
        f"auto: {states} states; a stage costs {forward} operations with tangents along {directions} inputs and "
        f"params, {reverse} in a reverse sweep"
    )
    return replace(settings, adjoint=chosen), reason


def directions_of(problem: OdeProblem) -> int:
    """The runs with tangents that the gradient of all inputs and params takes."""
    signature = problem.signature
    sizes = [item.leaf.size for item in (*signature.inputs, *signature.params)]
    times = save_times_argument(problem)
    if times is not None and times < len(sizes):
        sizes[times] = min(sizes[times], 3)
    return sum(sizes)


def _cost(function: Derived) -> int:
    scalar, multiply_adds = operations(function.nodes)
    return sum(scalar.values()) + multiply_adds
