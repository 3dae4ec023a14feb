"""What implicit steps of M y' = f(t, y, p) ask for beside f: its Jacobian, held as its pattern asks, and its derivative
in time.

With f_y and f_t as functions of (t, y, p), the exact derivative of a Rosenbrock step needs the gradient of
<S, f_y> + <s, f_t> for given S and s, and second order that of their tangents: the same rules again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.problems.derived import Derived, Group, group, tangent, transpose
from implicitdsl.problems.implicit import jacobian
from implicitdsl.problems.ode import OdeProblem, used_arguments
from implicitdsl.problems.step_pattern import StepPattern, step_pattern


def pattern_of(problem: OdeProblem, choice: str) -> StepPattern:
    """How the matrix of a step of this problem is held; `choice` is that of the option `matrix`. With events it is
    dense."""
    return _pattern(problem.rhs, problem.states, problem.mass, choice if problem.events is None else "dense")


# The engine, the limits of a back end and the report all ask.
_pattern = lru_cache(maxsize=4)(step_pattern)


def linearisation(problem: OdeProblem, pattern: StepPattern) -> dict[str, Derived]:
    """`linearise` (t, y, p) → matrix (f_y by rows, or as the pattern has it), drift (f_t);
    `linearise_tangent` (t, t_dot, y2, p2) → matrix2, drift2, each value before its tangent; and the vjp of both. With
    events, of the right-hand side with its modes, and again without the derivatives by arguments (`_y`)."""
    nodes, given = problem.rhs, group("p", used_arguments(problem))
    if problem.events is not None:
        nodes, given = problem.events.rhs, group("pm", (*given.leaves, *problem.events.modes))
    moving = (group("t", (problem.time,)), group("y", problem.states), given)
    rhs = Derived("rhs", moving, (group("out", nodes),))
    if pattern.jacobian is None:
        matrix = jacobian("matrix", rhs, nodes, problem.states).nodes
    else:
        matrix = pattern.jacobian.nodes
    found = calculus.pushforward(nodes, {problem.time: build.constant(1.0)})
    drift = [build.zeros(f.shape) if d is None else d for f, d in zip(nodes, found, strict=True)]
    linear = Derived("linearise", moving, (group("matrix", matrix), group("drift", drift)))
    slope = tangent(linear, ("t", "y", given.name))
    t, y, p, t_dot, y_dot, p_dot = slope.inputs
    states2 = group("y2", (*y.leaves, *y_dot.leaves))
    pairs = (t, t_dot, states2, group(f"{p.name}2", (*p.leaves, *p_dot.leaves)))
    doubled = Derived("linearise_tangent", pairs, _paired(linear, slope))
    functions = [
        linear, transpose(linear, ("t", "y", p.name)), doubled,
        transpose(doubled, ("t", "t_dot", "y2", f"{p.name}2")),
    ]  # fmt: skip
    if problem.events is not None:
        moved = tangent(linear, ("t", "y"))
        functions += [
            replace(transpose(linear, ("t", "y")), name="linearise_vjp_y"),
            Derived("linearise_tangent_y", (t, t_dot, states2, p), _paired(linear, moved)),
            replace(transpose(doubled, ("t", "t_dot", "y2")), name="linearise_tangent_vjp_y"),
        ]
    return {f.name: f for f in functions}


def _paired(linear: Derived, slope: Derived) -> tuple[Group, ...]:
    """matrix2 and drift2: values, then tangents."""
    values, tangents = linear.outputs, slope.outputs
    return tuple(
        group(f"{v.name}2", (*v.nodes, *d.nodes)) for v, d in zip(values, tangents, strict=True)
    )  # fmt: skip
