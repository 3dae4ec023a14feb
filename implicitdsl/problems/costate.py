"""What the continuous adjoints of x' = f(t, x, p) ask for beside f: lambda' f_y and lambda' f_p, each alone.

The costate obeys d lambda/dt = -f_y' lambda and dL/dp is the integral of lambda' f_p: again an ode and its quadrature.
Its own Jacobian is -f_y'; a method that takes the derivative in time of a right-hand side asks for that of lambda' f_y.
"""

from __future__ import annotations

from dataclasses import replace

from implicitdsl.ir.derive import pushforward
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.derived import Derived, Group, group, tangent_leaf, transpose


def costate_functions(rhs: Derived) -> dict[str, Derived]:
    """`rhs_costate` (t, y, p, lam) adds lam' f_y to y_bar, `rhs_gradient` adds lam' f_p to p_bar; with events, p
    has the modes behind the arguments."""
    parts = {"rhs_costate": "y", "rhs_gradient": rhs.inputs[2].name}
    return {name: replace(transpose(rhs, (part,)), name=name) for name, part in parts.items()}


def costate_rate(rhs: Derived) -> Derived:
    """`rhs_costate_rate` (t, y, p, lam, t_dot, y_dot) adds the derivative of lam' f_y along (t_dot, y_dot) to
    `rate`."""
    costate = transpose(rhs, ("y",))
    t, y = costate.inputs[:2]
    given: dict[Node, Leaf] = {leaf: tangent_leaf(leaf) for leaf in (*t.leaves, *y.leaves)}
    dots = (group("t_dot", (given[leaf] for leaf in t.leaves)), group("y_dot", (given[leaf] for leaf in y.leaves)))
    (bar,) = costate.outputs
    found = iter(pushforward(bar.nodes, dict(given)))
    members = tuple(None if m is None else next(found) for m in bar.members)
    return Derived("rhs_costate_rate", (*costate.inputs, *dots), (Group("rate", members, bar.sizes),), adds=True)
