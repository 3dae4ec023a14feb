"""What implicit steps of M y' = f(t, y, p) ask for beside f: its Jacobian and its derivative in time.

With f_y and f_t as functions of (t, y, p), the exact derivative of a Rosenbrock step needs the gradient of
<S, f_y> + <s, f_t> for given S and s, and second order that of their tangents: the same rules again.
"""

from __future__ import annotations

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.problems.derived import Derived, group, tangent, transpose
from implicitdsl.problems.implicit import jacobian
from implicitdsl.problems.ode import OdeProblem, used_arguments


def linearisation(problem: OdeProblem) -> dict[str, Derived]:
    """`linearise` (t, y, p) → matrix (f_y by rows), drift (f_t); `linearise_tangent` (t, t_dot, y2, p2) → matrix2,
    drift2, each value before its tangent; and the vjp of both."""
    moving = (group("t", (problem.time,)), group("y", problem.states), group("p", used_arguments(problem)))
    rhs = Derived("rhs", moving, (group("out", problem.rhs),))
    matrix = jacobian("matrix", rhs, problem.rhs, problem.states).nodes
    found = calculus.pushforward(problem.rhs, {problem.time: build.constant(1.0)})
    drift = [build.zeros(f.shape) if d is None else d for f, d in zip(problem.rhs, found, strict=True)]
    linear = Derived("linearise", moving, (group("matrix", matrix), group("drift", drift)))
    slope = tangent(linear, ("t", "y", "p"))
    t, y, p, t_dot, y_dot, p_dot = slope.inputs
    pairs = (t, t_dot, group("y2", (*y.leaves, *y_dot.leaves)), group("p2", (*p.leaves, *p_dot.leaves)))
    outputs = (
        group("matrix2", (*matrix, *slope.outputs[0].nodes)),
        group("drift2", (*drift, *slope.outputs[1].nodes)),
    )
    doubled = Derived("linearise_tangent", pairs, outputs)
    functions = (
        linear, transpose(linear, ("t", "y", "p")), doubled, transpose(doubled, ("t", "t_dot", "y2", "p2")),
    )  # fmt: skip
    return {f.name: f for f in functions}
